/*
 * clients/cli/pick.c -- the shared options of tail and logs, on their way into a request and a rendering.
 */
#include "clients/cli/pick.h"

#include "base/err.h"
#include "clients/cli/cli.h"

#include <string.h>

void pick_init(struct pick *p)
{
    memset(p, 0, sizeof *p);
    p->output = "text";
    p->color = "auto";
    p->after = p->before = p->around = -1;
}

static struct match_options match_options_of(const struct pick *p)
{
    return (struct match_options){p->grep, p->fixed, p->search, p->ignore_case, p->invert};
}

static int check_match(struct pick *p)
{
    struct match_options o = match_options_of(p);
    char why[256] = "";

    if (match_new(&o, &p->match, why, sizeof why) < 0) {
        cli_say("--grep: %s", why);
        return ERR_INVALID;
    }
    if (!p->match && (p->invert || p->has_context)) {
        cli_say("%s wants --grep or -q", p->invert ? "-v" : "-A, -B, -C");
        return ERR_INVALID;
    }
    return 0;
}

static void settle_context(struct pick *p)
{
    p->has_context = p->after >= 0 || p->before >= 0 || p->around >= 0;
    if (p->after < 0)
        p->after = p->around < 0 ? 0 : p->around;
    if (p->before < 0)
        p->before = p->around < 0 ? 0 : p->around;
}

static int check_look(struct pick *p)
{
    char why[256] = "";
    int is_text = !strcmp(p->output, "text");

    if (p->template_text && is_text) {
        p->output = "template";
        is_text = 0;
    }
    if (!strcmp(p->output, "template") != !!p->template_text) {
        cli_say("-o template and --template TEXT go together");
        return ERR_INVALID;
    }
    if (p->template_text && template_new(p->template_text, &p->template, why, sizeof why) < 0) {
        cli_say("--template: %s", why);
        return ERR_INVALID;
    }
    if ((p->raw || p->fold) && !is_text) {
        cli_say("--%s is for -o text", p->raw ? "raw" : "fold");
        return ERR_INVALID;
    }
    if (p->raw && p->fold) {
        cli_say("--raw and --fold do not go together");
        return ERR_INVALID;
    }
    if (p->has_context && !strcmp(p->output, "json")) {
        cli_say("-A, -B and -C do not go with -o json; -o ndjson does");
        return ERR_INVALID;
    }
    return 0;
}

int pick_check(struct pick *p)
{
    if (p->count && strcmp(p->count, "all") != 0 &&
        (!*p->count || strspn(p->count, "0123456789") != strlen(p->count) ||
         strlen(p->count) > 12)) {
        cli_say("-n: %s is neither a number nor all", p->count);
        return ERR_INVALID;
    }
    settle_context(p);
    if (check_match(p) < 0)
        return ERR_INVALID;
    return check_look(p);
}

void pick_release(struct pick *p)
{
    match_free(&p->match);
    template_free(&p->template);
}

void pick_args(struct buf *path, const struct pick *p, int with_match)
{
    const struct {
        const char *name, *value;
    } all[] = {{"since", p->since},     {"until", p->until}, {"rank", p->rank},
               {"replica", p->replica}, {"level", p->level}, {"stream", p->stream}};
    struct match_options o = match_options_of(p);

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].value)
            http_arg(path, all[i].name, all[i].value);
    if (with_match)
        match_args(&o, path);
}

int pick_is_local(const struct pick *p)
{
    return p->match && p->invert;
}

int pick_is_json(const struct pick *p)
{
    return !strcmp(p->output, "json") || !strcmp(p->output, "ndjson");
}

struct render_options pick_render(const struct pick *p, const char *job)
{
    return (struct render_options){
        .form = pick_is_json(p)  ? RENDER_JSON
                : p->template    ? RENDER_TEMPLATE
                : p->raw         ? RENDER_RAW
                                 : RENDER_TEXT,
        .color = p->color,
        .timestamps = p->timestamps,
        .no_prefix = p->no_prefix,
        .fold = p->fold,
        .match = p->match,
        .template = p->template,
        .job = job,
    };
}

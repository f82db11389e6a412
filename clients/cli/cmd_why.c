/*
 * clients/cli/cmd_why.c -- joblog why: what became of a job, which rank was first, with what, how sure.
 */
#include "base/err.h"
#include "clients/cli/cli.h"
#include "clients/cli/pager.h"
#include "clients/cli/term.h"
#include "clients/cli/why_page.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_MAX 5          /* times a busy server is asked again */
#define MORE_MAX 25          /* times newer lines are waited for */
#define AGAIN_US_MIN 200000  /* … and how long it is left alone before, whatever it says */
#define AGAIN_US_MAX 5000000

struct why_options {
    struct args_common common;
    const char *output, *color;
    int all, no_pager;
};

static const struct args_option options[] = {
    {'o', "output", ARGS_TEXT, offsetof(struct why_options, output), "FORM",
     "text, json, markdown or html", "text|json|markdown|html", 0, 0},
    {'a', "all", ARGS_FLAG, offsetof(struct why_options, all), NULL,
     "every rank, event and line of the traceback", NULL, 0, 0},
    {0, "color", ARGS_TEXT, offsetof(struct why_options, color), "WHEN", "auto, always or never",
     "auto|always|never", 0, 0},
    {0, "no-pager", ARGS_FLAG, offsetof(struct why_options, no_pager), NULL,
     "do not page long output", NULL, 0, 0},
};

static void ask(struct buf *path, const struct why_options *o, const char *format)
{
    char number[16];

    http_arg(path, "format", format);
    if (!strcmp(o->output, "text") && !o->all) {
        snprintf(number, sizeof number, "%d", WHY_RANKS);
        http_arg(path, "ranks", number);
        http_arg(path, "groups", "12");
        snprintf(number, sizeof number, "%d", 2 * WHY_TAIL_LINES);
        http_arg(path, "lines", number);
    }
}

/* Lines of a running job that the answer does not know yet: a moment later it does. */
static int64_t behind(const struct http_reply *r)
{
    struct json_tree *root = NULL;
    int64_t n = 0;

    if (json_tree_parse_own(r->body.data, r->body.len, &root) == 0)
        json_tree_get_i64(root, "behind", &n);
    json_tree_free(&root);
    return n;
}

/* The document as it came; on a terminal made safe. */
static void pass(struct buf *out, const struct http_reply *r, const struct term *t)
{
    if (t->is_tty)
        term_clean(out, r->body.data, r->body.len, TERM_COLOR_DROP, NULL);
    else
        buf_add(out, r->body.data, r->body.len);
}

/* 0, ERR_TOO_BIG: more than a page is drawn from; ERR_INVALID. */
static int draw(struct buf *out, const struct http_reply *r, const struct why_options *o,
                const struct term *t)
{
    struct why_page page = {
        .columns = t->is_tty ? t->columns : 0, .color = t->color, .all = o->all};
    struct json_tree *root = NULL;
    int err = json_tree_parse_own(r->body.data, r->body.len, &root);

    if (!err)
        err = why_page_write(&page, root, out);
    json_tree_free(&root);
    return err;
}

/* 1: rested; 0: interrupted. */
static int rest(int64_t us)
{
    struct pollfd p = {.fd = cli_wake_fd(), .events = POLLIN};

    us = us < AGAIN_US_MIN ? AGAIN_US_MIN : us > AGAIN_US_MAX ? AGAIN_US_MAX : us;
    poll(&p, 1, (int)(us / 1000));
    return !cli_interrupted();
}

/* 1: the server asked for patience, and we had it. */
static int came_again(const struct http_reply *r, int tries)
{
    int64_t us = r->retry_after_us;

    if ((r->status != 503 && r->status != 429) || tries >= AGAIN_MAX || cli_interrupted())
        return 0;
    return rest(us);
}

/* 1: the answer lacks newer lines, and we had patience. */
static int came_for_more(const struct http_reply *r, const char *format, int tries)
{
    if (r->status != 200 || strcmp(format, "json") != 0 || cli_interrupted() || behind(r) <= 0)
        return 0;
    if (tries < MORE_MAX)
        return rest(AGAIN_US_MIN);
    cli_say("%lld newer lines are not in it yet: ask again", (long long)behind(r));
    return 0;
}

static int why(const struct why_options *o, const struct http_server *s, const char *job)
{
    const char *format = !strcmp(o->output, "text") ? "json" : o->output;
    struct http_reply r = {0};
    struct buf path = BUF_INIT, out = BUF_INIT;
    struct term t;
    int code = CLI_EXIT_OK, err, tries = 0, more = 0;

    pager_start(!o->no_pager && !strcmp(o->output, "text"));
    term_init(&t, STDOUT_FILENO, o->color);
    for (;;) {
        buf_clear(&path);
        cli_job_path(&path, s, job, "/postmortem");
        ask(&path, o, format);
        err = http_call(s, "GET", buf_cstr(&path), NULL, CLI_CALL_US, &r);
        if (err >= 0 && (came_again(&r, tries++) || came_for_more(&r, format, more++))) {
            http_reply_release(&r);
            memset(&r, 0, sizeof r);
            continue;
        }
        if (cli_interrupted()) {
            code = CLI_EXIT_INTERRUPTED;
            break;
        }
        if (err < 0 || r.status != 200) {
            code = cli_complain(s, job, err, &r);
            break;
        }
        err = !strcmp(o->output, "text") && !strcmp(format, "json") ? draw(&out, &r, o, &t) : 0;
        if (err == ERR_TOO_BIG) { /* then as the server writes it for people */
            format = "markdown";
            http_reply_release(&r);
            memset(&r, 0, sizeof r);
            continue;
        }
        if (err < 0) {
            cli_say("%s answered something that is no post-mortem", s->url);
            code = CLI_EXIT_CANNOT;
        } else if (!out.len) {
            pass(&out, &r, &t);
        }
        break;
    }
    if (out.len && cli_write(STDOUT_FILENO, out.data, out.len) == ERR_CLOSED &&
        pager_terminal() < 0)
        cli_die_of_pipe();
    pager_finish();
    buf_release(&out);
    buf_release(&path);
    http_reply_release(&r);
    return code;
}

static int main_why(int argc, char **argv)
{
    struct why_options o = {.output = "text", .color = "auto"};
    struct http_server s;
    char **operands;
    unsigned count;
    int code;

    if (args_begin(&cli_why, argc, argv, &o, &operands, &count, &code))
        return code;
    if (cli_check_job(operands[0]) < 0 || cli_server(&o.common, &s) < 0)
        return CLI_EXIT_USAGE;
    cli_catch_signals();
    return why(&o, &s, operands[0]);
}

const struct args_command cli_why = {
    .name = "why",
    .usage = "why JOB [options]",
    .summary = "Post-mortem: which rank failed first, with what, how sure; or is it hung?\n"
               "Exit code 0 when the question was answered, whatever the answer.",
    .example = "  joblog why demo\n  joblog why demo -o html > demo.html\n"
               "  joblog why demo -o json | jq .verdict",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
    .main = main_why,
};

/*
 * clients/cli/cmd_events.c -- joblog events: alerts and states of all jobs, as they come.
 *
 *     2026-11-23 20:54:01  FIRING    critical  cuda-oom  default/demo rank 3: CUDA out of memory …
 *     2026-11-23 20:54:02  FAILED    default/demo (exit code 1): …
 *
 * Over Server-Sent Events; it reconnects from its cursor until it is interrupted.
 */
#include "base/err.h"
#include "clients/cli/cli.h"
#include "clients/cli/resume.h"
#include "clients/cli/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES_MAX 300 /* of a line in a row */

struct events_options {
    struct args_common common;
    struct args_list labels;
    const char *type, *after, *count, *output, *color, *group;
    int no_follow;
};

static const struct args_option options[] = {
    {'n', "tail", ARGS_TEXT, offsetof(struct events_options, count), "N",
     "begin with the last N (or all that are held)", NULL, 0, 0},
    {0, "after", ARGS_TEXT, offsetof(struct events_options, after), "CURSOR",
     "begin after this one", NULL, 0, 0},
    {0, "type", ARGS_TEXT, offsetof(struct events_options, type), "T", "some of alert,state,end",
     NULL, 0, 0},
    {'l', "label", ARGS_LIST, offsetof(struct events_options, labels), "K=V",
     "of jobs with this label; may be repeated", NULL, 0, 0},
    {0, "no-follow", ARGS_FLAG, offsetof(struct events_options, no_follow), NULL,
     "what is there, then end", NULL, 0, 0},
    {'o', "output", ARGS_TEXT, offsetof(struct events_options, output), "FORM", "text or ndjson",
     "text|ndjson", 0, 0},
    {0, "color", ARGS_TEXT, offsetof(struct events_options, color), "WHEN", "auto, always or never",
     "auto|always|never", 0, 0},
};

struct events {
    const struct events_options *o;
    struct http_server server;
    struct term term;
    struct resume feed;
    int is_incomplete;
};

/* ---- rows ---- */

static const char *text_of(const struct json_tree *v, const char *key)
{
    const char *s = json_tree_str(json_tree_get(v, key));

    return s ? s : "";
}

static void add_clean(struct buf *out, const char *text)
{
    size_t len = strcspn(text, "\n");

    if (len > TEXT_BYTES_MAX)
        len = TEXT_BYTES_MAX;
    while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    term_clean(out, text, len, TERM_COLOR_DROP, NULL);
}

static void add_word(struct buf *out, const struct term *t, const char *sgr, int width,
                     const char *word)
{
    if (t->color)
        buf_addf(out, "\x1b[%sm", sgr);
    buf_addf(out, "%-*s", width, word);
    if (t->color)
        buf_adds(out, TERM_RESET);
    buf_adds(out, "  ");
}

static const char *severity_sgr(const char *severity)
{
    return !strcmp(severity, "critical") || !strcmp(severity, "error") ? "31"
           : !strcmp(severity, "warning")                              ? "33"
                                                                       : "36";
}

void cli_alert_row(struct buf *out, const struct term *t, const struct json_tree *v)
{
    const char *at = text_of(v, "at"), *words = text_of(json_tree_get(v, "annotations"), "summary");
    int is_firing = !strcmp(text_of(v, "status"), "firing");
    int64_t rank;

    buf_addf(out, "%.10s %.8s  ", at, strlen(at) > 18 ? at + 11 : "");
    add_word(out, t, is_firing ? severity_sgr(text_of(v, "severity")) : "32", 8,
             is_firing ? "FIRING" : "RESOLVED");
    buf_addf(out, "%-8s  %s  %s/%s", text_of(v, "severity"), text_of(v, "rule"),
             text_of(v, "project"), text_of(v, "job"));
    if (json_tree_get_i64(v, "rank", &rank) > 0)
        buf_addf(out, " rank %lld", (long long)rank);
    if (!*words)
        words = *text_of(v, "line")      ? text_of(v, "line")
                : *text_of(v, "message") ? text_of(v, "message")
                                         : text_of(v, "reason");
    if (*words)
        buf_adds(out, ": ");
    add_clean(out, words);
    if (!*text_of(json_tree_get(v, "annotations"), "summary") && *text_of(v, "value"))
        buf_addf(out, " (%s)", text_of(v, "value"));
    if (json_tree_true(json_tree_get(v, "suppressed")))
        buf_adds(out, " [over the rule's limit: not sent]");
    buf_addc(out, '\n');
}

static void add_state_row(struct buf *out, const struct term *t, const struct json_tree *v)
{
    const char *at = text_of(v, "at"), *state = cli_short_state(text_of(v, "state"));
    int is_end = !strcmp(text_of(v, "type"), "end");
    int64_t code;

    buf_addf(out, "%.10s %.8s  ", at, strlen(at) > 18 ? at + 11 : "");
    add_word(out, t, cli_exit_of_state(text_of(v, "state")) == CLI_EXIT_OK ? "32" : "36", 8,
             is_end ? "END" : state);
    buf_addf(out, "%s/%s", text_of(v, "project"), text_of(v, "job"));
    if (is_end)
        buf_addf(out, " is %s%s", state,
                 json_tree_true(json_tree_get(v, "complete")) ? "" : ", its log is incomplete");
    if (!is_end && json_tree_get_i64(v, "exit_code", &code) > 0)
        buf_addf(out, " (exit code %lld)", (long long)code);
    if (!is_end && *text_of(v, "message")) {
        buf_adds(out, ": ");
        add_clean(out, text_of(v, "message"));
    }
    buf_addc(out, '\n');
}

/* ---- what comes ---- */

static int on_event(void *user, const struct sse_event *e)
{
    struct events *c = user;
    struct json_tree *v = NULL;

    resume_alive(&c->feed);
    if (!strcmp(e->type, "gap") || !strcmp(e->type, "reset")) {
        c->is_incomplete = 1;
        cli_say("%s", !strcmp(e->type, "gap") ? "some events are not held any more"
                                              : "the feed was lost: it begins anew");
    }
    if (strcmp(e->type, "alert") && strcmp(e->type, "state") && strcmp(e->type, "end"))
        return 0;
    if (!strcmp(c->o->output, "ndjson")) {
        buf_add(&c->feed.out, e->data, e->len);
        buf_addc(&c->feed.out, '\n');
    } else if (json_tree_parse_own(e->data, e->len, &v) == 0) {
        !strcmp(e->type, "alert") ? cli_alert_row(&c->feed.out, &c->term, v)
                                  : add_state_row(&c->feed.out, &c->term, v);
    }
    json_tree_free(&v);
    return 0;
}

static int make_path(void *user, struct buf *path)
{
    const struct events *c = user;
    const struct events_options *o = c->o;

    buf_adds(path, "/v1/events");
    if (c->server.project)
        http_arg(path, "project", c->server.project);
    if (*c->feed.cursor)
        http_arg(path, "after", c->feed.cursor);
    else if (o->after)
        http_arg(path, "after", o->after);
    else if (o->count && !strcmp(o->count, "all"))
        http_arg(path, "after", "0");
    else if (o->count || o->no_follow)
        http_arg(path, "tail", o->count ? o->count : "100");
    if (o->type)
        http_arg(path, "type", o->type);
    if (o->no_follow) {
        http_arg(path, "wait", "0s");
        http_arg(path, "limit", "10000");
    }
    if (cli_label_args(path, &o->labels) < 0)
        return ERR_INVALID;
    return 0;
}

static int over(void *user, int err, const struct http_reply *r)
{
    struct events *c = user;

    if (err == 0 && r->status == 200 && c->o->no_follow)
        return c->is_incomplete ? CLI_EXIT_CANNOT : CLI_EXIT_OK;
    return -1;
}

static int main_events(int argc, char **argv)
{
    struct events_options o = {.output = "text", .color = "auto"};
    struct events c = {.o = &o};
    char **operands;
    unsigned count;
    int code;

    if (args_begin(&cli_events, argc, argv, &o, &operands, &count, &code))
        return code;
    if (cli_server(&o.common, &c.server) < 0)
        return CLI_EXIT_USAGE;
    if (o.after && o.count) {
        cli_say("either --after or -n");
        return CLI_EXIT_USAGE;
    }
    cli_catch_signals();
    term_init(&c.term, STDOUT_FILENO, o.color);
    c.feed = (struct resume){.server = &c.server,
                             .make_path = make_path,
                             .on_event = on_event,
                             .over = over,
                             .user = &c};
    resume_init(&c.feed);
    code = resume_run(&c.feed);
    resume_release(&c.feed);
    return code;
}

const struct args_command cli_events = {
    .name = "events",
    .usage = "events [options]",
    .summary = "Alerts and states of all jobs, as they come.",
    .example = "  joblog events -n 20\n"
               "  joblog events --type alert -l team=vision -o ndjson | jq .labels",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .main = main_events,
};

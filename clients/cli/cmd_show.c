/*
 * clients/cli/cmd_show.c -- joblog show: one job on a page.
 */
#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/cli.h"
#include "clients/cli/pager.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RANKS_SHOWN_MAX 32

struct show_options {
    struct args_common common;
    const char *output;
    int no_pager;
};

static const struct args_option options[] = {
    {'o', "output", ARGS_TEXT, offsetof(struct show_options, output), "FORM", "text or json",
     "text|json", 0, 0},
    {0, "no-pager", ARGS_FLAG, offsetof(struct show_options, no_pager), NULL,
     "print to the terminal directly", NULL, 0, 0},
};

static const char *text_of(const struct json_tree *v, const char *key)
{
    const char *s = NULL;

    json_tree_get_str(v, key, &s);
    return s;
}

static int64_t number_of(const struct json_tree *v, const char *key)
{
    int64_t n = 0;

    json_tree_get_i64(v, key, &n);
    return n;
}

/* "2026-11-23 20:54:01" of an RFC 3339 text. */
static const char *moment(const char *ts, char out[24])
{
    if (!ts || strlen(ts) < 19)
        return "-";
    snprintf(out, 24, "%.10s %.8s", ts, ts + 11);
    return out;
}

static void add_head(struct buf *out, const struct json_tree *job)
{
    const struct json_tree *labels = json_tree_get(job, "labels");
    char text[32], other[32];
    int sealed = 0, complete = 0;
    int64_t code, us;

    buf_addf(out, "job        %s  (project %s)\n", text_of(job, "id"), text_of(job, "project"));
    if (text_of(job, "name"))
        buf_addf(out, "name       %s\n", text_of(job, "name"));
    buf_addf(out, "state      %s", cli_short_state(text_of(job, "state")));
    if (json_tree_us(json_tree_get(job, "duration_s"), &us) == 0)
        buf_addf(out, " after %s", clock_format_duration(us, text));
    if (json_tree_get_i64(job, "exit_code", &code) > 0)
        buf_addf(out, ", exit code %lld", (long long)code);
    buf_addc(out, '\n');
    if (text_of(job, "error_message"))
        buf_addf(out, "error      %s\n", text_of(job, "error_message"));
    buf_addf(out, "lines      %s (%s bytes)\n",
             cli_thousands((uint64_t)number_of(job, "lines"), text),
             cli_thousands((uint64_t)number_of(job, "bytes"), other));
    json_tree_get_bool(job, "sealed", &sealed);
    json_tree_get_bool(job, "complete", &complete);
    buf_addf(out, "log        %s\n",
             !sealed    ? "open"
             : complete ? "ended, complete"
                        : "ended, incomplete");
    if (json_tree_first(labels)) {
        const char *sep = "labels     ";

        for (const struct json_tree *l = json_tree_first(labels); l;
             l = json_tree_next(l), sep = ", ")
            buf_addf(out, "%s%s=%s", sep, json_tree_key(l),
                     json_tree_str(l) ? json_tree_str(l) : "?");
        buf_addc(out, '\n');
    }
}

static void add_levels(struct buf *out, const struct json_tree *job)
{
    const char *sep = "levels     ";
    char text[32];

    for (const struct json_tree *l = json_tree_first(json_tree_get(job, "levels")); l;
         l = json_tree_next(l)) {
        int64_t n = 0;

        if (json_tree_i64(l, &n) < 0 || !n || !strcmp(json_tree_key(l), "none"))
            continue;
        buf_addf(out, "%s%s %s", sep, json_tree_key(l), cli_thousands((uint64_t)n, text));
        sep = ", ";
    }
    if (*sep == ',')
        buf_addc(out, '\n');
}

static void add_history(struct buf *out, const struct json_tree *job)
{
    char at[24], text[32];

    buf_adds(out, "history\n");
    for (const struct json_tree *h = json_tree_first(json_tree_get(job, "history")); h;
         h = json_tree_next(h)) {
        int64_t us;

        buf_addf(out, "  %s  %-13s", moment(text_of(h, "at"), at),
                 cli_short_state(text_of(h, "state")));
        if (json_tree_us(json_tree_get(h, "duration_s"), &us) == 0)
            buf_addf(out, "  %s", clock_format_duration(us, text));
        if (text_of(h, "message"))
            buf_addf(out, "  %s", text_of(h, "message"));
        buf_addc(out, '\n');
    }
}

static void add_ranks(struct buf *out, const struct json_tree *job)
{
    const struct json_tree *r = json_tree_first(json_tree_get(job, "by_rank"));
    char at[24], text[32];
    unsigned shown = 0, more = 0;

    if (r && number_of(job, "ranks"))
        buf_addf(out, "ranks      (of %lld)\n", (long long)number_of(job, "ranks"));
    else if (r)
        buf_adds(out, "ranks\n");
    for (; r; r = json_tree_next(r)) {
        int64_t rank;

        if (shown++ >= RANKS_SHOWN_MAX) {
            more++;
            continue;
        }
        if (json_tree_get_i64(r, "rank", &rank) > 0)
            buf_addf(out, "  %5lld", (long long)rank);
        else
            buf_adds(out, "   none");
        buf_addf(out, "  %13s lines, last at %s\n",
                 cli_thousands((uint64_t)number_of(r, "lines"), text),
                 moment(text_of(r, "last_at"), at));
    }
    if (more)
        buf_addf(out, "  … and %u more (-o json shows all)\n", more);
}

static void add_producers(struct buf *out, const struct json_tree *job)
{
    const struct json_tree *p = json_tree_first(json_tree_get(job, "producers"));
    unsigned shown = 0;

    if (p)
        buf_adds(out, "producers\n");
    for (; p && shown < RANKS_SHOWN_MAX; p = json_tree_next(p), shown++) {
        int64_t fin, code;
        int done = json_tree_get_i64(p, "fin", &fin) > 0;

        buf_addf(out, "  %s  at %lld, %s", text_of(p, "id"), (long long)number_of(p, "last"),
                 done ? "finished" : "not finished");
        if (text_of(p, "signal"))
            buf_addf(out, ", killed by %s", text_of(p, "signal"));
        else if (json_tree_get_i64(p, "exit_code", &code) > 0)
            buf_addf(out, ", exit code %lld", (long long)code);
        buf_addc(out, '\n');
    }
    if (p)
        buf_adds(out, "  … and more (-o json shows all)\n");
}

static int show(const struct show_options *o, const struct http_server *s, const char *job)
{
    struct http_reply r = {0};
    struct json_tree *page = NULL;
    struct buf path = BUF_INIT, out = BUF_INIT;
    int code = CLI_EXIT_OK, err;

    cli_job_path(&path, s, job, "");
    err = http_call(s, "GET", buf_cstr(&path), NULL, CLI_CALL_US, &r);
    if (err < 0 || r.status != 200) {
        code = cli_complain(s, job, err, &r);
    } else if (!strcmp(o->output, "json")) {
        buf_add(&out, r.body.data, r.body.len);
    } else if (json_tree_parse_own(buf_cstr(&r.body), r.body.len, &page) < 0) {
        cli_say("%s answered something that is no JSON", s->url);
        code = CLI_EXIT_CANNOT;
    } else {
        add_head(&out, page);
        add_levels(&out, page);
        add_history(&out, page);
        add_ranks(&out, page);
        add_producers(&out, page);
    }
    if (out.len) {
        pager_start(!o->no_pager);
        if (cli_print(out.data, out.len) == ERR_CLOSED)
            cli_die_of_pipe();
        pager_finish();
    }
    json_tree_free(&page);
    buf_release(&out);
    buf_release(&path);
    http_reply_release(&r);
    return code;
}

static int main_show(int argc, char **argv)
{
    struct show_options o = {.output = "text"};
    struct http_server s;
    char **operands;
    unsigned count;
    int code;

    if (args_begin(&cli_show, argc, argv, &o, &operands, &count, &code))
        return code;
    if (cli_check_job(operands[0]) < 0 || cli_server(&o.common, &s) < 0)
        return CLI_EXIT_USAGE;
    cli_catch_signals();
    return show(&o, &s, operands[0]);
}

const struct args_command cli_show = {
    .name = "show",
    .usage = "show JOB [options]",
    .summary = "One job on a page: its states, levels, ranks and producers.",
    .example = "  joblog show demo\n  joblog show demo -o json | jq .history",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
    .main = main_show,
};

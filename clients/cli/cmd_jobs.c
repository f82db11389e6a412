/*
 * clients/cli/cmd_jobs.c -- joblog jobs: the newest jobs as a table, as ids or as JSON.
 */
#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/cli.h"
#include "clients/cli/palette.h"
#include "clients/cli/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_MAX 1000
#define COUNT_DEFAULT 20
#define JOB_COLUMNS_MIN 12

struct jobs_options {
    struct args_common common;
    const char *state, *output, *color;
    int active;
    struct args_list labels;
    int64_t count;
};

static const struct args_option options[] = {
    {'n', "limit", ARGS_COUNT, offsetof(struct jobs_options, count), "N", "at most N (default 20)",
     NULL, 1, 1000000},
    {0, "state", ARGS_TEXT, offsetof(struct jobs_options, state), "S",
     "in this state, like RUNNING or FAILED,STOPPED", NULL, 0, 0},
    {'a', "active", ARGS_FLAG, offsetof(struct jobs_options, active), NULL,
     "only those that have not ended", NULL, 0, 0},
    {'l', "label", ARGS_LIST, offsetof(struct jobs_options, labels), "K=V",
     "with this label; may be repeated", NULL, 0, 0},
    {'o', "output", ARGS_TEXT, offsetof(struct jobs_options, output), "FORM", "table, name or json",
     "table|name|json", 0, 0},
    {0, "color", ARGS_TEXT, offsetof(struct jobs_options, color), "WHEN", "auto, always or never",
     "auto|always|never", 0, 0},
};

/* "3m 12s" since or between times; "-" when unknown. */
static const char *lasted(const struct json_tree *job, char out[32])
{
    int64_t us;

    if (json_tree_us(json_tree_get(job, "duration_s"), &us) < 0)
        return "-";
    return clock_format_duration(us, out);
}

static void add_row(struct buf *out, const struct term *t, const struct json_tree *job, int width)
{
    const char *id = NULL, *state = NULL, *created = NULL;
    char lines[32], duration[32], ranks[24] = "-";
    int64_t n = 0, rank_count;

    json_tree_get_str(job, "id", &id);
    json_tree_get_str(job, "state", &state);
    json_tree_get_str(job, "created_at", &created);
    json_tree_get_i64(job, "lines", &n);
    if (json_tree_get_i64(job, "ranks", &rank_count) > 0)
        snprintf(ranks, sizeof ranks, "%lld", (long long)rank_count);
    buf_addf(out, "%-*s  ", width, id ? id : "?");
    if (t->color)
        buf_addf(out, "\x1b[%sm", palette_state(state));
    buf_addf(out, "%-13s", cli_short_state(state));
    if (t->color)
        buf_adds(out, TERM_RESET);
    buf_addf(out, " %5s %13s %9s  %.10s %.5s\n", ranks, cli_thousands((uint64_t)n, lines),
             lasted(job, duration), created ? created : "-",
             created && strlen(created) > 16 ? created + 11 : "");
}

static void add_table(struct buf *out, const struct term *t, struct json_tree *const *pages,
                      unsigned count)
{
    int width = JOB_COLUMNS_MIN;

    for (unsigned i = 0; i < count; i++)
        for (const struct json_tree *j = json_tree_first(json_tree_get(pages[i], "jobs")); j;
             j = json_tree_next(j)) {
            const char *id = "";

            json_tree_get_str(j, "id", &id);
            if ((int)strlen(id) > width)
                width = (int)strlen(id);
        }
    buf_addf(out, "%-*s  %-13s %5s %13s %9s  %s\n", width, "JOB", "STATE", "RANKS", "LINES",
             "LASTED", "CREATED (UTC)");
    for (unsigned i = 0; i < count; i++)
        for (const struct json_tree *j = json_tree_first(json_tree_get(pages[i], "jobs")); j;
             j = json_tree_next(j))
            add_row(out, t, j, width);
}

static void add_names(struct buf *out, const struct json_tree *page)
{
    for (const struct json_tree *j = json_tree_first(json_tree_get(page, "jobs")); j;
         j = json_tree_next(j)) {
        const char *id = NULL;

        if (json_tree_get_str(j, "id", &id) > 0)
            buf_addf(out, "%s\n", id);
    }
}

static int make_path(struct buf *path, const struct jobs_options *o, const struct http_server *s,
                     int64_t limit, const char *cursor)
{
    char number[24];

    buf_adds(path, "/v1/jobs");
    if (s->project)
        http_arg(path, "project", s->project);
    if (o->state)
        http_arg(path, "state", o->state);
    if (o->active)
        http_arg(path, "active", "true");
    if (cli_label_args(path, &o->labels) < 0)
        return ERR_INVALID;
    snprintf(number, sizeof number, "%lld", (long long)(limit < PAGE_MAX ? limit : PAGE_MAX));
    http_arg(path, "limit", number);
    if (cursor)
        http_arg(path, "cursor", cursor);
    return 0;
}

static unsigned count_jobs(const struct json_tree *page)
{
    unsigned n = 0;

    for (const struct json_tree *j = json_tree_first(json_tree_get(page, "jobs")); j;
         j = json_tree_next(j))
        n++;
    return n;
}

/* All pages of the table form are kept: its first column is as wide as the longest id. */
static int list(const struct jobs_options *o, const struct http_server *s)
{
    struct json_tree **pages = NULL;
    const char *cursor = NULL;
    struct term term;
    struct buf out = BUF_INIT;
    int64_t left = o->count;
    unsigned count = 0;
    int code = CLI_EXIT_OK, err;

    do {
        struct http_reply r = {0};
        struct buf path = BUF_INIT;
        struct json_tree *page = NULL;
        unsigned n = 0;

        if (make_path(&path, o, s, left, cursor) < 0) {
            code = CLI_EXIT_USAGE;
        } else if (err = http_call(s, "GET", buf_cstr(&path), NULL, CLI_CALL_US, &r),
                   err < 0 || r.status != 200) {
            code = cli_complain(s, NULL, err, &r);
        } else if (json_tree_parse_own(r.body.data, r.body.len, &page) < 0) {
            cli_say("%s answered something that is no JSON", s->url);
            code = CLI_EXIT_CANNOT;
        } else {
            if (!strcmp(o->output, "json"))
                buf_add(&out, r.body.data, r.body.len);
            if (!strcmp(o->output, "name"))
                add_names(&out, page);
            n = count_jobs(page);
            cursor = NULL;
            json_tree_get_str(page, "next", &cursor);
            pages = realloc(pages, (count + 1) * sizeof *pages);
            pages[count++] = page;
        }
        left -= n;
        buf_release(&path);
        http_reply_release(&r);
        if (!n)
            cursor = NULL;
    } while (code == CLI_EXIT_OK && cursor && left > 0);
    term_init(&term, STDOUT_FILENO, o->color);
    if (code == CLI_EXIT_OK && !strcmp(o->output, "table"))
        add_table(&out, &term, pages, count);
    if (code == CLI_EXIT_OK && (!strcmp(o->output, "table") ? cli_print_colored(out.data, out.len)
                                                           : cli_print(out.data, out.len)) == ERR_CLOSED)
        cli_die_of_pipe();
    for (unsigned i = 0; i < count; i++)
        json_tree_free(&pages[i]);
    free(pages);
    buf_release(&out);
    return code;
}

static int main_jobs(int argc, char **argv)
{
    struct jobs_options o = {.output = "table", .color = "auto", .count = COUNT_DEFAULT};
    struct http_server s;
    char **operands;
    unsigned count;
    int code;

    if (args_begin(&cli_jobs, argc, argv, &o, &operands, &count, &code))
        return code;
    if (cli_server(&o.common, &s) < 0)
        return CLI_EXIT_USAGE;
    cli_catch_signals();
    return list(&o, &s);
}

const struct args_command cli_jobs = {
    .name = "jobs",
    .usage = "jobs [options]",
    .summary = "List jobs, newest first.",
    .example = "  joblog jobs --active -l team=vision\n  joblog jobs --state FAILED -n 100 -o name",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .main = main_jobs,
};

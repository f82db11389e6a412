/*
 * clients/cli/cmd_logs.c -- joblog logs: what is stored of a job, streamed to stdout.
 */
#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/logs.h"
#include "clients/cli/pager.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SILENCE_US 120000000
#define JOB_CALL_US 10000000
#define COUNT_MAX INT64_C(1000000000)
#define NOTHING_FOUND "{\"logs\":[]"

static const struct args_option options[] = {
    PICK_TEXT('n', "tail", count, "N", "last N or all"),
    PICK_WHICH,
    PICK_TEXT(0, "until", until, "T", "before T"),
    {0, "limit", ARGS_COUNT, offsetof(struct pick, limit), "N", "at most N", NULL, 1, COUNT_MAX},
    {0, "order", ARGS_TEXT, offsetof(struct pick, order), "O", "asc or desc", "asc|desc", 0, 0},
    PICK_FLAG('f', "follow", follow, "then tail"),
    PICK_HOW,
    PICK_FLAG(0, "no-pager", no_pager, "no less -FRX"),
};

/* Lines carry their rank when the job has several; times may count from the job's start. */
static void ask_job(struct logs *l)
{
    struct json_tree *page = NULL;
    struct buf path = BUF_INIT;
    int64_t ranks = 0, count = 0, start_us;
    const char *start = NULL;

    cli_job_path(&path, &l->server, l->job, "");
    if (cli_get_json(&l->server, l->job, buf_cstr(&path), JOB_CALL_US, 1, &page) == CLI_EXIT_OK) {
        json_tree_get_i64(page, "ranks", &ranks);
        for (const struct json_tree *r = json_tree_first(json_tree_get(page, "by_rank")); r;
             r = json_tree_next(r)) {
            int64_t rank = -1;

            json_tree_get_i64(r, "rank", &rank);
            if (rank >= 0 && ++count > 1 && rank + 1 > ranks)
                ranks = rank + 1;
        }
        render_ranks(&l->render, ranks);
        if (json_tree_get_str(page, "started_at", &start) <= 0)
            json_tree_get_str(page, "created_at", &start);
        if (start && clock_parse_rfc3339(start, strlen(start), &start_us) >= 0)
            render_start(&l->render, start_us);
    }
    json_tree_free(&page);
    buf_release(&path);
}

static int on_line(void *user, const char *line, size_t len)
{
    struct logs *l = user;
    struct record_view v;
    int err;

    if (logs_take_gap(l, line, len))
        return 0;
    if ((err = record_parse(line, len, &v)) < 0)
        return err;
    if (pick_is_local(l->pick) && !v.is_state && !logs_matches(l, &v))
        return 0;
    l->found += !v.is_state;
    err = render_record(&l->render, &v, line, len);
    return err < 0 ? err : pick_is_local(l->pick) && l->found == (uint64_t)l->pick->limit;
}

/* Lines as the server gives them, or with -v those of them that do not match. */
static int read_plain(struct logs *l)
{
    const struct pick *p = l->pick;
    int local = pick_is_local(p);
    struct logs_range range = {.tail = p->count,
                               .order = p->order,
                               .limit = (uint64_t)p->limit,
                               .with_match = !local};
    int64_t start;

    if (!local)
        return logs_read(l, &range, on_line);
    range.limit = 0;
    range.tail = NULL;
    if (p->count && strcmp(p->count, "all") != 0) {
        uint64_t n = strtoull(p->count, NULL, 10);

        start = n ? logs_locate(l, n) : 0;
        if (start < 0 || !n)
            return (int)start;
        range.after = start ? (uint64_t)start - 1 : 0;
    }
    return logs_read(l, &range, on_line);
}

/* -o json: the server's own document, as it comes. */
struct document {
    char head[sizeof NOTHING_FOUND];
    size_t len;
    struct buf rest; /* on a terminal: a character that is not whole yet */
    int is_tty;
    int write_err;
};

/* Bytes at the end that begin a character and do not finish it. */
static size_t unfinished(const char *data, size_t len)
{
    size_t n = 0;

    while (n < len && n < 3 && ((unsigned char)data[len - 1 - n] & 0xc0) == 0x80)
        n++;
    if (n == len || (unsigned char)data[len - 1 - n] < 0xc0)
        return 0;
    return n + 1 < (size_t)((unsigned char)data[len - 1 - n] < 0xe0   ? 2
                            : (unsigned char)data[len - 1 - n] < 0xf0 ? 3
                                                                      : 4)
               ? n + 1
               : 0;
}

static int on_data(void *user, const char *data, size_t len)
{
    struct document *d = user;

    for (size_t i = 0; i < len && d->len < sizeof d->head - 1; i++)
        d->head[d->len++] = data[i];
    if (!d->is_tty)
        return d->write_err = cli_write(STDOUT_FILENO, data, len);
    if ((d->write_err = buf_add(&d->rest, data, len)) < 0)
        return d->write_err;
    len = d->rest.len - unfinished(d->rest.data, d->rest.len);
    d->write_err = cli_print(d->rest.data, len);
    buf_consume(&d->rest, len);
    return d->write_err;
}

static int read_document(struct logs *l)
{
    const struct pick *p = l->pick;
    struct document d = {.is_tty = l->render.term.is_tty};
    struct http_stream o = {.accept = "application/json",
                            .compressed = 1,
                            .silence_us = SILENCE_US,
                            .wake_fd = cli_wake_fd(),
                            .on_data = on_data,
                            .user = &d};
    struct http_reply r = {0};
    struct buf path = BUF_INIT;
    char limit[24];
    int err;

    cli_job_path(&path, &l->server, l->job, "/logs");
    pick_args(&path, p, 1);
    http_arg(&path, "format", "json");
    if (p->match)
        http_arg(&path, "states", "0");
    if (p->count)
        http_arg(&path, "tail", p->count);
    if (p->order)
        http_arg(&path, "order", p->order);
    snprintf(limit, sizeof limit, "%lld", (long long)p->limit);
    if (p->limit)
        http_arg(&path, "limit", limit);
    err = http_stream(&l->server, buf_cstr(&path), &o, &r);
    if (d.write_err == ERR_CLOSED)
        cli_die_of_pipe();
    if (cli_interrupted() || err == ERR_CANCELLED) {
        l->code = CLI_EXIT_INTERRUPTED;
    } else if (r.status != 200) {
        l->code = cli_complain(&l->server, l->job, err, &r);
    } else if (err < 0) {
        cli_say("the answer of %s broke off: %s", l->server.url, r.error);
        l->code = CLI_EXIT_CANNOT;
    }
    l->found = strcmp(d.head, NOTHING_FOUND) != 0;
    buf_release(&d.rest);
    buf_release(&path);
    http_reply_release(&r);
    return l->code ? ERR_UNAVAILABLE : 0;
}

static int show(struct logs *l)
{
    const struct render_options o = pick_render(l->pick, l->job);
    int err;

    pager_start(!l->pick->no_pager);
    render_init(&l->render, &o);
    if (o.form != RENDER_JSON)
        ask_job(l);
    if (!strcmp(l->pick->output, "json"))
        err = read_document(l);
    else
        err = l->pick->has_context ? logs_around(l) : read_plain(l);
    if (render_finish(&l->render) == ERR_CLOSED)
        cli_die_of_pipe();
    if (!l->code && err < 0)
        l->code = CLI_EXIT_CANNOT;
    if (!l->code && l->lost)
        l->code = CLI_EXIT_CANNOT;
    if (!l->code && l->pick->match && !l->found)
        l->code = CLI_EXIT_FAILED; /* as grep */
    pager_finish();
    render_release(&l->render);
    buf_release(&l->scratch);
    return l->code;
}

static int check(const struct pick *p)
{
    int is_document = !strcmp(p->output, "json");

    if (p->follow && (p->until || p->order || p->limit)) {
        cli_say("-f goes with neither --until, --order nor --limit");
        return ERR_INVALID;
    }
    if (!p->follow && is_document && (p->has_context || p->invert)) {
        cli_say("-A, -B, -C and -v go with -o ndjson, not with -o json");
        return ERR_INVALID;
    }
    if (p->order && p->has_context) {
        cli_say("-A, -B and -C do not go with --order");
        return ERR_INVALID;
    }
    if (p->order && p->invert && p->count) {
        cli_say("-v with --order does not go with -n: use --limit");
        return ERR_INVALID;
    }
    return 0;
}

static int main_logs(int argc, char **argv)
{
    struct pick p;
    struct logs l = {.pick = &p};
    char **operands;
    unsigned count;
    int code = CLI_EXIT_USAGE;

    pick_init(&p);
    if (args_begin(&cli_logs, argc, argv, &p, &operands, &count, &code))
        return code;
    code = CLI_EXIT_USAGE;
    l.job = operands[0];
    if (pick_check(&p) < 0 || check(&p) < 0)
        goto out;
    if (p.follow) {
        if (!p.count)
            p.count = "all";
        code = tail_follow(&p, l.job);
        goto out;
    }
    if (cli_check_job(l.job) < 0 || cli_server(&p.common, &l.server) < 0)
        goto out;
    cli_catch_signals();
    code = show(&l);
out:
    pick_release(&p);
    return code;
}

const struct args_command cli_logs = {
    .name = "logs",
    .usage = "logs JOB [options]",
    .summary = "Print what is stored of a job, live or ended. Exit code 1: nothing was found.",
    .example = "  joblog logs demo -e 'loss=[0-9.]+' --since 1h -o ndjson | jq .msg",
    .notes = PICK_NOTES,
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
    .main = main_logs,
};

/*
 * clients/cli/cmd_logs.c -- joblog logs: what is stored of a job, streamed to stdout.
 */
#include "base/err.h"
#include "clients/cli/cli.h"
#include "clients/cli/pick.h"

#include <string.h>
#include <unistd.h>

#define SILENCE_US 120000000 /* a rare word in a large archive takes a while */
#define JOB_CALL_US 10000000
#define GAP_HEAD "{\"gap\":{"
#define COUNT_MAX INT64_C(1000000000)

static const struct args_option options[] = {
    {'n', "tail", ARGS_TEXT, offsetof(struct pick, count), "N", "the last N lines (default all)",
     NULL, 0, 0},
    PICK_OPTIONS,
    {0, "until", ARGS_TEXT, offsetof(struct pick, until), "T", "before T", NULL, 0, 0},
    {0, "order", ARGS_TEXT, offsetof(struct pick, order), "O", "asc or desc (newest first)",
     "asc|desc", 0, 0},
    {0, "limit", ARGS_COUNT, offsetof(struct pick, limit), "N", "at most N records", NULL, 1,
     COUNT_MAX},
    {'f', "follow", ARGS_FLAG, offsetof(struct pick, follow), NULL, "and go on as tail does", NULL,
     0, 0},
};

struct logs {
    struct render render;
    struct buf rest; /* a line that is not whole yet */
    int raw;         /* bytes go out as they come */
    int lost;        /* the server told of lost records */
    int write_err;
};

static int take_line(struct logs *l, const char *line, size_t len)
{
    if (len > strlen(GAP_HEAD) && !memcmp(line, GAP_HEAD, strlen(GAP_HEAD))) {
        l->lost = 1;
        if (l->render.json) {
            buf_add(&l->render.out, line, len);
            buf_addc(&l->render.out, '\n');
        }
        cli_say("some records are lost: %.*s", (int)(len < 200 ? len : 200), line);
        return 0;
    }
    return len ? render_line(&l->render, line, len) : 0;
}

static int on_data(void *user, const char *data, size_t len)
{
    struct logs *l = user;
    int err = 0;

    if (l->raw)
        return l->write_err = cli_write(STDOUT_FILENO, data, len);
    while (len && err >= 0) {
        const char *nl = memchr(data, '\n', len);
        size_t n = nl ? (size_t)(nl - data) : len;

        if (!nl || l->rest.len)
            err = buf_add(&l->rest, data, n);
        if (nl && err >= 0) {
            err = l->rest.len ? take_line(l, l->rest.data, l->rest.len) : take_line(l, data, n);
            buf_clear(&l->rest);
            n++;
        }
        data += n;
        len -= n;
    }
    if (err >= 0)
        err = render_flush(&l->render);
    if (err < 0)
        l->write_err = err;
    return err;
}

/* Lines carry their rank when the job has several. */
static void ask_ranks(struct logs *l, const struct http_server *s, const char *job)
{
    struct json_tree *page = NULL;
    struct buf path = BUF_INIT;
    int64_t ranks = 0, count = 0;

    cli_job_path(&path, s, job, "");
    if (cli_get_json(s, job, buf_cstr(&path), JOB_CALL_US, 1, &page) == CLI_EXIT_OK) {
        json_tree_get_i64(page, "ranks", &ranks);
        for (const struct json_tree *r = json_tree_first(json_tree_get(page, "by_rank")); r;
             r = json_tree_next(r)) {
            int64_t rank = -1;

            json_tree_get_i64(r, "rank", &rank);
            if (rank >= 0 && ++count > 1 && rank + 1 > ranks)
                ranks = rank + 1;
        }
        render_ranks(&l->render, ranks);
    }
    json_tree_free(&page);
    buf_release(&path);
}

static int show(const struct pick *p, const struct http_server *s, const char *job)
{
    struct logs l = {.raw = !strcmp(p->output, "json")};
    struct http_stream o = {.accept = "*/*",
                            .compressed = 1,
                            .silence_us = SILENCE_US,
                            .wake_fd = cli_wake_fd(),
                            .on_data = on_data,
                            .user = &l};
    struct http_reply r = {0};
    struct buf path = BUF_INIT;
    char limit[24];
    int err, code = CLI_EXIT_OK;

    render_init(&l.render, p->color, strcmp(p->output, "text") != 0, p->timestamps, p->no_prefix);
    if (!l.render.json && !p->no_prefix)
        ask_ranks(&l, s, job);
    cli_job_path(&path, s, job, "/logs");
    pick_args(&path, p);
    http_arg(&path, "format", l.raw ? "json" : "ndjson");
    if (!l.render.json)
        http_arg(&path, "states", "0");
    if (p->count)
        http_arg(&path, "tail", p->count);
    if (p->order)
        http_arg(&path, "order", p->order);
    snprintf(limit, sizeof limit, "%lld", (long long)p->limit);
    if (p->limit)
        http_arg(&path, "limit", limit);
    err = http_stream(s, buf_cstr(&path), &o, &r);
    if (l.write_err == ERR_CLOSED)
        cli_die_of_pipe();
    if (cli_interrupted() || err == ERR_CANCELLED) {
        code = CLI_EXIT_INTERRUPTED;
    } else if (r.status != 200) {
        code = cli_complain(s, job, err, &r);
    } else if (err < 0) {
        cli_say("the answer of %s broke off: %s", s->url, r.error);
        code = CLI_EXIT_CANNOT;
    } else if (l.render.part_open) {
        cli_write(STDOUT_FILENO, "\n", 1);
    }
    if (code == CLI_EXIT_OK && l.lost)
        code = CLI_EXIT_CANNOT;
    render_release(&l.render);
    buf_release(&l.rest);
    buf_release(&path);
    http_reply_release(&r);
    return code;
}

static int main_logs(int argc, char **argv)
{
    struct http_server s;
    struct pick p;
    char **operands;
    unsigned count;
    int code;

    pick_init(&p);
    if (args_begin(&cli_logs, argc, argv, &p, &operands, &count, &code))
        return code;
    if (p.follow) {
        if (p.until || p.order || p.limit) {
            cli_say("-f goes with neither --until, --order nor --limit");
            return CLI_EXIT_USAGE;
        }
        if (!p.count)
            p.count = "all";
        return tail_follow(&p, operands[0]);
    }
    if (pick_check(&p) < 0 || cli_check_job(operands[0]) < 0 || cli_server(&p.common, &s) < 0)
        return CLI_EXIT_USAGE;
    cli_catch_signals();
    return show(&p, &s, operands[0]);
}

const struct args_command cli_logs = {
    .name = "logs",
    .usage = "logs JOB [options]",
    .summary = "Print what is stored of a job, live or ended.",
    .example = "  joblog logs demo --grep 'loss=[0-9.]+' --since 1h -o ndjson | jq .msg",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
    .main = main_logs,
};

/*
 * clients/cli/logs.c -- requests for ranges of a log, and what is decided about their lines here.
 */
#include "clients/cli/logs.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

#define GAP_HEAD "{\"gap\":{"

int logs_take_gap(struct logs *l, const char *line, size_t len)
{
    if (len <= strlen(GAP_HEAD) || memcmp(line, GAP_HEAD, strlen(GAP_HEAD)) != 0)
        return 0;
    l->lost = 1;
    if (l->render.o.form == RENDER_JSON)
        render_json(&l->render, line, len);
    cli_say("some records are lost: %.*s", (int)(len < 200 ? len : 200), line);
    return 1;
}

int logs_matches(struct logs *l, const struct record_view *v)
{
    buf_clear(&l->scratch);
    if (record_msg(v, &l->scratch) < 0)
        return 0;
    return match_is(l->pick->match, l->scratch.data ? l->scratch.data : "", l->scratch.len);
}

static int on_piece(void *user)
{
    struct logs *l = user;

    return l->write_err = render_flush(&l->render);
}

static void add_number(struct buf *path, const char *name, uint64_t v)
{
    char text[24];

    if (!v)
        return;
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    http_arg(path, name, text);
}

int logs_read(struct logs *l, const struct logs_range *range,
              int (*on_line)(void *user, const char *line, size_t len))
{
    const struct ndjson n = {.on_line = on_line, .on_piece = on_piece, .user = l};
    struct http_reply r = {0};
    struct buf path = BUF_INIT;
    int err;

    cli_job_path(&path, &l->server, l->job, "/logs");
    pick_args(&path, l->pick, range->with_match);
    http_arg(&path, "format", "ndjson");
    if (l->render.o.form != RENDER_JSON || l->pick->match)
        http_arg(&path, "states", "0");
    if (range->tail)
        http_arg(&path, "tail", range->tail);
    if (range->order)
        http_arg(&path, "order", range->order);
    add_number(&path, "after", range->after);
    add_number(&path, "before", range->before);
    add_number(&path, "limit", range->limit);
    err = ndjson_read(&l->server, buf_cstr(&path), &n, &r);
    if (l->write_err == ERR_CLOSED)
        cli_die_of_pipe();
    if (cli_interrupted() || err == ERR_CANCELLED) {
        l->code = CLI_EXIT_INTERRUPTED;
    } else if (err <= 0 && r.status != 200) {
        l->code = l->quiet ? CLI_EXIT_CANNOT : cli_complain(&l->server, l->job, err, &r);
    } else if (err < 0) {
        if (!l->quiet)
            cli_say("the answer of %s broke off: %s", l->server.url,
                    r.error[0] ? r.error : err_text(err));
        l->code = CLI_EXIT_CANNOT;
    }
    buf_release(&path);
    http_reply_release(&r);
    if (l->code)
        return err < 0 ? err : ERR_UNAVAILABLE;
    return err;
}

struct locate {
    uint64_t wanted, seen, seq;
};

static int on_located(void *user, const char *line, size_t len)
{
    struct logs *l = user;
    struct locate *at = l->locating;
    struct record_view v;

    if ((!l->quiet && logs_take_gap(l, line, len)) || record_parse(line, len, &v) < 0 || v.is_state)
        return 0;
    if (pick_is_local(l->pick) && !logs_matches(l, &v))
        return 0;
    at->seq = v.seq;
    return ++at->seen == at->wanted;
}

/* The server finds it by itself, unless the pattern is applied here: then its lines come newest first until they are
 * enough. */
int64_t logs_locate(struct logs *l, uint64_t n)
{
    struct locate at = {.wanted = n};
    char tail[24];
    struct logs_range range = {.with_match = 1};
    int err;

    snprintf(tail, sizeof tail, "%llu", (unsigned long long)n);
    if (pick_is_local(l->pick)) {
        range.order = "desc";
        range.with_match = 0;
    } else {
        range.tail = tail;
        range.limit = 1;
        at.wanted = 1;
    }
    l->locating = &at;
    err = logs_read(l, &range, on_located);
    if (err < 0)
        return err;
    return at.seen == at.wanted ? (int64_t)at.seq : 0;
}

static int on_before(void *user, const char *line, size_t len)
{
    struct logs *l = user;
    struct locate *at = l->locating;
    struct record_view v;

    if (!logs_take_gap(l, line, len) && record_parse(line, len, &v) >= 0)
        at->seq = v.seq;
    return at->seq != 0;
}

int logs_before(struct logs *l, uint64_t seq, uint64_t n, uint64_t *ret_after)
{
    struct locate at = {.seq = 0};
    char tail[24];
    struct logs_range range = {.before = seq, .tail = tail, .limit = 1};
    int err;

    *ret_after = seq - 1;
    if (!n)
        return 0;
    snprintf(tail, sizeof tail, "%llu", (unsigned long long)n);
    l->locating = &at;
    err = logs_read(l, &range, on_before);
    if (err >= 0 && at.seq)
        *ret_after = at.seq - 1;
    return err < 0 ? err : 0;
}

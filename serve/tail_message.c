/*
 * serve/tail_message.c -- the messages of a tail, as JSON for WebSocket and SSE, as bytes for text
 * and NDJSON.
 *
 * A text tail shows lines only (and lost ranges and resets, marked); an NDJSON tail shows canonical
 * records, {"gap":…}, {"reset":…} and last {"end":…}.
 */
#include "base/clock.h"
#include "digest/plain.h"
#include "digest/progress.h"
#include "serve/history_int.h"
#include "serve/job_json.h"
#include "serve/tail_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct buf *fresh_message(struct tail *t)
{
    struct buf *out = &t->ctx->tails->message;

    buf_clear(out);
    return out;
}

static void open_message(struct json *j, struct buf *out, const char *type)
{
    json_init(j, out);
    json_obj(j);
    json_kstr(j, "type", type);
}

static void add_cursor(struct json *j, const struct tail *t)
{
    struct cursor c = {t->epoch, t->cursor};
    char text[CURSOR_TEXT_BYTES];

    json_kstr(j, "cursor", cursor_format(&c, text));
}

static void sent(struct tail *t)
{
    t->sent_us = clock_mono_us();
    t->ctx->tails->stats.messages++;
}

static void emit(struct tail *t, const char *type, const struct buf *out)
{
    t->sink->emit(t, type, out->data, out->len);
    sent(t);
}

static void raw(struct tail *t, const char *data, size_t len)
{
    t->sink->raw(t, data, len);
    sent(t);
}

static int is_ndjson(const struct tail *t)
{
    return !t->sink->json && t->query.format == QUERY_NDJSON;
}

void tail__say_hello(struct tail *t)
{
    struct buf *out = fresh_message(t);
    struct json j;

    if (t->sink->json) {
        open_message(&j, out, "hello");
        json_key(&j, "job");
        if (t->hello)
            json_raw(&j, t->hello, strlen(t->hello));
        else
            json_null(&j);
        add_cursor(&j, t);
        json_end(&j);
        emit(t, "hello", out);
    }
    free(t->hello);
    t->hello = NULL;
}

static int lines_head(struct buf *out, uint64_t epoch, uint64_t seq)
{
    struct cursor c = {epoch, seq};
    char text[CURSOR_TEXT_BYTES];

    return buf_addf(out, "{\"type\":\"lines\",\"cursor\":\"%s\",\"lines\":[",
                    cursor_format(&c, text));
}

void tail__say_lines(struct tail *t, const char *records, size_t len)
{
    struct buf *out;

    if (!t->sink->json) {
        raw(t, records, len);
        return;
    }
    out = fresh_message(t);
    if (lines_head(out, t->epoch, t->cursor) < 0 || buf_add(out, records, len) < 0 ||
        buf_adds(out, "]}") < 0)
        return;
    emit(t, "lines", out);
}

int tail__lines_of_run(struct buf *out, uint64_t epoch, const struct run *run)
{
    const struct shape shape = {.kind = SHAPE_ARRAY};
    struct buf records;
    int err = lines_head(out, epoch, run->last_seq);

    buf_init(&records, 0);
    for (unsigned i = 0; err >= 0 && i < run->count; i++) {
        const struct frame *f = run->frames[i];
        struct shape_slice slice;
        struct shape_walk at;
        int more = 1;

        shape_start(&at, f, f->first_seq, frame_last_seq(f), 0);
        while (err >= 0 && more > 0)
            more = err = shape_step(&shape, f, &at, 0, SIZE_MAX, &records, &slice);
    }
    if (err >= 0)
        err = buf_add(out, records.data, records.len);
    if (err >= 0)
        err = buf_adds(out, "]}");
    buf_release(&records);
    return err < 0 ? err : 0;
}

/* The canonical line of the change, with type and cursor before its own members. */
void tail__say_state(struct tail *t, const char *line, size_t len)
{
    struct cursor c = {t->epoch, t->cursor};
    char text[CURSOR_TEXT_BYTES];
    struct buf *out = fresh_message(t);

    if (buf_addf(out, "{\"type\":\"state\",\"cursor\":\"%s\",", cursor_format(&c, text)) < 0)
        return;
    if (buf_add(out, line + 1, len - 1) < 0)
        return;
    emit(t, "state", out);
}

/* What a progress bar says, of several the first, as members: percent, done, total, rate, unit, eta_s. */
static void add_bar(struct tail *t, struct buf *out, const char *text, size_t len)
{
    struct buf *scratch = &t->ctx->tails->plain;
    struct progress p;
    const char *end = memchr(text, '\n', len);

    if (end)
        len = (size_t)(end - text);
    if (plain_from_text(scratch, text, len, &text, &len) >= 0 && progress_read(text, len, &p))
        progress_write(out, &p);
}

void tail__say_progress(struct tail *t, int32_t rank, const char *text, size_t len)
{
    struct buf *out = fresh_message(t);
    struct json j;

    if (!t->sink->json)
        return;
    open_message(&j, out, "progress");
    json_key(&j, "rank");
    if (rank == RECORD_RANK_NONE)
        json_null(&j);
    else
        json_i64(&j, rank);
    json_kstrn(&j, "msg", text, len);
    add_bar(t, out, text, len);
    json_end(&j);
    emit(t, "progress", out);
}

void tail__say_gap(struct tail *t, uint64_t from, uint64_t to, int err)
{
    struct buf *out = fresh_message(t);
    struct json j;

    t->ctx->tails->stats.gaps++;
    if (!t->sink->json && !is_ndjson(t)) {
        buf_addf(out, "[joblog: records %" PRIu64 "-%" PRIu64 " are lost: %s]\n", from, to,
                 history_reason(err));
        raw(t, out->data, out->len);
        return;
    }
    json_init(&j, out);
    json_obj(&j);
    if (t->sink->json) {
        json_kstr(&j, "type", "gap");
        add_cursor(&j, t);
    } else {
        json_key(&j, "gap");
        json_obj(&j);
    }
    json_ku64(&j, "from", from);
    json_ku64(&j, "to", to);
    json_kstr(&j, "reason", history_reason(err));
    json_end(&j);
    if (t->sink->json) {
        emit(t, "gap", out);
        return;
    }
    json_end(&j);
    buf_addc(out, '\n');
    raw(t, out->data, out->len);
}

void tail__say_reset(struct tail *t, int deleted)
{
    struct buf *out = fresh_message(t);
    struct json j;

    t->ctx->tails->stats.resets++;
    if (!t->sink->json && !is_ndjson(t)) {
        buf_adds(out, deleted ? "[joblog: the job was deleted]\n"
                              : "[joblog: stored history was lost or replaced; from the start:]\n");
        raw(t, out->data, out->len);
        return;
    }
    json_init(&j, out);
    json_obj(&j);
    if (t->sink->json) {
        json_kstr(&j, "type", "reset");
    } else {
        json_key(&j, "reset");
        json_obj(&j);
    }
    json_ku64(&j, "epoch", t->epoch);
    json_kbool(&j, "deleted", deleted);
    json_end(&j);
    if (t->sink->json) {
        emit(t, "reset", out);
        return;
    }
    json_end(&j);
    buf_addc(out, '\n');
    raw(t, out->data, out->len);
}

void tail__say_end(struct tail *t, const struct job_info *info)
{
    struct buf *out = fresh_message(t);
    struct json j;

    t->ctx->tails->stats.ends++;
    if (t->sink->json) {
        open_message(&j, out, "end");
        job_json_end_members(&j, info);
        json_end(&j);
        emit(t, "end", out);
    } else if (is_ndjson(t)) {
        json_init(&j, out);
        json_obj(&j);
        json_key(&j, "end");
        json_obj(&j);
        job_json_end_members(&j, info);
        json_end(&j);
        json_end(&j);
        buf_addc(out, '\n');
        raw(t, out->data, out->len);
    }
}

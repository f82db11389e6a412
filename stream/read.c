/*
 * stream/read.c -- frames out of Redis, forwards and backwards.
 *
 * Marks and entries are read in one MULTI: a trim or an append between them would show as a hole.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/pack.h"
#include "stream/stream_int.h"

#include <stdlib.h>
#include <string.h>

#define READ_ENTRIES_MAX 64
#define READ_TEXT_BYTES_AIM (4 * 1024 * 1024)

struct read {
    struct stream *st;
    uint64_t after, before; /* forwards: last_seq > after; backwards: first_seq < before */
    int backwards;
    uint32_t frames_max;
    struct frame **frames;
    uint32_t count;
    size_t text_bytes;
    stream_read_fn *done;
    void *user;
};

/* One entry [id, [h, …, d, …]] into a frame. */
static int entry_frame(const struct reply *entry, struct frame **ret_frame)
{
    const struct reply *fields = reply_at(entry, 1), *h = reply_field(fields, "h"), *d = reply_field(fields, "d");
    uint64_t last = reply_u64(reply_at(entry, 0));
    struct frame_summary sum;
    struct buf text = BUF_INIT;
    size_t raw_bytes;
    int64_t recv_us;
    int packed, err;

    err = frame_header_parse(h->str, h->len, &sum, &recv_us, &raw_bytes, &packed);
    if (err < 0)
        return err;
    if (sum.count == 0 || sum.count > last || d->kind != REPLY_STR)
        return ERR_CORRUPT;
    if (!packed)
        return frame_number(last - sum.count + 1, recv_us, &sum, d->str, d->len, ret_frame);
    if (raw_bytes > FRAME_TEXT_BYTES_HARD_MAX)
        return ERR_CORRUPT;
    err = buf_reserve(&text, raw_bytes);
    if (err == 0)
        err = unpack_zstd(&text, d->str, d->len, FRAME_TEXT_BYTES_HARD_MAX);
    if (err == 0)
        err = frame_number(last - sum.count + 1, recv_us, &sum, text.data, text.len, ret_frame);
    buf_release(&text);
    return err;
}

/* 1: taken, 0: enough or not wanted, or ERR_*. */
static int take_entry(struct read *rd, const struct reply *entry)
{
    struct frame *f = NULL;
    int err;

    if (rd->count >= rd->frames_max || (rd->count && rd->text_bytes >= READ_TEXT_BYTES_AIM))
        return 0;
    err = entry_frame(entry, &f);
    if (err < 0) {
        log_error("stream", "an entry cannot be read", "id=%s err=%s", reply_at(entry, 0)->str, err_name(err));
        return err;
    }
    if (rd->backwards && rd->before && f->first_seq >= rd->before) {
        frame_unref(&f);
        return 0;
    }
    rd->text_bytes += f->text_bytes;
    rd->frames[rd->count++] = f;
    return 1;
}

static int take_entries(struct read *rd, const struct reply *entries)
{
    int got = 1;

    for (uint32_t i = 0; i < entries->count && got > 0; i++)
        got = take_entry(rd, reply_at(entries, i));
    return got < 0 ? got : 0;
}

static void on_read(void *user, int err, const struct reply *reply)
{
    struct read *rd = user;
    struct stream *st = rd->st;
    const struct reply *exec, *marks;
    uint64_t tail = 0, trimmed = 0, epoch = 0;
    uint32_t at = 0;

    if (err == 0) {
        exec = reply_at(reply, reply->count - 1);
        marks = reply_at(exec, 0);
        if (exec->count == 0 || reply_at(marks, 0)->kind != REPLY_STR) {
            err = ERR_NOT_FOUND;
        } else {
            epoch = reply_u64(reply_at(marks, 0));
            tail = reply_u64(reply_at(marks, 1));
            trimmed = reply_u64(reply_at(marks, 2));
        }
        /* Backwards: the entry that before lies in (or follows) comes first. */
        for (at = 1; err == 0 && at < exec->count; at++)
            err = take_entries(rd, reply_at(exec, at));
    }
    rd->done(rd->user, err, err < 0 ? NULL : rd->frames, err < 0 ? 0 : rd->count, trimmed + 1, tail, epoch);
    for (uint32_t i = 0; i < rd->count; i++)
        frame_unref(&rd->frames[i]);
    free(rd->frames);
    free(rd);
    stream__call_end(st);
}

static void add_range(struct conn_request *r, const char *verb, const char *log, const char *from, const char *to,
                      uint32_t count)
{
    conn_request_begin(r, 6);
    conn_request_str(r, verb);
    conn_request_str(r, log);
    conn_request_str(r, from);
    conn_request_str(r, to);
    conn_request_str(r, "COUNT");
    conn_request_u64(r, count);
}

static const char *entry_id(char out[32], const char *prefix, uint64_t seq)
{
    struct buf b = BUF_INIT;

    buf_adds(&b, prefix);
    buf_addu64(&b, seq);
    buf_adds(&b, "-0");
    memcpy(out, buf_cstr(&b), b.len + 1);
    buf_release(&b);
    return out;
}

static void send_read(struct stream *st, const struct job_key *key, struct read *rd)
{
    struct conn_request *r = conn_request_new(0);
    char meta[STREAM_KEY_BYTES], log[STREAM_KEY_BYTES], id[32];

    stream__key(meta, key, "meta");
    stream__key(log, key, "log");
    conn_request_begin(r, 1);
    conn_request_str(r, "MULTI");
    conn_request_begin(r, 5);
    conn_request_str(r, "HMGET");
    conn_request_str(r, meta);
    conn_request_str(r, "epoch");
    conn_request_str(r, "seq");
    conn_request_str(r, "trimmed_upto");
    if (!rd->backwards) {
        add_range(r, "XRANGE", log, entry_id(id, "(", rd->after), "+", rd->frames_max);
    } else if (rd->before == 0) {
        add_range(r, "XREVRANGE", log, "+", "-", rd->frames_max);
    } else {
        add_range(r, "XRANGE", log, entry_id(id, "", rd->before), "+", 1);
        add_range(r, "XREVRANGE", log, entry_id(id, "(", rd->before), "-", rd->frames_max);
    }
    conn_request_begin(r, 1);
    conn_request_str(r, "EXEC");
    stream__call_begin(st);
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_read, rd);
}

static struct read *new_read(struct stream *st, uint32_t frames_max, stream_read_fn *done, void *user)
{
    struct read *rd = must_calloc(1, sizeof *rd);

    rd->st = st;
    rd->frames_max = frames_max < 1 ? 1 : frames_max > READ_ENTRIES_MAX ? READ_ENTRIES_MAX : frames_max;
    rd->frames = must_calloc(rd->frames_max, sizeof(*rd->frames));
    rd->done = done;
    rd->user = user;
    return rd;
}

void stream_read(struct stream *st, const struct job_key *key, uint64_t after, uint32_t frames_max, stream_read_fn *done,
                 void *user)
{
    struct read *rd = new_read(st, frames_max, done, user);

    rd->after = after;
    send_read(st, key, rd);
}

void stream_read_back(struct stream *st, const struct job_key *key, uint64_t before, uint32_t frames_max,
                      stream_read_fn *done, void *user)
{
    struct read *rd = new_read(st, frames_max, done, user);

    rd->before = before;
    rd->backwards = 1;
    send_read(st, key, rd);
}

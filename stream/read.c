/*
 * stream/read.c -- frames out of Redis, forwards and backwards.
 *
 * Marks and entries are read in one MULTI: a trim or an append between them would show as a hole. An entry whose
 * bytes are damaged becomes a lost frame: where it lies is known from the ids around it.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/pack.h"
#include "stream/recover.h"
#include "stream/stream_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_ENTRIES_MAX 64
#define READ_TEXT_BYTES_AIM (4 * 1024 * 1024)

struct read {
    struct stream *st;
    struct job_key key;
    uint64_t after, before; /* forwards: last_seq > after; backwards: first_seq < before */
    int backwards;
    int asked_past;
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

/* ---- entries that cannot be read ---- */

/* Logged and counted once an entry, however many followers and polls meet it. */
static void note_unreadable(struct read *rd, const struct reply *entry, int err)
{
    struct stream *st = rd->st;
    char text[JOB_KEY_TEXT_BYTES + 32], key[JOB_KEY_TEXT_BYTES];
    int len = snprintf(text, sizeof text, "%s %s", job_key_text(&rd->key, key), reply_at(entry, 0)->str);

    if (len >= (int)sizeof text || map_get(st->unreadable, text, (size_t)len))
        return;
    if (map_count(st->unreadable) >= STREAM_UNREADABLE_MAX) {
        map_free(&st->unreadable);
        st->unreadable = map_new();
    }
    map_put(st->unreadable, text, (size_t)len, st);
    st->stats.unreadable++;
    log_error("stream", "an entry in redis cannot be read: its records are passed over as a gap", "job=%s id=%s err=%s", key,
              reply_at(entry, 0)->str, err_name(err));
}

/* Errors of the stored bytes, not of this process. */
static int is_damage(int err)
{
    return err == ERR_CORRUPT || err == ERR_INVALID || err == ERR_TOO_BIG;
}

/* The frame of entry, whose records follow those up to before; 0 when that is not known. A damaged one, and one
 * that reaches into what came before, is a lost frame; NULL when nobody knows where that would start. */
static int read_entry(struct read *rd, const struct reply *entry, uint64_t before, int is_first, struct frame **ret_frame)
{
    uint64_t last = reply_u64(reply_at(entry, 0));
    int err = entry_frame(entry, ret_frame);

    if (err == 0 && !is_first && (*ret_frame)->first_seq <= before) {
        frame_unref(ret_frame);
        err = ERR_CORRUPT;
    }
    if (err == 0 || !is_damage(err))
        return err;
    note_unreadable(rd, entry, err);
    if (before < last && (before || !rd->backwards))
        *ret_frame = frame_lost(before + 1, last);
    return 0;
}

/* ---- taking ---- */

static int is_full(const struct read *rd)
{
    return rd->count >= rd->frames_max || (rd->count && rd->text_bytes >= READ_TEXT_BYTES_AIM);
}

/* Entries in the order of the read. Backwards there is one more than wanted, to tell where the last one starts. */
static int take_entries(struct read *rd, const struct reply *const *entries, uint32_t count, uint64_t trimmed)
{
    uint64_t before = rd->after;

    for (uint32_t i = 0; i < count && !is_full(rd); i++) {
        struct frame *f = NULL;
        int err;

        if (rd->backwards)
            before = i + 1 < count ? reply_u64(reply_at(entries[i + 1], 0)) : trimmed;
        err = read_entry(rd, entries[i], before, rd->backwards ? i + 1 == count : i == 0, &f);
        if (err < 0)
            return err;
        if (!f)
            continue;
        before = frame_last_seq(f);
        if (rd->backwards && rd->before && f->first_seq >= rd->before) {
            frame_unref(&f);
            continue;
        }
        rd->text_bytes += f->text_bytes;
        rd->frames[rd->count++] = f;
    }
    return 0;
}

/* Backwards: the entry that `before` lies in (or follows) comes first. */
static int take_answer(struct read *rd, const struct reply *exec, uint64_t trimmed)
{
    const struct reply *entries[READ_ENTRIES_MAX + 2];
    uint32_t count = 0;

    for (uint32_t at = 1; at < exec->count; at++) {
        const struct reply *list = reply_at(exec, at);

        for (uint32_t i = 0; i < list->count && count < READ_ENTRIES_MAX + 2; i++)
            entries[count++] = reply_at(list, i);
    }
    return take_entries(rd, entries, count, trimmed);
}

static void send_read(struct stream *st, struct read *rd);

static void end_read(struct read *rd, int err, uint64_t trimmed, uint64_t tail, uint64_t epoch)
{
    struct stream *st = rd->st;

    rd->done(rd->user, err, err < 0 ? NULL : rd->frames, err < 0 ? 0 : rd->count, trimmed + 1, tail, epoch);
    for (uint32_t i = 0; i < rd->count; i++)
        frame_unref(&rd->frames[i]);
    free(rd->frames);
    free(rd);
    stream__call_end(st);
}

static void on_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    struct read *rd = user;

    if (err < 0)
        end_read(rd, err, 0, 0, 0);
    else
        send_read(rd->st, rd);
}

static void on_read(void *user, int err, const struct reply *reply)
{
    struct read *rd = user;
    const struct reply *exec, *marks;
    uint64_t tail = 0, trimmed = 0, epoch = 0;

    if (err == 0) {
        exec = reply_at(reply, reply->count - 1);
        marks = reply_at(exec, 0);
        if (exec->count == 0 || reply_at(marks, 0)->kind != REPLY_STR) {
            err = ERR_NOT_FOUND;
        } else {
            epoch = reply_u64(reply_at(marks, 0));
            tail = reply_u64(reply_at(marks, 1));
            trimmed = reply_u64(reply_at(marks, 2));
            err = take_answer(rd, exec, trimmed);
        }
    }
    if (err == ERR_NOT_FOUND && !rd->asked_past && !stream_is_whole(rd->st)) {
        rd->asked_past = 1;
        recover__start(rd->st, &rd->key, 0, on_recovered, rd);
        return;
    }
    end_read(rd, err, trimmed, tail, epoch);
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
    snprintf(out, 32, "%s%" PRIu64 "-0", prefix, seq);
    return out;
}

static void send_read(struct stream *st, struct read *rd)
{
    struct conn_request *r = conn_request_new(0);
    char meta[STREAM_KEY_BYTES], log[STREAM_KEY_BYTES], id[32];

    stream__key(meta, &rd->key, "meta");
    stream__key(log, &rd->key, "log");
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
        add_range(r, "XREVRANGE", log, "+", "-", rd->frames_max + 1);
    } else {
        add_range(r, "XRANGE", log, entry_id(id, "", rd->before), "+", 1);
        add_range(r, "XREVRANGE", log, entry_id(id, "(", rd->before), "-", rd->frames_max + 1);
    }
    conn_request_begin(r, 1);
    conn_request_str(r, "EXEC");
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_read, rd);
}

static struct read *new_read(struct stream *st, const struct job_key *key, uint32_t frames_max, stream_read_fn *done,
                             void *user)
{
    struct read *rd = must_calloc(1, sizeof *rd);

    rd->st = st;
    rd->key = *key;
    rd->frames_max = frames_max < 1 ? 1 : frames_max > READ_ENTRIES_MAX ? READ_ENTRIES_MAX : frames_max;
    rd->frames = must_calloc(rd->frames_max, sizeof(*rd->frames));
    rd->done = done;
    rd->user = user;
    return rd;
}

void stream_read(struct stream *st, const struct job_key *key, uint64_t after, uint32_t frames_max, stream_read_fn *done,
                 void *user)
{
    struct read *rd = new_read(st, key, frames_max, done, user);

    rd->after = after;
    stream__call_begin(st);
    send_read(st, rd);
}

void stream_read_back(struct stream *st, const struct job_key *key, uint64_t before, uint32_t frames_max,
                      stream_read_fn *done, void *user)
{
    struct read *rd = new_read(st, key, frames_max, done, user);

    rd->before = before;
    rd->backwards = 1;
    stream__call_begin(st);
    send_read(st, rd);
}

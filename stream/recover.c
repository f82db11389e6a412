/*
 * stream/recover.c -- ask the archive, then one script op that decides: restore, change the epoch, or neither.
 *
 * A job that is being mended is in st->recoveries; who asks meanwhile waits for the same answer.
 */
#include "stream/recover.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "stream/known.h"
#include "stream/stream_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESTORED_LOG_US 1000000

struct wait {
    struct wait *next;
    recover_done_fn *done;
    void *user;
};

struct recovery {
    struct stream *st;
    struct job_key key;
    uint64_t old_epoch;
    uint64_t past_seq; /* what the archive would restore; 0: nothing */
    uint32_t index_commands; /* in front of the script */
    struct wait *waits;
};

static void finish(struct recovery *rec, int err, uint64_t epoch, uint64_t seq)
{
    struct stream *st = rec->st;
    char text[JOB_KEY_TEXT_BYTES];
    struct wait *w = rec->waits;

    job_key_text(&rec->key, text);
    map_del(st->recoveries, text, strlen(text));
    if (err == 0) {
        known__reset(st, &rec->key, epoch, seq);
        hub__poke(st, &rec->key);
    } else if (err == ERR_NOT_FOUND) {
        known__forget(st, &rec->key);
    }
    free(rec);
    while (w) {
        struct wait *next = w->next;

        if (w->done)
            w->done(w->user, err, epoch, seq);
        free(w);
        w = next;
    }
    stream__call_end(st);
}

/* ---- the script op ---- */

/* With an empty Redis that is all jobs of the archive: not a line for each. */
static void log_restored(const struct recovery *rec, uint64_t held, uint64_t seq, uint64_t epoch)
{
    static struct log_every every;
    uint64_t silent;

    if (log_every(&every, RESTORED_LOG_US, &silent))
        log_warn("stream", "a log was restored from the archive: redis held less", "job=%s/%s held=%" PRIu64 " now=%" PRIu64
                 " epoch=%" PRIu64 " others_since=%" PRIu64, rec->key.project, rec->key.job, held, seq, epoch, silent);
}

static void on_restored(void *user, int err, const struct reply *reply)
{
    struct recovery *rec = user;
    struct stream *st = rec->st;
    const struct reply *r = err < 0 ? NULL : rec->index_commands ? reply_at(reply, rec->index_commands) : reply;
    uint64_t epoch = 0, seq = 0;
    int restored;

    if (err < 0) {
        finish(rec, err, 0, 0);
        return;
    }
    if (strcmp(reply_at(r, 0)->str, "OK") != 0) {
        finish(rec, strcmp(reply_at(r, 0)->str, "GONE") == 0 ? ERR_NOT_FOUND : ERR_PROTOCOL, 0, 0);
        return;
    }
    epoch = reply_u64(reply_at(r, 1));
    seq = reply_u64(reply_at(r, 2));
    restored = reply_i64(reply_at(r, 3)) == 1;
    if (restored) {
        st->stats.restored++;
        log_restored(rec, reply_u64(reply_at(r, 5)), seq, epoch);
    } else if (reply_i64(reply_at(r, 4)) == 1) {
        st->stats.rollbacks++;
        log_warn("stream", "history went back: redis lost records", "job=%s/%s now=%" PRIu64 " epoch=%" PRIu64,
                 rec->key.project, rec->key.job, seq, epoch);
    }
    if (restored && reply_i64(reply_at(r, 6)))
        sealer__note(st, &rec->key, reply_i64(reply_at(r, 6)));
    finish(rec, 0, epoch, seq);
}

/* "field value" pairs of the hash, counted as they are added. */
struct fields {
    struct buf words; /* NUL-terminated, one after the other */
    uint32_t count;
    int err; /* a word is missing */
};

static void note(struct fields *f, int err)
{
    if (err < 0)
        f->err = err;
}

static void add_field(struct fields *f, const char *name, const char *value)
{
    note(f, buf_add(&f->words, name, strlen(name) + 1));
    note(f, buf_add(&f->words, value, strlen(value) + 1));
    f->count++;
}

static void add_u64(struct fields *f, const char *name, uint64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, v);
    add_field(f, name, text);
}

/* Left out when it is 0, as the script does. */
static void add_count(struct fields *f, const char *name, uint64_t v)
{
    if (v)
        add_u64(f, name, v);
}

static void add_text(struct fields *f, const char *name, const char *text, const char *empty)
{
    if (text && text[0] && strcmp(text, empty) != 0)
        add_field(f, name, text);
}

static void add_history(struct fields *f, const struct job_info *info)
{
    struct buf value = BUF_INIT;

    for (uint32_t i = 0; i < info->history_count; i++) {
        const struct job_history *h = &info->history[i];
        char name[8], code[24] = "-";

        if (h->has_exit_code)
            snprintf(code, sizeof code, "%" PRId64, h->exit_code);
        snprintf(name, sizeof name, "h%u", i + 1);
        buf_clear(&value);
        note(f, buf_addf(&value, "%s %" PRId64 " %" PRIu64 " %s %d %s", state_short(h->state), h->at_us, h->seq, code, h->rank,
                         h->message ? h->message : ""));
        add_field(f, name, buf_cstr(&value));
    }
    add_u64(f, "hist", info->history_count);
    buf_release(&value);
}

static void add_end(struct fields *f, const struct job_info *info, int64_t drain_until_us, int64_t drain_us)
{
    char code[24];

    if (!state_is_terminal(info->state))
        return;
    add_u64(f, "ended_us", (uint64_t)info->ended_us);
    add_u64(f, "drain_until_us", (uint64_t)drain_until_us);
    add_u64(f, "drain_us", (uint64_t)drain_us);
    if (info->has_exit_code) {
        snprintf(code, sizeof code, "%" PRId64, info->exit_code);
        add_field(f, "exit_code", code);
    }
    add_text(f, "error_message", info->error_message, "");
    if (!info->sealed)
        return;
    add_u64(f, "sealed", 1);
    add_u64(f, "sealed_seq", info->sealed_seq);
    add_u64(f, "sealed_us", (uint64_t)info->sealed_us);
    add_u64(f, "complete", (uint64_t)(info->complete != 0));
    add_field(f, "missing", info->missing_json);
}

static int is_done(const struct job_producer *p)
{
    return p->has_fin && p->last >= p->fin;
}

static void add_meta(struct fields *f, const struct job_info *info, int64_t drain_until_us, int64_t drain_us)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < info->producer_count; i++)
        done += is_done(&info->producers[i]) != 0;
    add_u64(f, "seq", info->seq);
    add_field(f, "state", state_short(info->state));
    add_u64(f, "created_us", (uint64_t)info->created_us);
    add_u64(f, "updated_us", (uint64_t)info->updated_us);
    add_count(f, "started_us", (uint64_t)info->started_us);
    add_count(f, "ranks", info->ranks_declared);
    add_text(f, "name", info->name, "");
    add_text(f, "labels", info->labels_json, "{}");
    add_text(f, "extra", info->extra_json, "{}");
    add_count(f, "lines", info->lines);
    add_count(f, "bytes", info->bytes);
    add_count(f, "batches", info->batches);
    add_count(f, "duplicates", info->duplicates);
    add_count(f, "gaps", info->gaps);
    add_count(f, "refused", info->refused_sealed);
    for (int l = 0; l < LEVEL_COUNT; l++) {
        char name[4] = {'l', (char)('0' + l), '\0'};

        add_count(f, name, info->level_count[l]);
    }
    /* How many lines came without a producer is not kept; it counts only where there was none. */
    add_count(f, "anon", info->producer_count ? 0 : info->lines);
    add_count(f, "nprod", info->producer_count);
    add_count(f, "nfin", done);
    add_history(f, info);
    add_end(f, info, drain_until_us, drain_us);
    add_u64(f, "archived_upto", info->seq);
    add_u64(f, "trimmed_upto", info->seq);
    add_count(f, "rebuilt", info->producers_unknown ? 1 : 0);
}

static void add_producers(struct fields *f, const struct job_info *info)
{
    struct buf value = BUF_INIT;

    for (uint32_t i = 0; i < info->producer_count; i++) {
        const struct job_producer *p = &info->producers[i];

        buf_clear(&value);
        note(f, buf_addf(&value, "%" PRIu64 " %" PRIu64 " %d ", p->epoch, p->last, p->rank));
        note(f, p->has_fin ? buf_addu64(&value, p->fin) : buf_addc(&value, '-'));
        if (p->has_fin && p->fin_us) {
            note(f, buf_addf(&value, " %" PRId64, p->fin_us));
            if (p->has_exit_code)
                note(f, buf_addf(&value, "/%d/%d", p->exit_code, p->signal));
        }
        add_field(f, p->id, buf_cstr(&value));
    }
    buf_release(&value);
}

static void add_ranks(struct fields *f, const struct job_info *info)
{
    char name[16], value[96];

    for (uint32_t i = 0; i < info->rank_count; i++) {
        const struct job_rank *r = &info->ranks[i];

        snprintf(name, sizeof name, "%d", r->rank);
        snprintf(value, sizeof value, "%" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64, r->lines, r->last_seq, r->last_ts_us,
                 r->last_recv_us);
        add_field(f, name, value);
    }
}

static void add_words(struct conn_request *r, struct fields *f)
{
    conn_request_u64(r, f->count);
    for (size_t at = 0; at < f->words.len; at += strlen(f->words.data + at) + 1)
        conn_request_str(r, f->words.data + at);
}

/* info NULL: the archive has nothing to give. */
static void send_restore(struct recovery *rec, const struct job_info *info)
{
    struct stream *st = rec->st;
    struct conn_request *r = conn_request_new(4096);
    struct fields meta = {BUF_INIT, 0, 0}, prod = {BUF_INIT, 0, 0}, rank = {BUF_INIT, 0, 0};
    int64_t now = clock_wall_us(), drain_until_us = 0;

    rec->past_seq = info ? info->seq : 0;
    if (info) {
        if (info->sealed)
            stream__index_add_cold(r, &rec->key, info->created_us);
        else
            stream__index_add(r, &rec->key, info->created_us);
        rec->index_commands = info->sealed ? STREAM_INDEX_COLD_COMMANDS : STREAM_INDEX_COMMANDS;
        if (state_is_terminal(info->state) && !info->sealed)
            drain_until_us = now + st->drain_us;
        add_meta(&meta, info, info->sealed ? info->sealed_us : drain_until_us, st->drain_us);
        add_producers(&prod, info);
        add_ranks(&rank, info);
    }
    if (meta.err < 0 || prod.err < 0 || rank.err < 0) {
        conn_request_free(&r);
        finish(rec, ERR_NOMEM, 0, 0);
        goto out;
    }
    stream__script_begin(st, r, &rec->key, "restore", 9 + 2 * (meta.count + prod.count + rank.count));
    conn_request_main(r);
    conn_request_i64(r, now);
    conn_request_u64(r, rec->old_epoch);
    conn_request_u64(r, rec->past_seq);
    conn_request_u64(r, info ? info->epoch : 0);
    conn_request_i64(r, info ? info->recv_next_us : 0);
    conn_request_i64(r, drain_until_us);
    add_words(r, &meta);
    add_words(r, &prod);
    add_words(r, &rank);
    conn_send(st->cmd, &r, CONN_IDEMPOTENT, 0, on_restored, rec);
out:
    buf_release(&meta.words);
    buf_release(&prod.words);
    buf_release(&rank.words);
}

/* ---- the past ---- */

static void on_past(void *ctx, int err, const struct job_info *info)
{
    struct recovery *rec = ctx;
    struct stream *st = rec->st;

    if (st->close_parts)
        finish(rec, ERR_CANCELLED, 0, 0);
    else if (err == ERR_NOT_FOUND || (err == 0 && !info->seq))
        send_restore(rec, NULL);
    else if (err < 0)
        finish(rec, err, 0, 0);
    else
        send_restore(rec, info);
    stream__past_done(st);
}

void recover__start(struct stream *st, const struct job_key *key, uint64_t old_epoch, recover_done_fn *done,
                    void *user)
{
    char text[JOB_KEY_TEXT_BYTES];
    size_t len = strlen(job_key_text(key, text));
    struct recovery *rec = map_get(st->recoveries, text, len);
    struct wait *w = must_calloc(1, sizeof *w), **end;

    w->done = done;
    w->user = user;
    if (rec) {
        for (end = &rec->waits; *end; end = &(*end)->next)
            ;
        *end = w;
        return;
    }
    rec = must_calloc(1, sizeof *rec);
    rec->st = st;
    rec->key = *key;
    rec->old_epoch = old_epoch;
    rec->waits = w;
    map_put(st->recoveries, text, len, rec);
    stream__call_begin(st);
    if (!st->past) {
        send_restore(rec, NULL);
        return;
    }
    stream__past_begin(st);
    st->past->job(st->past_user, key, on_past, rec);
}

struct recover_call {
    void (*done)(void *user, int err);
    void *user;
};

static void on_recover_done(void *user, int err, uint64_t epoch, uint64_t seq)
{
    struct recover_call *c = user;

    c->done(c->user, err);
    free(c);
}

void stream_recover(struct stream *st, const struct job_key *key, void (*done)(void *user, int err), void *user)
{
    struct recover_call *c = must_malloc(sizeof *c);

    *c = (struct recover_call){done, user};
    recover__start(st, key, 0, on_recover_done, c);
}

void recover__open(struct stream *st)
{
    st->recoveries = map_new();
}

void recover__close(struct stream *st)
{
    CHECK(map_count(st->recoveries) == 0);
    map_free(&st->recoveries);
}

/*
 * stream/append.c -- batches into the log, exactly as they came or not at all.
 *
 *     known job      sent at once; the connection keeps the order
 *     unknown job    the first append goes alone, the others wait in the job's lane; NEED_INDEX: again with
 *                    the index entries in front
 *     CUT            a part is held already: that part is cut off and the rest sent with the same deadline
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "stream/stream_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPEND_FIXED_WORDS 15 /* of the script call, besides ranks and frames */
#define WAIT_MS "500"         /* for a replica, class replicated */

struct append {
    STAILQ_ENTRY(append) link;
    struct stream *st;
    struct job_key key;
    struct batch *batch;
    stream_append_fn *done;
    void *user;
    int64_t deadline_us, started_us;
    int with_index; /* sent with index entries in front: the script may create the job */
    int in_lane;    /* the one that goes alone */
    uint64_t cut;   /* lines of the batch that were held already and are cut off */
    struct append_result res;
};
STAILQ_HEAD(lane, append);

static void send_append(struct append *a);
static void finish(struct append *a, int err);

/* ---- lanes ---- */

static struct lane *lane_of(struct stream *st, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];

    job_key_text(key, text);
    return map_get(st->lanes, text, strlen(text));
}

static void lane_open(struct stream *st, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];
    struct lane *lane = must_calloc(1, sizeof *lane);

    STAILQ_INIT(lane);
    job_key_text(key, text);
    CHECKF(!map_put(st->lanes, text, strlen(text), lane), "job=%s", text);
}

/* The first one has its answer: the job exists and the others go, or the next one tries. */
static void lane_advance(struct stream *st, const struct job_key *key, int err)
{
    char text[JOB_KEY_TEXT_BYTES];
    struct lane *lane = lane_of(st, key);
    struct append *a;

    CHECK(lane);
    if (!stream__is_indexed(st, key) && err != ERR_CANCELLED && (a = STAILQ_FIRST(lane)) != NULL) {
        STAILQ_REMOVE_HEAD(lane, link);
        a->in_lane = 1;
        send_append(a);
        return;
    }
    job_key_text(key, text);
    map_del(st->lanes, text, strlen(text));
    while ((a = STAILQ_FIRST(lane)) != NULL) {
        STAILQ_REMOVE_HEAD(lane, link);
        if (err == ERR_CANCELLED) /* the connection is closed */
            finish(a, err);
        else
            send_append(a);
    }
    free(lane);
}

/* ---- the end of a call ---- */

static void count_result(struct stream_stats *s, const struct append *a)
{
    const struct append_result *res = &a->res;
    int64_t us = clock_mono_us() - a->started_us;
    int bucket = 0;

    s->appends++;
    s->append_lines += res->accepted;
    s->duplicates_lines += res->duplicates;
    s->gaps += res->err == ERR_GAP;
    s->fenced += res->err == ERR_FENCED;
    s->sealed_refused += res->err == ERR_SEALED;
    if (res->err < 0)
        return;
    if (res->accepted)
        s->append_bytes += a->batch->msg_bytes;
    while (bucket < 15 && us > INT64_C(64) << bucket)
        bucket++;
    s->ack_us_bucket[bucket]++;
    s->ack_us_sum += (uint64_t)us;
    s->ack_count++;
}

static void finish(struct append *a, int err)
{
    struct stream *st = a->st;
    struct job_key key = a->key;
    int in_lane = a->in_lane;

    a->res.err = err;
    if (a->cut && (err == 0 || err == ERR_SEALED))
        a->res.duplicates += a->cut;
    count_result(&st->stats, a);
    FAULT_POINT("stream.append.answer");
    if (a->done)
        a->done(a->user, &a->res);
    batch_free(&a->batch);
    free(a);
    if (in_lane)
        lane_advance(st, &key, err);
    stream__call_end(st);
}

/* ---- what is stored goes to the hub ---- */

static void offer_frames(struct append *a)
{
    uint64_t seq = a->res.first;

    if (!a->res.accepted || !hub__follows(a->st, &a->key))
        return;
    for (uint32_t i = 0; i < a->batch->frame_count; i++) {
        const struct batch_frame *bf = &a->batch->frames[i];
        struct frame *f = NULL;
        int err = frame_number(seq, a->batch->recv_us, &bf->sum, bf->raw, bf->raw_bytes, &f);

        seq += bf->sum.count;
        if (err < 0) { /* followers read it from Redis */
            log_error("stream", "a stored frame cannot be numbered", "err=%s", err_name(err));
            continue;
        }
        hub__offer(a->st, &a->key, a->res.epoch, f);
        frame_unref(&f);
    }
}

/* ---- answers ---- */

static void note_durability(struct append *a, const struct reply *wait)
{
    struct stream *st = a->st;

    a->res.durability = st->durability_local;
    if (st->durability_asked == DURABILITY_REPLICATED) {
        if (wait->kind == REPLY_INT && wait->num >= 1)
            a->res.durability = DURABILITY_REPLICATED;
        st->durability = a->res.durability;
    }
}

static void read_state(const struct reply *word, enum job_state *ret)
{
    if (state_parse(word->str, word->len, ret) < 0)
        *ret = STATE_CREATED;
}

/* OK or DUP */
static void on_stored(struct append *a, const struct reply *r)
{
    struct append_result *res = &a->res;

    res->first = reply_u64(reply_at(r, 1));
    res->last = reply_u64(reply_at(r, 2));
    res->accepted = reply_u64(reply_at(r, 3));
    res->duplicates = reply_u64(reply_at(r, 4));
    res->producer_last = reply_u64(reply_at(r, 5));
    res->producer_epoch = a->batch->producer.epoch;
    read_state(reply_at(r, 6), &res->state);
    res->sealed = reply_i64(reply_at(r, 7)) != 0;
    res->epoch = reply_u64(reply_at(r, 9));
    stream__note_indexed(a->st, &a->key);
    offer_frames(a);
    if (res->sealed)
        sealer__sealed(a->st, &a->key);
    finish(a, 0);
}

/* Lines up to held are there: 1 when the rest was sent. */
static int send_rest(struct append *a, uint64_t held)
{
    struct batch_producer *p = &a->batch->producer;
    uint64_t n = held + 1 - p->first;
    int err;

    CHECKF(held >= p->first && held < p->last, "held=%llu first=%llu", (unsigned long long)held,
           (unsigned long long)p->first);
    err = batch_cut(a->batch, n);
    if (err < 0) {
        finish(a, err);
        return 0;
    }
    a->cut += n;
    send_append(a);
    return 1;
}

static void on_answer(void *user, int err, const struct reply *reply)
{
    struct append *a = user;
    const struct reply *r, *wait;
    const char *word;

    FAULT_POINT("stream.append.reply");
    if (err < 0) {
        finish(a, err);
        return;
    }
    if (!a->with_index && a->st->durability_asked != DURABILITY_REPLICATED) {
        r = reply;
        wait = reply_at(reply, UINT32_MAX); /* nil */
    } else {
        uint32_t at = a->with_index ? STREAM_INDEX_COMMANDS : 0;

        r = reply_at(reply, at);
        wait = reply_at(reply, at + 1);
    }
    word = reply_at(r, 0)->str;
    note_durability(a, wait);
    if (strcmp(word, "OK") == 0 || strcmp(word, "DUP") == 0) {
        on_stored(a, r);
    } else if (strcmp(word, "NEED_INDEX") == 0) {
        stream__forget_indexed(a->st, &a->key);
        a->with_index = 1;
        send_append(a);
    } else if (strcmp(word, "CUT") == 0) {
        send_rest(a, reply_u64(reply_at(r, 1)));
    } else if (strcmp(word, "GAP") == 0) {
        a->res.expected = reply_u64(reply_at(r, 1));
        a->res.producer_last = a->res.expected - 1;
        finish(a, ERR_GAP);
    } else if (strcmp(word, "FENCED") == 0) {
        a->res.producer_epoch = reply_u64(reply_at(r, 1));
        a->res.producer_last = reply_u64(reply_at(r, 2));
        finish(a, ERR_FENCED);
    } else if (strcmp(word, "SEALED") == 0) {
        read_state(reply_at(r, 1), &a->res.state);
        finish(a, ERR_SEALED);
    } else {
        finish(a, ERR_PROTOCOL);
    }
}

/* ---- the request ---- */

static void add_levels(struct conn_request *r, const struct batch *b)
{
    char text[LEVEL_COUNT * 21];
    int n = 0;

    for (int i = 0; i < LEVEL_COUNT; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, i ? " %llu" : "%llu", (unsigned long long)b->level_count[i]);
    conn_request_arg(r, text, (size_t)n);
}

static void add_frames(struct conn_request *r, const struct batch *b)
{
    struct buf header = BUF_INIT;

    conn_request_u64(r, b->frame_count);
    for (uint32_t i = 0; i < b->frame_count; i++) {
        const struct batch_frame *f = &b->frames[i];

        buf_clear(&header);
        frame_header_format(&header, &f->sum, b->recv_us, f->raw_bytes, f->packed != NULL);
        conn_request_str(r, buf_cstr(&header));
        if (f->packed)
            conn_request_arg(r, f->packed, f->packed_bytes);
        else
            conn_request_arg(r, f->raw, f->raw_bytes);
        conn_request_u64(r, f->sum.count);
    }
    buf_release(&header);
}

static void add_script(struct conn_request *r, const struct append *a, int64_t now)
{
    const struct batch *b = a->batch;
    const struct batch_producer *p = &b->producer;

    stream__script_begin(a->st, r, &a->key, "append", APPEND_FIXED_WORDS + 3 * b->rank_count + 3 * b->frame_count);
    conn_request_i64(r, now);
    conn_request_str(r, a->with_index ? "1" : "0");
    conn_request_str(r, p->id);
    conn_request_u64(r, p->epoch);
    conn_request_u64(r, p->first);
    conn_request_u64(r, p->last);
    conn_request_str(r, b->is_gap ? "1" : "0");
    if (p->has_fin)
        conn_request_u64(r, p->fin);
    else
        conn_request_str(r, "-");
    conn_request_i64(r, b->recv_us);
    conn_request_u64(r, b->line_count);
    conn_request_u64(r, b->msg_bytes);
    add_levels(r, b);
    conn_request_u64(r, b->rank_count);
    for (uint32_t i = 0; i < b->rank_count; i++) {
        conn_request_i64(r, b->ranks[i].rank);
        conn_request_u64(r, b->ranks[i].lines);
        conn_request_i64(r, b->ranks[i].last_ts_us);
    }
    add_frames(r, b);
    conn_request_i64(r, p->rank);
}

static void send_append(struct append *a)
{
    const struct batch *b = a->batch;
    int64_t now = clock_wall_us();
    struct conn_request *r;
    size_t bytes = 2048;

    for (uint32_t i = 0; i < b->frame_count; i++)
        bytes += 160 + (b->frames[i].packed ? b->frames[i].packed_bytes : b->frames[i].raw_bytes);
    r = conn_request_new(bytes);
    if (a->with_index)
        stream__index_add(r, &a->key, now);
    add_script(r, a, now);
    conn_request_main(r);
    if (a->st->durability_asked == DURABILITY_REPLICATED) {
        conn_request_begin(r, 3);
        conn_request_str(r, "WAIT");
        conn_request_str(r, "1");
        conn_request_str(r, WAIT_MS);
    }
    FAULT_POINT("stream.append.send");
    conn_send(a->st->cmd, &r, b->producer.id[0] ? CONN_IDEMPOTENT : CONN_ORDERED, a->deadline_us, on_answer, a);
}

static void on_refused(void *user)
{
    finish(user, ERR_INVALID);
}

static int batch_is_sane(const struct batch *b)
{
    const struct batch_producer *p = &b->producer;

    if (!p->id[0])
        return b->line_count > 0;
    if (p->first > STREAM_SEQUENCE_MAX || p->last > STREAM_SEQUENCE_MAX || (p->has_fin && p->fin > STREAM_SEQUENCE_MAX))
        return 0;
    if (b->line_count == 0)
        return p->has_fin;
    return p->first > 0 && p->last >= p->first && (b->is_gap || p->last - p->first + 1 == b->line_count);
}

void stream_append(struct stream *st, const struct job_key *key, struct batch **b, stream_append_fn *done, void *user)
{
    struct append *a = must_calloc(1, sizeof *a);
    struct lane *lane;

    a->st = st;
    a->key = *key;
    a->batch = *b;
    *b = NULL;
    a->done = done;
    a->user = user;
    a->started_us = clock_mono_us();
    a->deadline_us = a->started_us + st->call_us_max;
    stream__call_begin(st);
    if (!batch_is_sane(a->batch)) {
        stream__later(st, on_refused, a);
    } else if (stream__is_indexed(st, key)) {
        lane = lane_of(st, key);
        if (lane)
            STAILQ_INSERT_TAIL(lane, a, link);
        else
            send_append(a);
    } else if ((lane = lane_of(st, key)) != NULL) {
        STAILQ_INSERT_TAIL(lane, a, link);
    } else {
        lane_open(st, key);
        a->in_lane = 1;
        send_append(a);
    }
}

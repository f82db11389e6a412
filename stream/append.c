/*
 * stream/append.c -- batches into the log, exactly as they came or not at all.
 *
 *     known job      sent at once; the connection keeps the order. Small ones without a producer that come while
 *                    one is on its way leave together (stream/append_group.c)
 *     unknown job    the past is asked, then the first append goes alone; the others wait in the job's lane
 *     NEED_INDEX     the same way once more, with the index entries in front
 *     BACK           Redis has lost history: mended first (stream/recover.h), the appends wait in the lane
 *     CUT            a part is held already: that part is cut off and the rest sent with the same deadline
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "stream/append_int.h"
#include "stream/known.h"
#include "stream/recover.h"
#include "stream/stream_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPEND_FIXED_WORDS 15 /* of the script call, besides ranks and frames */
#define BACKS_MAX 3

STAILQ_HEAD(lane, append);

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

static void on_ready(void *arg, int err)
{
    struct append *a = arg;
    const struct known *k = known__find(a->st, &a->key);

    if (err == 0 && a->with_index && k && k->past_failed) /* it may lie in the archive: not to be begun anew */
        err = ERR_UNAVAILABLE;
    if (err < 0)
        append__finish(a, err);
    else
        append__send(a);
}

/* It goes alone, once the past was asked about the job. */
static void send_alone(struct append *a)
{
    a->in_lane = 1;
    known__ready(a->st, &a->key, on_ready, a);
}

/* Where it was called: behind those called before it. */
static void wait_in_lane(struct lane *lane, struct append *a)
{
    struct append *at = STAILQ_FIRST(lane), *before = NULL;

    for (; at && at->serial < a->serial; at = STAILQ_NEXT(at, link))
        before = at;
    if (before)
        STAILQ_INSERT_AFTER(lane, before, a, link);
    else
        STAILQ_INSERT_HEAD(lane, a, link);
}

void append__go(struct append *a)
{
    struct lane *lane = lane_of(a->st, &a->key);

    if (lane) {
        wait_in_lane(lane, a);
    } else if (known__exists(a->st, &a->key)) {
        append__send(a);
    } else { /* Redis is another one since it was called */
        lane_open(a->st, &a->key);
        send_alone(a);
    }
}

/* The first one has its answer: the job exists and the others go, or the next one tries. */
static void lane_advance(struct stream *st, const struct job_key *key, int err)
{
    char text[JOB_KEY_TEXT_BYTES];
    struct lane *lane = lane_of(st, key);
    struct append *a;

    CHECK(lane);
    if (!known__exists(st, key) && err != ERR_CANCELLED && (a = STAILQ_FIRST(lane)) != NULL) {
        STAILQ_REMOVE_HEAD(lane, link);
        send_alone(a);
        return;
    }
    job_key_text(key, text);
    map_del(st->lanes, text, strlen(text));
    while ((a = STAILQ_FIRST(lane)) != NULL) {
        STAILQ_REMOVE_HEAD(lane, link);
        if (err == ERR_CANCELLED) /* the connection is closed */
            append__finish(a, err);
        else
            append__send(a);
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

void append__finish(struct append *a, int err)
{
    struct stream *st = a->st;
    struct job_key key = a->key;
    int in_lane = a->in_lane, in_group = a->in_group;

    a->res.err = err;
    if (a->cut && (err == 0 || err == ERR_SEALED))
        a->res.duplicates += a->cut;
    if (!a->is_load)
        count_result(&st->stats, a);
    FAULT_POINT("stream.append.answer");
    if (a->done)
        a->done(a->user, &a->res);
    batch_free(&a->batch);
    free(a);
    if (in_group)
        append_group__landed(st, &key, err);
    if (in_lane)
        lane_advance(st, &key, err);
    stream__call_end(st);
}

/* ---- what is stored goes to the hub ---- */

/* recv_us: the time the script gave the first of them. */
static void offer_frames(struct append *a, int64_t recv_us)
{
    uint64_t seq = a->res.first;

    if (!a->res.accepted || !hub__follows(a->st, &a->key))
        return;
    for (uint32_t i = 0; i < a->batch->frame_count; i++) {
        const struct batch_frame *bf = &a->batch->frames[i];
        struct frame *f = NULL;
        int err = frame_number(seq, recv_us, &bf->sum, bf->raw, bf->raw_bytes, &f);

        seq += bf->sum.count;
        recv_us += frame_recv_span_us(bf->sum.count);
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
    if (stream__replicates(st) && stream__note_wait(st, wait))
        a->res.durability = DURABILITY_REPLICATED;
}

/* Stored, and as safe as was asked for? What no replica has confirmed is not acknowledged to a producer that can send
 * it again: it will be found held already, and waited for anew. */
static int acknowledge(const struct append *a)
{
    return stream__replicates(a->st) && a->batch->producer.id[0] && a->res.durability != DURABILITY_REPLICATED ? ERR_UNAVAILABLE
                                                                                                              : 0;
}

static void read_state(const struct reply *word, enum job_state *ret)
{
    if (state_parse(word->str, word->len, ret) < 0)
        *ret = STATE_CREATED;
}

/* The log holds what was stored. When it was stored at a number that had been given before, Redis has lost history
 * between our sending and its answering: the lines are kept, and the epoch must change. */
static void note_answer(struct append *a)
{
    const struct append_result *res = &a->res;
    const struct known *k = known__find(a->st, &a->key);

    if (res->first && k && k->epoch == res->epoch && res->first <= k->floor) {
        known__forget(a->st, &a->key);
        recover__start(a->st, &a->key, res->epoch, NULL, NULL);
        return;
    }
    known__note(a->st, &a->key, res->epoch, res->last);
}

/* Out of the way until the job is there, or mended: the first to come opens the lane and sees to it. 1: a is that one. */
static int take_lane(struct append *a)
{
    struct lane *lane = lane_of(a->st, &a->key);

    if (a->in_lane)
        return 1;
    if (lane) {
        wait_in_lane(lane, a);
        return 0;
    }
    lane_open(a->st, &a->key);
    a->in_lane = 1;
    return 1;
}

static void on_recovered(void *user, int err, uint64_t epoch, uint64_t seq)
{
    struct append *a = user;

    if (err < 0 && err != ERR_NOT_FOUND)
        append__finish(a, err == ERR_CANCELLED ? err : ERR_UNAVAILABLE);
    else
        send_alone(a);
}

static void on_back(struct append *a, uint64_t epoch)
{
    if (++a->backs > BACKS_MAX)
        append__finish(a, ERR_UNAVAILABLE);
    else if (take_lane(a))
        recover__start(a->st, &a->key, epoch, on_recovered, a);
}

static void on_need_index(struct append *a)
{
    a->with_index = 1;
    known__forget(a->st, &a->key);
    if (take_lane(a))
        send_alone(a);
}

/* Planted: success, whatever becomes of the batch. */
static void answer_unseen(struct append *a)
{
    struct append_result res = {.accepted = a->batch->line_count,
                                .producer_epoch = a->batch->producer.epoch,
                                .producer_last = a->batch->producer.last,
                                .durability = a->st->durability_local,
                                .state = STATE_RUNNING};

    if (a->done)
        a->done(a->user, &res);
    a->done = NULL;
}

/* Planted: the first two lines of a frame change places. */
static void swap_lines(struct batch_frame *f)
{
    char *end = memchr(f->raw, '\n', f->raw_bytes), *second, *copy;
    size_t first_len, second_len;

    if (f->sum.count < 2 || !end)
        return;
    first_len = (size_t)(end - f->raw) + 1;
    second = f->raw + first_len;
    end = memchr(second, '\n', f->raw_bytes - first_len);
    second_len = end ? (size_t)(end - second) + 1 : f->raw_bytes - first_len;
    copy = must_malloc(first_len);
    memcpy(copy, f->raw, first_len);
    memmove(f->raw, second, second_len);
    memcpy(f->raw + second_len, copy, first_len);
    free(copy);
    free(f->packed);
    f->packed = NULL;
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
    if (FAULT_PLANT("repeat"))
        res->producer_last = a->batch->producer.last;
    res->producer_epoch = a->batch->producer.epoch;
    read_state(reply_at(r, 6), &res->state);
    res->sealed = reply_i64(reply_at(r, 7)) != 0;
    res->epoch = reply_u64(reply_at(r, 9));
    note_answer(a);
    offer_frames(a, reply_i64(reply_at(r, 10)));
    if (res->sealed)
        sealer__sealed(a->st, &a->key);
    if (reply_i64(reply_at(r, 8)))
        stream__observe_state(a->st, &a->key);
    if (res->accepted)
        stream__observe_lines(a->st, &a->key);
    append__finish(a, acknowledge(a));
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
        append__finish(a, err);
        return 0;
    }
    a->cut += n;
    append__send(a);
    return 1;
}

static void on_answer(void *user, int err, const struct reply *reply)
{
    struct append *a = user;
    const struct reply *r, *wait;
    const char *word;

    FAULT_POINT("stream.append.reply");
    headroom__note_answer(a->st, err);
    if (err < 0) {
        append__finish(a, err);
        return;
    }
    if (!a->with_index && !stream__replicates(a->st)) {
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
        on_need_index(a);
    } else if (strcmp(word, "BACK") == 0) {
        on_back(a, reply_u64(reply_at(r, 2)));
    } else if (strcmp(word, "CUT") == 0) {
        send_rest(a, reply_u64(reply_at(r, 1)));
    } else if (strcmp(word, "GAP") == 0) {
        a->res.expected = reply_u64(reply_at(r, 1));
        a->res.producer_last = a->res.expected - 1;
        append__finish(a, ERR_GAP);
    } else if (strcmp(word, "FENCED") == 0) {
        a->res.producer_epoch = reply_u64(reply_at(r, 1));
        a->res.producer_last = reply_u64(reply_at(r, 2));
        append__finish(a, ERR_FENCED);
    } else if (strcmp(word, "SEALED") == 0) {
        read_state(reply_at(r, 1), &a->res.state);
        append__finish(a, ERR_SEALED);
    } else {
        append__finish(a, ERR_PROTOCOL);
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
    int64_t recv_us = b->recv_us;

    conn_request_u64(r, b->frame_count);
    for (uint32_t i = 0; i < b->frame_count; i++) {
        struct batch_frame *f = &b->frames[i];

        if (FAULT_PLANT("swap"))
            swap_lines(f);
        buf_clear(&header);
        CHECK(must_have(frame_header_format(&header, &f->sum, recv_us, f->raw_bytes, f->packed != NULL)) == 0);
        recv_us += frame_recv_span_us(f->sum.count);
        conn_request_str(r, buf_cstr(&header));
        if (f->packed)
            conn_request_arg(r, f->packed, f->packed_bytes);
        else
            conn_request_arg(r, f->raw, f->raw_bytes);
        conn_request_u64(r, f->sum.count);
    }
    buf_release(&header);
}

/* "-", "600" or "600/137/9": done after 600, its process ended with this exit code and signal. */
static void add_fin(struct conn_request *r, const struct batch_producer *p)
{
    char text[64];

    if (!p->has_fin)
        conn_request_str(r, "-");
    else if (!p->has_exit_code)
        conn_request_u64(r, p->fin);
    else {
        snprintf(text, sizeof text, "%" PRIu64 "/%" PRId32 "/%" PRId32, p->fin, p->exit_code, p->signal);
        conn_request_str(r, text);
    }
}

static void add_script(struct conn_request *r, const struct append *a, int64_t now)
{
    const struct batch *b = a->batch;
    const struct batch_producer *p = &b->producer;

    stream__script_begin(a->st, r, &a->key, "append", APPEND_FIXED_WORDS + 3 * b->rank_count + 3 * b->frame_count);
    conn_request_i64(r, now);
    conn_request_str(r, a->with_index ? "1" : "0");
    conn_request_str(r, FAULT_PLANT("repeat") ? "" : p->id);
    conn_request_u64(r, p->epoch);
    conn_request_u64(r, p->first);
    conn_request_u64(r, p->last);
    conn_request_str(r, b->is_gap ? "1" : "0");
    add_fin(r, p);
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

void append__send(struct append *a)
{
    const struct batch *b = a->batch;
    int64_t now = clock_wall_us();
    struct conn_request *r;
    size_t bytes = 2048;

    if (!a->in_lane && b->line_count && FAULT_PLANT("drop")) {
        answer_unseen(a);
        append__finish(a, 0);
        return;
    }
    for (uint32_t i = 0; i < b->frame_count; i++)
        bytes += 160 + (b->frames[i].packed ? b->frames[i].packed_bytes : b->frames[i].raw_bytes);
    headroom__note_append(a->st, bytes);
    r = conn_request_new(bytes);
    if (a->with_index)
        stream__index_add(r, &a->key, now);
    add_script(r, a, now);
    conn_request_main(r);
    stream__add_wait(a->st, r);
    if (b->line_count && FAULT_PLANT("early"))
        answer_unseen(a);
    FAULT_POINT("stream.append.send");
    conn_send(a->st->cmd, &r, b->producer.id[0] ? CONN_IDEMPOTENT : CONN_ORDERED, a->deadline_us, on_answer, a);
}

static void on_refused(void *user)
{
    append__finish(user, ERR_INVALID);
}

static void on_full(void *user)
{
    struct append *a = user;
    int err = headroom__refuses(a->st);

    append__finish(a, err ? err : ERR_FULL);
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
    a->serial = ++st->append_serial;
    lane = lane_of(st, key);
    if (!batch_is_sane(a->batch)) {
        stream__later(st, on_refused, a);
    } else if (a->batch->line_count && headroom__refuses(st)) { /* a fin makes room */
        stream__later(st, on_full, a);
    } else if (lane) {
        append_group__flush(st, key);
        STAILQ_INSERT_TAIL(lane, a, link);
    } else if (known__exists(st, key)) {
        if (!append_group__takes(a))
            append__send(a);
    } else {
        lane_open(st, key);
        send_alone(a);
    }
}

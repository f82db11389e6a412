/*
 * serve/digests.c -- digests of jobs: asked for, fed, kept for the next.
 *
 *     IDLE -> LOADING (worker) -> ASKING (Redis) -> FEEDING (worker) -> ASKING … -> VIEWING (worker) -> IDLE
 *
 *                                          └-> VIEWING a part, for those who cannot wait -> on
 *
 * One entry for each job asked for. While it is not IDLE it is busy with its digest; who asks meanwhile waits for
 * the next round when the present one has asked Redis already.
 */
#include "serve/digests.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "digest/cause.h"
#include "serve/digest_feed.h"
#include "base/link.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

#define DIGESTS_EMPTY_MAX 3

struct digests_wait {
    struct link place; /* in its entry's waiters or latecomers */
    digests_fn *done;
    void *user;
    int64_t by_us; /* what there is then will do; 0: all of it is wanted */
};

enum phase { PHASE_IDLE, PHASE_LINE, PHASE_LOADING, PHASE_ASKING, PHASE_FEEDING, PHASE_VIEWING };

struct entry {
    struct link place; /* in kept (oldest use first), line or busy */
    struct digests *ds;
    struct serve_ctx *ctx;
    struct job_key key;
    enum phase phase;
    struct link waiters;    /* answered by the round under way */
    struct link latecomers; /* they came after Redis had been asked */
    uint64_t epoch;
    uint64_t goal;          /* of the round: what Redis held when it was asked first; 0: not asked */
    struct digest *digest;  /* NULL: not loaded */
    struct digests_view *view; /* of digest->upto; NULL: stale */
    unsigned empty_count;   /* answers of Redis that brought nothing though there was more to come */
    int needs_store;        /* made from segments: the next one should not */
    size_t bytes;           /* counted in ds */
    /* a worker step */
    uv_work_t req;
    int err;
    struct frame *frames[DIGESTS_FRAMES];
    uint32_t frame_count;
    uint64_t archive_to; /* feed the archive up to this; 0: feed the frames */
    int has_more;
    struct digest *copy;
};

struct digests {
    uv_loop_t *loop;
    struct link kept, line, busy;
    uint32_t busy_count, kept_count, entry_count;
    int is_closed;
    struct digests_stats stats;
};

static void round_ask(struct entry *e);
static void work_feed(uv_work_t *req);
static void on_fed(uv_work_t *req, int status);
static void serve_line(struct digests *ds);

/* ---- views ---- */

struct digests_view *digests_ref(struct digests_view *v)
{
    v->refs++;
    return v;
}

void digests_unref(struct digests_view **v)
{
    struct digests_view *x = *v;

    *v = NULL;
    if (!x || --x->refs)
        return;
    digest_free(&x->digest);
    free(x);
}

/* ---- entries ---- */

static void drop_frames(struct entry *e)
{
    for (uint32_t i = 0; i < e->frame_count; i++)
        frame_unref(&e->frames[i]);
    e->frame_count = 0;
}

static void drop_digest(struct entry *e)
{
    digest_free(&e->digest);
    digests_unref(&e->view);
    e->needs_store = 0;
}

static void count_bytes(struct entry *e)
{
    size_t bytes = e->digest ? digest_bytes(e->digest) : 0;

    if (e->view)
        bytes *= 2;
    e->ds->stats.kept_bytes += bytes - e->bytes;
    e->bytes = bytes;
}

/* Frees a closed ds with its last entry. */
static void free_closed(struct digests *ds)
{
    if (ds->is_closed && !ds->entry_count)
        free(ds);
}

static void free_entry(struct entry *e)
{
    struct digests *ds = e->ds;

    CHECK(e->phase == PHASE_IDLE && link_empty(&e->waiters) && link_empty(&e->latecomers));
    link_del(&e->place);
    drop_frames(e);
    drop_digest(e);
    count_bytes(e);
    free(e);
    ds->entry_count--;
}

static struct entry *first_of(struct link *list)
{
    return link_empty(list) ? NULL : LINK_OF(list->next, struct entry, place);
}

static void shrink(struct digests *ds)
{
    struct entry *e;

    while ((ds->is_closed || ds->kept_count > DIGESTS_KEPT_MAX ||
            ds->stats.kept_bytes > DIGESTS_BYTES_MAX) &&
           (e = first_of(&ds->kept))) {
        ds->kept_count--;
        free_entry(e);
    }
}

static struct entry *find(struct digests *ds, const struct job_key *key)
{
    struct link *const lists[] = {&ds->kept, &ds->line, &ds->busy};

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (struct link *l = lists[i]->next; l != lists[i]; l = l->next) {
            struct entry *e = LINK_OF(l, struct entry, place);

            if (job_key_equal(&e->key, key))
                return e;
        }
    return NULL;
}

static struct entry *add_entry(struct serve_ctx *ctx, const struct job_key *key)
{
    struct entry *e = must_calloc(1, sizeof *e);

    e->ds = ctx->digests;
    e->ctx = ctx;
    e->key = *key;
    e->req.data = e;
    link_init(&e->place);
    link_init(&e->waiters);
    link_init(&e->latecomers);
    e->ds->entry_count++;
    return e;
}

/* ---- the end of a round ---- */

/* Everyone in the list hears it; they may cancel each other or ask again meanwhile. */
static void answer(struct link *list, int err, struct digests_view *v)
{
    while (!link_empty(list)) {
        struct digests_wait *w = LINK_OF(list->next, struct digests_wait, place);
        digests_fn *done = w->done;
        void *user = w->user;

        link_del(&w->place);
        free(w);
        done(user, err, v);
    }
}

static void take_latecomers(struct entry *e)
{
    while (!link_empty(&e->latecomers))
        link_move_tail(&e->waiters, e->latecomers.next);
}

static void end_round(struct entry *e, int err)
{
    struct digests *ds = e->ds;
    struct digests_view *v = err < 0 ? NULL : digests_ref(e->view);
    struct link heard;

    e->phase = PHASE_IDLE;
    ds->busy_count--;
    if (err < 0) {
        ds->stats.failed += err != ERR_NOT_FOUND;
        drop_digest(e);
    }
    count_bytes(e);
    link_init(&heard);
    while (!link_empty(&e->waiters))
        link_move_tail(&heard, e->waiters.next);
    take_latecomers(e);
    if (!link_empty(&e->waiters)) {
        e->phase = PHASE_LINE;
        link_move_tail(&ds->line, &e->place);
    } else {
        link_move_tail(&ds->kept, &e->place);
        ds->kept_count++;
        shrink(ds); /* may free e */
    }
    answer(&heard, err, v);
    digests_unref(&v);
    serve_line(ds);
    free_closed(ds);
}

/* ---- worker steps ---- */

static void queue(struct entry *e, enum phase phase, uv_work_cb work, uv_after_work_cb after)
{
    e->phase = phase;
    e->err = 0;
    CHECK(uv_queue_work(e->ds->loop, &e->req, work, after) == 0);
}

static void work_view(uv_work_t *req)
{
    struct entry *e = req->data;

    if (e->needs_store) {
        (void)digest_feed_store(e->ctx->archive, &e->key, e->digest, e->epoch);
        e->needs_store = 0;
    }
    e->err = digest_copy(e->digest, &e->copy);
    if (e->err >= 0)
        e->err = digest_settle(e->copy);
    if (e->err < 0)
        digest_free(&e->copy);
}

static void on_viewed(uv_work_t *req, int status)
{
    struct entry *e = req->data;

    if (e->err >= 0) {
        e->view = must_calloc(1, sizeof *e->view);
        e->view->refs = 1;
        e->view->epoch = e->epoch;
        e->view->digest = e->copy;
        e->copy = NULL;
    }
    end_round(e, e->err);
}

static void finish(struct entry *e)
{
    if (e->view)
        end_round(e, 0);
    else
        queue(e, PHASE_VIEWING, work_view, on_viewed);
}

/* ---- those who cannot wait for all of it ---- */

static void round_go_on(struct entry *e)
{
    if (e->has_more)
        queue(e, PHASE_FEEDING, work_feed, on_fed);
    else
        round_ask(e);
}

static int is_due(const struct digests_wait *w, int64_t now_us)
{
    return w->by_us && now_us >= w->by_us;
}

/* Move those who are due to another list; how many. */
static unsigned take_due(struct link *from, int64_t now_us, struct link *to)
{
    struct link *l = from->next, *next;
    unsigned count = 0;

    for (; l != from; l = next) {
        next = l->next;
        if (!is_due(LINK_OF(l, struct digests_wait, place), now_us))
            continue;
        count++;
        if (to)
            link_move_tail(to, l);
    }
    return count;
}

static void work_part(uv_work_t *req)
{
    struct entry *e = req->data;

    e->err = digest_copy(e->digest, &e->copy);
    if (e->err >= 0)
        e->err = digest_settle(e->copy);
    if (e->err < 0)
        digest_free(&e->copy);
}

static void on_part(uv_work_t *req, int status)
{
    struct entry *e = req->data;
    int64_t now_us = clock_mono_us();
    struct digests_view *v;
    struct link heard;

    if (e->err < 0 || e->ds->is_closed) {
        digest_free(&e->copy);
        end_round(e, e->err < 0 ? e->err : ERR_CANCELLED);
        return;
    }
    v = must_calloc(1, sizeof *v);
    v->refs = 1;
    v->epoch = e->epoch;
    v->digest = e->copy;
    e->copy = NULL;
    link_init(&heard);
    take_due(&e->waiters, now_us, &heard);
    take_due(&e->latecomers, now_us, &heard);
    round_go_on(e);
    answer(&heard, 0, v);
    digests_unref(&v);
}

static void work_feed(uv_work_t *req)
{
    struct entry *e = req->data;
    struct digest *d = e->digest;

    e->has_more = 0;
    if (e->archive_to) {
        e->err = digest_feed_archive(e->ctx->archive, &e->key, d, e->archive_to);
        e->has_more = e->err > 0;
        if (e->err == 0 && d->upto < e->archive_to) /* trimmed, but not archived: gone */
            e->err = digest_lost(d, d->upto + 1, e->archive_to);
        return;
    }
    for (uint32_t i = 0; i < e->frame_count && e->err >= 0; i++) {
        const struct frame *f = e->frames[i];

        if (f->first_seq > d->upto + 1)
            e->err = digest_lost(d, d->upto + 1, f->first_seq - 1);
        if (e->err >= 0)
            e->err = digest_add_frame(d, f);
    }
}

static void on_fed(uv_work_t *req, int status)
{
    struct entry *e = req->data;
    int64_t now_us = clock_mono_us();

    drop_frames(e);
    if (e->err < 0 || e->ds->is_closed)
        end_round(e, e->err < 0 ? e->err : ERR_CANCELLED);
    else if (!e->has_more && e->digest->upto >= e->goal)
        finish(e);
    else if (take_due(&e->waiters, now_us, NULL) + take_due(&e->latecomers, now_us, NULL))
        queue(e, PHASE_VIEWING, work_part, on_part);
    else
        round_go_on(e);
}

static void feed(struct entry *e)
{
    digests_unref(&e->view);
    queue(e, PHASE_FEEDING, work_feed, on_fed);
}

static void work_load(uv_work_t *req)
{
    struct entry *e = req->data;

    e->err = digest_feed_load(e->ctx->archive, &e->key, e->epoch, &e->digest);
    if (e->err == ERR_NOT_FOUND)
        e->err = digest_new(&cause_classifier, &e->digest);
    else if (e->err >= 0)
        e->err = 1;
}

static void on_loaded(uv_work_t *req, int status)
{
    struct entry *e = req->data;

    if (e->err < 0 || e->ds->is_closed) {
        end_round(e, e->err < 0 ? e->err : ERR_CANCELLED);
        return;
    }
    e->ds->stats.loaded += e->err == 1;
    round_ask(e);
}

/* ---- Redis ---- */

/* What Redis no longer holds comes from the segments. */
static void feed_archive(struct entry *e, uint64_t to)
{
    e->archive_to = to;
    e->needs_store = 1;
    e->ds->stats.made++;
    feed(e);
}

static void on_read(void *user, int err, struct frame *const *frames, uint32_t count,
                    uint64_t first_held, uint64_t tail_seq, uint64_t epoch)
{
    struct entry *e = user;

    if (err < 0 || e->ds->is_closed) {
        end_round(e, err < 0 ? err : ERR_CANCELLED);
        return;
    }
    if (!e->goal)
        e->goal = tail_seq;
    if (e->epoch != epoch) {
        drop_digest(e);
        e->epoch = epoch;
        e->goal = tail_seq;
    }
    if (!e->digest) {
        queue(e, PHASE_LOADING, work_load, on_loaded);
        return;
    }
    if (e->digest->upto >= tail_seq) {
        finish(e);
        return;
    }
    if (count)
        first_held = frames[0]->first_seq < first_held ? frames[0]->first_seq : first_held;
    if (e->digest->upto + 1 < first_held) {
        feed_archive(e, first_held - 1);
        return;
    }
    if (!count) { /* promised, but not there: trimmed beside us. Ask again */
        if (++e->empty_count > DIGESTS_EMPTY_MAX)
            end_round(e, ERR_UNAVAILABLE);
        else
            round_ask(e);
        return;
    }
    e->empty_count = 0;
    e->archive_to = 0;
    for (uint32_t i = 0; i < count && i < DIGESTS_FRAMES; i++)
        e->frames[e->frame_count++] = frame_ref(frames[i]);
    e->ds->stats.records += frame_last_seq(frames[e->frame_count - 1]) - e->digest->upto;
    feed(e);
}

static void round_ask(struct entry *e)
{
    e->phase = PHASE_ASKING;
    stream_read(e->ctx->stream, &e->key, e->digest ? e->digest->upto : 0,
                e->digest ? DIGESTS_FRAMES : 1, on_read, e);
}

static void serve_line(struct digests *ds)
{
    struct entry *e;

    while (!ds->is_closed && ds->busy_count < DIGESTS_BUSY_MAX && (e = first_of(&ds->line))) {
        link_move_tail(&ds->busy, &e->place);
        ds->busy_count++;
        e->goal = 0;
        e->empty_count = 0;
        round_ask(e);
    }
}

/* ---- the face ---- */

void digests_get(struct serve_ctx *ctx, const struct job_key *key, digests_fn *done, void *user,
                 struct digests_wait **ret_wait)
{
    digests_get_by(ctx, key, 0, done, user, ret_wait);
}

void digests_get_by(struct serve_ctx *ctx, const struct job_key *key, int64_t by_us, digests_fn *done, void *user,
                    struct digests_wait **ret_wait)
{
    struct digests *ds = ctx->digests;
    struct entry *e = find(ds, key);
    struct digests_wait *w = must_calloc(1, sizeof *w);

    ds->stats.asked++;
    w->done = done;
    w->user = user;
    w->by_us = by_us;
    link_init(&w->place);
    *ret_wait = w;
    if (!e)
        e = add_entry(ctx, key);
    else if (e->phase == PHASE_IDLE)
        ds->kept_count--;
    if (e->phase == PHASE_IDLE) {
        e->phase = PHASE_LINE;
        link_move_tail(&ds->line, &e->place);
    }
    link_move_tail(e->phase == PHASE_LINE ? &e->waiters : &e->latecomers, &w->place);
    serve_line(ds);
}

void digests_cancel(struct digests_wait **w)
{
    if (!*w)
        return;
    link_del(&(*w)->place);
    free(*w);
    *w = NULL;
}

void digests_stats(const struct serve_ctx *ctx, struct digests_stats *ret)
{
    *ret = ctx->digests->stats;
    ret->busy = ctx->digests->busy_count;
    ret->kept = ctx->digests->kept_count;
}

struct digests *digests_new(uv_loop_t *loop)
{
    struct digests *ds = must_calloc(1, sizeof *ds);

    ds->loop = loop;
    link_init(&ds->kept);
    link_init(&ds->line);
    link_init(&ds->busy);
    return ds;
}

void digests_free(struct digests **pds)
{
    struct digests *ds = *pds;
    struct entry *e;

    *pds = NULL;
    if (!ds)
        return;
    ds->is_closed = 1;
    while ((e = first_of(&ds->line))) {
        e->phase = PHASE_IDLE;
        free_entry(e);
    }
    shrink(ds);
    free_closed(ds); /* else with the end of the last step */
}

/*
 * stream/append_group.c -- small batches without a producer that arrive while another one of their job is on its
 * way to Redis leave together, as one entry, when it has its answer.
 *
 *     1 on its way ──────────────► answer
 *          2, 3, 4 wait               └─ one load of 2+3+4 ──────► answer: 2, 3 and 4 each get their numbers
 *
 * Many clients that send a line each cost one script call a round trip, not one each. Order is that of the calls: a
 * batch that cannot wait (large, packed, of a producer) sends those that wait first.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/pack.h"
#include "stream/append_int.h"

#include <stdlib.h>
#include <string.h>

#define PACK_BYTES_MIN 4096
#define PACK_LEVEL 1

/* Of one job, while any append of it that could have been grouped is on its way. */
struct group {
    struct append_queue waiting;
    uint32_t flying, count;
    uint64_t lines;
    size_t bytes;
};

/* What a load was made of. */
struct load {
    struct append_queue parts;
};

static struct group *group_of(struct stream *st, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];

    job_key_text(key, text);
    return map_get(st->groups, text, strlen(text));
}

static struct group *group_open(struct stream *st, const struct job_key *key)
{
    char text[JOB_KEY_TEXT_BYTES];
    struct group *g = must_calloc(1, sizeof *g);

    STAILQ_INIT(&g->waiting);
    job_key_text(key, text);
    CHECKF(!map_put(st->groups, text, strlen(text), g), "job=%s", text);
    return g;
}

static int may_wait(const struct batch *b)
{
    return !b->producer.id[0] && !b->is_gap && b->frame_count == 1 && !b->frames[0].packed && !b->frames[0].sum.is_state &&
           b->frames[0].raw_bytes <= APPEND_GROUP_PART_BYTES_MAX;
}

/* ---- a load and its answer ---- */

static void on_load_answered(void *user, const struct append_result *res)
{
    struct load *l = user;
    struct append *a;
    uint64_t first = res->first;

    while ((a = STAILQ_FIRST(&l->parts)) != NULL) {
        STAILQ_REMOVE_HEAD(&l->parts, link);
        a->res = *res;
        if (res->accepted) {
            a->res.first = first;
            a->res.accepted = a->batch->line_count;
            a->res.last = first + a->res.accepted - 1;
            first += a->res.accepted;
        }
        append__finish(a, res->err);
    }
    free(l);
}

static void pack(struct batch *b)
{
    struct batch_frame *f = &b->frames[0];
    struct buf out = BUF_INIT;

    if (f->raw_bytes >= PACK_BYTES_MIN && pack_zstd(&out, f->raw, f->raw_bytes, PACK_LEVEL) == 0 && out.len < f->raw_bytes) {
        f->packed = must_calloc(1, out.len);
        memcpy(f->packed, out.data, out.len);
        f->packed_bytes = out.len;
    }
    buf_release(&out);
}

/* All that wait in g, as one append. */
static struct append *make_load(struct group *g)
{
    struct append *a, *first = STAILQ_FIRST(&g->waiting), *load = must_calloc(1, sizeof *load);
    struct batch **parts = must_calloc(g->count, sizeof(struct batch *));
    struct load *l = must_calloc(1, sizeof *l);
    uint32_t n = 0;

    STAILQ_FOREACH(a, &g->waiting, link)
        parts[n++] = a->batch;
    CHECKF(n == g->count, "n=%u count=%u", n, g->count);
    load->st = first->st;
    load->key = first->key;
    load->batch = batch_join(parts, n);
    free(parts);
    pack(load->batch);
    load->done = on_load_answered;
    load->user = l;
    load->deadline_us = first->deadline_us;
    load->started_us = first->started_us;
    load->serial = first->serial;
    load->is_load = 1;
    STAILQ_INIT(&l->parts);
    STAILQ_CONCAT(&l->parts, &g->waiting);
    stream__call_begin(load->st);
    return load;
}

static void flush(struct group *g)
{
    struct append *a = STAILQ_FIRST(&g->waiting);

    if (!a)
        return;
    if (g->count > 1)
        a = make_load(g);
    else
        STAILQ_REMOVE_HEAD(&g->waiting, link);
    g->count = 0;
    g->lines = 0;
    g->bytes = 0;
    g->flying++;
    a->in_group = 1;
    append__go(a);
}

/* ---- what append.c asks ---- */

int append_group__takes(struct append *a)
{
    struct group *g = group_of(a->st, &a->key);
    const struct batch *b = a->batch;

    if (!may_wait(b)) {
        if (g)
            flush(g);
        return 0;
    }
    if (!g) {
        g = group_open(a->st, &a->key);
        g->flying = 1;
        a->in_group = 1;
        return 0;
    }
    if (g->bytes + b->raw_bytes > APPEND_GROUP_BYTES_MAX || g->lines + b->line_count > APPEND_GROUP_LINES_MAX)
        flush(g);
    STAILQ_INSERT_TAIL(&g->waiting, a, link);
    g->count++;
    g->lines += b->line_count;
    g->bytes += b->raw_bytes;
    return 1;
}

void append_group__flush(struct stream *st, const struct job_key *key)
{
    struct group *g = group_of(st, key);

    if (g)
        flush(g);
}

void append_group__landed(struct stream *st, const struct job_key *key, int err)
{
    struct group *g = group_of(st, key);
    char text[JOB_KEY_TEXT_BYTES];
    struct append *a;

    CHECK(g && g->flying > 0);
    g->flying--;
    if (err != ERR_CANCELLED)
        flush(g);
    if (g->flying)
        return;
    job_key_text(key, text);
    map_del(st->groups, text, strlen(text));
    while ((a = STAILQ_FIRST(&g->waiting)) != NULL) { /* the connection is closed */
        STAILQ_REMOVE_HEAD(&g->waiting, link);
        append__finish(a, ERR_CANCELLED);
    }
    free(g);
}

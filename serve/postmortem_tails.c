/*
 * serve/postmortem_tails.c -- the last lines of a few ranks, read backwards in bounded amounts.
 *
 * The digest knows where each rank spoke last, so a read begins there and needs few frames, wherever they lie.
 */
#include "serve/postmortem_int.h"

#include "base/check.h"
#include "base/err.h"
#include "base/utf8.h"
#include "digest/plain.h"
#include "serve/reader.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_BACK 50000 /* records before a rank's last line that are looked at for its others */

struct postmortem_reading {
    struct serve_ctx *ctx;
    struct job_key key;
    struct postmortem_tail *tails;
    struct postmortem_want wants[POSTMORTEM_TAILS_MAX];
    unsigned count, at, lines;
    uint64_t epoch;
    struct reader *reader;
    struct buf plain;
    int err; /* a line is missing */
    void (*done)(void *user);
    void *user;
};

static void want(struct postmortem_want *wants, unsigned *count, const struct digest *d,
                 int32_t rank, uint32_t replica)
{
    const struct digest_rank *r = digest_rank_of(d, rank, replica);

    if (!r || !r->lines || *count == POSTMORTEM_TAILS_MAX)
        return;
    for (unsigned i = 0; i < *count; i++)
        if (wants[i].rank == rank)
            return;
    wants[(*count)++] = (struct postmortem_want){rank, r->last.seq};
}

/* Who spoke last of all. */
static const struct digest_rank *last_to_speak(const struct digest *d)
{
    const struct digest_rank *last = NULL;

    for (uint32_t i = 0; i < d->rank_count; i++)
        if (!last || d->ranks[i].last.seq > last->last.seq)
            last = &d->ranks[i];
    return last;
}

unsigned postmortem__wants(const struct verdict *v, const struct digest *d,
                           struct postmortem_want wants[POSTMORTEM_TAILS_MAX])
{
    const struct digest_rank *last = last_to_speak(d);
    unsigned count = 0;

    if (v->rank >= 0)
        want(wants, &count, d, v->rank, 0);
    for (uint32_t i = 0; i < v->rank_count && count + 2 < POSTMORTEM_TAILS_MAX; i++)
        if (v->ranks[i].entry && (v->ranks[i].status == VERDICT_STATUS_FAILED ||
                                  v->ranks[i].status == VERDICT_STATUS_SILENT ||
                                  v->ranks[i].status == VERDICT_STATUS_FAILED_FIRST))
            want(wants, &count, d, v->ranks[i].rank, v->ranks[i].entry->replica);
    if (v->group)
        want(wants, &count, d, v->group->first_rank, v->group->first_replica);
    for (uint32_t i = 0; i < v->cause_count; i++)
        if (v->causes[i].role == VERDICT_ROLE_CASCADE && v->causes[i].rank >= 0)
            want(wants, &count, d, v->causes[i].rank, 0);
    if (last)
        want(wants, &count, d, last->rank, last->replica);
    return count;
}

/* One line from its end on: lines come newest first and are put in front. */
static void take_line(struct postmortem_reading *r, const char *line, size_t len)
{
    struct postmortem_tail *t = &r->tails[r->at];
    struct record_view v;
    const char *text;
    char *copy;
    size_t n;
    int err;

    if (t->count == r->lines || record_parse(line, len, &v) < 0 || v.is_state)
        return;
    err = plain_from_json(&r->plain, v.msg_json, v.msg_json_len, &text, &n);
    if (err == ERR_NOMEM)
        r->err = err;
    if (err < 0)
        return;
    if (n > POSTMORTEM_LINE_BYTES)
        n = utf8_valid_prefix(text, POSTMORTEM_LINE_BYTES);
    memmove(t->lines + 1, t->lines, t->count * sizeof *t->lines);
    copy = must_malloc(n + 1);
    memcpy(copy, text, n); /* it may hold NUL */
    copy[n] = '\0';
    t->lines[0] = (struct postmortem_line){v.seq, v.ts_us, v.level, copy, n};
    t->count++;
}

static void take_slice(struct postmortem_reading *r, const char *data, size_t len)
{
    for (size_t i = 0; i < len;) {
        const char *end = memchr(data + i, '\n', len - i);
        size_t n = end ? (size_t)(end - data) - i : len - i;
        take_line(r, data + i, n);
        i += n + 1;
    }
}

static void on_wake(void *user);

static void open_next(struct postmortem_reading *r)
{
    const struct postmortem_want *w = &r->wants[r->at];
    struct sieve *sieve = sieve_new();
    struct reader_options o = {.key = r->key,
                               .epoch = r->epoch,
                               .after = w->last_seq > LOOK_BACK ? w->last_seq - LOOK_BACK : 0,
                               .upto = w->last_seq,
                               .backward = 1,
                               .urgent = 1,
                               .records_max = r->lines,
                               .shape = {.kind = SHAPE_NDJSON, .skip_states = 1}};

    sieve->filter.ranks[0] = (struct filter_range){w->rank, w->rank};
    sieve->filter.rank_count = 1;
    o.shape.sieve = sieve;
    r->tails[r->at].rank = w->rank;
    reader_open(r->ctx, &o, on_wake, r, &r->reader);
    sieve_unref(&sieve);
}

/* Read on; 0: wake follows. */
static int step(struct postmortem_reading *r)
{
    struct reader_item item;

    while (r->at < r->count) {
        if (!r->reader)
            open_next(r);
        if (!reader_next(r->reader, &item))
            return 0;
        if (item.kind == READER_SLICE) {
            take_slice(r, item.data, item.len);
            continue;
        }
        if (item.kind == READER_LOST)
            continue;
        reader_close(&r->reader); /* END, or FAILED: what there is is shown */
        r->at++;
    }
    return 1;
}

static void on_wake(void *user)
{
    struct postmortem_reading *r = user;

    if (step(r))
        r->done(r->user);
}

int postmortem__read_tails(const struct postmortem_tails_options *o, void (*done)(void *user),
                           void *user, struct postmortem_reading **ret)
{
    struct postmortem_reading *r = must_calloc(1, sizeof *r);

    r->ctx = o->ctx;
    r->key = *o->key;
    r->epoch = o->epoch;
    r->tails = o->tails;
    r->count = o->count;
    r->lines = o->lines < POSTMORTEM_TAIL_LINES ? o->lines : POSTMORTEM_TAIL_LINES;
    memcpy(r->wants, o->wants, o->count * sizeof *o->wants);
    r->done = done;
    r->user = user;
    *ret = r;
    if (!r->lines)
        r->count = 0;
    return step(r);
}

int postmortem__reading_err(const struct postmortem_reading *r)
{
    return r->err;
}

void postmortem__reading_free(struct postmortem_reading **rp)
{
    struct postmortem_reading *r = *rp;

    if (!r)
        return;
    reader_close(&r->reader);
    buf_release(&r->plain);
    free(r);
    *rp = NULL;
}

void postmortem__tails_free(struct postmortem_tail *tails, unsigned count)
{
    for (unsigned i = 0; tails && i < count; i++)
        for (unsigned k = 0; k < tails[i].count; k++)
            free(tails[i].lines[k].text);
    free(tails);
}

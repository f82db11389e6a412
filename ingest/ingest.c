/*
 * ingest/ingest.c -- the room's frame: opening, closing, draining, memory and counters.
 */
#include "ingest/ingest_int.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "ingest/marks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_MS 250

static void free_when_empty(struct ingest *i)
{
    if (!i->closed || i->open_count || i->handle_count) return;
    while (i->spare_count) decoder_free(&i->spares[--i->spare_count]);
    marks_pool_free(&i->marks);
    free(i);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct ingest *i = h->data;
    i->handle_count--;
    free_when_empty(i);
}

static void on_flush(uv_prepare_t *h)
{
    agent__flush_all(h->data);
}

static void on_sweep(uv_timer_t *h)
{
    agent__sweep_all(h->data);
}

int ingest_open(const struct ingest_options *o, struct ingest **ret_ingest)
{
    struct ingest *i;

    if (o->line_bytes_max < 16 || o->line_bytes_max > DECODE_LINE_BYTES_MAX) return ERR_INVALID;
    i = must_calloc(1, sizeof *i);
    i->o = *o;
    i->flush_us = INGEST_FLUSH_US;
    i->marks = marks_pool_new();
    i->handle_count = 2;
    uv_prepare_init(o->loop, &i->flush);
    uv_timer_init(o->loop, &i->sweep);
    i->flush.data = i->sweep.data = i;
    /* neither keeps the loop alive */
    uv_prepare_start(&i->flush, on_flush);
    uv_timer_start(&i->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    uv_unref((uv_handle_t *)&i->flush);
    uv_unref((uv_handle_t *)&i->sweep);
    stops__open(i);
    *ret_ingest = i;
    return 0;
}

void ingest_close(struct ingest **i)
{
    struct ingest *in = *i;

    if (!in) return;
    *i = NULL;
    in->closed = in->draining = 1;
    stops__close(in);
    uv_close((uv_handle_t *)&in->flush, on_handle_closed);
    uv_close((uv_handle_t *)&in->sweep, on_handle_closed);
}

void ingest__enter(struct ingest *i)
{
    i->open_count++;
}

void ingest__leave(struct ingest *i)
{
    CHECK(i->open_count > 0);
    i->open_count--;
    free_when_empty(i);
}

void ingest_drain(struct ingest *i)
{
    i->draining = 1;
    agent__drain_all(i);
}

int ingest_idle(const struct ingest *i)
{
    return i->open_count == 0;
}

void ingest_stats(const struct ingest *i, struct ingest_stats *ret)
{
    *ret = i->stats;
}

int ingest__charge(struct ingest *i, size_t *charged, size_t now)
{
    if (now > *charged) {
        size_t more = now - *charged;
        size_t total = __atomic_add_fetch(&i->memory_bytes, more, __ATOMIC_RELAXED);
        if (total > i->o.memory_bytes_max) {
            __atomic_sub_fetch(&i->memory_bytes, more, __ATOMIC_RELAXED);
            return ERR_BUSY;
        }
    } else {
        __atomic_sub_fetch(&i->memory_bytes, *charged - now, __ATOMIC_RELAXED);
    }
    *charged = now;
    return 0;
}

int ingest__decoder_get(struct ingest *i, const struct decode_options *o, struct decoder **ret_decoder)
{
    int err;

    if (!i->spare_count) return decoder_new(o, ret_decoder);
    err = decoder_reset(i->spares[i->spare_count - 1], o);
    if (err) return err;
    *ret_decoder = i->spares[--i->spare_count];
    return 0;
}

void ingest__decoder_put(struct ingest *i, struct decoder **d)
{
    if (*d && i->spare_count < INGEST_SPARE_DECODERS_MAX) {
        i->spares[i->spare_count++] = *d;
        *d = NULL;
    }
    decoder_free(d);
}

void ingest__count_batch(struct ingest *i, const struct batch *b)
{
    i->stats.batches++;
    i->stats.lines += b->line_count;
    i->stats.bytes += b->msg_bytes;
    i->stats.utf8_replaced += b->replaced_utf8_count;
    i->stats.nul_kept += b->nul_count;
    i->stats.lines_split += b->split_count;
    i->stats.lines_skipped_bad += b->skipped_bad_count;
    redact_counts_add(&i->stats.redacted, &b->redacted);
}

struct answer ingest__answer(int err)
{
    struct answer a = {500, 0, err_code(err), err_text(err)};

    switch (err) {
    case ERR_INVALID: a.status = 400; break;
    case ERR_NOT_FOUND: a.status = 404; break;
    case ERR_GAP:
    case ERR_FENCED:
    case ERR_SEALED:
    case ERR_TRANSITION: a.status = 409; break;
    case ERR_TOO_BIG:
    case ERR_LIMIT: a.status = 413; a.code = err_code(ERR_TOO_BIG); break;
    case ERR_UNSUPPORTED: a.status = 415; break;
    case ERR_BUSY: a.status = 429; a.retry_after = 1; break;
    case ERR_FULL: a.status = 503; a.retry_after = 5; break;
    case ERR_TIMEOUT:
    case ERR_UNAVAILABLE:
    case ERR_READONLY:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_CLOSED:
    case ERR_CANCELLED: a.status = 503; a.retry_after = 1; break;
    default: break;
    }
    return a;
}

struct token *ingest__token(const struct caller *c)
{
    return c && c->token ? token_ref(c->token) : NULL;
}

int64_t ingest__quota_wait(struct ingest *i, struct token *t, enum quota *ret_which)
{
    int64_t wait = t ? quota_wait(&t->quotas, &t->use, clock_mono_us(), ret_which) : 0;

    if (wait) i->stats.refused_quota[*ret_which]++;
    return wait;
}

void ingest__charge_quota(struct token *t, uint64_t lines, uint64_t bytes)
{
    if (t) quota_charge(&t->quotas, &t->use, lines, bytes, clock_mono_us());
}

void ingest__count_refusal(struct ingest *i, int err)
{
    switch (err) {
    case ERR_INVALID:
    case ERR_UNSUPPORTED: i->stats.refused_bad++; break;
    case ERR_TOO_BIG:
    case ERR_LIMIT: i->stats.refused_too_large++; break;
    case ERR_GAP: i->stats.refused_gap++; break;
    case ERR_FENCED: i->stats.refused_fenced++; break;
    case ERR_SEALED: i->stats.refused_sealed++; break;
    case ERR_BUSY: i->stats.refused_busy++; break;
    default: i->stats.refused_unavailable++; break;
    }
}

int ingest__number(const char *s, uint64_t *ret)
{
    uint64_t v = 0;

    if (!*s) return ERR_INVALID;
    for (; *s; s++) {
        if (*s < '0' || *s > '9') return ERR_INVALID;
        v = v * 10 + (uint64_t)(*s - '0');
        if (v > INGEST_NUMBER_MAX) return ERR_INVALID;
    }
    *ret = v;
    return 0;
}

int ingest__time(const struct json_tree *v, const char *key, int64_t *ret_us)
{
    const struct json_tree *t = json_tree_get(v, key);
    char number[64];
    const char *text = number;
    int64_t whole;

    if (!t || json_tree_is_null(t)) return 0;
    if (json_tree_is_str(t)) {
        text = json_tree_str(t);
    } else if (!json_tree_is_num(t)) {
        return ERR_INVALID;
    } else if (json_tree_i64(t, &whole) == 0) {
        snprintf(number, sizeof number, "%lld", (long long)whole);
    } else { /* a fraction of a second, or nanoseconds beyond 2^53: both good to the microsecond */
        double d = json_tree_double(t);
        if (!(d >= 0 && d < 1e20)) return ERR_INVALID;
        snprintf(number, sizeof number, d < 1e15 ? "%.6f" : "%.0f", d);
    }
    if (clock_parse_rfc3339(text, strlen(text), ret_us) == 0) return 1;
    return clock_parse_epoch(text, strlen(text), ret_us) == 0 ? 1 : ERR_INVALID;
}

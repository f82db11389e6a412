/*
 * serve/baseten_page.c -- which records of a window make the page that was asked for.
 *
 *     limit:      MATCH the limit-th line -> TIME of it -> EDGE of its millisecond -> the page
 *                    ^                                        |
 *                    '---- all of it in one millisecond ------'
 *     no limit, ascending:    MEASURE back from the end until the budget is spent -> EDGE -> the page
 *     no limit, descending:   the whole window; the read itself ends at the budget
 *
 * A descending page that would be nothing but the last millisecond of its window, and full, is cut short: who
 * pages back has had it all (serve/baseten_logs.h).
 *
 * Without a filter the limit-th line is arithmetic; with one, matches are counted. Where records are lost
 * a page comes out short: then the read goes on with what is left of the window (baseten_logs.c), for a
 * short page is the last one to a client.
 */
#include "serve/baseten_logs_int.h"

#include "base/err.h"

static void count(struct logs *l, uint64_t from_seq, uint64_t n, void (*on_items)(struct logs *l));
static void find_edge(struct logs *l);

static void take_all(struct logs *l)
{
    logs__read(l, l->a, l->b);
}

/* There is nothing before the single millisecond, if it is one, that the page is of. */
static void take_rest(struct logs *l)
{
    if (!l->q.asc && l->q.limit > 1 && !l->given && l->q.has_end && l->first_ms == l->q.end_ms && l->nth_ms == l->q.end_ms)
        l->a = l->nth + 1;
    take_all(l);
}

static void take_to(struct logs *l, uint64_t seq)
{
    if (l->q.asc)
        logs__read(l, l->a, seq);
    else
        logs__read(l, seq, l->b);
}

/* ---- the edge of the last line's millisecond ---- */

static void on_second(struct logs *l);

static void on_edge(void *user, int err, const struct moments *m)
{
    struct logs *l = user;
    uint64_t edge;

    if (!logs__came_back(l, err))
        return;
    edge = l->q.asc ? m->at[0].seq - 1 : m->at[0].seq;
    if (l->q.asc ? edge >= l->b : edge <= l->a) {
        if (l->is_second)
            take_all(l);
        else
            take_rest(l);
    } else if (l->first_ms != l->match_ms || l->is_second) {
        take_to(l, edge);
    } else {
        l->is_second = 1;
        l->match = edge;
        count(l, l->q.asc ? edge + 1 : edge - 1, 1, on_second);
    }
}

static void on_time(void *user, int err, const struct moments *m)
{
    struct logs *l = user;
    struct moment_ask ask = {0};

    if (!logs__came_back(l, err))
        return;
    if (!m->at[0].ns) { /* not known any more: there is no millisecond to keep whole */
        take_to(l, l->match);
        return;
    }
    l->match_ms = m->at[0].ns / NS_PER_MS;
    l->first_ms = m->at[1].ns / NS_PER_MS;
    if (!l->is_second) {
        l->nth = l->match;
        l->nth_ms = l->match_ms;
    }
    ask.us = (l->match_ms + (l->q.asc ? 1 : 0)) * 1000;
    logs__find_moments(l, 0, &ask, 1, on_edge);
}

static void find_edge(struct logs *l)
{
    struct moment_ask asks[2] = {{.seq = l->match}, {.seq = l->first_match}};

    logs__find_moments(l, 0, asks, 2, on_time);
}

/* ---- the n-th match ---- */

/* 1: found, in l->match; 0: there are less; ERR_BUSY: not yet known, or failed. */
static int counted(struct logs *l)
{
    struct reader_item item;

    while (reader_next(l->reader, &item)) {
        if (item.kind == READER_SLICE)
            l->match = item.slice.given_seq;
        if (item.kind != READER_END && item.kind != READER_FAILED)
            continue;
        reader_close(&l->reader);
        if (item.kind == READER_END)
            return item.limited;
        logs__fail(l, item.err);
        return ERR_BUSY;
    }
    return ERR_BUSY;
}

/* n matches from a record on, or from it back; on_items asks counted(). */
static void count(struct logs *l, uint64_t from_seq, uint64_t n, void (*on_items)(struct logs *l))
{
    if (l->q.asc)
        logs__open_reader(l, from_seq, l->b, 0, SHAPE_COUNT, n, on_items);
    else
        logs__open_reader(l, l->a, from_seq, 1, SHAPE_COUNT, n, on_items);
}

static void on_second(struct logs *l)
{
    int found = counted(l);

    if (found == 1)
        find_edge(l);
    else if (found == 0)
        take_rest(l);
}

static void on_nth(struct logs *l)
{
    int found = counted(l);

    if (found == 1)
        find_edge(l);
    else if (found == 0)
        take_all(l);
}

static void on_first(struct logs *l)
{
    int found = counted(l);

    if (found == 0)
        take_all(l);
    if (found != 1)
        return;
    l->first_match = l->match;
    if (l->want == 1)
        find_edge(l);
    else if (l->q.asc ? l->match >= l->b : l->match <= l->a)
        take_all(l);
    else
        count(l, l->q.asc ? l->match + 1 : l->match - 1, l->want - 1, on_nth);
}

static void find_limit(struct logs *l)
{
    l->is_second = 0;
    if (!sieve_is_open(l->sieve)) {
        count(l, l->q.asc ? l->a : l->b, 1, on_first);
        return;
    }
    if (l->b - l->a + 1 < l->want) {
        take_all(l);
        return;
    }
    l->first_match = l->q.asc ? l->a : l->b;
    l->match = l->q.asc ? l->a + l->want - 1 : l->b - l->want + 1;
    find_edge(l);
}

/* ---- the newest that the budget allows, ascending ---- */

static void on_measured_edge(void *user, int err, const struct moments *m)
{
    struct logs *l = user;

    if (logs__came_back(l, err))
        logs__read(l, m->at[0].seq > l->a ? m->at[0].seq : l->a, l->b);
}

static void on_measured_time(void *user, int err, const struct moments *m)
{
    struct logs *l = user;
    struct moment_ask ask = {0};

    if (!logs__came_back(l, err))
        return;
    ask.us = m->at[0].ns / NS_PER_MS * 1000;
    if (m->at[0].ns)
        logs__find_moments(l, 0, &ask, 1, on_measured_edge);
    else
        logs__read(l, l->reached, l->b);
}

static void measure(struct logs *l)
{
    struct reader_item item;
    struct moment_ask ask = {0};

    while (l->bytes < BASETEN_BYTES_MAX) {
        if (!reader_next(l->reader, &item))
            return;
        if (item.kind == READER_FAILED) {
            logs__fail(l, item.err);
            return;
        }
        if (item.kind == READER_END) {
            reader_close(&l->reader);
            take_all(l);
            return;
        }
        if (item.kind == READER_SLICE) {
            l->bytes += item.len + 1;
            l->reached = item.slice.given_seq;
        }
    }
    reader_close(&l->reader);
    ask.seq = l->reached;
    logs__find_moments(l, 0, &ask, 1, on_measured_time);
}

void logs__cut_page(struct logs *l)
{
    l->bytes = 0;
    if (l->q.limit)
        find_limit(l);
    else if (l->q.asc)
        logs__open_reader(l, l->a, l->b, 1, SHAPE_BASETEN, 0, measure);
    else
        take_all(l);
}

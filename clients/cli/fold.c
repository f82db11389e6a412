/*
 * clients/cli/fold.c -- a window of pieces, in order, and each rank's queue of them.
 */
#include "clients/cli/fold.h"

#include "base/check.h"
#include "base/map.h"
#include "clients/cli/fold_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANKS_SHOWN_BYTES 48 /* of the list of ranks in a remark */

/* A line, or lines held together. */
struct piece {
    struct piece *next;      /* in the window */
    struct piece *next_own;  /* of the same rank */
    struct source *source;
    struct buf lines;        /* canonical, each with its newline */
    struct buf key;
    uint64_t hash;           /* of key */
    int64_t ts_us, came_us;
    uint64_t number;         /* of its first record */
    unsigned line_count;
    char stream[RECORD_STREAM_BYTES_MAX + 1];
    int gone;                /* absorbed */
};

struct source {
    int32_t rank;
    struct piece *first, *last;
};

struct fold {
    int64_t hold_us;
    fold_fn *give;
    void *user;
    struct map *sources; /* by rank */
    struct piece *first, *last;
    uint64_t number; /* of records */
    size_t bytes;
    struct buf scratch;
};

struct fold *fold_new(int64_t hold_us, fold_fn *give, void *user)
{
    struct fold *f = must_calloc(1, sizeof *f);

    f->hold_us = hold_us;
    f->give = give;
    f->user = user;
    f->sources = map_new();
    return f;
}

static void free_piece(struct fold *f, struct piece *p)
{
    f->bytes -= p->lines.len + p->key.len;
    buf_release(&p->lines);
    buf_release(&p->key);
    free(p);
}

void fold_free(struct fold **fp)
{
    struct fold *f = *fp;
    size_t at = 0;
    void *source;

    *fp = NULL;
    if (!f)
        return;
    while (f->first) {
        struct piece *p = f->first;

        f->first = p->next;
        free_piece(f, p);
    }
    while ((source = map_next(f->sources, &at, NULL, NULL)))
        free(source);
    map_free(&f->sources);
    buf_release(&f->scratch);
    free(f);
}

static struct source *source_of(struct fold *f, int32_t rank)
{
    struct source *s = map_get(f->sources, (const char *)&rank, sizeof rank);

    if (!s) {
        s = must_calloc(1, sizeof *s);
        s->rank = rank;
        map_put(f->sources, (const char *)&rank, sizeof rank, s);
    }
    return s;
}

/* The number behind "name": among the fields of a record; 0: it has none. */
static unsigned field_number(const struct record_view *v, const char *mark)
{
    const char *at = v->fields_json
                         ? memmem(v->fields_json, v->fields_json_len, mark, strlen(mark))
                         : NULL;

    return at ? (unsigned)strtoul(at + strlen(mark), NULL, 10) : 0; /* fields end in '}' */
}

/* The piece a continuation belongs to: the rank's last one of that stream, when this is its next line. */
static struct piece *piece_of(const struct source *s, const struct record_view *v)
{
    unsigned block = field_number(v, "\"block\":"), part = field_number(v, "\"part\":{\"n\":");
    struct piece *found = NULL;

    if (block < 2 && part < 2)
        return NULL;
    for (struct piece *p = s->first; p; p = p->next_own)
        if (strlen(p->stream) == v->stream_len && !memcmp(p->stream, v->stream ? v->stream : "", v->stream_len))
            found = p;
    return found && (part >= 2 || block == found->line_count + 1) ? found : NULL;
}

static uint64_t hash_more(uint64_t h, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return h;
}

static void add_line(struct fold *f, struct piece *p, const struct record_view *v, const char *line,
                     size_t len)
{
    size_t before = p->lines.len + p->key.len, key = p->key.len;

    buf_clear(&f->scratch);
    record_msg(v, &f->scratch);
    fold_key(&p->key, f->scratch.data ? f->scratch.data : "", f->scratch.len, v->rank, v->replica,
             v->replica_len);
    buf_addc(&p->key, '\n');
    p->hash = hash_more(p->hash, p->key.data + key, p->key.len - key);
    buf_add(&p->lines, line, len);
    if (!len || line[len - 1] != '\n')
        buf_addc(&p->lines, '\n');
    p->line_count += field_number(v, "\"part\":{\"n\":") < 2;
    f->bytes += p->lines.len + p->key.len - before;
}

static struct piece *new_piece(struct fold *f, struct source *s, const struct record_view *v,
                               int64_t now_us)
{
    struct piece *p = must_calloc(1, sizeof *p);

    p->source = s;
    p->hash = UINT64_C(0xcbf29ce484222325);
    p->ts_us = v->ts_us;
    p->came_us = now_us;
    p->number = f->number;
    snprintf(p->stream, sizeof p->stream, "%.*s", (int)v->stream_len, v->stream ? v->stream : "");
    *(s->last ? &s->last->next_own : &s->first) = p;
    s->last = p;
    *(f->last ? &f->last->next : &f->first) = p;
    f->last = p;
    return p;
}

/* Out of its rank's queue, where it is the first. */
static void leave_queue(struct piece *p)
{
    struct source *s = p->source;

    CHECK(s->first == p);
    s->first = p->next_own;
    if (!s->first)
        s->last = NULL;
}

static int is_same(const struct piece *a, const struct piece *b)
{
    return a->hash == b->hash && llabs(a->ts_us - b->ts_us) <= FOLD_TIME_US &&
           a->key.len == b->key.len && !memcmp(a->key.data, b->key.data, a->key.len);
}

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return x < y ? -1 : x > y;
}

/* "0-2,4", no longer than RANKS_SHOWN_BYTES or so. */
static void add_ranks(struct buf *out, const int32_t *ranks, size_t count)
{
    size_t start = out->len;

    for (size_t i = 0; i < count;) {
        size_t end = i;

        while (end + 1 < count && ranks[end + 1] == ranks[end] + 1)
            end++;
        if (out->len - start > RANKS_SHOWN_BYTES) {
            buf_adds(out, ",…");
            return;
        }
        buf_addf(out, "%s%d", i ? "," : "", (int)ranks[i]);
        if (end > i)
            buf_addf(out, "%c%d", end > i + 1 ? '-' : ',', (int)ranks[end]);
        i = end + 1;
    }
}

static void make_remark(struct buf *out, int32_t *ranks, size_t rank_count, uint64_t times)
{
    qsort(ranks, rank_count, sizeof *ranks, by_number);
    if (rank_count < 2) {
        buf_addf(out, "×%llu", (unsigned long long)times);
        return;
    }
    buf_addf(out, "×%zu ranks ", rank_count);
    add_ranks(out, ranks, rank_count);
    if (times > rank_count)
        buf_addf(out, ", %llu times", (unsigned long long)times);
}

/* Everything that is the same as head goes with it; a rank counts once however often it said so. */
static uint64_t absorb(struct fold *f, struct piece *head, struct buf *ranks)
{
    uint64_t times = 1;
    size_t at = 0;
    struct source *s;

    buf_add(ranks, &head->source->rank, sizeof head->source->rank);
    while ((s = map_next(f->sources, &at, NULL, NULL))) {
        int counted = s == head->source;

        while (s->first && is_same(head, s->first)) {
            struct piece *p = s->first;

            times++;
            p->gone = 1;
            leave_queue(p);
            if (!counted)
                buf_add(ranks, &s->rank, sizeof s->rank);
            counted = 1;
        }
    }
    return times;
}

static int give_lines(struct fold *f, const struct piece *p, const char *remark)
{
    const char *line = p->lines.data, *end = line + p->lines.len;
    int err = 0;

    while (line < end && err >= 0) {
        const char *nl = memchr(line, '\n', (size_t)(end - line));

        err = f->give(f->user, line, (size_t)(nl - line), remark);
        remark = NULL;
        line = nl + 1;
    }
    return err;
}

/* The oldest piece leaves the window. */
static int release_first(struct fold *f)
{
    struct piece *p = f->first;
    struct buf ranks = BUF_INIT, remark = BUF_INIT;
    uint64_t times;
    int err = 0;

    if (!p->gone) {
        leave_queue(p);
        times = absorb(f, p, &ranks);
        if (times > 1)
            make_remark(&remark, (int32_t *)(void *)ranks.data, ranks.len / sizeof(int32_t), times);
        err = give_lines(f, p, times > 1 ? buf_cstr(&remark) : NULL);
    }
    f->first = p->next;
    if (!f->first)
        f->last = NULL;
    free_piece(f, p);
    buf_release(&ranks);
    buf_release(&remark);
    return err;
}

int fold_add(struct fold *f, const struct record_view *v, const char *line, size_t len, int64_t now_us)
{
    struct source *s = source_of(f, v->rank);
    struct piece *p;
    int err = 0;

    f->number++;
    p = piece_of(s, v);
    if (!p)
        p = new_piece(f, s, v, now_us);
    add_line(f, p, v, line, len);
    while (err >= 0 && f->first && (f->number - f->first->number >= FOLD_RECORDS || f->bytes > FOLD_BYTES))
        err = release_first(f);
    return err < 0 ? err : fold_tick(f, now_us);
}

int fold_tick(struct fold *f, int64_t now_us)
{
    int err = 0;

    while (err >= 0 && f->hold_us && f->first && now_us - f->first->came_us >= f->hold_us)
        err = release_first(f);
    return err < 0 ? err : 0;
}

int fold_finish(struct fold *f)
{
    int err = 0;

    while (err >= 0 && f->first)
        err = release_first(f);
    return err < 0 ? err : 0;
}

int fold_is_empty(const struct fold *f)
{
    return !f->first;
}

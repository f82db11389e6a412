/*
 * serve/reader_shelf.c -- frames that were read from Redis a moment ago, for all readers of the job that come by.
 *
 *     shelf of J   [481-500][501-512]    [900-912]        by seq, with holes
 *     all shelves  oldest first: what was put there first goes first when they hold too much
 *
 * A thousand followers that fell behind together ask for the same records within milliseconds: the first one's read
 * serves all. Those who want what is being read wait for it instead of asking. A shelf is there while a reader of its job
 * is, and belongs to one epoch: what is on it may be as old as its readers, never of another history.
 */
#include "base/check.h"
#include "base/map.h"
#include "serve/reader_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHELF_KEY_BYTES (JOB_KEY_TEXT_BYTES + 24)

struct book {
    struct shelf *shelf;
    struct frame *frame;
    struct link age; /* in shelves.books, oldest first */
};

struct shelf {
    struct shelves *all;
    char key[SHELF_KEY_BYTES];
    size_t key_len;
    unsigned refs;
    struct book **books; /* by seq: books[head] .. books[head + count) */
    uint32_t head, count, cap;
    uint32_t at;          /* where one was found last */
    uint64_t read_records; /* of the last read */
    uint32_t want_frames;  /* of the next one */
    struct link reading, waiting;
};

struct shelves {
    struct map *by_key;
    struct link books;
    uint64_t bytes;
};

static uint64_t cost(const struct frame *f)
{
    return sizeof(struct book) + sizeof *f + f->text_bytes;
}

/* The first book that ends at or after seq; count when none does. */
static uint32_t find(struct shelf *s, uint64_t seq)
{
    struct book **books = s->books + s->head;
    uint32_t lo = 0, hi = s->count;

    for (uint32_t i = s->at; i < s->at + 2 && i < s->count; i++)
        if (frame_last_seq(books[i]->frame) >= seq && books[i]->frame->first_seq <= seq)
            return s->at = i;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (frame_last_seq(books[mid]->frame) < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return s->at = lo;
}

struct frame *shelf_find(struct shelf *s, uint64_t seq)
{
    uint32_t i = find(s, seq);

    return i < s->count && s->books[s->head + i]->frame->first_seq <= seq ? s->books[s->head + i]->frame : NULL;
}

static void take_away(struct book *b)
{
    struct shelf *s = b->shelf;
    uint32_t i = find(s, b->frame->first_seq);

    CHECK(i < s->count && s->books[s->head + i] == b);
    if (i == 0)
        s->head++;
    else
        memmove(s->books + s->head + i, s->books + s->head + i + 1, (s->count - i - 1) * sizeof(struct book *));
    s->count--;
    s->at = 0;
    s->all->bytes -= cost(b->frame);
    link_del(&b->age);
    frame_unref(&b->frame);
    free(b);
}

static void make_room(struct shelf *s)
{
    if (s->head + s->count < s->cap)
        return;
    if (s->head > s->cap / 2) {
        memmove(s->books, s->books + s->head, s->count * sizeof(struct book *));
        s->head = 0;
        return;
    }
    s->cap = s->cap ? s->cap * 2 : 64;
    s->books = must_realloc(s->books, s->cap * sizeof(struct book *));
}

static void put(struct shelf *s, struct frame *f)
{
    uint32_t i = find(s, f->first_seq);
    struct book *b;

    if (i < s->count && s->books[s->head + i]->frame->first_seq <= frame_last_seq(f))
        return; /* it is there */
    make_room(s);
    b = must_malloc(sizeof *b);
    *b = (struct book){.shelf = s, .frame = frame_ref(f)};
    memmove(s->books + s->head + i + 1, s->books + s->head + i, (s->count - i) * sizeof(struct book *));
    s->books[s->head + i] = b;
    s->count++;
    link_init(&b->age);
    link_add_tail(&s->all->books, &b->age);
    s->all->bytes += cost(f);
}

void shelf_put(struct shelf *s, struct frame *const *frames, uint32_t count)
{
    struct link *last = s->all->books.prev;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        put(s, frames[i]);
        bytes += cost(frames[i]);
    }
    if (count) {
        s->read_records = frame_last_seq(frames[count - 1]) - frames[0]->first_seq + 1;
        s->want_frames = (uint32_t)(READER_SHELF_READ_BYTES * count / bytes) + 1;
    }
    while (s->all->bytes > READER_SHELF_BYTES_MAX && last != &s->all->books && s->all->books.next != last->next)
        take_away(LINK_OF(s->all->books.next, struct book, age));
}

uint64_t shelf_read_records(const struct shelf *s)
{
    return s->read_records;
}

uint32_t shelf_want_frames(const struct shelf *s)
{
    return s->want_frames ? s->want_frames : READER_REDIS_FRAMES;
}

struct link *shelf_reading(struct shelf *s)
{
    return &s->reading;
}

struct link *shelf_waiting(struct shelf *s)
{
    return &s->waiting;
}

struct shelf *shelf_open(struct shelves *all, const struct job_key *key, uint64_t epoch)
{
    char text[SHELF_KEY_BYTES];
    struct shelf *s;
    size_t len;

    job_key_text(key, text);
    len = strlen(text);
    len += (size_t)snprintf(text + len, sizeof text - len, " %llu", (unsigned long long)epoch);
    s = map_get(all->by_key, text, len);
    if (!s) {
        s = must_calloc(1, sizeof *s);
        s->all = all;
        memcpy(s->key, text, len);
        s->key_len = len;
        link_init(&s->reading);
        link_init(&s->waiting);
        map_put(all->by_key, text, len, s);
    }
    s->refs++;
    return s;
}

void shelf_close(struct shelf **sp)
{
    struct shelf *s = *sp;

    *sp = NULL;
    if (!s || --s->refs)
        return;
    CHECK(link_empty(&s->reading) && link_empty(&s->waiting));
    while (s->count)
        take_away(s->books[s->head]);
    map_del(s->all->by_key, s->key, s->key_len);
    free(s->books);
    free(s);
}

struct shelves *shelves_new(void)
{
    struct shelves *all = must_calloc(1, sizeof *all);

    all->by_key = map_new();
    link_init(&all->books);
    return all;
}

void shelves_free(struct shelves **ap)
{
    struct shelves *all = *ap;

    *ap = NULL;
    if (!all)
        return;
    CHECK(map_count(all->by_key) == 0);
    map_free(&all->by_key);
    free(all);
}

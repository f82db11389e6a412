/*
 * ingest/marks_pool.c -- marks of producers between their requests.
 */
#include "ingest/marks.h"

#include "base/check.h"
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

struct waiting {
    struct waiting *prev, *next; /* by use, the list's head is the oldest */
    struct marks *marks;
    size_t key_len;
    char key[];
};

struct marks_pool {
    struct map *map;
    struct waiting *oldest, *newest;
};

struct marks_pool *marks_pool_new(void)
{
    struct marks_pool *p = must_calloc(1, sizeof *p);

    p->map = map_new();
    return p;
}

static struct marks *take_out(struct marks_pool *p, struct waiting *w)
{
    struct marks *m = w->marks;

    map_del(p->map, w->key, w->key_len);
    *(w->prev ? &w->prev->next : &p->oldest) = w->next;
    *(w->next ? &w->next->prev : &p->newest) = w->prev;
    free(w);
    return m;
}

static void drop_oldest(struct marks_pool *p)
{
    struct marks *m = take_out(p, p->oldest);

    marks_free(&m);
}

void marks_pool_free(struct marks_pool **p)
{
    if (!*p) return;
    while ((*p)->oldest) drop_oldest(*p);
    map_free(&(*p)->map);
    free(*p);
    *p = NULL;
}

struct marks *marks_pool_take(struct marks_pool *p, const char *key, size_t key_len)
{
    struct waiting *w = map_get(p->map, key, key_len);

    return w ? take_out(p, w) : marks_new();
}

void marks_pool_give(struct marks_pool *p, const char *key, size_t key_len, struct marks **m)
{
    struct waiting *w;

    if (!*m) return;
    w = map_get(p->map, key, key_len); /* of a request beside this one */
    if (w) {
        struct marks *old = take_out(p, w);
        marks_free(&old);
    }
    if (map_count(p->map) >= MARKS_POOL_MAX) drop_oldest(p);
    w = must_calloc(1, sizeof *w + key_len);
    w->marks = *m;
    *m = NULL;
    memcpy(w->key, key, key_len);
    w->key_len = key_len;
    w->prev = p->newest;
    *(p->newest ? &p->newest->next : &p->oldest) = w;
    p->newest = w;
    map_put(p->map, key, key_len, w);
}

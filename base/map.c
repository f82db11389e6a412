/*
 * base/map.c -- a hash map from byte strings to pointers.
 *
 *     slots  [ hash | key_len | *key | *value ] x a power of two, at most 70 % used or dead
 *
 * Linear probing. A key taken out leaves a dead slot (key set, value NULL), so that iteration may
 * delete its current entry; dead slots are dropped when the table is built anew.
 */
#include "base/map.h"

#include "base/check.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MAP_FIRST_SLOTS 16

struct slot {
    uint64_t hash;
    size_t key_len;
    char *key;   /* NULL: never used */
    void *value; /* NULL: dead */
};

struct map {
    struct slot *slots;
    size_t mask;
    size_t live;
    size_t used; /* live and dead */
};

static char dead_key[1];
static uint64_t map_seed;
static pthread_once_t map_seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    if (getrandom(&map_seed, sizeof map_seed, GRND_NONBLOCK) != sizeof map_seed)
        map_seed = (uint64_t)clock_mono_us() * UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)&map_seed;
}

static uint64_t hash_key(const char *key, size_t len)
{
    uint64_t h = map_seed ^ UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)key[i]) * UINT64_C(0x100000001b3);
    h ^= map_seed;
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

struct map *map_new(void)
{
    pthread_once(&map_seed_once, make_seed);
    struct map *m = must_calloc(1, sizeof *m);
    m->slots = must_calloc(MAP_FIRST_SLOTS, sizeof *m->slots);
    m->mask = MAP_FIRST_SLOTS - 1;
    return m;
}

void map_free(struct map **m)
{
    if (!*m) return;
    for (size_t i = 0; i <= (*m)->mask; i++)
        if ((*m)->slots[i].value) free((*m)->slots[i].key);
    free((*m)->slots);
    free(*m);
    *m = NULL;
}

size_t map_count(const struct map *m)
{
    return m->live;
}

/* The slot that holds key, or the never-used slot where the search ended. */
static struct slot *find(const struct map *m, uint64_t hash, const char *key, size_t len)
{
    size_t i = hash & m->mask;
    for (;; i = (i + 1) & m->mask) {
        struct slot *s = &m->slots[i];
        if (!s->key) return s;
        if (s->value && s->hash == hash && s->key_len == len && memcmp(s->key, key, len) == 0)
            return s;
    }
}

static void rebuild(struct map *m)
{
    struct slot *old = m->slots;
    size_t old_count = m->mask + 1, count = MAP_FIRST_SLOTS;
    while (m->live + 1 > count / 2) count *= 2;
    m->slots = must_calloc(count, sizeof *m->slots);
    m->mask = count - 1;
    m->used = m->live;
    for (size_t i = 0; i < old_count; i++) {
        if (!old[i].value) continue;
        size_t at = old[i].hash & m->mask;
        while (m->slots[at].key) at = (at + 1) & m->mask;
        m->slots[at] = old[i];
    }
    free(old);
}

void *map_get(const struct map *m, const char *key, size_t key_len)
{
    return find(m, hash_key(key, key_len), key, key_len)->value;
}

void *map_put(struct map *m, const char *key, size_t key_len, void *value)
{
    CHECK(value);
    uint64_t hash = hash_key(key, key_len);
    struct slot *s = find(m, hash, key, key_len);
    if (s->key) {
        void *before = s->value;
        s->value = value;
        return before;
    }
    if ((m->used + 1) * 10 > (m->mask + 1) * 7) {
        rebuild(m);
        s = find(m, hash, key, key_len);
    }
    s->hash = hash;
    s->key_len = key_len;
    s->key = must_malloc(key_len + 1);
    if (key_len) memcpy(s->key, key, key_len);
    s->key[key_len] = '\0';
    s->value = value;
    m->live++;
    m->used++;
    return NULL;
}

void *map_del(struct map *m, const char *key, size_t key_len)
{
    struct slot *s = find(m, hash_key(key, key_len), key, key_len);
    void *value = s->value;
    if (!value) return NULL;
    free(s->key);
    s->key = dead_key;
    s->value = NULL;
    m->live--;
    return value;
}

void *map_next(const struct map *m, size_t *pos, const char **ret_key, size_t *ret_key_len)
{
    while (*pos <= m->mask) {
        const struct slot *s = &m->slots[(*pos)++];
        if (!s->value) continue;
        if (ret_key) *ret_key = s->key;
        if (ret_key_len) *ret_key_len = s->key_len;
        return s->value;
    }
    return NULL;
}

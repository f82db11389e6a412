/*
 * base/map.h -- a hash map from byte strings to pointers.
 *
 * Keys are copied, values are borrowed. SipHash-free but seeded per process (FNV-1a with a random
 * seed and finaliser): keys come from peers. Open addressing, grows at 70 %.
 * Iteration order is unspecified; the map must not change during it except map_del of the current.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stddef.h>

struct map;

struct map *map_new(void);
void map_free(struct map **m); /* does not free the values */
size_t map_count(const struct map *m);
void *map_get(const struct map *m, const char *key, size_t key_len);
/* Put or replace; returns the value that was there, or NULL. value must not be NULL. */
void *map_put(struct map *m, const char *key, size_t key_len, void *value);
/* Take out; returns the value or NULL. */
void *map_del(struct map *m, const char *key, size_t key_len);
/* Start with *pos = 0; NULL at the end. ret_key/ret_key_len may be NULL. */
void *map_next(const struct map *m, size_t *pos, const char **ret_key, size_t *ret_key_len);

#endif

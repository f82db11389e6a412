/*
 * base/heap.h -- how much memory malloc keeps of what is free.
 *
 * A server that lives for months frees as much as it allocates, yet its resident memory creeps up: glibc does not give free
 * pieces between live ones back to the system by itself, each thread has an arena of its own, and the size above which a piece is
 * mapped alone grows with what was freed (mallopt(3), M_MMAP_THRESHOLD). heap_setup() ends the last two, heap_trim() gives back
 * whole free pages (malloc_trim(3)).
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>

#define HEAP_ARENAS_MAX 2
#define HEAP_MMAP_BYTES (8 << 20) /* pieces of this size and more are mapped alone, and unmapped when freed */
#define HEAP_KEEP_BYTES (64 << 20) /* kept at a heap's end until heap_trim(): with 128 KiB readers cost 10 % more */
#define HEAP_TRIM_MS 10000        /* how often the owner of the loop calls heap_trim() */

/* Bytes in all arenas and in pieces mapped alone; resident may be less of either. */
struct heap_stats {
    size_t used;
    size_t free;
};

/* Once, before the first thread. */
void heap_setup(void);
/* Whole free pages go back to the system: 1 to 5 ms for a heap of 90 MiB. */
void heap_trim(void);
void heap_stats(struct heap_stats *ret_stats);

#endif

/* base/heap.c -- see heap.h. */
#include "base/heap.h"

#include <malloc.h>

void heap_setup(void)
{
    mallopt(M_ARENA_MAX, HEAP_ARENAS_MAX); /* a sanitizer's malloc refuses all three: it has no arenas */
    mallopt(M_MMAP_THRESHOLD, HEAP_MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, HEAP_KEEP_BYTES);
}

void heap_trim(void)
{
    malloc_trim(0);
}

void heap_stats(struct heap_stats *ret_stats)
{
    struct mallinfo2 info = mallinfo2();

    ret_stats->used = info.uordblks + info.hblkhd;
    ret_stats->free = info.fordblks;
}

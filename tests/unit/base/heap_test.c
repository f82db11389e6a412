/*
 * tests/unit/base/heap_test.c -- what was freed between live pieces goes back to the system.
 */
#include "base/heap.h"
#include "tests/unit/base/unit.h"

#include <stdio.h>
#include <unistd.h>

#define PIECES 2000
#define PIECE_BYTES 20000 /* below HEAP_MMAP_BYTES: in the heap */

/* A sanitizer's malloc, and valgrind's, have no arenas, and keep what is freed. */
static int is_glibc(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0;
#else
    return !getenv("TEST_VALGRIND");
#endif
}

static size_t resident(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void test_trim(void **state)
{
    static char *pieces[PIECES];
    struct heap_stats full, freed;
    if (!is_glibc()) skip();
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = malloc(PIECE_BYTES);
        assert_non_null(pieces[i]);
        memset(pieces[i], i, PIECE_BYTES);
    }
    heap_stats(&full);
    assert_in_range(full.used, PIECES * PIECE_BYTES, PIECES * (PIECE_BYTES + 64) + (1 << 20));
    for (int i = 0; i < PIECES; i++)
        if (i % 10 != 9) free(pieces[i]);
    heap_stats(&freed);
    assert_in_range(full.used - freed.used, PIECES / 10 * 9 * PIECE_BYTES, PIECES * PIECE_BYTES);
    assert_true(freed.free >= full.free + PIECES / 10 * 9 * PIECE_BYTES);
    size_t before = resident();
    heap_trim();
    assert_true(resident() + PIECES / 10 * 8 * PIECE_BYTES < before); /* the last, live piece keeps the heap's end where it was */
    for (int i = 9; i < PIECES; i += 10) {
        assert_int_equal(pieces[i][PIECE_BYTES - 1], (char)i);
        free(pieces[i]);
    }
}

static void test_large_pieces_are_mapped_alone(void **state)
{
    struct heap_stats before, after;
    if (!is_glibc()) skip();
    heap_stats(&before);
    for (int i = 0; i < 3; i++) {
        char *large = malloc(8 * HEAP_MMAP_BYTES); /* without heap_setup() its freeing puts the bound above it */
        assert_non_null(large);
        free(large);
        heap_stats(&after);
        assert_true(after.free < before.free + HEAP_MMAP_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_large_pieces_are_mapped_alone),
    };
    heap_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

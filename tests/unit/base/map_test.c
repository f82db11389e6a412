/*
 * tests/unit/base/map_test.c -- the map beside a plain array.
 */
#include "base/map.h"
#include "tests/unit/base/unit.h"

#include <stdio.h>

#define KEYS 700

static size_t key_of(size_t i, char out[32])
{
    if (i == 0) return 0; /* the empty key is a key */
    int n = snprintf(out, 32, "job-%zu", i);
    if (i % 7 == 0) out[3] = '\0'; /* and so is one with a NUL */
    return (size_t)n;
}

static void check_whole(const struct map *m, void **model, size_t count)
{
    size_t pos = 0, seen = 0, len;
    const char *key;
    void *v;
    assert_int_equal(map_count(m), count);
    while ((v = map_next(m, &pos, &key, &len))) {
        size_t i = (size_t)((char *)v - (char *)NULL) % KEYS;
        char want[32];
        assert_int_equal(len, key_of(i, want));
        assert_memory_equal(key, want, len);
        assert_ptr_equal(model[i], v);
        seen++;
    }
    assert_int_equal(seen, count);
}

static void test_random(void **state)
{
    /* Random puts, deletes and gets give what a plain array gives. */
    void *model[KEYS] = {NULL};
    size_t count = 0;
    struct map *m = map_new();
    unit_seed();
    for (size_t step = 0; step < 200000; step++) {
        char key[32];
        size_t range = step / 20000 % 2 ? 20 : KEYS; /* long phases of few keys: dead slots */
        size_t i = unit_below(range), len = key_of(i, key);
        switch (unit_below(3)) {
        case 0: {
            void *v = (void *)((unit_below(1000) + 1) * KEYS + i);
            assert_ptr_equal(map_put(m, key, len, v), model[i]);
            count += !model[i];
            model[i] = v;
            break;
        }
        case 1:
            assert_ptr_equal(map_del(m, key, len), model[i]);
            count -= model[i] != NULL;
            model[i] = NULL;
            break;
        default: assert_ptr_equal(map_get(m, key, len), model[i]);
        }
        if (step % 5000 == 0) check_whole(m, model, count);
    }
    check_whole(m, model, count);
    map_free(&m);
    assert_null(m);
    map_free(&m);
}

static void test_delete_while_walking(void **state)
{
    /* The current entry may be deleted during iteration; every entry is seen once. */
    struct map *m = map_new();
    static char values[KEYS];
    char key[32];
    for (size_t i = 0; i < KEYS; i++) map_put(m, key, key_of(i, key), &values[i]);
    size_t pos = 0, len, seen = 0;
    const char *k;
    char *v;
    while ((v = map_next(m, &pos, &k, &len))) {
        char copy[32];
        seen++;
        values[v - values]++;
        memcpy(copy, k, len);
        if ((v - values) % 2) assert_ptr_equal(map_del(m, copy, len), v);
    }
    assert_int_equal(seen, KEYS);
    for (size_t i = 0; i < KEYS; i++) assert_int_equal(values[i], 1);
    assert_int_equal(map_count(m), KEYS / 2);
    map_free(&m);
}

static void test_key_is_copied(void **state)
{
    /* The map keeps its own copy of a key. */
    struct map *m = map_new();
    char key[] = "abc";
    int v;
    assert_null(map_put(m, key, 3, &v));
    memcpy(key, "xyz", 3);
    assert_ptr_equal(map_get(m, "abc", 3), &v);
    assert_null(map_get(m, "xyz", 3));
    assert_null(map_get(m, "ab", 2));
    map_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_delete_while_walking),
        cmocka_unit_test(test_key_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

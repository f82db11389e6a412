/*
 * tests/unit/ingest/fuzz_corpus_test.c -- the fuzz targets over their corpora, in the ordinary run.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LLVMFuzzerTestOneInput decode_one
#include "tests/fuzz/decode_fuzz.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput coding_one
#include "tests/fuzz/coding_fuzz.c"

static unsigned replay(const char *dir, int (*one)(const uint8_t *data, size_t len))
{
    static uint8_t data[1 << 20];
    unsigned count = 0;
    DIR *d = opendir(dir);
    struct dirent *e;

    if (!d) fail_msg("%s is not there: run from the top of the tree", dir);
    while ((e = readdir(d))) {
        char path[512];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        size_t len = fread(data, 1, sizeof data, f);
        fclose(f);
        uint8_t *copy = malloc(len ? len : 1); /* so that a sanitizer sees its end */
        memcpy(copy, data, len);
        one(copy, len);
        free(copy);
        count++;
    }
    closedir(d);
    return count;
}

static void test_decode(void **state)
{
    (void)state; /* No body of the corpus breaks an invariant of the decoder. */
    assert_true(replay("tests/fuzz/corpus/decode", decode_one) >= 20);
}

static void test_coding(void **state)
{
    (void)state; /* No body of the corpus breaks an invariant of the codings. */
    assert_true(replay("tests/fuzz/corpus/coding", coding_one) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_decode), cmocka_unit_test(test_coding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

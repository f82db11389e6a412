/*
 * tests/unit/http/fuzz_corpus_test.c -- the fuzz target over its corpus, in the ordinary run.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/fuzz/http_fuzz.c"

#define CORPUS "tests/fuzz/corpus/http"

static void test_corpus(void **state)
{
    /* No connection of the corpus breaks an invariant of the head reader or the body decoder. */
    static uint8_t data[1 << 16];
    unsigned count = 0;
    DIR *dir = opendir(CORPUS);
    struct dirent *e;
    (void)state;
    if (!dir) fail_msg("%s is not there: run from the top of the tree", CORPUS);
    while ((e = readdir(dir))) {
        char path[512];
        uint8_t *copy;
        size_t len;
        FILE *f;
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "%s/%s", CORPUS, e->d_name);
        f = fopen(path, "rb");
        assert_non_null(f);
        len = fread(data, 1, sizeof(data), f);
        fclose(f);
        copy = malloc(len ? len : 1); /* so that a sanitizer sees its end */
        memcpy(copy, data, len);
        LLVMFuzzerTestOneInput(copy, len);
        free(copy);
        count++;
    }
    closedir(dir);
    assert_true(count >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/base/nomem_test.c -- every allocation of reading JSON fails once: the whole tree, or ERR_NOMEM; never a fault of
 * the text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/nomem.h"

#include "base/err.h"
#include "base/json_tree.h"

static const char text[] = "{\"type\":\"lines\",\"first\":12,\"labels\":{\"team\":\"a\\n\"},\"r\":[1,null,true]}";

static int read_tree(void)
{
    struct json_tree *root = NULL;
    const char *team = NULL;
    int64_t first = 0;
    int err = json_tree_parse(text, sizeof text - 1, &root, NULL);

    if (err < 0 && err != ERR_NOMEM) _exit(70);
    if (err == 0 && (json_tree_get_i64(root, "first", &first) != 1 || first != 12 ||
                     json_tree_get_str(json_tree_get(root, "labels"), "team", &team) != 1 || strcmp(team, "a\n") != 0))
        _exit(71);
    json_tree_free(&root);
    return err;
}

static void test_reading(void **state)
{
    assert_true(nomem_sweep(read_tree, NULL) > (NOMEM_ACTIVE ? 10 : 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reading)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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
#include "base/json.h"
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

/* A document of many allocations. */
static int write_tree(int may_fail)
{
    struct buf out = BUF_INIT;
    struct json_tree *root = NULL;
    struct json j;
    int err;

    may_fail ? json_init_may_fail(&j, &out) : json_init(&j, &out);
    json_obj(&j);
    for (int i = 0; i < 1000; i++)
        json_ku64(&j, "n", 1234567);
    json_end(&j);
    err = json_err(&j);
    if (!may_fail && err != 0) _exit(72);
    nomem_pause();
    if (err == 0 && json_tree_parse(out.data, out.len, &root, NULL) < 0) _exit(73);
    nomem_at = nomem_kept;
    json_tree_free(&root);
    buf_release(&out);
    return err;
}

static int write_may_fail(void)
{
    return write_tree(1);
}

static int write_whole(void)
{
    return write_tree(0);
}

static void test_reading(void **state)
{
    assert_true(nomem_sweep(read_tree, NULL) > (NOMEM_ACTIVE ? 10 : 0));
}

static void test_writing(void **state)
{
    /* Whole, or an error where the writer can say so, or the end of the process: never half a document. */
    assert_true(nomem_sweep(write_may_fail, NULL) > (NOMEM_ACTIVE ? 5 : 0));
    assert_true(nomem_sweep(write_whole, NULL) > (NOMEM_ACTIVE ? 5 : 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reading), cmocka_unit_test(test_writing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/job/node_test.c -- samples as text and back, nodes as JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/json_tree.h"
#include "job/node.h"

static void samples_come_back(void **state)
{
    /* What is written is read back, unknown values and GPUs too. */
    struct node_sample a = {.at_us = 1700000000000000, .cpu_milli = 3250, .memory_bytes = NODE_UNKNOWN, .disk_bytes = 77,
                            .gpu_count = 2, .gpus = {{930, 81}, {NODE_UNKNOWN, NODE_UNKNOWN}}};
    struct node_sample b;
    struct buf text = BUF_INIT;

    (void)state;
    assert_int_equal(node_sample_write(&text, &a), 0);
    assert_string_equal(buf_cstr(&text), "1700000000000000 3250 - 77 930 81 - -");
    assert_true(text.len < NODE_SAMPLE_TEXT_BYTES);
    assert_int_equal(node_sample_read(&b, text.data, text.len), 0);
    assert_memory_equal(&a, &b, sizeof a);
    buf_release(&text);
}

static void nonsense_is_refused(void **state)
{
    /* Words, missing and surplus numbers, and what no machine has. */
    static const char *const bad[] = {"", "1", "1 2 3", "- 1 2 3", "1 2 3 x", "1 2 3 4x", "1 2 3 4 5", "1 2 3 4 1001 1",
                                      "1 99999999999 3 4", "1 2 99999999999999999999 4", "a b c d", "1 2 3 4 -5 1"};
    char many[2000] = "1 2 3 4";
    struct node_sample s;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(node_sample_read(&s, bad[i], strlen(bad[i])), ERR_INVALID);
    for (int i = 0; i <= NODE_GPUS_MAX; i++)
        strcat(many, " 1 2");
    assert_int_equal(node_sample_read(&s, many, strlen(many)), ERR_INVALID);
}

static void a_node_is_one_line_of_json(void **state)
{
    /* Columns of equal length, parts of one, null for what is not known. */
    struct node_about n = {.replica = "node-1", .cpu_milli = 8000, .memory_bytes = 1000, .disk_bytes = NODE_UNKNOWN,
                           .gpu_count = 1, .gpus = {{"NVIDIA \"H100\"", 80}}};
    struct node_sample s[2] = {{.at_us = 1, .cpu_milli = 4000, .memory_bytes = 500, .disk_bytes = 9, .gpu_count = 1,
                                .gpus = {{500, 40}}},
                               {.at_us = 1000001, .cpu_milli = NODE_UNKNOWN, .memory_bytes = NODE_UNKNOWN,
                                .disk_bytes = NODE_UNKNOWN}};
    struct json_tree *root = NULL;
    struct buf out = BUF_INIT;

    (void)state;
    assert_int_equal(node_write(&out, &n, s, 2), 0);
    assert_string_equal(
        buf_cstr(&out),
        "{\"replica\":\"node-1\",\"cpu_count\":8,\"memory_total_bytes\":1000,\"disk_total_bytes\":null,"
        "\"gpu_names\":[\"NVIDIA \\\"H100\\\"\"],\"gpu_memory_total_bytes\":[80],"
        "\"at\":[\"1970-01-01T00:00:00.000001Z\",\"1970-01-01T00:00:01.000001Z\"],\"cpu\":[0.5,null],"
        "\"memory_bytes\":[500,null],\"disk_bytes\":[9,null],\"gpu\":[[0.5],[]],\"gpu_memory_bytes\":[[40],[]]}\n");
    assert_int_equal(json_tree_parse(out.data, out.len - 1, &root, NULL), 0);
    json_tree_free(&root);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_come_back),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_node_is_one_line_of_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

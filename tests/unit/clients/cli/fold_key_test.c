/* tests/unit/clients/cli/fold_key_test.c -- clients/cli/fold_key.c */
#include "clients/cli/fold_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int same(const char *a, int32_t rank_a, const char *b, int32_t rank_b)
{
    struct buf x = BUF_INIT, y = BUF_INIT;
    int yes;

    fold_key(&x, a, strlen(a), rank_a, "node-1", 6);
    fold_key(&y, b, strlen(b), rank_b, "node-2", 6);
    yes = !strcmp(buf_cstr(&x), buf_cstr(&y));
    buf_release(&x);
    buf_release(&y);
    return yes;
}

static void what_names_the_process_is_left_out(void **state)
{
    /* The same line of two ranks is the same although it names rank, node, pid, device and time. */
    static const char *const pairs[][2] = {
        {"loading model", "loading model"},
        {"[rank3]: Traceback (most recent call last):", "[rank5]: Traceback (most recent call last):"},
        {"Rank 3 ready", "Rank 5 ready"},
        {"rank=3 local_rank=1 up", "rank=5 local_rank=0 up"},
        {"2026-11-24 20:54:01,123 INFO up", "2026-11-24 20:54:01,987 INFO up"},
        {"2026-11-24T20:54:01.5Z up", "2026-11-24T20:54:02Z up"},
        {"node-1:4711:4720 [0] NCCL INFO Bootstrap : Using eth0", "node-2:88:99 [1] NCCL INFO Bootstrap : Using eth0"},
        {"at 0x7ffe12ab in f", "at 0x55aa in f"},
        {"CUDA out of memory on GPU 1", "CUDA out of memory on GPU 0"},
        {"using cuda:1", "using cuda:0"},
        {"worker pid 123 exited", "worker pid 98765 exited"},
        {"running on node-1", "running on node-2"},
        {"\x1b[31mred\x1b[0m", "red"},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (!same(pairs[i][0], 3, pairs[i][1], 5))
            fail_msg("%s | %s", pairs[i][0], pairs[i][1]);
}

static void everything_else_counts(void **state)
{
    /* Steps, losses, other ranks, words and names that only look alike keep lines apart. */
    static const char *const pairs[][2] = {
        {"step 3", "step 5"},           {"loss=2.31", "loss=2.32"},        {"rank 7 lost", "rank 8 lost"},
        {"3 files", "5 files"},         {"a", "b"},                        {"frank 3", "frank 5"},
        {"node-11 up", "node-22 up"},   {"rank 03", "rank 05"},            {"0xzz", "0xyy"},
        {"ratio 12:34", "ratio 12:35"}, {"version 2026-1", "version 2026-2"}, {"", " "},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (same(pairs[i][0], 3, pairs[i][1], 5))
            fail_msg("%s | %s", pairs[i][0], pairs[i][1]);
}

static void any_bytes_do_no_harm(void **state)
{
    /* Every string of a few dangerous bytes is walked to its end. */
    static const char bytes[] = "0 :x[]\x1bm1Trank=";
    struct buf out = BUF_INIT;
    char text[7];

    for (size_t n = 0; n < 200000; n++) {
        size_t v = n * UINT64_C(2654435761);

        for (size_t i = 0; i < sizeof text; i++, v /= 7)
            text[i] = bytes[v % (sizeof bytes - 1)];
        buf_clear(&out);
        assert_int_equal(fold_key(&out, text, sizeof text, 1, "", 0), 0);
    }
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_names_the_process_is_left_out),
        cmocka_unit_test(everything_else_counts),
        cmocka_unit_test(any_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

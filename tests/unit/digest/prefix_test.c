/*
 * tests/unit/digest/prefix_test.c -- whose line it is, by what a launcher wrote in front.
 */
#include "digest/prefix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NONE PREFIX_NONE

/* Every documented form gives its rank, its local rank, and the text behind it. */
static void test_forms(void **state)
{
    static const struct {
        const char *line;
        int32_t rank, local;
        const char *rest; /* behind the prefix */
    } cases[] = {
        {"[rank3]: Traceback (most recent call last):", 3, NONE,
         "Traceback (most recent call last):"},
        {"[rank3]:   File \"a.py\", line 3", 3, NONE, "  File \"a.py\", line 3"},
        {"[rank12]:[E1123 20:54:01.123456 ProcessGroupNCCL.cpp:616] timeout", 12, NONE,
         "[E1123 20:54:01.123456 ProcessGroupNCCL.cpp:616] timeout"},
        {"[default3]:loss 2.3", NONE, 3, "loss 2.3"},
        {"[default3]:  File \"a.py\"", NONE, 3, "  File \"a.py\""},
        {"[default3]:[rank11]: Traceback", 11, NONE, "Traceback"},
        {"[default3]: [rank11]: Traceback", 11, NONE, "Traceback"},
        {"[1,3]<stderr>:boom", 3, NONE, "boom"},
        {"[1,12]<stdout>:    batch()", 12, NONE, "    batch()"},
        {"[prterun-host-12@1,5]<stdout>: hello", 5, NONE, "hello"},
        {"[12@1,5][node1:777]<stderr>: hello", 5, NONE, "hello"},
        {"Thu Jun 18 14:28:36 2026[1,3]<stderr>:late", 3, NONE, "late"},
        {"[3]<stderr>:horovod", 3, NONE, "horovod"},
        {"[Rank 3] step 5", 3, NONE, "step 5"},
        {"[rank 3]: step 5", 3, NONE, "step 5"},
        {"[RANK 3/8] step 5", 3, NONE, "step 5"},
        {"[rank: 3] Seed set to 42", 3, NONE, "Seed set to 42"},
        {"[rank=3] x", 3, NONE, "x"},
        {"[node0, rank 3]: x", 3, NONE, "x"},
        {"(worker1, rank=1, pid=13566, ip=10.146.0.26) step", 1, NONE, "step"},
        {"(head, rank=0, pid=3808) [1,7]<stdout>:# nThread", 7, NONE, "# nThread"},
        {"(worker1, rank=1, pid=7) [default3]:loss", NONE, 3, "loss"},
        {"(Worker rank=2 pid=99) x", 2, NONE, "x"},
        {"(RayTrainWorker pid=7, ip=10.0.0.2) x", NONE, NONE, "x"},
        {"[2026-01-02 03:04:05,678] [INFO] [logging.py:96:log_dist] [Rank 0] step=10, skipped=0", 0,
         NONE, NULL},
        {"2026-01-02 03:04:05,678 - INFO - [Rank 7] - hello", 7, NONE, NULL},
        {"2026-01-02 03:04:05,678 - __main__ - INFO - [Rank 7] - hello", 7, NONE, NULL},
        {"2026-01-02 03:04:05 | INFO | [Rank 7] | hello", 7, NONE, NULL},
        {"2026-01-02 03:04:05,678 [INFO] [rank 7] hello", 7, NONE, NULL},
        {"INFO [rank 7] hello", 7, NONE, NULL},
        {"0: [default3]: [2026-05-08 12:13:47] iteration", NONE, 3,
         " [2026-05-08 12:13:47] iteration"},
        {"1: [rank11]: boom", 11, NONE, "boom"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefix p;
        prefix_read(cases[i].line, strlen(cases[i].line), &p);
        if (p.rank != cases[i].rank || p.local_rank != cases[i].local)
            fail_msg("%s: rank %d local %d", cases[i].line, p.rank, p.local_rank);
        assert_string_equal(cases[i].line + p.bytes, cases[i].rest ? cases[i].rest : cases[i].line);
    }
}

/* What only mentions a rank, or looks like a prefix of something else, gives none. */
static void test_no_rank(void **state)
{
    static const char *const lines[] = {
        "waiting for rank 3",
        "[Rank of the matrix] is 3",
        "rank 3 joined [8 of 8]",
        "Rank 3: failed to respond",
        "INFO rank 3 is slow",
        "INFO:root:rank [3]",
        "[local_rank 3] x",
        "[local rank: 3] x",
        "[node_rank=1] x",
        "[franka 3] x",
        "[0]:",
        "host:12:34 [3] NCCL INFO Channel 00",
        "[2026-01-02 03:04:05,678] [INFO] peers said [Rank 3] is slow",
        "2026-01-02 03:04:05 peers said [rank 3] is slow",
        "The log of [Rank 3] follows",
        "[rank 70000] x",
        "[rank -1] x",
        "[rank 3.5] x",
        "(see rank=3 in the table)",
        "(group, node_rank=3, pid=7) x",
        "(a, rank=3x, pid=7) x",
        "[1,3]: x",
        "[1,3] <stderr>",
        "  0: rust_begin_unwind",
        "3: three",
        "12:34:56 hello",
        "[default]: x",
        "[default3] x",
        "[default3x]: x",
        "Enter 1,2,or3 [default3]: ",
        "[",
        "(",
        " ",
        "",
        "7",
        "7:",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct prefix p;
        char *copy =
            malloc(strlen(lines[i]) + 1); /* exactly as long: a look behind the end is seen */
        memcpy(copy, lines[i], strlen(lines[i]));
        prefix_read(copy, strlen(lines[i]), &p);
        if (p.rank != NONE || p.local_rank != NONE)
            fail_msg("%s: rank %d local %d", lines[i], p.rank, p.local_rank);
        free(copy);
    }
}

/* The rank that the lines of a stream end with, PREFIX_NONE when it is not labelled. */
static int32_t label_after(const char *const *lines)
{
    struct prefix_labels l = {0};
    int32_t rank = NONE;

    for (; *lines; lines++) {
        struct prefix p;
        prefix_read(*lines, strlen(*lines), &p);
        rank = prefix_labels_next(&l, &p, *lines, strlen(*lines));
    }
    return rank;
}

/* srun's labels are ranks where the whole stream has them; lists, backtraces and nodes of torchrun are not. */
static void test_labels(void **state)
{
    static const char *const srun[] = {
        "srun: job 7 queued", "0: a", "1: a", "2: a", "3: a", "0: b", "1: b", "2: b", "3: b", NULL};
    static const char *const padded[] = {" 0: a", " 1: a", "10: a", "11: a", " 0: b",
                                         " 1: b", "10: b", " 9: c", NULL};
    static const char *const list[] = {"1: a", "2: a", "3: a", "4: a", "5: b",
                                       "6: b", "7: b", "8: b", "9: c", NULL};
    static const char *const one[] = {"1: a", "1: a", "1: a", "1: a", "1: b",
                                      "1: b", "1: b", "1: b", "1: c", NULL};
    static const char *const mixed[] = {"0: a", "1: a", "2: a", "3: a", "0: b", "1: b",
                                        "2: b", "3: b", "x",    "0: c", NULL};
    static const char *const nodes[] = {
        "0: a", "1: a", "0: [default3]:a", "1: a", "0: b", "1: b", "0: b", "1: b", "0: c", NULL};
    static const char *const banner[] = {"0: W0101 torch/distributed/run.py:766] ***",
                                         "1: a",
                                         "0: a",
                                         "1: a",
                                         "0: b",
                                         "1: b",
                                         "0: b",
                                         "1: b",
                                         "0: c",
                                         NULL};

    assert_int_equal(label_after(srun), 3);
    assert_int_equal(label_after(padded), 9);
    assert_int_equal(label_after(list), NONE);
    assert_int_equal(label_after(one), NONE);
    assert_int_equal(label_after(mixed), NONE);
    assert_int_equal(label_after(nodes), NONE);
    assert_int_equal(label_after(banner), NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_no_rank),
        cmocka_unit_test(test_labels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

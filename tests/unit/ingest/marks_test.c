/*
 * tests/unit/ingest/marks_test.c -- what is read of lines on their way in, over the ends of batches.
 */
#include "ingest/marks.h"

#include "base/err.h"
#include "ingest/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int is_agent, is_one_node;
static uint32_t ranks;

/* Decode body with marks; every record as "rank level block|local : msg\n". */
static char *decode(struct marks *m, const char *body, enum decode_format format, int32_t rank)
{
    struct decode_options o;
    struct decoder *d = NULL;
    struct batch *b = NULL;
    struct buf out = BUF_INIT, msg = BUF_INIT;

    decode_options_init(&o);
    o.format = format;
    o.rank = rank;
    o.is_agent = is_agent;
    o.ranks = ranks;
    o.is_one_node = is_one_node;
    o.marks = m;
    o.recv_us = 1764000000000000;
    assert_int_equal(decoder_new(&o, &d), 0);
    assert_int_equal(decoder_feed(d, body, strlen(body)), 0);
    assert_int_equal(decoder_finish(d, &b), 0);
    for (uint32_t i = 0; i < b->frame_count; i++) {
        const char *p = b->frames[i].raw, *end = p + b->frames[i].raw_bytes;
        while (p < end) {
            const char *nl = memchr(p, '\n', (size_t)(end - p));
            struct record_view v;
            assert_int_equal(record_parse(p, (size_t)(nl - p), &v), 0);
            buf_clear(&msg);
            assert_int_equal(record_msg(&v, &msg), 0);
            buf_addf(&out, "%d %s %.*s: %s\n", v.rank, level_name(v.level), (int)v.fields_json_len,
                     v.fields_json ? v.fields_json : "", buf_cstr(&msg));
            p = nl + 1;
        }
    }
    batch_free(&b);
    decoder_free(&d);
    buf_release(&msg);
    buf_cstr(&out);
    return buf_steal(&out, NULL);
}

static void check(struct marks *m, const char *body, const char *want)
{
    char *got = decode(m, body, DECODE_TEXT, RECORD_RANK_NONE);

    assert_string_equal(got, want);
    free(got);
}

/* A traceback has one level and numbered lines, also when its lines come in several batches and between others. */
static void test_blocks(void **state)
{
    struct marks *m = marks_new();

    check(m,
          "[rank3]: Traceback (most recent call last):\n[rank0]: step 4 loss 2.0\n[rank3]:   File "
          "\"a.py\", line 3, in f\n",
          "3 error : [rank3]: Traceback (most recent call last):\n0  : [rank0]: step 4 loss 2.0\n"
          "3 error {\"block\":2}: [rank3]:   File \"a.py\", line 3, in f\n");
    check(m, "[rank3]:     g()\n[rank0]: step 5 loss 1.9\n[rank3]: ValueError: no\n[rank3]: bye\n",
          "3 error {\"block\":3}: [rank3]:     g()\n0  : [rank0]: step 5 loss 1.9\n"
          "3 error {\"block\":4}: [rank3]: ValueError: no\n3  : [rank3]: bye\n");
    check(m,
          "\x1b[31mthread 'main' panicked at src/main.rs:3:5:\x1b[0m\nboom\nnote: run with "
          "`RUST_BACKTRACE=1` x\nok\n",
          "-1 fatal : \x1b[31mthread 'main' panicked at src/main.rs:3:5:\x1b[0m\n-1 fatal "
          "{\"block\":2}: boom\n"
          "-1 fatal {\"block\":3}: note: run with `RUST_BACKTRACE=1` x\n-1  : ok\n");
    marks_free(&m);
}

/* Levels and ranks that the sender gives stand; such lines begin no block. */
static void test_given(void **state)
{
    struct marks *m = marks_new();
    char *got =
        decode(m,
               "{\"level\":\"info\",\"rank\":1,\"msg\":\"Traceback (most recent call last):\"}\n"
               "{\"level\":\"info\",\"rank\":1,\"msg\":\"  File \\\"a.py\\\", line 3, in f\"}\n"
               "{\"rank\":1,\"msg\":\"[rank7]: Traceback (most recent call last):\"}\n"
               "{\"rank\":1,\"msg\":\"[rank7]:   File \\\"a.py\\\", line 3, in f\"}\n"
               "{\"level\":\"warn\",\"msg\":\"[rank2]: slow\"}\n"
               "{\"msg\":\"Traceback (most recent call last):\\n  File \\\"a.py\\\", line 3, in "
               "f\\nKeyError: 3\"}\n"
               "{\"msg\":\"  File \\\"a.py\\\", line 3, in f\"}\n",
               DECODE_NDJSON, RECORD_RANK_NONE);

    assert_string_equal(
        got,
        "1 info : Traceback (most recent call last):\n1 info :   File \"a.py\", line 3, in f\n"
        "1 error : [rank7]: Traceback (most recent call last):\n"
        "1 error {\"block\":2}: [rank7]:   File \"a.py\", line 3, in f\n2 warn : [rank2]: slow\n"
        "-1 error : Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nKeyError: "
        "3\n"
        "-1  :   File \"a.py\", line 3, in f\n");
    free(got);
    marks_free(&m);
}

/* torchrun's local ranks are kept as that and tell blocks apart; srun's labels are ranks where all lines have them. */
static void test_local_and_labels(void **state)
{
    struct marks *m = marks_new();

    check(m,
          "[default0]:panic: a\n[default1]:panic: b\n[default0]:goroutine 1 "
          "[running]:\n[default1]:x\n",
          "-1 fatal {\"local_rank\":0}: [default0]:panic: a\n-1 fatal {\"local_rank\":1}: "
          "[default1]:panic: b\n"
          "-1 fatal {\"local_rank\":0,\"block\":2}: [default0]:goroutine 1 [running]:\n-1  "
          "{\"local_rank\":1}: [default1]:x\n");
    marks_reset(m);
    check(m, "0: a\n1: a\n0: b\n1: b\n0: c\n1: c\n0: d\n",
          "-1  : 0: a\n-1  : 1: a\n-1  : 0: b\n-1  : 1: b\n-1  : 0: c\n-1  : 1: c\n-1  : 0: d\n");
    check(m,
          "1: d\n0: Traceback (most recent call last):\n1: e\n0:   File \"a.py\", line 3, in f\n",
          "1  : 1: d\n0 error : 0: Traceback (most recent call last):\n1  : 1: e\n0 error "
          "{\"block\":2}: 0:   File \"a.py\", line 3, in f\n");
    marks_reset(m);
    check(m, "the first line has none\n0: a\n1: a\n0: b\n1: b\n0: c\n1: c\n0: d\n1: d\n0: e\n",
          "-1  : the first line has none\n-1  : 0: a\n-1  : 1: a\n-1  : 0: b\n-1  : 1: b\n-1  : 0: "
          "c\n-1  : 1: c\n-1  : 0: d\n-1  : 1: d\n-1  : 0: e\n");
    marks_free(&m);
}

/* A redrawn bar says how far it came, from any sender. */
static void test_progress(void **state)
{
    struct marks *m = marks_new();
    char *got;

    check(m,
          " 10%|#   | 1/10 [00:01<00:09,  1.00it/s]\r100%|####| 10/10 [00:10<00:00,  1.00it/s]\n",
          "-1  {\"redraws\":1,\"history\":[\" 10%|#   | 1/10 [00:01<00:09,  "
          "1.00it/s]\"],\"progress\":{\"percent\":100,\"done\":10,"
          "\"total\":10,\"rate\":1,\"unit\":\"it\",\"eta_s\":0}}: 100%|####| 10/10 [00:10<00:00,  "
          "1.00it/s]\n");
    got = decode(m,
                 "{\"msg\":\"100%|####| 10/10 [00:10<00:00,  "
                 "1.00it/s]\",\"fields\":{\"redraws\":7,\"history\":[]}}\n",
                 DECODE_NDJSON, 3);
    assert_string_equal(got, "3  "
                             "{\"redraws\":7,\"history\":[],\"progress\":{\"percent\":100,\"done\":"
                             "10,\"total\":10,\"rate\":1,\"unit\":\"it\","
                             "\"eta_s\":0}}: 100%|####| 10/10 [00:10<00:00,  1.00it/s]\n");
    free(got);
    marks_free(&m);
}

/* A bar behind times of fill, sent as text, and as the line that is stored of it: the same is read of both. */
static void check_stored(struct marks *m, const char *fill, const char *stored, int times, int is_in_sight)
{
    static const char bar[] = " 10%|#   | 1/10 [00:10<01:30,  0.10it/s]";
    struct buf text = BUF_INIT, line = BUF_INIT;
    char *first, *again;

    assert_int_equal(buf_adds(&text, "x\r"), 0);
    assert_int_equal(buf_adds(&line, "{\"msg\":\""), 0);
    for (int i = 0; i < times; i++) {
        assert_int_equal(buf_adds(&text, fill), 0);
        assert_int_equal(buf_adds(&line, stored), 0);
    }
    assert_int_equal(buf_addf(&text, "%s\n", bar), 0);
    assert_int_equal(buf_addf(&line, "%s\",\"fields\":{\"redraws\":1,\"history\":[\"x\"]}}\n", bar), 0);
    first = decode(m, buf_cstr(&text), DECODE_TEXT, 3);
    again = decode(m, buf_cstr(&line), DECODE_NDJSON, 3);
    assert_string_equal(first, again);
    assert_int_equal(strstr(first, "\"progress\"") != NULL, is_in_sight);
    free(first);
    free(again);
    buf_release(&text);
    buf_release(&line);
}

/* What a bar says does not depend on whether it comes as bytes or as the line that was stored of them. */
static void test_progress_of_what_is_stored(void **state)
{
    struct marks *m = marks_new();

    (void)state;
    check_stored(m, "\xff", "\xef\xbf\xbd", 300, 1);
    check_stored(m, "\xff", "\xef\xbf\xbd", 500, 0); /* 500 bytes are stored as 1,500 */
    check_stored(m, "\x01", "\\u0001", 900, 1);       /* 900 bytes, 5,400 of JSON */
    marks_free(&m);
}

/* More open blocks than are remembered: the oldest are forgotten, the latest go on. */
static void test_bounded(void **state)
{
    struct marks *m = marks_new();
    char line[100], want[160];

    for (int i = 0; i < 3 * MARKS_SOURCES_MAX; i++) {
        snprintf(line, sizeof line, "[rank%d]: panic: x\n", i);
        snprintf(want, sizeof want, "%d fatal : [rank%d]: panic: x\n", i, i);
        check(m, line, want);
    }
    check(m, "[rank0]: goroutine 1 [running]:\n",
          "0 fatal : [rank0]: goroutine 1 [running]:\n"); /* begins one */
    snprintf(line, sizeof line, "[rank%d]: goroutine 1 [running]:\n", 3 * MARKS_SOURCES_MAX - 1);
    snprintf(want, sizeof want, "%d fatal {\"block\":2}: %s", 3 * MARKS_SOURCES_MAX - 1, line);
    check(m, line, want);
    marks_free(&m);
}

/* A producer finds its marks again; two requests at once have each their own; the ones unused longest go. */
static void test_pool(void **state)
{
    struct marks_pool *p = marks_pool_new();
    struct marks *a = marks_pool_take(p, "a", 1), *b, *kept;
    char key[16];

    check(a, "panic: x\n", "-1 fatal : panic: x\n");
    kept = a;
    b = marks_pool_take(p, "a", 1);
    assert_ptr_not_equal(b, a);
    marks_pool_give(p, "a", 1, &b);
    marks_pool_give(p, "a", 1, &a); /* in place of b */
    assert_null(a);
    a = marks_pool_take(p, "a", 1);
    assert_ptr_equal(a, kept);
    check(a, "goroutine 1 [running]:\n", "-1 fatal {\"block\":2}: goroutine 1 [running]:\n");
    marks_pool_give(p, "a", 1, &a);
    for (int i = 0; i < MARKS_POOL_MAX; i++) {
        struct marks *m = marks_pool_take(p, key, (size_t)snprintf(key, sizeof key, "k%d", i));
        marks_pool_give(p, key, strlen(key), &m);
    }
    a = marks_pool_take(p, "a", 1);
    check(a, "goroutine 1 [running]:\n", "-1 fatal : goroutine 1 [running]:\n");
    marks_free(&a);
    marks_pool_free(&p);
}

static void check_agent(struct marks *m, const char *body, int32_t rank, const char *want)
{
    char *got;

    is_agent = 1;
    got = decode(m, body, DECODE_TEXT, rank);
    assert_string_equal(got, want);
    free(got);
    is_agent = 0;
}

static void an_agents_rank_stands_until_its_lines_show_that_it_carries_many(void **state)
{
    /* srun joblog run -- torchrun: the agent's SLURM_PROCID is a node's number. One other rank alone proves nothing (every task
     * of a sweep has a [rank0] of its own), two do, or one that no task has. */
    struct marks *m = marks_new();

    check_agent(m, "a\n[rank0]: b\nc\n[rank0]: d\n", 1,
                "1  : a\n1  : [rank0]: b\n1  : c\n1  : [rank0]: d\n");
    check_agent(m, "[rank3]: e\nplain\n[rank0]: f\n", 1, "3  : [rank3]: e\n-1  : plain\n0  : [rank0]: f\n");
    check_agent(m, "later\n", 1, "-1  : later\n");
    marks_reset(m);
    ranks = 2;
    check_agent(m, "a\n[rank11]: b\nc\n", 1, "1  : a\n11  : [rank11]: b\n-1  : c\n");
    marks_reset(m);
    check_agent(m, "[default0]:a\n[default3]:b\n[default0]:c\n", 1,
                "1  : [default0]:a\n-1  {\"local_rank\":3}: [default3]:b\n-1  {\"local_rank\":0}: [default0]:c\n");
    marks_reset(m);
    check_agent(m, "[Rank 1] of prose\n[Rank 0] of prose\n", 1, "1  : [Rank 1] of prose\n1  : [Rank 0] of prose\n");
    ranks = 0;
    /* A rank of the line's own stands in any case. */
    is_agent = 1;
    char *got = decode(m, "{\"msg\":\"[rank1]: x\",\"rank\":7}\n"
                          "{\"msg\":\"[rank2]: x\",\"rank\":7}\n", DECODE_NDJSON, 1);
    assert_string_equal(got, "7  : [rank1]: x\n7  : [rank2]: x\n");
    free(got);
    is_agent = 0;
    marks_free(&m);
}

static void local_ranks_are_ranks_on_one_node(void **state)
{
    /* Where the agent says that the job has one node, [defaultN] is rank N. */
    struct marks *m = marks_new();

    is_one_node = 1;
    check_agent(m, "[default3]:a\nplain\n[default1]:[rank1]: b\n", RECORD_RANK_NONE,
                "3  {\"local_rank\":3}: [default3]:a\n-1  : plain\n1  : [default1]:[rank1]: b\n");
    marks_reset(m);
    check_agent(m, "[default3]:a\n[default0]:b\n", 0,
                "3  {\"local_rank\":3}: [default3]:a\n0  {\"local_rank\":0}: [default0]:b\n");
    is_one_node = 0;
    check_agent(m, "[default3]:a\n", RECORD_RANK_NONE, "-1  {\"local_rank\":3}: [default3]:a\n");
    marks_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),           cmocka_unit_test(test_given),
        cmocka_unit_test(test_local_and_labels), cmocka_unit_test(test_progress),
        cmocka_unit_test(test_progress_of_what_is_stored),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(an_agents_rank_stands_until_its_lines_show_that_it_carries_many),
        cmocka_unit_test(local_ranks_are_ranks_on_one_node), cmocka_unit_test(test_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

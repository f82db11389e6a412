/*
 * tests/unit/serve/job_json_read_test.c -- job.json read back: serve/job_json_read.c.
 */
#include "serve/job_json.h"

#include "job/record.h"
#include "tests/unit/serve/world.h"

#define SECOND INT64_C(1000000)

static struct job_info *make(void)
{
    struct job_info *i = job_info_new();

    job_key_make(&i->key, "p", 1, "demo", 4);
    i->name = must_strdup("a \"name\"\nof two lines");
    i->labels_json = must_strdup("{\"team\":\"a\",\"n\":\"é\"}");
    i->extra_json = must_strdup("{\"instance_type\":\"8xH100\",\"deep\":{\"list\":[1,2.5,null,true,\"x\"]},\"big\":12345678901}");
    i->missing_json = must_strdup("[\"rank-1\",\"rank 7\"]");
    i->error_message = must_strdup("killed: \"OOM\"");
    i->ranks_declared = 8;
    i->state = STATE_FAILED;
    i->created_us = 1 * SECOND + 1;
    i->started_us = 2 * SECOND + 20;
    i->updated_us = i->ended_us = 3 * SECOND + 500000;
    i->epoch = 1764000000000000;
    i->seq = 6;
    i->lines = 4;
    i->bytes = 40;
    i->batches = 2;
    i->duplicates = 1;
    i->gaps = 3;
    i->refused_sealed = 5;
    i->level_count[LEVEL_NONE] = 1;
    i->level_count[LEVEL_FATAL] = 3;
    i->has_exit_code = 1;
    i->exit_code = -137;
    i->sealed = 1;
    i->sealed_seq = 6;
    i->sealed_us = 4 * SECOND;
    i->archived_upto = 6;
    i->first_in_stream = 7;
    i->history_count = 2;
    i->history[0] = (struct job_history){.state = STATE_CREATED, .at_us = 1 * SECOND, .seq = 1, .rank = RECORD_RANK_NONE};
    i->history[1] = (struct job_history){.state = STATE_FAILED,
                                         .at_us = 3 * SECOND + 500000,
                                         .seq = 6,
                                         .rank = 3,
                                         .has_exit_code = 1,
                                         .exit_code = 1,
                                         .message = must_strdup("it \\ broke")};
    i->ranks = must_calloc(2, sizeof *i->ranks);
    i->ranks[0] = (struct job_rank){RECORD_RANK_NONE, 4, 5, 3 * SECOND, 3 * SECOND + 1};
    i->ranks[1] = (struct job_rank){7, 1, 2, 5, 6};
    i->rank_count = 2;
    i->producers = must_calloc(3, sizeof *i->producers);
    i->producers[0] = (struct job_producer){.id = "rank-0", .epoch = 9, .last = 4, .rank = 0, .has_fin = 1, .fin = 4,
                                            .fin_us = 3 * SECOND, .has_exit_code = 1, .exit_code = 137, .signal = 9};
    i->producers[1] = (struct job_producer){.id = "p", .epoch = UINT64_MAX, .last = 1, .rank = RECORD_RANK_NONE};
    i->producers[2] =
        (struct job_producer){.id = "q", .epoch = (1ULL << 53) - 1, .last = 1, .rank = 65535, .has_fin = 1, .fin = 0};
    i->producer_count = 3;
    return i;
}

static char *print(const struct job_info *i)
{
    struct buf text = BUF_INIT;
    char *out;

    assert_int_equal(job_json(&text, i, 9 * SECOND), 0);
    out = must_strdup(buf_cstr(&text));
    buf_release(&text);
    return out;
}

/* What is printed and read back prints the same: nothing is lost that job.json holds. */
static void round_trip(void **state)
{
    struct job_info *info = make(), *again = NULL;
    char *text = print(info), *second;

    assert_int_equal(job_json_read(text, strlen(text), &info->key, &again), 0);
    second = print(again);
    assert_string_equal(text, second);
    assert_int_equal(again->sealed_seq, 6);
    assert_true(again->producers[1].epoch == UINT64_MAX);
    assert_string_equal(again->labels_json, info->labels_json);
    assert_string_equal(again->extra_json, info->extra_json);
    free(text);
    free(second);
    job_info_free(&info);
    job_info_free(&again);
}

/* Cut anywhere, or with any byte changed, it is read as damage or as something of the same form, never a crash. */
static void damage(void **state)
{
    struct job_info *info = make(), *again = NULL;
    char *text = print(info);
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        char *cut = malloc(len + 1);
        int err;

        memcpy(cut, text, len + 1);
        assert_int_equal(job_json_read(cut, i, &info->key, &again), ERR_CORRUPT);
        assert_null(again);
        cut[i] = (char)(cut[i] ^ 0x11);
        err = job_json_read(cut, len, &info->key, &again);
        assert_true(err == 0 || err == ERR_CORRUPT);
        job_info_free(&again);
        free(cut);
    }
    free(text);
    job_info_free(&info);
}

/* Where a list is wanted, an object is damage, however many members it has. */
static void no_list(void **state)
{
    static const char *const names[] = {"history", "by_rank", "producers"};
    struct job_key key;

    job_key_make(&key, "p", 1, "demo", 4);
    for (size_t n = 0; n < 3; n++) {
        struct buf text = BUF_INIT;
        struct job_info *again = NULL;

        buf_addf(&text, "{\"id\":\"demo\",\"project\":\"p\",\"epoch\":1,\"state\":\"CREATED\",\"%s\":{", names[n]);
        for (int i = 0; i < 2 * JOB_HISTORY_MAX; i++)
            buf_addf(&text, "%s\"%d\":{\"id\":\"w\",\"state\":\"CREATED\"}", i ? "," : "", i);
        buf_adds(&text, "}}");
        assert_int_equal(job_json_read(text.data, text.len, &key, &again), ERR_CORRUPT);
        assert_null(again);
        buf_release(&text);
    }
}

/* Another job's file in this job's place is not believed. */
static void another_job(void **state)
{
    struct job_info *info = make(), *again = NULL;
    struct job_key other;
    char *text = print(info);

    job_key_make(&other, "p", 1, "demo2", 5);
    assert_int_equal(job_json_read(text, strlen(text), &other, &again), ERR_CORRUPT);
    free(text);
    job_info_free(&info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(damage),
        cmocka_unit_test(another_job),
        cmocka_unit_test(no_list),
    };

    world_unused();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

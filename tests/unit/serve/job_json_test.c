/*
 * tests/unit/serve/job_json_test.c -- a job as JSON.
 */
#include "serve/job_json.h"

#include "base/json_tree.h"
#include "job/record.h"
#include "tests/unit/serve/world.h"

#define SECOND INT64_C(1000000)

static struct job_info example(void)
{
    static char error[] = "killed: \"OOM\"";
    static struct job_rank ranks[1] = {{.rank = RECORD_RANK_NONE,
                                        .lines = 4,
                                        .last_seq = 5,
                                        .last_ts_us = 3 * SECOND,
                                        .last_recv_us = 3 * SECOND}};
    static struct job_producer producers[1] = {
        {.id = "rank-0", .epoch = 9, .last = 4, .rank = 0, .has_fin = 1, .fin = 4, .fin_us = 3 * SECOND,
         .has_exit_code = 1, .exit_code = 137, .signal = 9}};
    struct job_info i;

    memset(&i, 0, sizeof i);
    job_key_make(&i.key, "p", 1, "demo", 4);
    i.labels_json = (char *)"{\"team\":\"a\"}";
    i.missing_json = (char *)"[\"rank-1\"]";
    i.error_message = error;
    i.state = STATE_FAILED;
    i.created_us = 1 * SECOND;
    i.updated_us = i.ended_us = 3 * SECOND + 500000;
    i.epoch = 2;
    i.seq = 6;
    i.lines = 4;
    i.bytes = 40;
    i.has_exit_code = 1;
    i.exit_code = 137;
    i.sealed = 1;
    i.sealed_us = 4 * SECOND;
    i.history_count = 2;
    i.history[0] = (struct job_history){
        .state = STATE_CREATED, .at_us = 1 * SECOND, .seq = 1, .rank = RECORD_RANK_NONE};
    i.history[1] = (struct job_history){.state = STATE_FAILED,
                                        .at_us = 3 * SECOND + 500000,
                                        .seq = 6,
                                        .rank = 3,
                                        .has_exit_code = 1,
                                        .exit_code = 137,
                                        .message = error};
    i.ranks = ranks;
    i.rank_count = 1;
    i.producers = producers;
    i.producer_count = 1;
    return i;
}

/* Every member of the header's example is there, in its order, and the text is JSON. */
static void full(void **state)
{
    struct job_info i = example();
    struct buf out = BUF_INIT;
    struct json_tree *root = NULL;

    assert_int_equal(job_json(&out, &i, 100 * SECOND), 0);
    assert_int_equal(json_tree_parse(out.data, out.len, &root, NULL), 0);
    json_tree_free(&root);
    assert_string_equal(out.data,
                        "{\"id\":\"demo\",\"project\":\"p\",\"name\":null,\"labels\":{\"team\":"
                        "\"a\"},\"ranks\":null,\"state\":\"TRAINING_JOB_FAILED\","
                        "\"created_at\":\"1970-01-01T00:00:01.000000Z\",\"updated_at\":\"1970-01-"
                        "01T00:00:03.500000Z\",\"started_at\":null,"
                        "\"ended_at\":\"1970-01-01T00:00:03.500000Z\",\"duration_s\":2.5,\"exit_"
                        "code\":137,\"error_message\":\"killed: \\\"OOM\\\"\","
                        "\"cursor\":\"2:6\",\"epoch\":2,\"seq\":6,\"lines\":4,\"bytes\":40,"
                        "\"sealed\":true,\"complete\":false,\"missing\":[\"rank-1\"],"
                        "\"sealed_at\":\"1970-01-01T00:00:04.000000Z\",\"batches\":0,"
                        "\"duplicates\":0,\"gaps\":0,\"refused_sealed\":0,"
                        "\"levels\":{\"none\":0,\"trace\":0,\"debug\":0,\"info\":0,\"warn\":0,"
                        "\"error\":0,\"fatal\":0},"
                        "\"history\":[{\"state\":\"TRAINING_JOB_CREATED\",\"at\":\"1970-01-01T00:"
                        "00:01.000000Z\",\"seq\":1,\"duration_s\":2.5,\"exit_code\":null,"
                        "\"rank\":null,\"message\":null},{\"state\":\"TRAINING_JOB_FAILED\",\"at\":"
                        "\"1970-01-01T00:00:03.500000Z\",\"seq\":6,\"duration_s\":null,"
                        "\"exit_code\":137,\"rank\":3,\"message\":\"killed: "
                        "\\\"OOM\\\"\"}],\"extra\":{},\"archived_upto\":0,\"held_from\":0,"
                        "\"by_rank\":[{\"rank\":null,\"lines\":4,\"last_seq\":5,\"last_at\":\"1970-"
                        "01-01T00:00:03.000000Z\","
                        "\"last_received_at\":\"1970-01-01T00:00:03.000000Z\"}],\"producers\":[{"
                        "\"id\":\"rank-0\",\"epoch\":9,\"last\":4,\"rank\":0,\"fin\":4,"
                        "\"fin_at\":\"1970-01-01T00:00:03.000000Z\",\"exit_code\":137,\"signal\":\"SIGKILL\"}]}");
    buf_release(&out);
}

/* A running job lasts until now, and whether it is complete is not known. */
static void compact(void **state)
{
    struct job_info i = example();
    struct buf out = BUF_INIT;

    i.sealed = 0;
    i.state = STATE_RUNNING;
    i.ended_us = 0;
    assert_int_equal(job_json_compact(&out, &i, 11 * SECOND), 0);
    assert_non_null(strstr(out.data, "\"duration_s\":10,"));
    assert_non_null(
        strstr(out.data, "\"sealed\":false,\"complete\":null,\"missing\":[\"rank-1\"]}"));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(full), cmocka_unit_test(compact)};

    world_unused();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

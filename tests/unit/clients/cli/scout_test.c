/* tests/unit/clients/cli/scout_test.c -- clients/cli/scout.c: what is read out of the documents (no network). */
#include "clients/cli/scout.h"

#include "base/json_tree.h"
#include "job/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct json_tree *parse(const char *text)
{
    struct json_tree *root = NULL;

    assert_int_equal(json_tree_parse(text, strlen(text), &root, NULL), 0);
    return root;
}

#define PAGE                                                                                       \
    "{\"state\":\"TRAINING_JOB_RUNNING\",\"seq\":12,\"lines\":10,\"duration_s\":100.5,\"ranks\":8,"  \
    "\"created_at\":\"2026-11-24T19:00:00.000000Z\",\"started_at\":\"2026-11-24T20:00:00.000000Z\"," \
    "\"by_rank\":[{\"rank\":null,\"last_received_at\":\"2026-11-24T20:01:40.000000Z\"},"             \
    "{\"rank\":0,\"last_received_at\":\"2026-11-24T20:01:40.000000Z\"},"                             \
    "{\"rank\":1,\"last_received_at\":\"2026-11-24T20:00:10.000000Z\"},"                             \
    "{\"rank\":2,\"last_received_at\":\"2026-11-24T20:01:40.000000Z\"}],"                            \
    "\"producers\":[{\"rank\":2,\"fin\":5},{\"rank\":3,\"fin\":null},{\"rank\":4,\"fin\":0},"        \
    "{\"rank\":null,\"fin\":1}]}"

static void a_page_says_who_is_alive(void **state)
{
    /* Alive: heard in the last minute and not finished, or started and silent so far; a moved bar is being heard. */
    struct json_tree *page = parse(PAGE);
    struct scout_view v = {0};
    int64_t *heard = calloc(RECORD_RANK_MAX + 1, sizeof *heard);

    scout_read_job(&v, page, NULL, 1000000000);
    assert_true(v.is_known && !v.has_ended && v.seq == 12 && v.lines == 10);
    assert_string_equal(v.state, "TRAINING_JOB_RUNNING");
    assert_int_equal(v.lasted_us, 100500000);
    assert_int_equal(v.ranks, 8);
    assert_int_equal(v.alive, 2); /* 0 and 3 */
    heard[1] = 990000000;
    heard[2] = 990000000;
    heard[5] = 1;
    scout_read_job(&v, page, heard, 1000000000);
    assert_int_equal(v.alive, 3); /* and 1 */
    free(heard);
    json_tree_free(&page);
}

static void an_end_is_an_end(void **state)
{
    struct json_tree *page = parse("{\"state\":\"TRAINING_JOB_FAILED\",\"duration_s\":1}");
    struct scout_view v = {0};

    scout_read_job(&v, page, NULL, 5);
    assert_true(v.has_ended && v.is_known && v.ranks == 0);
    json_tree_free(&page);
    page = parse("{\"nothing\":1}");
    memset(&v, 0, sizeof v);
    scout_read_job(&v, page, NULL, 5);
    assert_false(v.is_known);
    json_tree_free(&page);
}

static void the_slowest_rank_is_found(void **state)
{
    /* The rank with the smallest step; with fewer than two there is none. */
    struct json_tree *stats = parse("{\"ranks\":[{\"rank\":0,\"step\":120},{\"rank\":5,\"step\":118},{\"rank\":6,\"step\":null},"
                                    "{\"rank\":null,\"step\":1}]}");
    struct scout_view v = {0};

    scout_read_stats(&v, stats);
    assert_true(v.has_slowest && v.slowest_rank == 5 && v.slowest_step == 118 && v.newest_step == 120);
    json_tree_free(&stats);
    stats = parse("{\"ranks\":[{\"rank\":0,\"step\":120}]}");
    scout_read_stats(&v, stats);
    assert_false(v.has_slowest);
    json_tree_free(&stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_says_who_is_alive),
        cmocka_unit_test(an_end_is_an_end),
        cmocka_unit_test(the_slowest_rank_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/serve/followers_test.c -- when a poller may be told that its job is over.
 */
#include "serve/followers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NOW_US INT64_C(1800000000000000)

static struct job_info sealed_job(int64_t ago_us)
{
    struct job_info info = {.epoch = 7, .seq = 100, .sealed = 1, .sealed_seq = 100, .sealed_us = NOW_US - ago_us};

    strcpy(info.key.project, "p");
    strcpy(info.key.job, "j");
    return info;
}

/* Who follows nothing is told at once, sealed or not. */
static void tells_others_at_once(void **state)
{
    struct followers *fs = followers_new();
    struct job_info info = sealed_job(0), other = sealed_job(0);

    strcpy(other.key.job, "k");
    followers_note(fs, &other.key, 7, 100);
    assert_true(followers_may_know(fs, &info, NOW_US));
    info.sealed = 0;
    assert_true(followers_may_know(fs, &info, NOW_US));
    followers_free(&fs);
    assert_null(fs);
}

/* A poller is told once a poll has reached the last record of the sealed job, however long ago that was sealed. */
static void waits_for_the_last_record(void **state)
{
    struct followers *fs = followers_new();
    struct job_info info = sealed_job(60 * INT64_C(1000000));

    followers_note(fs, &info.key, 7, 99);
    assert_false(followers_may_know(fs, &info, NOW_US));
    followers_note(fs, &info.key, 6, 500); /* of a job of that name that was deleted */
    assert_false(followers_may_know(fs, &info, NOW_US));
    followers_note(fs, &info.key, 7, 100);
    assert_true(followers_may_know(fs, &info, NOW_US));
    info.sealed = 0;
    assert_false(followers_may_know(fs, &info, NOW_US));
    followers_free(&fs);
}

/* Right after the seal nobody is told: another poller may not have come by since. */
static void waits_for_everybody(void **state)
{
    struct followers *fs = followers_new();
    struct job_info info = sealed_job(FOLLOWERS_LAG_US - 1);

    followers_note(fs, &info.key, 7, 100);
    assert_false(followers_may_know(fs, &info, NOW_US));
    assert_true(followers_may_know(fs, &info, NOW_US + 1));
    followers_free(&fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_others_at_once),
        cmocka_unit_test(waits_for_the_last_record),
        cmocka_unit_test(waits_for_everybody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

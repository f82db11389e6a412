/*
 * tests/unit/job/state_test.c -- every move, against a table written by hand.
 */
#include "base/err.h"
#include "job/state.h"
#include "tests/unit/base/unit.h"

#include <ctype.h>
#include <stdio.h>

static void test_moves(void **state)
{
    /* Each pair of states is allowed, a repeat, or refused as the table says. */
    static const char moves[STATE_COUNT][STATE_COUNT + 1] = {
        /* to:              C P Q D R c d f s
         * from CREATED */ "=+++++" "+++",
        /* PENDING */       "-=++++" "+++",
        /* QUEUED */        "--=+++" "+++",
        /* DEPLOYING */     "---=++" "+++",
        /* RUNNING */       "----=+" "-++",
        /* COMPLETED */     "-----=" "---",
        /* DEPLOY_FAILED */ "------" "=--",
        /* FAILED */        "------" "-=-",
        /* STOPPED */       "------" "--=",
    };
    for (int from = 0; from < STATE_COUNT; from++) {
        for (int to = 0; to < STATE_COUNT; to++) {
            enum state_move want = moves[from][to] == '+'   ? MOVE_OK
                                   : moves[from][to] == '=' ? MOVE_REPEAT
                                                            : MOVE_BAD;
            if (state_move((enum job_state)from, (enum job_state)to) != want)
                fail_msg("%s -> %s", state_short((enum job_state)from),
                         state_short((enum job_state)to));
        }
    }
}

static void test_terminal(void **state)
{
    /* COMPLETED, DEPLOY_FAILED, FAILED and STOPPED are final. */
    static const int terminal[STATE_COUNT] = {0, 0, 0, 0, 0, 1, 1, 1, 1};
    for (int s = 0; s < STATE_COUNT; s++)
        assert_int_equal(state_is_terminal((enum job_state)s), terminal[s]);
}

static void test_names(void **state)
{
    /* A state is known by full or short name in any case, and by nothing else. */
    static const char *const bad[] = {"", "RUN", "RUNNINGX", "TRAINING_JOB_", "TRAINING_JOB_RUN",
                                      "TRAINING_JOB_TRAINING_JOB_RUNNING", " RUNNING", "JOB_RUNNING"};
    enum job_state got;
    assert_string_equal(state_name(STATE_RUNNING), "TRAINING_JOB_RUNNING");
    assert_string_equal(state_short(STATE_DEPLOY_FAILED), "DEPLOY_FAILED");
    for (int s = 0; s < STATE_COUNT; s++) {
        const char *forms[] = {state_name((enum job_state)s), state_short((enum job_state)s)};
        for (int f = 0; f < 2; f++) {
            char small[64];
            snprintf(small, sizeof small, "%s", forms[f]);
            for (char *p = small; *p; p++) *p = (char)tolower(*p);
            assert_int_equal(state_parse(forms[f], strlen(forms[f]), &got), 0);
            assert_int_equal(got, s);
            assert_int_equal(state_parse(small, strlen(small), &got), 0);
            assert_int_equal(got, s);
        }
    }
    got = STATE_STOPPED;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(state_parse(bad[i], strlen(bad[i]), &got), ERR_INVALID);
    assert_int_equal(got, STATE_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

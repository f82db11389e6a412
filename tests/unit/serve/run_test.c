/*
 * tests/unit/serve/run_test.c -- which frames leave as one message.
 */
#include "serve/run.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define FRAMES 600

static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (rng >> 33) % n;
}

/* Only what a run looks at. */
static void fill(struct frame *frames, uint32_t lines_max, size_t line_bytes)
{
    uint64_t seq = 1;

    for (int i = 0; i < FRAMES; i++) {
        frames[i] = (struct frame){.first_seq = seq, .sum.count = 1 + (uint32_t)rnd(lines_max)};
        frames[i].text_bytes = frames[i].sum.count * (line_bytes + rnd(line_bytes / 4 + 1));
        seq = frame_last_seq(&frames[i]) + 1;
    }
}

/* Runs from frame at on; the index of the frame after the run. */
static int run_from(struct run *run, struct frame *frames, int at)
{
    run_start(run, frames[at].first_seq - 1);
    while (at < FRAMES && run_add(run, &frames[at]))
        at++;
    return at;
}

/* Wherever two followers began, after a few messages they get the same ones; no run is larger than one write, unless it is
 * one frame, and most are large. */
static void all_get_the_same_runs(void **state)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct frame frames[FRAMES];
        struct run run;
        uint8_t ends[FRAMES + 1] = {0};
        int runs = 0;
        size_t bytes = 0, most = 0;

        rng = seed;
        fill(frames, 1 + (uint32_t)rnd(100), 50 + rnd(400));
        for (int at = 0, next; at < FRAMES; at = next) {
            next = run_from(&run, frames, at);
            assert_true(next > at);
            assert_true(run.bytes <= RUN_BYTES_MAX || run.count == 1);
            assert_int_equal(run.last_seq, frame_last_seq(&frames[next - 1]));
            ends[next] = 1;
            runs++;
            bytes += run.bytes;
            if (run.bytes > most)
                most = run.bytes;
        }
        if (runs > 4)
            assert_true(bytes / (size_t)runs > most / 3);
        for (int start = 0; start < FRAMES; start += 7) {
            int turns = 0, at = start;

            while (at < FRAMES && !ends[at]) {
                at = run_from(&run, frames, at);
                turns++;
            }
            assert_in_range(turns, 0, 8);
        }
    }
}

/* What cannot be shared begins no run and ends one. */
static void some_frames_are_nobodys(void **state)
{
    struct frame frames[FRAMES];
    struct run run;

    rng = 1;
    fill(frames, 3, 100);
    frames[2].sum.is_state = 1;
    frames[4].is_lost = 1;
    assert_int_equal(run_from(&run, frames, 0), 2);
    assert_int_equal(run_from(&run, frames, 2), 2);
    assert_int_equal(run.count, 0);
    assert_int_equal(run_from(&run, frames, 3), 4);
    run_start(&run, frames[5].first_seq); /* inside of it, or behind a hole */
    assert_int_equal(run_add(&run, &frames[5]), 0);
    run_start(&run, frames[5].first_seq - 2);
    assert_int_equal(run_add(&run, &frames[5]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_get_the_same_runs),
        cmocka_unit_test(some_frames_are_nobodys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

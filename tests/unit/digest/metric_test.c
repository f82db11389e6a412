/*
 * tests/unit/digest/metric_test.c -- steps and metrics of the usual trainers, and lines that have none.
 */
#include "digest/metric.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *read_line(const char *line)
{
    static char out[1024];
    char *copy = malloc(strlen(line) + 1);
    struct metric m;
    size_t n;

    memcpy(copy, line, strlen(line));
    if (!metric_read(copy, strlen(line), &m))
        snprintf(out, sizeof out, "none");
    else {
        n = (size_t)snprintf(out, sizeof out, "step %lld", (long long)m.step);
        for (uint32_t i = 0; i < m.count; i++)
            n += (size_t)snprintf(out + n, sizeof out - n, "; %.*s=%g", (int)m.values[i].name_len,
                                  m.values[i].name, m.values[i].value);
    }
    free(copy);
    return out;
}

/* The forms of the known trainers give their step and their values. */
static void test_forms(void **state)
{
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"step=120 loss=2.31 lr=3e-4 tokens/s=12,345",
         "step 120; loss=2.31; lr=0.0003; tokens/s=12345"},
        {"INFO:train:step=120 loss=2.31", "step 120; loss=2.31"},
        {"2026-01-02 03:04:05,678 INFO global_step=7 step=3 loss=nan", "step 7; loss=nan"},
        {"2026-01-02 03:04:05,678 INFO global_step=7 step=3 loss=NaN", "step 7; loss=nan"},
        {"step: 5 loss: -inf", "step 5; loss=-inf"},
        {"iter 100: loss 2.3456, time 12.30ms, mfu 34.50%", "step 100; loss=2.3456; mfu=34.5"},
        {"step 0: train loss 4.2874, val loss 4.2823",
         "step 0; train loss=4.2874; val loss=4.2823"},
        {"{'loss': 2.3, 'grad_norm': 1.25, 'learning_rate': 5e-05, 'epoch': 0.1}",
         "step -1; loss=2.3; grad_norm=1.25; learning_rate=5e-05; epoch=0.1"},
        {"{\"step\": 12, \"loss\": 2.3}", "step 12; loss=2.3"},
        {" [2026-01-02 03:04:05] iteration      100/    1000 | consumed samples:        12800 | "
         "elapsed time per iteration (ms): 1234.5 | "
         "learning rate: 3.000000E-05 | global batch size:   128 | lm loss: 1.258695E+01 | loss "
         "scale: 1.0 | grad norm: 10.275 | "
         "number of skipped iterations:   0 |",
         "step 100; consumed samples=12800; elapsed time per iteration (ms)=1234.5; learning "
         "rate=3e-05; global batch size=128; "
         "lm loss=12.5869; loss scale=1; grad norm=10.275; number of skipped iterations=0"},
        {"[2026-01-02 03:04:05,678] [INFO] [logging.py:96:log_dist] [Rank 0] step=10, skipped=0, "
         "lr=[0.001], mom=[(0.9, 0.999)]",
         "step 10; skipped=0"},
        {"Epoch 3:  45%|####5     | 45/100 [00:10<00:12,  4.50it/s, v_num=7, loss=2.31]",
         "step -1; Epoch=3; it/s=4.5; v_num=7; loss=2.31"},
        {"train:  45%|####5     | 45/100 [00:10<00:12,  1.25s/it, loss=2.31]",
         "step -1; it/s=0.8; loss=2.31"},
        {"45/100 [=====>........] - ETA: 12s - loss: 2.3100 - accuracy: 0.5000",
         "step -1; ETA=12; loss=2.31; accuracy=0.5"},
        {"Epoch 2/10", "step -1; Epoch=2"},
        {"Step 100/1000 | loss: 2.5 | lr: 1e-4", "step 100; loss=2.5; lr=0.0001"},
        {"train/loss: 1.5 train/lr: 0.1", "step -1; train/loss=1.5; train/lr=0.1"},
        {"loss=+1.5e+3", "step -1; loss=1500"},
        {"loss = .5", "step -1; loss=0.5"},
        {"loss: 1e999", "step -1; loss=inf"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(read_line(cases[i].line), cases[i].want);
}

/* Numbers that are no metrics: ports, times, versions, prose. */
static void test_none(void **state)
{
    static const char *const lines[] = {
        "listening on port=8000 pid=12",
        "2026-01-02 03:04:05,678 INFO started",
        "took 3 steps",
        "loss of signal",
        "no loss at 3:04",
        "step=x",
        "loss=",
        "loss: n/a",
        "lossless=3",
        "version 1.2.3",
        "loss=1.2.3",
        "stepping 3",
        "File \"a.py\", line 3, in f",
        "",
        "=",
        ":",
        "7",
        "1:2",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (strcmp(read_line(lines[i]), "none") != 0)
            fail_msg("%s: %s", lines[i], read_line(lines[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_none)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

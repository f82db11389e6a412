/*
 * tests/unit/digest/progress_test.c -- what the bars of the usual programs say, and what is no bar.
 */
#include "digest/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Percent, count, rate and rest of every known bar, as JSON members. */
static void test_bars(void **state)
{
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"train:  45%|####5     | 45/100 [00:10<00:12,  4.50it/s, loss=2.31]",
         "\"percent\":45,\"done\":45,\"total\":100,\"rate\":4.5,\"unit\":\"it\",\"eta_s\":12"},
        {" 45%|\xe2\x96\x88\xe2\x96\x88\xe2\x96\x8c  | 450/1000 [1:00:10<2:00:12,  1.25s/it]",
         "\"percent\":45,\"done\":450,\"total\":1000,\"rate\":0.8,\"unit\":\"it\",\"eta_s\":7212"},
        {"  0%|          | 0/100 [00:00<?, ?it/s]", "\"percent\":0,\"done\":0,\"total\":100"},
        {"45it [00:10, 4.50it/s]", "\"rate\":4.5,\"unit\":\"it\""},
        {"model.bin:  45%|####5     | 45.0M/100M [00:10<00:12, 4.50MB/s]",
         "\"percent\":45,\"done\":45000000,\"total\":100000000,\"rate\":4500000,\"unit\":\"B\","
         "\"eta_s\":12"},
        {"Map: 100%|##########| 1000/1000 [00:00<00:00, 12345.67 examples/s]",
         "\"percent\":100,\"done\":1000,\"total\":1000,\"rate\":12345.67,\"unit\":\"examples\","
         "\"eta_s\":0"},
        {"Epoch 3:  45%|####5     | 45/100 [00:10<00:12,  4.50it/s, v_num=7]",
         "\"percent\":45,\"done\":45,\"total\":100,\"rate\":4.5,\"unit\":\"it\",\"eta_s\":12"},
        {"Working... \xe2\x94\x81\xe2\x94\x81\xe2\x95\xb8\xe2\x94\x81  45% 0:00:12",
         "\"percent\":45,\"eta_s\":12"},
        {"   \xe2\x94\x81\xe2\x94\x81\xe2\x94\x81\xe2\x94\x81 45.0/100.0 MB 4.5 MB/s eta 0:00:12",
         "\"percent\":45,\"done\":45000000,\"total\":100000000,\"rate\":4500000,\"unit\":\"B\","
         "\"eta_s\":12"},
        {"file.bin            45%[========>           ]  45.00M  4.50MB/s    eta 12s",
         "\"percent\":45,\"rate\":4500000,\"unit\":\"B\",\"eta_s\":12"},
        {" 45  100M   45 45.0M    0     0  4500k      0  0:00:22  0:00:10  0:00:12 4600k",
         "\"percent\":45,\"done\":45000000,\"total\":100000000,\"rate\":4600000,\"unit\":\"B\","
         "\"eta_s\":12"},
        {"######                 45.0%", "\"percent\":45"},
        {" 45/100 [=====>........] - ETA: 12s - loss: 2.3100 - accuracy: 0.5000",
         "\"percent\":45,\"done\":45,\"total\":100,\"eta_s\":12"},
        {"45/100 \xe2\x94\x81\xe2\x94\x81\xe2\x94\x81 12s 100ms/step - accuracy: 0.5 - loss: 2.31",
         "\"percent\":45,\"done\":45,\"total\":100,\"rate\":10,\"unit\":\"step\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct progress p;
        struct buf out = BUF_INIT;
        if (!progress_read(cases[i].line, strlen(cases[i].line), &p))
            fail_msg("no bar: %s", cases[i].line);
        assert_int_equal(progress_write(&out, &p), 0);
        assert_string_equal(buf_cstr(&out), cases[i].want);
        buf_release(&out);
    }
}

/* Lines with percentages, fractions, rates and times are no bars by that. */
static void test_no_bar(void **state)
{
    static const char *const lines[] = {
        "accuracy 45%",
        "step 45/100 loss 2.31",
        "2026-01-02 03:04:05 45% done in [00:10]",
        "[1/3] building",
        "rate 4.5 it/s",
        "[rank3]: 45/100",
        "| a | b |",
        "|45%|50%|",
        "# heading 45/100",
        "[==]",
        "10/12/2026 10:11:12",
        "",
        " ",
        "eta",
        "[",
        "45",
        "5%|",
        "1 2 3 4 5 6 7 8 9 10 11 12",
        "see [00:10] for 45/100",
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct progress p;
        char *copy = malloc(strlen(lines[i]) + 1);
        memcpy(copy, lines[i], strlen(lines[i]));
        if (progress_read(copy, strlen(lines[i]), &p)) fail_msg("a bar: %s", lines[i]);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bars), cmocka_unit_test(test_no_bar)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

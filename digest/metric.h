/*
 * digest/metric.h -- step numbers and metrics in a line of a training log.
 *
 *     name=value, name: value, 'name': value    logfmt, Keras, Lightning's and tqdm's postfix, the dicts of HF's Trainer
 *     name: value | name: value                 Megatron-LM: names may have spaces and units there
 *     name value                                for names that are known: "iter 100: loss 2.31, time 12.3ms" (nanoGPT)
 *     value it/s, s/it, tokens/s …              under the unit's name
 *     step, iter, iteration, global_step        the step; "iteration 100/ 1000" too; of several, global_step
 *
 * A line counts only when one of its names is known as a metric's (loss, lr, learning_rate, grad_norm, acc…, ppl, mfu,
 * step, epoch …); then all its numbers with names are taken. So ports, pids and sizes in other lines are not.
 * NaN and infinite values are values. Names are cut to METRIC_NAME_BYTES_MAX; "train/loss" stays as written.
 */
#ifndef DIGEST_METRIC_H
#define DIGEST_METRIC_H

#include <stddef.h>
#include <stdint.h>

#define METRIC_LOOK_BYTES 1024 /* of a line */
#define METRIC_VALUES_MAX 24   /* of a line */
#define METRIC_NAME_BYTES_MAX 63

struct metric_value {
    const char *name; /* borrowed from the line, or static */
    size_t name_len;
    double value;
};

struct metric {
    int64_t step; /* -1: not said */
    uint32_t count;
    struct metric_value values[METRIC_VALUES_MAX]; /* without the step */
};

/* text without colours and prefix. 1 when the line counts: ret has a step or a value. */
int metric_read(const char *text, size_t len, struct metric *ret);

#endif

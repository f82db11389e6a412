/*
 * digest/progress.h -- what a progress bar says: how far, how fast, how long still.
 *
 *     tqdm       "train:  45%|####5     | 45/100 [00:10<00:12,  4.50it/s, loss=2.31]", "45it [00:10, 4.50it/s]"
 *     rich       "Working... ━━━━━╸━━━━  45% 0:00:12", "Epoch 0/9 ━━━━━ 45/100 0:00:10 • 0:00:12 4.50it/s" (Lightning)
 *     pip        "   ━━━━━━━━━ 45.0/100.0 MB 4.5 MB/s eta 0:00:12"
 *     wget       "file.bin   45%[====>     ]  45.00M  4.50MB/s    eta 12s"
 *     curl       " 45  100M   45 45.0M    0     0  4500k      0  0:00:22  0:00:10  0:00:12 4500k", "######   45.0%"
 *     Keras      "45/100 [=====>....] - ETA: 12s - loss: 2.31", "45/100 ━━━━━━━ 12s 100ms/step - loss: 2.31"
 *
 * A line is one when it has a bar and a percentage or a count, or tqdm's bracket of times, or curl's columns; nothing
 * else is taken for one ("accuracy 45%" is not).
 */
#ifndef DIGEST_PROGRESS_H
#define DIGEST_PROGRESS_H

#include "base/buf.h"

#include <stddef.h>

#define PROGRESS_LOOK_BYTES 1024
#define PROGRESS_UNIT_BYTES_MAX 15

/* Negative: not said. */
struct progress {
    double percent;  /* 0 … 100; from done and total where they alone are said */
    double done, total; /* in units, or bytes */
    double rate;     /* units a second */
    double eta_s, elapsed_s;
    char unit[PROGRESS_UNIT_BYTES_MAX + 1]; /* of rate: "it", "B", "step"; "" */
};

/* text without colours. 1: it is a progress bar. */
int progress_read(const char *text, size_t len, struct progress *ret);
/* "percent":45,"done":45,"total":100,"rate":4.5,"unit":"it","eta_s":12: the members that are said, without braces. */
int progress_write(struct buf *out, const struct progress *p);

#endif

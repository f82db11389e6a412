/*
 * clients/cli/fold.h -- --fold: the same line of many ranks, and one rank's line over and over, are one: pure.
 *
 *     rank 0 | loading model          loading model  ×4 ranks 0-3
 *     rank 2 | loading model    ->    rank 1 | retry 1  ×2
 *     rank 1 | loading model
 *     rank 1 | retry 1
 *     rank 1 | retry 1
 *     rank 3 | loading model
 *
 * Records wait in a window. When the oldest leaves it, every rank's next line is compared with it: those that are the same
 * go with it, and the rank's line after that is compared, too. So no rank's lines change their order, and a line
 * stands where it was first seen. Lines held together (fields.block, fields.part) are one piece, compared as a whole.
 * Two lines are the same when their texts are (fold_key.h) and their times are within FOLD_TIME_US.
 *
 * The window ends after FOLD_RECORDS records or FOLD_BYTES bytes, and, when hold_us is not 0, after that time since the
 * record came: a live log is never later than that. Without it the result depends on the records alone.
 */
#ifndef CLIENTS_CLI_FOLD_H
#define CLIENTS_CLI_FOLD_H

#include "base/buf.h"
#include "job/record.h"

#include <stdint.h>

#define FOLD_RECORDS 8192
#define FOLD_BYTES (8UL << 20)
#define FOLD_TIME_US 2000000
#define FOLD_HOLD_US 250000 /* on a terminal */

struct fold;
/* One record of a piece; remark belongs behind the first of them and is NULL when nothing was folded. < 0 ends. */
typedef int fold_fn(void *user, const char *line, size_t len, const char *remark);

struct fold *fold_new(int64_t hold_us, fold_fn *give, void *user);
void fold_free(struct fold **f);
/* The next record, read from line. now_us: when it came (any clock; 0 without hold_us). < 0 of give. */
int fold_add(struct fold *f, const struct record_view *v, const char *line, size_t len, int64_t now_us);
/* What has waited long enough goes. */
int fold_tick(struct fold *f, int64_t now_us);
/* Everything goes. */
int fold_finish(struct fold *f);
int fold_is_empty(const struct fold *f);

#endif

/*
 * serve/run.c -- frames in a row that leave as one message.
 */
#include "serve/run.h"

void run_start(struct run *run, uint64_t after)
{
    run->count = 0;
    run->bytes = 0;
    run->last_seq = run->stop_seq = after;
}

/* Records between two lines of the grid: a power of two times 4, 5, 6 or 7, so that a little more or less text a record
 * moves nothing. */
static uint64_t grid_of(const struct frame *f)
{
    uint64_t records = RUN_CELL_BYTES / (f->text_bytes / f->sum.count + 1), step = 1;

    while (step * 8 <= records)
        step *= 2;
    return records < step ? step : records / step * step;
}

int run_add(struct run *run, struct frame *f)
{
    if (f->sum.is_state || f->is_lost || f->first_seq != run->last_seq + 1)
        return 0;
    if (!run->count) {
        uint64_t grid = grid_of(f);

        run->stop_seq = (f->first_seq + grid - 1) / grid * grid;
    } else if (f->first_seq > run->stop_seq || run->count == RUN_FRAMES_MAX || run->bytes + f->text_bytes > RUN_BYTES_MAX) {
        return 0;
    }
    run->frames[run->count++] = f;
    run->bytes += f->text_bytes;
    run->last_seq = frame_last_seq(f);
    return 1;
}

/*
 * serve/range.c -- bounds of a read by cursors, and its refusals.
 */
#include "serve/range.h"

#include "base/err.h"
#include "base/json.h"

#include <stdio.h>

int range_of(const struct query *q, const struct job_info *info, uint64_t *ret_after,
             uint64_t *ret_upto)
{
    uint64_t after = 0, upto = info->seq;

    if (q->has_after) {
        if (q->after.epoch && q->after.epoch != info->epoch)
            return ERR_RESET;
        after = q->after.seq < info->seq ? q->after.seq : info->seq;
    }
    if (q->has_before) {
        if (q->before.epoch && q->before.epoch != info->epoch)
            return ERR_RESET;
        if (q->before.seq <= upto)
            upto = q->before.seq ? q->before.seq - 1 : 0;
    }
    *ret_after = after;
    *ret_upto = upto;
    return 0;
}

void range_reply_reset(struct http *x, uint64_t epoch)
{
    struct buf body;
    struct json j;

    buf_init(&body, 0);
    json_init(&j, &body);
    json_obj(&j);
    json_kstr(&j, "code", err_code(ERR_RESET));
    json_kstr(&j, "message", "the cursor is of another epoch: stored history was lost or replaced");
    json_ku64(&j, "epoch", epoch);
    json_end(&j);
    http_reply(x, 409, "application/json", body.data, body.len);
    buf_release(&body);
}

void range_reply_failed(struct http *x, const struct job_key *key, int err)
{
    if (http_started(x)) {
        http_abort(x);
        return;
    }
    if (err == ERR_NOT_FOUND) {
        http_reply_error(x, 404, err_code(err), "there is no job %s", key->job);
    } else if (err == ERR_RESET) {
        http_reply_error(x, 409, err_code(err),
                         "stored history was lost or replaced while it was read");
    } else {
        char seconds[8];

        snprintf(seconds, sizeof seconds, "%d", RANGE_RETRY_AFTER_S);
        http_set_header(x, "Retry-After", seconds);
        http_reply_error(x, 503, err_code(err), "%s", err_text(err));
    }
}

/*
 * job/replay.c -- counting records into a job, as the append script has counted them.
 */
#include "job/replay.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

struct job_info *job_replay_new(const struct job_key *key)
{
    struct job_info *info = job_info_new();
    info->key = *key;
    info->epoch = 1;
    info->state = STATE_CREATED;
    info->labels_json = must_strdup("{}");
    info->extra_json = must_strdup("{}");
    info->missing_json = must_strdup("[]");
    info->producers_unknown = 1;
    return info;
}

static struct job_rank *find_rank(struct job_info *info, int32_t rank)
{
    uint32_t lo = 0, hi = info->rank_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (info->ranks[mid].rank < rank) lo = mid + 1;
        else hi = mid;
    }
    if (lo < info->rank_count && info->ranks[lo].rank == rank) return &info->ranks[lo];
    if (info->rank_count > JOB_RANKS_MAX) return NULL;
    struct job_rank *more = realloc(info->ranks, (info->rank_count + 1) * sizeof *more);
    if (!more) return NULL;
    info->ranks = more;
    memmove(&more[lo + 1], &more[lo], (info->rank_count - lo) * sizeof *more);
    info->rank_count++;
    more[lo] = (struct job_rank){.rank = rank};
    return &more[lo];
}

static int add_line(struct job_info *info, const struct record_view *v, int64_t recv_us, struct buf *scratch)
{
    struct job_rank *r = find_rank(info, v->rank);
    if (!r) return ERR_NOMEM;
    buf_clear(scratch);
    int err = record_msg(v, scratch);
    if (err == ERR_NOMEM) return err;
    info->lines++;
    info->bytes += err < 0 ? v->msg_json_len : scratch->len;
    info->level_count[v->level]++;
    r->lines++;
    r->last_seq = v->seq;
    r->last_ts_us = v->ts_us;
    r->last_recv_us = recv_us ? recv_us : v->ts_us;
    /* A job that its first lines made is running, and has no record that says so. */
    if (!info->history_count) {
        info->history[info->history_count++] =
            (struct job_history){.state = STATE_RUNNING, .at_us = info->created_us, .rank = RECORD_RANK_NONE};
        info->state = STATE_RUNNING;
        info->started_us = info->created_us;
    }
    return 0;
}

static void add_state(struct job_info *info, const struct record_view *v, const char *message)
{
    if (info->history_count == JOB_HISTORY_MAX) return;
    struct job_history *h = &info->history[info->history_count++];
    *h = (struct job_history){.state = v->state,
                              .at_us = v->ts_us,
                              .seq = v->seq,
                              .has_exit_code = v->has_exit_code,
                              .exit_code = v->exit_code,
                              .rank = v->rank,
                              .message = message[0] ? must_strdup(message) : NULL};
    info->state = v->state;
    if (v->state == STATE_RUNNING && !info->started_us) info->started_us = v->ts_us;
    if (!state_is_terminal(v->state)) return;
    info->ended_us = v->ts_us;
    info->has_exit_code = v->has_exit_code;
    info->exit_code = v->exit_code;
    if (message[0] && (v->state == STATE_FAILED || v->state == STATE_DEPLOY_FAILED)) {
        free(info->error_message);
        info->error_message = must_strdup(message);
    }
}

int job_replay(struct job_info *info, const struct record_view *v, int64_t recv_us, struct buf *scratch)
{
    int64_t at_us = recv_us ? recv_us : v->ts_us;
    CHECKF(v->seq > info->seq, "seq=%llu", (unsigned long long)v->seq);
    if (!info->created_us) info->created_us = at_us;
    if (v->is_state) {
        buf_clear(scratch);
        int err = record_msg(v, scratch);
        if (err == ERR_NOMEM) return err;
        add_state(info, v, err < 0 ? "" : buf_cstr(scratch));
    } else {
        int err = add_line(info, v, recv_us, scratch);
        if (err < 0) return err;
    }
    info->seq = v->seq;
    if (at_us > info->updated_us) info->updated_us = at_us;
    return 0;
}

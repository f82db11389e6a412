/*
 * serve/job_json.c -- printing struct job_info; the members and their order are in the header.
 */
#include "serve/job_json.h"

#include "base/clock.h"
#include "job/cursor.h"
#include "job/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void job_json_time(struct json *j, const char *key, int64_t us)
{
    char text[CLOCK_RFC3339_BYTES + 1];

    json_key(j, key);
    if (us <= 0)
        json_null(j);
    else
        json_strn(j, clock_rfc3339(us, text), CLOCK_RFC3339_BYTES);
}

/* Seconds with milliseconds: exact enough for people, stable to print. */
static void add_duration(struct json *j, const char *key, int64_t us)
{
    json_key(j, key);
    json_double(j, (double)(us > 0 ? us / 1000 : 0) / 1000.0);
}

static void add_text(struct json *j, const char *key, const char *text)
{
    json_kstr(j, key, text && text[0] ? text : NULL);
}

static void add_raw(struct json *j, const char *key, const char *text, const char *fallback)
{
    if (!text || !text[0])
        text = fallback;
    json_key(j, key);
    json_raw(j, text, strlen(text));
}

static void add_rank(struct json *j, int32_t rank)
{
    json_key(j, "rank");
    if (rank == RECORD_RANK_NONE)
        json_null(j);
    else
        json_i64(j, rank);
}

static void add_exit_code(struct json *j, int has, int64_t code)
{
    json_key(j, "exit_code");
    if (has)
        json_i64(j, code);
    else
        json_null(j);
}

static void add_complete(struct json *j, const struct job_info *info)
{
    json_key(j, "complete");
    if (info->sealed)
        json_bool(j, info->complete);
    else
        json_null(j);
    add_raw(j, "missing", info->missing_json, "[]");
}

void job_json_compact_members(struct json *j, const struct job_info *info, int64_t now_us)
{
    struct cursor cursor = {info->epoch, info->seq};
    char text[CURSOR_TEXT_BYTES];
    int64_t from_us = info->started_us ? info->started_us : info->created_us;

    json_kstr(j, "id", info->key.job);
    json_kstr(j, "project", info->key.project);
    add_text(j, "name", info->name);
    add_raw(j, "labels", info->labels_json, "{}");
    json_key(j, "ranks");
    if (info->ranks_declared)
        json_u64(j, info->ranks_declared);
    else
        json_null(j);
    json_kstr(j, "state", state_name(info->state));
    job_json_time(j, "created_at", info->created_us);
    job_json_time(j, "updated_at", info->updated_us);
    job_json_time(j, "started_at", info->started_us);
    job_json_time(j, "ended_at", info->ended_us);
    add_duration(j, "duration_s", (info->ended_us ? info->ended_us : now_us) - from_us);
    add_exit_code(j, info->has_exit_code, info->exit_code);
    add_text(j, "error_message", info->error_message);
    json_kstr(j, "cursor", cursor_format(&cursor, text));
    json_ku64(j, "epoch", info->epoch);
    json_ku64(j, "seq", info->seq);
    json_ku64(j, "lines", info->lines);
    json_ku64(j, "bytes", info->bytes);
    json_kbool(j, "sealed", info->sealed);
    add_complete(j, info);
}

static void add_levels(struct json *j, const struct job_info *info)
{
    json_key(j, "levels");
    json_obj(j);
    for (int l = 0; l < LEVEL_COUNT; l++)
        json_ku64(j, l == LEVEL_NONE ? "none" : level_name((enum level)l), info->level_count[l]);
    json_end(j);
}

static void add_history(struct json *j, const struct job_info *info, int64_t now_us)
{
    json_key(j, "history");
    json_arr(j);
    for (uint32_t i = 0; i < info->history_count; i++) {
        const struct job_history *h = &info->history[i];
        int64_t until_us = i + 1 < info->history_count ? info->history[i + 1].at_us : now_us;

        json_obj(j);
        json_kstr(j, "state", state_name(h->state));
        job_json_time(j, "at", h->at_us);
        json_ku64(j, "seq", h->seq);
        if (state_is_terminal(h->state)) {
            json_key(j, "duration_s");
            json_null(j);
        } else {
            add_duration(j, "duration_s", until_us - h->at_us);
        }
        add_exit_code(j, h->has_exit_code, h->exit_code);
        add_rank(j, h->rank);
        add_text(j, "message", h->message);
        json_end(j);
    }
    json_end(j);
}

static void add_by_rank(struct json *j, const struct job_info *info)
{
    json_key(j, "by_rank");
    json_arr(j);
    for (uint32_t i = 0; i < info->rank_count; i++) {
        const struct job_rank *r = &info->ranks[i];

        json_obj(j);
        add_rank(j, r->rank);
        json_ku64(j, "lines", r->lines);
        json_ku64(j, "last_seq", r->last_seq);
        job_json_time(j, "last_at", r->last_ts_us);
        job_json_time(j, "last_received_at", r->last_recv_us);
        json_end(j);
    }
    json_end(j);
}

static void add_producers(struct json *j, const struct job_info *info)
{
    json_key(j, "producers");
    json_arr(j);
    for (uint32_t i = 0; i < info->producer_count; i++) {
        const struct job_producer *p = &info->producers[i];
        char name[16], epoch[24];

        json_obj(j);
        json_kstr(j, "id", p->id);
        json_ku64(j, "epoch", p->epoch);
        if (p->epoch >> 53) { /* more than a double holds, and our own reader uses doubles */
            snprintf(epoch, sizeof epoch, "%" PRIu64, p->epoch);
            json_kstr(j, "epoch_text", epoch);
        }
        json_ku64(j, "last", p->last);
        add_rank(j, p->rank);
        json_key(j, "fin");
        if (p->has_fin)
            json_u64(j, p->fin);
        else
            json_null(j);
        job_json_time(j, "fin_at", p->fin_us);
        json_key(j, "exit_code");
        if (p->has_exit_code)
            json_i64(j, p->exit_code);
        else
            json_null(j);
        json_key(j, "signal");
        if (p->signal && sigabbrev_np(p->signal)) {
            snprintf(name, sizeof name, "SIG%s", sigabbrev_np(p->signal));
            json_str(j, name);
        } else {
            json_null(j);
        }
        json_end(j);
    }
    json_end(j);
}

void job_json_members(struct json *j, const struct job_info *info, int64_t now_us)
{
    job_json_compact_members(j, info, now_us);
    job_json_time(j, "sealed_at", info->sealed ? info->sealed_us : 0);
    json_ku64(j, "batches", info->batches);
    json_ku64(j, "duplicates", info->duplicates);
    json_ku64(j, "gaps", info->gaps);
    json_ku64(j, "refused_sealed", info->refused_sealed);
    add_levels(j, info);
    add_history(j, info, now_us);
    add_raw(j, "extra", info->extra_json, "{}");
    json_ku64(j, "archived_upto", info->archived_upto);
    json_ku64(j, "held_from", info->first_in_stream);
    if (info->producers_unknown)
        json_kbool(j, "rebuilt", 1);
    if (info->ranks)
        add_by_rank(j, info);
    if (info->producers)
        add_producers(j, info);
}

void job_json_end_members(struct json *j, const struct job_info *info)
{
    json_kstr(j, "state", state_name(info->state));
    add_exit_code(j, info->has_exit_code, info->exit_code);
    json_ku64(j, "last_seq", info->seq);
    json_ku64(j, "lines", info->lines);
    json_ku64(j, "bytes", info->bytes);
    add_complete(j, info);
}

int job_json_compact(struct buf *out, const struct job_info *info, int64_t now_us)
{
    struct json j;

    json_init_may_fail(&j, out);
    json_obj(&j);
    job_json_compact_members(&j, info, now_us);
    json_end(&j);
    return json_err(&j);
}

int job_json(struct buf *out, const struct job_info *info, int64_t now_us)
{
    struct json j;

    json_init_may_fail(&j, out);
    json_obj(&j);
    job_json_members(&j, info, now_us);
    json_end(&j);
    return json_err(&j);
}

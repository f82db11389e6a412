/*
 * alert/replay.c -- a log told again.
 */
#include "alert/replay.h"

#include "alert/eval.h"
#include "base/check.h"
#include "job/record.h"

#include <stdlib.h>
#include <string.h>

struct replay {
    struct ruleset *set;
    struct eval *eval;
    const struct job_info *info;
    int64_t from_us, now_us;
    uint64_t records, firing, resolved;
};

struct replay *replay_new(const struct job_info *info, struct rule **rule)
{
    struct replay *r = must_calloc(1, sizeof *r);
    struct ruleset_draft d = {0};

    (*rule)->enabled = 1;
    (*rule)->enabled_us = 0;
    (*rule)->muted_until_us = 0;
    ruleset_draft_rule(&d, rule);
    r->set = ruleset_make(&d);
    r->info = info;
    return r;
}

/* With the first record: a job is not younger than that. */
static void begin(struct replay *r, int64_t at_us)
{
    struct job_info info = *r->info;

    if (info.history_count && info.history[0].at_us > at_us)
        info.history[0].at_us = at_us;
    r->eval = eval_new(&info);
    eval_set_rules(r->eval, r->set, 0);
    eval_begin(r->eval, 0);
    r->from_us = r->now_us = at_us;
}

void replay_free(struct replay **replay)
{
    struct replay *r = *replay;

    *replay = NULL;
    if (!r)
        return;
    eval_free(&r->eval);
    ruleset_unref(&r->set);
    free(r);
}

static int take(struct replay *r, struct buf *out)
{
    struct eval_alert *found;
    uint32_t count = eval_take(r->eval, &found);
    int err = 0;

    for (uint32_t i = 0; i < count && err == 0; i++) {
        r->firing += !found[i].is_resolved;
        r->resolved += found[i].is_resolved != 0;
        err = buf_adds(out, "{\"type\":\"alert\",");
        if (err == 0)
            err = buf_add(out, found[i].json, found[i].json_len);
        if (err == 0)
            err = buf_adds(out, "}\n");
    }
    eval_alerts_free(&found, count);
    return err;
}

/* Who was done by now: those with nothing more to come. */
static void tell_ranks(struct replay *r)
{
    struct job_info now = *r->info;
    struct job_producer *producers = must_calloc(now.producer_count + 1, sizeof *producers);
    uint64_t upto = eval_upto(r->eval);

    for (uint32_t i = 0; i < now.producer_count; i++) {
        producers[i] = r->info->producers[i];
        for (uint32_t k = 0; k < now.rank_count; k++)
            if (now.ranks[k].rank == producers[i].rank && now.ranks[k].last_seq > upto)
                producers[i].has_fin = 0;
    }
    now.producers = producers;
    now.rank_count = 0; /* whom they last heard from was fed */
    eval_ranks(r->eval, &now);
    free(producers);
}

/* Everything that is due before `until`. */
static int pass_time(struct replay *r, int64_t until, struct buf *out)
{
    int err = 0;

    while (err == 0 && eval_deadline(r->eval) <= until) {
        int64_t at = eval_deadline(r->eval) > r->now_us ? eval_deadline(r->eval) : r->now_us;
        r->now_us = at;
        eval_tick(r->eval, at);
        if (eval_wants_ranks(r->eval)) {
            tell_ranks(r);
            eval_tick(r->eval, at);
        }
        err = take(r, out);
    }
    return err;
}

static int feed_line(struct replay *r, const char *line, size_t len, struct buf *out)
{
    struct record_view v;
    struct eval_frame f = {.text = line, .len = len};
    int64_t at;
    int err;

    if (record_parse(line, len, &v) < 0)
        return 0;
    at = v.ts_us > r->now_us ? v.ts_us : r->now_us;
    if (!r->eval)
        begin(r, at);
    err = pass_time(r, at, out);
    r->now_us = at;
    f.first_seq = v.seq;
    f.recv_us = at;
    eval_feed(r->eval, &f);
    r->records++;
    return err < 0 ? err : take(r, out);
}

int replay_feed(struct replay *r, const char *text, size_t len, struct buf *out)
{
    const char *at = text, *end = text + len;
    int err = 0;

    while (at < end && err == 0) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t n = nl ? (size_t)(nl + 1 - at) : (size_t)(end - at);
        err = feed_line(r, at, n, out);
        at += n;
    }
    return err;
}

int replay_end(struct replay *r, struct buf *out)
{
    struct json j;
    int err = r->eval ? pass_time(r, r->now_us, out) : 0;

    if (err < 0)
        return err;
    json_init_may_fail(&j, out);
    json_obj(&j);
    json_kstr(&j, "type", "done");
    json_ku64(&j, "records", r->records);
    json_ku64(&j, "firing", r->firing);
    json_ku64(&j, "resolved", r->resolved);
    fields_put_time(&j, "from", r->from_us);
    fields_put_time(&j, "to", r->now_us);
    json_end(&j);
    err = json_err(&j);
    return err < 0 ? err : buf_addc(out, '\n');
}

/*
 * serve/postmortem_json.c -- the post-mortem for programs; and what its three forms share.
 */
#include "serve/postmortem_int.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "serve/job_json.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_BYTES_MAX 16384 /* of a group's block */

/* ---- shared ---- */

void postmortem__rate(struct postmortem_rate *r, const struct digest *d)
{
    const struct digest_time *t = &d->time;
    uint32_t each = (t->count + POSTMORTEM_RATE_BUCKETS - 1) / POSTMORTEM_RATE_BUCKETS;

    memset(r, 0, sizeof *r);
    if (!t->count)
        return;
    r->from_us = t->first * t->width_us;
    r->bucket_us = t->width_us * each;
    r->count = (t->count + each - 1) / each;
    for (uint32_t i = 0; i < t->count; i++)
        for (int l = 0; l < LEVEL_COUNT; l++)
            r->lines[i / each][l] += t->buckets[i].lines[l];
    for (unsigned i = 0; i < r->count; i++) {
        uint64_t sum = 0;
        for (int l = 0; l < LEVEL_COUNT; l++)
            sum += r->lines[i][l];
        if (sum > r->most)
            r->most = sum;
    }
}

uint32_t postmortem__groups(const struct postmortem *p, uint32_t *places, uint32_t max)
{
    static const enum verdict_role order[] = {VERDICT_ROLE_PRIMARY, VERDICT_ROLE_CASCADE,
                                              VERDICT_ROLE_OTHER};
    uint32_t n = 0;

    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (uint32_t i = 0; i < p->digest->group_count && n < max; i++)
            if (p->verdict->group_roles[i] == order[k])
                places[n++] = i;
    return n;
}

static int is_plain(const struct verdict_rank *r)
{
    return r->status == VERDICT_STATUS_OK || r->status == VERDICT_STATUS_RUNNING ||
           r->status == VERDICT_STATUS_CASCADE;
}

uint32_t postmortem__rows(const struct postmortem *p, uint32_t *places, uint32_t max)
{
    const struct verdict *v = p->verdict;
    uint32_t n = 0, special = 0;

    for (uint32_t i = 0; i < v->rank_count; i++)
        special += !is_plain(&v->ranks[i]);
    if (special > max)
        special = max;
    /* in their order: all that are special, and of the plain ones as many as there is room for */
    for (uint32_t i = 0, plain = max - special; i < v->rank_count && n < max; i++) {
        if (is_plain(&v->ranks[i])) {
            if (!plain)
                continue;
            plain--;
        }
        places[n++] = i;
    }
    return n;
}

const char *postmortem__moment(int64_t us, char out[32])
{
    char text[CLOCK_RFC3339_BYTES + 1];

    if (us <= 0)
        return "-";
    clock_rfc3339(us, text);
    snprintf(out, 32, "%.10s %.12s", text, text + 11);
    return out;
}

const char *postmortem__exit(const struct verdict_rank *r, char out[24])
{
    const char *name = r->signal ? sigabbrev_np(r->signal) : NULL;

    if (name)
        snprintf(out, 24, "SIG%s", name);
    else if (r->has_exit_code)
        snprintf(out, 24, "%d", r->exit_code);
    else
        snprintf(out, 24, "-");
    return out;
}

/* ---- JSON ---- */

static void add_rank(struct json *j, int32_t rank)
{
    json_key(j, "rank");
    rank < 0 ? json_null(j) : json_i64(j, rank);
}

static void add_seconds(struct json *j, const char *key, int64_t us, int is_known)
{
    json_key(j, key);
    is_known ? json_double(j, (double)us / 1e6) : json_null(j);
}

static void add_text(struct json *j, const char *key, const char *text)
{
    json_key(j, key);
    text &&*text ? json_str(j, text) : json_null(j);
}

/* What goes in could not be made. */
static void note(struct json *j, int err)
{
    if (err < 0 && j->err == 0)
        j->err = err;
}

/* Text of the job: NUL, which few readers of JSON can bear, becomes a space. */
static void add_job_text(struct json *j, const char *key, const char *s, size_t len)
{
    struct buf copy = BUF_INIT;

    json_key(j, key);
    if (!len || !memchr(s, 0, len)) {
        json_strn(j, len ? s : "", len);
        return;
    }
    note(j, buf_add(&copy, s, len));
    for (size_t i = 0; i < copy.len; i++)
        if (!copy.data[i])
            copy.data[i] = ' ';
    json_strn(j, buf_cstr(&copy), copy.len);
    buf_release(&copy);
}

static void add_cause(struct json *j, enum cause c)
{
    json_key(j, "cause");
    json_str(j, cause_id(c)); /* NULL: null */
}

static void add_verdict(struct json *j, const struct verdict *v)
{
    json_key(j, "verdict");
    json_obj(j);
    json_kstr(j, "kind", verdict_kind_name(v->kind));
    json_kstr(j, "sentence", v->sentence);
    add_rank(j, v->rank);
    add_text(j, "replica", v->replica);
    add_cause(j, v->cause);
    json_kstr(j, "confidence", verdict_confidence_name(v->confidence));
    add_seconds(j, "margin_s", v->margin_us, v->has_margin);
    add_seconds(j, "clock_error_s", v->clock_error_us, v->has_clock_error);
    json_key(j, "evidence");
    json_arr(j);
    for (uint32_t i = 0; i < v->evidence_count; i++) {
        json_obj(j);
        json_key(j, "seq");
        v->evidence[i].seq ? json_u64(j, v->evidence[i].seq) : json_null(j);
        json_kstr(j, "why", v->evidence[i].why);
        json_end(j);
    }
    json_end(j);
    json_end(j);
}

static void add_causes(struct json *j, const struct verdict *v)
{
    json_key(j, "causes");
    json_arr(j);
    for (uint32_t i = 0; i < v->cause_count; i++) {
        struct verdict_cause *c = &v->causes[i];
        json_obj(j);
        json_kstr(j, "cause", cause_id(c->cause));
        json_kstr(j, "title", cause_title(c->cause));
        json_kstr(j, "role", verdict_role_name(c->role));
        json_kstrn(j, "ranks", c->ranks.len ? c->ranks.data : "", c->ranks.len);
        json_ku64(j, "count", c->count);
        json_key(j, "first");
        json_obj(j);
        json_key(j, "seq");
        c->first.seq ? json_u64(j, c->first.seq) : json_null(j);
        job_json_time(j, "at", c->at_us);
        add_rank(j, c->rank);
        json_end(j);
        json_kstr(j, "line", c->line ? c->line : "");
        json_end(j);
    }
    json_end(j);
}

static void add_timeline(struct json *j, const struct verdict *v)
{
    json_key(j, "timeline");
    json_arr(j);
    for (uint32_t i = 0; i < v->event_count; i++) {
        const struct verdict_event *e = &v->events[i];
        json_obj(j);
        job_json_time(j, "at", e->at_us);
        json_key(j, "seq");
        e->seq ? json_u64(j, e->seq) : json_null(j);
        json_kstr(j, "what", verdict_event_name(e->what));
        add_rank(j, e->rank);
        json_kstr(j, "text", e->text);
        json_end(j);
    }
    json_end(j);
    json_ku64(j, "timeline_omitted", v->events_omitted);
}

static void add_number(struct json *j, const char *key, int64_t n, int is_known)
{
    json_key(j, key);
    is_known ? json_i64(j, n) : json_null(j);
}

static void add_row(struct json *j, const struct verdict_rank *r)
{
    const struct digest_detail *d = r->entry ? r->entry->detail : NULL;
    char name[24];

    json_obj(j);
    add_rank(j, r->rank);
    add_text(j, "replica", r->replica);
    json_ku64(j, "lines", r->entry ? r->entry->lines : 0);
    json_ku64(j, "errors", r->errors);
    json_key(j, "last_seq");
    r->entry ? json_u64(j, r->entry->last.seq) : json_null(j);
    job_json_time(j, "last_at", r->last_us);
    if (d)
        add_job_text(j, "last_line", d->last_text,
                     utf8_valid_prefix(d->last_text, d->last_text_bytes));
    else
        add_text(j, "last_line", NULL);
    add_seconds(j, "age_at_end_s", r->age_at_end_us, r->age_at_end_us >= 0);
    add_number(j, "step", r->step, r->step >= 0);
    add_number(j, "step_lag", r->step_lag, r->step_lag >= 0);
    add_seconds(j, "skew_s", r->skew_us, r->entry != NULL);
    add_seconds(j, "silent_s", r->silent_us, r->silent_us >= 0);
    add_number(j, "exit_code", r->exit_code, r->has_exit_code);
    json_key(j, "signal");
    r->signal ? json_str(j, postmortem__exit(r, name)) : json_null(j);
    job_json_time(j, "exit_at", r->exit_us);
    json_kstr(j, "status", verdict_status_name(r->status));
    json_end(j);
}

static void add_rows(struct json *j, const struct postmortem *p)
{
    uint32_t *places = must_malloc((p->ranks_max + 1) * sizeof *places),
             n = postmortem__rows(p, places, p->ranks_max);

    json_key(j, "ranks");
    json_arr(j);
    for (uint32_t i = 0; i < n; i++)
        add_row(j, &p->verdict->ranks[places[i]]);
    json_end(j);
    json_ku64(j, "ranks_omitted", p->verdict->rank_count - n + p->verdict->ranks_omitted);
    free(places);
}

static void add_place(struct json *j, const struct postmortem *p, const char *key,
                      const struct digest_at *at, int32_t rank, uint32_t replica, uint64_t last_seq)
{
    json_key(j, key);
    json_obj(j);
    json_ku64(j, "seq", at->seq);
    if (last_seq)
        json_ku64(j, "last_seq", last_seq);
    job_json_time(j, "at", verdict_when(p->digest, rank, replica, at));
    add_rank(j, rank);
    json_end(j);
}

static void add_group(struct json *j, const struct postmortem *p, uint32_t at)
{
    const struct digest_group *g = &p->digest->groups[at];
    struct buf ranks = BUF_INIT;
    char hex[17];

    note(j, digest_group_ranks(g, &ranks));
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)g->fingerprint);
    json_obj(j);
    json_kstr(j, "fingerprint", hex);
    json_kstr(j, "kind", digest_kind_name(g->kind));
    add_text(j, "level", level_name(g->level));
    json_kstr(j, "title", g->title ? g->title : "");
    add_job_text(j, "text", g->text ? g->text : "",
                 utf8_valid_prefix(g->text, g->text_bytes < TEXT_BYTES_MAX ? g->text_bytes
                                                                           : TEXT_BYTES_MAX));
    json_ku64(j, "count", g->count);
    json_kstrn(j, "ranks", ranks.len ? ranks.data : "", ranks.len);
    json_ku64(j, "rank_count", g->rank_count);
    json_kstr(j, "role", verdict_role_name(p->verdict->group_roles[at]));
    add_cause(j, (enum cause)g->cause);
    add_place(j, p, "first", &g->first, g->first_rank, g->first_replica, g->first_end_seq);
    add_place(j, p, "last", &g->last, g->last_rank, g->last_replica, 0);
    json_end(j);
    buf_release(&ranks);
}

static void add_groups(struct json *j, const struct postmortem *p)
{
    uint32_t places[POSTMORTEM_GROUPS_MAX], n;

    n = postmortem__groups(
        p, places, p->groups_max < POSTMORTEM_GROUPS_MAX ? p->groups_max : POSTMORTEM_GROUPS_MAX);
    json_key(j, "groups");
    json_arr(j);
    for (uint32_t i = 0; i < n; i++)
        add_group(j, p, places[i]);
    json_end(j);
    json_ku64(j, "groups_omitted", p->digest->group_count - n + p->digest->groups_omitted);
}

static void add_tails(struct json *j, const struct postmortem *p)
{
    json_key(j, "tails");
    json_arr(j);
    for (unsigned i = 0; i < p->tail_count; i++) {
        const struct postmortem_tail *t = &p->tails[i];
        json_obj(j);
        add_rank(j, t->rank);
        json_key(j, "lines");
        json_arr(j);
        for (unsigned k = 0; k < t->count; k++) {
            json_obj(j);
            json_ku64(j, "seq", t->lines[k].seq);
            job_json_time(j, "ts", t->lines[k].ts_us);
            add_text(j, "level", level_name(t->lines[k].level));
            add_job_text(j, "msg", t->lines[k].text, t->lines[k].len);
            json_end(j);
        }
        json_end(j);
        json_end(j);
    }
    json_end(j);
}

static void add_gaps(struct json *j, const struct postmortem *p)
{
    json_key(j, "gaps");
    json_arr(j);
    for (uint32_t i = 0; i < p->digest->gap_count; i++) {
        const struct digest_gap *g = &p->digest->gaps[i];
        json_obj(j);
        json_ku64(j, "from", g->from);
        json_ku64(j, "to", g->to);
        add_rank(j, g->rank);
        json_kstr(j, "reason",
                  g->reason && *g->reason ? g->reason
                  : g->is_lost            ? "records of the log are lost"
                                          : "lines were dropped by their agent");
        json_end(j);
    }
    json_end(j);
    json_key(j, "missing");
    p->info->missing_json ? json_raw(j, p->info->missing_json, strlen(p->info->missing_json))
                          : json_raw(j, "[]", 2);
}

static void add_rate(struct json *j, const struct postmortem *p)
{
    struct postmortem_rate r;

    postmortem__rate(&r, p->digest);
    json_key(j, "rate");
    json_obj(j);
    job_json_time(j, "from", r.from_us);
    json_key(j, "bucket_s");
    json_double(j, (double)r.bucket_us / 1e6);
    json_key(j, "levels");
    json_arr(j);
    for (int l = 0; l < LEVEL_COUNT; l++)
        json_str(j, l ? level_name((enum level)l) : "none");
    json_end(j);
    json_key(j, "lines");
    json_arr(j);
    for (unsigned i = 0; i < r.count; i++) {
        json_arr(j);
        for (int l = 0; l < LEVEL_COUNT; l++)
            json_u64(j, r.lines[i][l]);
        json_end(j);
    }
    json_end(j);
    json_end(j);
}

static void add_hung(struct json *j, const struct verdict *v)
{
    const struct verdict_hung *h = &v->hung;

    json_key(j, "hung");
    if (h->kind == VERDICT_HUNG_NOT) {
        json_null(j);
        return;
    }
    json_obj(j);
    json_kstr(j, "kind", verdict_hung_name(h->kind));
    json_kstrn(j, "ranks", h->ranks.len ? h->ranks.data : "", h->ranks.len);
    job_json_time(j, "since", h->since_us);
    add_seconds(j, "silent_s", h->silent_us, 1);
    json_end(j);
}

int postmortem__json(struct buf *out, const struct postmortem *p)
{
    const struct verdict *v = p->verdict;
    struct json j;

    json_init_may_fail(&j, out);
    json_obj(&j);
    json_key(&j, "job");
    json_obj(&j);
    job_json_compact_members(&j, p->info, p->now_us);
    json_end(&j);
    job_json_time(&j, "at", p->now_us);
    json_ku64(&j, "seq", p->digest->upto);
    json_ku64(&j, "behind", p->info->seq > p->digest->upto ? p->info->seq - p->digest->upto : 0);
    json_kbool(&j, "live", v->is_live);
    add_verdict(&j, v);
    add_causes(&j, v);
    add_timeline(&j, v);
    add_rows(&j, p);
    add_groups(&j, p);
    add_tails(&j, p);
    add_gaps(&j, p);
    add_rate(&j, p);
    add_hung(&j, v);
    json_key(&j, "computed_ms");
    json_double(&j, (double)p->computed_us / 1e3);
    json_end(&j);
    note(&j, buf_addc(out, '\n'));
    return json_err(&j);
}

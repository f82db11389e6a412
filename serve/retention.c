/*
 * serve/retention.c -- old jobs removed: by age, and by bytes of a project.
 */
#include "serve/retention.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "base/log.h"
#include "serve/purge.h"
#include "stream/stream.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 500
#define TICK_MS 500
#define BUSY_SHARE 20 /* a round takes at most this part of the time */

struct kept_job { /* sealed, archived whole */
    struct job_key key;
    int64_t sealed_us;
    uint64_t bytes;
};

struct held_project {
    struct held_project *next;
    char id[ID_BYTES_MAX + 1];
    uint64_t bytes; /* of all its jobs */
};

struct retention {
    struct serve_ctx *ctx;
    uv_timer_t timer;
    struct retention_rule *rules;
    uint32_t rule_count;
    int64_t every_us, next_us, began_us;
    struct clock_watch clock;
    int64_t no_age_us; /* until then nothing is removed by age */
    int busy, stopping, closed;
    struct job_list_query query;
    struct kept_job *jobs;
    uint32_t count, cap, at;
    struct held_project *projects;
    struct retention_stats stats;
};

/* ---- rules ---- */

static int parse_age(const char *s, size_t len, int64_t *ret_us)
{
    char text[32];
    int64_t days = 0;

    if (len < 2 || len >= sizeof text || !strchr("smhdwy", s[len - 1]) || !isdigit((unsigned char)s[len - 2]))
        return ERR_INVALID;
    memcpy(text, s, len);
    text[len] = '\0';
    if (text[len - 1] == 'w') days = 7;
    if (text[len - 1] == 'y') days = 365;
    if (days) text[len - 1] = 'd';
    if (clock_parse_duration(text, len, ret_us) < 0 || *ret_us <= 0 || *ret_us > CLOCK_WALL_US_MAX / 400)
        return ERR_INVALID;
    if (days) *ret_us *= days;
    return 0;
}

int retention_parse(const char *text, struct retention_rule *ret_rule)
{
    const char *equals = strchr(text, '='), *part;
    size_t len = equals ? (size_t)(equals - text) : 0;

    *ret_rule = (struct retention_rule){0};
    if (!(len == 1 && *text == '*') && !id_valid(text, len))
        return ERR_INVALID;
    memcpy(ret_rule->project, text, len);
    for (part = equals + 1;; part += len + 1) {
        char bytes[32];

        len = strcspn(part, "/");
        if (!ret_rule->age_us && parse_age(part, len, &ret_rule->age_us) == 0) {
            /* an age */
        } else if (!ret_rule->bytes && len && len < sizeof bytes && !isdigit((unsigned char)part[len - 1])) {
            memcpy(bytes, part, len);
            bytes[len] = '\0';
            if (config_parse_bytes(bytes, &ret_rule->bytes) < 0 || ret_rule->bytes <= 0)
                return ERR_INVALID;
        } else {
            return ERR_INVALID;
        }
        if (!part[len])
            return 0;
    }
}

/* NULL: the project keeps everything. */
static const struct retention_rule *rule_of(const struct retention *r, const char *project)
{
    const struct retention_rule *any = NULL;

    for (uint32_t i = 0; i < r->rule_count; i++) {
        if (strcmp(r->rules[i].project, project) == 0)
            return &r->rules[i];
        if (strcmp(r->rules[i].project, "*") == 0)
            any = &r->rules[i];
    }
    return any;
}

/* ---- a round ---- */

static void next_purge(struct retention *r);

static void on_closed(uv_handle_t *handle)
{
    struct retention *r = handle->data;

    free(r->rules);
    free(r->jobs);
    free(r);
}

static void end_round(struct retention *r)
{
    int64_t took = clock_mono_us() - r->began_us;
    struct held_project *p;

    while ((p = r->projects)) {
        r->projects = p->next;
        free(p);
    }
    r->count = 0;
    r->busy = 0;
    r->stats.rounds++;
    if (r->closed)
        uv_close((uv_handle_t *)&r->timer, on_closed);
    r->next_us = clock_mono_us() + (took * BUSY_SHARE > r->every_us ? took * BUSY_SHARE : r->every_us);
}

static struct held_project *project_of(struct retention *r, const char *id)
{
    struct held_project *p = r->projects;

    while (p && strcmp(p->id, id) != 0)
        p = p->next;
    if (p)
        return p;
    p = must_calloc(1, sizeof *p);
    memcpy(p->id, id, strlen(id) + 1);
    p->next = r->projects;
    r->projects = p;
    return p;
}

static void on_purged(void *user, int err)
{
    struct retention *r = user;
    const struct kept_job *k = &r->jobs[r->at++];
    char text[JOB_KEY_TEXT_BYTES];

    if (err < 0 && err != ERR_NOT_FOUND) {
        r->stats.errors++;
        log_error("serve", "a job could not be removed after its time; it is tried again", "job=%s error=%s",
                  job_key_text(&k->key, text), err_name(err));
    } else {
        r->stats.jobs++;
        r->stats.bytes += k->bytes;
        project_of(r, k->key.project)->bytes -= k->bytes;
        log_info("serve", "a job was removed after its time", "job=%s bytes=%llu", job_key_text(&k->key, text),
                 (unsigned long long)k->bytes);
    }
    next_purge(r);
}

/* A clock that jumps ahead makes everything old at once, and what is removed does not come back when it is set right. */
static void look_at_clock(struct retention *r)
{
    int64_t jump_us = clock_watch_jump(&r->clock);

    if (!jump_us)
        return;
    r->no_age_us = clock_mono_us() + RETENTION_JUMP_US;
    log_warn("serve", "the clock jumped ahead: nothing is removed by its age for an hour", "seconds=%" PRId64, jump_us / 1000000);
}

/* The longest sealed ones come first: what is over the bytes of a project goes until it is not. */
static int is_due(struct retention *r, const struct kept_job *k)
{
    const struct retention_rule *rule = rule_of(r, k->key.project);

    if (rule->age_us && k->sealed_us + rule->age_us <= clock_wall_us()) {
        look_at_clock(r);
        if (clock_mono_us() >= r->no_age_us)
            return 1;
    }
    return rule->bytes && project_of(r, k->key.project)->bytes > (uint64_t)rule->bytes;
}

static void next_purge(struct retention *r)
{
    while (r->at < r->count && !is_due(r, &r->jobs[r->at]))
        r->at++;
    if (r->at == r->count || r->stopping)
        end_round(r);
    else
        purge_job(r->ctx, &r->jobs[r->at].key, on_purged, r);
}

static int by_age(const void *a, const void *b)
{
    const struct kept_job *x = a, *y = b;

    return (x->sealed_us > y->sealed_us) - (x->sealed_us < y->sealed_us);
}

static void note(struct retention *r, const struct job_info *info)
{
    if (!rule_of(r, info->key.project))
        return;
    project_of(r, info->key.project)->bytes += info->bytes;
    if (!info->sealed || info->archived_upto < info->seq)
        return;
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 256;
        r->jobs = must_realloc(r->jobs, r->cap * sizeof *r->jobs);
    }
    r->jobs[r->count++] = (struct kept_job){info->key, info->sealed_us, info->bytes};
}

static void on_page(void *user, int err, const struct job_info *const *infos, uint32_t count, int64_t next_us,
                    const char *next_key)
{
    struct retention *r = user;

    for (uint32_t i = 0; err >= 0 && i < count; i++)
        note(r, infos[i]);
    if (err < 0 || r->stopping) {
        end_round(r);
    } else if (next_us) {
        r->query.before_us = next_us;
        memcpy(r->query.before_key, next_key, strlen(next_key) + 1);
        stream_job_list(r->ctx->stream, &r->query, on_page, r);
    } else {
        if (r->count)
            qsort(r->jobs, r->count, sizeof *r->jobs, by_age);
        r->at = 0;
        next_purge(r);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct retention *r = timer->data;
    char why[256];

    look_at_clock(r);
    if (r->busy || r->stopping || clock_mono_us() < r->next_us)
        return;
    if (stream_ready(r->ctx->stream, why, sizeof why) == ERR_UNAVAILABLE)
        return;
    r->busy = 1;
    r->began_us = clock_mono_us();
    r->query = (struct job_list_query){.limit = PAGE};
    stream_job_list(r->ctx->stream, &r->query, on_page, r);
}

/* ---- life ---- */

void retention_open(struct serve_ctx *ctx, char *const *rules, struct retention **ret_retention)
{
    struct retention *r = must_calloc(1, sizeof *r);

    r->ctx = ctx;
    r->every_us = RETENTION_EVERY_US;
    while (rules && rules[r->rule_count])
        r->rule_count++;
    r->rules = must_calloc(r->rule_count + 1, sizeof *r->rules);
    for (uint32_t i = 0; i < r->rule_count; i++) {
        CHECK(retention_parse(rules[i], &r->rules[i]) == 0);
        if (r->rules[i].age_us && r->rules[i].age_us / 4 < r->every_us)
            r->every_us = r->rules[i].age_us / 4;
    }
    clock_watch_init(&r->clock);
    uv_timer_init(ctx->loop, &r->timer);
    r->timer.data = r;
    if (r->rule_count)
        uv_timer_start(&r->timer, on_tick, TICK_MS, TICK_MS);
    *ret_retention = r;
}

void retention_stop(struct retention *r)
{
    r->stopping = 1;
}

int retention_idle(const struct retention *r)
{
    return !r->busy;
}

void retention_close(struct retention **r)
{
    struct retention *was = *r;

    if (!was)
        return;
    *r = NULL;
    was->stopping = was->closed = 1;
    if (!was->busy)
        uv_close((uv_handle_t *)&was->timer, on_closed);
}

void retention_stats(const struct retention *r, struct retention_stats *ret)
{
    *ret = r->stats;
}

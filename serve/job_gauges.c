/*
 * serve/job_gauges.c -- jobs by state, page by page.
 */
#include "serve/job_gauges.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "stream/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 500

struct job_gauges {
    struct serve_ctx *ctx;
    uint64_t counts[STATE_COUNT], counting[STATE_COUNT];
    uint64_t seen;
    int is_known, is_more, is_looking, is_closed;
    int64_t looked_us;
};

static void look(struct job_gauges *g, int64_t before_us, const char *before_key);

static void on_page(void *user, int err, const struct job_info *const *infos, uint32_t count,
                    int64_t next_us, const char *next_key)
{
    struct job_gauges *g = user;

    if (g->is_closed) {
        free(g);
        return;
    }
    g->is_looking = 0;
    if (err < 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        if (!infos[i]->sealed)
            g->counting[infos[i]->state]++;
    g->seen += count;
    if (next_us && g->seen < JOB_GAUGES_MAX) {
        look(g, next_us, next_key);
        return;
    }
    memcpy(g->counts, g->counting, sizeof g->counts);
    g->is_more = next_us != 0;
    g->is_known = 1;
}

static void look(struct job_gauges *g, int64_t before_us, const char *before_key)
{
    struct job_list_query q = {.active_only = 1, .limit = PAGE, .before_us = before_us};

    if (before_us) {
        snprintf(q.before_key, sizeof q.before_key, "%s", before_key);
    } else {
        memset(g->counting, 0, sizeof g->counting);
        g->seen = 0;
    }
    g->is_looking = 1;
    stream_job_list(g->ctx->stream, &q, on_page, g);
}

int job_gauges_get(struct job_gauges *g, uint64_t counts[STATE_COUNT], int *ret_is_more)
{
    int64_t now_us = clock_mono_us();

    if (!g->is_looking && (!g->is_known || now_us - g->looked_us >= JOB_GAUGES_US)) {
        g->looked_us = now_us;
        look(g, 0, "");
    }
    if (!g->is_known)
        return ERR_UNAVAILABLE;
    memcpy(counts, g->counts, sizeof g->counts);
    *ret_is_more = g->is_more;
    return 0;
}

struct job_gauges *job_gauges_new(struct serve_ctx *ctx)
{
    struct job_gauges *g = must_calloc(1, sizeof *g);

    g->ctx = ctx;
    return g;
}

void job_gauges_free(struct job_gauges **gauges)
{
    struct job_gauges *g = *gauges;

    *gauges = NULL;
    if (!g)
        return;
    g->is_closed = 1;
    if (!g->is_looking)
        free(g);
}

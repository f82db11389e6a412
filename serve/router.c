/*
 * serve/router.c -- the table of routes and the walk over it.
 */
#include "serve/router.h"

#include "base/check.h"
#include "base/err.h"
#include "ingest/ingest.h"
#include "serve/api_jobs.h"
#include "serve/archive_http.h"
#include "serve/history.h"
#include "serve/resolve.h"
#include "serve/service.h"
#include "serve/tail.h"

#include <string.h>

#define ROUTER_SEGMENTS_MAX 8
#define ROUTER_SEGMENT_BYTES 256

typedef void plain_fn(struct serve_ctx *ctx, struct http *x);

static void logs_in(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    ingest_http_logs(ctx->ingest, x, key);
}
static void events_in(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    ingest_http_events(ctx->ingest, x, key);
}
static void agent_in(struct serve_ctx *ctx, struct http *x, const struct job_key *key)
{
    if (http_is_upgrade(x)) {
        ingest_ws(ctx->ingest, x, key);
        return;
    }
    http_set_header(x, "Upgrade", "websocket");
    http_reply_error(x, 426, "upgrade_required", "this is the agents' WebSocket endpoint");
}

/* One segment of a pattern: literal text, or ":job". */
struct route {
    const char *method;
    const char *pattern;
    plain_fn *plain;    /* routes without a job */
    resolve_fn *of_job; /* routes of a job */
    enum resolve_need need;
};

static const struct route routes[] = {
    {"GET", "/", service_root, NULL, 0},
    {"GET", "/healthz", service_health, NULL, 0},
    {"GET", "/readyz", service_ready, NULL, 0},
    {"GET", "/metrics", service_metrics, NULL, 0},
    {"GET", "/openapi.json", service_openapi, NULL, 0},
    {"GET", "/v1/jobs", api_jobs_list, NULL, 0},
    {"POST", "/v1/jobs", api_jobs_create, NULL, 0},
    {"GET", "/v1/jobs/:job", NULL, api_jobs_show, RESOLVE_EXISTING},
    {"DELETE", "/v1/jobs/:job", NULL, api_jobs_delete, RESOLVE_EXISTING},
    {"GET", "/v1/jobs/:job/logs", NULL, history_http, RESOLVE_EXISTING},
    {"POST", "/v1/jobs/:job/logs", NULL, logs_in, RESOLVE_OR_NEW},
    {"POST", "/v1/jobs/:job/events", NULL, events_in, RESOLVE_EXISTING},
    {"GET", "/v1/jobs/:job/ingest", NULL, agent_in, RESOLVE_OR_NEW},
    {"GET", "/v1/jobs/:job/tail", NULL, tail_http, RESOLVE_OR_NEW},
    {"GET", "/v1/jobs/:job/archive", NULL, archive_list_http, RESOLVE_EXISTING},
    {"GET", "/v1/jobs/:job/archive.jsonl.zst", NULL, archive_download_http, RESOLVE_EXISTING},
};
#define ROUTE_COUNT (sizeof routes / sizeof *routes)

/* Does path match? job gets the ":job" segment. */
static int pattern_matches(const char *pattern, const char *path, char job[ROUTER_SEGMENT_BYTES])
{
    for (;;) {
        if (*pattern == ':') {
            size_t n = strcspn(path, "/");
            if (n == 0 || n >= ROUTER_SEGMENT_BYTES)
                return 0;
            memcpy(job, path, n);
            job[n] = '\0';
            path += n;
            pattern += strcspn(pattern, "/");
        } else if (*pattern != *path) {
            return 0;
        } else if (*pattern == '\0') {
            return 1;
        } else {
            pattern++, path++;
        }
    }
}

static int method_matches(const char *route, const char *method)
{
    return strcmp(route, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(route, "GET") == 0);
}

/* "GET, HEAD, POST, OPTIONS" for the path; 0 when no route has it. */
static int allowed_methods(const char *path, char *out, size_t size)
{
    char job[ROUTER_SEGMENT_BYTES];
    int found = 0;
    out[0] = '\0';
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!pattern_matches(routes[i].pattern, path, job))
            continue;
        found = 1;
        strncat(out, routes[i].method, size - strlen(out) - 1);
        strncat(out, strcmp(routes[i].method, "GET") == 0 ? ", HEAD, " : ", ",
                size - strlen(out) - 1);
    }
    if (found)
        strncat(out, "OPTIONS", size - strlen(out) - 1);
    return found;
}

static void answer_unrouted(struct http *x)
{
    char allow[128];
    if (!allowed_methods(http_path(x), allow, sizeof allow)) {
        http_reply_error(x, 404, "not_found", "there is nothing at this path; see /openapi.json");
        return;
    }
    http_set_header(x, "Allow", allow);
    if (strcmp(http_method(x), "OPTIONS") == 0)
        http_reply(x, 204, NULL, NULL, 0);
    else
        http_reply_error(x, 405, "method_not_allowed", "%s is not served here; allowed: %s",
                         http_method(x), allow);
}

static void on_request(struct http *x)
{
    struct serve_ctx *ctx = http_root_user(x);
    char job[ROUTER_SEGMENT_BYTES] = "";
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        const struct route *r = &routes[i];
        if (!method_matches(r->method, http_method(x)) ||
            !pattern_matches(r->pattern, http_path(x), job))
            continue;
        if (r->plain)
            r->plain(ctx, x);
        else
            resolve_job(ctx, x, job, r->need, r->of_job);
        return;
    }
    answer_unrouted(x);
}

const struct http_handler router_root = {.on_request = on_request};

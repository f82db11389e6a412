/*
 * serve/router.c -- the table of routes and the walk over it.
 */
#include "serve/router.h"

#include "base/check.h"
#include "base/err.h"
#include "ingest/ingest.h"
#include "serve/api_deliveries.h"
#include "serve/api_jobs.h"
#include "serve/api_projects.h"
#include "serve/api_tokens.h"
#include "serve/api_rules.h"
#include "serve/archive_http.h"
#include "serve/auth.h"
#include "serve/baseten.h"
#include "serve/baseten_metrics.h"
#include "serve/events.h"
#include "serve/history.h"
#include "serve/postmortem.h"
#include "serve/nodes.h"
#include "serve/resolve.h"
#include "serve/search.h"
#include "serve/rules_test.h"
#include "serve/service.h"
#include "serve/stats.h"
#include "serve/stop.h"
#include "serve/tail.h"
#include "serve/tail_many.h"
#include "serve/web.h"

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

/* One segment of a pattern: literal text, or ":name"; the last of these is the job. */
struct route {
    const char *method;
    const char *pattern;
    enum auth_need auth;
    plain_fn *plain;    /* routes without a job */
    resolve_fn *of_job; /* routes of a job */
    enum resolve_need need;
};

static const struct route routes[] = {
    {"GET", "/", AUTH_NOTHING, web_root, NULL, 0},
    {"GET", "/jobs", AUTH_NOTHING, web_page, NULL, 0},
    {"GET", "/jobs/:project", AUTH_NOTHING, web_page, NULL, 0},
    {"GET", "/jobs/:project/:job", AUTH_NOTHING, web_page, NULL, 0},
    {"GET", "/web/:file", AUTH_NOTHING, web_file, NULL, 0},
    {"GET", "/training/:project/logs/:job", AUTH_NOTHING, web_truss_link, NULL, 0},
    {"GET", "/healthz", AUTH_NOTHING, service_health, NULL, 0},
    {"GET", "/readyz", AUTH_NOTHING, service_ready, NULL, 0},
    {"GET", "/metrics", AUTH_READ_ALL, service_metrics, NULL, 0},
    {"GET", "/openapi.json", AUTH_NOTHING, service_openapi, NULL, 0},
    {"GET", "/v1/whoami", AUTH_TOKEN, api_whoami, NULL, 0},
    {"POST", "/v1/tickets", AUTH_TOKEN, api_tickets_create, NULL, 0},
    {"GET", "/v1/tokens", AUTH_ADMIN, api_tokens_list, NULL, 0},
    {"POST", "/v1/tokens", AUTH_ADMIN, api_tokens_create, NULL, 0},
    {"DELETE", "/v1/tokens/:token", AUTH_ADMIN, api_tokens_revoke, NULL, 0},
    {"GET", "/v1/tail", AUTH_READ, tail_many_http, NULL, 0},
    {"GET", "/v1/events", AUTH_READ, events_http, NULL, 0},
    {"POST", "/v1/events/ack", AUTH_READ, events_ack_http, NULL, 0},
    {"GET", "/v1/rules", AUTH_READ, api_rules_list, NULL, 0},
    {"POST", "/v1/rules/test", AUTH_READ, rules_test_http, NULL, 0},
    {"POST", "/v1/rules", AUTH_ADMIN, api_rules_create, NULL, 0},
    {"GET", "/v1/rules/:rule", AUTH_READ, api_rules_show, NULL, 0},
    {"PUT", "/v1/rules/:rule", AUTH_ADMIN, api_rules_replace, NULL, 0},
    {"PATCH", "/v1/rules/:rule", AUTH_ADMIN, api_rules_patch, NULL, 0},
    {"DELETE", "/v1/rules/:rule", AUTH_ADMIN, api_rules_delete, NULL, 0},
    {"GET", "/v1/receivers", AUTH_READ, api_receivers_list, NULL, 0},
    {"POST", "/v1/receivers", AUTH_ADMIN, api_receivers_create, NULL, 0},
    {"GET", "/v1/receivers/:receiver", AUTH_READ, api_receivers_show, NULL, 0},
    {"PUT", "/v1/receivers/:receiver", AUTH_ADMIN, api_receivers_replace, NULL, 0},
    {"PATCH", "/v1/receivers/:receiver", AUTH_ADMIN, api_receivers_patch, NULL, 0},
    {"DELETE", "/v1/receivers/:receiver", AUTH_ADMIN, api_receivers_delete, NULL, 0},
    {"GET", "/v1/deliveries", AUTH_ADMIN, api_deliveries_show, NULL, 0},
    {"GET", "/v1/deliveries/dead", AUTH_ADMIN, api_deliveries_dead, NULL, 0},
    {"POST", "/v1/deliveries/replay", AUTH_ADMIN, api_deliveries_replay, NULL, 0},
    {"POST", "/v1/deliveries/drop", AUTH_ADMIN, api_deliveries_drop, NULL, 0},
    {"GET", "/v1/projects", AUTH_READ, api_projects_list, NULL, 0},
    {"POST", "/v1/projects", AUTH_INGEST, api_projects_create, NULL, 0},
    {"GET", "/v1/jobs", AUTH_READ, api_jobs_list, NULL, 0},
    {"POST", "/v1/jobs", AUTH_INGEST, api_jobs_create, NULL, 0},
    {"GET", "/v1/jobs/:job", AUTH_READ, NULL, api_jobs_show, RESOLVE_EXISTING},
    {"DELETE", "/v1/jobs/:job", AUTH_ADMIN, NULL, api_jobs_delete, RESOLVE_EXISTING},
    {"GET", "/v1/jobs/:job/logs", AUTH_READ, NULL, history_http, RESOLVE_EXISTING},
    {"POST", "/v1/jobs/:job/logs", AUTH_INGEST, NULL, logs_in, RESOLVE_OR_NEW},
    {"GET", "/v1/jobs/:job/nodes", AUTH_READ, NULL, nodes_http, RESOLVE_EXISTING},
    {"POST", "/v1/jobs/:job/stop", AUTH_STOP, NULL, stop_http, RESOLVE_EXISTING},
    {"POST", "/v1/jobs/:job/events", AUTH_INGEST, NULL, events_in, RESOLVE_EXISTING},
    {"GET", "/v1/jobs/:job/ingest", AUTH_INGEST, NULL, agent_in, RESOLVE_OR_NEW},
    {"GET", "/v1/jobs/:job/postmortem", AUTH_READ, NULL, postmortem_http, RESOLVE_EXISTING},
    {"GET", "/v1/jobs/:job/search", AUTH_READ, NULL, search_http, RESOLVE_EXISTING},
    {"GET", "/v1/jobs/:job/stats", AUTH_READ, NULL, stats_http, RESOLVE_EXISTING},
    {"GET", "/v1/jobs/:job/tail", AUTH_READ, NULL, tail_http, RESOLVE_OR_LATER},
    {"GET", "/v1/jobs/:job/archive", AUTH_READ, NULL, archive_list_http, RESOLVE_EXISTING},
    {"GET", "/v1/jobs/:job/archive.jsonl.zst", AUTH_READ, NULL, archive_download_http, RESOLVE_EXISTING},
    /* the Baseten training API: serve/baseten.h */
    {"GET", "/v1/training_projects", AUTH_READ, baseten_projects, NULL, 0},
    {"POST", "/v1/training_jobs/search", AUTH_READ, baseten_search, NULL, 0},
    {"GET", "/v1/training_projects/:project/jobs", AUTH_READ, baseten_project_jobs, NULL, 0},
    {"GET", "/v1/training_projects/:project/jobs/:job", AUTH_READ, baseten_job, NULL, 0},
    {"GET", "/v1/training_projects/:project/jobs/:job/logs", AUTH_READ, baseten_job_logs, NULL, 0},
    {"POST", "/v1/training_projects/:project/jobs/:job/logs", AUTH_READ, baseten_job_logs, NULL, 0},
    {"GET", "/v1/training_projects/:project/jobs/:job/metrics", AUTH_READ, baseten_metrics, NULL, 0},
    {"POST", "/v1/training_projects/:project/jobs/:job/metrics", AUTH_READ, baseten_metrics, NULL, 0},
    {"POST", "/v1/training_projects/:project/jobs/:job/stop", AUTH_STOP, stop_baseten, NULL, 0},
    {"GET", "/v1/training_projects/:project/jobs/:job/auth_codes", AUTH_READ, baseten_auth_codes, NULL, 0},
    {"GET", "/v1/training_projects/:project/jobs/:job/checkpoints", AUTH_READ, baseten_checkpoints, NULL, 0},
    {"GET", "/v1/training_projects/:project/jobs/:job/checkpoint_files", AUTH_READ, baseten_not_ours, NULL, 0},
    {"GET", "/v1/training_projects/:project/jobs/:job/download", AUTH_READ, baseten_not_ours, NULL, 0},
    {"POST", "/v1/training_projects/:project/jobs/:job/recreate", AUTH_READ, baseten_not_ours, NULL, 0},
    {"PATCH", "/v1/training_projects/:project/jobs/:job", AUTH_READ, baseten_not_ours, NULL, 0},
    {"POST", "/v1/training_projects/:project/jobs", AUTH_READ, baseten_not_ours, NULL, 0},
    {"POST", "/v1/training_projects", AUTH_READ, baseten_not_ours, NULL, 0},
    {"GET", "/v1/training_projects/:project/cache/summary", AUTH_READ, baseten_not_ours, NULL, 0},
};
#define ROUTE_COUNT (sizeof routes / sizeof *routes)

/* Does path match? job gets the last ":" segment. */
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

/* The caller may: on to the handler, by way of the job when there is one. */
static void go_through(struct serve_ctx *ctx, struct http *x, const void *route)
{
    const struct route *r = route;
    char job[ROUTER_SEGMENT_BYTES] = "";
    if (r->plain) {
        r->plain(ctx, x);
        return;
    }
    CHECK(pattern_matches(r->pattern, http_path(x), job));
    resolve_job(ctx, x, job, r->need, r->of_job);
}

static void on_request(struct http *x)
{
    struct serve_ctx *ctx = http_root_user(x);
    char job[ROUTER_SEGMENT_BYTES];
    auth_greet(ctx, x);
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        const struct route *r = &routes[i];
        if (!method_matches(r->method, http_method(x)) ||
            !pattern_matches(r->pattern, http_path(x), job))
            continue;
        auth_enter(ctx, x, r->auth, go_through, r);
        return;
    }
    answer_unrouted(x);
}

const struct http_handler router_root = {.on_request = on_request};

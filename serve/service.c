/*
 * serve/service.c -- health, readiness, metrics, the contract, and a word for browsers.
 */
#include "serve/service.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "ingest/ingest.h"
#include "job/level.h"
#include "serve/pump.h"
#include "serve/tail.h"
#include "storage/archive.h"
#include "stream/hub.h"
#include "stream/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

extern const char openapi_json[]; /* serve/openapi.json, embedded by mk/embed.mk */
extern const unsigned openapi_json_len;

void service_health(struct serve_ctx *ctx, struct http *x)
{
    static const char body[] = "{\"status\":\"ok\",\"version\":\"" JOBLOG_VERSION "\"}\n";
    http_reply(x, 200, "application/json", body, sizeof body - 1);
}

void service_ready(struct serve_ctx *ctx, struct http *x)
{
    static const char body[] = "{\"status\":\"ready\"}\n";
    char why[256] = "";
    struct pump_stats pump;
    if (ctx->draining) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, "draining", "this server is shutting down");
    } else if (stream_ready(ctx->stream, why, sizeof why) != 0) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, "unavailable", "%s", why);
    } else {
        pump_stats(ctx->pump, &pump);
        if (pump.backing_off)
            http_reply_error(x, 503, "archive", "the archive takes no segments: %s",
                             pump.last_error);
        else
            http_reply(x, 200, "application/json", body, sizeof body - 1);
    }
}

void service_root(struct serve_ctx *ctx, struct http *x)
{
    static const char body[] =
        "joblog " JOBLOG_VERSION " -- the log of a training job, live and for ever.\n\n"
        "  curl /v1/jobs                 jobs, newest first\n"
        "  curl -N /v1/jobs/JOB/tail     follow one\n"
        "  curl /v1/jobs/JOB/logs        read it\n"
        "  curl /openapi.json            the whole contract\n"
        "  curl /metrics                 for Prometheus\n";
    http_reply(x, 200, "text/plain; charset=utf-8", body, sizeof body - 1);
}

void service_openapi(struct serve_ctx *ctx, struct http *x)
{
    http_reply(x, 200, "application/json", openapi_json, openapi_json_len);
}

/* ---- metrics ---- */

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_addf(b, "# HELP joblog_%s %s\n# TYPE joblog_%s %s\n", name, help, name, type);
}

static void one(struct buf *b, const char *name, const char *type, const char *help, double v)
{
    head(b, name, type, help);
    buf_addf(b, "joblog_%s %.17g\n", name, v);
}

static void labelled(struct buf *b, const char *name, const char *label, const char *value,
                     uint64_t v)
{
    buf_addf(b, "joblog_%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, v);
}

static void metrics_ingest(struct buf *b, const struct ingest_stats *s,
                           const struct stream_stats *st)
{
    one(b, "lines_total", "counter", "Lines stored.", (double)st->append_lines);
    one(b, "bytes_total", "counter", "Bytes of messages stored.", (double)st->append_bytes);
    one(b, "batches_total", "counter", "Batches stored.", (double)st->appends);
    one(b, "duplicates_total", "counter", "Lines sent again that were held already.",
        (double)st->duplicates_lines);
    one(b, "gaps_total", "counter",
        "Batches refused because they jump ahead of their producer's sequence.", (double)st->gaps);
    head(b, "refused_total", "counter", "Batches or requests refused, by reason.");
    labelled(b, "refused_total", "reason", "bad", s->refused_bad);
    labelled(b, "refused_total", "reason", "too_large", s->refused_too_large);
    labelled(b, "refused_total", "reason", "gap", s->refused_gap);
    labelled(b, "refused_total", "reason", "fenced", s->refused_fenced);
    labelled(b, "refused_total", "reason", "sealed", s->refused_sealed);
    labelled(b, "refused_total", "reason", "busy", s->refused_busy);
    labelled(b, "refused_total", "reason", "unavailable", s->refused_unavailable);
    labelled(b, "refused_total", "reason", "bad_transition", st->transition_refused);
    head(b, "repaired_total", "counter", "Lines changed on the way in, by reason.");
    labelled(b, "repaired_total", "reason", "invalid_utf8", s->utf8_replaced);
    labelled(b, "repaired_total", "reason", "nul", s->nul_kept);
    labelled(b, "repaired_total", "reason", "split", s->lines_split);
    labelled(b, "repaired_total", "reason", "bad_line_as_text", s->lines_skipped_bad);
    one(b, "agents_open", "gauge", "Agents connected over WebSocket.", (double)s->agents_open);
    head(b, "ack_seconds", "histogram", "From a batch handed to Redis to its answer.");
    uint64_t sum = 0;
    for (int i = 0; i < 15; i++) {
        sum += st->ack_us_bucket[i];
        buf_addf(b, "joblog_ack_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
                 (double)(64ULL << i) / 1e6, sum);
    }
    buf_addf(b,
             "joblog_ack_seconds_bucket{le=\"+Inf\"} %" PRIu64
             "\njoblog_ack_seconds_sum %g\njoblog_ack_seconds_count %" PRIu64 "\n",
             st->ack_count, (double)st->ack_us_sum / 1e6, st->ack_count);
}

static void metrics_redis(struct buf *b, const struct stream_stats *st)
{
    one(b, "redis_up", "gauge", "1 when Redis answers and the script is loaded.",
        st->connected && !st->loading);
    one(b, "redis_memory_bytes", "gauge", "Memory used by Redis.", (double)st->redis_memory_bytes);
    one(b, "redis_memory_max_bytes", "gauge", "Its limit, 0 for none.",
        (double)st->redis_memory_max_bytes);
    one(b, "redis_inflight_bytes", "gauge", "Bytes of requests not answered yet.",
        (double)st->inflight_bytes);
    one(b, "redis_reconnects_total", "counter", "Connections lost and made again.",
        (double)st->reconnects);
    one(b, "redis_timeouts_total", "counter", "Calls not answered in time.", (double)st->timeouts);
    one(b, "redis_embedded_restarts_total", "counter", "Restarts of the embedded server.",
        (double)st->embedded_restarts);
    head(b, "redis_errors_total", "counter", "Error replies by name.");
    labelled(b, "redis_errors_total", "name", "LOADING", st->redis_errors_loading);
    labelled(b, "redis_errors_total", "name", "MISCONF", st->redis_errors_misconf);
    labelled(b, "redis_errors_total", "name", "OOM", st->redis_errors_oom);
    labelled(b, "redis_errors_total", "name", "READONLY", st->redis_errors_readonly);
    labelled(b, "redis_errors_total", "name", "NOSCRIPT", st->redis_errors_noscript);
    labelled(b, "redis_errors_total", "name", "BUSY", st->redis_errors_busy);
    labelled(b, "redis_errors_total", "name", "other", st->redis_errors_other);
}

static void metrics_tail(struct buf *b, const struct tail_stats *t, const struct hub_stats *h)
{
    head(b, "tailers", "gauge", "Followers connected, by kind.");
    labelled(b, "tailers", "kind", "websocket", t->open_ws);
    labelled(b, "tailers", "kind", "sse", t->open_sse);
    labelled(b, "tailers", "kind", "text", t->open_text);
    one(b, "tailers_waiting", "gauge", "Followers of jobs that do not exist yet.",
        (double)t->waiting);
    one(b, "tail_messages_total", "counter", "Messages sent to followers.", (double)t->messages);
    one(b, "tail_lines_total", "counter", "Records sent to followers.", (double)t->lines);
    one(b, "tail_lagged_total", "counter", "Times a follower fell off the ring and read history.",
        (double)t->lagged);
    one(b, "tail_gaps_total", "counter", "Explicit gaps told to followers.", (double)t->gaps);
    one(b, "tail_resets_total", "counter", "Resets told to followers.", (double)t->resets);
    one(b, "tail_ends_total", "counter", "Follows that reached the end of their job.",
        (double)t->ends);
    one(b, "hub_jobs", "gauge", "Jobs followed on this node.", (double)h->jobs);
    one(b, "hub_ring_bytes", "gauge", "Bytes of recent frames kept for followers.",
        (double)h->ring_bytes);
    one(b, "hub_ring_misses_total", "counter", "Cursors older than the ring.",
        (double)h->ring_misses);
}

static void metrics_archive(struct buf *b, const struct pump_stats *p)
{
    one(b, "archive_segments_total", "counter", "Segments written and verified.",
        (double)p->segments);
    one(b, "archive_records_total", "counter", "Records archived.", (double)p->records);
    one(b, "archive_errors_total", "counter", "Rounds of the archiver that failed.",
        (double)p->errors);
    one(b, "archive_hot_jobs", "gauge", "Jobs with records not archived yet.", (double)p->hot_jobs);
    one(b, "archive_oldest_unarchived_seconds", "gauge", "Age of the oldest of them.",
        (double)p->oldest_unarchived_us / 1e6);
}

static void metrics_http(struct buf *b, const struct http_stats *h)
{
    one(b, "http_connections", "gauge", "Open connections.", (double)h->connections_open);
    one(b, "http_connections_total", "counter", "Connections accepted.",
        (double)h->connections_total);
    one(b, "http_requests_total", "counter", "Requests that reached a route.",
        (double)h->requests_total);
    one(b, "http_refused_total", "counter", "Malformed or oversized requests refused at the door.",
        (double)h->refused_total);
    one(b, "http_timeouts_total", "counter", "Connections closed by a deadline.",
        (double)h->timeouts_total);
    one(b, "http_overload_total", "counter", "Connections refused because too many were open.",
        (double)h->overload_total);
    one(b, "http_backlog_bytes", "gauge", "Response bytes held in memory.",
        (double)h->backlog_bytes);
    one(b, "http_received_bytes_total", "counter", "Bytes received.", (double)h->bytes_in_total);
    one(b, "http_sent_bytes_total", "counter", "Bytes sent.", (double)h->bytes_out_total);
}

void service_metrics(struct serve_ctx *ctx, struct http *x)
{
    struct buf b = BUF_INIT;
    struct ingest_stats ingest;
    struct stream_stats stream;
    struct tail_stats tails;
    struct hub_stats hub;
    struct pump_stats pump;
    struct http_stats http;
    size_t rss = 0;
    ingest_stats(ctx->ingest, &ingest);
    stream_stats(ctx->stream, &stream);
    tail_stats(ctx, &tails);
    hub_stats(ctx->stream, &hub);
    pump_stats(ctx->pump, &pump);
    http_server_stats(ctx->http, &http);
    uv_resident_set_memory(&rss);
    head(&b, "build_info", "gauge", "Version of joblogd.");
    labelled(&b, "build_info", "version", JOBLOG_VERSION, 1);
    one(&b, "start_time_seconds", "gauge", "When joblogd started, since 1970.",
        (double)ctx->started_us / 1e6);
    one(&b, "memory_bytes", "gauge", "Resident memory of joblogd.", (double)rss);
    metrics_ingest(&b, &ingest, &stream);
    metrics_redis(&b, &stream);
    metrics_tail(&b, &tails, &hub);
    metrics_archive(&b, &pump);
    metrics_http(&b, &http);
    http_reply(x, 200, METRICS_TYPE, buf_cstr(&b), b.len);
    buf_release(&b);
}

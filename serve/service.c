/*
 * serve/service.c -- health, readiness, metrics, the contract, and a word for browsers.
 */
#include "serve/service.h"

#include "alert/alert.h"
#include "alert/deliver.h"
#include "alert/tally.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/log.h"
#include "ingest/ingest.h"
#include "job/level.h"
#include "serve/auth.h"
#include "serve/digests.h"
#include "serve/events.h"
#include "serve/job_gauges.h"
#include "serve/pump.h"
#include "serve/rebuild.h"
#include "serve/retention.h"
#include "serve/settle.h"
#include "serve/tail.h"
#include "serve/tail_many.h"
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
    struct http_stats http;
    int ready;
    http_server_stats(ctx->http, &http);
    if (ctx->draining) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, "draining", "this server is shutting down");
    } else if (http.no_descriptors) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, "overloaded", "no file descriptors are left: new connections are refused");
    } else if ((ready = stream_ready(ctx->stream, why, sizeof why)) != 0) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, err_code(ready), "%s", why);
    } else if (!alert_ruleset(ctx->alert)) {
        http_set_header(x, "Retry-After", "1");
        http_reply_error(x, 503, "unavailable", "the alert rules have not been read yet");
    } else {
        pump_stats(ctx->pump, &pump);
        if (pump.backing_off) {
            http_set_header(x, "Retry-After", "5");
            http_reply_error(x, 503, "archive", "the archive takes no segments: %s",
                             pump.last_error);
        } else
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
    head(b, "redacted_total", "counter", "Secrets taken out on the way in, by kind (--redact).");
    for (int i = 0; i < REDACT_KIND_COUNT; i++)
        labelled(b, "redacted_total", "kind", redact_word(i), s->redacted.of[i]);
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
    one(b, "redis_unreadable_total", "counter",
        "Entries in Redis that could not be read: their records were told as a gap.", (double)st->unreadable);
    one(b, "rollbacks_total", "counter",
        "Jobs of which Redis had lost records that nobody else holds: their epoch changed.", (double)st->rollbacks);
    one(b, "jobs_restored_total", "counter",
        "Jobs taken up again from the archive because Redis held less of them.", (double)st->restored);
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
    one(b, "archive_lost_records_total", "counter",
        "Records that were lost before they could be archived.", (double)p->lost_records);
    one(b, "archive_hot_jobs", "gauge", "Jobs with records not archived yet.", (double)p->hot_jobs);
    one(b, "archive_oldest_unarchived_seconds", "gauge", "Age of the oldest of them.",
        (double)p->oldest_unarchived_us / 1e6);
}

static void metrics_settle(struct buf *b, const struct serve_ctx *ctx)
{
    struct settle_stats s;
    settle_stats(ctx->settle, &s);
    one(b, "settle_jobs_total", "counter", "Jobs whose segments were written anew.", (double)s.jobs);
    one(b, "settle_segments_total", "counter", "Segments written anew.", (double)s.segments);
    one(b, "settle_replaced_total", "counter", "Segments that they replaced.", (double)s.replaced);
    one(b, "settle_before_bytes_total", "counter", "Bytes of the segments replaced.", (double)s.bytes_before);
    one(b, "settle_after_bytes_total", "counter", "Bytes of those that replaced them.", (double)s.bytes_after);
    one(b, "settle_cpu_seconds_total", "counter", "Processor time it took.", (double)s.cpu_us / 1e6);
    one(b, "settle_errors_total", "counter", "Jobs that could not be settled at the first try.", (double)s.errors);
    one(b, "settle_held_total", "counter", "Segments given up because their job was being read all the time.",
        (double)s.held);
    one(b, "settle_waiting", "gauge", "Jobs waiting to be settled.", s.waiting);
    one(b, "settle_active", "gauge", "1 while a job is being settled.", s.active);
    one(b, "settle_paused", "gauge", "1 while settling waits for the disk or for Redis.", s.paused);
}

static void metrics_digests(struct buf *b, const struct serve_ctx *ctx)
{
    struct digests_stats s;

    digests_stats(ctx, &s);
    one(b, "digests_asked_total", "counter", "Times the digest of a job was asked for.", (double)s.asked);
    one(b, "digests_loaded_total", "counter", "Digests read from their files.", (double)s.loaded);
    one(b, "digests_made_total", "counter", "Times segments were read again for a digest.",
        (double)s.made);
    one(b, "digests_failed_total", "counter", "Digests that could not be had.", (double)s.failed);
    one(b, "digests_kept", "gauge", "Digests in memory.", (double)s.kept);
    one(b, "digests_kept_bytes", "gauge", "Bytes of memory they hold, roughly.",
        (double)s.kept_bytes);
}

static void metrics_rebuild(struct buf *b, const struct rebuild_stats *r)
{
    one(b, "archive_rebuild_running", "gauge", "1 while the archive is compared with Redis.", r->running);
    one(b, "archive_rebuild_rounds_total", "counter", "Times all archived jobs were found in Redis or brought back.",
        (double)r->rounds);
    one(b, "archive_rebuild_errors_total", "counter", "Archived jobs that could not be brought back at the first try.",
        (double)r->errors);
}

/* At most RECEIVERS_MAX of each. */
static void receiver_samples(struct buf *b, const struct serve_ctx *ctx, const char *name,
                             const char *type, const char *help, size_t at)
{
    const struct ruleset *set = alert_ruleset(ctx->alert);
    struct deliver_counts c;
    char key[RULE_KEY_BYTES];
    head(b, name, type, help);
    for (uint32_t i = 0; set && i < set->receiver_count; i++) {
        rule_key(set->receivers[i]->project, set->receivers[i]->id, key);
        deliver_counts(ctx->alert, key, &c);
        labelled(b, name, "receiver", key, *(const uint64_t *)(const void *)((const char *)&c + at));
    }
}

/* "rule" is "project/id", or "*" in place of the project; at most TALLY_RULES_MAX and "other". */
static void rule_samples(struct buf *b, const struct serve_ctx *ctx)
{
    const struct tally_rule *r;
    const char *key;
    size_t pos = 0, len;
    head(b, "alerts_total", "counter", "Alerts that this node put into the feed, by rule and what they say.");
    while ((r = tally_rules(ctx->alert, &pos, &key, &len))) {
        buf_addf(b, "joblog_alerts_total{rule=\"%.*s\",status=\"firing\"} %" PRIu64 "\n", (int)len, key, r->firing);
        buf_addf(b, "joblog_alerts_total{rule=\"%.*s\",status=\"resolved\"} %" PRIu64 "\n", (int)len, key, r->resolved);
    }
    head(b, "alerts_suppressed_total", "counter", "Of those firing: over the rule's max_per_hour, sent to nobody.");
    for (pos = 0; (r = tally_rules(ctx->alert, &pos, &key, &len));)
        buf_addf(b, "joblog_alerts_suppressed_total{rule=\"%.*s\"} %" PRIu64 "\n", (int)len, key, r->suppressed);
}

static void metrics_jobs(struct buf *b, const struct serve_ctx *ctx)
{
    uint64_t counts[STATE_COUNT];
    int is_more;
    head(b, "job_states_total", "counter", "States that jobs have entered, told by this node.");
    for (int i = 0; i < STATE_COUNT; i++)
        labelled(b, "job_states_total", "state", state_short((enum job_state)i), tally_state(ctx->alert, (enum job_state)i));
    if (job_gauges_get(ctx->job_gauges, counts, &is_more) != 0)
        return;
    head(b, "jobs", "gauge", "Jobs whose log is not sealed, by state, of all nodes, as of a few seconds ago.");
    for (int i = 0; i < STATE_COUNT; i++)
        labelled(b, "jobs", "state", state_short((enum job_state)i), counts[i]);
    one(b, "jobs_uncounted", "gauge", "1 when there are more jobs than are counted.", is_more);
}

static void metrics_receivers(struct buf *b, const struct serve_ctx *ctx)
{
    receiver_samples(b, ctx, "alert_sent_total", "counter", "Deliveries that a receiver took, by this node.",
                     offsetof(struct deliver_counts, sent));
    receiver_samples(b, ctx, "alert_attempts_failed_total", "counter", "Attempts that a receiver did not take.",
                     offsetof(struct deliver_counts, failed));
    receiver_samples(b, ctx, "alert_given_up_total", "counter", "Deliveries moved to the dead letters.",
                     offsetof(struct deliver_counts, dead));
    receiver_samples(b, ctx, "alert_queued", "gauge", "Deliveries waiting in Redis, as of a few seconds ago.",
                     offsetof(struct deliver_counts, queued));
    receiver_samples(b, ctx, "alert_queued_bytes", "gauge", "Their bytes.",
                     offsetof(struct deliver_counts, queued_bytes));
}

static void metrics_retention(struct buf *b, const struct serve_ctx *ctx)
{
    struct retention_stats s;

    if (!ctx->retention)
        return;
    retention_stats(ctx->retention, &s);
    one(b, "retention_rounds_total", "counter", "Looks at all jobs for those whose time is over.", (double)s.rounds);
    one(b, "retention_jobs_total", "counter", "Jobs removed after their time.", (double)s.jobs);
    one(b, "retention_bytes_total", "counter", "Bytes of messages of them.", (double)s.bytes);
    one(b, "retention_errors_total", "counter", "Jobs that could not be removed at the first try.", (double)s.errors);
}

static void metrics_alert(struct buf *b, const struct serve_ctx *ctx)
{
    struct alert_stats s;
    alert_stats(ctx->alert, &s);
    one(b, "alert_rules", "gauge", "Rules this node holds, the starter set included.", s.rules);
    one(b, "alert_rules_enabled", "gauge", "Of them enabled.", s.rules_enabled);
    one(b, "alert_receivers", "gauge", "Receivers this node holds.", s.receivers);
    one(b, "alert_jobs", "gauge", "Jobs that this node evaluates now.", s.jobs_evaluated);
    one(b, "alert_records_total", "counter", "Records evaluated.", (double)s.records);
    one(b, "alert_fired_total", "counter", "Alerts found, resolved ones included.", (double)s.alerts);
    one(b, "alert_commits_total", "counter", "States of evaluation written.", (double)s.commits);
    one(b, "alert_fenced_total", "counter", "Evaluations given up because another node had taken over.", (double)s.fenced);
    one(b, "alert_dropped_total", "counter", "Alerts dropped because one step found too many.", (double)s.dropped);
    one(b, "alert_dead_letters", "gauge", "Dead letters in Redis, as of a few seconds ago.", (double)s.dead_letters);
    one(b, "alert_events_total", "counter", "Events put into the feed by this node.", (double)s.events);
    one(b, "alert_capped_total", "counter", "Alerts over their rule's limit: in the feed, not sent.", (double)s.capped);
    rule_samples(b, ctx);
    metrics_receivers(b, ctx);
    uint64_t sessions, jobs;
    tail_many_stats(ctx, &sessions, &jobs);
    one(b, "tail_many", "gauge", "Followers of many jobs connected.", (double)sessions);
    one(b, "tail_many_jobs", "gauge", "Jobs that they follow, together.", (double)jobs);
    one(b, "event_readers", "gauge", "Readers of the feed connected.", events_open_count(ctx));
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
    one(b, "tls_handshakes_total", "counter", "TLS handshakes that succeeded.", (double)h->tls_handshakes_total);
    one(b, "tls_failed_total", "counter", "TLS connections that ended in an error before their handshake was over.",
        (double)h->tls_failed_total);
    if (h->tls_not_after_s)
        one(b, "tls_certificate_expiry_timestamp_seconds", "gauge", "When the certificate ends, since 1970.",
            (double)h->tls_not_after_s);
    one(b, "http_backlog_bytes", "gauge", "Response bytes held in memory.",
        (double)h->backlog_bytes);
    one(b, "http_received_bytes_total", "counter", "Bytes received.", (double)h->bytes_in_total);
    one(b, "http_sent_bytes_total", "counter", "Bytes sent.", (double)h->bytes_out_total);
}

static void metrics_auth(struct buf *b, const struct serve_ctx *ctx, const struct ingest_stats *ingest)
{
    const struct tokens *tokens = token_store_tokens(auth_store(ctx->auth));
    struct auth_stats s;
    auth_stats(ctx->auth, &s);
    one(b, "tokens", "gauge", "Tokens known, revoked and expired ones too.", (double)tokens_count(tokens));
    head(b, "auth_refused_total", "counter", "Requests not let in, by reason.");
    labelled(b, "auth_refused_total", "reason", "missing", s.missing);
    labelled(b, "auth_refused_total", "reason", "unknown", s.unknown);
    labelled(b, "auth_refused_total", "reason", "expired", s.expired);
    labelled(b, "auth_refused_total", "reason", "revoked", s.revoked);
    labelled(b, "auth_refused_total", "reason", "scope", s.scope);
    labelled(b, "auth_refused_total", "reason", "origin", s.origin);
    head(b, "quota_refused_total", "counter", "Requests, batches and tails refused because a token's quota was used up.");
    for (int i = 0; i < QUOTA_COUNT; i++)
        labelled(b, "quota_refused_total", "quota", quota_word(i), ctx->quota_refused[i] + ingest->refused_quota[i]);
    one(b, "tickets_total", "counter", "Tickets given out to browsers.", (double)s.tickets);
    one(b, "auth_sent_away_total", "counter", "Connections closed because their token was revoked or expired.",
        (double)s.sent_away);
}

void service_metrics(struct serve_ctx *ctx, struct http *x)
{
    struct buf b = BUF_INIT;
    struct ingest_stats ingest;
    struct stream_stats stream;
    struct tail_stats tails;
    struct hub_stats hub;
    struct pump_stats pump;
    struct rebuild_stats rebuild;
    struct http_stats http;
    struct heap_stats heap;
    size_t rss = 0;
    ingest_stats(ctx->ingest, &ingest);
    stream_stats(ctx->stream, &stream);
    tail_stats(ctx, &tails);
    hub_stats(ctx->stream, &hub);
    pump_stats(ctx->pump, &pump);
    rebuild_stats(ctx->rebuild, &rebuild);
    http_server_stats(ctx->http, &http);
    uv_resident_set_memory(&rss);
    heap_stats(&heap);
    head(&b, "build_info", "gauge", "Version of joblogd.");
    labelled(&b, "build_info", "version", JOBLOG_VERSION, 1);
    one(&b, "start_time_seconds", "gauge", "When joblogd started, since 1970.",
        (double)ctx->started_us / 1e6);
    one(&b, "memory_bytes", "gauge", "Resident memory of joblogd.", (double)rss);
    one(&b, "heap_used_bytes", "gauge", "Memory that joblogd has allocated and not freed.", (double)heap.used);
    one(&b, "heap_free_bytes", "gauge", "Memory that joblogd has freed and malloc keeps; whole pages of it go back every 10 s.",
        (double)heap.free);
    metrics_ingest(&b, &ingest, &stream);
    metrics_redis(&b, &stream);
    metrics_tail(&b, &tails, &hub);
    metrics_archive(&b, &pump);
    metrics_settle(&b, ctx);
    metrics_digests(&b, ctx);
    metrics_rebuild(&b, &rebuild);
    metrics_retention(&b, ctx);
    metrics_alert(&b, ctx);
    metrics_jobs(&b, ctx);
    metrics_http(&b, &http);
    metrics_auth(&b, ctx, &ingest);
    http_reply(x, 200, METRICS_TYPE, buf_cstr(&b), b.len);
    buf_release(&b);
}

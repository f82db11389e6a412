/*
 * joblogd.c -- main(): reads the configuration, builds the rooms, owns the loop.
 *
 * The only file that names them all. Rooms are opened bottom up (stream, archive, pump, ingest,
 * http) and closed top down. One loop turn of a line: take in -> append -> make durable ->
 * acknowledge -> fan out; each arrow is a callback of the room below.
 *
 * SIGTERM/SIGINT  drain: listeners close, tails are told 1012, agents are acknowledged and told
 *                 1012, appends finish, the pump stops, Redis is stopped cleanly; exit 0. A second
 *                 signal ends at once.
 * SIGHUP          the admin's token file and the rules file are read again.
 * Exit codes      0 drained; 2 bad options; 1 could not start (the log says why).
 */
#include "alert/alert.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/io.h"
#include "base/log.h"
#include "http/http.h"
#include "http/tls.h"
#include "http/ws.h"
#include "ingest/ingest.h"
#include "job/id.h"
#include "joblogd_settings.h"
#include "serve/alert_past.h"
#include "serve/auth.h"
#include "serve/ctx.h"
#include "serve/events.h"
#include "serve/job_gauges.h"
#include "serve/origin.h"
#include "serve/past.h"
#include "serve/pump.h"
#include "serve/rebuild.h"
#include "serve/resolve.h"
#include "serve/retention.h"
#include "serve/router.h"
#include "serve/settle.h"
#include "serve/tail.h"
#include "serve/tail_many.h"
#include "storage/archive.h"
#include "stream/stream.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#define DRAIN_POLL_MS 20
#define CERTIFICATE_DAYS_MIN 14 /* a certificate that ends sooner is warned of */

struct joblogd;
static void on_tokens_told(void *user);
static void drain(struct joblogd *j);

enum drain_step { DRAIN_NOT, DRAIN_REQUESTS, DRAIN_STREAM, DRAIN_DONE };

struct joblogd {
    struct settings settings;
    struct redact *redact; /* NULL: lines are kept as they come */
    uv_loop_t loop;
    struct serve_ctx ctx;
    int lock_fd;
    char node[20]; /* who we are, over restarts: DATA/node-id */
    struct past past;
    char data[PATH_MAX];
    char archive_dir[PATH_MAX];
    struct address_list alert_allow;
    uv_signal_t sigterm, sigint, sighup;
    int awaits_tokens; /* whether to listen beyond loopback is decided when Redis has told the tokens */
    int is_settling; /* the settler's thread did not end in time: it dies with the process */
    int exit_code;
    uv_timer_t drain_timer, trim_timer;
    enum drain_step draining;
    int64_t drain_until_us;
    int signals;
};

/* ---- starting ---- */

static int is_loopback(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 || strncmp(address, "127.", 4) == 0 ||
           strncmp(address, "[::1]:", 6) == 0 || strncmp(address, "localhost:", 10) == 0;
}

/* The first address that is served only with tokens or --open; NULL: none. */
static const char *beyond_loopback(const struct settings *s)
{
    char **lists[] = {s->listen, s->tls_listen};
    for (size_t i = 0; i < 2; i++)
        for (char **a = lists[i]; a && *a; a++)
            if (!s->open && !is_loopback(*a))
                return *a;
    return NULL;
}

static int check_tls(const struct settings *s)
{
    int wants = s->tls_listen && *s->tls_listen, has = *s->tls_cert && *s->tls_key;
    if (wants && !has)
        fprintf(stderr, "joblogd: --tls-listen wants --tls-cert and --tls-key\n");
    else if (!wants && (*s->tls_cert || *s->tls_key || *s->tls_client_ca))
        fprintf(stderr, "joblogd: --tls-cert, --tls-key and --tls-client-ca are for --tls-listen, which is missing\n");
    else
        return 0;
    return ERR_INVALID;
}

static void say_no_tokens(const char *address)
{
    log_error("joblogd", "no tokens are configured, so only loopback addresses are served",
              "listen=%s hint=" LOG_Q("%s"), address,
              "make a token there first (joblog token create), or give --admin-token-file; --open serves everybody who "
              "can reach the port");
}

/* Can there be tokens? Asked before anything is made on disk. */
static int may_have_tokens(const struct settings *s)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/" TOKEN_STORE_FILE, (int)sizeof path - 32, s->data);
    return *s->admin_token_file || *s->redis || access(path, F_OK) == 0;
}

/* Beyond loopback only with tokens. Those of a Redis elsewhere are not known before it answers. */
static int check_addresses(struct joblogd *j)
{
    const char *address = beyond_loopback(&j->settings);
    if (!address || !auth_is_open(j->ctx.auth))
        return 0;
    if (*j->settings.redis) {
        j->awaits_tokens = 1;
        log_info("joblogd", "waiting for Redis to tell the tokens before listening", "listen=%s", address);
        return 0;
    }
    say_no_tokens(address);
    return ERR_INVALID;
}

/* Also takes them in. */
static int check_allowed(struct joblogd *j)
{
    for (char **n = j->settings.alert_allow; n && *n; n++) {
        int err = address_allow(&j->alert_allow, *n);
        if (err == 0)
            continue;
        fprintf(stderr, "joblogd: --alert-allow %s: %s\n", *n,
                err == ERR_LIMIT ? "there are too many" : "an address or a net like 10.1.0.0/16 is wanted");
        return ERR_INVALID;
    }
    return 0;
}

static int check_retention(const struct settings *s)
{
    struct retention_rule rule;
    for (char **r = s->retention; r && *r; r++) {
        if (retention_parse(*r, &rule) == 0)
            continue;
        fprintf(stderr, "joblogd: --retention %s: PROJECT=AGE, PROJECT=BYTES or both is wanted, like default=30d/50GiB\n", *r);
        return ERR_INVALID;
    }
    return 0;
}

static int check_origins(const struct settings *s)
{
    for (char **o = s->origin; o && *o; o++) {
        if (origin_valid(*o))
            continue;
        fprintf(stderr, "joblogd: --origin %s: http://HOST[:PORT] or https://HOST[:PORT] is wanted, in lower case\n", *o);
        return ERR_INVALID;
    }
    return 0;
}

static void raise_fd_limit(void)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
        return;
    rlim_t want =
        rl.rlim_max < 262144 ? rl.rlim_max : 262144; /* libwebsockets keeps tables of this size */
    if (rl.rlim_cur == want)
        return;
    rl.rlim_cur = want;
    setrlimit(RLIMIT_NOFILE, &rl);
}

/* The lock lives as long as the process: a second instance on the same data is refused. */
static int lock_data(struct joblogd *j)
{
    char path[PATH_MAX + 16];
    int err = io_mkdirs(j->settings.data);
    if (err || !realpath(j->settings.data, j->data)) {
        log_error("joblogd", "the data directory cannot be made",
                  "data=" LOG_Q("%s") " why=" LOG_Q("%s"), j->settings.data,
                  err_text(err ? err : ERR_IO));
        return err ? err : ERR_IO;
    }
    snprintf(path, sizeof path, "%s/joblogd.lock", j->data);
    j->lock_fd = io_open(path, O_RDWR | O_CREAT, 0640);
    if (j->lock_fd < 0) {
        log_error("joblogd", "the lock file cannot be opened",
                  "path=" LOG_Q("%s") " why=" LOG_Q("%s"), path, err_text(j->lock_fd));
        return j->lock_fd;
    }
    if (flock(j->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        log_error("joblogd", "another joblogd is using this data directory", "data=" LOG_Q("%s"),
                  j->data);
        return ERR_BUSY;
    }
    return 0;
}

/* DATA/node-id: 16 hex digits, made at the first start. A lease that we held when we were killed is ours again by it. */
static void know_oneself(struct joblogd *j)
{
    char path[PATH_MAX + 16], *kept = NULL;
    unsigned char random[8];
    size_t len = 0;
    int err;
    snprintf(path, sizeof path, "%s/node-id", j->data);
    err = io_read_file(path, sizeof j->node, &kept, &len);
    if (err == 0 && len == 16 && id_valid(kept, len)) {
        memcpy(j->node, kept, len + 1);
    } else {
        CHECK(getentropy(random, sizeof random) == 0);
        for (size_t i = 0; i < sizeof random; i++)
            snprintf(j->node + 2 * i, 3, "%02x", random[i]);
        err = io_replace_file(path, j->node, strlen(j->node));
        if (err)
            log_warn("joblogd", "the node id cannot be kept", "path=" LOG_Q("%s") " why=" LOG_Q("%s"), path, err_text(err));
    }
    free(kept);
}

static int open_archive(struct joblogd *j)
{
    const struct settings *s = &j->settings;
    char why[512] = "";
    if (*s->archive)
        snprintf(j->archive_dir, sizeof j->archive_dir, "%s", s->archive);
    else
        snprintf(j->archive_dir, sizeof j->archive_dir, "%.*s/archive",
                 (int)sizeof j->archive_dir - 16, j->data);
    int err = archive_open(j->archive_dir, why, sizeof why, &j->ctx.archive);
    if (err) {
        log_error("storage", "the archive cannot be opened", "dir=" LOG_Q("%s") " why=" LOG_Q("%s"),
                  j->archive_dir, why);
        return err;
    }
    j->past = (struct past){&j->loop, j->ctx.archive};
    return 0;
}

static void on_cold(void *user, const struct job_key *key)
{
    struct serve_ctx *ctx = user;
    if (ctx->settle)
        settle_job(ctx->settle, key);
}

static int open_rooms(struct joblogd *j)
{
    const struct settings *s = &j->settings;
    struct serve_ctx *ctx = &j->ctx;
    char why[512] = "";
    int err = open_archive(j);
    if (err)
        return err;
    struct stream_options so = {.loop = &j->loop,
                                .url = *s->redis ? s->redis : NULL,
                                .data_dir = j->data,
                                .redis_server = s->redis_server,
                                .redis_memory_bytes = s->redis_memory_bytes,
                                .drain_us = s->drain_us,
                                .past = &past_ops,
                                .past_user = &j->past,
                                .node = j->node};
    CHECK(durability_parse(s->durability, &so.durability) == 0);
    err = stream_open(&so, why, sizeof why, &ctx->stream);
    if (err) {
        log_error("stream", "Redis cannot be opened", "why=" LOG_Q("%s"), why);
        return err;
    }
    rebuild_open(&j->loop, ctx->stream, ctx->archive, &ctx->rebuild);
    struct settle_options to = {
        .loop = &j->loop, .stream = ctx->stream, .archive = ctx->archive, .level = (int)s->settle_level};
    if (s->settle_level)
        settle_open(&to, &ctx->settle);
    struct pump_options po = {.loop = &j->loop,
                              .stream = ctx->stream,
                              .archive = ctx->archive,
                              .segment_bytes = (uint64_t)s->segment_bytes,
                              .age_us = s->segment_age_us,
                              .hot_bytes = (uint64_t)s->hot_bytes,
                              .level = (int)s->archive_level,
                              .on_cold = on_cold,
                              .user = ctx};
    pump_open(&po, &ctx->pump);
    struct ingest_options io = {.loop = &j->loop,
                                .stream = ctx->stream,
                                .line_bytes_max = (size_t)s->line_bytes,
                                .body_bytes_max = (uint64_t)s->body_bytes,
                                .memory_bytes_max = (uint64_t)s->ingest_memory_bytes,
                                .redact = j->redact};
    if ((err = ingest_open(&io, &ctx->ingest)))
        return err;
    struct alert_options ao = {.loop = &j->loop,
                               .stream = ctx->stream,
                               .rules_file = s->rules,
                               .node = j->node,
                               .public_url = s->public_url,
                               .allowed = &j->alert_allow,
                               .ca_file = s->alert_ca_file,
                               .retry_us = s->alert_retry_us,
                               .retry_max_us = s->alert_retry_max_us,
                               .past = &alert_past_ops,
                               .past_user = ctx};
    if ((err = alert_open(&ao, why, sizeof why, &ctx->alert))) {
        log_error("alert", "the rules file cannot be used", "why=" LOG_Q("%s"), why);
        return err;
    }
    ctx->resolve_cache = resolve_cache_new();
    serve_ctx_open(ctx);
    retention_open(ctx, s->retention, &ctx->retention);
    ctx->events = event_sessions_new(ctx);
    ctx->manys = manys_new();
    ctx->job_gauges = job_gauges_new(ctx);
    auth_start(ctx->auth);
    return 0;
}

static int open_auth(struct joblogd *j)
{
    char why[PATH_MAX + 256] = "";
    struct auth_options ao = {.ctx = &j->ctx,
                              .data_dir = j->data,
                              .master_file = j->settings.admin_token_file,
                              .is_open = j->settings.open,
                              .origins = j->settings.origin,
                              .loaded = on_tokens_told,
                              .user = j};
    int err = auth_open(&ao, why, sizeof why, &j->ctx.auth);
    if (err)
        log_error("serve", "the tokens cannot be read", "why=" LOG_Q("%s"), why);
    return err;
}

static int listen_at(struct joblogd *j, const char *address, int is_tls)
{
    struct http_server *s = j->ctx.http;
    const char *colon = strrchr(address, ':');
    char why[256];
    int err = is_tls ? http_listen_tls(s, address, why, sizeof why) : http_listen(s, address, why, sizeof why);
    if (err) {
        log_error("http", "cannot listen", "address=%s why=" LOG_Q("%s"), address, why);
        return err;
    }
    if (strncmp(address, "unix:", 5) != 0 && strcmp(colon, ":0") == 0)
        log_info("joblogd", "listening", "address=%.*s:%d tls=%s", (int)(colon - address), address,
                 is_tls ? http_tls_port(s) : http_port(s), is_tls ? "yes" : "no");
    else
        log_info("joblogd", "listening", "address=%s tls=%s", address, is_tls ? "yes" : "no");
    if (!is_tls && !is_loopback(address) && !auth_is_open(j->ctx.auth))
        log_warn("joblogd", "tokens travel in the clear here: put TLS before it, or use --tls-listen", "address=%s",
                 address);
    return 0;
}

static int listen_all(struct joblogd *j)
{
    int err = 0;
    for (char **a = j->settings.listen; a && *a && err == 0; a++)
        err = listen_at(j, *a, 0);
    for (char **a = j->settings.tls_listen; a && *a && err == 0; a++)
        err = listen_at(j, *a, 1);
    return err;
}

static void tell_certificate(struct joblogd *j)
{
    struct http_stats stats;
    http_server_stats(j->ctx.http, &stats);
    int64_t days = (stats.tls_not_after_s - clock_wall_us() / 1000000) / 86400;
    if (days < CERTIFICATE_DAYS_MIN)
        log_warn("http", days < 0 ? "the TLS certificate has expired" : "the TLS certificate expires soon", "days=%lld",
                 (long long)days);
}

static int open_tls(struct joblogd *j)
{
    const struct settings *s = &j->settings;
    struct tls_options o = {.cert_file = s->tls_cert, .key_file = s->tls_key, .client_ca_file = s->tls_client_ca};
    char why[PATH_MAX + 256] = "";
    if (!s->tls_listen || !*s->tls_listen)
        return 0;
    int err = http_tls_open(j->ctx.http, &o, why, sizeof why);
    if (err)
        log_error("http", "TLS cannot be served", "why=" LOG_Q("%s"), why);
    else
        tell_certificate(j);
    return err;
}

static int open_doors(struct joblogd *j)
{
    const struct settings *s = &j->settings;
    struct http_limits limits;
    http_limits_default(&limits);
    limits.connections_max = (uint32_t)s->connections;
    limits.connections_per_ip_max = (uint32_t)s->connections_per_ip;
    limits.header_us = s->header_us;
    limits.body_us = s->body_us;
    limits.keepalive_us = s->keepalive_us;
    limits.write_us = s->write_us;
    limits.body_bytes_max = (uint64_t)s->body_bytes;
    int err = http_server_open(&j->loop, &limits, &router_root, &j->ctx, &j->ctx.http);
    if (err) {
        log_error("http", "the server cannot be opened", "why=" LOG_Q("%s"), err_text(err));
        return err;
    }
    if ((err = open_tls(j)))
        return err;
    return j->awaits_tokens ? 0 : listen_all(j);
}

/* Redis has told the tokens. */
static void on_tokens_told(void *user)
{
    struct joblogd *j = user;
    const char *address = beyond_loopback(&j->settings);
    if (!j->awaits_tokens || j->draining)
        return;
    j->awaits_tokens = 0;
    if (address && auth_is_open(j->ctx.auth)) {
        say_no_tokens(address);
        j->exit_code = 2;
    } else if (listen_all(j) != 0) {
        j->exit_code = 1;
    }
    if (j->exit_code)
        drain(j);
}

/* ---- draining ---- */

static void on_auth_closed(void *user)
{
    struct joblogd *j = user;
    j->draining = DRAIN_DONE;
    uv_stop(&j->loop);
}

static void on_stream_closed(void *user)
{
    struct joblogd *j = user;
    auth_close(&j->ctx.auth, on_auth_closed, j);
}

static void on_alert_closed(void *user)
{
    struct joblogd *j = user;
    auth_stop(j->ctx.auth);
    stream_close(&j->ctx.stream, on_stream_closed, j);
}

static void on_drain_tick(uv_timer_t *timer)
{
    struct joblogd *j = timer->data;
    int late = clock_mono_us() > j->drain_until_us;
    if (j->draining != DRAIN_REQUESTS)
        return;
    if (!late &&
        !(ingest_idle(j->ctx.ingest) && http_server_idle(j->ctx.http) && pump_idle(j->ctx.pump) &&
          settle_idle(j->ctx.settle) && rebuild_idle(j->ctx.rebuild) && retention_idle(j->ctx.retention) &&
          alert_idle(j->ctx.alert)))
        return;
    if (late)
        log_warn("joblogd", "some requests did not end in time", "shutdown_time_s=%lld",
                 (long long)(j->settings.shutdown_us / 1000000));
    j->draining = DRAIN_STREAM;
    http_server_close(&j->ctx.http);
    ingest_close(&j->ctx.ingest);
    pump_close(&j->ctx.pump);
    j->is_settling = settle_close(&j->ctx.settle);
    rebuild_close(&j->ctx.rebuild);
    retention_close(&j->ctx.retention);
    event_sessions_free(&j->ctx.events);
    manys_free(&j->ctx.manys);
    job_gauges_free(&j->ctx.job_gauges);
    serve_ctx_close(&j->ctx);
    alert_close(&j->ctx.alert, on_alert_closed, j);
}

static void drain(struct joblogd *j)
{
    j->draining = DRAIN_REQUESTS;
    j->ctx.draining = 1;
    j->drain_until_us = clock_mono_us() + j->settings.shutdown_us;
    http_server_drain(j->ctx.http);
    if (j->ctx.manys)
        tail_many_drain_all(&j->ctx, 1012);
    tail_drain_all(&j->ctx, 1012);
    if (j->ctx.events)
        events_drain_all(&j->ctx, 1012);
    ingest_drain(j->ctx.ingest);
    pump_stop(j->ctx.pump);
    settle_stop(j->ctx.settle);
    rebuild_stop(j->ctx.rebuild);
    retention_stop(j->ctx.retention);
    if (j->ctx.alert)
        alert_stop(j->ctx.alert);
    uv_timer_start(&j->drain_timer, on_drain_tick, DRAIN_POLL_MS, DRAIN_POLL_MS);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct joblogd *j = handle->data;
    if (j->signals++ > 0) {
        log_warn("joblogd", "ended by a second signal", "signal=%d", signum);
        _exit(1);
    }
    log_info("joblogd", "draining", "signal=%d", signum);
    if (!j->draining)
        drain(j);
}

/* SIGHUP: files that an operator has changed. What cannot be used leaves the old as it was. */
static void on_hangup(uv_signal_t *handle, int signum)
{
    struct joblogd *j = handle->data;
    char why[PATH_MAX + 256] = "";
    if (!j->ctx.auth || j->draining)
        return;
    if (auth_reload(j->ctx.auth, why, sizeof why) != 0)
        log_error("joblogd", "the admin's token was not read again: the old one stays", "why=" LOG_Q("%s"), why);
    else if (j->ctx.http && http_tls_reload(j->ctx.http, why, sizeof why) != 0)
        log_error("http", "the certificate was not read again: the old one stays", "why=" LOG_Q("%s"), why);
    else
        log_info("joblogd", "files were read again", NULL);
    if (j->ctx.http && *j->settings.tls_cert)
        tell_certificate(j);
    if (j->ctx.alert && alert_reload(j->ctx.alert, why, sizeof why) != 0)
        log_error("joblogd", "the rules file has a mistake: the old rules stay", "why=" LOG_Q("%s"), why);
}

static void on_trim(uv_timer_t *timer)
{
    (void)timer;
    heap_trim();
}

static void watch_signals(struct joblogd *j)
{
    signal(SIGPIPE, SIG_IGN);
    uv_signal_init(&j->loop, &j->sigterm);
    uv_signal_init(&j->loop, &j->sigint);
    uv_signal_init(&j->loop, &j->sighup);
    uv_timer_init(&j->loop, &j->drain_timer);
    j->sigterm.data = j->sigint.data = j->sighup.data = j->drain_timer.data = j;
    uv_signal_start(&j->sigterm, on_signal, SIGTERM);
    uv_signal_start(&j->sigint, on_signal, SIGINT);
    uv_signal_start(&j->sighup, on_hangup, SIGHUP);
}

/* ---- words ---- */

static void print_help(void)
{
    printf("joblogd %s -- the log of a training job, live and for ever\n\n"
           "usage: joblogd [--config FILE] [OPTION]...\n\n"
           "Every option is also a variable (--drain-time: JOBLOG_DRAIN_TIME) and a line of the\n"
           "file (drain-time = 10s). Flags beat variables beat the file.\n"
           "Example: joblogd --data /var/lib/joblog --listen 127.0.0.1:8000\n\n",
           JOBLOG_VERSION);
    config_print_help(stdout, settings_table, settings_count);
    printf("\n  --config FILE\n      Read options from FILE, `name = value` lines. [no default]\n"
           "  --help, --version\n");
}

static int make_redact(struct joblogd *j)
{
    const char *file = j->settings.redact_patterns;
    char why[300];

    if (!j->settings.redact && !*file)
        return 0;
    if (redact_new_file(file, &j->redact, why, sizeof why) == 0)
        return 0;
    fprintf(stderr, "joblogd: --redact-patterns %s: %s\n", file, why);
    return ERR_INVALID;
}

/* A core file or a debugger would show lines and tokens in flight; nothing we start needs more rights than we have. */
static void give_up_rights(const struct joblogd *j)
{
    struct rlimit none = {0, 0};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (j->settings.core_dumps)
        return;
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* Is this argv "joblogd --print-man-options": what the man page is made from. */
static int print_man(int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], "--print-man-options") != 0)
        return 0;
    config_print_man(stdout, settings_table, settings_count);
    return 1;
}

int main(int argc, char **argv)
{
    static struct joblogd j;
    char why[512], verb;
    enum log_level level;
    enum log_format format;
    if (print_man(argc, argv))
        return 0;
    if (config_load(settings_table, settings_count, argc, argv, &j.settings, &verb, why,
                    sizeof why) != 0) {
        fprintf(stderr, "joblogd: %s\n", why);
        return 2;
    }
    if (verb == 'h')
        return print_help(), 0;
    if (verb == 'v')
        return printf("joblogd %s\n", JOBLOG_VERSION), 0;
    CHECK(log_level_parse(j.settings.log_level, &level) == 0 &&
          log_format_parse(j.settings.log_format, &format) == 0);
    log_setup(level, format);
    if (check_retention(&j.settings) != 0)
        return 2;
    if (check_origins(&j.settings) != 0 || check_tls(&j.settings) != 0 || check_allowed(&j) != 0)
        return 2;
    if (beyond_loopback(&j.settings) && !may_have_tokens(&j.settings)) {
        say_no_tokens(beyond_loopback(&j.settings));
        return 2;
    }
    if (make_redact(&j) != 0)
        return 2;
    heap_setup();
    raise_fd_limit();
    give_up_rights(&j);
    CHECK(uv_loop_init(&j.loop) == 0);
    j.ctx.loop = &j.loop;
    j.ctx.started_us = clock_wall_us();
    j.ctx.web_dir = j.settings.web;
    if (lock_data(&j) != 0)
        return 1;
    know_oneself(&j);
    watch_signals(&j);
    uv_timer_init(&j.loop, &j.trim_timer);
    uv_timer_start(&j.trim_timer, on_trim, HEAP_TRIM_MS, HEAP_TRIM_MS);
    log_info("joblogd", "starting", "version=%s pid=%d data=" LOG_Q("%s"), JOBLOG_VERSION,
             (int)getpid(), j.data);
    if (open_auth(&j) != 0)
        return 1;
    if (check_addresses(&j) != 0)
        return 2;
    if (open_rooms(&j) != 0 || open_doors(&j) != 0) {
        if (!j.ctx.stream)
            return 1;
        alert_close(&j.ctx.alert, on_alert_closed, &j); /* the embedded Redis must not stay behind */
        uv_run(&j.loop, UV_RUN_DEFAULT);
        return 1;
    }
    uv_run(&j.loop, UV_RUN_DEFAULT);
    CHECK(j.draining == DRAIN_DONE);
    uv_library_shutdown(); /* waits for the workers: a reader that was closed late gives its segment back to the archive */
    if (!j.is_settling)
        archive_close(&j.ctx.archive);
    resolve_cache_free(&j.ctx.resolve_cache);
    redact_free(&j.redact);
    config_release(settings_table, settings_count, &j.settings);
    log_info("joblogd", "stopped", NULL);
    return j.exit_code;
}

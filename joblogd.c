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
 * Exit codes      0 drained; 2 bad options; 1 could not start (the log says why).
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "http/http.h"
#include "http/ws.h"
#include "ingest/ingest.h"
#include "joblogd_settings.h"
#include "serve/ctx.h"
#include "serve/pump.h"
#include "serve/resolve.h"
#include "serve/router.h"
#include "serve/tail.h"
#include "storage/archive.h"
#include "stream/stream.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#define DRAIN_POLL_MS 20
#define TEMP_AGE_US (INT64_C(3600) * 1000000) /* older temp files in the archive are a crash's */

enum drain_step { DRAIN_NOT, DRAIN_REQUESTS, DRAIN_STREAM, DRAIN_DONE };

struct joblogd {
    struct settings settings;
    uv_loop_t loop;
    struct serve_ctx ctx;
    int lock_fd;
    char data[PATH_MAX];
    char archive_dir[PATH_MAX];
    uv_signal_t sigterm, sigint;
    uv_timer_t drain_timer;
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

/* No tokens exist yet (issue 3): beyond loopback only with --open. */
static int check_addresses(const struct settings *s)
{
    for (char **a = s->listen; a && *a; a++) {
        if (s->open || is_loopback(*a))
            continue;
        fprintf(stderr,
                "joblogd: --listen %s: no tokens are configured, so only loopback addresses are "
                "served; "
                "--open serves everybody who can reach the port\n",
                *a);
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

static int open_rooms(struct joblogd *j)
{
    const struct settings *s = &j->settings;
    struct serve_ctx *ctx = &j->ctx;
    char why[512] = "";
    struct stream_options so = {.loop = &j->loop,
                                .url = *s->redis ? s->redis : NULL,
                                .data_dir = j->data,
                                .redis_server = s->redis_server,
                                .redis_memory_bytes = s->redis_memory_bytes,
                                .drain_us = s->drain_us};
    CHECK(durability_parse(s->durability, &so.durability) == 0);
    int err = stream_open(&so, why, sizeof why, &ctx->stream);
    if (err) {
        log_error("stream", "Redis cannot be opened", "why=" LOG_Q("%s"), why);
        return err;
    }
    if (*s->archive)
        snprintf(j->archive_dir, sizeof j->archive_dir, "%s", s->archive);
    else
        snprintf(j->archive_dir, sizeof j->archive_dir, "%.*s/archive",
                 (int)sizeof j->archive_dir - 16, j->data);
    if ((err = archive_open(j->archive_dir, why, sizeof why, &ctx->archive))) {
        log_error("storage", "the archive cannot be opened", "dir=" LOG_Q("%s") " why=" LOG_Q("%s"),
                  j->archive_dir, why);
        return err;
    }
    archive_sweep(ctx->archive, TEMP_AGE_US);
    struct pump_options po = {.loop = &j->loop,
                              .stream = ctx->stream,
                              .archive = ctx->archive,
                              .segment_bytes = (uint64_t)s->segment_bytes,
                              .age_us = s->segment_age_us,
                              .hot_bytes = (uint64_t)s->hot_bytes,
                              .level = (int)s->archive_level};
    pump_open(&po, &ctx->pump);
    struct ingest_options io = {.loop = &j->loop,
                                .stream = ctx->stream,
                                .line_bytes_max = (size_t)s->line_bytes,
                                .body_bytes_max = (uint64_t)s->body_bytes,
                                .memory_bytes_max = (uint64_t)s->ingest_memory_bytes};
    if ((err = ingest_open(&io, &ctx->ingest)))
        return err;
    ctx->resolve_cache = resolve_cache_new();
    serve_ctx_open(ctx);
    return 0;
}

static int open_doors(struct joblogd *j)
{
    const struct settings *s = &j->settings;
    struct http_limits limits;
    char why[256];
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
    for (char **a = s->listen; a && *a; a++) {
        if ((err = http_listen(j->ctx.http, *a, why, sizeof why))) {
            log_error("http", "cannot listen", "address=%s why=" LOG_Q("%s"), *a, why);
            return err;
        }
        const char *colon = strrchr(*a, ':');
        if (strncmp(*a, "unix:", 5) != 0 && strcmp(colon, ":0") == 0)
            log_info("joblogd", "listening", "address=%.*s:%d", (int)(colon - *a), *a,
                     http_port(j->ctx.http));
        else
            log_info("joblogd", "listening", "address=%s", *a);
    }
    return 0;
}

/* ---- draining ---- */

static void on_stream_closed(void *user)
{
    struct joblogd *j = user;
    j->draining = DRAIN_DONE;
    uv_stop(&j->loop);
}

static void on_drain_tick(uv_timer_t *timer)
{
    struct joblogd *j = timer->data;
    int late = clock_mono_us() > j->drain_until_us;
    if (j->draining != DRAIN_REQUESTS)
        return;
    if (!late &&
        !(ingest_idle(j->ctx.ingest) && http_server_idle(j->ctx.http) && pump_idle(j->ctx.pump)))
        return;
    if (late)
        log_warn("joblogd", "some requests did not end in time", "shutdown_time_s=%lld",
                 (long long)(j->settings.shutdown_us / 1000000));
    j->draining = DRAIN_STREAM;
    http_server_close(&j->ctx.http);
    ingest_close(&j->ctx.ingest);
    pump_close(&j->ctx.pump);
    serve_ctx_close(&j->ctx);
    stream_close(&j->ctx.stream, on_stream_closed, j);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct joblogd *j = handle->data;
    if (j->signals++ > 0) {
        log_warn("joblogd", "ended by a second signal", "signal=%d", signum);
        _exit(1);
    }
    log_info("joblogd", "draining", "signal=%d", signum);
    j->draining = DRAIN_REQUESTS;
    j->ctx.draining = 1;
    j->drain_until_us = clock_mono_us() + j->settings.shutdown_us;
    http_server_drain(j->ctx.http);
    tail_drain_all(&j->ctx, 1012);
    ingest_drain(j->ctx.ingest);
    pump_stop(j->ctx.pump);
    uv_timer_start(&j->drain_timer, on_drain_tick, DRAIN_POLL_MS, DRAIN_POLL_MS);
}

static void watch_signals(struct joblogd *j)
{
    signal(SIGPIPE, SIG_IGN);
    uv_signal_init(&j->loop, &j->sigterm);
    uv_signal_init(&j->loop, &j->sigint);
    uv_timer_init(&j->loop, &j->drain_timer);
    j->sigterm.data = j->sigint.data = j->drain_timer.data = j;
    uv_signal_start(&j->sigterm, on_signal, SIGTERM);
    uv_signal_start(&j->sigint, on_signal, SIGINT);
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
    if (check_addresses(&j.settings) != 0)
        return 2;
    raise_fd_limit();
    CHECK(uv_loop_init(&j.loop) == 0);
    j.ctx.loop = &j.loop;
    j.ctx.started_us = clock_wall_us();
    if (lock_data(&j) != 0)
        return 1;
    watch_signals(&j);
    log_info("joblogd", "starting", "version=%s pid=%d data=" LOG_Q("%s"), JOBLOG_VERSION,
             (int)getpid(), j.data);
    if (open_rooms(&j) != 0 || open_doors(&j) != 0) {
        if (!j.ctx.stream)
            return 1;
        stream_close(&j.ctx.stream, on_stream_closed,
                     &j); /* the embedded Redis must not stay behind */
        uv_run(&j.loop, UV_RUN_DEFAULT);
        return 1;
    }
    uv_run(&j.loop, UV_RUN_DEFAULT);
    CHECK(j.draining == DRAIN_DONE);
    archive_close(&j.ctx.archive);
    resolve_cache_free(&j.ctx.resolve_cache);
    config_release(settings_table, settings_count, &j.settings);
    log_info("joblogd", "stopped", NULL);
    return 0;
}

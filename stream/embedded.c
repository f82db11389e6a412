/*
 * stream/embedded.c -- the life of our own redis-server: start, watch, start again, stop.
 *
 * Directory, configuration and what a killed joblogd left behind: embedded_setup.c.
 */
#include "stream/embedded.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "stream/embedded_int.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESTART_FIRST_MS 50
#define RESTART_MAX_MS 2000
#define LIVED_LONG_US 10000000 /* then the pause starts small again */
#define STOP_US_MAX 5000000
#define WATCH_MS 50
#define HOPELESS_STARTS 4 /* that came to nothing, one after the other: told in words for the operator, and then no more */

static void start_server(struct embedded *e);

/* ---- what it says ---- */

static int line_is_bad(const char *line)
{
    static const char *const words[] = {"rror", "ailed", "BUG", "annot", "Can't", "crashed", "MISCONF", "orrupt",
                                        "Bad ", "Fatal", "Unknown command", "Unexpected end"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(line, words[i]))
            return 1;
    return 0;
}

static int is_hopeless(const struct embedded *e)
{
    return e->failed_starts >= HOPELESS_STARTS;
}

/* "812:M 23 Nov 2026 20:54:01.123 * Ready to accept connections" */
static void log_line(struct embedded *e, const char *line)
{
    const char *text = line;

    if (!*line)
        return;
    for (const char *mark = line; (mark = strchr(mark, ' ')) != NULL; mark++) {
        if (strchr("*#.-", mark[1]) && mark[2] == ' ') {
            text = mark + 3;
            break;
        }
    }
    if (line_is_bad(text)) {
        if (!strstr(e->words, "BUG REPORT")) /* the lines of a report are no last words: its title is */
            snprintf(e->words, sizeof e->words, "%s", text);
        if (!is_hopeless(e))
            log_warn("stream", "redis-server", "pid=%d says=" LOG_Q("%s"), e->pid, text);
    } else
        log_debug("stream", "redis-server", "pid=%d says=" LOG_Q("%s"), e->pid, text);
    if (strstr(text, "accept connections")) {
        if (is_hopeless(e))
            log_info("stream", "redis-server starts again", "pid=%d", e->pid);
        e->failed_starts = 0;
        e->is_accepting = 1;
        e->words[0] = '\0';
        e->on_up(e->user);
    }
}

static void on_output_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct embedded *e = handle->data;

    if (e->line_len >= sizeof e->line - 1)
        e->line_len = 0; /* a line longer than that is told in pieces */
    *buf = uv_buf_init(e->line + e->line_len, (unsigned)(sizeof e->line - 1 - e->line_len));
}

static void on_output_closed(uv_handle_t *handle)
{
    struct embedded *e = handle->data;

    e->output_open = 0;
    embedded__part_gone(e);
}

static void on_output(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct embedded *e = stream->data;
    char *start = e->line, *end;

    if (nread < 0) {
        uv_close((uv_handle_t *)stream, on_output_closed);
        return;
    }
    e->line_len += (size_t)nread;
    e->line[e->line_len] = '\0';
    while ((end = memchr(start, '\n', e->line_len - (size_t)(start - e->line))) != NULL) {
        *end = '\0';
        log_line(e, start);
        start = end + 1;
    }
    e->line_len -= (size_t)(start - e->line);
    memmove(e->line, start, e->line_len);
    if (e->line_len == sizeof e->line - 1) {
        log_line(e, e->line);
        e->line_len = 0;
    }
}

/* ---- the note of an orderly stop ---- */

static void note_path(const struct embedded *e, char out[PATH_MAX + 16])
{
    snprintf(out, PATH_MAX + 16, "%s/stopped", e->dir);
}

void embedded_take_note(const struct embedded *e, char *out, size_t out_size)
{
    char path[PATH_MAX + 16], *text = NULL;

    note_path(e, path);
    out[0] = '\0';
    if (io_read_file(path, sizeof e->note, &text, NULL) == 0)
        snprintf(out, out_size, "%s", text);
    free(text);
    unlink(path);
}

void embedded_leave_note(struct embedded *e, const char *note)
{
    snprintf(e->note, sizeof e->note, "%s", note);
}

static void write_note(const struct embedded *e)
{
    char path[PATH_MAX + 16];

    note_path(e, path);
    if (e->note[0] && io_replace_file(path, e->note, strlen(e->note)) < 0)
        log_warn("stream", "it cannot be noted that redis-server was stopped in order", "path=" LOG_Q("%s"), path);
}

/* ---- start and end ---- */

static void on_restart(uv_timer_t *timer)
{
    start_server(timer->data);
}

/* What Redis does not repair by itself we do not either: to cut a file of acknowledged lines is the operator's decision. */
static void tell_hopeless(const struct embedded *e)
{
    char advice[2 * PATH_MAX + 128] = "see why, mend it; nothing here need be restarted then";

    if (strstr(e->words, "append only file"))
        snprintf(advice, sizeof advice,
                 "stop joblogd, copy %s, then: redis-check-aof --fix %s/" EMBEDDED_AOF_DIR "/appendonly.aof.manifest",
                 e->dir, e->dir);
    log_error("stream", "redis-server does not start: no line is taken or followed until it does",
              "says=" LOG_Q("%s") " do=" LOG_Q("%s"), e->words, advice);
}

static void plan_restart(struct embedded *e)
{
    uint64_t pause;

    if (clock_mono_us() - e->started_us > LIVED_LONG_US)
        e->deaths = 0;
    pause = (uint64_t)RESTART_FIRST_MS << (e->deaths < 6 ? e->deaths : 6);
    e->deaths++;
    e->restarts++;
    if (!e->is_accepting && ++e->failed_starts == HOPELESS_STARTS)
        tell_hopeless(e);
    uv_timer_start(&e->timer, on_restart, pause < RESTART_MAX_MS ? pause : RESTART_MAX_MS, 0);
}

static void on_process_closed(uv_handle_t *handle)
{
    struct embedded *e = handle->data;

    e->process_open = 0;
    embedded__part_gone(e);
}

static void on_exit_process(uv_process_t *process, int64_t status, int term_signal)
{
    struct embedded *e = process->data;

    if (e->closing) {
        log_info("stream", "redis-server stopped", "pid=%d status=%d signal=%d", e->pid, (int)status, term_signal);
        if (status == 0 && term_signal == 0)
            write_note(e);
    } else if (!is_hopeless(e)) {
        log_error("stream", "redis-server died: starting it again", "pid=%d status=%d signal=%d says=" LOG_Q("%s"), e->pid,
                  (int)status, term_signal, e->words);
    }
    e->pid = 0;
    uv_close((uv_handle_t *)process, on_process_closed);
}

/* Process or output are closed: what next? */
void embedded__part_gone(struct embedded *e)
{
    if (e->process_open || e->output_open || e->pid)
        return;
    if (e->closing)
        embedded__finish_close(e);
    else
        plan_restart(e);
}

static int spawn(struct embedded *e, int output_fd)
{
    char *args[] = {e->binary, e->conf_path, NULL};
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE},
                                     {.flags = UV_INHERIT_FD, .data.fd = output_fd},
                                     {.flags = UV_INHERIT_FD, .data.fd = output_fd}};
    /* In a session of its own: Ctrl-C at the terminal is for us; we stop it when our work is done. */
    uv_process_options_t o = {.exit_cb = on_exit_process,
                              .file = e->binary,
                              .args = args,
                              .cwd = e->dir,
                              .flags = UV_PROCESS_DETACHED,
                              .stdio_count = 3,
                              .stdio = stdio};

    e->process.data = e;
    return uv_spawn(e->loop, &e->process, &o);
}

static void start_server(struct embedded *e)
{
    int fds[2], err;

    if (e->closing)
        return;
    CHECK(!e->process_open && !e->output_open && !e->pid);
    e->started_us = clock_mono_us();
    e->adopted = e->is_accepting = 0;
    if (pipe2(fds, O_CLOEXEC) < 0) {
        log_error("stream", "no pipe for redis-server's output", "errno=%s", strerror(errno));
        plan_restart(e);
        return;
    }
    err = spawn(e, fds[1]);
    close(fds[1]);
    e->process_open = 1; /* uv_spawn has initialised the handle even when it failed */
    if (err < 0) {
        log_error("stream", "redis-server cannot be started", "binary=%s why=%s", e->binary, uv_strerror(err));
        close(fds[0]);
        uv_close((uv_handle_t *)&e->process, on_process_closed);
        return;
    }
    e->pid = e->process.pid;
    e->line_len = 0;
    uv_pipe_init(e->loop, &e->output, 0);
    e->output.data = e;
    e->output_open = 1;
    CHECK(uv_pipe_open(&e->output, fds[0]) == 0);
    uv_read_start((uv_stream_t *)&e->output, on_output_alloc, on_output);
    if (!is_hopeless(e))
        log_info("stream", "redis-server started", "pid=%d socket=%s", e->pid, e->socket_path);
    e->on_up(e->user);
}

static void on_first_start(uv_timer_t *timer)
{
    struct embedded *e = timer->data;

    if (e->adopted)
        e->on_up(e->user);
    else
        start_server(e);
}

int embedded_open(const struct embedded_options *opts, char *why, size_t why_size, struct embedded **ret_embedded)
{
    struct embedded *e = must_calloc(1, sizeof *e);
    int err;

    e->lock_fd = -1;
    e->loop = opts->loop;
    e->on_up = opts->on_up;
    e->user = opts->user;
    err = embedded__setup(e, opts, why, why_size);
    if (err < 0) {
        if (e->lock_fd >= 0)
            close(e->lock_fd);
        free(e);
        return err;
    }
    uv_timer_init(e->loop, &e->timer);
    e->timer.data = e;
    uv_timer_start(&e->timer, on_first_start, 0, 0);
    *ret_embedded = e;
    return 0;
}

const char *embedded_url(const struct embedded *e)
{
    return e->url;
}

const char *embedded_dir(const struct embedded *e)
{
    return e->dir;
}

int embedded_pid(const struct embedded *e)
{
    return e->pid;
}

int embedded_fails(const struct embedded *e, char *why, size_t why_size)
{
    if (!is_hopeless(e))
        return 0;
    snprintf(why, why_size, "redis-server does not start%s%s", e->words[0] ? ": " : "", e->words);
    return 1;
}

uint64_t embedded_restarts(const struct embedded *e)
{
    return e->restarts;
}

void embedded_check(struct embedded *e)
{
    if (!e->adopted || !e->pid || e->closing || embedded__is_ours(e, e->pid))
        return;
    log_error("stream", "the adopted redis-server died: starting it again", "pid=%d", e->pid);
    e->pid = 0;
    e->adopted = 0;
    plan_restart(e);
}

/* ---- stop ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct embedded *e = handle->data;
    void (*done)(void *user) = e->closed;
    void *user = e->closed_user;

    close(e->lock_fd);
    free(e);
    if (done)
        done(user);
}

void embedded__finish_close(struct embedded *e)
{
    if (!uv_is_closing((uv_handle_t *)&e->timer))
        uv_close((uv_handle_t *)&e->timer, on_timer_closed);
}

static void on_stop_watch(uv_timer_t *timer)
{
    struct embedded *e = timer->data;

    if (e->adopted && e->pid && !embedded__is_ours(e, e->pid)) {
        log_info("stream", "adopted redis-server stopped", "pid=%d", e->pid);
        if (!e->was_killed)
            write_note(e);
        e->pid = 0;
        embedded__part_gone(e);
    } else if (e->pid && clock_mono_us() - e->stop_us > STOP_US_MAX) {
        log_warn("stream", "redis-server does not stop: killing it", "pid=%d", e->pid);
        kill(e->pid, SIGKILL);
        e->was_killed = 1;
        e->stop_us = clock_mono_us();
    }
}

void embedded_close(struct embedded **embedded, void (*done)(void *user), void *user)
{
    struct embedded *e = *embedded;

    *embedded = NULL;
    e->closing = 1;
    e->closed = done;
    e->closed_user = user;
    e->stop_us = clock_mono_us();
    uv_timer_stop(&e->timer);
    if (e->pid) {
        kill(e->pid, SIGTERM);
        uv_timer_start(&e->timer, on_stop_watch, WATCH_MS, WATCH_MS);
    } else {
        embedded__part_gone(e);
    }
}

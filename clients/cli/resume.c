/*
 * clients/cli/resume.c -- connect, read, and again after a pause; signals are heard throughout.
 */
#include "clients/cli/resume.h"

#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/cli.h"

#include <poll.h>
#include <stdio.h>

#define SILENCE_US 45000000 /* the server says something every 15 s */

void resume_init(struct resume *s)
{
    sse_init(&s->sse);
    backoff_reset(&s->backoff);
}

void resume_release(struct resume *s)
{
    sse_release(&s->sse);
    buf_release(&s->out);
}

void resume_alive(struct resume *s)
{
    s->is_connected = 1;
    backoff_reset(&s->backoff);
}

static int on_event(void *user, const struct sse_event *e)
{
    struct resume *s = user;
    int err = s->on_event(s->user, e);

    if (e->id[0])
        snprintf(s->cursor, sizeof s->cursor, "%s", e->id);
    return err;
}

static int on_data(void *user, const char *data, size_t len)
{
    struct resume *s = user;
    int err = sse_feed(&s->sse, data, len, on_event, s);

    s->write_err = s->out.len ? cli_print_colored(s->out.data, s->out.len) : 0;
    buf_clear(&s->out);
    return s->write_err < 0 ? s->write_err : err;
}

/* One connection. -1: it broke, try again; else the exit code. */
static int connect_once(struct resume *s)
{
    struct http_stream o = {.accept = "text/event-stream",
                            .last_event_id = s->has_header ? s->cursor : NULL,
                            .silence_us = SILENCE_US,
                            .wake_fd = cli_wake_fd(),
                            .on_data = on_data,
                            .user = s};
    struct http_reply r = {0};
    struct buf path = BUF_INIT;
    int err, code = CLI_EXIT_USAGE;

    if (s->make_path(s->user, &path) < 0)
        goto out;
    sse_release(&s->sse);
    sse_init(&s->sse);
    err = http_stream(s->server, buf_cstr(&path), &o, &r);
    if (s->write_err == ERR_CLOSED)
        cli_die_of_pipe();
    if (err == ERR_CANCELLED || cli_interrupted())
        code = CLI_EXIT_INTERRUPTED;
    else if (r.status && r.status != 200 && r.status != 503)
        code = cli_complain(s->server, NULL, err, &r);
    else if ((code = s->over(s->user, err, &r)) < 0 && !s->is_connected)
        code = cli_complain(s->server, NULL, err, &r);
out:
    http_reply_release(&r);
    buf_release(&path);
    return code;
}

int resume_run(struct resume *s)
{
    int code;

    while ((code = connect_once(s)) < 0) {
        struct pollfd wake = {.fd = cli_wake_fd(), .events = POLLIN};
        poll(&wake, 1, (int)(backoff_next(&s->backoff, (uint32_t)clock_mono_us()) / 1000));
        if (cli_interrupted())
            return CLI_EXIT_INTERRUPTED;
    }
    return code;
}

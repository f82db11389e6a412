/*
 * clients/cli/feed.c -- reading files that may grow, be renamed and be cut.
 */
#include "clients/cli/feed.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json_tree.h"
#include "clients/cli/cli.h"
#include "clients/cli/plan.h"
#include "clients/cli/splitter.h"
#include "job/record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define READ_BYTES (256UL * 1024)
#define FILE_HINT                                                                                  \
    "the lines are still in the file: the same command goes on where the server stopped"

struct feed {
    struct feed_options o;
    char *path; /* NULL: stdin */
    int fd;
    struct stat st; /* of fd, when it was opened */
    uint64_t offset;
    int cut; /* it was cut: its birth says nothing */
    struct deliver *deliver;
    struct splitter splitter;
    char *block;
};

static int on_line(void *user, const struct splitter_line *l)
{
    struct feed *f = user;
    struct json_tree *root = NULL;
    int is_record = 0;

    if (f->o.is_json && !l->fields && l->len && l->text[0] == '{') {
        is_record = json_tree_parse_own(l->text, l->len, &root) == 0 && json_tree_is_obj(root);
        json_tree_free(&root);
    }
    if (is_record)
        agent_record(deliver_agent(f->deliver), l->text, l->len);
    else
        agent_line(deliver_agent(f->deliver), f->o.stream, l->text, l->len, l->fields,
                   l->fields_len);
    return 0;
}

/* Milliseconds since 1970 at which the file was made; 1 when the file system does not say. */
static uint64_t birth_ms(int fd)
{
    struct statx sx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &sx) < 0 || !(sx.stx_mask & STATX_BTIME) ||
        sx.stx_btime.tv_sec <= 0)
        return 1;
    return (uint64_t)sx.stx_btime.tv_sec * 1000 + sx.stx_btime.tv_nsec / 1000000;
}

static void name_producer(struct feed *f, struct agent_options *a)
{
    char real[PATH_MAX], text[512];
    const char *base, *path = f->path && realpath(f->path, real) ? real : f->path;

    if (f->o.producer) {
        snprintf(a->producer, sizeof a->producer, "%s", f->o.producer);
        return;
    }
    if (!path) {
        snprintf(text, sizeof text, "%.60s-%ld", f->o.host, (long)getpid());
    } else {
        base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        snprintf(text, sizeof text, "%.48s-%.56s-%08lx", f->o.host, base,
                 crc32(0, (const unsigned char *)path, (unsigned)strlen(path)));
    }
    plan_id(a->producer, text);
}

static int open_deliver(struct feed *f)
{
    struct deliver_options d = {
        .server = f->o.server, .create_json = f->o.create_json, .interrupted = f->o.interrupted};
    int err;

    snprintf(d.meta.url, sizeof d.meta.url, "%s", f->o.server.url);
    snprintf(d.meta.project, sizeof d.meta.project, "%s",
             f->o.server.project ? f->o.server.project : "");
    snprintf(d.meta.job, sizeof d.meta.job, "%s", f->o.job);
    d.meta.agent.rank = f->o.rank;
    plan_id(d.meta.agent.replica, f->o.host);
    name_producer(f, &d.meta.agent);
    if (f->path) {
        d.meta.agent.epoch = f->cut ? (uint64_t)(clock_wall_us() / 1000) : birth_ms(f->fd);
        d.in_memory = 1;
        d.spool_bytes = FEED_MEMORY_BYTES;
        d.rest_hint = FILE_HINT;
    } else {
        d.meta.agent.epoch = (uint64_t)(clock_wall_us() / 1000);
        d.spool_base = f->o.spool;
        d.spool_bytes = f->o.spool_bytes;
    }
    f->o.spool_bytes = d.spool_bytes;
    err = deliver_open(&d, &f->deliver);
    if (err >= 0)
        err = deliver_start(f->deliver);
    if (err < 0)
        cli_say("cannot keep lines: %s", err_text(err));
    return err;
}

static int open_file(struct feed *f)
{
    if (!f->path) {
        f->fd = STDIN_FILENO;
        return 0;
    }
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &f->st) < 0) {
        int err = io_err(errno);

        cli_say("cannot read %s: %s", f->path, strerror(errno));
        return err;
    }
    if (!S_ISREG(f->st.st_mode)) {
        cli_say("%s is no file", f->path);
        return ERR_INVALID;
    }
    f->offset = 0;
    return 0;
}

static void begin_lines(struct feed *f)
{
    splitter_init(&f->splitter);
    splitter_redact(&f->splitter, f->o.redaction->rules, f->o.is_json, &f->o.redaction->counts);
}

static void free_feed(struct feed **fp)
{
    struct feed *f = *fp;

    deliver_close(&f->deliver);
    splitter_release(&f->splitter);
    if (f->path && f->fd >= 0)
        close(f->fd);
    free(f->block);
    free(f->path);
    free(f);
    *fp = NULL;
}

int feed_open(const struct feed_options *o, const char *path, struct feed **ret_feed)
{
    struct feed *f = must_calloc(1, sizeof *f);
    int err;

    f->o = *o;
    f->fd = -1;
    f->path = path ? must_strdup(path) : NULL;
    f->block = must_malloc(READ_BYTES);
    begin_lines(f);
    err = open_file(f);
    if (err >= 0)
        err = open_deliver(f);
    if (err < 0)
        free_feed(&f);
    else
        *ret_feed = f;
    return err;
}

/* The old file is read to its end: deliver it, then begin the new one. */
static int begin_anew(struct feed *f, int cut)
{
    const struct agent_end keep = {0};
    int err;

    splitter_flush(&f->splitter, on_line, f);
    agent_flush(deliver_agent(f->deliver));
    err = deliver_finish(f->deliver, &keep, -1);
    if (err < 0)
        return err;
    deliver_close(&f->deliver);
    splitter_release(&f->splitter);
    begin_lines(f);
    close(f->fd);
    f->fd = -1;
    f->cut = cut;
    err = open_file(f);
    return err < 0 ? err : open_deliver(f);
}

/* At the end of a followed file: has another taken its name? */
static int look_again(struct feed *f)
{
    struct stat now;

    if (stat(f->path, &now) < 0)
        return 0; /* between rename and create */
    if (now.st_ino != f->st.st_ino || now.st_dev != f->st.st_dev)
        return begin_anew(f, 0) < 0 ? ERR_CLOSED : 1;
    if ((uint64_t)now.st_size < f->offset)
        return begin_anew(f, 1) < 0 ? ERR_CLOSED : 1;
    return 0;
}

/* The server must catch up before more is read: nothing is ever dropped here. */
static int must_wait(const struct feed *f)
{
    struct agent_status s;

    agent_get_status(deliver_agent(f->deliver), &s);
    return s.held_bytes > (uint64_t)f->o.spool_bytes / 2 && s.phase != AGENT_REFUSED;
}

static int is_refused(const struct feed *f)
{
    struct agent_status s;

    agent_get_status(deliver_agent(f->deliver), &s);
    return s.phase == AGENT_REFUSED;
}

int feed_step(struct feed *f)
{
    ssize_t n;

    deliver_notice(f->deliver);
    if (is_refused(f))
        return ERR_CLOSED;
    if (must_wait(f))
        return 0;
    if (!f->path) {
        struct pollfd p = {.fd = f->fd, .events = POLLIN};

        if (poll(&p, 1, 0) <= 0)
            return 0;
    }
    n = read(f->fd, f->block, READ_BYTES);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n < 0) {
        cli_say("cannot read %s: %s", f->path ? f->path : "stdin", strerror(errno));
        return ERR_IO;
    }
    if (n == 0)
        return f->path && f->o.follow ? look_again(f) : ERR_CLOSED;
    f->offset += (uint64_t)n;
    splitter_feed(&f->splitter, f->block, (size_t)n, on_line, f);
    agent_flush(deliver_agent(f->deliver));
    return 1;
}

int feed_fd(const struct feed *f)
{
    return f->path || must_wait(f) ? -1 : f->fd;
}

int feed_finish(struct feed **fp, const struct agent_end *end, int64_t flush_us)
{
    struct feed *f = *fp;
    struct agent_status s;
    int err;

    if (end->fin)
        splitter_flush(&f->splitter, on_line, f); /* else the open line may still grow */
    agent_flush(deliver_agent(f->deliver));
    err = deliver_finish(f->deliver, end, flush_us);
    agent_get_status(deliver_agent(f->deliver), &s);
    if (err >= 0 && s.accepted > s.last) {
        cli_say("%s has %llu lines, but the server holds %llu of it: it was rewritten. Name "
                "another --producer to ship it anew.",
                f->path ? f->path : "stdin", (unsigned long long)s.last,
                (unsigned long long)s.accepted);
        err = ERR_ORDER;
    }
    free_feed(fp);
    return err;
}

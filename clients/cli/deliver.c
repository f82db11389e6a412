/*
 * clients/cli/deliver.c -- spool, agent and connection put together, and the words about them.
 */
#include "clients/cli/deliver.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "clients/cli/backoff.h"
#include "clients/cli/cli.h"
#include "job/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define AWAY_NOTICE_US 10000000 /* a shorter absence is not worth a word */
#define DROP_NOTICE_US 10000000 /* drops are told at most so often */
#define PREPARE_CALL_US 10000000
#define COMPLETE_CALL_US 5000000
#define COMPLETE_US 15000000 /* the last rank tries so long to say COMPLETED */
#define SLICE_US 200000
#define REFUSED_GRACE_US 3000000 /* a server that refuses us is not waited for longer */

struct deliver {
    struct deliver_options o;
    struct agent *agent;
    struct agent_link *link;
    char *dir; /* NULL: in memory */
    char *create_json;
    int lock_fd;
    int away_told, is_delivered;
    uint64_t dropped_told;
    int64_t drop_told_us;
};

static int open_spool(struct deliver *d, struct spool **ret)
{
    struct buf dir = BUF_INIT, base = BUF_INIT;
    int err;

    if (d->o.in_memory)
        return spool_open(NULL, (uint64_t)d->o.spool_bytes, ret);
    if (d->o.spool_dir) {
        buf_adds(&dir, d->o.spool_dir);
    } else {
        if (d->o.spool_base)
            buf_adds(&base, d->o.spool_base);
        else
            spool_base(&base);
        spool_place(&dir, buf_cstr(&base), &d->o.meta);
    }
    err = spool_open(buf_cstr(&dir), (uint64_t)d->o.spool_bytes, ret);
    if (err >= 0) {
        d->lock_fd = spool_lock(buf_cstr(&dir));
        if (d->lock_fd < 0)
            err = d->lock_fd;
    }
    if (err >= 0 && !d->o.spool_dir)
        err = spool_meta_write(buf_cstr(&dir), &d->o.meta);
    if (err >= 0) {
        d->dir = must_strdup(buf_cstr(&dir));
    } else {
        spool_close(ret);
        if (!d->o.spool_dir) {
            cli_say("no spool in %s (%s): lines wait in memory while the server is away",
                    buf_cstr(&dir), err_text(err));
            err = spool_open(NULL, (uint64_t)d->o.spool_bytes, ret);
        }
    }
    buf_release(&dir);
    buf_release(&base);
    return err;
}

/* Make the job. The server's refusals are told apart from its absence. */
static int prepare(void *user, char *why, size_t why_size)
{
    struct deliver *d = user;
    struct http_reply r = {0};
    struct json_tree *root = NULL;
    const char *message = NULL;
    struct buf path = BUF_INIT;
    int err;

    buf_adds(&path, "/v1/jobs");
    err = http_call(&d->o.server, "POST", buf_cstr(&path), d->create_json, PREPARE_CALL_US, &r);
    if (err < 0) {
        snprintf(why, why_size, "%s", r.error[0] ? r.error : err_text(err));
        err = ERR_UNAVAILABLE;
    } else if (r.status == 200 || r.status == 201) {
        err = 0;
    } else {
        if (json_tree_parse_own(buf_cstr(&r.body), r.body.len, &root) == 0)
            json_tree_get_str(root, "message", &message);
        snprintf(why, why_size, "%ld %.200s%s", r.status, message ? message : "",
                 r.status == 401 ? " (set JOBLOG_TOKEN)" : "");
        err = r.status >= 500 || r.status == 429 ? ERR_UNAVAILABLE : ERR_INVALID;
    }
    json_tree_free(&root);
    buf_release(&path);
    http_reply_release(&r);
    return err;
}

int deliver_open(const struct deliver_options *o, struct deliver **ret_deliver)
{
    struct deliver *d = must_calloc(1, sizeof *d);
    struct spool *spool = NULL;
    int err;

    d->o = *o;
    d->create_json = o->create_json ? must_strdup(o->create_json) : NULL; /* a thread that hangs may outlive the caller */
    d->lock_fd = -1;
    err = open_spool(d, &spool);
    if (err < 0) {
        deliver_close(&d);
        return err;
    }
    d->agent = agent_new(&d->o.meta.agent, &spool);
    *ret_deliver = d;
    return 0;
}

int deliver_start(struct deliver *d)
{
    struct agent_link_options lo = {
        .agent = d->agent, .server = &d->o.server, .job = d->o.meta.job, .prepare_user = d};

    if (d->create_json)
        lo.prepare = prepare;
    return agent_link_start(&lo, &d->link);
}

struct agent *deliver_agent(struct deliver *d)
{
    return d->agent;
}

/* ---- words ---- */

static void tell_drops(struct deliver *d, const struct agent_status *s, int at_end)
{
    char number[32];
    int64_t now = clock_mono_us();

    if (s->skipped == d->dropped_told || (!at_end && now < d->drop_told_us + DROP_NOTICE_US))
        return;
    d->dropped_told = s->skipped;
    d->drop_told_us = now;
    cli_say("the spool was full: %s lines were dropped, and the log says so",
            cli_thousands(s->skipped, number));
}

void deliver_notice(struct deliver *d)
{
    struct agent_status s;
    int64_t now = clock_mono_us();

    agent_get_status(d->agent, &s);
    if (!d->away_told && s.phase != AGENT_OPEN && s.away_us && now - s.away_us > AWAY_NOTICE_US) {
        d->away_told = 1;
        if (!d->o.is_quiet)
            cli_say("%s is away (%s); the command goes on, its lines are kept in %s",
                    d->o.server.url, s.why[0] ? s.why : "?", d->dir ? d->dir : "memory");
    }
    if (d->away_told && s.phase == AGENT_OPEN) {
        d->away_told = 0;
        if (!d->o.is_quiet)
            cli_say("%s is back", d->o.server.url);
    }
    tell_drops(d, &s, 0);
}

static void show_countdown(const struct deliver *d, const struct agent_status *s, int64_t left_us)
{
    char number[32];

    if (!isatty(STDERR_FILENO) || d->o.is_quiet)
        return;
    fprintf(stderr, "\r\x1b[Kjoblog: %s lines wait for %s", cli_thousands(s->undelivered, number),
            d->o.server.url);
    if (left_us >= 0)
        fprintf(stderr, ", %lld s left (Ctrl-C: not now)", (long long)(left_us / 1000000));
    fflush(stderr);
}

static void clear_countdown(const struct deliver *d)
{
    if (!isatty(STDERR_FILENO) || d->o.is_quiet)
        return;
    fputs("\r\x1b[K", stderr);
    fflush(stderr);
}

static void tell_rest(const struct deliver *d, const struct agent_status *s)
{
    char number[32];

    if (s->undelivered)
        cli_say("%s lines of %s are not delivered: %s", cli_thousands(s->undelivered, number),
                d->o.meta.job, s->why[0] ? s->why : "no answer");
    else
        cli_say("the end of %s is not delivered: %s", d->o.meta.job,
                s->why[0] ? s->why : "no answer");
    if (d->o.rest_hint)
        cli_say("%s", d->o.rest_hint);
    else if (d->dir)
        cli_say("they lie in %s; send them later with: joblog ship --spool %s", d->dir, d->dir);
    else
        cli_say("they were kept in memory only and are lost here");
}

int deliver_finish(struct deliver *d, const struct agent_end *end, int64_t flush_us)
{
    int64_t start = clock_mono_us(), now = start;
    struct agent_status s;
    int err = 0;

    d->o.meta.has_end = 1;
    d->o.meta.end = *end;
    if (d->dir)
        spool_meta_write(d->dir, &d->o.meta);
    agent_end(d->agent, end);
    for (;;) {
        agent_get_status(d->agent, &s);
        if (s.phase == AGENT_DONE)
            break;
        now = clock_mono_us();
        if (s.phase == AGENT_REFUSED) {
            err = ERR_SEALED;
        } else if (flush_us >= 0 && now - start >= flush_us) {
            err = ERR_TIMEOUT;
        } else if (s.is_hopeless && now - start >= REFUSED_GRACE_US) {
            err = ERR_TIMEOUT;
        } else if (d->o.interrupted && d->o.interrupted(d->o.user)) {
            err = ERR_CANCELLED;
        }
        if (err < 0)
            break;
        if (now - start > 1000000)
            show_countdown(d, &s, flush_us < 0 ? -1 : flush_us - (now - start));
        agent_wait(d->agent, SLICE_US);
    }
    if (now - start > 1000000)
        clear_countdown(d);
    tell_drops(d, &s, 1);
    if (err < 0)
        tell_rest(d, &s);
    d->is_delivered = err == 0;
    return err;
}

void deliver_close(struct deliver **dp)
{
    struct deliver *d = *dp;
    struct spool *spool = NULL;

    if (!d)
        return;
    if (agent_link_stop(&d->link) < 0) {
        cli_exit_at_once = 1; /* the thread hangs and still has all of this */
        *dp = NULL;
        return;
    }
    agent_free(&d->agent, &spool);
    if (d->is_delivered && d->dir) {
        spool_remove(&spool);
        spool_meta_remove(d->dir);
    } else {
        spool_close(&spool);
    }
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    free(d->dir);
    free(d->create_json);
    free(d);
    *dp = NULL;
}

/* ---- several ranks ---- */

static int all_finished(const struct json_tree *page, int64_t ranks)
{
    int64_t finished = 0, fin;

    for (const struct json_tree *p = json_tree_first(json_tree_get(page, "producers")); p;
         p = json_tree_next(p)) {
        if (json_tree_get_i64(p, "fin", &fin) <= 0)
            return 0;
        finished++;
    }
    return finished >= ranks;
}

/* One look, one word. ERR_UNAVAILABLE: the server did not answer, so look again. */
static int try_complete(const struct http_server *s, const char *job, int64_t ranks)
{
    struct json_tree *page = NULL;
    struct http_reply look = {0}, say = {0};
    struct buf path = BUF_INIT;
    const char *text = NULL;
    enum job_state state;
    int err;

    cli_job_path(&path, s, job, "");
    err = http_call(s, "GET", buf_cstr(&path), NULL, COMPLETE_CALL_US, &look);
    if (err < 0 || look.status >= 500 || look.status == 429) {
        err = ERR_UNAVAILABLE;
        goto out;
    }
    err = 0;
    if (look.status != 200 ||
        json_tree_parse_own(buf_cstr(&look.body), look.body.len, &page) < 0 ||
        json_tree_get_str(page, "state", &text) <= 0 ||
        state_parse(text, strlen(text), &state) < 0 || state_is_terminal(state) ||
        !all_finished(page, ranks))
        goto out;
    buf_clear(&path);
    cli_job_path(&path, s, job, "/events");
    err =
        http_call(s, "POST", buf_cstr(&path), "{\"state\":\"COMPLETED\"}", COMPLETE_CALL_US, &say);
    if (err < 0 || say.status >= 500 || say.status == 429)
        err = ERR_UNAVAILABLE;
out:
    json_tree_free(&page);
    http_reply_release(&look);
    http_reply_release(&say);
    buf_release(&path);
    return err;
}

void deliver_complete_job(const struct http_server *s, const char *job, int64_t ranks)
{
    int64_t until = clock_mono_us() + COMPLETE_US;
    struct backoff backoff = {0};

    while (try_complete(s, job, ranks) == ERR_UNAVAILABLE) {
        int64_t pause = backoff_next(&backoff, (uint32_t)random());
        struct timespec ts = {pause / 1000000, pause % 1000000 * 1000};

        if (clock_mono_us() + pause > until) {
            cli_say("%s did not hear that all ranks have finished; say so with: joblog state %s "
                    "COMPLETED",
                    s->url, job);
            break;
        }
        nanosleep(&ts, NULL);
    }
}

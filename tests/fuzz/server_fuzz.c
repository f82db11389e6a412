/*
 * tests/fuzz/server_fuzz.c -- any bytes as what a server says to an agent, between what the agent is given to do.
 *
 * A line each: "{…" is a message of the server; 'o' the connection is open, 'x' gone (a close code behind it), 'f' refused;
 * 'l' a line of the job, 'r' a record, 'p' a redraw, 's' a sample of the node, 'e' the end; 'n' what the agent sends next;
 * 't' ten seconds go by. What is counted as held by the server never decreases the lines that wait, no message is larger than
 * the limit, each is JSON up to its first newline, and an agent that is done has nothing left to say.
 * Covers  clients/cli/agent_message.c clients/cli/agent.c clients/cli/window.c clients/cli/backoff.h
 */
#include "base/check.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "base/pack.h"
#include "clients/cli/agent.h"
#include "clients/cli/spool.h"
#include "job/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 200
#define MESSAGE_BYTES_MAX (AGENT_CATCHUP_BYTES + AGENT_HEADROOM_BYTES)

struct world {
    struct agent *a;
    int64_t now_us;
    int is_open, has_ended;
};

static void check_message(const struct buf *m, int is_binary)
{
    struct buf plain = BUF_INIT;
    struct json_tree *root = NULL;
    const char *nl;

    CHECK(m->len && m->len <= MESSAGE_BYTES_MAX);
    if (is_binary && pack_is_zstd(m->data, m->len))
        CHECK(unpack_zstd(&plain, m->data, m->len, MESSAGE_BYTES_MAX) == 0);
    else
        CHECK(buf_add(&plain, m->data, m->len) == 0);
    nl = memchr(plain.data, '\n', plain.len);
    CHECKF(json_tree_parse(plain.data, nl ? (size_t)(nl - plain.data) : plain.len, &root, NULL) == 0, "%s", plain.data);
    CHECK(json_tree_str(json_tree_get(root, "type")));
    json_tree_free(&root);
    buf_release(&plain);
}

static void hear(struct world *w)
{
    struct buf out = BUF_INIT;
    int64_t due_us = 0;
    int is_binary = 0, got;

    if (!w->is_open)
        return;
    got = agent_next(w->a, w->now_us, &out, &is_binary, &due_us);
    CHECK(got == 0 || got == 1);
    if (got)
        check_message(&out, is_binary);
    buf_release(&out);
}

static void end(struct agent *a, const char *text, size_t len)
{
    struct agent_end e = {.has_state = 1, .state = len ? STATE_FAILED : STATE_COMPLETED, .has_exit_code = 1,
                          .exit_code = (int64_t)len, .signal = len > 2 ? 9 : 0, .fin = 1};

    memcpy(e.message, text, len < sizeof e.message ? len : sizeof e.message - 1);
    agent_end(a, &e);
}

static void sample(struct agent *a)
{
    struct node_about about = {.replica = "n"};
    struct node_sample s = {.cpu_milli = 500};

    agent_sample(a, &about, &s);
}

static void open_or_close(struct world *w, const char *text, size_t len)
{
    char why[64];

    if (*text == 'o' && !w->is_open && agent_connect_due(w->a) != AGENT_NEVER) {
        w->is_open = 1;
        agent_on_open(w->a);
    } else if (*text == 'x' || *text == 'f') {
        snprintf(why, sizeof why, "%.*s", (int)(len - 1), text + 1);
        if (*text == 'x')
            agent_on_close(w->a, atoi(why), why, w->now_us);
        else
            agent_on_refusal(w->a, why, w->now_us);
        w->is_open = 0;
    }
}

static void step(struct world *w, const char *text, size_t len)
{
    if (w->has_ended && strchr("lrpe", *text))
        return; /* nobody writes after the end */
    switch (*text) {
    case '{':
        if (w->is_open && agent_on_message(w->a, text, len) < 0) {
            agent_on_close(w->a, 1002, "protocol", w->now_us);
            w->is_open = 0;
        }
        break;
    case 'l': agent_line(w->a, len % 2 ? "stdout" : "stderr", text + 1, len - 1, NULL, 0); break;
    case 'r': agent_record(w->a, "{\"msg\":\"x\",\"rank\":3}", 20); break;
    case 'p': agent_progress(w->a, len % AGENT_STREAMS, text + 1, len - 1); break;
    case 's': sample(w->a); break;
    case 'e':
        end(w->a, text + 1, len - 1);
        w->has_ended = 1;
        break;
    case 'n': hear(w); break;
    case 't': w->now_us += 10000000; break;
    default: open_or_close(w, text, len);
    }
    agent_flush(w->a);
}

static void check_status(const struct world *w)
{
    struct agent_status s;

    agent_get_status(w->a, &s);
    CHECK(s.phase <= AGENT_REFUSED && strlen(s.why) < sizeof s.why);
    CHECKF(s.durable <= s.accepted && s.undelivered <= s.last, "last=%llu accepted=%llu durable=%llu undelivered=%llu",
           (unsigned long long)s.last, (unsigned long long)s.accepted, (unsigned long long)s.durable,
           (unsigned long long)s.undelivered);
    CHECK(s.phase != AGENT_DONE || s.undelivered == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent_options o = {.producer = "rank-3", .epoch = 1764000000, .rank = 3, .ranks = 8, .announce_running = 1};
    struct world w = {.now_us = 1000000};
    struct spool *spool = NULL;
    const char *at = (const char *)data, *last = at + size;

    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    CHECK(spool_open(NULL, SPOOL_BYTES_MIN, &spool) == 0);
    w.a = agent_new(&o, &spool);
    for (int i = 0; at < last && i < STEPS_MAX; i++) {
        const char *nl = memchr(at, '\n', (size_t)(last - at));
        size_t len = (size_t)((nl ? nl : last) - at);

        if (len) {
            step(&w, at, len);
            check_status(&w);
        }
        w.now_us += 30000;
        at += len + 1;
    }
    for (int i = 0; i < 5; i++)
        hear(&w);
    agent_free(&w.a, NULL);
    return 0;
}

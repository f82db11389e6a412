/* tests/unit/clients/cli/agent_test.c -- clients/cli/agent.c and agent_message.c, against a model of the server. */
#include "clients/cli/agent.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "base/pack.h"
#include "job/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The server: what it holds of the producer's sequence, by number 1.. */
struct server {
    uint64_t held;    /* accepted */
    uint64_t durable; /* told: never rolled back */
    uint64_t skipped; /* numbers told lost */
    uint64_t wrong;   /* records whose text is not their number */
    int fin, running, final;
    int ignoring; /* after gap or busy, until a message begins at held + 1 */
    char reply[512];
};

static struct agent *make_agent(const char *dir, uint64_t bytes)
{
    struct agent_options o = {.producer = "p", .epoch = 7, .rank = 2, .announce_running = 1};
    struct spool *sp = NULL;

    assert_int_equal(spool_open(dir, bytes, &sp), 0);
    return agent_new(&o, &sp);
}

static void say(struct agent *a, const char *text)
{
    assert_int_equal(agent_on_message(a, text, strlen(text)), 0);
}

static void welcome(struct agent *a, struct server *s, int messages)
{
    char text[256];

    s->durable = s->held;

    snprintf(text, sizeof text,
             "{\"type\":\"welcome\",\"state\":\"TRAINING_JOB_CREATED\",\"last\":%llu,\"window\":{"
             "\"messages\":%d,\"bytes\":8388608},"
             "\"durability\":\"durable\",\"sealed\":false}",
             (unsigned long long)s->held, messages);
    say(a, text);
}

static void take_lines(struct server *s, const char *text, uint64_t first)
{
    uint64_t seq = first;

    if (s->ignoring && first > s->held + 1)
        return;
    s->ignoring = 0;
    assert_true(first <= s->held + 1);
    for (const char *p = strchr(text, '\n') + 1; *p; p = strchr(p, '\n') + 1, seq++) {
        const char *msg = strstr(p, "\"msg\":\"");
        if (strtoull(msg + 7, NULL, 10) != seq)
            s->wrong++;
        if (seq == s->held + 1)
            s->held = seq;
    }
}

/* One message of the agent; the server's answer is left in s->reply. */
static void take(struct server *s, struct buf *message, int binary)
{
    struct buf plain = BUF_INIT;
    struct json_tree *head = NULL;
    const char *type = NULL, *state = NULL;
    int64_t first = 0, to = 0;
    char *nl;

    s->reply[0] = '\0';
    if (binary && pack_is_zstd(message->data, message->len))
        assert_int_equal(unpack_zstd(&plain, message->data, message->len, 8 << 20), 0);
    else
        buf_add(&plain, message->data, message->len);
    nl = memchr(buf_cstr(&plain), '\n', plain.len);
    assert_int_equal(
        json_tree_parse(plain.data, nl ? (size_t)(nl - plain.data) : plain.len, &head, NULL), 0);
    json_tree_get_str(head, "type", &type);
    if (!strcmp(type, "lines")) {
        assert_true(binary);
        json_tree_get_i64(head, "first", &first);
        take_lines(s, plain.data, (uint64_t)first);
    } else if (!strcmp(type, "skip")) {
        json_tree_get_i64(head, "from", &first);
        json_tree_get_i64(head, "to", &to);
        if (!(s->ignoring && (uint64_t)first > s->held + 1)) {
            s->ignoring = 0;
            assert_int_equal(first, s->held + 1);
            s->skipped += (uint64_t)(to - first + 1);
            s->held = (uint64_t)to;
        }
    } else if (!strcmp(type, "state")) {
        json_tree_get_str(head, "state", &state);
        if (strstr(state, "RUNNING"))
            s->running++;
        else
            s->final++;
        snprintf(s->reply, sizeof s->reply, "{\"type\":\"state_ack\",\"ok\":true,\"state\":\"%s\"}",
                 state);
    } else if (!strcmp(type, "fin")) {
        json_tree_get_i64(head, "last", &to);
        assert_int_equal(to, s->held);
        s->fin++;
        snprintf(s->reply, sizeof s->reply, "{\"type\":\"fin_ack\",\"last\":%lld}", (long long)to);
    }
    json_tree_free(&head);
    buf_release(&plain);
}

static void ack(struct agent *a, struct server *s, uint64_t not_durable)
{
    char text[128];

    if (s->held > s->durable + not_durable)
        s->durable = s->held - not_durable;
    snprintf(
        text, sizeof text,
        "{\"type\":\"ack\",\"accepted\":%llu,\"durable\":%llu,\"state\":\"TRAINING_JOB_RUNNING\"}",
        (unsigned long long)s->held, (unsigned long long)s->durable);
    say(a, text);
}

static void add(struct agent *a, uint64_t *count, unsigned n, size_t len)
{
    char text[2048];

    while (n--) {
        memset(text, 'x', len);
        text[len] = '\0';
        memcpy(text, "                    ", 20);
        snprintf(text, 20, "%llu", (unsigned long long)++*count);
        text[strlen(text)] = ' ';
        agent_line(a, "stdout", text, len, NULL, 0);
    }
    agent_flush(a);
}

static const struct agent_end good_end = {.has_state = 1, .state = STATE_COMPLETED, .fin = 1};

static void the_order_of_a_life(void **state)
{
    /* hello, RUNNING, lines, and only when all are accepted the state and then fin; then it is done. */
    struct agent *a = make_agent(NULL, 64 << 20);
    struct server s = {0};
    struct agent_status st;
    struct buf out = BUF_INIT;
    uint64_t count = 0;
    int64_t now = clock_mono_us(), due;
    int binary;

    add(a, &count, 3, 30);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 0);
    agent_on_open(a);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 1);
    assert_string_equal(buf_cstr(&out),
                        "{\"type\":\"hello\",\"producer\":\"p\",\"epoch\":7,\"rank\":2}");
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 0);
    welcome(a, &s, 32);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 1);
    assert_non_null(strstr(buf_cstr(&out), "TRAINING_JOB_RUNNING"));
    take(&s, &out, binary);
    say(a, s.reply);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 1);
    take(&s, &out, binary);
    assert_int_equal(s.held, 3);
    agent_end(a, &good_end);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 0); /* not accepted yet */
    ack(a, &s, 0);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 1);
    assert_non_null(strstr(buf_cstr(&out), "TRAINING_JOB_COMPLETED"));
    take(&s, &out, binary);
    assert_int_equal(agent_next(a, now, &out, &binary, &due),
                     0); /* fin waits for the state's answer */
    say(a, s.reply);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 1);
    take(&s, &out, binary);
    say(a, s.reply);
    agent_get_status(a, &st);
    assert_int_equal(st.phase, AGENT_DONE);
    assert_int_equal(s.fin, 1);
    assert_true(agent_connect_due(a) == AGENT_NEVER);
    buf_release(&out);
    agent_free(&a, NULL);
}

static void lines_gather_under_load(void **state)
{
    /* Idle: at once. With something in flight: after 25 ms or 512 lines. */
    struct agent *a = make_agent(NULL, 64 << 20);
    struct server s = {.held = 0};
    struct buf out = BUF_INIT;
    uint64_t count = 0;
    int64_t now = clock_mono_us(), due;
    int binary;

    agent_on_open(a);
    agent_next(a, now, &out, &binary, &due);
    welcome(a, &s, 32);
    agent_next(a, now, &out, &binary, &due);
    add(a, &count, 1, 30);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 1);
    add(a, &count, 1, 30);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 0);
    assert_int_equal(due, now + AGENT_GATHER_US);
    assert_int_equal(agent_next(a, due, &out, &binary, &due), 1);
    add(a, &count, AGENT_GATHER_LINES, 30);
    assert_int_equal(agent_next(a, now + AGENT_GATHER_US, &out, &binary, &due), 1);
    buf_release(&out);
    agent_free(&a, NULL);
}

static void progress_is_limited(void **state)
{
    /* Redraws go out at most 4 a second, the newest one, and a finished line silences them. */
    struct agent *a = make_agent(NULL, 64 << 20);
    struct server s = {0};
    struct buf out = BUF_INIT;
    int64_t now = clock_mono_us() + 10000000, due;
    int binary;

    agent_on_open(a);
    agent_next(a, now, &out, &binary, &due);
    welcome(a, &s, 32);
    agent_next(a, now, &out, &binary, &due);
    agent_progress(a, 1, "1\xff%", 3);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 1);
    assert_string_equal(buf_cstr(&out),
                        "{\"type\":\"progress\",\"rank\":2,\"msg\":\"1\xef\xbf\xbd%\"}");
    agent_progress(a, 1, "2%", 2);
    agent_progress(a, 1, "3%", 2);
    assert_int_equal(agent_next(a, now, &out, &binary, &due), 0);
    assert_int_equal(due, now + AGENT_PROGRESS_US);
    assert_int_equal(agent_next(a, due, &out, &binary, &due), 1);
    assert_non_null(strstr(buf_cstr(&out), "3%"));
    agent_progress(a, 1, "4%", 2);
    agent_progress(a, 1, NULL, 0);
    assert_int_equal(agent_next(a, now + 9 * AGENT_PROGRESS_US, &out, &binary, &due), 0);
    buf_release(&out);
    agent_free(&a, NULL);
}

static void refusals_end_it(void **state)
{
    /* fenced and sealed are final and name their reason; a message refused again and again is given up. */
    for (int i = 0; i < 3; i++) {
        struct agent *a = make_agent(NULL, 64 << 20);
        struct agent_status st;
        uint64_t count = 0;
        struct server s = {0};

        add(a, &count, 1, 30);
        for (int n = 0; n < (i < 2 ? 1 : AGENT_REFUSALS_MAX); n++) {
            agent_get_status(a, &st);
            assert_int_equal(st.phase, AGENT_AWAY);
            agent_on_open(a);
            if (n || i)
                welcome(a, &s, 32);
            say(a, i == 0 ? "{\"type\":\"error\",\"code\":\"fenced\",\"message\":\"m\"}"
                   : i == 1
                       ? "{\"type\":\"error\",\"code\":\"sealed\",\"message\":\"m\"}"
                       : "{\"type\":\"error\",\"code\":\"bad_message\",\"message\":\"line 1\"}");
            agent_on_close(a, i < 2 ? 4409 : 4400, "closed", clock_mono_us());
        }
        agent_get_status(a, &st);
        assert_int_equal(st.phase, AGENT_REFUSED);
        assert_non_null(strstr(st.why, i == 0 ? "newer run" : i == 1 ? "sealed" : "line 1"));
        agent_free(&a, NULL);
    }
}

static void nonsense_is_refused(void **state)
{
    /* What is no message, or comes before the welcome, or cannot be, is ERR_PROTOCOL. */
    static const char *const bad[] = {"", "{", "[]", "{\"type\":1}",
                                      "{\"type\":\"ack\",\"accepted\":0,\"durable\":0}"};
    struct agent *a = make_agent(NULL, 64 << 20);
    struct server s = {0};

    agent_on_open(a);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(agent_on_message(a, bad[i], strlen(bad[i])), ERR_PROTOCOL);
    welcome(a, &s, 32);
    assert_int_equal(agent_on_message(a, "{\"type\":\"ack\",\"accepted\":5,\"durable\":5}", 40),
                     ERR_PROTOCOL);
    assert_int_equal(agent_on_message(a, "{\"type\":\"state_ack\",\"ok\":true}", 30), ERR_PROTOCOL);
    say(a, "{\"type\":\"from-the-future\"}");
    agent_free(&a, NULL);
}

/* Answers of a server that is moody: acks, busy, gap after a rollback, broken connections. */
static void step(struct agent *a, struct server *s, struct buf *out, int64_t now, unsigned *seed,
                 int *is_open, int moody)
{
    int64_t due;
    int binary, mood = moody ? rand_r(seed) % 100 : 99;

    if (!*is_open) {
        agent_on_open(a);
        assert_int_equal(agent_next(a, now, out, &binary, &due), 1);
        s->ignoring = 0;
        welcome(a, s, 1 + rand_r(seed) % 8);
        *is_open = 1;
        return;
    }
    if (mood < 3) {
        agent_on_close(a, mood == 0 ? 1012 : 0, "gone", now);
        *is_open = 0;
    } else if (mood < 6) {
        say(a, "{\"type\":\"busy\",\"retry_after\":0}");
        s->ignoring = 1;
    } else if (mood < 8 && s->held > s->durable) {
        char text[64];
        uint64_t back = rand_r(seed) % (s->held - s->durable + 1);

        if (s->skipped)
            back = 0; /* what was skipped would be skipped and counted again */
        s->held -= back;
        snprintf(text, sizeof text, "{\"type\":\"gap\",\"expected\":%llu}",
                 (unsigned long long)s->held + 1);
        if (agent_on_message(a, text, strlen(text)) < 0)
            fail();
        s->ignoring = 1;
    } else if (agent_next(a, now, out, &binary, &due)) {
        take(s, out, binary);
        if (s->reply[0])
            say(a, s->reply);
    } else {
        ack(a, s, moody ? rand_r(seed) % 60 : 0);
    }
}

static void nothing_is_lost_or_repeated(void **state)
{
    /* Through random breaks, busy answers and rollbacks the server gets every line once, in order; only a full
     * spool skips, and every number is accounted for. */
    for (unsigned run = 1; run <= 40; run++) {
        unsigned seed = run;
        struct agent *a = make_agent(NULL, run % 4 ? 64 << 20 : SPOOL_BYTES_MIN);
        struct server s = {0};
        struct agent_status st;
        struct buf out = BUF_INIT;
        uint64_t count = 0;
        int64_t now = clock_mono_us();
        int is_open = 0, i;

        for (i = 0; i < 2000; i++) {
            now += rand_r(&seed) % 40000;
            if (rand_r(&seed) % 3 == 0)
                add(a, &count, rand_r(&seed) % 40, 20 + rand_r(&seed) % 400);
            step(a, &s, &out, now, &seed, &is_open, 1);
        }
        agent_end(a, &good_end);
        for (i = 0; i < 100000; i++) {
            agent_get_status(a, &st);
            if (st.phase == AGENT_DONE)
                break;
            now += 30000;
            step(a, &s, &out, now, &seed, &is_open, 0);
        }
        if (st.phase != AGENT_DONE || s.wrong || s.held != count || (run % 4 && s.skipped) ||
            !s.fin || !s.final)
            fail_msg("run %u: phase %d wrong %llu held %llu of %llu skipped %llu fin %d", run,
                     (int)st.phase, (unsigned long long)s.wrong, (unsigned long long)s.held,
                     (unsigned long long)count, (unsigned long long)s.skipped, s.fin);
        assert_int_equal(st.skipped, s.skipped);
        buf_release(&out);
        agent_free(&a, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_a_life), cmocka_unit_test(lines_gather_under_load),
        cmocka_unit_test(progress_is_limited), cmocka_unit_test(refusals_end_it),
        cmocka_unit_test(nonsense_is_refused), cmocka_unit_test(nothing_is_lost_or_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

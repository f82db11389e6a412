/*
 * clients/cli/agent_message.c -- the messages of joblog.ingest.v1, written and read.
 */
#include "base/err.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "base/utf8.h"
#include "clients/cli/agent_int.h"
#include "job/record.h"

#include <stdio.h>
#include <string.h>

#define STATE_RETRY_US 1000000

/* Header lines are strict JSON: what is no UTF-8, and NUL, becomes U+FFFD. */
static void add_text(struct json *j, const char *key, const char *text, size_t len)
{
    struct buf clean = BUF_INIT;

    while (len) {
        size_t n = utf8_valid_prefix(text, len);
        const char *nul = memchr(text, '\0', n);

        if (nul)
            n = (size_t)(nul - text);
        buf_add(&clean, text, n);
        text += n;
        len -= n;
        if (!len)
            break;
        n = *text ? utf8_bad_run(text, len) : 1;
        buf_adds(&clean, "\xef\xbf\xbd");
        text += n;
        len -= n;
    }
    json_kstrn(j, key, clean.data ? clean.data : "", clean.len);
    buf_release(&clean);
}

static void begin(struct json *j, struct buf *out, const char *type)
{
    buf_clear(out);
    json_init(j, out);
    json_obj(j);
    json_kstr(j, "type", type);
}

void agent__write_hello(struct buf *out, const struct agent_options *o)
{
    struct json j;

    begin(&j, out, "hello");
    json_kstr(&j, "producer", o->producer);
    json_ku64(&j, "epoch", o->epoch);
    if (o->rank != RECORD_RANK_NONE)
        json_ki64(&j, "rank", o->rank);
    if (o->replica[0])
        json_kstr(&j, "replica", o->replica);
    if (o->ranks > 0)
        json_ki64(&j, "ranks", o->ranks);
    if (o->is_one_node)
        json_ki64(&j, "nodes", 1);
    if (o->stop_grace_us > 0)
        json_ki64(&j, "stop_grace", (o->stop_grace_us + 999999) / 1000000);
    json_end(&j);
}

void agent__write_running(struct buf *out, int32_t rank)
{
    struct json j;

    begin(&j, out, "state");
    json_kstr(&j, "state", state_name(STATE_RUNNING));
    if (rank != RECORD_RANK_NONE)
        json_ki64(&j, "rank", rank);
    json_end(&j);
}

void agent__write_final(struct buf *out, const struct agent_end *e, int32_t rank)
{
    struct json j;

    begin(&j, out, "state");
    json_kstr(&j, "state", state_name(e->state));
    if (e->message[0])
        add_text(&j, "message", e->message, strlen(e->message));
    if (e->has_exit_code)
        json_ki64(&j, "exit_code", e->exit_code);
    if (rank != RECORD_RANK_NONE)
        json_ki64(&j, "rank", rank);
    json_end(&j);
}

static void add_measure(struct json *j, const char *key, int64_t v, int64_t per)
{
    if (v < 0)
        return;
    json_key(j, key);
    if (per == 1)
        json_i64(j, v);
    else
        json_double(j, (double)v / (double)per);
}

void agent__write_measures(struct buf *out, const struct node_about *about, const struct node_sample *sample)
{
    struct json j;

    buf_clear(out);
    json_init(&j, out);
    json_obj(&j);
    add_measure(&j, "cpu", sample->cpu_milli, 1000);
    add_measure(&j, "cpu_count", about->cpu_milli, 1000);
    add_measure(&j, "memory_bytes", sample->memory_bytes, 1);
    add_measure(&j, "memory_total_bytes", about->memory_bytes, 1);
    add_measure(&j, "disk_bytes", sample->disk_bytes, 1);
    add_measure(&j, "disk_total_bytes", about->disk_bytes, 1);
    json_key(&j, "gpus");
    json_arr(&j);
    for (uint32_t i = 0; i < sample->gpu_count; i++) {
        json_obj(&j);
        json_kstr(&j, "name", about->gpus[i].name);
        add_measure(&j, "use", sample->gpus[i].permille, 1000);
        add_measure(&j, "memory_bytes", sample->gpus[i].memory_bytes, 1);
        add_measure(&j, "memory_total_bytes", about->gpus[i].memory_bytes, 1);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
}

void agent__write_sample(struct buf *out, const char *measures, int64_t age_us)
{
    buf_clear(out);
    buf_addf(out, "{\"type\":\"sample\",\"age_ms\":%lld,%s", (long long)(age_us > 0 ? age_us / 1000 : 0), measures + 1);
}

void agent__write_skip(struct buf *out, uint64_t from, uint64_t to, const char *reason)
{
    struct json j;

    begin(&j, out, "skip");
    json_ku64(&j, "from", from);
    json_ku64(&j, "to", to);
    json_kstr(&j, "reason", reason);
    json_end(&j);
}

void agent__write_fin(struct buf *out, uint64_t last, const struct agent_end *e)
{
    struct json j;

    begin(&j, out, "fin");
    json_ku64(&j, "last", last);
    if (e->has_exit_code)
        json_ki64(&j, "exit_code", e->exit_code);
    if (e->signal)
        json_ki64(&j, "signal", e->signal);
    json_end(&j);
}

void agent__write_progress(struct buf *out, int32_t rank, const char *text, size_t len)
{
    struct json j;

    begin(&j, out, "progress");
    if (rank != RECORD_RANK_NONE)
        json_ki64(&j, "rank", rank);
    add_text(&j, "msg", text, len);
    json_end(&j);
}

/* ---- what the server says ---- */

static uint64_t number(const struct json_tree *m, const char *key, uint64_t fallback)
{
    int64_t v;

    return json_tree_get_i64(m, key, &v) > 0 && v >= 0 ? (uint64_t)v : fallback;
}

/* A number of the peer's: cut before it is multiplied. */
static int64_t seconds_us(uint64_t s)
{
    return s < WINDOW_BUSY_US_MAX / 1000000 ? (int64_t)s * 1000000 : WINDOW_BUSY_US_MAX;
}

static void note_state(struct agent *a, const struct json_tree *m)
{
    const char *text = NULL;
    enum job_state s;

    if (json_tree_get_str(m, "state", &text) <= 0 || state_parse(text, strlen(text), &s) < 0)
        return;
    a->job_state = s;
    a->knows_job_state = 1;
    agent__tell_stop(a);
}

static void refuse(struct agent *a, const char *why)
{
    snprintf(a->why, sizeof a->why, "%s", why);
    a->is_hopeless = 1;
    agent__set_phase(a, AGENT_REFUSED);
}

static int on_welcome(struct agent *a, const struct json_tree *m)
{
    const struct json_tree *w = json_tree_get(m, "window");
    const char *durability = "";
    int sealed = 0;

    note_state(a, m);
    json_tree_get_bool(m, "sealed", &sealed);
    json_tree_get_str(m, "durability", &durability);
    a->is_welcome = 1;
    a->is_hopeless = 0;
    a->why[0] = '\0';
    a->away_us = 0;
    backoff_reset(&a->backoff);
    window_open(&a->window, number(m, "last", 0), strcmp(durability, "accepted") != 0,
                (uint32_t)number(w, "messages", 1), number(w, "bytes", AGENT_BATCH_BYTES));
    spool_free_upto(a->spool, a->window.durable);
    if (a->knows_job_state && a->job_state >= STATE_RUNNING)
        a->running_done = 1;
    agent__set_phase(a, AGENT_OPEN);
    if (sealed && (!a->has_end || a->window.accepted < spool_last(a->spool)))
        refuse(a, "the job is sealed: it has ended and takes no more lines");
    else if (sealed)
        a->fin_done = a->final_done = 1; /* all is held, and it is over */
    return 0;
}

static int on_ack(struct agent *a, const struct json_tree *m)
{
    int err = window_ack(&a->window, number(m, "accepted", 0), number(m, "durable", 0));

    note_state(a, m);
    if (err >= 0)
        spool_free_upto(a->spool, a->window.durable);
    return err;
}

static int on_state_ack(struct agent *a, const struct json_tree *m, int64_t now_us)
{
    const char *code = NULL;
    int ok = 0, is_final;

    if (!a->states_count)
        return ERR_PROTOCOL;
    is_final = a->is_final[0];
    memmove(a->is_final, a->is_final + 1, (AGENT_STATES_MAX - 1) * sizeof *a->is_final);
    a->states_count--;
    note_state(a, m);
    json_tree_get_bool(m, "ok", &ok);
    json_tree_get_str(m, "code", &code);
    if (!ok && code && strcmp(code, "bad_transition") != 0 && strcmp(code, "sealed") != 0) {
        a->state_retry_us = now_us + STATE_RETRY_US; /* Redis is away: say it again */
        if (is_final)
            a->final_sent = 0;
        return 0;
    }
    if (is_final)
        a->final_done = 1;
    else
        a->running_done = 1;
    return 0;
}

static int on_error(struct agent *a, const struct json_tree *m)
{
    const char *code = "", *message = "";

    json_tree_get_str(m, "code", &code);
    json_tree_get_str(m, "message", &message);
    snprintf(a->why, sizeof a->why, "%.60s: %.180s", code, message);
    if (!strcmp(code, "fenced")) {
        refuse(a, "a newer run of this producer has taken over");
    } else if (!strcmp(code, "sealed")) {
        if (a->has_end && a->window.accepted >= spool_last(a->spool))
            agent__set_phase(a, AGENT_DONE); /* only the goodbye came too late */
        else
            refuse(a, "the job is sealed: it has ended and takes no more lines");
    }
    return 0;
}

int agent__read(struct agent *a, const char *data, size_t len, int64_t now_us)
{
    struct json_tree *m = NULL;
    const char *type = NULL;
    int err;

    if (a->phase == AGENT_DONE || a->phase == AGENT_REFUSED)
        return 0; /* it is over, whatever is said now */
    err = json_tree_parse(data, len, &m, NULL);
    if (err < 0)
        return ERR_PROTOCOL;
    if (json_tree_get_str(m, "type", &type) <= 0) {
        err = ERR_PROTOCOL;
    } else if (!strcmp(type, "welcome")) {
        err = a->is_welcome ? ERR_PROTOCOL : on_welcome(a, m);
    } else if (!strcmp(type, "error")) {
        err = on_error(a, m);
    } else if (!strcmp(type, "busy")) {
        window_busy(&a->window, seconds_us(number(m, "retry_after", 1)), now_us);
        a->fin_sent = 0;
    } else if (!a->is_welcome) {
        err = ERR_PROTOCOL;
    } else if (!strcmp(type, "ack")) {
        err = on_ack(a, m);
    } else if (!strcmp(type, "gap")) {
        err = window_gap(&a->window, number(m, "expected", 0));
        a->fin_sent = 0;
    } else if (!strcmp(type, "state_ack")) {
        err = on_state_ack(a, m, now_us);
    } else if (!strcmp(type, "stop")) {
        note_state(a, m);
    } else if (!strcmp(type, "fin_ack")) {
        if (a->fin_sent && number(m, "last", 0) >= spool_last(a->spool))
            a->fin_done = 1;
    } /* what we do not know is for newer agents */
    if (err >= 0 && agent__is_done(a))
        agent__set_phase(a, AGENT_DONE);
    json_tree_free(&m);
    return err;
}

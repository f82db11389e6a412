/*
 * ingest/agent.c -- one producer on the agent's road: what its messages do.
 *
 * Knows nothing of sockets but ws_send_text(); the connection is in ws_agent.c.
 */
#include "ingest/agent.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/json.h"
#include "ingest/scan.h"
#include "stream/nodes.h"

#include <stdlib.h>
#include <string.h>

/* An append under way. */
struct append_call {
    struct agent *a;
    uint32_t generation;
    size_t bytes;
    uint64_t msg_bytes;
    int is_fin;
    uint64_t fin;
};

static void begin(struct json *j, struct buf *b, const char *type)
{
    json_init(j, b);
    json_obj(j);
    json_kstr(j, "type", type);
}

static void send_json(struct agent *a, struct json *j, struct buf *b)
{
    json_end(j);
    if (a->w && a->phase != AGENT_PHASE_CLOSING) ws_send_text(a->w, b->data, b->len);
    buf_release(b);
}

/* ---- acks ---- */

static void send_ack(struct agent *a)
{
    struct buf b = BUF_INIT;
    struct json j;

    a->ack_due = 0;
    FAULT_POINT("ingest.agent.ack");
    begin(&j, &b, "ack");
    json_ku64(&j, "accepted", a->accepted);
    json_ku64(&j, "durable", a->durable);
    json_kstr(&j, "durability", durability_name(stream_durability(a->in->o.stream)));
    json_kstr(&j, "state", state_name(a->state));
    send_json(a, &j, &b);
}

static void note_round(struct agent *a)
{
    stream_heard_us(a->in->o.stream, &a->accepted_round);
}

/* In class accepted: what is acknowledged now may be freed INGEST_FLUSH_US later, if Redis still answers then. */
static void add_mark(struct agent *a)
{
    if (a->durable >= a->accepted) return;
    if (a->mark_count && a->marks[a->mark_count - 1].seq >= a->accepted) return;
    if (a->mark_count == AGENT_MARKS_MAX) a->mark_count--; /* the newest waits with the one before it */
    a->marks[a->mark_count++] = (struct agent_mark){a->accepted, clock_mono_us(), a->accepted_round};
}

void agent__mark_dirty(struct agent *a)
{
    if (a->is_dirty) return;
    a->is_dirty = 1;
    a->dirty_next = a->in->dirty;
    a->in->dirty = a;
}

void agent__flush(struct agent *a)
{
    if (a->phase == AGENT_PHASE_CLOSING || !a->w) return;
    /* acks are cumulative: one that finds the socket choked waits, and on_drain comes back */
    if (a->ack_due && ws_backlog(a->w) <= WS_BACKLOG_HIGH_BYTES) {
        add_mark(a);
        send_ack(a);
    }
    if (a->phase == AGENT_PHASE_LEAVING && a->call_count == 0) agent__close(a, 1012, NULL, "restart");
}

/* Marks of a connection to Redis that is lost say nothing any more: it may be another Redis now, which holds less. A later
 * answer does, for what the script stores joins what is held; without any the agent must ask (welcome). */
static void drop_void_marks(struct agent *a, uint64_t round)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < a->mark_count; i++)
        if (a->marks[i].round == round) a->marks[kept++] = a->marks[i];
    if (kept == a->mark_count) return;
    a->mark_count = kept;
    if (kept == 0 && a->flight_count == 0 && a->durable < a->accepted && a->phase == AGENT_PHASE_OPEN)
        agent__close(a, 1012, NULL, "Redis was away: say hello again");
}

void agent__sweep(struct agent *a)
{
    uint64_t round;
    int64_t heard_us = stream_heard_us(a->in->o.stream, &round);
    uint32_t over = 0;

    if (!a->mark_count) return;
    drop_void_marks(a, round);
    while (over < a->mark_count && a->marks[over].at_us + a->in->flush_us <= heard_us) over++;
    if (!over) return;
    if (a->marks[over - 1].seq > a->durable) {
        a->durable = a->marks[over - 1].seq;
        a->ack_due = 1;
        agent__mark_dirty(a);
    }
    a->mark_count -= over;
    memmove(a->marks, a->marks + over, a->mark_count * sizeof *a->marks);
}

/* quota: the word of the one that is used up, or NULL. */
static void send_busy(struct agent *a, unsigned retry_after, const char *quota)
{
    struct buf b = BUF_INIT;
    struct json j;

    if (a->ack_due) send_ack(a);
    begin(&j, &b, "busy");
    json_ku64(&j, "retry_after", retry_after);
    if (quota) json_kstr(&j, "quota", quota);
    send_json(a, &j, &b);
}

/* Ignore what was sent ahead. The agent is about to send it again. */
static void rewind_agent(struct agent *a)
{
    a->rewinding = 1;
    a->generation++;
    a->flight_count = 0;
    a->flight_bytes = 0;
    a->has_fin = 0;
}

/* Redis holds less than was acknowledged, or a message came too early: go back to expected. */
static void send_gap(struct agent *a, uint64_t expected)
{
    struct buf b = BUF_INIT;
    struct json j;

    a->accepted = expected ? expected - 1 : 0;
    if (a->durable > a->accepted) a->durable = a->accepted;
    while (a->mark_count && a->marks[a->mark_count - 1].seq > a->accepted) a->mark_count--;
    a->ack_due = 0;
    begin(&j, &b, "gap");
    json_ku64(&j, "expected", a->accepted + 1);
    send_json(a, &j, &b);
}

/* An answer of the stream that is no success: told by busy, gap or a close. */
static void tell_failure(struct agent *a, int err, const struct append_result *res)
{
    struct answer answer = ingest__answer(err);

    ingest__count_refusal(a->in, err);
    if (err == ERR_GAP) {
        rewind_agent(a);
        send_gap(a, res->expected);
    } else if (answer.retry_after) {
        rewind_agent(a);
        send_busy(a, answer.retry_after, NULL);
    } else if (err == ERR_FENCED || err == ERR_SEALED) {
        if (a->ack_due) send_ack(a);
        agent__close(a, 4409, answer.code, answer.message);
    } else {
        int theirs = answer.status == 400 || answer.status == 413;
        agent__close(a, theirs ? 4400 : 1011, theirs ? answer.code : NULL, answer.message);
    }
}

/* ---- appending ---- */

static void try_fin(struct agent *a);

static void end_call(struct agent *a)
{
    CHECK(a->call_count > 0);
    a->call_count--;
    if (a->phase == AGENT_PHASE_LEAVING) agent__mark_dirty(a);
    agent__pump(a);
}

static void send_fin_ack(struct agent *a, uint64_t last)
{
    struct buf b = BUF_INIT;
    struct json j;

    if (a->ack_due) send_ack(a);
    FAULT_POINT("ingest.agent.fin");
    begin(&j, &b, "fin_ack");
    json_ku64(&j, "last", last);
    send_json(a, &j, &b);
}

/* What is acknowledged by now is out of the window. */
static void land(struct agent *a)
{
    while (a->flight_count && a->flights[a->flight_first].last <= a->accepted) {
        a->flight_bytes -= a->flights[a->flight_first].bytes;
        a->flight_first = (a->flight_first + 1) % AGENT_WINDOW_MESSAGES;
        a->flight_count--;
    }
}

static void take_success(struct agent *a, const struct append_call *call, const struct append_result *res)
{
    a->state = res->state;
    if (call->is_fin) {
        if (a->has_fin && a->fin == call->fin) a->has_fin = 0;
        send_fin_ack(a, call->fin);
        return;
    }
    if (res->producer_last > a->accepted) a->accepted = res->producer_last;
    land(a);
    note_round(a);
    if (res->durability >= DURABILITY_DURABLE) {
        a->durable = a->accepted;
        a->mark_count = 0;
    }
    a->ack_due = 1;
    agent__mark_dirty(a);
    try_fin(a);
}

static void on_appended(void *user, const struct append_result *res)
{
    struct append_call call = *(struct append_call *)user;
    struct agent *a = call.a;

    free(user);
    if (call.is_fin) {
        a->fin_active = 0;
    }
    if (res->err == 0) {
        if (res->accepted) ingest__charge_quota(a->token, res->accepted, call.msg_bytes);
        take_success(a, &call, res);
    } else if (call.generation == a->generation || res->err == ERR_FENCED || res->err == ERR_SEALED) {
        if (a->phase != AGENT_PHASE_CLOSING) tell_failure(a, res->err, res);
    }
    end_call(a);
}

static void append(struct agent *a, struct batch **b, size_t bytes, int is_fin)
{
    struct append_call *call = must_calloc(1, sizeof *call);
    struct batch_producer *p = &(*b)->producer;

    call->a = a;
    call->generation = a->generation;
    call->bytes = bytes;
    call->msg_bytes = (*b)->msg_bytes;
    call->is_fin = is_fin;
    call->fin = p->fin;
    memcpy(p->id, a->producer, sizeof p->id);
    p->epoch = a->epoch;
    p->rank = a->decode.rank;
    a->call_count++;
    if (is_fin) {
        a->fin_active = 1;
    } else {
        a->flights[(a->flight_first + a->flight_count++) % AGENT_WINDOW_MESSAGES] = (struct agent_flight){p->last, bytes};
        a->flight_bytes += bytes;
    }
    stream_append(a->in->o.stream, &a->key, b, on_appended, call);
}

/* Say the fin once everything up to it is held. */
static void try_fin(struct agent *a)
{
    struct batch *b;

    if (!a->has_fin || a->fin_active || a->accepted < a->fin || a->phase != AGENT_PHASE_OPEN) return;
    b = batch_new();
    b->recv_us = clock_wall_us();
    b->producer.first = a->fin + 1;
    b->producer.last = a->fin;
    b->producer.has_fin = 1;
    b->producer.fin = a->fin;
    b->producer.has_exit_code = a->has_exit_code;
    b->producer.exit_code = a->exit_code;
    b->producer.signal = a->signal;
    append(a, &b, 0, 1);
}

static void take_lines(struct agent *a, struct agent_message *m, size_t bytes)
{
    enum quota which;
    int64_t wait_us;

    if (a->rewinding && m->first > a->accepted + 1) return; /* sent before the agent knew */
    a->rewinding = 0;
    land(a);
    if (a->flight_count >= AGENT_WINDOW_MESSAGES ||
        (a->flight_count && a->flight_bytes + bytes > AGENT_WINDOW_BYTES)) {
        agent__close(a, 4400, "window", "more is in flight than the window allows");
        return;
    }
    if ((wait_us = ingest__quota_wait(a->in, a->token, &which))) { /* as if Redis were away: nothing is lost */
        rewind_agent(a);
        send_busy(a, quota_seconds(wait_us), quota_word(which));
        return;
    }
    m->batch->producer.first = m->first;
    m->batch->producer.last = m->last;
    ingest__count_batch(a->in, m->batch);
    append(a, &m->batch, bytes, 0);
}

static void take_fin(struct agent *a, const struct agent_message *m)
{
    if (m->last < a->accepted) {
        agent__close(a, 4400, "bad_message", "fin is before what is held already");
        return;
    }
    a->has_fin = 1;
    a->fin = m->last;
    a->has_exit_code = m->has_exit_code;
    a->exit_code = m->exit_code;
    a->signal = m->signal;
    try_fin(a);
}

/* ---- the other messages ---- */

/* An agent that comes back may wait for nothing but the durability of what it sent before. */
static void announce_held(struct agent *a)
{
    if (!a->accepted) return;
    if (stream_durability(a->in->o.stream) >= DURABILITY_DURABLE) {
        a->durable = a->accepted;
        a->ack_due = 1;
        agent__mark_dirty(a);
    } else {
        add_mark(a);
    }
}

static void send_stop(struct agent *a)
{
    struct buf b = BUF_INIT;
    struct json j;

    a->is_stopped = 1;
    begin(&j, &b, "stop");
    json_kstr(&j, "state", state_name(STATE_STOPPED));
    send_json(a, &j, &b);
}

static void on_hello(void *user, int err, uint64_t producer_epoch, uint64_t producer_last, enum job_state state,
                     int sealed)
{
    struct agent *a = user;
    struct buf b = BUF_INIT;
    struct json j;

    if (a->phase != AGENT_PHASE_GREETING) {
        end_call(a);
        return;
    }
    if (!err && producer_epoch > a->epoch) err = ERR_FENCED;
    if (err) {
        struct answer answer = ingest__answer(err);
        ingest__count_refusal(a->in, err);
        if (answer.retry_after) send_busy(a, answer.retry_after, NULL);
        if (err == ERR_FENCED || err == ERR_SEALED) {
            agent__close(a, 4409, answer.code, answer.message);
        } else {
            agent__close(a, answer.retry_after ? 1013 : 1011, NULL, answer.message);
        }
        end_call(a);
        return;
    }
    a->phase = AGENT_PHASE_OPEN;
    a->state = state;
    a->accepted = producer_epoch == a->epoch ? producer_last : 0;
    a->durable = 0;
    note_round(a);
    FAULT_POINT("ingest.agent.welcome");
    begin(&j, &b, "welcome");
    json_kstr(&j, "project", a->key.project);
    json_kstr(&j, "job", a->key.job);
    json_kstr(&j, "state", state_name(state));
    json_ku64(&j, "epoch", a->epoch);
    json_ku64(&j, "last", a->accepted);
    json_key(&j, "window");
    json_obj(&j);
    json_ku64(&j, "messages", AGENT_WINDOW_MESSAGES);
    json_ku64(&j, "bytes", AGENT_WINDOW_BYTES);
    json_end(&j);
    json_kstr(&j, "durability", durability_name(stream_durability(a->in->o.stream)));
    json_kbool(&j, "sealed", sealed);
    send_json(a, &j, &b);
    if (a->is_stopped || (state == STATE_STOPPED && !sealed)) send_stop(a);
    announce_held(a);
    end_call(a);
}

void agent__stop(struct agent *a)
{
    if (a->is_stopped) return;
    a->is_stopped = 1;
    a->state = STATE_STOPPED;
    if (a->phase == AGENT_PHASE_OPEN || a->phase == AGENT_PHASE_LEAVING) send_stop(a); /* else with its welcome */
}

static void take_hello(struct agent *a, const struct agent_message *m)
{
    memcpy(a->producer, m->producer, sizeof a->producer);
    memcpy(a->decode.replica, m->replica, sizeof a->decode.replica);
    a->decode.rank = m->rank;
    a->decode.is_agent = 1;
    a->decode.ranks = m->ranks;
    a->decode.is_one_node = m->nodes == 1;
    a->epoch = m->epoch;
    agent__take_marks(a);
    a->phase = AGENT_PHASE_GREETING;
    a->call_count++;
    stream_hello(a->in->o.stream, &a->key, a->producer, a->epoch, m->rank, m->ranks,
                 m->stop_grace_us, on_hello, a);
}

static void on_state(void *user, int err, int moved, enum job_state from, uint64_t seq)
{
    struct agent *a = user;
    struct buf b = BUF_INIT;
    struct json j;

    begin(&j, &b, "state_ack");
    json_kbool(&j, "ok", err == 0);
    if (err) json_kstr(&j, "code", err_code(err));
    if (!err || err == ERR_TRANSITION || err == ERR_SEALED) {
        json_kstr(&j, "state", state_name(err ? from : a->state_asked[a->state_first]));
    }
    a->state_first = (a->state_first + 1) % AGENT_STATES_MAX;
    a->state_count--;
    send_json(a, &j, &b);
    end_call(a);
}

static void take_state(struct agent *a, struct agent_message *m)
{
    if (a->state_count == AGENT_STATES_MAX) {
        agent__close(a, 4400, "bad_message", "too many state changes wait for their answer");
        return;
    }
    /* answers come in the order of the calls */
    a->state_asked[(a->state_first + a->state_count++) % AGENT_STATES_MAX] = m->change.to;
    m->change.key = a->key;
    redact_counts_add(&a->in->stats.redacted, &m->redacted);
    if (m->change.rank == RECORD_RANK_NONE) m->change.rank = a->decode.rank;
    a->call_count++;
    stream_change_state(a->in->o.stream, &m->change, on_state, a);
}

static void take_progress(struct agent *a, const struct agent_message *m)
{
    int64_t now = clock_mono_us();
    size_t len = m->text_len;

    if (a->progress_us && now - a->progress_us < AGENT_PROGRESS_US) return;
    a->progress_us = now;
    if (len > AGENT_PROGRESS_BYTES_MAX) len = scan_cut(m->text, AGENT_PROGRESS_BYTES_MAX);
    stream_progress(a->in->o.stream, &a->key, m->rank == RECORD_RANK_NONE ? a->decode.rank : m->rank, m->text,
                    len);
}

static void take_sample(struct agent *a, struct agent_sample *s)
{
    int64_t now = clock_mono_us();

    if (a->sample_us) a->sample_credit += (double)(now - a->sample_us) / 1e6 * AGENT_SAMPLES_PER_S;
    if (!a->sample_us || a->sample_credit > AGENT_SAMPLES_BURST) a->sample_credit = AGENT_SAMPLES_BURST;
    a->sample_us = now;
    if (a->sample_credit < 1) return;
    a->sample_credit -= 1;
    memcpy(s->about.replica, *a->decode.replica ? a->decode.replica : a->producer, sizeof s->about.replica);
    s->sample.at_us = clock_wall_us() - s->age_us;
    stream_node_sample(a->in->o.stream, &a->key, &s->about, &s->sample);
}

void agent__dispatch(struct agent *a, struct agent_message *m, int err, const char *why, size_t bytes)
{
    if (a->phase == AGENT_PHASE_LEAVING || a->phase == AGENT_PHASE_CLOSING) {
        agent_message_release(m); /* not taken, not acked: it will be sent again */
        return;
    }
    CHECK(a->phase != AGENT_PHASE_GREETING);
    if (err && ingest__answer(err).retry_after) {
        if (a->phase == AGENT_PHASE_OPEN) rewind_agent(a);
        send_busy(a, ingest__answer(err).retry_after, NULL);
    } else if (err) {
        ingest__count_refusal(a->in, err);
        agent__close(a, 4400, err == ERR_TOO_BIG || err == ERR_LIMIT ? err_code(ERR_TOO_BIG) : "bad_message", why);
    } else if ((m->type == AGENT_HELLO) != (a->phase == AGENT_PHASE_CONNECTED)) {
        agent__close(a, 4400, "bad_message",
                     m->type == AGENT_HELLO ? "a second hello" : "the first message must be hello");
    } else {
        switch (m->type) {
        case AGENT_HELLO: take_hello(a, m); break;
        case AGENT_LINES:
        case AGENT_SKIP: take_lines(a, m, bytes); break;
        case AGENT_PROGRESS: take_progress(a, m); break;
        case AGENT_STATE: take_state(a, m); break;
        case AGENT_FIN: take_fin(a, m); break;
        case AGENT_SAMPLE: take_sample(a, m->sample); break;
        }
    }
    if (!err) agent_message_release(m);
}

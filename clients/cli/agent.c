/*
 * clients/cli/agent.c -- the agent's two faces: the owner's and the network's.
 */
#include "clients/cli/agent.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/pack.h"
#include "clients/cli/agent_int.h"
#include "job/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define UNEXPECTED_BYTES_MAX 100 /* of a message that is shown because it makes no sense */

struct agent *agent_new(const struct agent_options *o, struct spool **spool)
{
    struct agent *a = must_calloc(1, sizeof *a);
    pthread_condattr_t attr;

    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->changed, &attr);
    pthread_condattr_destroy(&attr);
    a->o = *o;
    a->spool = *spool;
    *spool = NULL;
    a->running_done = !o->announce_running;
    a->stop_fd = -1;
    a->away_us = clock_mono_us();
    window_init(&a->window);
    return a;
}

static void drop_sample(struct agent *a)
{
    free(a->samples[a->samples_first].text);
    a->samples_first = (a->samples_first + 1) % AGENT_SAMPLES_MAX;
    a->samples_count--;
}

void agent_free(struct agent **ap, struct spool **ret_spool)
{
    struct agent *a = *ap;

    if (!a)
        return;
    CHECK(!a->wake);
    if (ret_spool)
        *ret_spool = a->spool;
    else
        spool_close(&a->spool);
    for (unsigned i = 0; i < AGENT_STREAMS; i++)
        buf_release(&a->live[i].text);
    buf_release(&a->scratch);
    while (a->samples_count)
        drop_sample(a);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
    *ap = NULL;
}

static void lock(struct agent *a)
{
    CHECK(pthread_mutex_lock(&a->lock) == 0);
}

static void unlock(struct agent *a)
{
    CHECK(pthread_mutex_unlock(&a->lock) == 0);
}

void agent__set_phase(struct agent *a, enum agent_phase phase)
{
    if (a->phase == AGENT_DONE || a->phase == AGENT_REFUSED)
        return; /* these are last */
    a->phase = phase;
    pthread_cond_broadcast(&a->changed);
}

int agent__is_done(const struct agent *a)
{
    return a->has_end && a->window.accepted >= spool_last(a->spool) &&
           (!a->end.has_state || a->final_done) && (!a->end.fin || a->fin_done);
}

static void wake(struct agent *a)
{
    if (!a->wake || a->is_woken)
        return;
    a->is_woken = 1;
    a->wake(a->wake_user);
}

/* ---- the owner ---- */

void agent_record(struct agent *a, const char *json, size_t len)
{
    buf_clear(&a->scratch);
    if (buf_add(&a->scratch, json, len) < 0 || buf_addc(&a->scratch, '\n') < 0)
        return;
    lock(a);
    spool_append(a->spool, a->scratch.data, a->scratch.len);
    unlock(a);
}

void agent_line(struct agent *a, const char *stream, const char *text, size_t len,
                const char *fields, size_t fields_len)
{
    char ts[CLOCK_RFC3339_BYTES];
    struct json j;

    clock_format_rfc3339(clock_wall_us(), ts);
    buf_clear(&a->scratch);
    json_init(&j, &a->scratch);
    json_obj(&j);
    json_kstrn(&j, "ts", ts, sizeof ts);
    if (stream)
        json_kstr(&j, "stream", stream);
    json_kstrn(&j, "msg", text, len);
    if (fields) {
        json_key(&j, "fields");
        json_raw(&j, fields, fields_len);
    }
    json_end(&j);
    buf_addc(&a->scratch, '\n');
    lock(a);
    spool_append(a->spool, a->scratch.data, a->scratch.len);
    unlock(a);
}

void agent_flush(struct agent *a)
{
    lock(a);
    spool_flush(a->spool);
    spool_free_upto(a->spool,
                    a->window.durable); /* the server may hold what is only now being read */
    wake(a);
    unlock(a);
}

void agent_progress(struct agent *a, unsigned stream, const char *text, size_t len)
{
    struct agent_live *live = &a->live[stream];

    if (len > AGENT_PROGRESS_BYTES) {
        len = AGENT_PROGRESS_BYTES;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    lock(a);
    if (!len) {
        live->is_new = 0;
    } else if (live->text.len != len || memcmp(live->text.data, text, len) != 0) {
        buf_clear(&live->text);
        live->is_new = buf_add(&live->text, text, len) >= 0;
        wake(a);
    }
    unlock(a);
}

void agent_sample(struct agent *a, const struct node_about *about, const struct node_sample *sample)
{
    struct buf text = BUF_INIT;
    struct agent_held_sample *s;

    agent__write_measures(&text, about, sample);
    lock(a);
    if (a->samples_count == AGENT_SAMPLES_MAX)
        drop_sample(a);
    s = &a->samples[(a->samples_first + a->samples_count++) % AGENT_SAMPLES_MAX];
    s->text = buf_steal(&text, NULL);
    s->taken_us = clock_mono_us();
    wake(a);
    unlock(a);
}

void agent_end(struct agent *a, const struct agent_end *e)
{
    lock(a);
    a->end = *e;
    a->has_end = 1;
    spool_flush(a->spool);
    if (agent__is_done(a))
        agent__set_phase(a, AGENT_DONE);
    wake(a);
    unlock(a);
}

void agent__tell_stop(struct agent *a)
{
    const uint64_t one = 1;

    if (a->stop_fd < 0 || a->is_stopped || !a->knows_job_state || a->job_state != STATE_STOPPED)
        return;
    a->is_stopped = write(a->stop_fd, &one, sizeof one) == sizeof one;
}

void agent_on_stop(struct agent *a, int fd)
{
    lock(a);
    a->stop_fd = fd;
    agent__tell_stop(a);
    unlock(a);
}

void agent_wait(struct agent *a, int64_t timeout_us)
{
    int64_t until = clock_mono_us() + timeout_us;
    struct timespec ts = {until / 1000000, until % 1000000 * 1000};

    lock(a);
    if (a->phase != AGENT_DONE && a->phase != AGENT_REFUSED)
        pthread_cond_timedwait(&a->changed, &a->lock, &ts);
    unlock(a);
}

void agent_get_status(struct agent *a, struct agent_status *ret)
{
    lock(a);
    *ret = (struct agent_status){
        .phase = a->phase,
        .last = spool_last(a->spool),
        .accepted = a->window.accepted,
        .durable = a->window.durable,
        .skipped = a->skipped,
        .dropped = spool_dropped(a->spool),
        .held_bytes = spool_bytes(a->spool),
        .away_us = a->away_us,
        .is_hopeless = a->is_hopeless,
        .job_state = a->job_state,
        .knows_job_state = a->knows_job_state,
    };
    ret->undelivered = ret->last > ret->accepted ? ret->last - ret->accepted : 0;
    memcpy(ret->why, a->why, sizeof ret->why);
    unlock(a);
}

/* ---- the network ---- */

void agent_set_wake(struct agent *a, void (*fn)(void *user), void *user)
{
    lock(a);
    a->wake = fn;
    a->wake_user = user;
    unlock(a);
}

void agent_on_open(struct agent *a)
{
    lock(a);
    a->is_connected = 1;
    a->is_welcome = a->hello_sent = 0;
    a->final_sent = a->fin_sent = 0;
    a->states_count = 0;
    a->state_retry_us = 0;
    a->lines_us = 0;
    unlock(a);
}

int agent_on_message(struct agent *a, const char *data, size_t len)
{
    int err;

    lock(a);
    err = agent__read(a, data, len, clock_mono_us());
    if (err < 0)
        snprintf(a->why, sizeof a->why, "the server said something unexpected: %.*s",
                 len < UNEXPECTED_BYTES_MAX ? (int)len : UNEXPECTED_BYTES_MAX, data);
    pthread_cond_broadcast(&a->changed);
    unlock(a);
    return err;
}

static void set_away(struct agent *a, const char *why, int64_t pause_us, int64_t now_us)
{
    a->is_connected = a->is_welcome = 0;
    window_close(&a->window);
    if (!a->away_us)
        a->away_us = now_us;
    if (why && *why)
        snprintf(a->why, sizeof a->why, "%s", why);
    a->connect_us = now_us + pause_us;
    agent__set_phase(a, AGENT_AWAY);
    pthread_cond_broadcast(&a->changed);
}

void agent_on_close(struct agent *a, int code, const char *why, int64_t now_us)
{
    int64_t pause;

    lock(a);
    if (code == 1012)
        backoff_reset(&a->backoff);
    pause = backoff_next(&a->backoff, (uint32_t)random());
    if (code == 1013 && pause < AGENT_AWAY_RETRY_US)
        pause += AGENT_AWAY_RETRY_US;
    if (code == 4400) {
        a->refusals = a->refused_at == a->window.accepted ? a->refusals + 1 : 1;
        a->refused_at = a->window.accepted;
        if (pause < AGENT_AWAY_RETRY_US)
            pause = AGENT_AWAY_RETRY_US;
    }
    /* the reason of an error message stands; else the network's */
    set_away(a, code == 4400 || code == 4409 ? NULL : why, pause, now_us);
    if (a->refusals >= AGENT_REFUSALS_MAX) {
        a->is_hopeless = 1;
        agent__set_phase(a, AGENT_REFUSED);
    }
    unlock(a);
}

void agent_on_refusal(struct agent *a, const char *why, int64_t now_us)
{
    lock(a);
    set_away(a, why, BACKOFF_MAX_US, now_us);
    a->is_hopeless = 1;
    unlock(a);
}

int64_t agent_connect_due(struct agent *a)
{
    int64_t due;

    lock(a);
    due = a->phase == AGENT_DONE || a->phase == AGENT_REFUSED ? AGENT_NEVER : a->connect_us;
    unlock(a);
    return due;
}

static void sooner(int64_t *due_us, int64_t us)
{
    if (us < *due_us)
        *due_us = us;
}

static void sent_state(struct agent *a, int is_final)
{
    CHECK(a->states_count < AGENT_STATES_MAX);
    a->is_final[a->states_count++] = is_final;
}

static int next_lines(struct agent *a, int64_t now_us, struct buf *out, int64_t *due_us)
{
    struct window *w = &a->window;
    uint64_t last = spool_last(a->spool), unsent, held;
    size_t head;
    uint32_t n;

    if (w->next > last)
        return 0;
    if (!window_may_send(w, AGENT_HEADROOM_BYTES, now_us)) {
        if (w->busy_until_us > now_us)
            sooner(due_us, w->busy_until_us);
        return 0;
    }
    unsent = last - w->next + 1;
    if (w->count && unsent < AGENT_GATHER_LINES && now_us < a->lines_us + AGENT_GATHER_US) {
        sooner(due_us, a->lines_us + AGENT_GATHER_US);
        return 0;
    }
    for (;;) {
        held = spool_next_held(a->spool, w->next);
        if (held > w->next) {
            agent__write_skip(out, w->next, held - 1, "the agent's spool was full");
            a->skipped += held - w->next;
            n = (uint32_t)(held - w->next);
            break;
        }
        buf_clear(out);
        buf_addf(out, "{\"type\":\"lines\",\"first\":%llu}\n", (unsigned long long)w->next);
        head = out->len;
        n = spool_read(a->spool, w->next, AGENT_BATCH_LINES_MAX,
                       unsent > AGENT_CATCHUP_LINES ? AGENT_CATCHUP_BYTES : AGENT_BATCH_BYTES, out);
        if (n && out->len > head) {
            held = w->next + n;
            break;
        }
    } /* nothing came: the spool has made a hole there, which is told by skip */
    a->lines_us = now_us;
    window_sent(w, held - 1, out->len, now_us);
    return 1;
}

static int next_progress(struct agent *a, int64_t now_us, struct buf *out, int64_t *due_us)
{
    for (unsigned i = 0; i < AGENT_STREAMS; i++) {
        struct agent_live *live = &a->live[i];

        if (!live->is_new)
            continue;
        if (now_us < a->progress_us + AGENT_PROGRESS_US) {
            sooner(due_us, a->progress_us + AGENT_PROGRESS_US);
            return 0;
        }
        live->is_new = 0;
        a->progress_us = now_us;
        agent__write_progress(out, a->o.rank, live->text.data, live->text.len);
        return 1;
    }
    return 0;
}

/* One a turn, behind the lines; an ending agent says no more. */
static int next_sample(struct agent *a, int64_t now_us, struct buf *out)
{
    if (!a->samples_count || a->has_end)
        return 0;
    agent__write_sample(out, a->samples[a->samples_first].text, now_us - a->samples[a->samples_first].taken_us);
    drop_sample(a);
    return 1;
}

static int next_end(struct agent *a, int64_t now_us, struct buf *out, int64_t *due_us)
{
    if (!a->has_end || a->window.accepted < spool_last(a->spool))
        return 0;
    if (a->end.has_state && !a->final_done) {
        if (a->final_sent)
            return 0;
        if (now_us < a->state_retry_us) {
            sooner(due_us, a->state_retry_us);
            return 0;
        }
        agent__write_final(out, &a->end, a->o.rank);
        a->final_sent = 1;
        sent_state(a, 1);
        return 1;
    }
    if (!a->end.fin || a->fin_done || a->fin_sent)
        return 0;
    if (now_us < a->window.busy_until_us) {
        sooner(due_us, a->window.busy_until_us);
        return 0;
    }
    /* a damaged spool may know less than the server */
    agent__write_fin(out,
                     spool_last(a->spool) > a->window.accepted ? spool_last(a->spool)
                                                               : a->window.accepted,
                     &a->end);
    a->fin_sent = 1;
    return 1;
}

/* Larger messages are sent as one zstd frame. Either way binary: what a job writes need not be UTF-8. */
static void pack(struct buf *out)
{
    struct buf packed = BUF_INIT;

    if (out->len <= AGENT_PACK_BYTES || pack_zstd(&packed, out->data, out->len, 1) < 0 ||
        packed.len >= out->len) {
        buf_release(&packed);
        return;
    }
    buf_clear(out);
    buf_add(out, packed.data, packed.len);
    buf_release(&packed);
}

int agent_next(struct agent *a, int64_t now_us, struct buf *out, int *ret_binary,
               int64_t *ret_due_us)
{
    int is_lines = 0, found = 0;

    *ret_binary = 0;
    *ret_due_us = AGENT_NEVER;
    lock(a);
    a->is_woken = 0;
    if (!a->is_connected || a->phase == AGENT_DONE || a->phase == AGENT_REFUSED) {
    } else if (!a->hello_sent) {
        agent__write_hello(out, &a->o);
        a->hello_sent = found = 1;
    } else if (!a->is_welcome) {
    } else if (!a->running_done && !a->states_count && now_us >= a->state_retry_us) {
        agent__write_running(out, a->o.rank);
        sent_state(a, 0);
        found = 1;
    } else if (next_lines(a, now_us, out, ret_due_us)) {
        found = is_lines = 1;
    } else {
        found = next_progress(a, now_us, out, ret_due_us) || next_sample(a, now_us, out) ||
                next_end(a, now_us, out, ret_due_us);
        if (!a->running_done && a->state_retry_us > now_us)
            sooner(ret_due_us, a->state_retry_us);
    }
    unlock(a);
    if (is_lines)
        pack(out);
    *ret_binary = is_lines;
    return found;
}

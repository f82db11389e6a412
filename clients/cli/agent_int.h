/*
 * clients/cli/agent_int.h -- inside the agent: shared by agent.c (owner, network) and agent_message.c (texts).
 */
#ifndef CLIENTS_CLI_AGENT_INT_H
#define CLIENTS_CLI_AGENT_INT_H

#include "clients/cli/agent.h"
#include "clients/cli/backoff.h"
#include "clients/cli/window.h"

#include <pthread.h>

#define AGENT_STATES_MAX 4 /* state messages that wait for their answer */

struct agent_live {
    struct buf text;
    int is_new;
};

/* A sample that waits: the members of its message, and when it was taken. */
struct agent_held_sample {
    char *text;
    int64_t taken_us;
};

struct agent {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct agent_options o;
    struct spool *spool;
    struct window window;
    struct backoff backoff;
    enum agent_phase phase;
    char why[256];
    int is_hopeless;
    int64_t away_us, connect_us;
    void (*wake)(void *user);
    void *wake_user;
    int is_woken;
    struct buf scratch; /* of the owner */
    struct agent_live live[AGENT_STREAMS];
    int64_t progress_us, lines_us; /* when such a message went out last */
    uint64_t skipped;
    /* this connection */
    int is_connected, is_welcome, hello_sent;
    int final_sent, fin_sent;
    int is_final[AGENT_STATES_MAX]; /* of each state message that waits for its answer, in order */
    unsigned states_count;
    int64_t state_retry_us;
    /* for good */
    int running_done, final_done, fin_done, has_end;
    struct agent_end end;
    int refusals;
    uint64_t refused_at; /* accepted when it was refused last */
    enum job_state job_state;
    int knows_job_state;
    int stop_fd, is_stopped; /* told */
    struct agent_held_sample samples[AGENT_SAMPLES_MAX]; /* a ring */
    unsigned samples_first, samples_count;
};

/* Messages, each complete in out. */
void agent__write_hello(struct buf *out, const struct agent_options *o);
void agent__write_running(struct buf *out, int32_t rank);
void agent__write_final(struct buf *out, const struct agent_end *e, int32_t rank);
/* The members of a sample's message but age_ms; and the message. */
void agent__write_measures(struct buf *out, const struct node_about *about, const struct node_sample *sample);
void agent__write_sample(struct buf *out, const char *measures, int64_t age_us);
void agent__write_skip(struct buf *out, uint64_t from, uint64_t to, const char *reason);
void agent__write_fin(struct buf *out, uint64_t last, const struct agent_end *e);
void agent__write_progress(struct buf *out, int32_t rank, const char *text, size_t len);
/* From server to agent: one message; a->lock is held. ERR_PROTOCOL. */
int agent__read(struct agent *a, const char *data, size_t len, int64_t now_us);
/* Tell the owner that the job was stopped, once, when that is known. */
void agent__tell_stop(struct agent *a);
void agent__set_phase(struct agent *a, enum agent_phase phase);
int agent__is_done(const struct agent *a);

#endif

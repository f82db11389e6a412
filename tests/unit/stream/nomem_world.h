/*
 * tests/unit/stream/nomem_world.h -- sweeps of failing allocations over a stream: a redis-server of the parent (redis_world.h),
 * and a loop and a stream of its own in each child, since neither survives a fork.
 *
 *     parent   w: embedded redis-server     after(): reads what the child left
 *     child    mine: a foreign stream on it; what it was told goes to *told, shared memory
 *
 * Nothing is asserted in a child: cmocka would run on as a test there. It ends with a number of its own instead:
 *     70..79 a wrong answer    80 a call without an answer    81 Redis was not reached with all memory
 */
#ifndef TESTS_UNIT_STREAM_NOMEM_WORLD_H
#define TESTS_UNIT_STREAM_NOMEM_WORLD_H

#include "tests/unit/stream/redis_world.h"

#include "tests/unit/nomem.h"

#include "stream/conn_int.h"

#include <fcntl.h>
#include <sys/socket.h>

#define CHILD_ANSWER_MS 30000 /* a call ends by itself after 10 s; slower with a sanitizer */
#define INSIST_MAX 10
/* Of two or three thousand runs of 20 ms to 1 s each (a hub that was refused looks again after one), in `make test`. */
#define STREAM_STRIDE 11

static struct world w, mine;
static long run_number; /* names what each run writes; counted by the parent */

/* What a child was told, in memory that it shares with the parent: zero at its start. */
struct told {
    uint64_t acked; /* the producer's lines up to this are stored */
    int done[8];    /* of a scenario's own steps */
    uint64_t number[4];
};
static struct told *told;

static inline void world_of_parent(void)
{
    nomem_also = "EVP_Digest"; /* the name of the script, when a connection is opened: without it there is none */
    nomem_stride = STREAM_STRIDE;
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
    world_prepare(&w);
    w.opts.drain_us = INT64_C(3600000000); /* nothing is sealed by the parent */
    world_start(&w);
}

/* The parent's words after each run. */
static inline void next_run(void)
{
    run_number++;
    memset(told, 0, sizeof *told);
}

static inline const char *job_of_run(const char *kind)
{
    static char name[64];

    snprintf(name, sizeof name, "%s-%ld", kind, run_number);
    return name;
}

/* ---- in the child ---- */
static inline struct job_key key_of_run(const char *kind)
{
    struct job_key k;
    const char *name = job_of_run(kind);

    if (job_key_make(&k, "default", 7, name, strlen(name)) < 0) _exit(79);
    return k;
}

static inline void child_await(int (*cond)(void *arg), void *arg)
{
    if (!world_until(&mine, cond, arg, CHILD_ANSWER_MS)) _exit(80);
}

static inline int is_named(void *st)
{
    return stream_redis_round(st) != 0;
}

#define CHILD_FDS 256
static char was_open[CHILD_FDS]; /* before it connected */

/* Connect, all of it counted. */
static inline void child_connect(const struct stream_past *past, int64_t drain_us)
{
    char why[200];

    long held = nomem_at;

    nomem_at = 0;
    memset(&mine, 0, sizeof mine);
    for (int fd = 0; fd < CHILD_FDS; fd++) was_open[fd] = fcntl(fd, F_GETFD) >= 0;
    if (uv_loop_init(&mine.loop) != 0) _exit(81);
    uv_timer_init(&mine.loop, &mine.turn);
    mine.opts = (struct stream_options){
        .loop = &mine.loop, .url = embedded_url(w.st->embedded), .drain_us = drain_us, .past = past, .node = "child"};
    log_setup(LOG_ERROR + 1, LOG_FORMAT_TEXT); /* the last words are looked at */
    nomem_at = held;
    if (stream_open(&mine.opts, why, sizeof why, &mine.st) < 0) _exit(81);
    child_await(world_is_ready, mine.st);
    child_await(is_named, mine.st);
}

/* Connect with all memory; from here on it is counted. */
static inline void child_open(const struct stream_past *past, int64_t drain_us)
{
    nomem_pause();
    child_connect(past, drain_us);
    nomem_begin();
}

static inline int child_close(int err)
{
    int closed = 0;

    stream_close(&mine.st, on_world_closed, &closed);
    child_await(world_is_set, &closed);
    return err;
}

/* As a cable pulled: the stream finds its connections broken. Sockets that were there before are the parent's. */
static inline void child_cut(void)
{
    for (int fd = 3; fd < CHILD_FDS; fd++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;

        if (!was_open[fd] && getpeername(fd, (struct sockaddr *)&peer, &len) == 0) shutdown(fd, SHUT_RDWR);
    }
}

/* Made with all memory: batches come out of ingest/, which has a sweep of its own. */
static inline struct batch *child_batch(const char *producer, uint64_t first, uint32_t n)
{
    long held = nomem_at;
    struct batch *b;

    nomem_at = 0;
    b = world_batch(producer, 1, first, n, 0);
    nomem_at = held;
    return b;
}

static inline struct append_result child_append(const struct job_key *key, struct batch *b)
{
    struct world_append a = {0};

    stream_append(mine.st, key, &b, on_world_append, &a);
    child_await(world_is_set, &a.done);
    if (a.calls != 1) _exit(70);
    return a.res;
}

static inline void note_ack(const struct append_result *res, uint64_t last)
{
    if (res->err < 0) return;
    if (res->producer_last != last || res->accepted + res->duplicates == 0) _exit(71);
    if (told->acked < last) told->acked = last;
}

/* As a producer does it: the same lines until they are acknowledged. The first error, or 0. */
static inline int child_insist(const struct job_key *key, const char *producer, uint64_t first, uint32_t n)
{
    int first_err = 0;

    for (int i = 0; i < INSIST_MAX; i++) {
        struct append_result res = child_append(key, child_batch(producer, first, n));

        note_ack(&res, first + n - 1);
        if (res.err == 0) return first_err;
        if (res.err == ERR_GAP || res.err == ERR_FENCED || res.err == ERR_SEALED) _exit(72);
        first_err = first_err ? first_err : res.err;
        child_await(world_is_ready, mine.st);
    }
    _exit(73);
}

/* Of frames that hold a producer's lines alone, numbered as they are: each record says its own number. */
static inline uint64_t child_check_frame(const struct frame *f, const char *producer, uint64_t after)
{
    long held = nomem_at;
    const char *line;
    size_t pos = 0, len;
    uint64_t seq = f->first_seq;
    char want[64];

    nomem_at = 0;
    for (; frame_next_line(f, &pos, &line, &len); seq++) {
        struct buf msg = BUF_INIT;
        struct record_view v;

        if (record_parse(line, len, &v) < 0 || v.seq != seq) _exit(74);
        if (seq <= after) continue;
        if (seq != after + 1) _exit(75);
        after = seq;
        snprintf(want, sizeof want, "%s:%llu", producer, (unsigned long long)seq);
        record_msg(&v, &msg);
        if (!v.is_state && strcmp(buf_cstr(&msg), want) != 0) _exit(76);
        buf_release(&msg);
    }
    nomem_at = held;
    return after;
}

/* ---- in the parent ---- */

/* Whatever is in Redis of a run's job: its records follow each other, the producer's lines are there in order and once, and
 * at least those acknowledged. */
static inline void check_stored(const char *kind, const char *producer)
{
    struct world_read r = world_read_all(&w, job_of_run(kind));
    const char *at = buf_cstr(&r.text);
    uint64_t last = 0;
    size_t len = strlen(producer);

    assert_true(r.err == 0 || (r.err == ERR_NOT_FOUND && told->acked == 0));
    assert_int_equal(r.torn, 0);
    assert_int_equal(r.after, r.tail);
    for (; *at; at = strchr(at, '\n') + 1) {
        if (strncmp(at, producer, len) != 0 || at[len] != ':') continue;
        assert_int_equal(strtoull(at + len + 1, NULL, 10), last + 1);
        last++;
    }
    assert_true(last >= told->acked);
    buf_release(&r.text);
}

/* How often a line is there. */
static inline unsigned times_stored(const char *kind, const char *line)
{
    struct world_read r = world_read_all(&w, job_of_run(kind));
    unsigned n = 0;
    size_t len = strlen(line);

    for (const char *at = buf_cstr(&r.text); *at; at = strchr(at, '\n') + 1)
        n += strncmp(at, line, len) == 0 && at[len] == '\n';
    buf_release(&r.text);
    return n;
}

static inline void assert_swept(int (*scenario)(void), void (*after)(enum nomem_outcome outcome), long at_least)
{
    int64_t began_us = clock_mono_us();
    long runs;

    memset(told, 0, sizeof *told);
    runs = nomem_sweep(scenario, after);
    assert_true(runs > (NOMEM_ACTIVE ? at_least : 0));
    print_message("%ld allocations, every %ld., in %lld ms\n", runs, nomem_step(),
                  (long long)(clock_mono_us() - began_us) / 1000);
}

#endif

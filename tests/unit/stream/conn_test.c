/*
 * tests/unit/stream/conn_test.c -- the connection against a Redis that misbehaves: loading, killed, full,
 * read-only, silent, lying.
 */
#include "tests/unit/stream/redis_world.h"
#include "stream/known.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#define NEEDS_REDIS() do { if (!world_has_redis()) skip(); } while (0)

static struct stream_stats stats_of(struct world *w)
{
    struct stream_stats s;

    stream_stats(w->st, &s);
    return s;
}

/* ---- appends from several producers, windowed, rewinding on GAP: a small agent ---- */
#define AGENTS 4
struct agent {
    struct world *w;
    struct job_key key;
    char name[8];
    uint64_t epoch, next, acked; /* sequences */
    int out, stop;
    uint64_t failures, gaps;
};

static void agent_send(struct agent *a);

static void on_agent(void *user, const struct append_result *res)
{
    struct agent *a = user;

    a->out--;
    if (res->err == 0) {
        if (res->producer_last > a->acked)
            a->acked = res->producer_last;
    } else {
        a->failures++;
        a->gaps += res->err == ERR_GAP;
        a->next = a->acked + 1;
    }
    if (!a->stop)
        agent_send(a);
}

static void agent_send(struct agent *a)
{
    while (a->out < 4) {
        struct batch *b = world_batch(a->name, a->epoch, a->next, 5, 0);

        a->next += 5;
        a->out++;
        stream_append(a->w->st, &a->key, &b, on_agent, a);
    }
}

static int agents_idle(void *arg)
{
    struct agent *a = arg;

    for (int i = 0; i < AGENTS; i++)
        if (a[i].out)
            return 0;
    return 1;
}

static void check_log(struct world *w, struct agent *a, const char *job)
{
    struct world_read all = world_read_all(w, job);
    uint64_t next[AGENTS] = {0};
    char *save = NULL;

    assert_int_equal(all.err, 0);
    assert_int_equal(all.torn, 0);
    for (char *line = strtok_r(all.text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        int p = line[1] - '0';

        if (strtoull(line + 3, NULL, 10) != next[p] + 1)
            print_error("after %llu came %s\n", (unsigned long long)next[p], line);
        assert_int_equal(strtoull(line + 3, NULL, 10), next[p] + 1);
        next[p]++;
    }
    for (int p = 0; p < AGENTS; p++)
        assert_true(next[p] >= a[p].acked);
    buf_release(&all.text);
}

static void kill_redis_under_load(void **state)
{
    /* kill -9 of Redis under load, six times: every acked line is there, once and in order; it comes back by itself. */
    struct world w;
    struct agent a[AGENTS];
    uint64_t mark = 0;

    NEEDS_REDIS();
    world_prepare(&w);
    w.opts.durability = DURABILITY_DURABLE;
    world_start(&w);
    memset(a, 0, sizeof a);
    for (int i = 0; i < AGENTS; i++) {
        a[i].w = &w;
        a[i].key = world_key("load");
        snprintf(a[i].name, sizeof a[i].name, "p%d", i);
        a[i].next = 1;
        a[i].epoch = 1;
    }
    for (int round = 0; round < 6; round++) {
        int64_t end;

        mark = 0;
        for (int i = 0; i < AGENTS; i++)
            agent_send(&a[i]);
        for (int i = 0; i < AGENTS; i++)
            mark = a[i].acked > mark ? a[i].acked : mark;
        mark += 50;
        end = clock_mono_us() + 15000000;
        while (clock_mono_us() < end) {
            int past = 1;

            for (int i = 0; i < AGENTS; i++)
                past &= a[i].acked >= mark;
            if (past)
                break;
            uv_run(&w.loop, UV_RUN_ONCE);
        }
        assert_true(clock_mono_us() < end);
        kill(embedded_pid(w.st->embedded), SIGKILL);
    }
    for (int i = 0; i < AGENTS; i++)
        a[i].stop = 1;
    assert_true(world_until(&w, agents_idle, a, 20000));
    assert_true(world_until(&w, world_is_ready, w.st, 10000));
    check_log(&w, a, "load");
    assert_int_equal(stats_of(&w).embedded_restarts, 6);
    assert_int_equal(stream_durability(w.st), DURABILITY_DURABLE);
    world_close(&w);
}

static void a_flushed_script_is_loaded_again(void **state)
{
    /* SCRIPT FLUSH in mid-run costs nothing but a reload: no append fails, order stays. */
    struct world w;
    struct world_read all;

    NEEDS_REDIS();
    world_open(&w);
    for (int i = 0; i < 20; i++) {
        struct world_append a[10];
        struct job_key key = world_key("flush");

        memset(a, 0, sizeof a);
        conn_words(w.st->cmd, 0, NULL, NULL, "SCRIPT", "FLUSH", NULL);
        for (int k = 0; k < 10; k++) {
            struct batch *b = world_batch("", 0, (uint64_t)(i * 10 + k), 1, 0);

            stream_append(w.st, &key, &b, on_world_append, &a[k]);
        }
        assert_true(world_until(&w, world_is_set, &a[9].done, 10000));
        for (int k = 0; k < 10; k++)
            assert_int_equal(a[k].res.err, 0);
    }
    all = world_read_all(&w, "flush");
    assert_int_equal(all.lines, 200);
    assert_int_equal(strncmp(buf_cstr(&all.text), ":0\n:1\n:2\n:3\n:4\n:5\n:6\n:7\n:8\n:9\n:10\n", 34), 0);
    assert_true(stats_of(&w).redis_errors_noscript >= 20);
    buf_release(&all.text);
    world_close(&w);
}

static void error_replies_have_names(void **state)
{
    /* OOM is ERR_FULL, READONLY ERR_READONLY, MISCONF ERR_IO; nothing is stored; the end of a job still works when full. */
    struct world w;
    struct world_state s;

    NEEDS_REDIS();
    world_open(&w);
    assert_int_equal(world_append(&w, "err", "p", 1, 1, 1).err, 0);
    world_fin(&w, "err", "p", 1, 1, 0);
    world_redis(&w, "CONFIG SET maxmemory 1mb");
    assert_int_equal(world_append(&w, "err", "p", 1, 2, 1).err, ERR_FULL);
    assert_int_equal(world_append(&w, "err2", "p", 1, 1, 1).err, ERR_FULL);
    assert_int_equal(world_append(&w, "err", "p", 1, 1, 1).err, 0); /* a repeat is a repeat */
    s = world_change(&w, "err", STATE_COMPLETED);
    assert_int_equal(s.err, 0);
    assert_string_equal(world_redis(&w, "HMGET jl:{default/err}:meta sealed seq"), "1 2");
    world_redis(&w, "CONFIG SET maxmemory 0");
    assert_int_equal(world_append(&w, "err2", "p", 1, 1, 1).err, 0);
    world_redis(&w, "REPLICAOF 127.0.0.1 1");
    assert_int_equal(world_append(&w, "err2", "p", 1, 2, 1).err, ERR_READONLY);
    world_redis(&w, "REPLICAOF NO ONE");
    world_redis(&w, "CONFIG SET min-replicas-to-write 1");
    assert_int_equal(world_append(&w, "err2", "p", 1, 2, 1).err, ERR_UNAVAILABLE);
    world_redis(&w, "CONFIG SET min-replicas-to-write 0");
    assert_int_equal(world_append(&w, "err2", "p", 1, 2, 1).err, 0);
    assert_int_equal(stats_of(&w).redis_errors_oom, 2);
    assert_int_equal(stats_of(&w).redis_errors_readonly, 1);
    world_close(&w);
}

static void replicated_counts_replicas(void **state)
{
    /* Class replicated without a replica: a producer that can send again is told "later" and its lines are held once; others
     * are told the class that was reached; stream_ready says why. */
    struct world w;
    struct append_result r;
    char why[256];

    NEEDS_REDIS();
    world_prepare(&w);
    w.opts.durability = DURABILITY_REPLICATED;
    world_start(&w);
    r = world_append(&w, "rep", "p", 1, 1, 1);
    assert_int_equal(r.err, ERR_UNAVAILABLE);
    assert_int_equal(r.first, 1);
    r = world_append(&w, "rep", "p", 1, 1, 1);
    assert_int_equal(r.err, ERR_UNAVAILABLE);
    assert_int_equal(r.duplicates, 1);
    r = world_append(&w, "rep", "", 0, 0, 1);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.durability, DURABILITY_DURABLE);
    assert_int_equal(stream_ready(w.st, why, sizeof why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why, "no replica"));
    world_close(&w);
}

static void a_stopped_redis_times_out(void **state)
{
    /* Redis stopped by SIGSTOP: the call ends within its limit, and an append with a sequence is repeated safely. */
    struct world w;
    struct world_append a = {0};
    struct job_key key = world_key("stop");
    struct batch *b;
    int pid;

    NEEDS_REDIS();
    world_open(&w);
    world_append(&w, "stop", "p", 1, 1, 1);
    pid = embedded_pid(w.st->embedded);
    w.st->call_us_max = 1500000;
    kill(pid, SIGSTOP);
    b = world_batch("p", 1, 2, 1, 0);
    stream_append(w.st, &key, &b, on_world_append, &a);
    assert_true(world_until(&w, world_is_set, &a.done, 3000));
    assert_true(a.res.err == ERR_UNAVAILABLE || a.res.err == ERR_TIMEOUT);
    kill(pid, SIGCONT);
    assert_true(world_until(&w, world_is_ready, w.st, 10000));
    assert_int_equal(world_append(&w, "stop", "p", 1, 2, 1).err, 0);
    assert_string_equal(world_redis(&w, "HGET jl:{default/stop}:meta seq"), "2");
    world_close(&w);
}

/* ---- a small Redis that says what it is told ---- */
struct fake {
    uv_tcp_t server;
    uv_loop_t *loop;
    int port, loading, scripts, evals, mute, drop_evals;
    const char *eval_reply;
    uv_shutdown_t bye;
    uv_tcp_t clients[8];
    int client_count, closed;
    char in[8][1 << 16];
    size_t in_len[8];
};

static void on_fake_written(uv_write_t *req, int status)
{
    free(req->data);
    free(req);
}

static void fake_say(uv_stream_t *to, const char *text)
{
    uv_write_t *req = calloc(1, sizeof *req);
    uv_buf_t buf;

    req->data = strdup(text);
    buf = uv_buf_init(req->data, (unsigned)strlen(text));
    if (uv_write(req, to, &buf, 1, on_fake_written) < 0) /* shut down already */
        on_fake_written(req, 0);
}

static void fake_answer(struct fake *f, uv_stream_t *to, const char *verb)
{
    if (f->mute)
        return;
    if (strcasecmp(verb, "SCRIPT") == 0) {
        f->scripts++;
        fake_say(to, f->loading ? "-LOADING Redis is loading the dataset in memory\r\n" : "+sha\r\n");
    } else if (strcasecmp(verb, "EVALSHA") == 0) {
        f->evals++;
        if (f->drop_evals > 0) { /* taken, perhaps done, never answered */
            f->drop_evals--;
            uv_shutdown(&f->bye, to, NULL);
        } else {
            fake_say(to, f->eval_reply);
        }
    } else if (strcasecmp(verb, "CONFIG") == 0 || strcasecmp(verb, "ZRANGE") == 0 ||
               strcasecmp(verb, "ZRANGEBYSCORE") == 0) {
        fake_say(to, "*0\r\n");
    } else {
        fake_say(to, "+OK\r\n");
    }
}

/* One whole command from the front of in: its length, 0 when more is needed; verb set. */
static size_t fake_take(const char *in, size_t len, char verb[32])
{
    const char *p = in, *end = in + len, *nl;
    long argc, n;

    nl = memchr(p, '\n', (size_t)(end - p));
    if (!nl || *p != '*')
        return 0;
    argc = strtol(p + 1, NULL, 10);
    p = nl + 1;
    for (long i = 0; i < argc; i++) {
        nl = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        if (!nl)
            return 0;
        n = strtol(p + 1, NULL, 10);
        if (end - nl - 1 < n + 2)
            return 0;
        if (i == 0)
            snprintf(verb, 32, "%.*s", (int)n, nl + 1);
        p = nl + 1 + n + 2;
    }
    return (size_t)(p - in);
}

static void on_fake_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct fake *f = h->data;
    int i = (int)((uv_tcp_t *)h - f->clients);

    *buf = uv_buf_init(f->in[i] + f->in_len[i], (unsigned)(sizeof f->in[i] - f->in_len[i]));
}

static void on_fake_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct fake *f = s->data;
    int i = (int)((uv_tcp_t *)s - f->clients);
    char verb[32];
    size_t used;

    if (n < 0) {
        uv_read_stop(s);
        return;
    }
    f->in_len[i] += (size_t)n;
    while ((used = fake_take(f->in[i], f->in_len[i], verb)) > 0) {
        f->in_len[i] -= used;
        memmove(f->in[i], f->in[i] + used, f->in_len[i]);
        fake_answer(f, s, verb);
    }
}

static void on_fake_connection(uv_stream_t *server, int status)
{
    struct fake *f = server->data;
    uv_tcp_t *c = &f->clients[f->client_count++ % 8];

    assert_true(f->client_count <= 8);
    uv_tcp_init(f->loop, c);
    c->data = f;
    uv_accept(server, (uv_stream_t *)c);
    uv_read_start((uv_stream_t *)c, on_fake_alloc, on_fake_read);
}

static void fake_open(struct fake *f, uv_loop_t *loop)
{
    struct sockaddr_in addr;
    int len = sizeof addr;

    memset(f, 0, sizeof *f);
    f->loop = loop;
    f->eval_reply = "*10\r\n$2\r\nOK\r\n:1\r\n:1\r\n:1\r\n:0\r\n:1\r\n$7\r\nRUNNING\r\n:0\r\n:0\r\n$1\r\n9\r\n";
    uv_tcp_init(loop, &f->server);
    f->server.data = f;
    uv_ip4_addr("127.0.0.1", 0, &addr);
    assert_int_equal(uv_tcp_bind(&f->server, (struct sockaddr *)&addr, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&f->server, 8, on_fake_connection), 0);
    uv_tcp_getsockname(&f->server, (struct sockaddr *)&addr, &len);
    f->port = ntohs(addr.sin_port);
}

static void fake_close(struct fake *f)
{
    uv_close((uv_handle_t *)&f->server, NULL);
    for (int i = 0; i < f->client_count; i++)
        uv_close((uv_handle_t *)&f->clients[i], NULL);
}

static void fake_world(struct world *w, struct fake *f, char url[64])
{
    char why[200];

    world_prepare(w);
    fake_open(f, &w->loop);
    snprintf(url, 64, "redis://user:p%%40ss@127.0.0.1:%d/2", f->port);
    w->opts.url = url;
    f->loading = 1;
    assert_int_equal(stream_open(&w->opts, why, sizeof why, &w->st), 0);
}

static int has_asked(void *arg)
{
    return ((struct fake *)arg)->scripts >= 3;
}

static void loading_is_waited_out(void **state)
{
    /* While Redis is LOADING calls wait and readyz says why; when it is done they are answered. */
    static struct fake f;
    struct world w;
    struct world_append a = {0};
    struct job_key key = world_key("load");
    struct batch *b = world_batch("p", 1, 1, 1, 0);
    char url[64], why[200];

    fake_world(&w, &f, url);
    stream_append(w.st, &key, &b, on_world_append, &a);
    assert_true(world_until(&w, has_asked, &f, 5000));
    assert_int_equal(a.done, 0);
    assert_int_equal(f.evals, 0);
    assert_int_equal(stream_ready(w.st, why, sizeof why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why, "LOADING"));
    assert_int_equal(stats_of(&w).loading, 1);
    f.loading = 0;
    assert_true(world_until(&w, world_is_set, &a.done, 5000));
    assert_int_equal(a.res.err, 0);
    assert_int_equal(a.res.durability, DURABILITY_ACCEPTED);
    assert_true(stats_of(&w).redis_errors_loading >= 3);
    fake_close(&f);
    world_close(&w);
}

static void transient_errors_end_at_the_deadline(void **state)
{
    /* A Redis that stays BUSY: retried, then ERR_UNAVAILABLE when the call's time is over, never an ack. */
    static struct fake f;
    struct world w;
    struct world_append a = {0};
    struct job_key key = world_key("busy");
    struct batch *b = world_batch("p", 1, 1, 1, 0);
    char url[64];
    int64_t start = clock_mono_us();

    fake_world(&w, &f, url);
    f.loading = 0;
    w.st->call_us_max = 1500000;
    f.eval_reply = "-BUSY Redis is busy running a script\r\n";
    stream_append(w.st, &key, &b, on_world_append, &a);
    assert_true(world_until(&w, world_is_set, &a.done, 3000));
    assert_int_equal(a.res.err, ERR_UNAVAILABLE);
    assert_true(clock_mono_us() - start >= 1400000);
    assert_true(f.evals > 3);
    b = world_batch("p", 1, 1, 1, 0);
    f.eval_reply = "-MISCONF Errors writing to the AOF file: No space left on device\r\n";
    assert_true(world_until(&w, world_is_ready, w.st, 5000));
    assert_int_equal(world_append_batch(&w, "busy", b).err, ERR_FULL);
    b = world_batch("p", 1, 1, 1, 0);
    f.eval_reply = "-MISCONF Errors writing to the AOF file: Input/output error\r\n";
    assert_int_equal(world_append_batch(&w, "busy", b).err, ERR_IO);
    b = world_batch("p", 1, 1, 1, 0);
    f.eval_reply = "$3\r\nwat\r\n";
    assert_int_equal(world_append_batch(&w, "busy", b).err, ERR_PROTOCOL);
    fake_close(&f);
    world_close(&w);
}

static void an_unknown_outcome_is_repeated_only_with_a_sequence(void **state)
{
    /* Connection lost after sending: an anonymous append is not sent again, one with a sequence is. */
    static struct fake f;
    struct world w;
    struct batch *b = world_batch("", 0, 1, 1, 0);
    char url[64];

    fake_world(&w, &f, url);
    f.loading = 0;
    f.drop_evals = 1;
    assert_int_equal(world_append_batch(&w, "unknown", b).err, ERR_UNAVAILABLE);
    assert_int_equal(f.evals, 1);
    f.drop_evals = 1;
    b = world_batch("p", 1, 1, 1, 0);
    assert_int_equal(world_append_batch(&w, "unknown", b).err, 0);
    assert_int_equal(f.evals, 3);
    fake_close(&f);
    world_close(&w);
}

static int is_away(void *st)
{
    char why[200];

    return stream_ready(st, why, sizeof why) < 0;
}

static void a_half_open_connection_is_noticed(void **state)
{
    /* A peer that goes silent while nothing is asked of it is noticed by PING, on both connections. */
    static struct fake f;
    struct world w;
    char url[64];

    fake_world(&w, &f, url);
    f.loading = 0;
    assert_true(world_until(&w, world_is_ready, w.st, 5000));
    f.mute = 1;
    uv_timer_stop(&w.st->tick); /* no INFO: only PING asks */
    assert_true(world_until(&w, is_away, w.st, 10000));
    assert_true(stats_of(&w).reconnects >= 1);
    fake_close(&f);
    world_close(&w);
}

static void too_much_in_flight_is_busy(void **state)
{
    /* Over STREAM_INFLIGHT_BYTES_MAX a call is ERR_BUSY at once; closing answers every call once. */
    static struct fake f;
    static struct world_append a[80];
    struct world w;
    struct job_key key = world_key("flood");
    char url[64], *big, *none = NULL;
    int busy = 0;

    fake_world(&w, &f, url);
    memset(a, 0, sizeof a);
    known__reset(w.st, &key, 1, 0);
    for (int i = 0; i < 80; i++) {
        struct batch *b = batch_new();
        struct frame_summary sum;

        frame_summary_init(&sum);
        frame_summary_add(&sum, 1, 0, LEVEL_NONE);
        big = calloc(1, 1 << 20);
        assert_int_equal(batch_add_frame(b, &sum, &big, 1 << 20, &none, 0), 0);
        b->line_count = 1;
        stream_append(w.st, &key, &b, on_world_append, &a[i]);
    }
    assert_true(world_until(&w, world_is_set, &a[79].done, 2000));
    for (int i = 0; i < 80; i++)
        busy += a[i].done && a[i].res.err == ERR_BUSY;
    assert_in_range(busy, 15, 18);
    assert_int_equal(a[0].done, 0);
    fake_close(&f);
    world_stop(&w);
    for (int i = 0; i < 80; i++)
        assert_int_equal(a[i].calls, 1);
    world_close(&w);
}

static void urls_are_checked(void **state)
{
    /* A bad URL is refused with a sentence. */
    static const char *const bad[] = {"http://x", "redis://", "redis://h:0x1", "redis://h:99999", "unix://rel", "redis://h/x"};
    struct world w;

    world_prepare(&w);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char why[200] = "";

        w.opts.url = bad[i];
        assert_int_equal(stream_open(&w.opts, why, sizeof why, &w.st), ERR_INVALID);
        assert_true(strlen(why) > 10);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_redis_under_load),
        cmocka_unit_test(a_flushed_script_is_loaded_again),
        cmocka_unit_test(error_replies_have_names),
        cmocka_unit_test(replicated_counts_replicas),
        cmocka_unit_test(a_stopped_redis_times_out),
        cmocka_unit_test(loading_is_waited_out),
        cmocka_unit_test(transient_errors_end_at_the_deadline),
        cmocka_unit_test(an_unknown_outcome_is_repeated_only_with_a_sequence),
        cmocka_unit_test(a_half_open_connection_is_noticed),
        cmocka_unit_test(too_much_in_flight_is_busy),
        cmocka_unit_test(urls_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

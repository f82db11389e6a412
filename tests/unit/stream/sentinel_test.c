/*
 * tests/unit/stream/sentinel_test.c -- a connection that asks sentinels, and what moving to another Redis means for logs.
 *
 * The sentinels are played here, on the loop of the test: late, lost, behind the others. The Redis servers are real.
 */
#include "tests/unit/stream/redis_world.h"

#include "stream/conn_address.h"

#include <arpa/inet.h>
#include <spawn.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define NEEDS_REDIS() do { if (!world_has_redis()) skip(); } while (0)

/* ---- URLs ---- */

static void a_url_of_sentinels_is_taken_apart(void **state)
{
    struct conn_address a;
    char why[300];

    assert_int_equal(conn_address_parse("redis+sentinel://u:p%40ss@s1,s2:5000,[::1]:7/my%20master/3?sentinel_username=su&"
                                        "sentinel_password=s%26p", &a, why, sizeof why), 0);
    assert_int_equal(a.sentinel_count, 3);
    assert_string_equal(a.sentinels[0].host, "s1");
    assert_int_equal(a.sentinels[0].port, 26379);
    assert_string_equal(a.sentinels[1].host, "s2");
    assert_int_equal(a.sentinels[1].port, 5000);
    assert_string_equal(a.sentinels[2].host, "::1");
    assert_int_equal(a.sentinels[2].port, 7);
    assert_string_equal(a.master, "my master");
    assert_int_equal(a.db, 3);
    assert_string_equal(a.user, "u");
    assert_string_equal(a.pass, "p@ss");
    assert_string_equal(a.sentinel_user, "su");
    assert_string_equal(a.sentinel_pass, "s&p");
    assert_int_equal(conn_address_parse("redis+sentinel://h/m", &a, why, sizeof why), 0);
    assert_true(a.sentinel_count == 1 && !a.pass[0] && !a.sentinel_pass[0] && a.db == 0);
    assert_int_equal(conn_address_parse("redis://:p?w@h:1/2", &a, why, sizeof why), 0);
    assert_string_equal(a.pass, "p?w");
    assert_int_equal(a.sentinel_count, 0);
}

static void bad_urls_say_what_and_where(void **state)
{
    /* … and never show a password. */
    static const struct {
        const char *url, *says;
    } bad[] = {
        {"redis+sentinel://h:1", "lacks the name"},
        {"redis+sentinel://h:1/", "lacks the name"},
        {"redis+sentinel://h:1,/m", "sentinel 2"},
        {"redis+sentinel://h:1,x:y/m", "sentinel 2 of the Redis URL is not valid: \"x:y\""},
        {"redis+sentinel://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q/m", "more than 16 sentinels"},
        {"redis+sentinel://h/m/x", "database"},
        {"redis+sentinel://h/m?secret", "option 1"},
        {"redis+sentinel://h/m?sentinel_password=a&secret", "option 2"},
        {"redis+sentinel://:secret/x@h/m", "%2F"},
        {"redis://:secret/x@h", "%2F"},
        {"redis-sentinel://h:1#m", "redis+sentinel://"},
        {"redis://a:1,b:2", "redis+sentinel://"},
        {"http://x", "a Redis URL is"},
    };
    struct conn_address a;
    char why[400], big[CONN_URL_BYTES_MAX + 20];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(conn_address_parse(bad[i].url, &a, why, sizeof why), ERR_INVALID);
        if (!strstr(why, bad[i].says) || strstr(why, "secret"))
            print_error("%s: %s\n", bad[i].url, why);
        assert_non_null(strstr(why, bad[i].says));
        assert_null(strstr(why, "secret"));
    }
    memset(big, 'h', sizeof big);
    memcpy(big, "redis://", 8);
    big[sizeof big - 1] = '\0';
    assert_int_equal(conn_address_parse(big, &a, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "longer than"));
}

/* ---- sentinels ---- */

#define SENTINEL_LINKS_MAX 256
struct sentinel {
    uv_tcp_t server;
    uv_loop_t *loop;
    int port;       /* of its own */
    int mute, dumb; /* says nothing; knows no master */
    int master_port;
    uint64_t epoch;
    const char *pass; /* that it wants */
    int asked;
    uv_tcp_t links[SENTINEL_LINKS_MAX];
    int authed[SENTINEL_LINKS_MAX], link_count;
};

static void on_said(uv_write_t *req, int status)
{
    free(req->data);
    free(req);
}

static void say(uv_stream_t *to, const char *text)
{
    uv_write_t *req = calloc(1, sizeof *req);
    uv_buf_t buf;

    req->data = strdup(text);
    buf = uv_buf_init(req->data, (unsigned)strlen(text));
    if (uv_write(req, to, &buf, 1, on_said) < 0)
        on_said(req, 0);
}

static void sentinel_answer(struct sentinel *s, int link, const char *in)
{
    uv_stream_t *to = (uv_stream_t *)&s->links[link];
    char text[200], port[12];

    if (strstr(in, "AUTH")) {
        s->authed[link] = s->pass && strstr(in, s->pass) != NULL;
        say(to, s->authed[link] ? "+OK\r\n" : "-WRONGPASS invalid username-password pair\r\n");
    }
    if (s->pass && !s->authed[link]) {
        say(to, "-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n");
        return;
    }
    if (s->dumb) {
        say(to, "-ERR No such master with that name\r\n*-1\r\n");
        return;
    }
    assert_non_null(strstr(in, "mymaster"));
    snprintf(text, sizeof text, "%llu", (unsigned long long)s->epoch);
    snprintf(port, sizeof port, "%d", s->master_port);
    {
        char all[400];

        snprintf(all, sizeof all, "*4\r\n$4\r\nname\r\n$8\r\nmymaster\r\n$12\r\nconfig-epoch\r\n$%zu\r\n%s\r\n"
                                  "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(text), text, strlen(port), port);
        say(to, all);
    }
}

static void on_heard_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    static char in[4096];

    *buf = uv_buf_init(in, sizeof in - 1);
}

static void on_heard(uv_stream_t *from, ssize_t n, const uv_buf_t *buf)
{
    struct sentinel *s = from->data;

    if (n <= 0) {
        uv_read_stop(from);
        return;
    }
    buf->base[n] = '\0';
    s->asked++;
    if (!s->mute) /* a question comes whole: it is small, and written at once */
        sentinel_answer(s, (int)((uv_tcp_t *)from - s->links), buf->base);
}

static void on_link(uv_stream_t *server, int status)
{
    struct sentinel *s = server->data;
    uv_tcp_t *l = &s->links[s->link_count++];

    assert_true(s->link_count < SENTINEL_LINKS_MAX);
    uv_tcp_init(s->loop, l);
    l->data = s;
    uv_accept(server, (uv_stream_t *)l);
    uv_read_start((uv_stream_t *)l, on_heard_alloc, on_heard);
}

static void sentinel_open(struct sentinel *s, uv_loop_t *loop, int master_port)
{
    struct sockaddr_in addr;
    int len = sizeof addr;

    memset(s, 0, sizeof *s);
    s->loop = loop;
    s->master_port = master_port;
    s->epoch = 1;
    uv_tcp_init(loop, &s->server);
    s->server.data = s;
    uv_ip4_addr("127.0.0.1", 0, &addr);
    assert_int_equal(uv_tcp_bind(&s->server, (struct sockaddr *)&addr, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&s->server, 16, on_link), 0);
    uv_tcp_getsockname(&s->server, (struct sockaddr *)&addr, &len);
    s->port = ntohs(addr.sin_port);
}

static void sentinel_close(struct sentinel *s)
{
    uv_close((uv_handle_t *)&s->server, NULL);
    for (int i = 0; i < s->link_count; i++)
        uv_close((uv_handle_t *)&s->links[i], NULL);
}

/* ---- Redis ---- */

extern char **environ;

struct server {
    int port;
    pid_t pid;
};

static int free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    close(fd);
    return ntohs(addr.sin_port);
}

/* What redis-cli prints for words; "" when it cannot. */
static const char *ask(const struct server *s, const char *words)
{
    static char out[8192];
    char line[400];
    size_t n;
    FILE *f;

    snprintf(line, sizeof line, "redis-cli -h 127.0.0.1 -p %d %s 2>/dev/null", s->port, words);
    f = popen(line, "r");
    assert_non_null(f);
    n = fread(out, 1, sizeof out - 1, f);
    pclose(f);
    out[n] = '\0';
    out[strcspn(out, "\r\n")] = strstr(words, "INFO") || strstr(words, "LIST") ? '\n' : '\0';
    return out;
}

static void server_start(struct server *s, const char *dir, int master_port)
{
    char port[12], replicaof[40], *argv[] = {(char *)"redis-server", (char *)"--port", port, (char *)"--save", (char *)"",
                                             (char *)"--bind", (char *)"127.0.0.1", (char *)"--dir", (char *)dir,
                                             (char *)"--logfile", (char *)"/dev/null",
                                             (char *)"--repl-diskless-sync-delay", (char *)"0",
                                             (char *)(master_port ? "--replicaof" : NULL), replicaof, NULL};
    int64_t until = clock_mono_us() + 15000000;

    s->port = free_port();
    snprintf(port, sizeof port, "%d", s->port);
    snprintf(replicaof, sizeof replicaof, "127.0.0.1 %d", master_port);
    assert_int_equal(posix_spawnp(&s->pid, "redis-server", NULL, NULL, argv, environ), 0);
    while (strcmp(ask(s, "PING"), "PONG") != 0)
        assert_true(clock_mono_us() < until);
    while (master_port && !strstr(ask(s, "INFO replication"), "master_link_status:up"))
        assert_true(clock_mono_us() < until);
}

static void server_kill(struct server *s)
{
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static int offset_of(const struct server *s)
{
    const char *at = strstr(ask(s, "INFO replication"), "\nmaster_repl_offset:");

    return at ? atoi(at + strlen("\nmaster_repl_offset:")) : -1;
}

static void wait_in_step(const struct server *a, const struct server *b)
{
    int64_t until = clock_mono_us() + 10000000;

    while (offset_of(b) < offset_of(a))
        assert_true(clock_mono_us() < until);
}

/* ---- the world: A is the master, B its replica, three sentinels ---- */

static struct setting {
    struct world w;
    struct server a, b;
    struct sentinel s[3];
    char url[200];
} S;

/* The archive has nothing. */
static void past_last(void *user, const struct job_key *key, void (*done)(void *ctx, int err, uint64_t last_seq), void *ctx)
{
    done(ctx, 0, 0);
}

static void past_job(void *user, const struct job_key *key, void (*done)(void *ctx, int err, const struct job_info *info),
                     void *ctx)
{
    done(ctx, ERR_NOT_FOUND, NULL);
}

static void past_find(void *user, const char *job, void (*done)(void *ctx, int err, const struct job_key *key), void *ctx)
{
    done(ctx, ERR_NOT_FOUND, NULL);
}

static const struct stream_past past_ops = {past_last, past_job, past_find};

static void name_master(const struct server *which, uint64_t epoch)
{
    for (int i = 0; i < 3; i++) {
        S.s[i].master_port = which->port;
        S.s[i].epoch = epoch;
    }
}

static int set_up(void **state)
{
    memset(&S, 0, sizeof S);
    if (!world_has_redis())
        return 0;
    world_prepare(&S.w);
    log_setup(getenv("WORLD_LOG") ? LOG_DEBUG : LOG_ERROR + 1, LOG_FORMAT_TEXT);
    server_start(&S.a, S.w.dir, 0);
    server_start(&S.b, S.w.dir, S.a.port);
    for (int i = 0; i < 3; i++)
        sentinel_open(&S.s[i], &S.w.loop, S.a.port);
    snprintf(S.url, sizeof S.url, "redis+sentinel://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/mymaster", S.s[0].port, S.s[1].port,
             S.s[2].port);
    S.w.opts.url = S.url;
    S.w.opts.past = &past_ops;
    return 0;
}

static int tear_down(void **state)
{
    if (!S.a.port)
        return 0;
    if (S.w.st)
        world_stop(&S.w);
    for (int i = 0; i < 3; i++)
        sentinel_close(&S.s[i]);
    world_close(&S.w);
    server_kill(&S.a);
    server_kill(&S.b);
    return 0;
}

static int is_away(void *st)
{
    return !world_is_ready(st);
}

static int stands_at(void *server)
{
    return world_is_ready(S.w.st) && strstr(ask(server, "CLIENT LIST"), "name=joblog ") != NULL;
}

/* Ready, and connected to that one. */
static void wait_at(struct server *which, int ms)
{
    assert_true(world_until(&S.w, stands_at, which, ms));
}

static uint64_t epoch_of(const char *job)
{
    char line[128];

    snprintf(line, sizeof line, "HGET jl:{default/%s}:meta epoch", job);
    return strtoull(world_redis(&S.w, line), NULL, 10);
}

/* ---- asking ---- */

static void the_next_one_is_asked(void **state)
{
    /* One is gone, one does not know the name: the third is asked, at little cost; it goes first from then on. */
    int64_t begun;
    int asked;

    NEEDS_REDIS();
    S.s[0].mute = 1;
    S.s[1].dumb = 1;
    begun = clock_mono_us();
    world_start(&S.w);
    assert_true(clock_mono_us() - begun < 3000000);
    assert_true(S.s[2].asked);
    if (!getenv("TEST_VALGRIND")) assert_true(S.s[0].asked && S.s[1].asked); /* their time would be over before a word */
    asked = S.s[0].asked + S.s[1].asked;
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 1).err, 0);
    assert_false(world_until(&S.w, is_away, S.w.st, 2500)); /* it is watched meanwhile: by the third */
    assert_int_equal(S.s[0].asked + S.s[1].asked, asked);
    assert_true(S.s[2].asked >= 4);
    assert_true(S.s[2].link_count <= 2); /* on the link that is there */
}

static void nobody_knows_is_said(void **state)
{
    /* No sentinel is of use: why says which and how; when one is, it goes on. */
    char why[300];

    NEEDS_REDIS();
    for (int i = 0; i < 3; i++)
        S.s[i].dumb = 1;
    assert_int_equal(stream_open(&S.w.opts, why, sizeof why, &S.w.st), 0);
    assert_false(world_until(&S.w, world_is_ready, S.w.st, 1500));
    assert_int_equal(stream_ready(S.w.st, why, sizeof why), ERR_UNAVAILABLE);
    if (!strstr(why, "knows no master named \"mymaster\""))
        print_error("%s\n", why);
    assert_non_null(strstr(why, "knows no master named \"mymaster\""));
    S.s[1].dumb = 0;
    assert_true(world_until(&S.w, world_is_ready, S.w.st, 5000));
}

static void sentinels_have_their_own_password(void **state)
{
    char why[300];

    NEEDS_REDIS();
    for (int i = 0; i < 3; i++)
        S.s[i].pass = "knock";
    assert_int_equal(stream_open(&S.w.opts, why, sizeof why, &S.w.st), 0);
    assert_false(world_until(&S.w, world_is_ready, S.w.st, 1000));
    stream_ready(S.w.st, why, sizeof why);
    assert_non_null(strstr(why, "NOAUTH"));
    world_stop(&S.w);
    strcat(S.url, "?sentinel_password=knock");
    world_start(&S.w);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 1).err, 0);
}

static void a_sentinel_that_is_behind_is_not_believed(void **state)
{
    /* After a failover the one that was cut off goes on naming the old master: whoever has seen a newer epoch asks on. When all
     * of them have less (set up anew), they are believed. */
    NEEDS_REDIS();
    S.s[0].epoch = S.s[1].epoch = S.s[2].epoch = 7;
    world_start(&S.w);
    ask(&S.b, "REPLICAOF NO ONE");
    S.s[1].master_port = S.s[2].master_port = S.b.port;
    S.s[1].epoch = S.s[2].epoch = 8;
    S.s[0].mute = 1; /* cut off from us as well, for a while */
    wait_at(&S.b, 8000);
    S.s[0].mute = 0;
    S.s[1].mute = S.s[2].mute = 1;
    assert_false(world_until(&S.w, is_away, S.w.st, 4000)); /* only the old word is heard: no reason to leave … */
    S.s[1].mute = S.s[2].mute = 0;
    name_master(&S.b, 1);
    assert_false(world_until(&S.w, is_away, S.w.st, 2500));
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 1).err, 0);
}

static void a_replica_is_not_used(void **state)
{
    /* The sentinels name a server that is no master (not yet): the gate stays closed, and opens when it is one. */
    char why[300];

    NEEDS_REDIS();
    name_master(&S.b, 2);
    assert_int_equal(stream_open(&S.w.opts, why, sizeof why, &S.w.st), 0);
    assert_false(world_until(&S.w, world_is_ready, S.w.st, 1500));
    stream_ready(S.w.st, why, sizeof why);
    assert_non_null(strstr(why, "is no master"));
    ask(&S.b, "REPLICAOF NO ONE");
    wait_at(&S.b, 8000);
}

/* ---- moving ---- */

static void a_demoted_master_is_left(void **state)
{
    /* READONLY: the sentinels are asked anew, the call waits, and it ends well or "later"; nothing is there twice. */
    char line[64];
    struct append_result r;

    NEEDS_REDIS();
    world_start(&S.w);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 1).err, 0);
    wait_in_step(&S.a, &S.b);
    for (int i = 0; i < 3; i++)
        S.s[i].mute = 1; /* the watch is not to be faster */
    ask(&S.b, "REPLICAOF NO ONE");
    snprintf(line, sizeof line, "REPLICAOF 127.0.0.1 %d", S.b.port);
    ask(&S.a, line);
    name_master(&S.b, 2);
    for (int i = 0; i < 3; i++)
        S.s[i].mute = 0;
    r = world_append(&S.w, "j", "p", 1, 2, 1);
    assert_true(r.err == ERR_UNAVAILABLE || r.err == 0);
    wait_at(&S.b, 8000);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 2, 1).err, 0);
    assert_string_equal(world_redis(&S.w, "HMGET jl:{default/j}:meta seq lines"), "2 2");
}

static void a_master_that_is_only_cut_off_is_left(void **state)
{
    /* The old master answers us as ever, but the sentinels have another one: it is left within two seconds. */
    NEEDS_REDIS();
    world_start(&S.w);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 1).err, 0);
    ask(&S.b, "REPLICAOF NO ONE");
    name_master(&S.b, 2);
    assert_true(world_until(&S.w, is_away, S.w.st, 2500));
    wait_at(&S.b, 5000);
}

static void a_hanging_master_is_left(void **state)
{
    /* SIGSTOP: the sentinels name another one before the silence is noticed; meanwhile calls wait. */
    int64_t begun;

    NEEDS_REDIS();
    world_start(&S.w);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 1).err, 0);
    wait_in_step(&S.a, &S.b);
    kill(S.a.pid, SIGSTOP);
    ask(&S.b, "REPLICAOF NO ONE");
    name_master(&S.b, 2);
    begun = clock_mono_us();
    assert_true(world_until(&S.w, is_away, S.w.st, 4000));
    wait_at(&S.b, 5000);
    assert_true(clock_mono_us() - begun < CONN_SILENT_US_MAX);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 2, 1).err, 0);
}

/* ---- another history ---- */

/* B stops hearing of A, and A goes on. */
static void fall_behind(void)
{
    wait_in_step(&S.a, &S.b);
    ask(&S.b, "REPLICAOF NO ONE");
}

static void numbers_are_not_given_twice(void **state)
{
    /* The new master lacks records that this node has stored: it goes on, without being started anew, in another epoch. */
    uint64_t epoch;

    NEEDS_REDIS();
    world_start(&S.w);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 5).err, 0);
    epoch = epoch_of("j");
    fall_behind();
    assert_int_equal(world_append(&S.w, "j", "p", 1, 6, 5).last, 10);
    name_master(&S.b, 2);
    wait_at(&S.b, 8000);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 11, 1).err, ERR_GAP); /* 6 to 10 are asked for */
    assert_int_equal(world_append(&S.w, "j", "p", 1, 6, 6).err, 0);
    assert_true(epoch_of("j") > epoch);
    assert_string_equal(world_redis(&S.w, "HGET jl:{default/j}:meta seq"), "11");
}

static void what_other_nodes_showed_is_not_given_twice(void **state)
{
    /* Another node has stored and shown more than this one knows, and is gone: the first use after the move changes the epoch,
     * though nothing that this node knows of is missing. */
    struct world other;
    uint64_t epoch;

    NEEDS_REDIS();
    world_start(&S.w);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 5).err, 0);
    epoch = epoch_of("j");
    fall_behind();
    world_prepare(&other);
    other.opts.url = S.url;
    other.opts.past = &past_ops;
    snprintf(S.url, sizeof S.url, "redis://127.0.0.1:%d", S.a.port);
    world_start(&other);
    assert_int_equal(world_append(&other, "j", "q", 1, 1, 5).last, 10);
    world_close(&other);
    name_master(&S.b, 2);
    wait_at(&S.b, 8000);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 6, 5).last, 10); /* the numbers 6 to 10, given before */
    assert_true(epoch_of("j") > epoch);
}

static void a_master_that_comes_back_is_another_history(void **state)
{
    /* A, B and A again, which was only stopped: its run id is the one it had. What it showed last is gone all the same. */
    uint64_t epoch;
    char line[64];
    int64_t until = clock_mono_us() + 20000000;

    NEEDS_REDIS();
    world_start(&S.w);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 5).err, 0);
    epoch = epoch_of("j");
    fall_behind();
    assert_int_equal(world_append(&S.w, "j", "p", 1, 6, 5).err, 0); /* shown, and lost with what follows */
    world_stop(&S.w);
    snprintf(line, sizeof line, "REPLICAOF 127.0.0.1 %d", S.b.port);
    ask(&S.a, line);
    while (!strstr(ask(&S.a, "INFO replication"), "master_link_status:up"))
        assert_true(clock_mono_us() < until);
    ask(&S.a, "REPLICAOF NO ONE");
    world_start(&S.w); /* it knows nothing, and no other node has used the job at B */
    assert_int_equal(world_append(&S.w, "j", "q", 1, 1, 5).last, 10);
    assert_true(epoch_of("j") > epoch);
}

static void what_waits_for_the_old_is_not_done_to_the_new(void **state)
{
    /* Prepared for the one that is gone: "later", so that it is looked at what the new one holds first. */
    struct world_append a = {0};
    struct job_key key = world_key("j");
    struct batch *b = world_batch("p", 1, 2, 1, 0);
    uint64_t epoch;

    NEEDS_REDIS();
    world_start(&S.w);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 1).err, 0);
    epoch = epoch_of("j");
    wait_in_step(&S.a, &S.b);
    kill(S.a.pid, SIGSTOP);
    stream_append(S.w.st, &key, &b, on_world_append, &a);
    ask(&S.b, "REPLICAOF NO ONE");
    name_master(&S.b, 2);
    assert_true(world_until(&S.w, world_is_set, &a.done, 8000));
    assert_int_equal(a.res.err, ERR_UNAVAILABLE);
    wait_at(&S.b, 5000);
    assert_int_equal(epoch_of("j"), epoch); /* not touched yet */
    assert_string_equal(world_redis(&S.w, "HGET jl:{default/j}:meta seq"), "1");
    assert_int_equal(world_append(&S.w, "j", "p", 1, 2, 1).last, 2);
    assert_true(epoch_of("j") > epoch);
}

static void what_was_grouped_for_the_old_is_looked_at_too(void **state)
{
    /* Small appends that wait for one on its way leave after it, to the new one: not before the job was looked at there. */
    static struct world_append a[6];
    struct job_key key = world_key("j");
    uint64_t epoch, seq;

    NEEDS_REDIS();
    memset(a, 0, sizeof a);
    world_start(&S.w);
    assert_int_equal(world_append(&S.w, "j", "", 0, 0, 1).err, 0);
    epoch = epoch_of("j");
    wait_in_step(&S.a, &S.b);
    server_kill(&S.a);
    assert_true(world_until(&S.w, is_away, S.w.st, 5000));
    for (int i = 0; i < 6; i++) {
        struct batch *b = world_batch("", 0, 1, 1, 0);

        stream_append(S.w.st, &key, &b, on_world_append, &a[i]);
    }
    ask(&S.b, "REPLICAOF NO ONE");
    name_master(&S.b, 2);
    for (int i = 0; i < 6; i++)
        assert_true(world_until(&S.w, world_is_set, &a[i].done, 15000));
    wait_at(&S.b, 5000);
    seq = strtoull(world_redis(&S.w, "HGET jl:{default/j}:meta seq"), NULL, 10);
    assert_true(seq > 1); /* the first was refused, and the others went after it */
    assert_true(epoch_of("j") > epoch);
}

static void on_committed(void *user, int err)
{
    *(int *)user = err < 0 ? err : 1;
}

static int commit(const struct job_key *key, uint64_t token, uint64_t epoch, uint64_t upto)
{
    int done = 0;

    stream_commit_archived(S.w.st, key, token, epoch, upto, upto, 0, on_committed, &done);
    assert_true(world_until(&S.w, world_is_set, &done, 15000));
    return done < 0 ? done : 0;
}

static void the_archiver_commits_nothing_of_another_history(void **state)
{
    /* Records read before history went back, and a lease that the new master knows too: refused. */
    struct job_key key;
    uint64_t epoch;

    NEEDS_REDIS();
    key = world_key("j");
    world_start(&S.w);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 1, 10).err, 0);
    epoch = epoch_of("j");
    world_redis(&S.w, "HSET jl:{default/j}:meta lease 5");
    fall_behind();
    name_master(&S.b, 2);
    wait_at(&S.b, 8000);
    assert_int_equal(world_append(&S.w, "j", "p", 1, 11, 10).err, 0);
    assert_int_equal(commit(&key, 5, epoch, 10), ERR_RESET);
    assert_string_equal(world_redis(&S.w, "XLEN jl:{default/j}:log"), "2");
    assert_int_equal(commit(&key, 5, epoch_of("j"), 10), 0);
    assert_string_equal(world_redis(&S.w, "XLEN jl:{default/j}:log"), "1");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_of_sentinels_is_taken_apart),
        cmocka_unit_test(bad_urls_say_what_and_where),
        T(the_next_one_is_asked),
        T(nobody_knows_is_said),
        T(sentinels_have_their_own_password),
        T(a_sentinel_that_is_behind_is_not_believed),
        T(a_replica_is_not_used),
        T(a_demoted_master_is_left),
        T(a_master_that_is_only_cut_off_is_left),
        T(a_hanging_master_is_left),
        T(numbers_are_not_given_twice),
        T(what_other_nodes_showed_is_not_given_twice),
        T(a_master_that_comes_back_is_another_history),
        T(what_waits_for_the_old_is_not_done_to_the_new),
        T(what_was_grouped_for_the_old_is_looked_at_too),
        T(the_archiver_commits_nothing_of_another_history),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

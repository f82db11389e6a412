/*
 * tests/unit/serve/token_store_test.c -- nodes, each with a file, around one Redis that is played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "serve/token_store.h"
#include "stream/tokens.h"

#define NODES 3

/* ---- Redis, and each node's way to it ---- */
struct stream {
    const struct stream_tokens_ops *ops;
    void *user;
};
static struct {
    struct map *lines; /* id -> strdup */
    uint64_t version;
    int down, deaf; /* deaf: no bells */
    uint32_t asked; /* for the version */
} R;

struct later {
    struct later *next;
    stream_tokens_fn *loaded;
    void (*done)(void *user, int err);
    void *user;
    int want_lines;
    char *bell; /* to all nodes */
};
static struct later *first, **last = &first;
static uv_loop_t loop;
static uv_idle_t idle;
static struct node {
    struct stream st;
    struct token_store *store;
    char dir[64];
    int changes, closed;
} nodes[NODES];

static struct later *later(void *user)
{
    struct later *l = must_calloc(1, sizeof *l);
    l->user = user;
    *last = l;
    last = &l->next;
    return l;
}

static void give(struct later *l)
{
    struct stream_token list[64];
    uint32_t count = 0;
    size_t pos = 0, len;
    const char *id;
    char *line, ids[64][32];
    while (l->want_lines && !R.down && (line = map_next(R.lines, &pos, &id, &len))) {
        snprintf(ids[count], sizeof ids[count], "%.*s", (int)len, id);
        list[count] = (struct stream_token){ids[count], line, strlen(line)};
        count++;
    }
    l->loaded(l->user, R.down ? ERR_UNAVAILABLE : 0, R.version, list, count);
}

static void on_idle(uv_idle_t *h)
{
    struct later *l = first;
    if (!l)
        return;
    first = l->next;
    if (!first)
        last = &first;
    if (l->loaded)
        give(l);
    else if (l->done)
        l->done(l->user, R.down ? ERR_UNAVAILABLE : 0);
    else
        for (int i = 0; i < NODES && !R.deaf; i++)
            if (nodes[i].store && nodes[i].st.ops)
                nodes[i].st.ops->changed(nodes[i].st.user, l->bell, strlen(l->bell));
    free(l->bell);
    free(l);
}

void stream_tokens_load(struct stream *st, stream_tokens_fn *done, void *user)
{
    struct later *l = later(user);
    l->loaded = done;
    l->want_lines = 1;
}
void stream_tokens_version(struct stream *st, stream_tokens_fn *done, void *user)
{
    R.asked++;
    later(user)->loaded = done;
}
void stream_tokens_put(struct stream *st, const char *id, const char *line, size_t len,
                       void (*done)(void *user, int err), void *user)
{
    if (!R.down) {
        free(map_put(R.lines, id, strlen(id), must_strndup(line, len)));
        R.version++;
        later(NULL)->bell = must_strndup(line, len);
    }
    later(user)->done = done;
}
void stream_tokens_drop(struct stream *st, const char *id)
{
    free(map_del(R.lines, id, strlen(id)));
}
void stream_tokens_watch(struct stream *st, const struct stream_tokens_ops *ops, void *user)
{
    st->ops = ops;
    st->user = user;
}

/* ---- nodes ---- */

static void on_changed(void *user)
{
    ((struct node *)user)->changes++;
}

static void spin(void)
{
    for (int i = 0; i < 200 || first; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        if (i > 100)
            usleep(1000);
    }
}

static int start(int i, char *why, size_t why_size)
{
    struct node *n = &nodes[i];
    struct token_store_options o = {
        .loop = &loop, .data_dir = n->dir, .poll_ms = 30, .changed = on_changed, .user = n};
    int err = token_store_open(&o, why, why_size, &n->store);
    if (err == 0) {
        token_store_start(n->store, &n->st);
        n->st.ops->listening(n->st.user);
        spin();
    }
    return err;
}

static void on_closed(void *user)
{
    ((struct node *)user)->closed = 1;
}

static void stop(int i)
{
    struct node *n = &nodes[i];
    if (!n->store)
        return;
    spin();
    n->closed = 0;
    token_store_close(&n->store, on_closed, n);
    n->st.ops = NULL;
    while (!n->closed)
        uv_run(&loop, UV_RUN_NOWAIT);
}

#define NOT_YET 77
static int last_err;
static void on_done(void *user, int err)
{
    last_err = err;
}

/* Until on_done() was called, 20 s at most; then whoever else is to hear of it may. */
static void spin_until_done(void)
{
    for (int i = 0; i < 20000 && last_err == NOT_YET; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    spin();
}

/* A token of this secret on node i; its id. */
static void add(int i, const char *secret, char id[TOKEN_ID_BYTES + 1])
{
    struct token *t = token_new();
    hash_sha256(secret, strlen(secret), t->hash);
    strcpy(t->name, "n");
    t->scopes = SCOPE_READ;
    t->created_us = clock_wall_us();
    strcpy(id, t->id);
    last_err = NOT_YET;
    token_store_add(nodes[i].store, t, on_done, NULL);
    token_unref(&t);
    spin_until_done();
}

static int revoke_on(int i, const char *id)
{
    last_err = NOT_YET;
    token_store_revoke(nodes[i].store, id, on_done, NULL);
    spin_until_done();
    return last_err;
}

/* 'L' live, 'R' revoked, '-' not known. */
static char sees(int i, const char *secret)
{
    struct token *t = tokens_find(token_store_tokens(nodes[i].store), secret, strlen(secret));
    return !t ? '-' : token_state(t, clock_wall_us()) == TOKEN_LIVE ? 'L' : 'R';
}

static void lose_redis(void)
{
    size_t pos = 0;
    char *line;
    while ((line = map_next(R.lines, &pos, NULL, NULL)))
        free(line);
    map_free(&R.lines);
    R.lines = map_new();
    R.version = 0;
}

static int setup(void **state)
{
    memset(&R, 0, sizeof R);
    memset(nodes, 0, sizeof nodes);
    log_setup(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    uv_loop_init(&loop);
    uv_idle_init(&loop, &idle);
    uv_idle_start(&idle, on_idle);
    R.lines = map_new();
    for (int i = 0; i < NODES; i++) {
        strcpy(nodes[i].dir, "/tmp/jl-tokens-XXXXXX");
        assert_non_null(mkdtemp(nodes[i].dir));
    }
    return 0;
}

static void path_of(int i, char out[128])
{
    snprintf(out, 128, "%s/" TOKEN_STORE_FILE, nodes[i].dir);
}

static int teardown(void **state)
{
    char path[128];
    for (int i = 0; i < NODES; i++) {
        stop(i);
        path_of(i, path);
        unlink(path);
        rmdir(nodes[i].dir);
    }
    lose_redis();
    map_free(&R.lines);
    uv_close((uv_handle_t *)&idle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

/* ---- the sentences ---- */

static void a_change_reaches_every_node(void **state)
{
    /* A token made on one node is known on all; so is its revocation; both without a bell too. */
    char id[TOKEN_ID_BYTES + 1], why[256];
    for (int i = 0; i < NODES; i++)
        assert_int_equal(start(i, why, sizeof why), 0);
    for (R.deaf = 0; R.deaf < 2; R.deaf++) {
        const char *secret = R.deaf ? "deaf" : "heard";
        add(0, secret, id);
        assert_int_equal(last_err, 0);
        for (int i = 0; i < NODES; i++)
            assert_int_equal(sees(i, secret), 'L');
        assert_int_equal(revoke_on(1, id), 0);
        for (int i = 0; i < NODES; i++)
            assert_int_equal(sees(i, secret), 'R');
    }
    assert_int_equal(revoke_on(1, "nobodyatall0"), ERR_NOT_FOUND);
}

static void tokens_survive_the_loss_of_redis(void **state)
{
    /* An empty Redis gets the tokens back from the files, revocations included; a new node learns them. */
    char a[TOKEN_ID_BYTES + 1], b[TOKEN_ID_BYTES + 1], why[256];
    start(0, why, sizeof why);
    add(0, "kept", a);
    add(0, "gone", b);
    revoke_on(0, b);
    stop(0);
    lose_redis();
    assert_int_equal(start(0, why, sizeof why), 0);
    assert_int_equal(map_count(R.lines), 2);
    assert_int_equal(start(1, why, sizeof why), 0);
    assert_int_equal(sees(1, "kept"), 'L');
    assert_int_equal(sees(1, "gone"), 'R');
    lose_redis(); /* and while nodes run */
    nodes[1].st.ops->listening(nodes[1].st.user);
    spin();
    assert_int_equal(map_count(R.lines), 2);
}

static void an_old_file_revives_nothing(void **state)
{
    /* A node that slept through a revocation, and is first to find an empty Redis, may bring the token back only
     * until a node that knows better comes: then it is revoked everywhere, for good. */
    char id[TOKEN_ID_BYTES + 1], why[256];
    start(0, why, sizeof why);
    start(1, why, sizeof why);
    add(0, "s", id);
    stop(1);
    revoke_on(0, id);
    stop(0);
    lose_redis();
    start(1, why, sizeof why);
    assert_int_equal(sees(1, "s"), 'L');
    start(0, why, sizeof why);
    assert_int_equal(sees(0, "s"), 'R');
    assert_int_equal(sees(1, "s"), 'R');
    assert_non_null(strstr(map_get(R.lines, id, strlen(id)), "\"revoked_at\":\""));
}

static void revoking_works_without_redis(void **state)
{
    /* With Redis away a revocation holds here at once and is told to the others later; making one is refused. */
    char id[TOKEN_ID_BYTES + 1], other[TOKEN_ID_BYTES + 1], why[256];
    start(0, why, sizeof why);
    start(1, why, sizeof why);
    add(0, "s", id);
    R.down = 1;
    token_store_revoke(nodes[0].store, id, on_done, NULL);
    assert_int_equal(sees(0, "s"), 'R'); /* at once */
    spin();
    assert_int_equal(last_err, ERR_UNAVAILABLE);
    assert_int_equal(sees(1, "s"), 'L');
    add(0, "new", other);
    assert_int_equal(last_err, ERR_UNAVAILABLE);
    assert_int_equal(sees(0, "new"), '-');
    stop(0); /* the file has it */
    R.down = 0;
    start(0, why, sizeof why);
    assert_int_equal(sees(0, "s"), 'R');
    assert_int_equal(sees(1, "s"), 'R');
}

static void what_is_broken_is_said(void **state)
{
    /* A file that cannot be read stops the start and names the line; a line in Redis is passed over. */
    char id[TOKEN_ID_BYTES + 1], path[128], why[256] = "";
    start(0, why, sizeof why);
    add(0, "s", id);
    stop(0);
    path_of(0, path);
    FILE *f = fopen(path, "a");
    fputs("\n{\"id\":\n", f);
    fclose(f);
    assert_int_equal(start(0, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "tokens.jsonl:3:"));
    unlink(path);
    map_put(R.lines, "bad", 3, must_strdup("{}"));
    assert_int_equal(start(0, why, sizeof why), 0);
    assert_int_equal(sees(0, "s"), 'L');
    assert_true(token_store_is_loaded(nodes[0].store));
    assert_non_null(map_get(R.lines, "bad", 3)); /* left alone */
}

static void it_is_loaded_when_redis_has_spoken(void **state)
{
    /* Until Redis answers, nothing known proves nothing; then the owner is told, once, also when there is nothing. */
    char why[256];
    R.down = 1;
    start(0, why, sizeof why);
    assert_false(token_store_is_loaded(nodes[0].store));
    assert_int_equal(nodes[0].changes, 0);
    R.down = 0;
    spin();
    usleep(50000);
    spin(); /* the poll asks again */
    assert_true(token_store_is_loaded(nodes[0].store));
    assert_int_equal(nodes[0].changes, 1);
}

static void a_stopped_store_asks_nothing(void **state)
{
    /* The stream is closed after that, which may take a while: nothing may be asked of it. */
    char why[256];
    start(0, why, sizeof why);
    uint32_t asked = R.asked;
    for (int i = 0; i < 50 && R.asked == asked; i++)
        spin();
    assert_true(R.asked > asked);
    token_store_stop(nodes[0].store);
    asked = R.asked;
    spin(); /* more than three times as long as between two polls */
    assert_int_equal(R.asked, asked);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_change_reaches_every_node),  T(tokens_survive_the_loss_of_redis), T(an_old_file_revives_nothing),
        T(revoking_works_without_redis), T(what_is_broken_is_said),           T(it_is_loaded_when_redis_has_spoken),
        T(a_stopped_store_asks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/stream/tokens_test.c -- tokens and tickets over a real Redis.
 */
#include "tests/unit/stream/redis_world.h"

#include "stream/tokens.h"

static struct world w;

struct answer {
    int done, err;
    uint64_t version;
    uint32_t count;
    char text[512]; /* "id=line;" sorted as they came, or a ticket's value */
};

static void on_done(void *user, int err)
{
    struct answer *a = user;
    a->done = 1;
    a->err = err;
}

static void on_loaded(void *user, int err, uint64_t version, const struct stream_token *tokens, uint32_t count)
{
    struct answer *a = user;
    a->done = 1;
    a->err = err;
    a->version = version;
    a->count = count;
    for (uint32_t i = 0; i < count; i++)
        snprintf(a->text + strlen(a->text), sizeof a->text - strlen(a->text), "%s=%.*s;", tokens[i].id,
                 (int)tokens[i].line_len, tokens[i].line);
}

static void on_taken(void *user, int err, const char *value)
{
    struct answer *a = user;
    a->done = 1;
    a->err = err;
    snprintf(a->text, sizeof a->text, "%s", value ? value : "");
}

static void wait_for(struct answer *a)
{
    assert_true(world_until(&w, world_is_set, &a->done, 10000));
}

static void put(const char *id, const char *line)
{
    struct answer a = {0};
    stream_tokens_put(w.st, id, line, strlen(line), on_done, &a);
    assert_int_equal(a.done, 0); /* never from inside */
    wait_for(&a);
    assert_int_equal(a.err, 0);
}

static struct answer load(void)
{
    struct answer a = {0};
    stream_tokens_load(w.st, on_loaded, &a);
    wait_for(&a);
    assert_int_equal(a.err, 0);
    return a;
}

static uint64_t version(void)
{
    struct answer a = {0};
    stream_tokens_version(w.st, on_loaded, &a);
    wait_for(&a);
    assert_int_equal(a.err, 0);
    assert_int_equal(a.count, 0);
    return a.version;
}

static struct {
    int listening, changed;
    char line[64];
} heard;

static void on_changed(void *user, const char *line, size_t len)
{
    heard.changed++;
    snprintf(heard.line, sizeof heard.line, "%.*s", (int)len, line);
}
static void on_listening(void *user)
{
    heard.listening = 1;
}

static void what_is_put_is_loaded_and_told(void **state)
{
    /* A token that was put is loaded as it was written, its version grows, and every watcher hears it. */
    static const struct stream_tokens_ops ops = {on_changed, on_listening};
    struct answer a;
    stream_tokens_watch(w.st, &ops, NULL);
    assert_true(world_until(&w, world_is_set, &heard.listening, 10000));
    assert_int_equal(version(), 0);
    assert_int_equal(load().count, 0);
    put("one", "{\"a\":1}");
    assert_true(world_until(&w, world_is_set, &heard.changed, 10000));
    assert_string_equal(heard.line, "{\"a\":1}");
    put("two", "{\"b\":\"\xc3\xbc\"}");
    put("one", "{\"a\":2}");
    a = load();
    assert_int_equal(a.count, 2);
    assert_non_null(strstr(a.text, "one={\"a\":2};"));
    assert_non_null(strstr(a.text, "two={\"b\":\"\xc3\xbc\"};"));
    assert_int_equal(a.version, 3);
    assert_int_equal(version(), 3);
    stream_tokens_drop(w.st, "two");
    assert_int_equal(load().count, 1);
}

static void a_ticket_is_taken_once(void **state)
{
    /* A ticket is there once, under its hash, and not for ever. */
    struct answer a = {0};
    stream_ticket_put(w.st, "abc", "value", 30, on_done, &a);
    wait_for(&a);
    assert_int_equal(a.err, 0);
    for (int round = 0; round < 2; round++) {
        memset(&a, 0, sizeof a);
        stream_ticket_take(w.st, "abc", on_taken, &a);
        wait_for(&a);
        assert_int_equal(a.err, round ? ERR_NOT_FOUND : 0);
        assert_string_equal(a.text, round ? "" : "value");
    }
    memset(&a, 0, sizeof a);
    stream_ticket_put(w.st, "late", "value", 1, on_done, &a);
    wait_for(&a);
    int64_t end = clock_mono_us() + 5000000;
    int never = 0;
    world_until(&w, world_is_set, &never, 1100);
    memset(&a, 0, sizeof a);
    stream_ticket_take(w.st, "late", on_taken, &a);
    wait_for(&a);
    assert_int_equal(a.err, ERR_NOT_FOUND);
    assert_true(clock_mono_us() < end);
}

static int setup(void **state)
{
    world_open(&w);
    return 0;
}
static int teardown(void **state)
{
    world_close(&w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_loaded_and_told),
        cmocka_unit_test(a_ticket_is_taken_once),
    };
    return world_has_redis() ? cmocka_run_group_tests(tests, setup, teardown) : 0;
}

/*
 * tests/unit/stream/recover_test.c -- a Redis that holds less than it did: stream/recover.c, stream/known.c.
 *
 * The past is played here: one job_info that may be ahead of Redis. Redis goes back by hand, as a lost AOF tail would
 * leave it: keys of the job and its index rolled back together.
 */
#include "tests/unit/stream/redis_world.h"

#include "stream/conn_int.h"
#include "stream/known.h"
#include "stream/projects.h"
#include "stream/recover.h"

static struct world w;

static struct {
    struct job_info *info; /* NULL: the archive has nothing */
    int fail;
    unsigned asked_last, asked_job, asked_find;
} past;

struct past_call {
    uv_timer_t timer;
    struct job_key key;
    void (*last)(void *ctx, int err, uint64_t last_seq);
    void (*job)(void *ctx, int err, const struct job_info *info);
    void (*find)(void *ctx, int err, const struct job_key *key);
    void *ctx;
};

static void on_past_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_past_answer(uv_timer_t *timer)
{
    struct past_call *c = timer->data;
    int is_it = past.info && (c->find ? strcmp(past.info->key.job, c->key.job) == 0 : job_key_equal(&past.info->key, &c->key));
    int err = past.fail ? past.fail : is_it ? 0 : ERR_NOT_FOUND;

    if (c->last)
        c->last(c->ctx, past.fail, is_it ? past.info->seq : 0);
    else if (c->job)
        c->job(c->ctx, err, err ? NULL : past.info);
    else
        c->find(c->ctx, err, err ? NULL : &past.info->key);
    uv_close((uv_handle_t *)timer, on_past_closed);
}

static void post(struct past_call *c)
{
    uv_timer_init(&w.loop, &c->timer);
    c->timer.data = c;
    uv_timer_start(&c->timer, on_past_answer, 1, 0);
}

static void past_last(void *user, const struct job_key *key, void (*done)(void *ctx, int err, uint64_t last_seq), void *ctx)
{
    struct past_call *c = must_calloc(1, sizeof *c);

    past.asked_last++;
    *c = (struct past_call){.key = *key, .last = done, .ctx = ctx};
    post(c);
}

static void past_job(void *user, const struct job_key *key, void (*done)(void *ctx, int err, const struct job_info *info),
                     void *ctx)
{
    struct past_call *c = must_calloc(1, sizeof *c);

    past.asked_job++;
    *c = (struct past_call){.key = *key, .job = done, .ctx = ctx};
    post(c);
}

static void past_find(void *user, const char *job, void (*done)(void *ctx, int err, const struct job_key *key), void *ctx)
{
    struct past_call *c = must_calloc(1, sizeof *c);

    past.asked_find++;
    *c = (struct past_call){.find = done, .ctx = ctx};
    memcpy(c->key.job, job, strlen(job) + 1);
    post(c);
}

static const struct stream_past past_ops = {past_last, past_job, past_find};

static int open_world(void **state)
{
    memset(&past, 0, sizeof past);
    memset(&w, 0, sizeof w);
    if (!world_has_redis())
        return 0;
    world_prepare(&w);
    w.opts.past = &past_ops;
    w.opts.node = "node-a";
    log_setup(getenv("WORLD_LOG") ? LOG_DEBUG : LOG_ERROR + 1, LOG_FORMAT_TEXT);
    world_start(&w);
    return 0;
}

static int close_world(void **state)
{
    job_info_free(&past.info);
    if (w.dir[0])
        world_close(&w);
    return 0;
}

#define NEEDS_REDIS() do { if (!w.st) skip(); } while (0)

/* The archive has the job as it is now. */
static void on_settle(void *user, int err, const struct job_info *info)
{
    struct job_info *copy = job_info_new();

    assert_int_equal(err, 0);
    *copy = *info;
    copy->name = info->name ? must_strdup(info->name) : NULL;
    copy->labels_json = must_strdup(info->labels_json);
    copy->extra_json = must_strdup(info->extra_json);
    copy->missing_json = must_strdup(info->missing_json);
    copy->error_message = info->error_message ? must_strdup(info->error_message) : NULL;
    for (uint32_t i = 0; i < info->history_count; i++)
        copy->history[i].message = info->history[i].message ? must_strdup(info->history[i].message) : NULL;
    copy->ranks = must_calloc(info->rank_count + 1, sizeof *copy->ranks);
    if (info->rank_count)
        memcpy(copy->ranks, info->ranks, info->rank_count * sizeof *copy->ranks);
    copy->producers = must_calloc(info->producer_count + 1, sizeof *copy->producers);
    if (info->producer_count)
        memcpy(copy->producers, info->producers, info->producer_count * sizeof *copy->producers);
    copy->archived_upto = copy->seq;
    job_info_free(&past.info);
    past.info = copy;
    *(int *)user = 1;
}

static void settle(const char *job)
{
    struct job_key key = world_key(job);
    int done = 0;

    stream_job_get(w.st, &key, 1, on_settle, &done);
    assert_true(world_until(&w, world_is_set, &done, 15000));
}

/* As if the job had never been stored. */
static void wipe(const char *job)
{
    char line[400];

    snprintf(line, sizeof line, "DEL jl:{default/%s}:log jl:{default/%s}:meta jl:{default/%s}:prod jl:{default/%s}:rank", job,
             job, job, job);
    world_redis(&w, line);
}

static const char *meta(const char *job, const char *fields)
{
    char line[300];

    snprintf(line, sizeof line, "HMGET jl:{default/%s}:meta %s", job, fields);
    return world_redis(&w, line);
}

/* As if nothing after seq had been stored; producer p had said producer_last lines then (0: there is none). */
static void go_back_to(const char *job, uint64_t seq, uint64_t producer_last)
{
    char line[300], value[100], name[100];

    snprintf(line, sizeof line, "HSET jl:{default/%s}:meta seq %llu", job, (unsigned long long)seq);
    world_redis(&w, line);
    snprintf(line, sizeof line, "XTRIM jl:{default/%s}:log MAXLEN 0", job);
    world_redis(&w, line);
    if (!producer_last)
        return;
    snprintf(value, sizeof value, "1 %llu 0 -", (unsigned long long)producer_last);
    snprintf(name, sizeof name, "jl:{default/%s}:prod", job);
    conn_words(w.st->cmd, 0, NULL, NULL, "HSET", name, "p", value, NULL);
}

static uint64_t meta_number(const char *job, const char *field)
{
    return strtoull(meta(job, field), NULL, 10);
}

static void numbers_go_on_after_the_archive(void **state)
{
    /* Redis went back behind the archive: the next append makes it go on after the archive's last record, in a new
     * epoch; the producer's lines that the archive holds are not stored again, and those it does not hold are asked for. */
    struct append_result res;
    uint64_t epoch;

    NEEDS_REDIS();
    world_append(&w, "j", "p", 1, 1, 10);
    epoch = world_append(&w, "j", "p", 1, 11, 10).epoch;
    settle("j"); /* the archive has 1-20 */
    world_append(&w, "j", "p", 1, 21, 5);
    go_back_to("j", 10, 10);
    res = world_append(&w, "j", "p", 1, 26, 5);
    assert_int_equal(res.err, ERR_GAP);
    assert_int_equal(res.expected, 21);
    res = world_append(&w, "j", "p", 1, 11, 10); /* the archive has them */
    assert_int_equal(res.err, 0);
    assert_int_equal(res.duplicates, 10);
    res = world_append(&w, "j", "p", 1, 21, 10);
    assert_int_equal(res.err, 0);
    assert_int_equal(res.first, 21);
    assert_int_equal(res.last, 30);
    assert_true(res.epoch > epoch);
    assert_int_equal(meta_number("j", "lines"), 30);
    assert_int_equal(meta_number("j", "archived_upto"), 20);
    assert_int_equal(meta_number("j", "trimmed_upto"), 20);
    assert_int_equal(w.st->stats.restored, 1);
    assert_int_equal(past.asked_job, 1);
}

static void a_node_that_knows_nothing_asks_the_archive_first(void **state)
{
    /* joblogd and Redis died together: the first append of a job asks what is settled before it is numbered. */
    struct append_result res;

    NEEDS_REDIS();
    world_append(&w, "j", "p", 1, 1, 10);
    settle("j");
    go_back_to("j", 4, 4);
    world_stop(&w);
    world_start(&w);
    res = world_append(&w, "j", "p", 1, 11, 2);
    assert_int_equal(res.err, 0);
    assert_int_equal(res.first, 11);
}

static void without_archive_only_the_epoch_changes(void **state)
{
    /* What was lost is nowhere: numbers are given again, in another epoch, and producers are asked for their lines. */
    struct append_result res;
    uint64_t epoch;

    NEEDS_REDIS();
    epoch = world_append(&w, "j", "p", 1, 1, 10).epoch;
    go_back_to("j", 4, 4);
    res = world_append(&w, "j", "p", 1, 11, 2);
    assert_int_equal(res.err, ERR_GAP);
    assert_int_equal(res.expected, 5);
    res = world_append(&w, "j", "p", 1, 5, 8);
    assert_int_equal(res.first, 5);
    assert_true(res.epoch > epoch);
    assert_int_equal(w.st->stats.rollbacks, 1);
    res = world_append(&w, "j", "p", 1, 13, 1);
    assert_int_equal(res.first, 13);
    assert_int_equal(w.st->stats.rollbacks, 1);
}

static void every_way_to_make_a_job_looks_at_the_archive(void **state)
{
    /* Redis lost the whole job: an append, a hello, a create and a state change all find it in the archive. */
    struct job_key key = world_key("j");

    NEEDS_REDIS();
    for (int way = 0; way < 4; way++) {
        struct world_append a = {0};
        uint64_t seq;

        wipe("j");
        known__forget(w.st, &key);
        job_info_free(&past.info);
        world_append(&w, "j", "p", 1, 1, 10);
        settle("j");
        wipe("j");
        seq = 11;
        if (way == 0) {
            assert_int_equal(world_append(&w, "j", "p", 1, 11, 1).first, 11);
        } else if (way == 1) {
            struct batch *b = world_batch("p", 1, 11, 1, 0);

            world_stop(&w); /* and the node is a new one */
            world_start(&w);
            stream_append(w.st, &key, &b, on_world_append, &a);
            assert_true(world_until(&w, world_is_set, &a.done, 15000));
            assert_int_equal(a.res.first, 11);
        } else if (way == 2) {
            world_change(&w, "j", STATE_COMPLETED);
            assert_string_equal(meta("j", "state"), "COMPLETED");
        } else {
            settle("j"); /* a look is enough while the archive was not gone through */
            seq = 10;
        }
        assert_int_equal(meta_number("j", "seq"), seq);
        assert_string_equal(world_redis(&w, "ZSCORE jl:jobs default/j"), meta("j", "created_us"));
    }
}

static void what_nobody_has_is_a_new_job(void **state)
{
    /* Redis was emptied and there is no archive: the job begins anew, at 1, in an epoch of its own. */
    uint64_t epoch;

    NEEDS_REDIS();
    epoch = world_append(&w, "j", "", 0, 0, 3).epoch;
    world_redis(&w, "FLUSHALL");
    struct append_result res = world_append(&w, "j", "", 0, 0, 3);
    assert_int_equal(res.err, 0);
    assert_int_equal(res.first, 1);
    assert_true(res.epoch > epoch);
    assert_string_equal(world_redis(&w, "SMEMBERS jl:ids:j"), "default");
}

static void an_archive_that_cannot_be_read_makes_no_new_jobs(void **state)
{
    /* A job that is in Redis goes on; one that might lie in the archive is not begun a second time. */
    NEEDS_REDIS();
    world_append(&w, "old", "", 0, 0, 1);
    past.fail = ERR_IO;
    known__new_round(w.st);
    assert_int_equal(world_append(&w, "old", "", 0, 0, 1).err, 0);
    assert_int_equal(world_append(&w, "new", "", 0, 0, 1).err, ERR_UNAVAILABLE);
    assert_string_equal(world_redis(&w, "EXISTS jl:{default/new}:meta"), "0");
    past.fail = 0;
    assert_int_equal(world_append(&w, "new", "", 0, 0, 1).err, 0);
}

static void appends_keep_their_order_over_a_rollback(void **state)
{
    /* Forty appends under way when the loss is found are stored in the order of their calls, each once. */
    static struct world_append a[40];
    struct job_key key = world_key("j");
    struct world_read r;

    NEEDS_REDIS();
    memset(a, 0, sizeof a);
    world_append(&w, "j", "", 0, 0, 10);
    settle("j");
    go_back_to("j", 4, 0);
    for (int i = 0; i < 40; i++) {
        struct batch *b = world_batch("", 0, (uint64_t)i + 1, 1, 0);

        stream_append(w.st, &key, &b, on_world_append, &a[i]);
        if (i % 7 == 0)
            uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    for (int i = 0; i < 40; i++) {
        assert_true(world_until(&w, world_is_set, &a[i].done, 15000));
        assert_int_equal(a[i].res.err, 0);
        assert_int_equal(a[i].res.first, 11 + i);
    }
    memset(&r, 0, sizeof r);
    r = world_read_all(&w, "j");
    assert_int_equal(r.first_held, 11);
    assert_int_equal(r.lines, 40);
    assert_int_equal(strncmp(buf_cstr(&r.text), ":1\n:2\n:3\n", 9), 0);
    buf_release(&r.text);
}

static void a_sealed_job_comes_back_sealed(void **state)
{
    /* State, history, counters, ranks and producers are what they were; lines for it are refused as before. */
    struct append_result res;
    char before[3][2000], again[3][2000];

    NEEDS_REDIS();
    world_append(&w, "j", "p", 1, 1, 10);
    world_fin(&w, "j", "p", 1, 10, 0);
    world_change(&w, "j", STATE_FAILED);
    settle("j");
    static const char *const looks[] = {
        "HMGET jl:{default/j}:meta seq state lines bytes l3 hist h1 h2 ended_us error_message sealed sealed_seq complete missing "
        "nprod nfin created_us",
        "HGETALL jl:{default/j}:prod", "HGETALL jl:{default/j}:rank"};
    for (int i = 0; i < 3; i++)
        snprintf(before[i], sizeof before[i], "%s", world_redis(&w, looks[i]));
    assert_non_null(strstr(before[0], "FAILED"));
    world_redis(&w, "FLUSHALL");
    settle("j");
    for (int i = 0; i < 3; i++) {
        snprintf(again[i], sizeof again[i], "%s", world_redis(&w, looks[i]));
        assert_string_equal(again[i], before[i]);
    }
    res = world_append(&w, "j", "p", 1, 11, 1);
    assert_int_equal(res.err, ERR_SEALED);
    res = world_append(&w, "j", "p", 1, 1, 10);
    assert_int_equal(res.duplicates, 10);
}

static void a_terminal_job_that_was_not_sealed_is_sealed(void **state)
{
    /* Terminal in the archive, its seal lost: it is sealed after the drain time. Rebuilt from records alone it is not
     * complete: nobody knows who sent them. */
    NEEDS_REDIS();
    world_append(&w, "j", "p", 1, 1, 10);
    world_change(&w, "j", STATE_COMPLETED);
    settle("j");
    world_redis(&w, "FLUSHALL");
    past.info->producers_unknown = 1;
    settle("j");
    for (int64_t end = clock_mono_us() + 10000000; strcmp(meta("j", "sealed"), "1") != 0;)
        assert_true(clock_mono_us() < end);
    assert_string_equal(meta("j", "complete"), "0");
    assert_non_null(strstr(meta("j", "missing"), "before the rebuild"));
}

static void on_found(void *user, int err, const struct job_key *key)
{
    *(int *)user = err == 0 && strcmp(key->project, "default") == 0 ? 1 : -1;
}

static void a_bare_id_is_found_in_the_archive_until_it_was_gone_through(void **state)
{
    /* Before the scan of the archive has ended an unknown id is looked for there; after it is not. */
    int found = 0;

    NEEDS_REDIS();
    world_append(&w, "j", "p", 1, 1, 10);
    settle("j");
    world_redis(&w, "FLUSHALL");
    stream_job_find(w.st, "j", on_found, &found);
    assert_true(world_until(&w, world_is_set, &found, 15000));
    assert_int_equal(found, 1);
    found = 0;
    stream_note_whole(w.st, stream_redis_round(w.st));
    stream_job_find(w.st, "other", on_found, &found);
    assert_true(world_until(&w, world_is_set, &found, 15000));
    assert_int_equal(found, -1);
    assert_int_equal(past.asked_find, 1);
}

static int round_is_over(void *round)
{
    return stream_redis_round(w.st) > *(uint32_t *)round;
}

static void an_emptied_redis_is_noticed(void **state)
{
    /* FLUSHALL under a running joblogd: within a few seconds it is a new round, and not whole. */
    uint32_t round;

    NEEDS_REDIS();
    round = 0;
    assert_true(world_until(&w, round_is_over, &round, 5000));
    round = stream_redis_round(w.st);
    stream_note_whole(w.st, round);
    assert_true(stream_is_whole(w.st));
    assert_false(world_until(&w, round_is_over, &round, 4500));
    world_redis(&w, "FLUSHALL");
    assert_true(world_until(&w, round_is_over, &round, 6000));
    assert_false(stream_is_whole(w.st));
}

struct number {
    int done, err;
    uint64_t value;
};

static void on_lease(void *user, int err, uint64_t token)
{
    *(struct number *)user = (struct number){1, err, token};
}

static struct number lease(const char *job)
{
    struct job_key key = world_key(job);
    struct number n = {0};

    stream_lease(w.st, &key, 0, on_lease, &n);
    assert_true(world_until(&w, world_is_set, &n.done, 15000));
    return n;
}

static void a_node_takes_its_own_lease_back(void **state)
{
    /* A node that was killed and started again archives at once, with a token that fences its earlier life; another waits. */
    struct number mine, again;

    NEEDS_REDIS();
    world_append(&w, "j", "", 0, 0, 1);
    mine = lease("j");
    assert_int_equal(mine.err, 0);
    again = lease("j");
    assert_int_equal(again.err, 0);
    assert_true(again.value > mine.value);
    world_stop(&w);
    w.opts.node = "node-b";
    world_start(&w);
    assert_int_equal(lease("j").err, ERR_BUSY);
}

static void closing_waits_for_the_past(void **state)
{
    /* The stream is closed while the past is being asked: every call is answered once, nothing is touched after. */
    struct job_key key = world_key("j");
    struct world_append a = {0};
    struct batch *b;

    NEEDS_REDIS();
    b = world_batch("p", 1, 1, 1, 0);
    stream_append(w.st, &key, &b, on_world_append, &a);
    world_stop(&w);
    assert_int_equal(a.calls, 1);
}

static void on_no_projects(void *user, int err, const struct project_info *infos, uint32_t count)
{
    assert_int_equal(err, ERR_UNAVAILABLE);
    assert_int_equal(count, 0);
    *(int *)user = 1;
}

static void redis_away_is_an_error_to_every_first_look(void **state)
{
    /* Redis has been away for longer than anybody waits: the first look at a job, and at all projects, ends with that. */
    int done = 0;

    NEEDS_REDIS();
    w.st->cmd->down_since_us = 1;
    assert_int_equal(world_append(&w, "j", "p", 1, 1, 1).err, ERR_UNAVAILABLE);
    stream_project_list(w.st, 1, on_no_projects, &done);
    assert_true(world_until(&w, world_is_set, &done, 15000));
    w.st->cmd->down_since_us = 0;
    assert_int_equal(world_append(&w, "j", "p", 1, 1, 1).err, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_go_on_after_the_archive, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_node_that_knows_nothing_asks_the_archive_first, open_world, close_world),
        cmocka_unit_test_setup_teardown(without_archive_only_the_epoch_changes, open_world, close_world),
        cmocka_unit_test_setup_teardown(every_way_to_make_a_job_looks_at_the_archive, open_world, close_world),
        cmocka_unit_test_setup_teardown(what_nobody_has_is_a_new_job, open_world, close_world),
        cmocka_unit_test_setup_teardown(an_archive_that_cannot_be_read_makes_no_new_jobs, open_world, close_world),
        cmocka_unit_test_setup_teardown(appends_keep_their_order_over_a_rollback, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_sealed_job_comes_back_sealed, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_terminal_job_that_was_not_sealed_is_sealed, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_bare_id_is_found_in_the_archive_until_it_was_gone_through, open_world, close_world),
        cmocka_unit_test_setup_teardown(an_emptied_redis_is_noticed, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_node_takes_its_own_lease_back, open_world, close_world),
        cmocka_unit_test_setup_teardown(closing_waits_for_the_past, open_world, close_world),
        cmocka_unit_test_setup_teardown(redis_away_is_an_error_to_every_first_look, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

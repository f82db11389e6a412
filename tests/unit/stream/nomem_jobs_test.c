/*
 * tests/unit/stream/nomem_jobs_test.c -- every allocation of what is kept of jobs besides their lines fails once, over a real
 * redis-server: states and lists, sealing and the archiver's marks, a log taken up again from the archive, tokens and projects.
 */
#include "tests/unit/stream/nomem_world.h"

#include "stream/nodes.h"
#include "stream/past.h"
#include "stream/projects.h"

#define LONG_US INT64_C(3600000000)
#define SEAL_US 20000
#define SEAL_STRIDE 41 /* a run takes a look or two of the sealer: 0.4 s */

/* ---- one call at a time ---- */

struct call {
    int done, err, is_right;
    uint64_t number;
};

static int wait_for(struct call *c)
{
    child_await(world_is_set, &c->done);
    if (c->err == 0 && !c->is_right) _exit(77);
    return c->err;
}

static void first_of(int *err, int more)
{
    if (*err == 0 && more < 0) *err = more;
}

static void on_ended(void *user, int err)
{
    *(struct call *)user = (struct call){1, err, 1, 0};
}

/* ---- states and lists ---- */

static const char labels[] = "{\"team\":\"a\"}", extra[] = "{\"priority\":7}";

static int is_described(const struct job_info *info)
{
    return info->name && strcmp(info->name, "a name") == 0 && strcmp(info->labels_json, labels) == 0 &&
           strcmp(info->extra_json, extra) == 0 && info->ranks_declared == 4;
}

static void on_created(void *user, int err, int created, const struct job_info *info)
{
    struct call *c = user;

    *c = (struct call){1, err, err < 0 || is_described(info), (uint64_t)created};
}

static void on_changed(void *user, int err, int moved, enum job_state from, uint64_t seq)
{
    *(struct call *)user = (struct call){1, err, 1, seq};
}

static void on_welcome(void *user, int err, uint64_t epoch, uint64_t last, enum job_state state, int sealed)
{
    *(struct call *)user = (struct call){1, err, epoch == 1 && last == 0 && !sealed, 0};
}

static void on_got(void *user, int err, const struct job_info *info)
{
    struct call *c = user;

    *c = (struct call){1, err, err < 0 || is_described(info), 0};
    if (err == 0 && told->done[1])
        c->is_right &= info->state == STATE_FAILED && info->history_count >= 2 && info->error_message &&
                       strcmp(info->error_message, "because") == 0 && info->producer_count == 1;
}

static void on_listed(void *user, int err, const struct job_info *const *infos, uint32_t count, int64_t next_us,
                      const char *next_key)
{
    struct call *c = user;

    *c = (struct call){1, err, err < 0 || (count == 3 && next_us == 0), 0};
    for (uint32_t i = 0; err == 0 && i < count; i++) c->is_right &= is_described(infos[i]);
}

static void on_found(void *user, int err, const struct job_key *key)
{
    *(struct call *)user = (struct call){1, err, err < 0 || strcmp(key->project, "labels") == 0, 0};
}

static int change_states(void)
{
    struct job_create create = {.name = "a name", .labels_json = labels, .extra_json = extra, .ranks = 4};
    struct state_change change = {.to = STATE_FAILED, .message = "because", .rank = 3, .has_exit_code = 1, .exit_code = 9};
    struct job_list_query all = {.project = "labels", .limit = 10, .label_keys = {"team"}, .label_values = {"a"},
                                 .label_count = 1};
    struct call c = {0};
    int err = 0;

    child_open(NULL, LONG_US);
    create.key = change.key = key_of_run("s");
    stream_job_create(mine.st, &create, on_created, &c);
    first_of(&err, wait_for(&c));
    told->done[0] = c.err == 0;
    c.done = 0;
    if (told->done[0]) {
        stream_hello(mine.st, &create.key, "p", 1, 0, 4, 0, on_welcome, &c);
        first_of(&err, wait_for(&c));
        c.done = 0;
        stream_change_state(mine.st, &change, on_changed, &c);
        first_of(&err, wait_for(&c));
        told->done[1] = c.err == 0 && err == 0;
        c.done = 0;
        stream_job_get(mine.st, &create.key, 1, on_got, &c);
        first_of(&err, wait_for(&c));
        c.done = 0;
    }
    stream_job_list(mine.st, &all, on_listed, &c);
    first_of(&err, wait_for(&c));
    c.done = 0;
    stream_job_find(mine.st, "labelled-1", on_found, &c);
    first_of(&err, wait_for(&c));
    c.done = 0;
    stream_progress(mine.st, &create.key, 3, "40%", 3);
    told->done[3] = 1;
    stream_job_delete(mine.st, &create.key, on_ended, &c);
    if (wait_for(&c) != ERR_NOT_FOUND) first_of(&err, c.err);
    told->done[2] = c.err == 0;
    return child_close(err);
}

static void check_states(enum nomem_outcome outcome)
{
    char line[200];
    const char *of;

    if (told->done[2]) { /* deleted: no index entry is left */
        snprintf(line, sizeof line, "ZSCORE jl:jobs default/%s", job_of_run("s"));
        assert_string_equal(world_redis(&w, line), "(nil)");
        snprintf(line, sizeof line, "EXISTS jl:{default/%s}:meta", job_of_run("s"));
        assert_string_equal(world_redis(&w, line), "0");
    } else if (!told->done[3]) { /* else its answer was lost */
        snprintf(line, sizeof line, "HMGET jl:{default/%s}:meta state error_message exit_code", job_of_run("s"));
        of = world_redis(&w, line);
        if (told->done[1]) assert_string_equal(of, "FAILED because 9");
        else assert_true(strcmp(of, "FAILED because 9") == 0 || strstr(of, " (nil) (nil)"));
        snprintf(line, sizeof line, "HMGET jl:{default/%s}:meta name labels extra ranks", job_of_run("s"));
        of = world_redis(&w, line);
        if (told->done[0]) assert_string_equal(of, "a name {\"team\":\"a\"} {\"priority\":7} 4");
        else assert_true(strcmp(of, "(nil) (nil) (nil) (nil)") == 0 || strstr(of, "a name {\"team\":\"a\"} {\"priority\":7} 4"));
    }
    next_run();
}

static void on_made(void *user, int err, int created, const struct job_info *info)
{
    assert_int_equal(err, 0);
    *(int *)user = 1;
}

static void test_states(void **state)
{
    /* A job as it was described, in the state that was confirmed; a list that lacks nothing; or an error. */
    for (int i = 0; i < 3; i++) {
        struct job_create c = {.name = "a name", .labels_json = labels, .extra_json = extra, .ranks = 4};
        char name[32];
        int done = 0;

        snprintf(name, sizeof name, "labelled-%d", i);
        assert_int_equal(job_key_make(&c.key, "labels", 6, name, strlen(name)), 0);
        stream_job_create(w.st, &c, on_made, &done);
        assert_true(world_until(&w, world_is_set, &done, 15000));
    }
    assert_swept(change_states, check_states, 100);
}

/* ---- sealing, and the archiver's marks ---- */

static int is_sealed(void *key)
{
    struct hub_sub *sub = key;

    return hub_sub_info(sub) && hub_sub_info(sub)->sealed;
}

static void on_wake(void *user)
{
}

static void on_lease(void *user, int err, uint64_t token)
{
    *(struct call *)user = (struct call){1, err, err < 0 || token > 0, token};
}

static void on_hot(void *user, int err, const struct job_key *keys, const int64_t *since_us, uint32_t count)
{
    *(struct call *)user = (struct call){1, err, err < 0 || count > 0, 0};
}

/* Ended by its drain time, archived, trimmed. */
static int seal_and_archive(void)
{
    static const struct hub_sub_ops ops = {.wake = on_wake};
    struct state_change change = {.to = STATE_COMPLETED, .rank = RECORD_RANK_NONE};
    struct hub_sub *sub = NULL;
    struct call c = {0};
    uint64_t token = 0, epoch;
    int err = 0;

    child_open(NULL, SEAL_US);
    change.key = key_of_run("e");
    first_of(&err, child_insist(&change.key, "p", 1, 3));
    for (int i = 0; i < 2 && !told->done[0]; i++) { /* it fails once */
        c.done = 0;
        stream_change_state(mine.st, &change, on_changed, &c);
        first_of(&err, wait_for(&c));
        told->done[0] = c.err == 0;
    }
    if (!told->done[0]) _exit(73);
    hub_subscribe(mine.st, &change.key, 4, &ops, NULL, &sub);
    child_await(is_sealed, sub);
    told->done[1] = 1;
    epoch = hub_sub_info(sub)->epoch;
    hub_unsubscribe(&sub);
    c.done = 0;
    stream_hot_jobs(mine.st, 4, on_hot, &c);
    first_of(&err, wait_for(&c));
    c.done = 0;
    stream_lease(mine.st, &change.key, 0, on_lease, &c);
    first_of(&err, wait_for(&c));
    token = c.number;
    c.done = 0;
    if (token) {
        stream_commit_archived(mine.st, &change.key, token, epoch, 4, 3, 1, on_ended, &c);
        first_of(&err, wait_for(&c));
        told->done[2] = c.err == 0;
    }
    return child_close(err);
}

static void check_sealed(enum nomem_outcome outcome)
{
    char line[200], want[100];
    const char *got;

    snprintf(line, sizeof line, "HMGET jl:{default/%s}:meta sealed sealed_seq", job_of_run("e"));
    snprintf(want, sizeof want, "1 4");
    if (told->done[1]) assert_string_equal(world_redis(&w, line), want);
    snprintf(line, sizeof line, "HMGET jl:{default/%s}:meta archived_upto trimmed_upto", job_of_run("e"));
    got = world_redis(&w, line);
    assert_true(strcmp(got, "4 3") == 0 || (!told->done[2] && (strcmp(got, "(nil) (nil)") == 0 || strcmp(got, "0 0") == 0)));
    snprintf(line, sizeof line, "HGET jl:{default/%s}:meta seq", job_of_run("e"));
    assert_true(outcome == NOMEM_ABORTED || strcmp(world_redis(&w, line), "4") == 0);
    for (int i = 0; i < 3; i++) { /* what a run left behind is not work for the next one */
        snprintf(line, sizeof line, "ZREM jl:%s default/%s", i == 0 ? "draining" : i == 1 ? "active" : "hot", job_of_run("e"));
        world_redis(&w, line);
    }
    next_run();
}

static void test_sealing(void **state)
{
    /* A job that has ended is sealed in the end, and only what is archived is trimmed. */
    nomem_stride = SEAL_STRIDE;
    assert_swept(seal_and_archive, check_sealed, 100);
    nomem_stride = STREAM_STRIDE;
}

/* ---- a log taken up again ---- */

static struct { /* the archive, with one job: made by the parent */
    struct job_info *info;
    uv_timer_t timer;
    struct job_key key;
    void (*last)(void *ctx, int err, uint64_t last_seq);
    void (*job)(void *ctx, int err, const struct job_info *info);
    void *ctx;
    int busy;
} past;

static void on_past_answer(uv_timer_t *timer)
{
    int is_it = strncmp(past.key.job, "r-", 2) == 0;
    long held = nomem_at;

    past.busy = 0;
    nomem_at = 0;
    past.info->key = past.key;
    nomem_at = held;
    if (past.last)
        past.last(past.ctx, 0, is_it ? past.info->seq : 0);
    else
        past.job(past.ctx, is_it ? 0 : ERR_NOT_FOUND, is_it ? past.info : NULL);
}

static void past_ask(const struct job_key *key, void *ctx)
{
    if (past.busy) _exit(79);
    past.busy = 1;
    past.key = *key;
    past.ctx = ctx;
    uv_timer_start(&past.timer, on_past_answer, 0, 0);
}

static void past_last(void *user, const struct job_key *key, void (*done)(void *ctx, int err, uint64_t last_seq), void *ctx)
{
    past.last = done;
    past_ask(key, ctx);
}

static void past_job(void *user, const struct job_key *key, void (*done)(void *ctx, int err, const struct job_info *info),
                     void *ctx)
{
    past.last = NULL;
    past.job = done;
    past_ask(key, ctx);
}

static void past_find(void *user, const char *job, void (*done)(void *ctx, int err, const struct job_key *key), void *ctx)
{
    _exit(79); /* nobody asks */
}

static const struct stream_past past_ops = {past_last, past_job, past_find};

static struct job_info *make_past(void)
{
    struct job_info *info = job_info_new();

    info->epoch = 5;
    info->seq = info->archived_upto = 20;
    info->first_in_stream = 21;
    info->lines = 19;
    info->state = STATE_RUNNING;
    info->created_us = info->updated_us = info->started_us = INT64_C(1764000000000000);
    info->name = must_strdup("a name");
    info->labels_json = must_strdup(labels);
    info->extra_json = must_strdup(extra);
    info->missing_json = must_strdup("[]");
    info->ranks_declared = 4;
    info->history_count = 2;
    for (uint32_t i = 0; i < 2; i++)
        info->history[i] = (struct job_history){.state = i ? STATE_RUNNING : STATE_CREATED, .at_us = info->created_us,
                                                .seq = i + 1, .rank = -1, .message = must_strdup("because of this")};
    info->producers = must_calloc(1, sizeof *info->producers);
    info->producers[0] = (struct job_producer){.id = "p", .epoch = 1, .last = 19, .rank = 0};
    info->producer_count = 1;
    info->ranks = must_calloc(1, sizeof *info->ranks);
    info->ranks[0] = (struct job_rank){.rank = 0, .lines = 19, .last_seq = 20, .last_ts_us = info->created_us};
    info->rank_count = 1;
    return info;
}

static int take_up(void)
{
    struct job_key key;
    int err;

    child_open(&past_ops, LONG_US);
    uv_timer_init(&mine.loop, &past.timer);
    key = key_of_run("r");
    err = child_insist(&key, "p", 18, 4); /* 18 and 19 are in the archive */
    uv_close((uv_handle_t *)&past.timer, NULL);
    return child_close(err);
}

static void on_taken_up(void *user, int err, const struct job_info *info)
{
    struct call *c = user;

    *c = (struct call){1, err, 0, 0};
    if (err < 0) return;
    c->number = info->seq;
    c->is_right = is_described(info) && info->history_count == 2 && info->producer_count == 1 && info->rank_count == 1 &&
                  info->state == STATE_RUNNING && info->history[0].message &&
                  strcmp(info->history[0].message, "because of this") == 0 && info->history[1].message &&
                  strcmp(info->history[1].message, "because of this") == 0 && info->archived_upto == 20 && info->epoch > 5 &&
                  info->producers[0].last == (info->seq == 22 ? 21 : 19) && info->lines == info->seq - 1;
}

static void check_taken_up(enum nomem_outcome outcome)
{
    struct job_key key = key_of_run("r");
    struct call c = {0};

    stream_job_get(w.st, &key, 1, on_taken_up, &c);
    assert_true(world_until(&w, world_is_set, &c.done, 15000));
    assert_true(c.err == 0 ? c.is_right : c.err == ERR_NOT_FOUND && told->acked == 0);
    if (told->acked) assert_int_equal(c.number, 22);
    if (outcome != NOMEM_ABORTED) assert_int_equal(told->acked, 21);
    next_run();
}

static void test_taking_up(void **state)
{
    /* All that the archive knows of the job, or nothing of it; its numbers go on behind those of the archive. */
    past.info = make_past();
    assert_swept(take_up, check_taken_up, 100);
    job_info_free(&past.info);
}

/* ---- tokens, tickets, projects, nodes ---- */

static const char token_line[] = "{\"id\":\"t\",\"hash\":\"0123456789abcdef\"}";

static void on_loaded(void *user, int err, uint64_t version, const struct stream_token *tokens, uint32_t count)
{
    struct call *c = user;

    *c = (struct call){1, err, err < 0 || (tokens ? count > 0 && version > 0 : version > 0), 0};
    for (uint32_t i = 0; err == 0 && i < count; i++) c->is_right &= strcmp(tokens[i].line, token_line) == 0;
}

/* What was put is heard, or the watcher is told to load all again. */
static void on_heard(void *user, const char *line, size_t len)
{
    if (len != sizeof token_line - 1 || memcmp(line, token_line, len) != 0) _exit(76);
    *(int *)user = 1;
}

static void on_listening(void *user)
{
    *(int *)user = 1;
}

static void on_taken(void *user, int err, const char *value)
{
    *(struct call *)user = (struct call){1, err, err < 0 || strcmp(value, "value") == 0, 0};
}

static void on_project(void *user, int err, int created, const struct project_info *info)
{
    *(struct call *)user = (struct call){1, err, err < 0 || strcmp(info->name, "its name") == 0, 0};
}

static void on_projects(void *user, int err, const struct project_info *infos, uint32_t count)
{
    struct call *c = user;

    *c = (struct call){1, err, 1, 0};
    if (err < 0) return;
    c->is_right = 0;
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(infos[i].id, "labels") == 0) c->is_right = infos[i].latest && is_described(infos[i].latest);
}

static void on_nodes(void *user, int err, const char *lines, size_t len)
{
    *(struct call *)user = (struct call){1, err, err < 0 || (len > 0 && lines[len - 1] == '\n' && strstr(lines, "\"n1\"")), 0};
}

static int keep_things(void)
{
    static const struct stream_tokens_ops ops = {on_heard, on_listening};
    struct node_about about = {.replica = "n2", .cpu_milli = 4000, .gpu_count = 1, .gpus = {{.name = "H100"}}};
    struct node_sample sample = {.at_us = INT64_C(1764000000000000), .gpu_count = 1};
    struct job_key nodes = {0};
    struct call c = {0};
    char id[64];
    int heard = 0, err = 0;

    if (job_key_make(&nodes, "labels", 6, "labelled-1", 10) < 0) _exit(79);
    child_open(NULL, LONG_US);
    stream_tokens_watch(mine.st, &ops, &heard);
    child_await(world_is_set, &heard);
    heard = 0;
    snprintf(id, sizeof id, "t%ld", run_number);
    stream_tokens_put(mine.st, id, token_line, sizeof token_line - 1, on_ended, &c);
    first_of(&err, wait_for(&c));
    told->done[0] = c.err == 0;
    c.done = 0;
    stream_tokens_load(mine.st, on_loaded, &c);
    first_of(&err, wait_for(&c));
    c.done = 0;
    stream_tokens_version(mine.st, on_loaded, &c);
    first_of(&err, wait_for(&c));
    c.done = 0;
    if (told->done[0]) child_await(world_is_set, &heard);
    stream_ticket_put(mine.st, id, "value", 60, on_ended, &c);
    first_of(&err, wait_for(&c));
    told->done[1] = c.err == 0;
    c.done = 0;
    stream_ticket_take(mine.st, id, on_taken, &c);
    if (wait_for(&c) == ERR_NOT_FOUND && told->done[1]) _exit(77);
    if (told->done[1]) first_of(&err, c.err);
    c.done = 0;
    stream_project_create(mine.st, "proj", "its name", on_project, &c);
    first_of(&err, wait_for(&c));
    told->done[2] = c.err == 0;
    c.done = 0;
    stream_project_list(mine.st, 1, on_projects, &c);
    first_of(&err, wait_for(&c));
    c.done = 0;
    stream_node_sample(mine.st, &nodes, &about, &sample);
    stream_nodes_get(mine.st, &nodes, on_nodes, &c);
    first_of(&err, wait_for(&c));
    stream_tokens_drop(mine.st, id);
    return child_close(err);
}

static void check_things(enum nomem_outcome outcome)
{
    char line[100];
    const char *is;

    snprintf(line, sizeof line, "HGET jl:tokens t%ld", run_number); /* dropped, or as it was put */
    is = world_redis(&w, line);
    assert_true(strcmp(is, token_line) == 0 || strcmp(is, "(nil)") == 0);
    is = world_redis(&w, "HGET jl:project_meta proj");
    assert_true(strcmp(is, "(nil)") == 0 ? !told->done[2] : strstr(is, " its name") != NULL);
    snprintf(line, sizeof line, "HDEL jl:tokens t%ld", run_number); /* the next run is no larger than this one */
    world_redis(&w, line);
    world_redis(&w, "HDEL jl:project_meta proj");
    world_redis(&w, "SREM jl:projects proj");
    next_run();
}

static void on_kept(void *user, int err)
{
    assert_int_equal(err, 0);
    *(int *)user = 1;
}

static void test_keeping(void **state)
{
    /* Tokens, tickets, projects and samples as they were given, or an error; a watcher hears what was put. */
    struct node_about about = {.replica = "n1", .cpu_milli = 4000};
    struct node_sample sample = {.at_us = INT64_C(1764000000000000)};
    struct job_key key;
    int done = 0;

    assert_int_equal(job_key_make(&key, "labels", 6, "labelled-1", 10), 0);
    stream_node_sample(w.st, &key, &about, &sample);
    stream_tokens_put(w.st, "kept", token_line, sizeof token_line - 1, on_kept, &done);
    assert_true(world_until(&w, world_is_set, &done, 15000));
    assert_swept(keep_things, check_things, 100);
}

#define T(f) cmocka_unit_test(f)
int main(void)
{
    const struct CMUnitTest tests[] = {T(test_states), T(test_taking_up), T(test_keeping), T(test_sealing)};
    int failed;

    if (!world_has_redis()) return 0;
    world_of_parent();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_close(&w);
    return failed;
}

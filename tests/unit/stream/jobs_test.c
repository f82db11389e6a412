/*
 * tests/unit/stream/jobs_test.c -- the registry over a real Redis: create, list, find, delete.
 */
#include "tests/unit/stream/redis_world.h"

#include "stream/jobs_int.h"

#define JOBS 20000

static struct world w;
static uint64_t seed = 7;

static uint64_t rnd(uint64_t n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % n;
}

static struct job_key key_of(const char *project, const char *job)
{
    struct job_key k;
    assert_int_equal(job_key_make(&k, project, strlen(project), job, strlen(job)), 0);
    return k;
}

/* ---- calls, one at a time ---- */
struct create_answer {
    int done, err, created;
    struct job_info copy; /* scalars only */
    struct job_producer producer; /* the first */
    char name[64], labels[128], extra[128];
};

static void copy_info(struct create_answer *a, const struct job_info *info)
{
    if (!info)
        return;
    a->copy = *info;
    if (info->producer_count)
        a->producer = info->producers[0];
    snprintf(a->name, sizeof a->name, "%s", info->name ? info->name : "");
    snprintf(a->labels, sizeof a->labels, "%s", info->labels_json);
    snprintf(a->extra, sizeof a->extra, "%s", info->extra_json);
}

static void on_create(void *user, int err, int created, const struct job_info *info)
{
    struct create_answer *a = user;
    a->err = err;
    a->created = created;
    copy_info(a, info);
    a->done = 1;
}

static struct create_answer create_with(const struct job_create *c)
{
    struct create_answer a = {0};
    stream_job_create(w.st, c, on_create, &a);
    assert_int_equal(a.done, 0);
    assert_true(world_until(&w, world_is_set, &a.done, 10000));
    return a;
}

static struct create_answer create(const char *project, const char *job)
{
    struct job_create c = {.key = key_of(project, job)};
    return create_with(&c);
}

static void on_get(void *user, int err, const struct job_info *info)
{
    struct create_answer *a = user;
    a->err = err;
    copy_info(a, info);
    a->done = 1;
}

static struct create_answer get(const char *project, const char *job)
{
    struct create_answer a = {0};
    struct job_key k = key_of(project, job);
    stream_job_get(w.st, &k, 1, on_get, &a);
    assert_int_equal(a.done, 0);
    assert_true(world_until(&w, world_is_set, &a.done, 10000));
    return a;
}

struct find_answer {
    int done, err;
    struct job_key key;
};

static void on_find(void *user, int err, const struct job_key *key)
{
    struct find_answer *a = user;
    a->err = err;
    if (key)
        a->key = *key;
    a->done = 1;
}

static struct find_answer find(const char *job)
{
    struct find_answer a = {0};
    stream_job_find(w.st, job, on_find, &a);
    assert_true(world_until(&w, world_is_set, &a.done, 10000));
    return a;
}

static void on_delete(void *user, int err)
{
    struct find_answer *a = user;
    a->err = err;
    a->done = 1;
}

static int delete_job(const char *project, const char *job)
{
    struct find_answer a = {0};
    struct job_key k = key_of(project, job);
    stream_job_delete(w.st, &k, on_delete, &a);
    assert_true(world_until(&w, world_is_set, &a.done, 10000));
    return a.err;
}

struct page {
    int done, err;
    uint32_t count;
    char names[1000][JOB_KEY_TEXT_BYTES];
    int64_t next_us;
    char next_key[JOB_KEY_TEXT_BYTES];
};

static void on_list(void *user, int err, const struct job_info *const *infos, uint32_t count, int64_t next_us,
                    const char *next_key)
{
    struct page *p = user;
    p->err = err;
    p->count = count;
    for (uint32_t i = 0; i < count; i++)
        job_key_text(&infos[i]->key, p->names[i]);
    p->next_us = next_us;
    snprintf(p->next_key, sizeof p->next_key, "%s", next_key);
    p->done = 1;
}

static void list(const struct job_list_query *q, struct page *p)
{
    p->done = 0;
    stream_job_list(w.st, q, on_list, p);
    assert_int_equal(p->done, 0);
    assert_true(world_until(&w, world_is_set, &p->done, 20000));
    assert_int_equal(p->err, 0);
}

/* All pages; names are given to see(). Returns their number. */
static uint32_t list_all(struct job_list_query *q, void (*see)(const char *name, void *user), void *user)
{
    static struct page p;
    uint32_t total = 0;
    for (int calls = 0;; calls++) {
        assert_true(calls < 5000);
        list(q, &p);
        assert_true(p.count <= q->limit);
        for (uint32_t i = 0; i < p.count; i++)
            see(p.names[i], user);
        total += p.count;
        if (!p.next_us)
            return total;
        q->before_us = p.next_us;
        memcpy(q->before_key, p.next_key, sizeof q->before_key);
    }
}

static int setup(void **state)
{
    (void)state;
    world_open(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

/* ---- tests ---- */

static void a_job_is_created_once_with_its_state_as_first_record(void **state)
{
    (void)state;
    struct job_create c = {.key = key_of("p1", "train"), .name = "Train", .labels_json = "{\"team\":\"a\"}",
                           .extra_json = "{\"instance_type\":\"H100\"}", .ranks = 8};
    struct create_answer a = create_with(&c);
    assert_int_equal(a.err, 0);
    assert_int_equal(a.created, 1);
    assert_int_equal(a.copy.state, STATE_CREATED);
    assert_int_equal(a.copy.seq, 1);
    assert_int_equal(a.copy.lines, 0);
    assert_int_equal(a.copy.ranks_declared, 8);
    assert_int_equal(a.copy.history_count, 1);
    assert_int_equal(a.copy.history[0].seq, 1);
    assert_int_equal(a.copy.history[0].at_us, a.copy.created_us);
    assert_int_equal(a.copy.first_in_stream, 1);
    assert_string_equal(a.name, "Train");
    assert_string_equal(a.labels, "{\"team\":\"a\"}");
    assert_string_equal(a.extra, "{\"instance_type\":\"H100\"}");
    c.name = "Other";
    struct create_answer b = create_with(&c);
    assert_int_equal(b.err, 0);
    assert_int_equal(b.created, 0);
    assert_string_equal(b.name, "Train");
    assert_int_equal(b.copy.seq, 1);
    assert_int_equal(b.copy.epoch, a.copy.epoch);
    create("default", "read");
    struct world_read r = world_read_all(&w, "read");
    assert_string_equal(buf_cstr(&r.text), "CREATED\n");
    assert_int_equal(r.torn, 0);
    buf_release(&r.text);
}

static void creating_a_sealed_job_again_does_not_list_it_as_active(void **state)
{
    (void)state;
    create("default", "old");
    assert_int_equal(world_append(&w, "old", "p", 1, 1, 5).err, 0);
    assert_int_equal(world_fin(&w, "old", "p", 1, 5, 0).err, 0);
    assert_int_equal(world_change(&w, "old", STATE_COMPLETED).err, 0);
    assert_string_equal(world_redis(&w, "HGET jl:{default/old}:meta sealed"), "1");
    world_redis(&w, "ZREM jl:active default/old");
    assert_int_equal(create("default", "old").created, 0);
    assert_string_equal(world_redis(&w, "ZSCORE jl:active default/old"), "(nil)");
}

static void a_job_that_its_lines_made_has_the_same_fields(void **state)
{
    (void)state;
    assert_int_equal(world_append(&w, "auto", "p", 1, 1, 5).err, 0);
    struct create_answer a = get("default", "auto");
    assert_int_equal(a.err, 0);
    assert_int_equal(a.copy.state, STATE_RUNNING);
    assert_true(a.copy.created_us > 0 && a.copy.started_us == a.copy.created_us);
    assert_int_equal(a.copy.epoch, a.copy.created_us);
    assert_int_equal(a.copy.lines, 5);
    assert_int_equal(a.copy.level_count[LEVEL_INFO], 5);
    assert_int_equal(a.copy.rank_count, 1);
    assert_int_equal(a.copy.producer_count, 1);
    assert_string_equal(a.labels, "{}");
    assert_int_equal(create("default", "auto").created, 0);
}

static void a_job_knows_from_its_first_moment_in_which_history_of_redis_it_is_whole(void **state)
{
    char history[48] = "";
    const char *at;
    (void)state;

    assert_int_equal(create("default", "made").created, 1);
    assert_int_equal(world_append(&w, "lines", "p", 1, 1, 5).err, 0);
    at = strstr(world_redis(&w, "INFO replication"), "master_replid:");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "master_replid:%40[0-9a-f]", history), 1);
    assert_string_equal(world_redis(&w, "HGET jl:{default/made}:meta run"), history);
    assert_string_equal(world_redis(&w, "HGET jl:{default/lines}:meta run"), history);
}

static void a_producer_tells_how_it_ended(void **state)
{
    /* The exit code and signal said with the fin are kept, with the time they came, whatever the job's state. */
    struct batch *b = world_batch("p", 1, 6, 0, 3);
    (void)state;

    assert_int_equal(world_append(&w, "how", "p", 1, 1, 5).err, 0);
    struct create_answer a = get("default", "how");
    assert_true(!a.producer.has_fin && !a.producer.has_exit_code && a.producer.fin_us == 0);
    b->producer.has_fin = 1;
    b->producer.fin = 5;
    b->producer.has_exit_code = 1;
    b->producer.exit_code = -7;
    b->producer.signal = 11;
    int64_t recv_us = b->recv_us;
    assert_int_equal(world_append_batch(&w, "how", b).err, 0);
    a = get("default", "how");
    assert_true(a.producer.has_fin && a.producer.fin == 5 && a.producer.fin_us == recv_us);
    assert_true(a.producer.has_exit_code && a.producer.exit_code == -7 && a.producer.signal == 11);
    assert_int_equal(world_fin(&w, "how", "p", 1, 5, 0).err, 0); /* said again: nothing is forgotten */
    assert_true(get("default", "how").producer.has_exit_code);
    assert_int_equal(world_append(&w, "how", "p", 1, 6, 1).err, 0);
    assert_int_equal(world_fin(&w, "how", "p", 1, 6, 0).err, 0); /* another end, which told nothing */
    a = get("default", "how");
    assert_true(a.producer.fin == 6 && !a.producer.has_exit_code && a.producer.fin_us > 0);
}

static void an_unknown_job_is_not_found(void **state)
{
    (void)state;
    assert_int_equal(get("default", "nobody").err, ERR_NOT_FOUND);
    assert_int_equal(find("nobody").err, ERR_NOT_FOUND);
    assert_int_equal(delete_job("default", "nobody"), ERR_NOT_FOUND);
}

static void a_bare_id_is_found_when_one_project_has_it(void **state)
{
    (void)state;
    create("p1", "same");
    create("p2", "same");
    create("p2", "only");
    struct find_answer a = find("only");
    assert_int_equal(a.err, 0);
    assert_string_equal(a.key.project, "p2");
    assert_int_equal(find("same").err, ERR_AMBIGUOUS);
    assert_int_equal(delete_job("p1", "same"), 0);
    a = find("same");
    assert_int_equal(a.err, 0);
    assert_string_equal(a.key.project, "p2");
    world_redis(&w, "SADD jl:ids:only ghost"); /* a crash between index and job */
    assert_int_equal(find("only").err, 0);
}

static void a_deleted_job_leaves_nothing_and_its_successor_has_a_newer_epoch(void **state)
{
    (void)state;
    create("default", "gone");
    assert_int_equal(world_append(&w, "gone", "p", 1, 1, 50).err, 0);
    uint64_t epoch = get("default", "gone").copy.epoch;
    assert_int_equal(delete_job("default", "gone"), 0);
    assert_string_equal(world_redis(&w, "KEYS *gone*"), "");
    assert_string_equal(world_redis(&w, "ZCARD jl:jobs"), "0");
    assert_string_equal(world_redis(&w, "ZCARD jl:project:default"), "0");
    assert_string_equal(world_redis(&w, "ZCARD jl:active"), "0");
    assert_string_equal(world_redis(&w, "ZCARD jl:hot"), "0");
    assert_int_equal(delete_job("default", "gone"), ERR_NOT_FOUND);
    assert_int_equal(world_append(&w, "gone", "p", 1, 1, 3).err, 0);
    struct create_answer a = get("default", "gone");
    assert_int_equal(a.err, 0);
    assert_true(a.copy.epoch > epoch);
    assert_int_equal(a.copy.seq, 3);
    assert_int_equal(find("gone").err, 0);
    static struct page p;
    struct job_list_query q = {.limit = 10};
    list(&q, &p);
    assert_int_equal(p.count, 1);
}

static char project_names[256];
static void on_projects(void *user, int err, const char *const *names, uint32_t count)
{
    assert_int_equal(err, 0);
    *project_names = 0;
    for (uint32_t i = 0; i < count; i++) {
        strcat(project_names, names[i]);
        strcat(project_names, " ");
    }
    *(int *)user = 1;
}

static void projects_are_named_in_order(void **state)
{
    (void)state;
    int done = 0;
    stream_projects(w.st, on_projects, &done);
    assert_true(world_until(&w, world_is_set, &done, 10000));
    assert_string_equal(project_names, "");
    create("zeta", "a");
    create("alpha", "a");
    done = 0;
    stream_projects(w.st, on_projects, &done);
    assert_true(world_until(&w, world_is_set, &done, 10000));
    assert_string_equal(project_names, "alpha zeta ");
}

/* ---- 20,000 jobs, written as the script writes them ---- */
struct model_job {
    char name[JOB_KEY_TEXT_BYTES];
    int64_t us;
    enum job_state state;
    int label, project, ghost;
};
static struct model_job *jobs;

static int newest_first(const void *a, const void *b)
{
    const struct model_job *x = a, *y = b;
    if (x->us != y->us)
        return x->us < y->us ? 1 : -1;
    return -strcmp(x->name, y->name);
}

static void on_filled(void *user, int err, const struct reply *reply)
{
    (void)reply;
    assert_int_equal(err, 0);
    *(int *)user += 1;
}

static void word(struct conn_request *r, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    conn_request_str(r, text);
}

static int filled;
static int is_filled(void *arg)
{
    (void)arg;
    return filled == JOBS;
}

static void fill_redis(void)
{
    static const enum job_state states[] = {STATE_CREATED, STATE_RUNNING, STATE_COMPLETED, STATE_FAILED};
    jobs = calloc(JOBS, sizeof *jobs);
    filled = 0;
    for (int i = 0; i < JOBS; i++) {
        struct model_job *j = &jobs[i];
        j->project = (int)rnd(10) == 0; /* 0: big, 1: small */
        j->state = states[rnd(100) < 97 ? 2 + rnd(2) : rnd(2)];
        j->label = (int)rnd(50) == 0;
        j->ghost = (int)rnd(200) == 0;
        /* thousands of one microsecond, and a spread of others */
        j->us = 1764000000000000 + (int64_t)(rnd(3) == 0 ? 5000 : rnd(10000));
        snprintf(j->name, sizeof j->name, "%s/job-%05d", j->project ? "small" : "big", i);
        struct conn_request *r = conn_request_new(0);
        struct job_key k;
        char key[STREAM_KEY_BYTES];
        assert_int_equal(job_key_parse(&k, j->name, strlen(j->name)), 0);
        stream__index_add(r, &k, j->us);
        if (!j->ghost) {
            conn_request_begin(r, 12);
            word(r, "HSET");
            word(r, "%s", stream__key(key, &k, "meta"));
            word(r, "epoch");
            word(r, "%lld", (long long)j->us);
            word(r, "created_us");
            word(r, "%lld", (long long)j->us);
            word(r, "seq");
            word(r, "0");
            word(r, "state");
            word(r, "%s", state_short(j->state));
            word(r, "labels");
            word(r, "{\"team\":\"%s\",\"n\":\"%d\"}", j->label ? "red" : "blue", i);
        }
        if (state_is_terminal(j->state)) {
            conn_request_begin(r, 3);
            word(r, "ZREM");
            word(r, STREAM_KEY_ACTIVE);
            word(r, "%s", j->name);
        }
        conn_send(w.st->cmd, &r, CONN_IDEMPOTENT, 0, on_filled, &filled);
        if (i % 500 == 499) {
            int want = i + 1;
            for (int n = 0; n < 20000 && filled < want; n++)
                uv_run(&w.loop, UV_RUN_ONCE);
        }
    }
    assert_true(world_until(&w, is_filled, NULL, 20000));
    qsort(jobs, JOBS, sizeof *jobs, newest_first);
}

struct expect {
    int (*wanted)(const struct model_job *j);
    uint32_t at;
};

static void see(const char *name, void *user)
{
    struct expect *e = user;
    while (e->at < JOBS && (jobs[e->at].ghost || !e->wanted(&jobs[e->at])))
        e->at++;
    assert_true(e->at < JOBS);
    assert_string_equal(name, jobs[e->at].name);
    e->at++;
}

static void expect_list(struct job_list_query q, int (*wanted)(const struct model_job *j))
{
    struct expect e = {wanted, 0};
    uint32_t total = 0, got = list_all(&q, see, &e);
    for (int i = 0; i < JOBS; i++)
        total += !jobs[i].ghost && wanted(&jobs[i]);
    assert_int_equal(got, total);
    assert_true(total > 0);
}

static int any(const struct model_job *j) { (void)j; return 1; }
static int is_small(const struct model_job *j) { return j->project; }
static int is_failed(const struct model_job *j) { return j->state == STATE_FAILED; }
static int is_active(const struct model_job *j) { return !state_is_terminal(j->state); }
static int is_small_active(const struct model_job *j) { return j->project && !state_is_terminal(j->state); }
static int is_red(const struct model_job *j) { return j->label; }
static int is_small_failed_red(const struct model_job *j) { return j->project && j->state == STATE_FAILED && j->label; }

static int64_t turn_us_max;
static uv_prepare_t prepare;
static uv_check_t check;
static int64_t woke_us;
static void on_check(uv_check_t *h) { (void)h; woke_us = woke_us ? woke_us : clock_mono_us(); }
static void on_prepare(uv_prepare_t *h)
{
    (void)h;
    if (woke_us && clock_mono_us() - woke_us > turn_us_max)
        turn_us_max = clock_mono_us() - woke_us;
    woke_us = 0;
}

static void pages_of_20000_jobs_are_in_order_without_repeat_or_hole(void **state)
{
    (void)state;
    fill_redis();
    uv_prepare_init(&w.loop, &prepare);
    uv_check_init(&w.loop, &check);
    uv_prepare_start(&prepare, on_prepare);
    uv_check_start(&check, on_check);
    int64_t begin_us = clock_mono_us();
    expect_list((struct job_list_query){.limit = 100}, any);
    print_message("all in pages of 100: %lld us a page\n", (long long)(clock_mono_us() - begin_us) / (JOBS / 100));
    expect_list((struct job_list_query){.limit = 1000}, any);
    expect_list((struct job_list_query){.limit = 37, .project = "small"}, is_small);
    expect_list((struct job_list_query){.limit = 7, .active_only = 1}, is_active);
    expect_list((struct job_list_query){.limit = 5, .active_only = 1, .project = "small"}, is_small_active);
    expect_list((struct job_list_query){.limit = 64, .state_mask = 1u << STATE_FAILED}, is_failed);
    expect_list((struct job_list_query){.limit = 20, .label_keys = {"team"}, .label_values = {"red"}, .label_count = 1}, is_red);
    expect_list((struct job_list_query){.limit = 1000,
                                        .project = "small",
                                        .state_mask = 1u << STATE_FAILED,
                                        .label_keys = {"team"},
                                        .label_values = {"red"},
                                        .label_count = 1},
                is_small_failed_red);
    print_message("longest loop turn while listing: %lld us\n", (long long)turn_us_max);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&check, NULL);
    uv_run(&w.loop, UV_RUN_NOWAIT);

    /* The registry survives a restart of Redis and of us. */
    world_stop(&w);
    world_start(&w);
    expect_list((struct job_list_query){.limit = 500}, any);
    free(jobs);
}

static void jobs_made_and_deleted_between_pages_move_nothing(void **state)
{
    (void)state;
    static struct page p;
    char name[32];
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "j%02d", i);
        create("default", name);
    }
    struct job_list_query q = {.limit = 10};
    list(&q, &p);
    assert_int_equal(p.count, 10);
    assert_string_equal(p.names[9], "default/j20");
    create("default", "newer");
    delete_job("default", "j25");
    delete_job("default", "j20"); /* the cursor's own job */
    q.before_us = p.next_us;
    memcpy(q.before_key, p.next_key, sizeof q.before_key);
    list(&q, &p);
    assert_string_equal(p.names[0], "default/j19");
    assert_string_equal(p.names[9], "default/j10");
    q.before_us = p.next_us;
    memcpy(q.before_key, p.next_key, sizeof q.before_key);
    list(&q, &p);
    assert_int_equal(p.count, 10);
    assert_int_equal(p.next_us, 0);
}

struct number_answer {
    int done, err;
    uint64_t number;
};
static void on_number(void *user, int err, uint64_t number)
{
    struct number_answer *a = user;
    *a = (struct number_answer){1, err, number};
}
static uint64_t live(const char *project, uint64_t limit)
{
    struct number_answer a = {0};
    stream_jobs_live(w.st, project, limit, on_number, &a);
    assert_int_equal(a.done, 0);
    assert_true(world_until(&w, world_is_set, &a.done, 10000));
    assert_int_equal(a.err, 0);
    return a.number;
}
static uint64_t bytes(const char *project)
{
    struct number_answer a = {0};
    stream_jobs_bytes(w.st, project, on_number, &a);
    assert_int_equal(a.done, 0);
    assert_true(world_until(&w, world_is_set, &a.done, 10000));
    assert_int_equal(a.err, 0);
    return a.number;
}

static void on_exists_answer(void *user, int err)
{
    struct number_answer *a = user;
    *a = (struct number_answer){1, err, 0};
}

/* Live jobs and stored bytes are summed per project and over all, as the jobs themselves have them. */
static void jobs_are_summed_by_project(void **state)
{
    uint64_t want[2] = {0, 0};
    char name[32];
    assert_int_equal(bytes("none"), 0);
    assert_int_equal(live("none", 10), 0);
    for (int i = 0; i < 1300; i++) { /* more than two chunks */
        char command[96];
        snprintf(name, sizeof name, "s%d", i);
        assert_int_equal(create(i % 3 ? "one" : "two", name).err, 0);
        if (i % 100)
            continue;
        snprintf(command, sizeof command, "HSET jl:{%s/%s}:meta bytes 10", i % 3 ? "one" : "two", name);
        world_redis(&w, command);
        want[i % 3 ? 0 : 1] += 10;
    }
    assert_int_equal(bytes("one"), want[0]);
    assert_int_equal(bytes("two"), want[1]);
    assert_int_equal(bytes(NULL), want[0] + want[1]);
    assert_int_equal(live("one", 5), 5);
    assert_int_equal(live("two", 5000), 434);
    assert_int_equal(live(NULL, 5000), 1300);
    delete_job("two", "s0");
    assert_int_equal(bytes("two"), want[1] - 10);
    assert_int_equal(live("two", 5000), 433);
    for (int there = 0; there < 2; there++) {
        struct number_answer a = {0};
        struct job_key key = key_of(there ? "one" : "two", "s1");
        stream_job_exists(w.st, &key, on_exists_answer, &a);
        assert_true(world_until(&w, world_is_set, &a.done, 10000));
        assert_int_equal(a.err, there ? 0 : ERR_NOT_FOUND);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_job_is_created_once_with_its_state_as_first_record),
        T(creating_a_sealed_job_again_does_not_list_it_as_active),
        T(a_job_that_its_lines_made_has_the_same_fields),
        T(a_job_knows_from_its_first_moment_in_which_history_of_redis_it_is_whole),
        T(a_producer_tells_how_it_ended),
        T(an_unknown_job_is_not_found),
        T(a_bare_id_is_found_when_one_project_has_it),
        T(a_deleted_job_leaves_nothing_and_its_successor_has_a_newer_epoch),
        T(projects_are_named_in_order),
        T(jobs_are_summed_by_project),
        T(jobs_made_and_deleted_between_pages_move_nothing),
        T(pages_of_20000_jobs_are_in_order_without_repeat_or_hole),
    };
    return world_has_redis() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}

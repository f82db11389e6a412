/*
 * tests/unit/stream/nodes_test.c -- stream/nodes.c and its script, against a real Redis.
 */
#include "base/json_tree.h"
#include "stream/nodes.h"
#include "tests/unit/stream/redis_world.h"

static struct world w;

static int setup(void **state)
{
    if (world_has_redis())
        world_open(&w);
    return 0;
}

static int teardown(void **state)
{
    if (w.st)
        world_close(&w);
    return 0;
}

#define NEEDS_REDIS() do { if (!w.st) skip(); } while (0)

static void add(const char *job, const char *replica, int64_t at_us, int64_t cpu_milli, uint32_t gpus)
{
    struct node_about about = {.cpu_milli = 10000, .memory_bytes = 1000, .disk_bytes = 2000, .gpu_count = gpus};
    struct node_sample s = {
        .at_us = at_us, .cpu_milli = cpu_milli, .memory_bytes = 500, .disk_bytes = NODE_UNKNOWN, .gpu_count = gpus};
    struct job_key key = world_key(job);

    snprintf(about.replica, sizeof about.replica, "%s", replica);
    for (uint32_t i = 0; i < gpus; i++) {
        snprintf(about.gpus[i].name, sizeof about.gpus[i].name, "GPU %u", i);
        s.gpus[i] = (struct node_gpu){(int32_t)(100 * i), 7};
    }
    stream_node_sample(w.st, &key, &about, &s);
}

struct got {
    int done, err;
    struct buf lines;
};

static void on_nodes(void *user, int err, const char *lines, size_t len)
{
    struct got *g = user;

    g->err = err;
    buf_add(&g->lines, lines, len);
    g->done = 1;
}

static struct got nodes(const char *job)
{
    struct job_key key = world_key(job);
    struct got g = {0};

    stream_nodes_get(w.st, &key, on_nodes, &g);
    assert_true(world_until(&w, world_is_set, &g.done, 15000));
    assert_int_equal(g.err, 0);
    return g;
}

/* The numbers of "name" of the line of replica; how many. */
static size_t column(struct got *g, const char *replica, const char *name, double out[4096])
{
    size_t n = 0;

    for (char *line = g->lines.data, *nl; line && *line; line = nl + 1) {
        struct json_tree *root = NULL;
        const char *text = "";

        nl = strchr(line, '\n');
        assert_non_null(nl);
        assert_int_equal(json_tree_parse(line, (size_t)(nl - line), &root, NULL), 0);
        json_tree_get_str(root, "replica", &text);
        if (!strcmp(text, replica))
            for (const struct json_tree *v = json_tree_first(json_tree_get(root, name)); v; v = json_tree_next(v))
                out[n++] = json_tree_is_num(v) ? json_tree_double(v) : -1;
        json_tree_free(&root);
    }
    return n;
}

static void samples_of_two_nodes(void **state)
{
    /* Each node has its own series, in order; a job without any has none, and is not made by one. */
    struct got g;
    double v[4096];

    NEEDS_REDIS();
    add("none", "a", 1000000, 1000, 0);
    g = nodes("none");
    assert_int_equal(g.lines.len, 0);
    buf_release(&g.lines);
    assert_string_equal(world_redis(&w, "EXISTS jl:{default/none}:meta"), "0");
    world_append(&w, "two", "p", 1, 1, 1);
    for (int i = 0; i < 5; i++) {
        add("two", "b", (i + 1) * INT64_C(10000000), 1000 * i, 2);
        add("two", "a", (i + 1) * INT64_C(10000000), 5000, 0);
    }
    g = nodes("two");
    assert_int_equal(strncmp(buf_cstr(&g.lines), "{\"replica\":\"a\"", 14), 0);
    assert_int_equal(column(&g, "b", "cpu", v), 5);
    assert_true(v[0] == 0 && v[4] > 0.39 && v[4] < 0.41);
    assert_int_equal(column(&g, "a", "cpu", v), 5);
    assert_int_equal(column(&g, "a", "disk_bytes", v), 5);
    assert_true(v[0] == -1);
    assert_non_null(strstr(buf_cstr(&g.lines), "\"gpu_names\":[\"GPU 0\",\"GPU 1\"]"));
    assert_non_null(strstr(buf_cstr(&g.lines), "\"gpu\":[[0,0.1]"));
    buf_release(&g.lines);
    world_stop(&w); /* they are on disk */
    world_start(&w);
    g = nodes("two");
    assert_int_equal(column(&g, "b", "cpu", v), 5);
    buf_release(&g.lines);
}

static void a_long_job_is_thinned_evenly(void **state)
{
    /* However many come, a node keeps at most its share: means over even spans, the newest point always there. */
    struct got g;
    double v[4096];
    size_t n = 0;
    const int total = 5000;

    NEEDS_REDIS();
    world_append(&w, "long", "p", 1, 1, 1);
    for (int i = 1; i <= total; i++) {
        add("long", "n", i * INT64_C(10000000), i, 0);
        if (i % 1000 == 0)
            world_redis(&w, "PING"); /* what is queued goes out */
        if (i % 500 && i != total)
            continue;
        g = nodes("long");
        n = column(&g, "n", "cpu", v);
        assert_true(n <= NODES_SAMPLES_MAX + 1 && n >= (size_t)(i < NODES_SAMPLES_MAX ? i : NODES_SAMPLES_MAX / 2));
        for (size_t k = 1; k < n; k++)
            assert_true(v[k] > v[k - 1]);
        /* the newest point is at the newest sample's time */
        char at[CLOCK_RFC3339_BYTES + 1];
        assert_non_null(strstr(buf_cstr(&g.lines), clock_rfc3339(i * INT64_C(10000000), at)));
        buf_release(&g.lines);
    }
    /* 5000 samples of 1, 2, 3 … milli-cores out of 10,000: points are means of 8 */
    assert_true(n >= (size_t)total / 8 && n <= (size_t)total / 8 + 2);
    assert_true(v[0] > 0.0003 && v[0] < 0.0006);
    assert_true(v[n / 2] > 0.24 && v[n / 2] < 0.26);
    assert_true(atoi(world_redis(&w, "HLEN jl:{default/long}:node")) < 40);
}

static void many_nodes_share(void **state)
{
    /* Samples of all nodes of a job together are bounded; so is the number of nodes. */
    struct got g;
    char name[32];
    size_t samples = 0, lines = 0;
    double v[4096];

    NEEDS_REDIS();
    world_append(&w, "wide", "p", 1, 1, 1);
    for (int k = 0; k < 100; k++)
        for (int i = 0; i < 300; i++) {
            snprintf(name, sizeof name, "n%d", i);
            add("wide", name, (k + 1) * INT64_C(10000000), 1, 0);
            if (i % 100 == 0)
                world_redis(&w, "PING"); /* what is queued goes out */
        }
    for (int k = 0; k < 200; k++)
        add("wide", "n7", (k + 101) * INT64_C(10000000), 1, 0);
    for (int i = 300; i < NODES_MAX + 10; i++) {
        snprintf(name, sizeof name, "n%d", i);
        add("wide", name, 1, 1, 0);
    }
    g = nodes("wide");
    for (const char *p = buf_cstr(&g.lines); (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, NODES_MAX);
    samples = column(&g, "n7", "cpu", v);
    assert_true(samples >= 100 && samples <= NODES_JOB_SAMPLES_MAX / 300 + 1);
    buf_release(&g.lines);
}

static void on_deleted(void *flag, int err)
{
    assert_int_equal(err, 0);
    *(int *)flag = 1;
}

static void gone_with_the_job(void **state)
{
    /* A sealed job takes no more; deleting the job deletes them; dropping them leaves the job. */
    struct job_key key = world_key("end");
    struct got g;
    int done = 0;

    NEEDS_REDIS();
    world_append(&w, "end", "p", 1, 1, 1);
    add("end", "a", 1, 1, 0);
    stream_nodes_drop(w.st, &key);
    assert_string_equal(world_redis(&w, "EXISTS jl:{default/end}:node jl:{default/end}:meta"), "1");
    add("end", "a", 1, 1, 0);
    world_change(&w, "end", STATE_COMPLETED);
    world_fin(&w, "end", "p", 1, 1, 0);
    add("end", "a", 2, 1, 0);
    g = nodes("end");
    assert_null(strstr(buf_cstr(&g.lines), "00002Z"));
    buf_release(&g.lines);
    stream_job_delete(w.st, &key, on_deleted, &done);
    assert_true(world_until(&w, world_is_set, &done, 15000));
    assert_string_equal(world_redis(&w, "EXISTS jl:{default/end}:node"), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_of_two_nodes),
        cmocka_unit_test(a_long_job_is_thinned_evenly),
        cmocka_unit_test(many_nodes_share),
        cmocka_unit_test(gone_with_the_job),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

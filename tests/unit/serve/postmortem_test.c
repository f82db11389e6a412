/*
 * tests/unit/serve/postmortem_test.c -- the three forms of a post-mortem, over the corpus and over hostile text.
 */
#include "tests/unit/digest/corpus.h"

#include "digest/verdict.h"
#include "serve/postmortem.h"
#include "serve/postmortem_int.h"

#include <dirent.h>

struct made {
    struct corpus c;
    struct verdict v;
    struct postmortem p;
    struct buf out;
};

static void make(struct made *m, const char *name)
{
    memset(m, 0, sizeof *m);
    corpus_load(&m->c, name);
    verdict_make(&m->v, m->c.d, m->c.info, m->c.now_us);
    m->p = (struct postmortem){.info = m->c.info,
                               .digest = m->c.d,
                               .verdict = &m->v,
                               .now_us = m->c.now_us,
                               .computed_us = 1500,
                               .ranks_max = 1024,
                               .groups_max = 100};
}

static void unmake(struct made *m)
{
    buf_release(&m->out);
    verdict_release(&m->v);
    corpus_free(&m->c);
}

static const char *text_at(const struct json_tree *root, const char *a, const char *b)
{
    const char *s = NULL;

    json_tree_get_str(b ? json_tree_get(root, a) : root, b ? b : a, &s);
    return s;
}

static void test_json_of_every_recording(void **state)
{
    (void)
        state; /* Every recording's post-mortem is one JSON object with all members of the contract. */
    static const char *const members[] = {"job",    "at",       "seq",   "behind", "live",   "verdict",
                                          "causes", "timeline", "ranks", "groups", "tails",
                                          "gaps",   "missing",  "rate",  "hung",   "computed_ms"};
    DIR *dir = opendir(CORPUS_DIR);
    unsigned seen = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        struct json_tree *root = NULL;
        struct made m;
        char name[256];
        char *dot = strrchr(e->d_name, '.');
        size_t at = 0;
        if (!dot || strcmp(dot, ".jsonl") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - e->d_name), e->d_name);
        make(&m, name);
        assert_int_equal(postmortem__json(&m.out, &m.p), 0);
        if (json_tree_parse(m.out.data, m.out.len - 1, &root, &at) != 0)
            fail_msg("%s: no JSON at %zu", name, at);
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            if (!json_tree_get(root, members[i]))
                fail_msg("%s: no %s", name, members[i]);
        assert_non_null(text_at(root, "verdict", "sentence"));
        buf_clear(&m.out);
        assert_true(postmortem__markdown(&m.out, &m.p) >= 0);
        assert_memory_equal(m.out.data, "# Post-mortem of ", 17);
        buf_clear(&m.out);
        assert_true(postmortem__html(&m.out, &m.p) >= 0);
        assert_null(strstr(buf_cstr(&m.out), "<script"));
        json_tree_free(&root);
        unmake(&m);
        seen++;
    }
    closedir(dir);
    assert_true(seen > 60);
}

static void test_what_the_json_says(void **state)
{
    (void)
        state; /* Verdict, evidence, groups with their ranks, rows and rate are those of the recording. */
    struct json_tree *root = NULL;
    const struct json_tree *verdict, *first, *rate, *row;
    struct made m;
    int64_t n = 0;

    make(&m, "cuda-oom");
    assert_int_equal(postmortem__json(&m.out, &m.p), 0);
    assert_int_equal(json_tree_parse(m.out.data, m.out.len - 1, &root, NULL), 0);
    verdict = json_tree_get(root, "verdict");
    assert_string_equal(text_at(verdict, "kind", NULL), "failed");
    assert_string_equal(text_at(verdict, "cause", NULL), "cuda_oom");
    assert_string_equal(text_at(verdict, "confidence", NULL), "certain");
    assert_int_equal(json_tree_get_i64(verdict, "rank", &n), 1);
    assert_int_equal(n, 3);
    assert_true(json_tree_is_num(json_tree_get(verdict, "clock_error_s")));
    first = json_tree_first(json_tree_get(root, "groups"));
    assert_string_equal(text_at(first, "role", NULL), "primary");
    assert_string_equal(text_at(first, "ranks", NULL), "3");
    assert_non_null(strstr(text_at(first, "text", NULL), "Traceback (most recent call last)"));
    first = json_tree_first(json_tree_get(root, "causes"));
    assert_string_equal(text_at(first, "cause", NULL), "cuda_oom");
    assert_string_equal(text_at(first, "title", NULL), "CUDA out of memory");
    row = json_tree_first(json_tree_get(root, "ranks"));
    assert_string_equal(text_at(row, "status", NULL), "cascade");
    assert_int_equal(json_tree_get_i64(row, "exit_code", &n), 1);
    assert_int_equal(n, 1);
    rate = json_tree_get(root, "rate");
    n = 0;
    for (const struct json_tree *b = json_tree_first(json_tree_get(rate, "lines")); b;
         b = json_tree_next(b))
        for (const struct json_tree *l = json_tree_first(b); l; l = json_tree_next(l))
            n += (int64_t)json_tree_double(l);
    assert_int_equal(n, m.c.d->lines);
    assert_true(json_tree_is_null(json_tree_get(root, "hung")));
    json_tree_free(&root);
    unmake(&m);

    make(&m, "hung-one-silent");
    assert_int_equal(postmortem__json(&m.out, &m.p), 0);
    assert_int_equal(json_tree_parse(m.out.data, m.out.len - 1, &root, NULL), 0);
    assert_string_equal(text_at(root, "hung", "kind"), "one_silent");
    assert_string_equal(text_at(root, "hung", "ranks"), "2");
    assert_true(json_tree_true(json_tree_get(root, "live")));
    json_tree_free(&root);
    unmake(&m);
}

/* A job that tries to break out of every document. */
static const char hostile[] = "ValueError: </pre></title><script>alert(1)</script><img src=x "
                              "onerror=alert(2)>\" onload=\"x' &amp; ]]> -->"
                              " | ``` ```` [a](javascript:alert(3)) \x1b[31mred\x1b[0m \xe2\x80\xae"
                              "evil \xc2\x9b"
                              "1m <!doctype>";

static void test_hostile_text(void **state)
{
    (void)
        state; /* Text of the job stays text: no tag, attribute, fence, table cell or control gets out of its place. */
    struct verdict v;
    struct digest *d = NULL;
    struct job_info *info = job_info_new();
    struct buf out = BUF_INIT, line = BUF_INIT;
    struct postmortem_tail *tail = calloc(1, sizeof *tail);
    struct postmortem p = {.ranks_max = 9,
                           .groups_max = 9,
                           .info = info,
                           .verdict = &v,
                           .tails = tail,
                           .tail_count = 1};

    job_key_make(&info->key, "default", 7, "evil", 4);
    info->state = STATE_FAILED;
    info->error_message = must_strdup(hostile);
    info->missing_json = must_strdup("[\"rank-1\"]");
    info->sealed = 1;
    assert_int_equal(digest_new(&cause_classifier, &d), 0);
    for (int i = 1; i < 4; i++) {
        struct record rec = {.seq = (uint64_t)i,
                             .ts_us = 1764000000000000 + i,
                             .rank = 0,
                             .replica = "node-1",
                             .level = LEVEL_ERROR,
                             .msg = hostile,
                             .msg_len = sizeof hostile - 1};
        buf_clear(&line);
        assert_int_equal(record_write(&line, &rec), 0);
        assert_int_equal(digest_add_line(d, line.data, line.len, rec.ts_us + 5), 0);
    }
    assert_int_equal(digest_settle(d), 0);
    verdict_make(&v, d, info, 1764000001000000);
    p.digest = d;
    tail->rank = 0;
    tail->count = 1;
    tail->lines[0] = (struct postmortem_line){
        .seq = 3, .level = LEVEL_ERROR, .text = (char *)hostile, .len = sizeof hostile - 1};
    assert_true(postmortem__html(&out, &p) >= 0);
    buf_cstr(&out);
    assert_null(strstr(out.data, "<script"));
    assert_null(strstr(out.data, "<img"));
    assert_null(strstr(out.data, "onerror=alert(2)>"));
    assert_null(strstr(out.data, "\" onload"));
    assert_null(memchr(out.data, 0x1b, out.len));
    assert_null(strstr(out.data, "\xe2\x80\xae"));
    assert_null(strstr(out.data, "\xc2\x9b"));
    assert_non_null(strstr(out.data, "&lt;script&gt;"));
    assert_non_null(strstr(out.data, "\\u202e"));
    for (const char *s = out.data; (s = strstr(s, "</pre>")); s += 6) /* every one is ours */
        assert_true(!strncmp(s, "</pre></details>", 16));
    buf_clear(&out);
    assert_true(postmortem__markdown(&out, &p) >= 0);
    assert_null(memchr(out.data, 0x1b, out.len));
    assert_non_null(strstr(out.data, "`````text\n"));
    assert_null(strstr(out.data, "\n| <"));
    for (const char *row = strstr(out.data, "\n| 0 "); row && *row;
         row = NULL) { /* the row of rank 0 has its eleven cells */
        unsigned bars = 0;
        for (const char *s = row + 1; *s && *s != '\n'; s++)
            bars += *s == '|' && s[-1] != '\\';
        assert_int_equal(bars, 12);
    }
    buf_clear(&out);
    assert_int_equal(postmortem__json(&out, &p), 0);
    verdict_release(&v);
    digest_free(&d);
    job_info_free(&info);
    free(tail);
    buf_release(&out);
    buf_release(&line);
}

static void test_many_ranks(void **state)
{
    (void)state; /* A table of 64 ranks cut to 8 rows shows the culprit and stays in order. */
    struct made m;
    uint32_t places[8], n;
    int has_culprit = 0;

    make(&m, "ranks-64");
    n = postmortem__rows(&m.p, places, 8);
    assert_int_equal(n, 8);
    for (uint32_t i = 0; i < n; i++) {
        has_culprit |= m.v.ranks[places[i]].rank == 37;
        assert_true(!i || places[i] > places[i - 1]);
    }
    assert_true(has_culprit);
    n = postmortem__rows(&m.p, places, 8);
    unmake(&m);
}

static void test_rate(void **state)
{
    (void)state; /* No line is lost when many buckets become few; an empty job has none. */
    struct postmortem_rate r;
    struct digest *d = NULL;
    uint64_t sum = 0;
    struct made m;

    make(&m, "stopped");
    postmortem__rate(&r, m.c.d);
    assert_true(r.count > 0 && r.count <= POSTMORTEM_RATE_BUCKETS && r.bucket_us > 0);
    for (unsigned i = 0; i < r.count; i++)
        for (int l = 0; l < LEVEL_COUNT; l++)
            sum += r.lines[i][l];
    assert_int_equal(sum, m.c.d->lines);
    unmake(&m);
    assert_int_equal(digest_new(NULL, &d), 0);
    assert_int_equal(digest_settle(d), 0);
    postmortem__rate(&r, d);
    assert_int_equal(r.count, 0);
    digest_free(&d);
}

static void test_accept(void **state)
{
    (void)state; /* The form is the one with the highest weight, the most particular range counts; JSON where equal. */
    static const struct {
        const char *accept;
        int form; /* -1: none */
    } rows[] = {{NULL, POSTMORTEM_JSON},
                {"", POSTMORTEM_JSON},
                {"*/*", POSTMORTEM_JSON},
                {"application/json", POSTMORTEM_JSON},
                {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", POSTMORTEM_PAGE},
                {"text/markdown", POSTMORTEM_MD},
                {"TEXT/Markdown ; q=0.9 , text/html;q=0.1", POSTMORTEM_MD},
                {"text/*;q=0.5, application/json;q=0.4", POSTMORTEM_PAGE},
                {"text/*, text/html;q=0", POSTMORTEM_MD},
                {"application/*;q=0.2, */*;q=0.1", POSTMORTEM_JSON},
                {"image/png", -1},
                {"application/json;q=0", -1},
                {"*/*;q=0", -1},
                {",, ,", -1},
                {"text/html;q=nonsense", -1}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum postmortem_form form = POSTMORTEM_JSON;
        int err = postmortem_accept(rows[i].accept, &form);
        if (rows[i].form < 0 ? err == 0 : err != 0 || (int)form != rows[i].form)
            fail_msg("%s: %d, form %d", rows[i].accept, err, (int)form);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_of_every_recording),
        cmocka_unit_test(test_what_the_json_says),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_many_ranks),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_accept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

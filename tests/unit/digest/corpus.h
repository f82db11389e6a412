/*
 * tests/unit/digest/corpus.h -- a recording of tests/corpus/failures, read into a digest and a job_info.
 */
#ifndef TESTS_UNIT_DIGEST_CORPUS_H
#define TESTS_UNIT_DIGEST_CORPUS_H

#include "base/check.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json_tree.h"
#include "digest/cause.h"
#include "job/info.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CORPUS_DIR "tests/corpus/failures"

struct corpus {
    struct digest *d;
    struct job_info *info;
    int64_t now_us;
};

static inline int64_t corpus_time(const struct json_tree *v, const char *key)
{
    const char *text = NULL;
    int64_t us = 0;

    if (json_tree_get_str(v, key, &text) > 0)
        assert_int_equal(clock_parse_rfc3339(text, strlen(text), &us), 0);
    return us;
}

static inline int64_t corpus_number(const struct json_tree *v, const char *key, int64_t otherwise)
{
    int64_t n = otherwise;

    json_tree_get_i64(v, key, &n);
    return n;
}

static inline uint32_t corpus_count(const struct json_tree *list)
{
    uint32_t n = 0;

    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v))
        n++;
    return n;
}

static inline char *corpus_text(const struct json_tree *v, const char *key)
{
    const char *text = NULL;

    return json_tree_get_str(v, key, &text) > 0 ? must_strdup(text) : NULL;
}

static inline void corpus_history(struct job_info *i, const struct json_tree *list)
{
    for (const struct json_tree *v = json_tree_first(list); v && i->history_count < JOB_HISTORY_MAX;
         v = json_tree_next(v)) {
        struct job_history *h = &i->history[i->history_count++];
        const char *state = NULL;
        assert_int_equal(json_tree_get_str(v, "state", &state), 1);
        assert_int_equal(state_parse(state, strlen(state), &h->state), 0);
        h->at_us = corpus_time(v, "at");
        h->seq = (uint64_t)corpus_number(v, "seq", 0);
        h->has_exit_code = json_tree_get_i64(v, "exit_code", &h->exit_code) > 0;
        h->rank = (int32_t)corpus_number(v, "rank", RECORD_RANK_NONE);
        h->message = corpus_text(v, "message");
    }
}

static inline void corpus_producers(struct job_info *i, const struct json_tree *list)
{
    i->producers = must_calloc(corpus_count(list) + 1, sizeof *i->producers);
    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v)) {
        struct job_producer *p = &i->producers[i->producer_count++];
        const char *text = NULL;
        int64_t n = 0;
        json_tree_get_str(v, "id", &text);
        snprintf(p->id, sizeof p->id, "%s", text);
        p->rank = (int32_t)corpus_number(v, "rank", RECORD_RANK_NONE);
        p->last = (uint64_t)corpus_number(v, "last", 0);
        p->has_fin = json_tree_get_i64(v, "fin", &n) > 0;
        p->fin = (uint64_t)n;
        p->fin_us = corpus_time(v, "fin_at");
        p->has_exit_code = json_tree_get_i64(v, "exit_code", &n) > 0;
        p->exit_code = p->has_exit_code ? (int32_t)n : 0;
        if (json_tree_get_str(v, "signal", &text) <= 0)
            continue;
        for (int sig = 1; sig < 65 && !p->signal; sig++)
            if (sigabbrev_np(sig) && !strcmp(sigabbrev_np(sig), text + 3))
                p->signal = sig;
        assert_int_not_equal(p->signal, 0);
    }
}

/* The answer of GET /v1/jobs/J back into what it was made of. */
static inline struct job_info *corpus_info(const char *text, size_t len)
{
    struct job_info *i = job_info_new();
    struct json_tree *root = NULL;
    const char *id = NULL, *project = NULL, *state = NULL;
    int64_t n;

    assert_int_equal(json_tree_parse(text, len, &root, NULL), 0);
    json_tree_get_str(root, "id", &id);
    json_tree_get_str(root, "project", &project);
    assert_int_equal(job_key_make(&i->key, project, strlen(project), id, strlen(id)), 0);
    json_tree_get_str(root, "state", &state);
    assert_int_equal(state_parse(state, strlen(state), &i->state), 0);
    i->ranks_declared = (uint32_t)corpus_number(root, "ranks", 0);
    i->created_us = corpus_time(root, "created_at");
    i->updated_us = corpus_time(root, "updated_at");
    i->started_us = corpus_time(root, "started_at");
    i->ended_us = corpus_time(root, "ended_at");
    i->has_exit_code = json_tree_get_i64(root, "exit_code", &i->exit_code) > 0;
    i->error_message = corpus_text(root, "error_message");
    i->seq = (uint64_t)corpus_number(root, "seq", 0);
    i->lines = (uint64_t)corpus_number(root, "lines", 0);
    json_tree_get_bool(root, "sealed", &i->sealed);
    json_tree_get_bool(root, "complete", &i->complete);
    n = 0;
    struct buf missing = BUF_INIT;
    buf_addc(&missing, '[');
    for (const struct json_tree *m = json_tree_first(json_tree_get(root, "missing")); m;
         m = json_tree_next(m))
        buf_addf(&missing, "%s\"%s\"", n++ ? "," : "", json_tree_str(m));
    buf_addc(&missing, ']');
    free(i->missing_json);
    i->missing_json = buf_steal(&missing, NULL);
    corpus_history(i, json_tree_get(root, "history"));
    corpus_producers(i, json_tree_get(root, "producers"));
    json_tree_free(&root);
    return i;
}

static inline void corpus_load(struct corpus *c, const char *name)
{
    char path[256], *data = NULL;
    size_t len = 0;
    int64_t recv_us = 0;

    memset(c, 0, sizeof *c);
    snprintf(path, sizeof path, CORPUS_DIR "/%s.jsonl", name);
    if (io_read_file(path, 64 << 20, &data, &len) < 0)
        fail_msg("%s cannot be read (tests run in the repository's root)", path);
    assert_int_equal(digest_new(&cause_classifier, &c->d), 0);
    for (char *line = data, *end; line < data + len; line = end + 1) {
        end = memchr(line, '\n', (size_t)(data + len - line));
        assert_non_null(end);
        size_t n = (size_t)(end - line);
        if (!strncmp(line, "#recv ", 6))
            recv_us = strtoll(line + 6, NULL, 10);
        else if (!strncmp(line, "#now ", 5))
            assert_int_equal(clock_parse_rfc3339(line + 5, n - 5, &c->now_us), 0);
        else if (!strncmp(line, "#job ", 5))
            c->info = corpus_info(line + 5, n - 5);
        else if (*line != '#')
            assert_int_equal(digest_add_line(c->d, line, n, recv_us), 0);
    }
    assert_int_equal(digest_settle(c->d), 0);
    free(data);
}

static inline void corpus_free(struct corpus *c)
{
    digest_free(&c->d);
    job_info_free(&c->info);
}

#endif

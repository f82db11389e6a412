/*
 * tests/unit/storage/model.h -- a plain array of records beside the archive, and a directory to
 * work in.
 *
 * Records are made from a seeded generator; a failing test prints its seed (JOBLOG_SEED=n replays
 * it).
 */
#ifndef TESTS_STORAGE_MODEL_H
#define TESTS_STORAGE_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "job/record.h"
#include "storage/archive.h"
#include "storage/segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_START_US INT64_C(1790000000000000)
#define UNUSED __attribute__((unused))

struct model {
    uint64_t rng;
    int64_t now_us;
    char **lines; /* lines[seq - 1], without '\n' */
    int64_t *recv;
    uint64_t count, cap;
    int plain; /* no state changes and gaps */
    int small; /* short messages only */
};

static inline uint64_t model_random(struct model *m)
{
    uint64_t z = m->rng += 0x9E3779B97F4A7C15ull;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

static inline uint64_t model_below(struct model *m, uint64_t n)
{
    return model_random(m) % n;
}

UNUSED static void model_init(struct model *m, uint64_t seed)
{
    const char *given = getenv("JOBLOG_SEED");

    memset(m, 0, sizeof *m);
    m->rng = given ? strtoull(given, NULL, 10) : seed;
    m->now_us = MODEL_START_US;
    print_message("           JOBLOG_SEED=%" PRIu64 "\n", m->rng);
}

UNUSED static void model_release(struct model *m)
{
    for (uint64_t i = 0; i < m->count; i++) free(m->lines[i]);
    free(m->lines);
    free(m->recv);
    memset(m, 0, sizeof *m);
}

static inline size_t model_message(struct model *m, char *out, size_t size)
{
    static const char *const words[] = {"step", "loss", "NCCL", "WARN", "checkpoint", "saved",
                                        "Größe",
                                        "shard", "tok/s", "\x1b[31mred\x1b[0m", "a\\b",
                                            "\"quoted\"",
                                        "tab\tbed", "日本", "ECC", "quasar", "x", "Rank"};
    size_t len = 0, parts = 1 + model_below(m, m->small ? 4 : 24);

    for (size_t i = 0; i < parts && len + 64 < size; i++) {
        uint64_t pick = model_below(m, 24);

        if (pick < 18) len += (size_t)snprintf(out + len, size - len, "%s ", words[pick]);
        else len += (size_t)snprintf(out + len, size - len, "%" PRIu64 ".%x ",
                                     model_below(m, 1000000), (unsigned)pick);
    }
    return len;
}

/* One more record at the end of the model. */
UNUSED static void model_add(struct model *m, int64_t recv_us)
{
    char msg[2048];
    struct buf out = BUF_INIT;
    struct record r = {0};
    uint64_t kind = model_below(m, 400);

    m->now_us += (int64_t)model_below(m, 3000);
    r.seq = m->count + 1;
    r.ts_us = m->now_us - (int64_t)model_below(m, 50000);
    r.rank = model_below(m, 10) ? (int32_t)model_below(m, 8 + m->count / 500) : RECORD_RANK_NONE;
    r.level = (enum level)model_below(m, 40) == 0
        ? LEVEL_ERROR : (enum level)model_below(m, LEVEL_WARN);
    r.stream = model_below(m, 2) ? "stderr" : "stdout";
    r.replica = model_below(m, 3) ? "node-1" : NULL;
    r.msg = msg;
    r.msg_len = model_message(m, msg, sizeof msg);
    if (kind == 0 && !m->plain) {
        r.is_state = 1;
        r.state = STATE_RUNNING;
        r.level = LEVEL_NONE;
        r.stream = r.replica = NULL;
    } else if (kind == 1 && !m->plain) {
        r.fields_json = "{\"gap\":{\"from\":1,\"to\":2}}";
        r.fields_json_len = strlen(r.fields_json);
    }
    CHECK(record_write(&out, &r) >= 0);
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 64;
        m->lines = must_realloc(m->lines, m->cap * sizeof *m->lines);
        m->recv = must_realloc(m->recv, m->cap * sizeof *m->recv);
    }
    m->lines[m->count] = must_strndup(out.data, out.len - 1);
    m->recv[m->count++] = recv_us;
    buf_release(&out);
}

/* Records [first, last] of the model as a frame. */
UNUSED static struct frame *model_frame(const struct model *m, uint64_t first, uint64_t last)
{
    struct buf text = BUF_INIT;
    struct frame *f = NULL;
    char *stolen;
    size_t len;

    for (uint64_t seq = first; seq <= last; seq++) {
        CHECK(buf_adds(&text, m->lines[seq - 1]) >= 0);
        CHECK(buf_addc(&text, '\n') >= 0);
    }
    stolen = buf_steal(&text, &len);
    assert_int_equal(frame_from_text(first, m->recv[first - 1], NULL, &stolen, len, &f), 0);
    return f;
}

/* Write records [first, last], made when they are not there yet, in random batches, as one
 * segment. */
UNUSED static void model_write(struct model *m, const char *dir, uint64_t first, uint64_t last,
                               int level,
                               char name[SEGMENT_NAME_BYTES])
{
    struct segment_writer *w = NULL;
    char made[SEGMENT_NAME_BYTES];

    while (m->count < last) {
        uint64_t batch = 1 + model_below(m, 300);
        int64_t recv_us = m->now_us + 2000000;

        for (uint64_t i = 0; i < batch && m->count < last; i++) model_add(m, recv_us);
    }
    assert_int_equal(segment_writer_open(dir, first, level, &w), 0);
    while (first <= last) {
        uint64_t end = first;
        struct frame *f;

        while (end < last && m->recv[end] == m->recv[first - 1]) end++;
        f = model_frame(m, first, end);
        assert_int_equal(segment_writer_add(w, f), 0);
        frame_unref(&f);
        first = end + 1;
    }
    assert_int_equal(segment_writer_commit(&w, name ? name : made), 0);
    assert_null(w);
}

/* f holds what the model holds, record for record. */
UNUSED static void model_check_frame(const struct model *m, const struct frame *f)
{
    uint64_t seq = f->first_seq;
    const char *line;
    size_t pos = 0, len;

    assert_true(f->sum.count > 0);
    while (frame_next_line(f, &pos, &line, &len)) {
        assert_true(seq <= m->count);
        assert_int_equal(len, strlen(m->lines[seq - 1]));
        assert_memory_equal(line, m->lines[seq - 1], len);
        seq++;
    }
    assert_int_equal(seq, frame_last_seq(f) + 1);
}

UNUSED static char *make_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[PATH_MAX], *dir;

    CHECK(snprintf(path, sizeof path, "%s/joblog-storage-XXXXXX", tmp ? tmp : "/tmp") < PATH_MAX);
    dir = must_strdup(path);
    assert_non_null(mkdtemp(dir));
    return dir;
}

/* Removes what the tests made: two levels of directories under dir at most. */
UNUSED static void remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    assert_non_null(d);
    while ((e = readdir(d))) {
        struct stat st;

        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        assert_int_equal(fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
        if (S_ISDIR(st.st_mode)) {
            char path[PATH_MAX];

            assert_true(snprintf(path, sizeof path, "%s/%s", dir, e->d_name) < (int)sizeof path);
            remove_dir(path);
        } else {
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
        }
    }
    closedir(d);
    assert_int_equal(rmdir(dir), 0);
}

UNUSED static int count_files(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int count = 0;

    assert_non_null(d);
    while ((e = readdir(d))) count += e->d_name[0] != '.' || !strncmp(e->d_name, ".tmp-", 5);
    closedir(d);
    return count;
}

UNUSED static char *join(const char *dir, const char *name)
{
    char path[PATH_MAX];

    CHECK(snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path);
    return must_strdup(path);
}

UNUSED static void write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

UNUSED static char *read_file(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    char *data;

    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    data = must_malloc((size_t)st.st_size + 1);
    assert_int_equal(fread(data, 1, (size_t)st.st_size, f), (size_t)st.st_size);
    fclose(f);
    *ret_len = (size_t)st.st_size;
    return data;
}

#endif

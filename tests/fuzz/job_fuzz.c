/*
 * tests/fuzz/job_fuzz.c -- any bytes as the hashes of a job in Redis, and as the job.json of its archive.
 *
 * In the first form lines are "field\tvalue", an empty line ends a hash: meta, rank, prod. A job that is taken is written as
 * JSON, compact and whole, copied without loss, and once it was read from its JSON, it is written as the same JSON again.
 * Covers  stream/jobs_read.c stream/reply.c serve/job_json.c serve/job_json_read.c job/info.c
 */
#include "base/check.h"
#include "base/err.h"
#include "base/json_tree.h"
#include "job/record.h"
#include "serve/job_json.h"
#include "stream/conn_int.h"
#include "stream/jobs_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAIRS_MAX 64
#define NOW_US INT64_C(1764000000000000)

/* A hash as HGETALL answers it; texts are copies with a NUL. */
struct hash {
    struct reply items[2 * PAIRS_MAX], whole;
};

static void put(struct hash *h, const char *text, size_t len)
{
    h->items[h->whole.count++] = (struct reply){.kind = REPLY_STR, .str = must_strndup(text, len), .len = strnlen(text, len)};
}

/* The lines up to an empty one; where the next hash begins. */
static const char *read_hash(struct hash *h, const char *at, const char *end)
{
    memset(h, 0, sizeof *h);
    h->whole = (struct reply){.kind = REPLY_ARRAY, .items = h->items, .str = ""};
    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at)), *tab;
        size_t len = (size_t)((nl ? nl : end) - at);

        tab = memchr(at, '\t', len);
        if (!len)
            return nl + 1;
        if (tab && h->whole.count < 2 * PAIRS_MAX) {
            put(h, at, (size_t)(tab - at));
            put(h, tab + 1, len - (size_t)(tab + 1 - at));
        }
        at += len + (nl != NULL);
    }
    return at;
}

static void free_hash(struct hash *h)
{
    for (uint32_t i = 0; i < h->whole.count; i++)
        free((char *)(uintptr_t)h->items[i].str);
}

static int is_json(const char *text, size_t len)
{
    struct json_tree *root = NULL;
    int ok = json_tree_parse_max(text, len, 64UL << 20, &root, NULL) == 0;

    json_tree_free(&root);
    return ok;
}

/* Its JSON; the copy of it gives the same. */
static void print(const struct job_info *info, struct buf *out)
{
    struct job_info *copy = job_info_copy(info);
    struct buf again = BUF_INIT, compact = BUF_INIT;
    int is_whole = is_json(info->labels_json, strlen(info->labels_json)) && is_json(info->extra_json, strlen(info->extra_json)) &&
                   is_json(info->missing_json, strlen(info->missing_json));

    CHECK(info->history_count <= JOB_HISTORY_MAX);
    CHECK(job_json(out, info, NOW_US) == 0 && job_json(&again, copy, NOW_US) == 0);
    CHECK(out->len == again.len && memcmp(out->data, again.data, out->len) == 0);
    CHECK(job_json_compact(&compact, copy, NOW_US) == 0);
    CHECKF(!is_whole || is_json(out->data, out->len), "%s", out->data); /* the three are told as they stand in Redis */
    job_info_free(&copy);
    buf_release(&again);
    buf_release(&compact);
}

static void as_hashes(const struct job_key *key, const char *text, size_t len)
{
    static struct hash meta, rank, prod;
    const char *end = text + len, *at = read_hash(&meta, text, end);
    struct job_info *info = NULL;
    struct buf out = BUF_INIT;

    at = read_hash(&rank, at, end);
    read_hash(&prod, at, end);
    if (jobs__info_read(key, &meta.whole, &info) == 0) {
        CHECK(info->epoch);
        jobs__info_read_ranks(info, &rank.whole);
        jobs__info_read_producers(info, &prod.whole);
        for (uint32_t i = 0; i < info->producer_count; i++)
            CHECK(id_valid(info->producers[i].id, strlen(info->producers[i].id)));
        print(info, &out);
    }
    job_info_free(&info);
    free_hash(&meta);
    free_hash(&rank);
    free_hash(&prod);
    buf_release(&out);
}

static void as_document(const struct job_key *key, const char *text, size_t len)
{
    struct job_info *info = NULL, *again = NULL;
    struct buf one = BUF_INIT, two = BUF_INIT;

    if (job_json_read(text, len, key, &info) < 0) {
        CHECK(!info);
        return;
    }
    print(info, &one);
    CHECKF(job_json_read(one.data, one.len, key, &again) == 0, "%s", one.data);
    print(again, &two);
    CHECKF(one.len == two.len && memcmp(one.data, two.data, one.len) == 0, "%s\n%s", one.data, two.data);
    job_info_free(&info);
    job_info_free(&again);
    buf_release(&one);
    buf_release(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct job_key key;
    enum reply_fault fault;

    CHECK(job_key_make(&key, "default", 7, "demo", 4) == 0);
    if (size && *text == '{')
        as_document(&key, text, size);
    else
        as_hashes(&key, text, size);
    CHECK(reply_fault(text, size, &fault) < 0);
    return 0;
}

/*
 * tests/fuzz/text_fuzz.c -- any bytes as a JSON document, a time, a span of time, an id, a level, a state, a quota, a hash.
 *
 * What is taken is written and read back as the same. A document of our own is taken when a strict one is; text that is escaped
 * comes back.
 * Covers  base/json_tree_json.c base/json_tree_print.c base/json_string.c base/clock.c base/clock_span.c base/utf8.c
 *         job/id.c job/level.c job/state.c
 */
#include "auth/hash.h"
#include "auth/quota.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "base/utf8.h"
#include "job/id.h"
#include "job/level.h"
#include "job/state.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_US INT64_C(1764000000000000)

static void print(const struct json_tree *v, struct buf *out)
{
    struct json j;

    json_init(&j, out);
    json_tree_print(&j, v);
    CHECK(json_err(&j) == 0);
}

static int same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void as_document(const char *text, size_t len)
{
    struct json_tree *root = NULL, *own = NULL, *again = NULL;
    struct buf one = BUF_INIT, two = BUF_INIT, three = BUF_INIT;
    struct quotas q = {{0}};
    const char *bad = NULL;
    size_t at = 0;
    int err = json_tree_parse(text, len, &root, &at), is_own = json_tree_parse_own(text, len, &own);

    CHECK(at <= len && (err == 0) == (root != NULL) && (is_own == 0) == (own != NULL));
    CHECK(err != 0 || is_own == 0);
    if (is_own == 0) {
        print(own, &one);
        CHECKF(json_tree_parse(one.data, one.len, &again, NULL) == 0, "%s", one.data);
        print(again, &two);
        CHECKF(same(&one, &two), "%s\n%s", one.data, two.data);
    }
    if (err == 0) {
        print(root, &three);
        CHECK(same(&one, &three));
        if (quotas_read(&q, root, &bad) == 0 && quotas_any(&q)) {
            struct json j;
            struct quotas back = {{0}};
            struct json_tree *tree = NULL;

            buf_clear(&two);
            json_init(&j, &two);
            quotas_write(&j, &q);
            CHECKF(json_tree_parse(two.data, two.len, &tree, NULL) == 0, "%s", two.data);
            CHECK(quotas_read(&back, tree, &bad) == 0 && memcmp(&q, &back, sizeof q) == 0);
            json_tree_free(&tree);
        }
    }
    json_tree_free(&root);
    json_tree_free(&own);
    json_tree_free(&again);
    buf_release(&one);
    buf_release(&two);
    buf_release(&three);
}

static void as_text(const char *text, size_t len)
{
    struct buf escaped = BUF_INIT, plain = BUF_INIT;
    size_t valid = utf8_valid_prefix(text, len);
    char *copy = must_strndup(text, len);

    CHECK(valid <= len && utf8_valid_prefix(text, valid) == valid);
    CHECK(valid == len || utf8_bad_run(text + valid, len - valid) >= 1);
    utf8_mend(copy);
    CHECK(utf8_valid_prefix(copy, strlen(copy)) == strlen(copy));
    CHECK(json_escape(&escaped, text, valid) == 0);
    CHECK(json_unescape(&plain, escaped.data ? escaped.data : "", escaped.len) == 0);
    CHECK(plain.len == valid && (!valid || memcmp(plain.data, text, valid) == 0));
    buf_clear(&plain);
    json_unescape(&plain, text, len);
    free(copy);
    buf_release(&escaped);
    buf_release(&plain);
}

static void check_time(int64_t us)
{
    char text[CLOCK_RFC3339_BYTES + 1];
    int64_t again = -1;

    CHECKF(us >= 0 && us <= CLOCK_WALL_US_MAX, "%lld", (long long)us);
    CHECK(clock_parse_rfc3339(clock_rfc3339(us, text), CLOCK_RFC3339_BYTES, &again) == 0 && again == us);
}

static void as_time(const char *text, size_t len)
{
    int64_t us = -1, epoch_us = -1, when_us = -1;
    int is_rfc = clock_parse_rfc3339(text, len, &us) == 0, is_epoch = clock_parse_epoch(text, len, &epoch_us) == 0;
    int is_when = clock_parse_when(text, len, NOW_US, &when_us) == 0;
    char span[32];

    if (is_rfc)
        check_time(us);
    if (is_epoch)
        check_time(epoch_us);
    if (is_when)
        check_time(when_us);
    CHECK(!is_rfc || (is_when && when_us == us));
    if (clock_parse_duration(text, len, &us) == 0)
        CHECK(us >= 0 && strlen(clock_format_duration(us, span)) < sizeof span);
}

static void as_name(const char *text, size_t len)
{
    struct job_key key, again;
    char name[JOB_KEY_TEXT_BYTES], hex[HASH_HEX_BYTES + 1], *copy = must_strndup(text, len);
    unsigned char hash[HASH_BYTES];
    enum level level = level_parse(text, len);
    enum job_state state;

    if (job_key_parse(&key, text, len) == 0) {
        job_key_text(&key, name);
        CHECK(strlen(name) == len && memcmp(name, text, len) == 0);
        CHECK(job_key_parse(&again, name, len) == 0 && job_key_equal(&key, &again));
        CHECK(id_valid(key.project, strlen(key.project)) && id_valid(key.job, strlen(key.job)));
    }
    CHECK(level < LEVEL_COUNT && (!level || level_parse(level_name(level), strlen(level_name(level))) == level));
    CHECK(level_from_text(text, len) < LEVEL_COUNT);
    if (state_parse(text, len, &state) == 0) {
        enum job_state other = STATE_COUNT;

        CHECK(state_parse(state_short(state), strlen(state_short(state)), &other) == 0 && other == state);
        for (int to = 0; to < STATE_COUNT; to++)
            CHECK(state_move(state, (enum job_state)to) != MOVE_OK || !state_is_terminal(state));
    }
    if (strlen(copy) >= HASH_HEX_BYTES && hash_parse(copy, hash) == 0)
        CHECK(strncmp(hash_hex(hash, hex), copy, HASH_HEX_BYTES) == 0);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size ? size : 1);

    CHECK(text);
    memcpy(text, data, size);
    as_document(text, size);
    as_text(text, size);
    as_time(text, size);
    as_name(text, size);
    free(text);
    return 0;
}

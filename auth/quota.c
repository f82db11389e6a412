/*
 * auth/quota.c -- how much a token may do.
 */
#include "auth/quota.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *word, *text;
} quotas[QUOTA_COUNT] = {
#define X(name, word, text) {#word, text},
    QUOTA_TABLE(X)
#undef X
};

const char *quota_word(enum quota q)
{
    return quotas[q].word;
}

int quotas_any(const struct quotas *q)
{
    for (int i = 0; i < QUOTA_COUNT; i++)
        if (q->max[i])
            return 1;
    return 0;
}

int quotas_read(struct quotas *q, const struct json_tree *object, const char **ret_bad)
{
    int64_t value;

    if (ret_bad)
        *ret_bad = "quotas";
    if (!json_tree_is_obj(object))
        return ERR_INVALID;
    for (const struct json_tree *v = json_tree_first(object); v; v = json_tree_next(v)) {
        int i = 0;

        if (ret_bad)
            *ret_bad = json_tree_key(v);
        while (i < QUOTA_COUNT && strcmp(quotas[i].word, json_tree_key(v)) != 0)
            i++;
        if (i == QUOTA_COUNT || json_tree_i64(v, &value) < 0 || value < 1 || value > QUOTA_VALUE_MAX)
            return ERR_INVALID;
        q->max[i] = (uint64_t)value;
    }
    return 0;
}

void quotas_write(struct json *j, const struct quotas *q)
{
    json_obj(j);
    for (int i = 0; i < QUOTA_COUNT; i++)
        if (q->max[i])
            json_ku64(j, quotas[i].word, q->max[i]);
    json_end(j);
}

/* ---- buckets ---- */

static void fill(struct bucket *b, uint64_t rate, int64_t mono_us)
{
    double full = (double)rate * QUOTA_BURST_S;

    b->level = b->at_us ? b->level + (double)rate * (double)(mono_us - b->at_us) / 1e6 : full;
    if (b->level > full)
        b->level = full;
    b->at_us = mono_us;
}

/* Until it holds something again. */
static int64_t bucket_wait(struct bucket *b, uint64_t rate, int64_t mono_us)
{
    double us;

    if (!rate)
        return 0;
    fill(b, rate, mono_us);
    if (b->level > 0)
        return 0;
    us = -b->level / (double)rate * 1e6;
    return us < 1e15 ? (int64_t)us + 2 : INT64_C(1000000000000000);
}

static void bucket_take(struct bucket *b, uint64_t rate, uint64_t amount, int64_t mono_us)
{
    if (!rate)
        return;
    fill(b, rate, mono_us);
    b->level -= (double)amount;
}

int64_t quota_wait(const struct quotas *q, struct quota_use *u, int64_t mono_us, enum quota *ret_which)
{
    int64_t lines = bucket_wait(&u->lines, q->max[QUOTA_LINES], mono_us);
    int64_t bytes = bucket_wait(&u->bytes, q->max[QUOTA_BYTES], mono_us);

    if (q->max[QUOTA_STORED]) {
        u->is_stored_wanted = 1;
        if (u->stored + u->stored_since >= q->max[QUOTA_STORED]) {
            *ret_which = QUOTA_STORED;
            return QUOTA_RETRY_S * INT64_C(1000000);
        }
    }
    *ret_which = lines >= bytes ? QUOTA_LINES : QUOTA_BYTES;
    return lines >= bytes ? lines : bytes;
}

void quota_charge(const struct quotas *q, struct quota_use *u, uint64_t lines, uint64_t bytes, int64_t mono_us)
{
    bucket_take(&u->lines, q->max[QUOTA_LINES], lines, mono_us);
    bucket_take(&u->bytes, q->max[QUOTA_BYTES], bytes, mono_us);
    if (q->max[QUOTA_STORED])
        u->stored_since += bytes;
}

unsigned quota_seconds(int64_t wait_us)
{
    int64_t seconds = (wait_us + 999999) / 1000000;

    if (seconds < 1)
        return 1;
    return seconds > QUOTA_RETRY_S_MAX ? QUOTA_RETRY_S_MAX : (unsigned)seconds;
}

unsigned quota_answer(const struct quotas *q, enum quota which, int64_t wait_us, struct buf *out)
{
    char message[160];
    struct json j;

    snprintf(message, sizeof message, "this token has used up its %s: %llu are allowed", quotas[which].text,
             (unsigned long long)q->max[which]);
    json_init(&j, out);
    json_obj(&j);
    json_kstr(&j, "code", "quota");
    json_kstr(&j, "message", message);
    json_kstr(&j, "quota", quotas[which].word);
    json_ku64(&j, "limit", q->max[which]);
    json_end(&j);
    return quota_seconds(wait_us);
}

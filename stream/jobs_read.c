/*
 * stream/jobs_read.c -- a job's meta hash, as Redis gives it, into struct job_info.
 *
 * Fields are those of docs/format-redis.md; unknown ones are passed over (a newer version wrote
 * them), broken ones read as absent. Looked up in a sorted table: a page of jobs has thousands.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/utf8.h"
#include "stream/jobs_int.h"

#include <stdlib.h>
#include <string.h>

enum field_kind { FIELD_U64, FIELD_TIME, FIELD_U32, FIELD_FLAG, FIELD_STR };

static const struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
} fields[] = {
    /* sorted by name */
#define F(name, kind, member) {name, FIELD_##kind, offsetof(struct job_info, member)}
    F("archived_upto", U64, archived_upto),
    F("batches", U64, batches),
    F("bytes", U64, bytes),
    F("complete", FLAG, complete),
    F("created_us", TIME, created_us),
    F("drain_until_us", TIME, drain_until_us),
    F("duplicates", U64, duplicates),
    F("ended_us", TIME, ended_us),
    F("epoch", U64, epoch),
    F("error_message", STR, error_message),
    F("extra", STR, extra_json),
    F("gaps", U64, gaps),
    F("labels", STR, labels_json),
    F("lines", U64, lines),
    F("missing", STR, missing_json),
    F("name", STR, name),
    F("ranks", U32, ranks_declared),
    F("rebuilt", FLAG, producers_unknown),
    F("recv_next_us", TIME, recv_next_us),
    F("refused", U64, refused_sealed),
    F("sealed", FLAG, sealed),
    F("sealed_seq", U64, sealed_seq),
    F("sealed_us", TIME, sealed_us),
    F("seq", U64, seq),
    F("started_us", TIME, started_us),
    F("trimmed_upto", U64, first_in_stream),
    F("updated_us", TIME, updated_us),
#undef F
};

static int field_compare(const void *name, const void *field)
{
    return strcmp(name, ((const struct field *)field)->name);
}

/* 0 in place of what no clock says: nobody has to ask whether a difference of two fits. */
static int64_t moment(int64_t us)
{
    return us < 0 || us > CLOCK_WALL_US_MAX ? 0 : us;
}

static void read_field(struct job_info *info, const struct field *f, const struct reply *value)
{
    void *at = (char *)info + f->offset;
    switch (f->kind) {
    case FIELD_U64:
        *(uint64_t *)at = reply_u64(value);
        break;
    case FIELD_TIME:
        *(int64_t *)at = moment(reply_i64(value));
        break;
    case FIELD_U32:
        *(uint32_t *)at = (uint32_t)reply_u64(value);
        break;
    case FIELD_FLAG:
        *(int *)at = reply_u64(value) == 1;
        break;
    case FIELD_STR:
        if (utf8_valid_prefix(value->str, value->len) != value->len)
            break;
        free(*(char **)at);
        *(char **)at = must_strndup(value->str, value->len);
        break;
    }
}

/* The next word of text up to a space; *text moves behind the space. */
static const char *next_word(const char **text, const char *end, size_t *ret_len)
{
    const char *word = *text;
    const char *space = memchr(word, ' ', (size_t)(end - word));
    *ret_len = (size_t)((space ? space : end) - word);
    *text = space ? space + 1 : end;
    return word;
}

/* "STATE at_us seq exit_code rank message" */
static void read_history(struct job_info *info, uint32_t n, const struct reply *value)
{
    const char *text = value->str, *end = value->str + value->len;
    size_t len;
    if (n < 1 || n > JOB_HISTORY_MAX)
        return;
    struct job_history *h = &info->history[n - 1];
    const char *word = next_word(&text, end, &len);
    if (state_parse(word, len, &h->state) < 0)
        return;
    h->at_us = moment(strtoll(next_word(&text, end, &len), NULL, 10));
    h->seq = strtoull(next_word(&text, end, &len), NULL, 10);
    word = next_word(&text, end, &len);
    h->has_exit_code = len > 0 && !(len == 1 && *word == '-');
    h->exit_code = h->has_exit_code ? strtoll(word, NULL, 10) : 0;
    h->rank = (int32_t)strtol(next_word(&text, end, &len), NULL, 10);
    free(h->message);
    h->message = text < end && utf8_valid_prefix(text, (size_t)(end - text)) == (size_t)(end - text)
                     ? must_strndup(text, (size_t)(end - text))
                     : NULL;
    if (info->history_count < n)
        info->history_count = n;
}

static void read_other(struct job_info *info, const struct reply *name, const struct reply *value)
{
    if (strcmp(name->str, "state") == 0) {
        if (state_parse(value->str, value->len, &info->state) < 0)
            info->state = STATE_CREATED;
    } else if (strcmp(name->str, "exit_code") == 0) {
        info->has_exit_code = 1;
        info->exit_code = reply_i64(value);
    } else if (name->len == 2 && name->str[0] == 'l' && name->str[1] >= '0' && name->str[1] < '0' + LEVEL_COUNT) {
        info->level_count[name->str[1] - '0'] = reply_u64(value);
    } else if (name->len >= 2 && name->str[0] == 'h' && name->str[1] >= '1' && name->str[1] <= '9') {
        read_history(info, (uint32_t)strtoul(name->str + 1, NULL, 10), value);
    }
}

int jobs__info_read(const struct job_key *key, const struct reply *meta, struct job_info **ret_info)
{
    if (meta->kind != REPLY_ARRAY || meta->count < 2)
        return ERR_NOT_FOUND;
    struct job_info *info = job_info_new();
    info->key = *key;
    for (uint32_t i = 0; i + 1 < meta->count; i += 2) {
        const struct reply *name = reply_at(meta, i), *value = reply_at(meta, i + 1);
        const struct field *f =
            bsearch(name->str, fields, sizeof fields / sizeof *fields, sizeof *fields, field_compare);
        if (f)
            read_field(info, f, value);
        else
            read_other(info, name, value);
    }
    if (!info->epoch) { /* some field was left behind: no job */
        job_info_free(&info);
        return ERR_NOT_FOUND;
    }
    info->first_in_stream++; /* read as trimmed_upto */
    if (!info->labels_json)
        info->labels_json = must_strdup("{}");
    if (!info->extra_json)
        info->extra_json = must_strdup("{}");
    if (!info->missing_json)
        info->missing_json = must_strdup("[]");
    *ret_info = info;
    return 0;
}

static int rank_compare(const void *a, const void *b)
{
    int32_t x = ((const struct job_rank *)a)->rank, y = ((const struct job_rank *)b)->rank;
    return (x > y) - (x < y);
}

/* rank -> "lines last_seq last_ts_us last_recv_us" */
void jobs__info_read_ranks(struct job_info *info, const struct reply *rank)
{
    if (rank->kind != REPLY_ARRAY || rank->count < 2)
        return;
    info->ranks = must_calloc(rank->count / 2, sizeof(*info->ranks));
    for (uint32_t i = 0; i + 1 < rank->count; i += 2) {
        struct job_rank *r = &info->ranks[info->rank_count++];
        char *at = NULL;
        r->rank = (int32_t)reply_i64(reply_at(rank, i));
        r->lines = strtoull(reply_at(rank, i + 1)->str, &at, 10);
        r->last_seq = strtoull(at, &at, 10);
        r->last_ts_us = moment(strtoll(at, &at, 10));
        r->last_recv_us = moment(strtoll(at, NULL, 10));
    }
    qsort(info->ranks, info->rank_count, sizeof(*info->ranks), rank_compare);
}

static int producer_compare(const void *a, const void *b)
{
    const struct job_producer *x = a, *y = b;
    if (x->rank != y->rank)
        return (x->rank > y->rank) - (x->rank < y->rank);
    return strcmp(x->id, y->id);
}

/* id -> "epoch last rank fin[ fin_us[/exit_code/signal]]" */
void jobs__info_read_producers(struct job_info *info, const struct reply *prod)
{
    if (prod->kind != REPLY_ARRAY || prod->count < 2)
        return;
    info->producers = must_calloc(prod->count / 2, sizeof(*info->producers));
    for (uint32_t i = 0; i + 1 < prod->count; i += 2) {
        const struct reply *id = reply_at(prod, i), *value = reply_at(prod, i + 1);
        char *at = NULL;
        if (!id_valid(id->str, id->len))
            continue;
        struct job_producer *p = &info->producers[info->producer_count++];
        memcpy(p->id, id->str, id->len + 1);
        p->epoch = strtoull(value->str, &at, 10);
        p->last = strtoull(at, &at, 10);
        p->rank = (int32_t)strtol(at, &at, 10);
        while (*at == ' ')
            at++;
        p->has_fin = *at >= '0' && *at <= '9';
        p->fin = p->has_fin ? strtoull(at, &at, 10) : 0;
        if (!p->has_fin || *at != ' ')
            continue;
        p->fin_us = moment(strtoll(at, &at, 10));
        p->has_exit_code = *at == '/';
        if (p->has_exit_code) {
            p->exit_code = (int32_t)strtol(at + 1, &at, 10);
            p->signal = *at == '/' ? (int32_t)strtol(at + 1, NULL, 10) : 0;
        }
    }
    qsort(info->producers, info->producer_count, sizeof(*info->producers), producer_compare);
}

/*
 * ingest/agent_message.c -- one message of the agent's road, read.
 */
#include "ingest/agent_message.h"

#include "base/check.h"
#include "base/err.h"
#include "base/json.h"
#include "base/pack.h"
#include "ingest/framer.h"
#include "ingest/ingest_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct agent_message *m;
    const struct decode_options *o;
    const struct json_tree *head;
    const char *body; /* after the header line */
    size_t body_len;
    char *why;
    size_t why_size;
};

static int bad(struct reading *r, const char *what)
{
    snprintf(r->why, r->why_size, "%s", what);
    return ERR_INVALID;
}

/* A whole number of the header from min on: 1 found, 0 absent. */
static int number(struct reading *r, const char *key, uint64_t min, uint64_t max, uint64_t *ret)
{
    int64_t v;
    int got = json_tree_get_i64(r->head, key, &v);

    if (got == 0) return 0;
    if (got < 0 || v < 0 || (uint64_t)v < min || (uint64_t)v > max) {
        snprintf(r->why, r->why_size, "%s must be a whole number from %llu to %llu", key, (unsigned long long)min,
                 (unsigned long long)max);
        return ERR_INVALID;
    }
    *ret = (uint64_t)v;
    return 1;
}

static int needed(struct reading *r, const char *key, uint64_t min, uint64_t max, uint64_t *ret)
{
    int got = number(r, key, min, max, ret);

    if (got == 0) snprintf(r->why, r->why_size, "%s is missing", key);
    return got == 1 ? 0 : ERR_INVALID;
}

static int read_rank(struct reading *r)
{
    uint64_t rank;
    int got = number(r, "rank", 0, RECORD_RANK_MAX, &rank);

    if (got == 1) r->m->rank = (int32_t)rank;
    return got < 0 ? got : 0;
}

static int read_hello(struct reading *r)
{
    const char *text;
    uint64_t ranks = 0, nodes = 0, grace_s = 0;
    int got, err;

    if (json_tree_get_str(r->head, "producer", &text) != 1 || !id_valid(text, strlen(text))) {
        return bad(r, "producer must match [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
    }
    memcpy(r->m->producer, text, strlen(text) + 1);
    got = json_tree_get_str(r->head, "replica", &text);
    if (got < 0 || (got && *text && !id_valid(text, strlen(text)))) {
        return bad(r, "replica must match [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
    }
    if (got) memcpy(r->m->replica, text, strlen(text) + 1);
    err = needed(r, "epoch", 0, INGEST_NUMBER_MAX, &r->m->epoch);
    if (!err) err = read_rank(r);
    if (!err && number(r, "ranks", 0, JOB_RANKS_MAX, &ranks) < 0) err = ERR_INVALID;
    if (!err && number(r, "nodes", 0, JOB_RANKS_MAX, &nodes) < 0) err = ERR_INVALID;
    if (!err && number(r, "stop_grace", 0, AGENT_STOP_GRACE_S_MAX, &grace_s) < 0) err = ERR_INVALID;
    r->m->stop_grace_us = (int64_t)grace_s * 1000000;
    r->m->ranks = (uint32_t)ranks;
    r->m->nodes = (uint32_t)nodes;
    return err;
}

static int read_lines(struct reading *r)
{
    struct decode_options o = *r->o;
    struct decoder *d = NULL;
    int err = needed(r, "first", 1, INGEST_NUMBER_MAX, &r->m->first);

    if (err) return err;
    o.format = DECODE_NDJSON;
    o.numbered = 1;
    o.skip_bad = 1; /* one bad line must not stop an agent: it is kept as text and counted */
    err = decoder_new(&o, &d);
    if (!err) err = decoder_feed(d, r->body, r->body_len);
    if (!err) err = decoder_finish(d, &r->m->batch);
    if (err)
        snprintf(r->why, r->why_size, "%s",
                 d && *decoder_error(d, NULL) ? decoder_error(d, NULL) : err_text(err));
    decoder_free(&d);
    if (err) return err;
    if (r->m->batch->line_count == 0) return bad(r, "lines without a record");
    if (r->m->batch->line_count > INGEST_NUMBER_MAX - r->m->first) return bad(r, "first is too big");
    r->m->last = r->m->first + r->m->batch->line_count - 1;
    return 0;
}

/* The one record that stands for lines the agent had to drop. */
static int gap_batch(struct reading *r, const char *reason)
{
    struct line line = {.rank = r->o->rank, .level = LEVEL_WARN};
    struct framer f;
    struct buf msg = BUF_INIT, escaped = BUF_INIT, fields = BUF_INIT;
    struct scan s;
    int err;

    framer_init(&f);
    err = framer_start(&f, r->o->pack_level, r->o->recv_us);
    line.ts_us = r->o->recv_us;
    clock_format_rfc3339(line.ts_us, line.ts_text);
    line.replica = r->o->replica;
    line.replica_len = strlen(r->o->replica);
    if (!err) {
        err = buf_addf(&msg, "lines %llu to %llu were dropped by the agent: %.256s",
                       (unsigned long long)r->m->first, (unsigned long long)r->m->last, reason);
    }
    scan_init(&s, buf_cstr(&msg), msg.len);
    if (!err) err = scan_escape(&s, &escaped, buf_cstr(&msg), msg.len);
    if (!err) {
        err = buf_addf(&fields, "\"gap\":{\"from\":%llu,\"to\":%llu}", (unsigned long long)r->m->first,
                       (unsigned long long)r->m->last);
    }
    line.msg = buf_cstr(&escaped);
    line.msg_len = escaped.len;
    line.msg_plain_bytes = msg.len;
    if (!err) err = framer_add(&f, &line, fields.data, fields.len);
    if (!err) err = framer_finish(&f, &r->m->batch);
    if (!err) r->m->batch->is_gap = 1;
    framer_release(&f);
    buf_release(&msg);
    buf_release(&escaped);
    buf_release(&fields);
    return err;
}

static int read_skip(struct reading *r)
{
    const char *reason = "no reason given";
    int err = needed(r, "from", 1, INGEST_NUMBER_MAX - 1, &r->m->first);

    if (!err) err = needed(r, "to", r->m->first, INGEST_NUMBER_MAX - 1, &r->m->last);
    if (!err && json_tree_get_str(r->head, "reason", &reason) < 0) err = bad(r, "reason must be a string");
    return err ? err : gap_batch(r, reason);
}

static int keep_text(struct reading *r, const char *text)
{
    struct buf clean = BUF_INIT;
    int got = r->o->redact ? redact_text(r->o->redact, NULL, text, strlen(text), &clean, &r->m->redacted) : 0;

    if (got >= 0) r->m->text = strdup(got ? buf_cstr(&clean) : text);
    buf_release(&clean);
    if (!r->m->text) return ERR_NOMEM;
    r->m->text_len = strlen(r->m->text);
    return 0;
}

static int read_progress(struct reading *r)
{
    const char *msg;
    int err = read_rank(r);

    if (err) return err;
    if (json_tree_get_str(r->head, "msg", &msg) != 1) return bad(r, "msg must be a string");
    return keep_text(r, msg);
}

static int read_state(struct reading *r)
{
    const char *why = "";
    struct state_change *c = &r->m->change;
    int err = ingest__read_state(r->head, c, &why);

    if (err) return bad(r, why);
    r->m->rank = c->rank;
    if (!c->message) return 0;
    err = keep_text(r, c->message);
    c->message = r->m->text;
    return err;
}

static int read_fin(struct reading *r)
{
    int64_t code = 0, signal = 0;
    int err = needed(r, "last", 0, INGEST_NUMBER_MAX - 1, &r->m->last), has;

    if (err) return err;
    has = json_tree_get_i64(r->head, "exit_code", &code);
    if (has < 0 || code < INT32_MIN || code > INT32_MAX) return bad(r, "exit_code must be a whole number of 32 bits");
    if (json_tree_get_i64(r->head, "signal", &signal) < 0 || signal < 0 || signal > AGENT_SIGNAL_MAX)
        return bad(r, "signal must be a number from 1 to 64");
    r->m->has_exit_code = has;
    r->m->exit_code = (int32_t)code;
    r->m->signal = (int32_t)signal;
    return 0;
}

/* A part of a whole of the machine, at least 0; absent: unknown. */
static int measure(struct reading *r, const struct json_tree *v, const char *key, double scale, double max, int64_t *ret)
{
    const struct json_tree *n = json_tree_get(v, key);
    double value;

    *ret = NODE_UNKNOWN;
    if (!n || json_tree_is_null(n)) return 0;
    value = json_tree_is_num(n) ? json_tree_double(n) * scale : -1;
    if (!(value >= 0 && value <= max)) {
        snprintf(r->why, r->why_size, "%s is no number that a machine has", key);
        return ERR_INVALID;
    }
    *ret = (int64_t)(value + 0.5);
    return 0;
}

static int read_gpus(struct reading *r, struct agent_sample *s)
{
    const struct json_tree *gpus = json_tree_get(r->head, "gpus");
    int err = 0;

    if (gpus && !json_tree_is_null(gpus) && !json_tree_is_arr(gpus)) return bad(r, "gpus must be an array");
    for (const struct json_tree *g = gpus ? json_tree_first(gpus) : NULL; g && !err; g = json_tree_next(g)) {
        uint32_t i = s->about.gpu_count;
        const char *name = "";
        int64_t permille = 0;

        if (i == NODE_GPUS_MAX) return bad(r, "a node has at most 32 GPUs");
        if (!json_tree_is_obj(g) || json_tree_get_str(g, "name", &name) < 0) return bad(r, "a GPU is an object with a name");
        snprintf(s->about.gpus[i].name, sizeof s->about.gpus[i].name, "%s", name);
        for (char *c = s->about.gpus[i].name; *c; c++)
            if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f) *c = '?';
        err = measure(r, g, "use", 1000, 1000, &permille);
        s->sample.gpus[i].permille = (int32_t)permille;
        if (!err) err = measure(r, g, "memory_bytes", 1, NODE_BYTES_MAX, &s->sample.gpus[i].memory_bytes);
        if (!err) err = measure(r, g, "memory_total_bytes", 1, NODE_BYTES_MAX, &s->about.gpus[i].memory_bytes);
        s->about.gpu_count = s->sample.gpu_count = i + 1;
    }
    return err;
}

static int read_sample(struct reading *r)
{
    struct agent_sample *s = must_calloc(1, sizeof *s);
    uint64_t age_ms = 0;
    int err = 0;

    r->m->sample = s;
    if (number(r, "age_ms", 0, AGENT_SAMPLE_AGE_MS_MAX, &age_ms) < 0) return ERR_INVALID;
    s->age_us = (int64_t)age_ms * 1000;
    if (!err) err = measure(r, r->head, "cpu", 1000, NODE_CPU_MILLI_MAX, &s->sample.cpu_milli);
    if (!err) err = measure(r, r->head, "cpu_count", 1000, NODE_CPU_MILLI_MAX, &s->about.cpu_milli);
    if (!err) err = measure(r, r->head, "memory_bytes", 1, NODE_BYTES_MAX, &s->sample.memory_bytes);
    if (!err) err = measure(r, r->head, "memory_total_bytes", 1, NODE_BYTES_MAX, &s->about.memory_bytes);
    if (!err) err = measure(r, r->head, "disk_bytes", 1, NODE_BYTES_MAX, &s->sample.disk_bytes);
    if (!err) err = measure(r, r->head, "disk_total_bytes", 1, NODE_BYTES_MAX, &s->about.disk_bytes);
    return err ? err : read_gpus(r, s);
}

static const struct {
    const char *name;
    enum agent_type type;
    int (*read)(struct reading *r);
} types[] = {{"hello", AGENT_HELLO, read_hello},          {"lines", AGENT_LINES, read_lines},
             {"skip", AGENT_SKIP, read_skip},             {"progress", AGENT_PROGRESS, read_progress},
             {"state", AGENT_STATE, read_state},          {"fin", AGENT_FIN, read_fin},
             {"sample", AGENT_SAMPLE, read_sample}};

static int read_plain(struct reading *r, const char *data, size_t len)
{
    const char *nl = memchr(data, '\n', len);
    size_t head_len = nl ? (size_t)(nl - data) : len;
    struct json_tree *head = NULL;
    const char *type;
    int err;

    if (head_len > AGENT_HEADER_BYTES_MAX) return bad(r, "the header line may have 64 KiB");
    err = json_tree_parse(data, head_len, &head, NULL);
    if (err == ERR_NOMEM) return err;
    if (err || json_tree_get_str(head, "type", &type) != 1) {
        json_tree_free(&head);
        return bad(r, "a message begins with a line that is a JSON object with a type");
    }
    r->head = head;
    r->body = nl ? nl + 1 : data + len;
    r->body_len = (size_t)(data + len - r->body);
    err = bad(r, "no such type of message");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(type, types[i].name) != 0) continue;
        r->m->type = types[i].type;
        err = types[i].read(r);
        break;
    }
    json_tree_free(&head);
    return err;
}

int agent_message_read(struct agent_message *m, const struct decode_options *o, const char *data, size_t len,
                       int is_binary, char *why, size_t why_size)
{
    struct reading r = {.m = m, .o = o, .why = why, .why_size = why_size};
    struct buf plain = BUF_INIT;
    int err;

    CHECK(why_size > 0);
    *why = '\0';
    memset(m, 0, sizeof *m);
    m->rank = RECORD_RANK_NONE;
    if (is_binary && pack_is_zstd(data, len)) {
        err = unpack_zstd(&plain, data, len, AGENT_MESSAGE_BYTES_MAX);
        if (!err) {
            err = read_plain(&r, buf_cstr(&plain), plain.len);
        } else {
            snprintf(why, why_size, "%s",
                     err == ERR_TOO_BIG ? "a message may have 8 MiB when decompressed, its window too"
                                        : "the message is no whole zstd frame");
            if (err == ERR_CORRUPT) err = ERR_INVALID;
        }
    } else if (len > AGENT_MESSAGE_BYTES_MAX) {
        err = ERR_TOO_BIG;
        snprintf(why, why_size, "a message may have 8 MiB");
    } else {
        err = read_plain(&r, data, len);
    }
    buf_release(&plain);
    if (err) {
        if (!*why) snprintf(why, why_size, "%s", err_text(err));
        agent_message_release(m);
    }
    return err;
}

void agent_message_release(struct agent_message *m)
{
    batch_free(&m->batch);
    free(m->text);
    free(m->sample);
    m->text = NULL;
    m->sample = NULL;
}

/*
 * ingest/logs_request.c -- query and headers of POST /v1/jobs/J/logs.
 */
#include "ingest/logs_request.h"

#include "base/err.h"
#include "ingest/ingest_int.h"
#include "ingest/line.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define INGEST_EXIT_CODE_MAX 255

static int bad(struct logs_request *r, const char *what)
{
    snprintf(r->why, sizeof r->why, "%s", what);
    return ERR_INVALID;
}

static int read_query(struct logs_request *r, const struct http *x, struct decode_options *o)
{
    const char *rank = http_arg(x, "rank"), *replica = http_arg(x, "replica"), *stream = http_arg(x, "stream"),
               *level = http_arg(x, "level"), *on_error = http_arg(x, "on_error");

    if (rank && line_parse_rank(rank, strlen(rank), &o->rank))
        return bad(r, "rank must be a number from 0 to 65535");
    if (replica) {
        if (!id_valid(replica, strlen(replica)))
            return bad(r, "replica must match [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
        memcpy(o->replica, replica, strlen(replica) + 1);
    }
    if (stream) {
        if (!line_stream_valid(stream, strlen(stream))) {
            return bad(r, "stream must be 1 to 32 printable ASCII characters without space, quote or backslash");
        }
        memcpy(o->stream, stream, strlen(stream) + 1);
    }
    if (level) {
        o->level = level_parse(level, strlen(level));
        if (o->level == LEVEL_NONE) return bad(r, "level must be trace, debug, info, warn, error or fatal");
    }
    if (on_error && strcmp(on_error, "skip") != 0 && strcmp(on_error, "fail") != 0) {
        return bad(r, "on_error must be skip or fail");
    }
    o->skip_bad = on_error && strcmp(on_error, "skip") == 0;
    return 0;
}

/* A header of digits: 1 found, 0 absent. */
static int number_header(struct logs_request *r, const struct http *x, const char *name, uint64_t min,
                         uint64_t *ret) {
    const char *text = http_header(x, name);

    if (!text) return 0;
    if (ingest__number(text, ret) || *ret < min) {
        snprintf(r->why, sizeof r->why, "%s must be digits only, from %llu to %llu", name, (unsigned long long)min,
                 (unsigned long long)INGEST_NUMBER_MAX);
        return ERR_INVALID;
    }
    return 1;
}

static int read_producer(struct logs_request *r, const struct http *x, int32_t rank)
{
    struct batch_producer *p = &r->producer;
    const char *id = http_header(x, "X-Producer");
    uint64_t exit_code = 0;
    int has_epoch = number_header(r, x, "X-Epoch", 0, &p->epoch);
    if (has_epoch < 0) return has_epoch;
    r->has_sequence = number_header(r, x, "X-Sequence", 1, &p->first);
    if (r->has_sequence < 0) return r->has_sequence;
    p->has_fin = number_header(r, x, "X-Producer-Fin", 0, &p->fin);
    if (p->has_fin < 0) return p->has_fin;

    p->rank = rank;
    if (!id) {
        if (has_epoch || r->has_sequence || p->has_fin) {
            return bad(r, "X-Epoch, X-Sequence and X-Producer-Fin need X-Producer");
        }
        return 0;
    }
    p->has_exit_code = number_header(r, x, "X-Producer-Exit", 0, &exit_code);
    if (p->has_exit_code < 0) return p->has_exit_code;
    if (p->has_exit_code && (!p->has_fin || exit_code > INGEST_EXIT_CODE_MAX))
        return bad(r, "X-Producer-Exit must be a number from 0 to 255 and needs X-Producer-Fin");
    p->exit_code = (int32_t)exit_code;
    if (!id_valid(id, strlen(id))) return bad(r, "X-Producer must match [A-Za-z0-9][A-Za-z0-9._-]{0,127}");
    memcpy(p->id, id, strlen(id) + 1);
    if (!has_epoch) return bad(r, "X-Producer needs X-Epoch: a number that grows with each run of the producer");
    if (!r->has_sequence && !p->has_fin) {
        return bad(r, "X-Producer needs X-Sequence: the number of the first line of this batch, from 1");
    }
    return 0;
}

/* Does the media type (parameters aside) match? */
static int is_type(const char *type, size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp(type, name, len) == 0;
}

static enum decode_format format_of(const char *type)
{
    static const char *const ndjson[] = {"application/x-ndjson",  "application/ndjson",
                                         "application/jsonl",     "application/x-jsonlines",
                                         "application/jsonlines", "application/json-lines"};
    size_t len = type ? strcspn(type, "; \t") : 0;

    if (!len) return DECODE_AUTO;
    for (size_t i = 0; i < sizeof ndjson / sizeof *ndjson; i++) {
        if (is_type(type, len, ndjson[i])) return DECODE_NDJSON;
    }
    if (is_type(type, len, "application/json")) return DECODE_ARRAY;
    return is_type(type, len, "text/plain") ? DECODE_TEXT : DECODE_AUTO;
}

int logs_request_read(struct logs_request *r, const struct http *x, struct decode_options *o)
{
    int err = read_query(r, x, o);

    if (!err) err = read_producer(r, x, o->rank);
    if (err) return err;
    o->format = format_of(http_header(x, "Content-Type"));
    o->numbered = r->has_sequence;
    r->coding = http_header(x, "Content-Encoding");
    r->is_coded = r->coding && *r->coding && strcasecmp(r->coding, "identity") != 0;
    return 0;
}

int logs_request_number(struct logs_request *r, struct batch *b)
{
    struct batch_producer *p = &r->producer;

    if (!*p->id) return 0;
    if (!r->has_sequence) {
        if (b->line_count) return bad(r, "lines of a producer need X-Sequence");
        p->first = p->fin + 1;
    }
    if (b->line_count > INGEST_NUMBER_MAX - p->first) return bad(r, "X-Sequence is too big");
    p->last = p->first + b->line_count - 1;
    if (p->has_fin && p->fin < p->last) return bad(r, "X-Producer-Fin is before the last line of this batch");
    b->producer = *p;
    return 0;
}

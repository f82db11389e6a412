/*
 * ingest/logs_request.h -- query and headers of POST /v1/jobs/J/logs, read and judged before the body.
 */
#ifndef INGEST_LOGS_REQUEST_H
#define INGEST_LOGS_REQUEST_H

#include "http/http.h"
#include "ingest/decode.h"

struct logs_request {
    struct batch_producer producer; /* id "" : anonymous */
    int has_sequence;
    const char *coding; /* Content-Encoding, borrowed from the request; may be NULL */
    int is_coded;
    uint64_t body_bytes; /* received so far */
    char why[200];
};

/* Fills *o (format, defaults, on_error) too. ERR_INVALID: why names the argument or header. */
int logs_request_read(struct logs_request *r, const struct http *x, struct decode_options *o);
/* Number the lines of b as the producer said. ERR_INVALID (why). */
int logs_request_number(struct logs_request *r, struct batch *b);

#endif

/*
 * http/body.h -- where a request body ends: Content-Length or chunks (RFC 9112, 6 and 7.1).
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <stddef.h>
#include <stdint.h>

#define TRAILER_BYTES_MAX 4096

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED };
struct body {
    enum body_kind kind;
    int state;           /* of the chunk decoder */
    unsigned digits;     /* of the chunk size so far */
    unsigned trailer_bytes;
    uint64_t left;       /* bytes of the body or of this chunk still to come */
    uint64_t taken;      /* decoded bytes so far */
    uint64_t bytes_max;
};
void body__init(struct body *b, int64_t length, uint64_t bytes_max);
/* Eat from data; at most one run of decoded bytes comes out per call (*ret_run may be NULL).
 * 0: more is needed (call again while bytes are left), 1: the body is whole, ERR_INVALID, ERR_TOO_BIG. */
int body__feed(struct body *b, const char *data, size_t len, size_t *ret_used, const char **ret_run,
               size_t *ret_run_len);

#endif

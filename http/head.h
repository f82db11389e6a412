/*
 * http/head.h -- a request head: where it ends, how it is read, why it is refused.
 *
 * Pure: bytes in, structure out (request_lint.c, request.c).
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/err.h"
#include "http/http.h"

#define HEAD_FIELDS_MAX 100               /* header lines of a request; more is 431 */

struct head_pair {
    const char *name, *value;
};

/* A parsed head. Strings live in the owned blocks. */
struct head {
    char *block;   /* the bytes of the head, cut into NUL-terminated strings */
    char *decoded; /* percent-decoded path and arguments */
    char *joined;  /* values of repeated headers */
    const char *method, *path, *raw_query;
    int minor; /* HTTP/1.minor */
    int is_head, keep_alive, chunked, expects_continue, is_upgrade;
    int64_t length; /* Content-Length, 0 when absent, -1 when chunked */
    const char *ws_key;
    unsigned field_count, arg_count;
    struct head_pair fields[HEAD_FIELDS_MAX];
    struct head_pair args[HTTP_QUERY_ARGS_MAX];
};

/* How a request is refused by the hall. status 0: it is not. */
struct refusal {
    int status;
    const char *code, *message;
};
static inline int refuse(struct refusal *ret, int status, const char *code, const char *message)
{
    *ret = (struct refusal){status, code, message};
    return ERR_INVALID;
}

/* Look for the end of the head in data[0..len), *scanned bytes of which were looked at before.
 * Returns its length with the blank line, 0 when more is needed, or -1 with *ret_refusal set. */
int head__find(const char *data, size_t len, size_t *scanned, const struct http_limits *l,
               struct refusal *ret_refusal);
/* Parse a whole head (as found by head__find). 0, or ERR_INVALID with *ret_refusal set and nothing
 * to release, or ERR_NOMEM. */
int head__parse(struct head *h, const char *data, size_t len, const struct http_limits *l,
                struct refusal *ret_refusal);
void head__release(struct head *h);
const char *head__field(const struct head *h, const char *name);

/* request_lint.c: is the head written as RFC 9112 says? 0 or ERR_INVALID with the refusal. */
int head__lint(const char *data, size_t len, const struct http_limits *l, struct refusal *ret_refusal);
/* Percent-decode the path and the query of h->raw target into h->decoded. */
int head__decode_target(struct head *h, char *target, struct refusal *ret_refusal);

#endif

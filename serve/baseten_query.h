/*
 * serve/baseten_query.h -- what a client of the Baseten view asks of logs and metrics: window, limit, direction.
 *
 * The names are the same in a JSON body and in the query; null and absent are one. Names that are not
 * known are passed over: newer clients ask for more than is served.
 */
#ifndef SERVE_BASETEN_QUERY_H
#define SERVE_BASETEN_QUERY_H

#include "base/json_tree.h"
#include "http/http.h"
#include "job/level.h"

#define BASETEN_LIMIT_MAX 1000000

struct baseten_query {
    int has_start, has_end;
    int64_t start_ms, end_ms; /* both inclusive */
    uint64_t limit;           /* 0: none */
    int asc;
    enum level level_min;     /* LEVEL_NONE: all */
};

/* From the arguments of x, and from body when it is not NULL. ERR_INVALID with why. */
int baseten_query_read(struct baseten_query *q, const struct http *x, const struct json_tree *body, char *why,
                       size_t why_size);

#endif

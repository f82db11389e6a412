/*
 * serve/json_body.h -- a request body that is one small JSON object, read whole.
 */
#ifndef SERVE_JSON_BODY_H
#define SERVE_JSON_BODY_H

#include "base/buf.h"
#include "base/json_tree.h"
#include "http/http.h"
#include "serve/ctx.h"

/* Read the body of x (an empty one counts as {}) and call then(ctx, x, root); root is borrowed, and x is
 * nobody's then: handle or answer it. Larger than bytes_max is 413, no object 400 `bad_json`, answered here. */
typedef void json_body_fn(struct serve_ctx *ctx, struct http *x, const struct json_tree *root);
void json_body_read(struct serve_ctx *ctx, struct http *x, size_t bytes_max, json_body_fn *then);

/* For who reads the body itself. The object in text (an empty one becomes {}), to be freed; NULL: it is none, and x is answered
 * (400 `bad_json`, 500). */
struct json_tree *json_body_parse(struct http *x, struct buf *text);
/* True, and x is answered (500), when err is ERR_NOMEM. */
int json_body_lacks_memory(struct http *x, int err);

#endif

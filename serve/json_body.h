/*
 * serve/json_body.h -- a request body that is one small JSON object, read whole.
 */
#ifndef SERVE_JSON_BODY_H
#define SERVE_JSON_BODY_H

#include "base/json_tree.h"
#include "http/http.h"
#include "serve/ctx.h"

/* Read the body of x (an empty one counts as {}) and call then(ctx, x, root); root is borrowed, and x is
 * nobody's then: handle or answer it. Larger than bytes_max is 413, no object 400 `bad_json`, answered here. */
typedef void json_body_fn(struct serve_ctx *ctx, struct http *x, const struct json_tree *root);
void json_body_read(struct serve_ctx *ctx, struct http *x, size_t bytes_max, json_body_fn *then);

#endif

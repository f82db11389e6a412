/*
 * serve/json_body.c -- a request body that is one small JSON object.
 */
#include "serve/json_body.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>

struct json_body {
    struct serve_ctx *ctx;
    struct buf text;
    json_body_fn *then;
};

static void release(struct json_body *b)
{
    buf_release(&b->text);
    free(b);
}

int json_body_lacks_memory(struct http *x, int err)
{
    if (err != ERR_NOMEM)
        return 0;
    http_reply_error(x, 500, err_code(err), "%s", err_text(err));
    return 1;
}

struct json_tree *json_body_parse(struct http *x, struct buf *text)
{
    struct json_tree *root = NULL;
    size_t at = 0;
    int err = text->len ? 0 : buf_adds(text, "{}");

    if (err == 0)
        err = json_tree_parse(buf_cstr(text), text->len, &root, &at);
    if (err == 0 && json_tree_is_obj(root))
        return root;
    json_tree_free(&root);
    if (!json_body_lacks_memory(x, err))
        http_reply_error(x, 400, "bad_json", "the body must be one JSON object; reading stopped at byte %zu", at);
    return NULL;
}

static void on_body(struct http *x, const char *data, size_t len)
{
    struct json_body *b = http_user(x);
    size_t bytes_max = b->text.bytes_max;
    int err = buf_add(&b->text, data, len);

    if (err == 0)
        return;
    http_handle(x, NULL, NULL);
    release(b);
    if (!json_body_lacks_memory(x, err))
        http_reply_error(x, 413, "too_large", "at most %zu bytes are read here", bytes_max);
}

static void on_body_end(struct http *x)
{
    struct json_body *b = http_user(x);
    struct json_tree *root;

    http_handle(x, NULL, NULL);
    root = json_body_parse(x, &b->text);
    if (root)
        b->then(b->ctx, x, root);
    json_tree_free(&root);
    release(b);
}

static void on_close(struct http *x, int clean)
{
    release(http_user(x));
}

static const struct http_handler handler = {.on_body = on_body, .on_body_end = on_body_end, .on_close = on_close};

void json_body_read(struct serve_ctx *ctx, struct http *x, size_t bytes_max, json_body_fn *then)
{
    struct json_body *b;

    if (http_body_max(x, bytes_max) != 0)
        return;
    b = must_calloc(1, sizeof *b);
    b->ctx = ctx;
    b->then = then;
    buf_init(&b->text, bytes_max);
    http_handle(x, &handler, b);
}

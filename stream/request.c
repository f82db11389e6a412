/*
 * stream/request.c -- requests as they go over the wire: RESP arrays of bulk strings.
 *
 *     *3\r\n$4\r\nZADD\r\n…      several commands may stand in one request; main_part is the one that counts
 */
#include "base/check.h"
#include "base/err.h"
#include "stream/conn_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conn_request *conn_request_new(size_t bytes_hint)
{
    struct conn_request *r = must_calloc(1, sizeof *r);

    r->refs = 1;
    if (bytes_hint)
        r->build_err = buf_reserve(&r->wire, bytes_hint);
    return r;
}

void conn_request_ref(struct conn_request *r)
{
    r->refs++;
}

void conn_request_drop_parts(struct conn_request *r)
{
    for (uint32_t i = 0; i < r->parts_have; i++)
        reply_tree_free(&r->parts[i]);
    r->parts_have = 0;
}

void conn_request_unref(struct conn_request **r)
{
    struct conn_request *q = *r;

    *r = NULL;
    if (!q || --q->refs > 0)
        return;
    conn_request_drop_parts(q);
    free(q->parts);
    buf_release(&q->wire);
    free(q);
}

void conn_request_free(struct conn_request **r)
{
    conn_request_unref(r);
}

static void note(struct conn_request *r, int err)
{
    if (err < 0 && r->build_err >= 0)
        r->build_err = err;
}

void conn_request_begin(struct conn_request *r, uint32_t argc)
{
    CHECK(r->words_left == 0 && argc > 0);
    CHECK(r->parts_due < CONN_PARTS_MAX);
    if (r->parts_due == r->parts_cap) {
        r->parts_cap = r->parts_cap ? r->parts_cap * 4 : 1;
        r->parts = must_realloc(r->parts, r->parts_cap * sizeof *r->parts);
    }
    r->parts_due++;
    if (!r->main_set)
        r->main_part = r->parts_due - 1;
    r->words_left = argc;
    note(r, buf_addc(&r->wire, '*'));
    note(r, buf_addu64(&r->wire, argc));
    note(r, buf_add(&r->wire, "\r\n", 2));
}

void conn_request_arg(struct conn_request *r, const void *data, size_t len)
{
    CHECK(r->words_left > 0);
    r->words_left--;
    note(r, buf_addc(&r->wire, '$'));
    note(r, buf_addu64(&r->wire, len));
    note(r, buf_add(&r->wire, "\r\n", 2));
    note(r, buf_add(&r->wire, data, len));
    note(r, buf_add(&r->wire, "\r\n", 2));
}

void conn_request_str(struct conn_request *r, const char *s)
{
    conn_request_arg(r, s, strlen(s));
}

void conn_request_u64(struct conn_request *r, uint64_t v)
{
    char text[24];

    conn_request_arg(r, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, v));
}

void conn_request_i64(struct conn_request *r, int64_t v)
{
    char text[24];

    conn_request_arg(r, text, (size_t)snprintf(text, sizeof text, "%" PRId64, v));
}

void conn_request_main(struct conn_request *r)
{
    CHECK(r->parts_due > 0);
    r->main_part = r->parts_due - 1;
    r->main_set = 1;
}

size_t conn_request_bytes(const struct conn_request *r)
{
    return r->wire.len;
}

void conn_command(struct conn *c, int flags, conn_reply_fn *done, void *user, uint32_t argc, const char *const *argv,
                  const size_t *len)
{
    struct conn_request *r = conn_request_new(0);

    conn_request_begin(r, argc);
    for (uint32_t i = 0; i < argc; i++)
        conn_request_arg(r, argv[i], len ? len[i] : strlen(argv[i]));
    conn_send(c, &r, flags, 0, done, user);
}

void conn_words(struct conn *c, int flags, conn_reply_fn *done, void *user, ...)
{
    const char *argv[32];
    uint32_t argc = 0;
    va_list ap;

    va_start(ap, user);
    for (const char *w; (w = va_arg(ap, const char *)) != NULL;) {
        CHECK(argc < 32);
        argv[argc++] = w;
    }
    va_end(ap);
    conn_command(c, flags, done, user, argc, argv, NULL);
}

/*
 * tests/fuzz/http_fuzz.c -- hostile bytes for the head reader and the body decoder of http/.
 *
 * Byte 0 is the size of the pieces; the rest is what a connection sends: heads and bodies, one
 * after another. What must hold: nothing is read beyond the input, the cut makes no difference to
 * what is found, what is refused has a status and a sentence, and a head that passed says nothing
 * that could be read in two ways.
 * Covers  http/request.c http/request_lint.c http/body.c
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/utf8.h"
#include "http/body.h"
#include "http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct http_limits limits = {.header_bytes_max = 2048, .target_bytes_max = 512, .body_bytes_max = 4096};

static void check_head(const struct head *h)
{
    CHECK(h->path[0] == '/' || strcmp(h->path, "*") == 0);
    CHECK(utf8_valid_prefix(h->path, strlen(h->path)) == strlen(h->path));
    CHECK(h->field_count <= HEAD_FIELDS_MAX && h->arg_count <= HTTP_QUERY_ARGS_MAX);
    CHECK(h->length >= -1 && h->length <= (int64_t)limits.body_bytes_max);
    CHECK(!(head__field(h, "Content-Length") && head__field(h, "Transfer-Encoding")));
    CHECK(h->minor == 0 || head__field(h, "Host"));
    for (unsigned i = 0; i < h->field_count; i++)
        CHECK(!strpbrk(h->fields[i].value, "\r\n") && !strpbrk(h->fields[i].name, "\r\n :"));
    for (unsigned i = 0; i < h->arg_count; i++)
        CHECK(utf8_valid_prefix(h->args[i].value, strlen(h->args[i].value)) == strlen(h->args[i].value));
}

/* A whole connection, in pieces; what came of it as text. */
static void run(const uint8_t *data, size_t len, size_t piece, struct buf *out)
{
    size_t at = 0, seen = 0, scanned = 0;
    struct body b;
    int in_body = 0;
    while (at < len) {
        struct refusal r = {0};
        size_t have;
        seen = seen + piece < len ? seen + piece : len;
        have = seen - at;
        if (!in_body) {
            char *exact = malloc(have ? have : 1); /* so that a sanitizer sees the end */
            struct head h;
            int n;
            memcpy(exact, data + at, have);
            n = head__find(exact, have, &scanned, &limits, &r);
            if (n > 0 && head__parse(&h, exact, (size_t)n, &limits, &r) == 0) {
                check_head(&h);
                buf_addf(out, "head %s %s %lld\n", h.method, h.path, (long long)h.length);
                body__init(&b, h.length, limits.body_bytes_max);
                in_body = b.kind != BODY_NONE;
                head__release(&h);
                at += (size_t)n;
                scanned = 0;
            } else if (n != 0) {
                CHECK(r.status >= 400 && r.status <= 505 && r.message);
                buf_adds(out, "refused\n"); /* with which status may depend on the cut */
                free(exact);
                return;
            } else if (seen == len) {
                free(exact);
                return;
            }
            free(exact);
        } else {
            const char *found;
            size_t used, found_len;
            int got = body__feed(&b, (const char *)data + at, have, &used, &found, &found_len);
            CHECK(used <= have && found_len <= used);
            if (found_len) buf_add(out, found, found_len);
            at += used;
            CHECK(b.taken <= limits.body_bytes_max);
            if (got < 0) {
                buf_addf(out, "bad body %d\n", got);
                return;
            }
            if (got == 1) {
                buf_adds(out, "end\n");
                in_body = 0;
            }
            if (got == 0 && seen == len && used == 0) return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf whole = BUF_INIT, cut = BUF_INIT;
    size_t piece;
    if (len < 2) return 0;
    piece = data[0] ? data[0] : 1;
    run(data + 1, len - 1, len, &whole);
    run(data + 1, len - 1, piece, &cut);
    CHECKF(whole.len == cut.len && (!whole.len || memcmp(whole.data, cut.data, whole.len) == 0), "%s\n---\n%s",
           buf_cstr(&whole), buf_cstr(&cut));
    buf_release(&whole);
    buf_release(&cut);
    return 0;
}

/*
 * tests/fuzz/redact_fuzz.c -- any bytes as lines with secrets: text over a flow of lines, and JSON.
 *
 * What has nothing to take out is not changed; what is changed is counted; valid JSON stays valid; a marker that the input
 * has not is never half written. The first byte chooses with or without patterns of a user.
 * Covers  job/redact.c job/redact_scan.c
 */
#include "base/check.h"
#include "base/json_tree.h"
#include "job/redact.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed_lines(const struct redact *r, const char *text, size_t len)
{
    struct redact_flow f = {0};
    struct buf out = BUF_INIT;

    while (len) {
        const char *nl = memchr(text, '\n', len);
        size_t n = nl ? (size_t)(nl - text) : len;
        struct redact_counts c = {{0}};
        int was_open = f.open > 0, wants = redact_wants(r, &f, text, n);
        int got = redact_text(r, &f, text, n, &out, &c);

        CHECK(got == 0 || got == 1);
        CHECK(wants || !got);
        CHECK(got || !redact_total(&c));
        CHECK(!got || redact_total(&c) || was_open);
        CHECK(!got || memmem(out.data, out.len, "[redacted:", 10));
        if (n && text[n - 1] == '!') /* now and then a batch is refused */
            redact_flow_reopen(&f);
        n += nl != NULL;
        text += n;
        len -= n;
    }
    buf_release(&out);
}

static void feed_json(const struct redact *r, const char *text, size_t len)
{
    struct json_tree *root = NULL;
    struct redact_counts c = {{0}};
    struct buf out = BUF_INIT;
    int valid = json_tree_parse(text, len, &root, NULL) == 0, got;

    json_tree_free(&root);
    got = redact_json(r, text, len, &out, &c);
    CHECK(got == 0 || got == 1);
    CHECK(got == (redact_total(&c) > 0));
    if (got && valid) {
        CHECK(json_tree_parse(out.data, out.len, &root, NULL) == 0);
        json_tree_free(&root);
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct redact *plain, *patterned;
    const struct redact *r;
    char why[200];

    if (!plain) {
        CHECK(redact_new(NULL, &plain, why, sizeof why) == 0);
        CHECK(redact_new("id=ID-[0-9]+\nquoted=say \"(?P<secret>[^\"]*)\"\nempty=z*\n", &patterned, why, sizeof why) == 0);
    }
    if (!size)
        return 0;
    r = *data & 1 ? patterned : plain;
    feed_lines(r, (const char *)data + 1, size - 1);
    feed_json(r, (const char *)data + 1, size - 1);
    return 0;
}

/*
 * tests/unit/ingest/nomem_test.c -- every allocation of decoding a batch fails once: never a crash, never a batch that lacks
 * a line.
 */
#include "tests/unit/nomem.h"

#include "tests/unit/ingest/decode_help.h"

#define LINES 300

static char body[LINES * 128];
static size_t body_len;

static int decode(void)
{
    struct decode_options o = help_options(DECODE_NDJSON);
    struct decoder *d = NULL;
    struct batch *b = NULL;
    int err;

    o.pack_level = 1;
    err = decoder_new(&o, &d);
    for (size_t at = 0; err >= 0 && at < body_len; at += 1000)
        err = decoder_feed(d, body + at, body_len - at < 1000 ? body_len - at : 1000);
    if (err >= 0) err = decoder_finish(d, &b);
    if (err >= 0 && b->line_count != LINES) _exit(70);
    batch_free(&b);
    decoder_free(&d);
    return err;
}

static void test_decoding(void **state)
{
    /* Whole, an error, or the end of the process. */
    for (int i = 0; i < LINES; i++)
        body_len += (size_t)snprintf(body + body_len, sizeof body - body_len,
                                     "{\"msg\":\"line %d\",\"rank\":%d,\"step\":%d,\"loss\":0.5}\n", i, i % 8, i);
    assert_true(nomem_sweep(decode, NULL) > (NOMEM_ACTIVE ? 10 : 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_decoding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

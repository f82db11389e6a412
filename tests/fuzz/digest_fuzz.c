/*
 * tests/fuzz/digest_fuzz.c -- any bytes as the content of a digest's file.
 *
 * The content is given without head, zstd and CRC: those only keep mutations out. What is read takes a line more,
 * is written, read again as the same bytes, settled, and its texts are walked over.
 * Covers  digest/digest_codec.c digest/wire.c
 */
#include "base/check.h"
#include "digest/digest_file.h"
#include "digest/digest_int.h"
#include "digest/wire.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t total;

static void look(struct digest *d)
{
    struct buf ranks = BUF_INIT;

    CHECK(digest_settle(d) >= 0);
    for (uint32_t i = 0; i < d->group_count; i++) {
        const struct digest_group *g = &d->groups[i];
        total += strlen(g->title) + g->text_bytes + strlen(d->replicas[g->first_replica]);
        buf_clear(&ranks);
        CHECK(digest_group_ranks(g, &ranks) >= 0);
    }
    for (uint32_t i = 0; i < d->rank_count; i++) {
        const struct digest_rank *e = &d->ranks[i];
        CHECK(digest_rank_of(d, e->rank, e->replica) != NULL);
        total += strlen(d->replicas[e->replica]);
    }
    for (uint32_t i = 0; i < d->state_count; i++) total += strlen(d->states[i].message);
    for (uint32_t i = 0; i < d->gap_count; i++) total += strlen(d->gaps[i].reason);
    for (uint32_t i = 0; i < d->report_count; i++) total += strlen(d->reports[i].title);
    buf_release(&ranks);
}

static void go_on(struct digest *d)
{
    static const char msg[] = "loss=2.5 step=7";
    struct record rec = {.seq = d->upto + 1,
                         .ts_us = 1764000000000000,
                         .rank = 3,
                         .level = LEVEL_ERROR,
                         .msg = msg,
                         .msg_len = sizeof msg - 1};
    struct buf line = BUF_INIT;

    if (d->upto < UINT64_MAX - 1) {
        CHECK(record_write(&line, &rec) >= 0);
        CHECK(digest_add_line(d, line.data, line.len, rec.ts_us) >= 0);
    }
    buf_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire in = {.p = data, .end = data + size}, out = {0}, again = {0};
    struct buf a = BUF_INIT, b = BUF_INIT;
    struct digest *d = NULL, *e = NULL;

    CHECK(digest_new(NULL, &d) >= 0 && digest_new(NULL, &e) >= 0);
    digest__walk(&in, d);
    if (!in.err) {
        go_on(d);
        out.out = &a;
        digest__walk(&out, d);
        CHECK(!out.err);
        again.p = (const unsigned char *)a.data;
        again.end = again.p + a.len;
        digest__walk(&again, e);
        CHECK(!again.err);
        out.out = &b;
        out.last = (struct digest_at){0};
        digest__walk(&out, e);
        CHECK(!out.err && a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
        look(d);
    }
    buf_release(&a);
    buf_release(&b);
    digest_free(&d);
    digest_free(&e);
    return 0;
}

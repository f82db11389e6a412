/*
 * tests/fuzz/redis_fuzz.c -- any bytes as what Redis answers, by its protocol.
 *
 * The first byte says how they are cut. Replies are the same however they come; every text has its length and a NUL behind it,
 * and an array is as long as it says (hiredis sets aside at once what is announced: five digits at most here). As the entry of
 * the feed of events and as the hash of a job each is taken or refused.
 * Covers  stream/conn_redis.c stream/reply.c
 */
#include "alert/alert_int.h"
#include "base/check.h"
#include "base/err.h"
#include "stream/conn_int.h"
#include "stream/jobs_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(struct buf *out, const struct reply *r, int depth)
{
    CHECK(depth < 10);
    switch (r->kind) {
    case REPLY_ARRAY:
        buf_addf(out, "*%u\n", r->count);
        for (uint32_t i = 0; i < r->count; i++) {
            CHECK(reply_at(r, i) == &r->items[i]);
            show(out, &r->items[i], depth + 1);
        }
        CHECK(reply_at(r, r->count)->kind == REPLY_NIL);
        break;
    case REPLY_INT:
        buf_addf(out, ":%lld\n", (long long)r->num);
        CHECK(reply_i64(r) == r->num);
        break;
    case REPLY_NIL: buf_adds(out, "-\n"); break;
    default:
        CHECK(r->str[r->len] == '\0' && (r->kind == REPLY_STR || r->err < 0));
        buf_addf(out, "%c%zu ", r->kind == REPLY_STR ? '$' : '!', r->len);
        buf_add(out, r->str, r->len);
        buf_addc(out, '\n');
        reply_i64(r);
        reply_u64(r);
    }
}

/* By those who know what a reply should be. */
static void use(const struct reply *r)
{
    struct alert_event *e = r->kind == REPLY_ARRAY && r->count >= 2 ? alert__event_read(r) : NULL;
    struct job_info *info = NULL;
    struct job_key key;

    free(e);
    CHECK(job_key_make(&key, "default", 7, "demo", 4) == 0);
    reply_field(r, "epoch");
    if (jobs__info_read(&key, r, &info) == 0) {
        jobs__info_read_ranks(info, r);
        jobs__info_read_producers(info, r);
    }
    job_info_free(&info);
}

static int read_all(const char *text, size_t len, size_t piece, struct buf *out)
{
    struct reply_reader *rd = reply_reader_new();
    struct reply_tree *tree = NULL;
    int err = 0;

    for (size_t at = 0; at < len && err >= 0; at += piece) {
        err = reply_reader_feed(rd, text + at, len - at < piece ? len - at : piece);
        while (err >= 0 && (err = reply_reader_next(rd, &tree)) == 1) {
            show(out, &tree->root, 0);
            use(&tree->root);
            reply_tree_free(&tree);
        }
    }
    reply_reader_free(&rd);
    return err;
}

/* Is there an array of 100,000 or more announced? */
static int is_huge(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        size_t digits = 1;

        while (text[i] == '*' && i + digits < len && strchr("+-0123456789", text[i + digits]))
            if (++digits > 6)
                return 1;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_INIT, pieces = BUF_INIT;
    const char *text = (const char *)data + 1;
    enum reply_fault fault;

    if (size < 2 || size > 4096)
        return 0;
    size--;
    if (is_huge(text, size))
        return 0;
    CHECK((read_all(text, size, size, &whole) < 0) == (read_all(text, size, 1 + data[0] % 40u, &pieces) < 0));
    CHECK(whole.len == pieces.len && (!whole.len || memcmp(whole.data, pieces.data, whole.len) == 0));
    CHECK(reply_fault(text, size, &fault) < 0);
    buf_release(&whole);
    buf_release(&pieces);
    return 0;
}

/*
 * tests/fuzz/spool_fuzz.c -- any bytes as a segment of a spool that an agent left, and as the card in front of it.
 *
 * A checksum stands before each record, so the bytes after the first are lines: each is written as a record that is whole, one
 * that begins with '!' as it is (its bytes in place of length, checksum and text); the first byte says from which number on.
 * What is read back is one of those records, under its number; what is appended behind them is read back too. After a 'D' the
 * first record is damaged while the spool is open; after a 'j' the bytes are the whole file. A card that is taken is written
 * and read back the same.
 * Covers  clients/cli/spool.c clients/cli/spool_meta.c
 */
#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "clients/cli/spool.h"
#include "clients/cli/spool_meta.h"
#include "job/record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS_MAX 64

static char dir[64];

static void forget_dir(void)
{
    rmdir(dir);
}

static void make_dir(void)
{
    if (!*dir) {
        snprintf(dir, sizeof dir, "%s/joblog-spool-fuzz-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
        atexit(forget_dir);
    }
    CHECK(mkdir(dir, 0700) == 0 || access(dir, W_OK) == 0);
}

static void put32(struct buf *b, uint32_t v)
{
    char le[4] = {(char)v, (char)(v >> 8), (char)(v >> 16), (char)(v >> 24)};

    CHECK(buf_add(b, le, 4) == 0);
}

static void write_file(const char *name, const struct buf *b)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK(io_replace_file(path, b->data ? b->data : "", b->len) == 0);
}

struct written {
    const char *text[RECORDS_MAX];
    size_t len[RECORDS_MAX];
    unsigned count; /* whole ones before the first that is not */
    int is_torn;
};

/* The lines of data as a segment that begins with number first. */
static void write_segment(uint64_t first, const char *at, const char *end, struct written *w)
{
    struct buf b = BUF_INIT;
    char name[64];
    unsigned n = 0;

    memset(w, 0, sizeof *w);
    CHECK(buf_adds(&b, "jlspool1") == 0);
    put32(&b, (uint32_t)first);
    put32(&b, (uint32_t)(first >> 32));
    for (; at < end && n < RECORDS_MAX; n++) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((nl ? nl : end) - at);

        if (len && *at == '!') {
            CHECK(buf_add(&b, at + 1, len - 1) == 0);
            w->is_torn = 1;
        } else {
            put32(&b, (uint32_t)len);
            put32(&b, (uint32_t)crc32(crc32(0, NULL, 0), (const unsigned char *)at, (unsigned)len));
            CHECK(buf_add(&b, at, len) == 0);
            if (!w->is_torn) {
                w->text[w->count] = at;
                w->len[w->count++] = len;
            }
        }
        at += len + 1;
    }
    snprintf(name, sizeof name, "%020" PRIu64 ".seg", first);
    write_file(name, &b);
    buf_release(&b);
}

/* Record by record: what stands there is what was written, as far as that was whole. */
static void read_back(struct spool *sp, uint64_t first, const struct written *w)
{
    struct buf out = BUF_INIT;

    for (unsigned i = 0; i < w->count; i++) {
        buf_clear(&out);
        CHECK(spool_next_held(sp, first + i) == first + i);
        CHECK(spool_read(sp, first + i, 1, 1, &out) == 1);
        CHECK(out.len == w->len[i] && (!out.len || memcmp(out.data, w->text[i], out.len) == 0));
    }
    buf_clear(&out);
    if (w->count)
        CHECK(spool_read(sp, first, RECORDS_MAX, 1 << 20, &out) >= w->count);
    CHECK(spool_last(sp) >= first + w->count - 1 || !w->count);
    buf_release(&out);
}

static void as_segment(uint64_t first, const char *at, const char *end)
{
    struct written w;
    struct spool *sp = NULL;
    struct buf out = BUF_INIT;
    uint64_t last;

    write_segment(first, at, end, &w);
    CHECK(spool_open(dir, SPOOL_BYTES_MIN, &sp) == 0);
    read_back(sp, first, &w);
    CHECK(spool_append(sp, "behind", 6) == 0);
    spool_flush(sp);
    last = spool_last(sp);
    CHECK(spool_read(sp, last, 1, 1, &out) == 1 && out.len == 6 && memcmp(out.data, "behind", 6) == 0);
    spool_close(&sp);
    CHECK(spool_open(dir, SPOOL_BYTES_MIN, &sp) == 0);
    CHECK(spool_last(sp) == last && !spool_dropped(sp));
    read_back(sp, first, &w);
    spool_free_upto(sp, last);
    spool_remove(&sp);
    buf_release(&out);
}

/* Damaged after it was opened: from that record on there is a hole, and it is counted. The bound is kept behind it. */
static void as_damaged(const char *at, const char *end)
{
    static char large[300 * 1024];
    struct written w;
    struct spool *sp = NULL;
    struct buf out = BUF_INIT;
    char path[128];
    int fd;

    write_segment(1, at, end, &w);
    CHECK(spool_open(dir, SPOOL_BYTES_MIN, &sp) == 0);
    if (w.count && w.len[0] && (unsigned char)*w.text[0] != 0xff) {
        snprintf(path, sizeof path, "%s/%020d.seg", dir, 1);
        fd = io_open(path, O_RDWR, 0);
        CHECK(fd >= 0 && io_pwrite_all(fd, "\xff", 1, 16 + 8) == 0);
        close(fd);
        CHECK(spool_read(sp, 1, 10, 1 << 20, &out) == 0 && out.len == 0 && spool_trouble(sp));
        CHECK(spool_dropped(sp) >= w.count && spool_next_held(sp, 1) > w.count);
    }
    for (int i = 0; i < 5; i++) {
        CHECK(spool_append(sp, large, sizeof large) == 0);
        spool_flush(sp);
        CHECK(spool_bytes(sp) <= SPOOL_BYTES_MIN + sizeof large);
    }
    CHECK(spool_next_held(sp, 1) > 1 && spool_dir(sp) && spool_append(sp, large, SPOOL_RECORD_BYTES_MAX + 1) == ERR_TOO_BIG);
    spool_free_upto(sp, spool_last(sp));
    CHECK(spool_read(sp, spool_last(sp), 1, 1, &out) == 1 && out.len == sizeof large);
    spool_remove(&sp);
    buf_release(&out);
}

/* A number so high that those behind it would wrap: not a segment of ours. */
static void as_highest(const char *at, const char *end)
{
    struct written w;
    struct spool *sp = NULL;
    char path[128];

    write_segment(UINT64_MAX, at, end, &w);
    CHECK(spool_open(dir, SPOOL_BYTES_MIN, &sp) == 0 && spool_last(sp) == 0);
    spool_close(&sp);
    snprintf(path, sizeof path, "%s/%020" PRIu64 ".seg", dir, UINT64_MAX);
    CHECK(unlink(path) == 0);
}

static void as_file(const char *text, size_t len)
{
    struct buf b = BUF_INIT, out = BUF_INIT;
    struct spool *sp = NULL;

    CHECK(buf_add(&b, text, len) == 0);
    write_file("00000000000000000001.seg", &b);
    CHECK(spool_open(dir, SPOOL_BYTES_MIN, &sp) == 0);
    for (uint64_t s = 1; (s = spool_next_held(sp, s)) <= spool_last(sp) && s; s++)
        CHECK(spool_read(sp, s, 1, 1, &out) <= 1);
    spool_remove(&sp);
    buf_release(&b);
    buf_release(&out);
}

static void as_card(const char *text, size_t len)
{
    static struct spool_meta m, again;
    struct buf b = BUF_INIT, place = BUF_INIT;
    char *first = NULL, *second = NULL, path[128];
    size_t first_len, second_len;

    CHECK(buf_add(&b, text, len) == 0);
    write_file("meta.json", &b);
    snprintf(path, sizeof path, "%s/meta.json", dir);
    if (spool_meta_read(dir, &m) == 0) {
        CHECK(m.agent.rank >= RECORD_RANK_NONE && m.agent.rank <= RECORD_RANK_MAX && m.agent.ranks >= 0);
        spool_place(&place, "/base", &m);
        CHECK(strncmp(place.data, "/base/", 6) == 0 && !strstr(place.data, "/../"));
        CHECK(spool_meta_write(dir, &m) == 0 && io_read_file(path, 1 << 20, &first, &first_len) == 0);
        CHECK(spool_meta_read(dir, &again) == 0);
        CHECK(spool_meta_write(dir, &again) == 0 && io_read_file(path, 1 << 20, &second, &second_len) == 0);
        CHECKF(first_len == second_len && memcmp(first, second, first_len) == 0, "%s%s", first, second);
    }
    free(first);
    free(second);
    spool_meta_remove(dir);
    buf_release(&b);
    buf_release(&place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    int fd;

    if (!size)
        return 0;
    make_dir();
    fd = spool_lock(dir);
    CHECK(fd >= 0 && spool_lock(dir) == ERR_BUSY);
    close(fd);
    if (*text == '{') {
        as_card(text, size);
    } else if (*text == 'j') {
        as_file(text, size);
        spool_meta_remove(dir);
    } else if (*text == 'D') {
        as_damaged(text + 1, text + size);
        spool_meta_remove(dir);
    } else if (*text == 'Y') {
        as_highest(text + 1, text + size);
        spool_meta_remove(dir);
    } else {
        as_segment(*text == 'Z' ? UINT64_C(1) << 62 : 1 + (uint64_t)(unsigned char)*text, text + 1, text + size);
        spool_meta_remove(dir);
    }
    return 0;
}

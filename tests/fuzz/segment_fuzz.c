/*
 * tests/fuzz/segment_fuzz.c -- any bytes as a segment file, as an index, and as search grams.
 *
 * A checksum stands before the index decoder; so the bytes are also given to it with length and CRC
 * made right, and to the gram decoder as they are. What is opened is read to the end. After a 'w' they are what is
 * written, verified and read back.
 * Covers  storage/segment_index.c storage/segment_read.c storage/segment_grams.c storage/segment_rebuild.c storage/segment_zstd.c
 */
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "base/utf8.h"
#include "job/record.h"
#include "storage/segment_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "00000000000000000101-00000000000000000190.jsonl.zst"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_to_the_end(struct segment *s)
{
    struct filter f;
    uint64_t next = 0;

    filter_init(&f);
    f.q_len = 6;
    memcpy(f.q, "quasar", 7);
    for (uint32_t i = 0; i < segment_entry_count(s); i++) {
        const struct segment_entry *e = segment_entry(s, i);
        struct frame *frame = NULL;
        struct frame_run *runs = NULL;
        uint32_t count = 0;

        CHECK(e->first_seq >= next && e->last_seq >= e->first_seq);
        next = e->last_seq + 1;
        segment_may_match(s, i, &f, "loss 0.", 7);
        if (segment_recv_runs(s, i, &runs, &count) >= 0 && count) {
            CHECK(runs[0].seq <= e->first_seq);
            frame_runs_recv_ns(runs, count, e->last_seq);
        }
        if (segment_read(s, i, &frame) >= 0) CHECK(frame_last_seq(frame) == e->last_seq);
        frame_unref(&frame);
        free(runs);
    }
}

static void as_file(const uint8_t *data, size_t size)
{
    struct segment *s = NULL;
    int fd = memfd_create("segment", MFD_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(write(fd, data, size) == (ssize_t)size);
    if (segment__open_fd(fd, NAME, &s) >= 0) read_to_the_end(s);
    segment_close(&s);
}

static void as_index(const uint8_t *data, size_t size)
{
    struct segment__index ix = {0};
    unsigned char *copy;

    if (size < 52) return;
    copy = must_malloc(size);
    memcpy(copy, data, size);
    memcpy(copy, "JLINDEX1", 8);
    segment__put32(copy + 8, (uint32_t)size);
    segment__put32(copy + size - 4, segment__crc(copy, size - 4));
    segment__index_decode(&ix, copy, size);
    segment__index_release(&ix);
    free(copy);
}

static void as_grams(const uint8_t *data, size_t size)
{
    struct segment__group g = {0};

    if (segment__grams_decode(&g, 0, 3, data, size) >= 0) segment__grams_mask(&g, "quasar", 6);
    free(g.rows);
}

/* Records whose messages are runs of data, a frame for each line of it. */
static uint64_t write_frames(struct segment_writer *w, const char *p, size_t size)
{
    struct buf raw = BUF_INIT;
    uint64_t seq = 101;

    for (const char *end = p + size; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        struct frame_summary sum;
        struct frame *f = NULL;

        buf_clear(&raw);
        frame_summary_init(&sum);
        while (p <= stop) {
            size_t n = (size_t)(stop - p) < 7 ? (size_t)(stop - p) : 7;
            struct record r = {.ts_us = 1764000000000000 + (int64_t)n, .rank = n & 1 ? (int32_t)n : RECORD_RANK_NONE,
                               .level = LEVEL_INFO, .msg = "quasar", .msg_len = n < 6 ? n : 6, .stream = "stdout",
                               .is_state = n == 5, .state = STATE_RUNNING};
            if (n == 7 && utf8_valid_prefix(p, n) == n) {
                r.msg = p;
                r.msg_len = n;
            }
            CHECK(record_write(&raw, &r) >= 0);
            frame_summary_add(&sum, r.ts_us, r.rank, r.level);
            p += n + 1;
        }
        CHECK(frame_number(seq, 1764000000000000 + (int64_t)seq, &sum, raw.data, raw.len, &f) >= 0);
        CHECK(segment_writer_add(w, f) >= 0);
        seq += sum.count;
        frame_unref(&f);
    }
    buf_release(&raw);
    return seq - 1;
}

/* What was written verifies, opens, and reads as it was. */
static void as_written(const char *data, size_t size)
{
    char dir[] = "/dev/shm/segment-fuzz-XXXXXX", path[200], name[SEGMENT_NAME_BYTES];
    struct segment_writer *w = NULL;
    struct segment *s = NULL;
    uint64_t last;

    if (!size || !mkdtemp(dir))
        return;
    CHECK(segment_writer_open(dir, 101, 1, &w) >= 0);
    last = write_frames(w, data, size);
    CHECK(segment_writer_commit(&w, name) >= 0);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK(segment_verify(path, 101, last) >= 0);
    CHECK(segment_open(path, &s) >= 0);
    CHECK(segment_first_seq(s) == 101 && segment_last_seq(s) == last && segment_data_bytes(s) < segment_file_bytes(s));
    read_to_the_end(s);
    segment__rest(s);
    CHECK(segment__memory_bytes(s) > 0);
    segment_close(&s);
    unlink(path);
    rmdir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && *data == 'w') {
        as_written((const char *)data + 1, size - 1);
        return 0;
    }
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    as_file(data, size);
    as_index(data, size);
    as_grams(data, size);
    return 0;
}

/*
 * tests/fuzz/segment_fuzz.c -- any bytes as a segment file, as an index, and as search grams.
 *
 * A checksum stands before the index decoder; so the bytes are also given to it with length and CRC
 * made right, and to the gram decoder as they are. What is opened is read to the end.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "storage/segment_int.h"

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
        uint64_t *seqs = NULL;
        int64_t *times = NULL;
        uint32_t count = 0;

        CHECK(e->first_seq >= next && e->last_seq >= e->first_seq);
        next = e->last_seq + 1;
        segment_may_match(s, i, &f, "loss 0.", 7);
        if (segment_recv_runs(s, i, &seqs, &times, &count) >= 0) CHECK(seqs[0] == e->first_seq);
        if (segment_read(s, i, &frame) >= 0) CHECK(frame_last_seq(frame) == e->last_seq);
        frame_unref(&frame);
        free(seqs);
        free(times);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    as_file(data, size);
    as_index(data, size);
    as_grams(data, size);
    return 0;
}

/*
 * storage/segment_read.c -- the reader of a segment: index first, then any frame by itself.
 *
 * The last bytes of the file say how long the seek table is; the table's last entry is our index;
 * the index says the rest. If any of that does not hold to the byte, the frames are walked instead
 * (storage/segment_rebuild.c). No length from the file is used before it was checked.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "storage/segment_int.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_ENTRY_BYTES 12
#define TABLE_FRAMES_MAX (SEGMENT_ENTRIES_MAX + SEGMENT_ENTRIES_MAX / SEGMENT_GROUP_ENTRIES + 2)

static int parse_digits(const char *s, uint64_t *ret)
{
    uint64_t v = 0;

    for (int i = 0; i < 20; i++) {
        if (s[i] < '0' || s[i] > '9') return ERR_INVALID;
        if (__builtin_mul_overflow(v, 10u, &v)
            || __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v)) return ERR_INVALID;
    }
    *ret = v;
    return 0;
}

int segment__parse_name(const char *name, uint64_t *ret_first, uint64_t *ret_last)
{
    uint64_t first, last;

    if (strlen(name) != 20 + 1 + 20 + sizeof ".jsonl.zst" - 1) return ERR_INVALID;
    if (parse_digits(name, &first) < 0 || name[20] != '-' || parse_digits(name + 21, &last) < 0)
        return ERR_INVALID;
    if (strcmp(name + 41, ".jsonl.zst") != 0) return ERR_INVALID;
    if (first == 0 || last < first || last == UINT64_MAX) return ERR_INVALID;
    *ret_first = first;
    *ret_last = last;
    return 0;
}

int segment__read_piece(const struct segment *s, uint64_t offset, size_t len,
                        unsigned char **ret_data)
{
    unsigned char *data;
    ssize_t got;

    if (offset > s->file_bytes || len > s->file_bytes - offset) return ERR_CORRUPT;
    data = malloc(len + 1);
    if (!data) return ERR_NOMEM;
    got = io_pread_all(s->fd, data, len, (off_t)offset);
    if (got != (ssize_t)len) {
        free(data);
        return got < 0 ? (int)got : ERR_CORRUPT;
    }
    *ret_data = data;
    return 0;
}

/* The whole seek table, from the end of the file. */
static int read_table(const struct segment *s, unsigned char **ret_table, size_t *ret_len)
{
    unsigned char *footer = NULL, *table = NULL;
    uint32_t count;
    size_t len;
    int err;

    if (s->file_bytes < segment__table_bytes(2)) return ERR_CORRUPT;
    err = segment__read_piece(s, s->file_bytes - SEGMENT_FOOTER_BYTES, SEGMENT_FOOTER_BYTES,
                              &footer);
    if (err < 0) return err;
    count = segment__get32(footer);
    err = segment__get32(footer + 5) == SEGMENT_MAGIC_FOOTER && footer[4] == 0x80 ? 0 : ERR_CORRUPT;
    free(footer);
    if (err < 0 || count < 2 || count > TABLE_FRAMES_MAX) return ERR_CORRUPT;
    len = segment__table_bytes(count);
    if (len > s->file_bytes) return ERR_CORRUPT;
    err = segment__read_piece(s, s->file_bytes - len, len, &table);
    if (err < 0) return err;
    if (segment__get32(table) != SEGMENT_MAGIC_TABLE
        || segment__get32(table + 4) != len - SEGMENT_SKIP_HEADER_BYTES) {
        free(table);
        return ERR_CORRUPT;
    }
    *ret_table = table;
    *ret_len = len;
    return 0;
}

/* The settled level out of the head of the index frame at offset. */
static int peek_index(const struct segment *s, uint64_t offset, uint32_t *ret_level)
{
    unsigned char *head = NULL;
    int err = segment__read_piece(s, offset, SEGMENT_SKIP_HEADER_BYTES + SEGMENT_INDEX_HEADER_BYTES, &head);

    if (err < 0) return err;
    err = segment__get32(head) == SEGMENT_MAGIC_INDEX ? 0 : ERR_CORRUPT;
    *ret_level = segment__get32(head + SEGMENT_SKIP_HEADER_BYTES + SEGMENT_INDEX_HEADER_BYTES - 4);
    free(head);
    return err;
}

/* Table and index, agreeing with each other and with the size of the file. */
static int read_index(struct segment *s)
{
    unsigned char *table = NULL, *frame = NULL;
    size_t table_len, frame_len;
    uint64_t end, first, last;
    int err = read_table(s, &table, &table_len);

    if (err < 0) return err;
    frame_len = segment__get32(table + table_len - SEGMENT_FOOTER_BYTES - TABLE_ENTRY_BYTES);
    err = ERR_CORRUPT;
    if (frame_len < SEGMENT_SKIP_HEADER_BYTES
        || frame_len > SEGMENT_INDEX_BYTES_MAX + SEGMENT_SKIP_HEADER_BYTES) goto out;
    if (frame_len > s->file_bytes - table_len) goto out;
    err = segment__read_piece(s, s->file_bytes - table_len - frame_len, frame_len, &frame);
    if (err < 0) goto out;
    err = ERR_CORRUPT;
    if (segment__get32(frame) != SEGMENT_MAGIC_INDEX) goto out;
    if (segment__get32(frame + 4) != frame_len - SEGMENT_SKIP_HEADER_BYTES) goto out;
    err = segment__index_decode(&s->ix, frame + SEGMENT_SKIP_HEADER_BYTES,
                                frame_len - SEGMENT_SKIP_HEADER_BYTES);
    if (err >= 0) err = segment__table_check(&s->ix, frame_len, table, table_len);
    if (err < 0) goto out;
    end = s->ix.data_bytes;
    for (uint32_t i = 0; i < s->ix.group_count; i++)
        end += (uint64_t)s->ix.groups[i].bytes + SEGMENT_SKIP_HEADER_BYTES;
    /* Joined files end in the table of their last part only: those are walked. */
    if (end + frame_len + table_len != s->file_bytes) err = ERR_CORRUPT;
    /* A name that promises other records: the walk says which of them are lost. */
    if (segment__parse_name(s->name, &first, &last) >= 0
        && (first != s->ix.first_seq || last != s->ix.last_seq))
        err = ERR_CORRUPT;
out:
    free(table);
    free(frame);
    return err;
}

int segment__peek_settled(int fd, uint32_t *ret_level)
{
    struct segment s = {.fd = fd};
    unsigned char *piece = NULL;
    struct stat st;
    uint64_t index_bytes = 0;
    size_t table_len = 0;
    int err;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0) return ERR_IO;
    s.file_bytes = (uint64_t)st.st_size;
    err = read_table(&s, &piece, &table_len);
    if (err < 0) return err;
    index_bytes = segment__get32(piece + table_len - SEGMENT_FOOTER_BYTES - TABLE_ENTRY_BYTES);
    free(piece);
    if (index_bytes < SEGMENT_SKIP_HEADER_BYTES || index_bytes > s.file_bytes - table_len) return ERR_CORRUPT;
    return peek_index(&s, s.file_bytes - table_len - index_bytes, ret_level);
}

int segment__open_fd(int fd, const char *name, struct segment **ret_segment)
{
    struct segment *s = must_calloc(1, sizeof *s);
    struct stat st;
    int err;

    s->fd = fd;
    buf_init(&s->packed, SEGMENT_PACKED_BYTES_MAX + 1);
    snprintf(s->name, sizeof s->name, "%s", name);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0) {
        segment_close(&s);
        return ERR_IO;
    }
    s->file_bytes = (uint64_t)st.st_size;
    err = segment__unpacker_new(&s->unpacker);
    if (err >= 0) err = read_index(s);
    if (err == ERR_CORRUPT) {
        segment__index_release(&s->ix);
        err = segment__rebuild(s);
        log_warn("storage", "segment without a valid index was read through",
                 "file=%s bytes=%" PRIu64 " first=%" PRIu64 " last=%" PRIu64, s->name,
                 s->file_bytes, s->ix.first_seq, s->ix.last_seq);
    }
    if (err < 0) {
        segment_close(&s);
        return err;
    }
    *ret_segment = s;
    return 0;
}

int segment_open(const char *path, struct segment **ret_segment)
{
    const char *slash = strrchr(path, '/');
    int fd = io_open(path, O_RDONLY | O_NONBLOCK, 0);

    if (fd < 0) return fd;
    return segment__open_fd(fd, slash ? slash + 1 : path, ret_segment);
}

void segment_close(struct segment **s)
{
    if (!*s) return;
    if ((*s)->fd >= 0) close((*s)->fd);
    segment__index_release(&(*s)->ix);
    segment__unpacker_free(&(*s)->unpacker);
    buf_release(&(*s)->packed);
    free(*s);
    *s = NULL;
}

void segment__rest(struct segment *s)
{
    segment__unpacker_free(&s->unpacker);
    buf_release(&s->packed);
    buf_init(&s->packed, SEGMENT_PACKED_BYTES_MAX + 1);
}

size_t segment__memory_bytes(const struct segment *s)
{
    const struct segment__index *ix = &s->ix;
    size_t bytes = sizeof *s;

    bytes += (size_t)ix->entry_cap * sizeof *ix->entries;
    bytes += (size_t)ix->rank_cap * sizeof *ix->ranks;
    bytes += (size_t)ix->run_cap * sizeof *ix->runs;
    bytes += (size_t)ix->group_cap * sizeof *ix->groups;
    for (uint32_t i = 0; i < ix->group_count; i++) {
        const struct segment__group *g = &ix->groups[i];

        if (g->rows) bytes += ((size_t)1 << g->slot_bits) * g->row_bytes;
    }
    return bytes;
}

uint64_t segment_first_seq(const struct segment *s)
{
    return s->ix.first_seq;
}

uint64_t segment_last_seq(const struct segment *s)
{
    return s->ix.last_seq;
}

uint32_t segment_settled_level(const struct segment *s)
{
    return s->ix.settled_level;
}

uint32_t segment_entry_count(const struct segment *s)
{
    return s->ix.entry_count;
}

const struct segment_entry *segment_entry(const struct segment *s, uint32_t i)
{
    CHECKF(i < s->ix.entry_count, "i=%u count=%u", i, s->ix.entry_count);
    return &s->ix.entries[i].pub;
}

uint64_t segment_data_bytes(const struct segment *s)
{
    return s->ix.data_bytes;
}

uint64_t segment_file_bytes(const struct segment *s)
{
    return s->file_bytes;
}

int segment__read_text(struct segment *s, uint32_t i, char **ret_text)
{
    const struct segment_entry *e = segment_entry(s, i);
    char *text;
    ssize_t got;
    int err;

    if (e->is_lost) return ERR_CORRUPT;
    if (!s->unpacker) {
        err = segment__unpacker_new(&s->unpacker);
        if (err < 0) return err;
    }
    buf_clear(&s->packed);
    err = buf_reserve(&s->packed, e->packed_bytes);
    if (err < 0) return err;
    got = io_pread_all(s->fd, s->packed.data, e->packed_bytes, (off_t)e->offset);
    if (got < 0) return (int)got;
    if ((size_t)got != e->packed_bytes) return ERR_CORRUPT;
    text = malloc((size_t)e->raw_bytes + 1);
    if (!text) return ERR_NOMEM;
    err = segment__unpack(s->unpacker, s->packed.data, e->packed_bytes, text, e->raw_bytes);
    if (err < 0) {
        free(text);
        return err;
    }
    text[e->raw_bytes] = '\0';
    *ret_text = text;
    return 0;
}

int segment_read(struct segment *s, uint32_t i, struct frame **ret_frame)
{
    const struct segment_entry *e = segment_entry(s, i);
    char *text = NULL;
    int err = segment__read_text(s, i, &text);

    if (err < 0) return err;
    err = frame_from_text(e->first_seq, e->recv_min_us, &e->sum, &text, e->raw_bytes, ret_frame);
    free(text);
    return err;
}

/* Where the first run of entry i began: entries are cut without regard to runs. */
static uint64_t run_start(const struct segment *s, uint32_t i)
{
    const struct segment__run *runs = s->ix.runs, *first = &runs[s->ix.entries[i].run_at];
    uint64_t seq = first->seq;

    while (i-- > 0) {
        const struct segment__entry *e = &s->ix.entries[i];
        const struct segment__run *last = &runs[e->run_at + e->run_count - 1];

        if (!e->run_count || last->recv_us != first->recv_us) break;
        seq = last->seq;
        if (e->run_count > 1) break;
    }
    return seq;
}

int segment_recv_runs(const struct segment *s, uint32_t i, struct frame_run **ret_runs,
                      uint32_t *ret_count)
{
    const struct segment__entry *e;
    struct frame_run *runs;

    CHECK(i < s->ix.entry_count);
    e = &s->ix.entries[i];
    *ret_runs = NULL;
    *ret_count = 0;
    if (!e->run_count) return 0;
    runs = malloc(e->run_count * sizeof *runs);
    if (!runs) return ERR_NOMEM;
    for (uint32_t k = 0; k < e->run_count; k++) {
        const struct segment__run *run = &s->ix.runs[e->run_at + k];

        runs[k] = (struct frame_run){run->seq, run->recv_us};
    }
    runs[0].seq = run_start(s, i);
    *ret_runs = runs;
    *ret_count = e->run_count;
    return 0;
}

/* Does what the records say agree with what the index says of them? crc goes on over their text. */
static int verify_entry(struct segment *s, uint32_t i, uint32_t *crc)
{
    const struct segment_entry *e = segment_entry(s, i);
    struct segment__entry seen = {0};
    char *text = NULL;
    int err = segment__read_text(s, i, &text);

    if (err < 0) return err;
    err = segment__summarise(text, e->raw_bytes, &seen);
    if (crc) *crc = segment__crc_on(*crc, text, e->raw_bytes);
    free(text);
    if (err < 0) return err;
    if (segment__get32((const unsigned char *)s->packed.data + e->packed_bytes - 4) !=
        s->ix.entries[i].checksum)
        return ERR_CORRUPT;
    if (seen.pub.first_seq != e->first_seq || seen.pub.last_seq != e->last_seq) return ERR_CORRUPT;
    if (seen.pub.sum.count != e->sum.count || seen.pub.sum.level_mask != e->sum.level_mask)
        return ERR_CORRUPT;
    if (seen.pub.sum.rank_lo != e->sum.rank_lo || seen.pub.sum.rank_hi != e->sum.rank_hi)
        return ERR_CORRUPT;
    if (seen.pub.sum.ts_min_us != e->sum.ts_min_us || seen.pub.sum.ts_max_us != e->sum.ts_max_us)
        return ERR_CORRUPT;
    return seen.pub.sum.is_state == e->sum.is_state ? 0 : ERR_CORRUPT;
}

int segment_verify(const char *path, uint64_t first_seq, uint64_t last_seq)
{
    return segment__verify(path, first_seq, last_seq, NULL);
}

int segment__verify(const char *path, uint64_t first_seq, uint64_t last_seq, uint32_t *ret_crc)
{
    struct segment *s = NULL;
    int err = segment_open(path, &s);

    if (ret_crc) *ret_crc = 0;
    if (err < 0) return err;
    /* What is in the page cache is what we wrote; ask for what the disk has. */
    (void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);
    if (s->is_rebuilt || s->ix.first_seq != first_seq || s->ix.last_seq != last_seq)
        err = ERR_CORRUPT;
    for (uint32_t i = 0; i < s->ix.entry_count && err >= 0; i++) err = verify_entry(s, i, ret_crc);
    for (uint32_t i = 0; i < s->ix.group_count && err >= 0; i++)
        if (!segment__load_group(s, i)) err = ERR_CORRUPT;
    segment_close(&s);
    return err < 0 ? err : 0;
}

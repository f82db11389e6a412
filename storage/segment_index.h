/*
 * storage/segment_index.h -- the index of a segment: in memory, and as bytes.
 *
 * Shared inside the room by writer, reader, rebuild and search; the byte layout is in
 * docs/format-archive.md.
 */
#ifndef STORAGE_SEGMENT_INDEX_H
#define STORAGE_SEGMENT_INDEX_H

#include "base/buf.h"
#include "storage/segment.h"

/* Limits. What a file claims beyond them is damage. */
#define SEGMENT_RAW_BYTES_MAX (FRAME_TEXT_BYTES_HARD_MAX + SEGMENT_FRAME_BYTES) /* a zstd frame */
#define SEGMENT_PACKED_BYTES_MAX (SEGMENT_RAW_BYTES_MAX + SEGMENT_RAW_BYTES_MAX / 128 + 1024)
#define SEGMENT_WINDOW_BYTES_MAX (8u * 1024 * 1024) /* RFC 9659 */
#define SEGMENT_INDEX_BYTES_MAX (64u * 1024 * 1024)
#define SEGMENT_ENTRIES_MAX (1u << 22)
#define SEGMENT_RANKS_MAX 32   /* ranks named one by one for a frame; more: only lo and hi */
#define SEGMENT_LEVEL_MAX 19   /* its window is 8 MiB; higher levels need more to read */
#define SEGMENT_GROUP_ENTRIES 64 /* frames that share one gram matrix */
#define SEGMENT_GRAM_BITS_MAX 16
#define SEGMENT_GRAM_BITS_MIN 10

#define SEGMENT_MAGIC_DATA 0xFD2FB528u
#define SEGMENT_MAGIC_INDEX 0x184D2A50u
#define SEGMENT_MAGIC_GRAMS 0x184D2A51u
#define SEGMENT_MAGIC_TABLE 0x184D2A5Eu
#define SEGMENT_MAGIC_FOOTER 0x8F92EAB1u
#define SEGMENT_SKIP_HEADER_BYTES 8
#define SEGMENT_INDEX_HEADER_BYTES 48 /* the last four: settled level */
#define SEGMENT_FOOTER_BYTES 9

enum { ENTRY_HAS_STATE = 1, ENTRY_HAS_GAP = 2, ENTRY_HAS_RANKS = 4 };

struct segment__run {
    uint64_t seq; /* from here on */
    int64_t recv_us;
};

struct segment__entry {
    struct segment_entry pub;
    uint32_t flags;
    uint32_t checksum; /* low 32 bits of XXH64: the last four bytes of the zstd frame */
    uint32_t rank_at, rank_count;
    uint32_t run_at, run_count;
};

/* A gram matrix: one skippable frame for up to SEGMENT_GROUP_ENTRIES entries. */
struct segment__group {
    uint64_t offset;      /* of its payload in the file */
    uint32_t bytes, crc;  /* of the payload */
    unsigned char *rows;  /* loaded on first use: a little-endian word per slot, a bit per entry */
    unsigned slot_bits, row_bytes;
    int is_bad;           /* did not load: skips nothing */
};

struct segment__index {
    uint64_t first_seq, last_seq;
    uint64_t data_bytes; /* of all zstd frames with records */
    uint32_t settled_level; /* zstd level it was written anew at; 0: as it was first written */
    struct segment__entry *entries;
    uint32_t entry_count, entry_cap;
    int32_t *ranks;
    uint32_t rank_count, rank_cap;
    struct segment__run *runs;
    uint32_t run_count, run_cap;
    struct segment__group *groups;
    uint32_t group_count, group_cap;
};

/* segment_index.c: the index as an object and as bytes. Adders return ERR_NOMEM, ERR_LIMIT. */
void segment__index_release(struct segment__index *ix);
int segment__index_add_entry(struct segment__index *ix, const struct segment__entry *e);
int segment__index_add_ranks(struct segment__index *ix, const int32_t *ranks, uint32_t count);
int segment__index_add_run(struct segment__index *ix, uint64_t seq, int64_t recv_us);
int segment__index_add_group(struct segment__index *ix, const struct segment__group *g);
/* Append the skippable index frame. Groups' offsets follow from their sizes. */
int segment__index_encode(const struct segment__index *ix, struct buf *out);
/* payload of an index frame into ix (zeroed). ERR_CORRUPT; the caller releases in any case. */
int segment__index_decode(struct segment__index *ix, const unsigned char *payload, size_t len);
/* Append the seek table: records, gram frames, index frame of index_frame_bytes. */
int segment__table_encode(const struct segment__index *ix, size_t index_frame_bytes,
                          struct buf *out);
/* How many bytes the table takes. */
size_t segment__table_bytes(uint32_t frame_count);
/* Does the table (whole frame) say what ix says? Takes the frames' checksums out of it.
 * ERR_CORRUPT. */
int segment__table_check(struct segment__index *ix, size_t index_frame_bytes,
                         const unsigned char *table, size_t len);

static inline void segment__put32(unsigned char *p, uint32_t v)
{
    p[0] = (unsigned char)v, p[1] = (unsigned char)(v >> 8);
    p[2] = (unsigned char)(v >> 16), p[3] = (unsigned char)(v >> 24);
}
static inline uint32_t segment__get32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline void segment__put64(unsigned char *p, uint64_t v)
{
    segment__put32(p, (uint32_t)v), segment__put32(p + 4, (uint32_t)(v >> 32));
}
static inline uint64_t segment__get64(const unsigned char *p)
{
    return segment__get32(p) | (uint64_t)segment__get32(p + 4) << 32;
}
uint32_t segment__crc(const void *data, size_t len);
/* The same going on after data of this crc. */
uint32_t segment__crc_on(uint32_t crc, const void *data, size_t len);

#endif

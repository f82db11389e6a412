/*
 * storage/segment_int.h -- what the files of the segment share: the gram filter, the zstd door, the
 * reader's parts.
 */
#ifndef STORAGE_SEGMENT_INT_H
#define STORAGE_SEGMENT_INT_H

#include "storage/segment_index.h"

#include <sys/types.h>

/* segment_grams.c: which three-byte pieces occur in which frame. */
struct segment__grams;
struct segment__grams *segment__grams_new(void);
void segment__grams_free(struct segment__grams **g);
void segment__grams_add(struct segment__grams *g, const char *text, size_t len);
/* The frame is closed; a group that is full becomes a skippable frame in blobs and a group in
 * ix. */
int segment__grams_close_entry(struct segment__grams *g, struct segment__index *ix,
                               struct buf *blobs);
int segment__grams_finish(struct segment__grams *g, struct segment__index *ix, struct buf *blobs);
/* The payload of a gram frame into grp->rows. ERR_CORRUPT. */
int segment__grams_decode(struct segment__group *grp, uint32_t first_entry, uint32_t entry_count,
                          const unsigned char *payload, size_t len);
/* Bit k: entry k of the group may hold literal. All ones for fewer than three bytes. */
uint64_t segment__grams_mask(const struct segment__group *grp, const char *literal, size_t len);

/* segment_zstd.c: the door. */
struct segment__packer;
struct segment__unpacker;
int segment__packer_new(int level, struct segment__packer **ret_packer);
void segment__packer_free(struct segment__packer **p);
/* Append one zstd frame with content size and checksum. */
int segment__pack(struct segment__packer *p, const void *data, size_t len, struct buf *out);
int segment__unpacker_new(struct segment__unpacker **ret_unpacker);
void segment__unpacker_free(struct segment__unpacker **u);
/* packed is one frame, with a checksum, of exactly len content bytes. ERR_CORRUPT. */
int segment__unpack(struct segment__unpacker *u, const void *packed, size_t packed_len, void *data,
                    size_t len);
/* How many bytes the zstd frame at data takes and its content: ERR_CORRUPT when it is none (or
 * has no checksum, no content size, or claims more than SEGMENT_RAW_BYTES_MAX), ERR_LIMIT when
 * more than len bytes are needed to say. */
int segment__measure(const void *data, size_t len, size_t *ret_packed, size_t *ret_content);

/* segment_read.c, segment_rebuild.c */
struct segment {
    int fd;
    uint64_t file_bytes;
    struct segment__index ix;
    struct segment__unpacker *unpacker;
    struct buf packed; /* scratch */
    int is_rebuilt;    /* the index was lost and made again from the records */
    char name[SEGMENT_NAME_BYTES];
};
/* A segment of an open file (taken, closed on error too). name is its file name. */
int segment__open_fd(int fd, const char *name, struct segment **ret_segment);
/* The settled level by three short reads, believed without a check: for looking through many. ERR_CORRUPT. */
int segment__peek_settled(int fd, uint32_t *ret_level);
/* segment_verify(), and the CRC-32 of all the text. */
int segment__verify(const char *path, uint64_t first_seq, uint64_t last_seq, uint32_t *ret_crc);
/* Exactly len bytes of the file at offset, malloc'd. ERR_CORRUPT when there are not so many. */
int segment__read_piece(const struct segment *s, uint64_t offset, size_t len,
                        unsigned char **ret_data);
/* The matrix of a group, read on first use; 0 when it cannot be had. */
int segment__load_group(const struct segment *s, uint32_t group);
/* After segment_may_match: might a record in the text of entry i pass? The same hints. */
int segment__text_may_match(const struct segment *s, uint32_t i, const char *text,
                            const struct filter *f, const char *literal, size_t literal_len);
/* Decompressed text of entry i (malloc'd, raw_bytes long, NUL after). ERR_CORRUPT, ERR_IO,
 * ERR_NOMEM. */
int segment__read_text(struct segment *s, uint32_t i, char **ret_text);
/* Give back what a resting segment does not need; and what it holds then. */
void segment__rest(struct segment *s);
size_t segment__memory_bytes(const struct segment *s);
/* Fill s->ix from the frames themselves. ERR_CORRUPT when there is not one. */
int segment__rebuild(struct segment *s);
/* Note one parsed record in an entry being built: summary, flags. */
struct record_view;
void segment__entry_note(struct segment__entry *e, const struct record_view *v);

/* Sequence, summary and flags of text, lines of numbered records. ERR_CORRUPT: not canonical,
 * not in a row. */
int segment__summarise(const char *text, size_t len, struct segment__entry *e);

/* First and last out of a file name. ERR_INVALID. */
int segment__parse_name(const char *name, uint64_t *ret_first, uint64_t *ret_last);

/* segment_write.c: the set of ranks of a frame while it is small. */
struct segment__ranks {
    int32_t ranks[SEGMENT_RANKS_MAX]; /* ascending */
    uint32_t count;
    int is_over;
};
void segment__ranks_add(struct segment__ranks *r, int32_t rank);

#endif

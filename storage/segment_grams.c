/*
 * storage/segment_grams.c -- which three-byte pieces of messages occur in which frame of a segment.
 *
 * Every three bytes of every msg (unescaped, ASCII letters folded to lower case) set one of 65,536
 * bits of the frame. Frames of one log hold nearly the same pieces, so the bitmaps of 64 frames are
 * turned on their side, a row of 64 bits for each slot, and packed with zstd: rows of all zeros and
 * all ones vanish and a frame costs 0.5-1 KB, where the same bits stored plainly take 8 KB. A
 * literal is looked up by AND over its rows: one word says which of the 64 frames may hold it.
 *
 *     payload  "JLGRAMS1" | u32 first entry | u32 entries | u8 slot bits | u8 row bytes | u16 0
 *              | zstd frame of the rows
 *
 * Small frames get fewer slots (at least eight a piece), so that the filter stays below the data.
 *
 * Promises   Never a false "no". Folding makes it serve both kinds of case.
 * Known      Text that is not ASCII is folded by no case rule, like job/filter.h.
 */
#include "storage/segment_int.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define GRAM_BYTES 3
#define GRAM_LEVEL 9 /* zstd level of the matrix: it is small */
#define GRAM_SLOTS_PER_PIECE 8
#define BITMAP_BYTES ((1u << SEGMENT_GRAM_BITS_MAX) / 8)
#define HEADER_BYTES 20

static const char GRAM_MAGIC[8] = {'J', 'L', 'G', 'R', 'A', 'M', 'S', '1'};

struct segment__grams {
    unsigned char *maps; /* SEGMENT_GROUP_ENTRIES bitmaps */
    uint32_t entry_count; /* closed in this group */
    uint32_t first_entry; /* of this group */
};

struct segment__grams *segment__grams_new(void)
{
    struct segment__grams *g = must_calloc(1, sizeof *g);

    g->maps = must_calloc(SEGMENT_GROUP_ENTRIES, BITMAP_BYTES);
    return g;
}

void segment__grams_free(struct segment__grams **g)
{
    if (!*g) return;
    free((*g)->maps);
    free(*g);
    *g = NULL;
}

static inline uint32_t fold(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c + 32u : c;
}

/* Multiplicative hash of 24 bits; the top bits are the slot, so fewer slots are a shift. */
static inline uint32_t slot_of(uint32_t gram)
{
    return (gram * 0x9E3779B1u) >> (32 - SEGMENT_GRAM_BITS_MAX);
}

void segment__grams_add(struct segment__grams *g, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned char *map = g->maps + (size_t)g->entry_count * BITMAP_BYTES;
    uint32_t gram;

    if (len < GRAM_BYTES) return;
    gram = fold(p[0]) << 8 | fold(p[1]);
    for (size_t i = 2; i < len; i++) {
        uint32_t slot;

        gram = (gram << 8 | fold(p[i])) & 0xffffff;
        slot = slot_of(gram);
        map[slot >> 3] |= (unsigned char)(1u << (slot & 7));
    }
}

/* Slots for the fullest bitmap of the group. */
static unsigned choose_bits(const struct segment__grams *g)
{
    uint32_t most = 0;
    unsigned bits = SEGMENT_GRAM_BITS_MIN;

    for (uint32_t k = 0; k < g->entry_count; k++) {
        const unsigned char *map = g->maps + (size_t)k * BITMAP_BYTES;
        uint32_t set = 0;

        for (size_t i = 0; i < BITMAP_BYTES; i += 8) {
            uint64_t word;

            memcpy(&word, map + i, 8);
            set += (uint32_t)__builtin_popcountll(word);
        }
        if (set > most) most = set;
    }
    while (bits < SEGMENT_GRAM_BITS_MAX && (1u << bits) < most * GRAM_SLOTS_PER_PIECE) bits++;
    return bits;
}

static unsigned row_bytes_for(uint32_t entry_count)
{
    return entry_count <= 8 ? 1 : entry_count <= 16 ? 2 : entry_count <= 32 ? 4 : 8;
}

static void transpose(const struct segment__grams *g, unsigned bits, unsigned row_bytes,
                      unsigned char *rows)
{
    unsigned shift = SEGMENT_GRAM_BITS_MAX - bits;

    for (uint32_t k = 0; k < g->entry_count; k++) {
        const unsigned char *map = g->maps + (size_t)k * BITMAP_BYTES;

        for (uint32_t byte = 0; byte < BITMAP_BYTES; byte++) {
            if (!map[byte]) continue;
            for (uint32_t bit = 0; bit < 8; bit++) {
                if (map[byte] >> bit & 1)
                    rows[((byte * 8 + bit) >> shift) * row_bytes + k / 8] |=
                        (unsigned char)(1u << (k & 7));
            }
        }
    }
}

int segment__grams_finish(struct segment__grams *g, struct segment__index *ix, struct buf *blobs)
{
    struct segment__packer *packer = NULL;
    struct segment__group group = {0};
    unsigned char *rows = NULL, *frame, header[SEGMENT_SKIP_HEADER_BYTES + HEADER_BYTES] = {0};
    size_t at = blobs->len, rows_bytes;
    unsigned bits, row_bytes;
    int err;

    if (g->entry_count == 0) return 0;
    bits = choose_bits(g);
    row_bytes = row_bytes_for(g->entry_count);
    rows_bytes = ((size_t)1 << bits) * row_bytes;
    rows = must_calloc(1, rows_bytes);
    transpose(g, bits, row_bytes, rows);
    memcpy(header + 8, GRAM_MAGIC, 8);
    segment__put32(header + 16, g->first_entry);
    segment__put32(header + 20, g->entry_count);
    header[24] = (unsigned char)bits;
    header[25] = (unsigned char)row_bytes;
    err = buf_add(blobs, header, sizeof header);
    if (err >= 0) err = segment__packer_new(GRAM_LEVEL, &packer);
    if (err >= 0) err = segment__pack(packer, rows, rows_bytes, blobs);
    if (err < 0) goto out;
    frame = (unsigned char *)blobs->data + at;
    group.bytes = (uint32_t)(blobs->len - at - SEGMENT_SKIP_HEADER_BYTES);
    segment__put32(frame, SEGMENT_MAGIC_GRAMS);
    segment__put32(frame + 4, group.bytes);
    group.crc = segment__crc(frame + SEGMENT_SKIP_HEADER_BYTES, group.bytes);
    err = segment__index_add_group(ix, &group);
    g->first_entry += g->entry_count;
    g->entry_count = 0;
    memset(g->maps, 0, (size_t)SEGMENT_GROUP_ENTRIES * BITMAP_BYTES);
out: /* on an error the writer gives the whole segment up */
    segment__packer_free(&packer);
    free(rows);
    return err;
}

int segment__grams_close_entry(struct segment__grams *g, struct segment__index *ix,
                               struct buf *blobs)
{
    CHECK(g->entry_count < SEGMENT_GROUP_ENTRIES);
    g->entry_count++;
    return g->entry_count == SEGMENT_GROUP_ENTRIES ? segment__grams_finish(g, ix, blobs) : 0;
}

int segment__grams_decode(struct segment__group *grp, uint32_t first_entry, uint32_t entry_count,
                          const unsigned char *payload, size_t len)
{
    struct segment__unpacker *u = NULL;
    unsigned bits, row_bytes;
    size_t rows_bytes;
    int err;

    if (len < HEADER_BYTES || memcmp(payload, GRAM_MAGIC, 8) != 0) return ERR_CORRUPT;
    bits = payload[16];
    row_bytes = payload[17];
    if (segment__get32(payload + 8) != first_entry || segment__get32(payload + 12) != entry_count)
        return ERR_CORRUPT;
    if (bits < SEGMENT_GRAM_BITS_MIN || bits > SEGMENT_GRAM_BITS_MAX) return ERR_CORRUPT;
    if (row_bytes != row_bytes_for(entry_count)) return ERR_CORRUPT;
    rows_bytes = ((size_t)1 << bits) * row_bytes;
    grp->rows = malloc(rows_bytes);
    if (!grp->rows) return ERR_NOMEM;
    err = segment__unpacker_new(&u);
    if (err >= 0)
        err = segment__unpack(u, payload + HEADER_BYTES, len - HEADER_BYTES, grp->rows, rows_bytes);
    segment__unpacker_free(&u);
    if (err < 0) {
        free(grp->rows);
        grp->rows = NULL;
        return err;
    }
    grp->slot_bits = bits;
    grp->row_bytes = row_bytes;
    return 0;
}

uint64_t segment__grams_mask(const struct segment__group *grp, const char *literal, size_t len)
{
    const unsigned char *p = (const unsigned char *)literal;
    unsigned shift = SEGMENT_GRAM_BITS_MAX - grp->slot_bits;
    uint64_t mask = UINT64_MAX;
    uint32_t gram;

    if (len < GRAM_BYTES) return mask;
    gram = fold(p[0]) << 8 | fold(p[1]);
    for (size_t i = 2; i < len && mask; i++) {
        const unsigned char *row;
        uint64_t word = 0;

        gram = (gram << 8 | fold(p[i])) & 0xffffff;
        row = grp->rows + (size_t)(slot_of(gram) >> shift) * grp->row_bytes;
        for (unsigned b = 0; b < grp->row_bytes; b++) word |= (uint64_t)row[b] << (8 * b);
        mask &= word;
    }
    return mask;
}

/*
 * storage/segment_index.c -- the index of a segment: in memory, as bytes, and zstd's seek table.
 *
 * payload of the index frame (little-endian; v = LEB128 varint, z = zigzag varint):
 *     "JLINDEX1" | u32 payload bytes | u32 entries | u64 first seq | u64 last seq | u64 data bytes
 *     | u32 groups | u32 settled level | entries | groups | u32 CRC-32 of all before
 *     entry  v packed, v raw, v count, v level mask, v flags, z rank lo, v rank hi - lo,
 *            [flag 4: v ranks, v first rank - rank lo, v step …], z ts min - previous ts min,
 *            v ts max - ts min, v runs, (v seq step, z recv step) …
 *     group  v payload bytes, u32 CRC-32
 * Offsets and first seqs are sums and are not stored. Every claim is checked when it is read.
 */
#include "storage/segment_int.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define HEADER_BYTES SEGMENT_INDEX_HEADER_BYTES
#define ENTRY_BYTES_MIN 11 /* one byte a varint */
#define TABLE_ENTRY_BYTES 12
#define TABLE_CHECKSUM_FLAG 0x80
#define EMPTY_CHECKSUM 0x51D8E999u /* low 32 bits of XXH64 of nothing */

static const char INDEX_MAGIC[8] = {'J', 'L', 'I', 'N', 'D', 'E', 'X', '1'};

uint32_t segment__crc_on(uint32_t crc, const void *data, size_t len)
{
    return (uint32_t)crc32_z(crc, data, len);
}

uint32_t segment__crc(const void *data, size_t len)
{
    return segment__crc_on(0, data, len);
}

void segment__index_release(struct segment__index *ix)
{
    for (uint32_t i = 0; i < ix->group_count; i++) free(ix->groups[i].rows);
    free(ix->entries);
    free(ix->ranks);
    free(ix->runs);
    free(ix->groups);
    memset(ix, 0, sizeof *ix);
}

/* Room for need items in all. */
static int grow(void **items, uint32_t *cap, uint64_t need, size_t item_bytes)
{
    uint64_t want = *cap ? *cap : 16;
    void *more;

    if (need <= *cap) return 0;
    while (want < need) want *= 2;
    if (want > UINT32_MAX) return ERR_LIMIT;
    more = realloc(*items, want * item_bytes);
    if (!more) return ERR_NOMEM;
    *items = more;
    *cap = (uint32_t)want;
    return 0;
}

int segment__index_add_entry(struct segment__index *ix, const struct segment__entry *e)
{
    int err;

    if (ix->entry_count >= SEGMENT_ENTRIES_MAX) return ERR_LIMIT;
    err = grow((void **)&ix->entries, &ix->entry_cap, ix->entry_count + 1ull, sizeof *ix->entries);
    if (err < 0) return err;
    ix->entries[ix->entry_count++] = *e;
    return 0;
}

int segment__index_add_ranks(struct segment__index *ix, const int32_t *ranks, uint32_t count)
{
    int err = grow((void **)&ix->ranks, &ix->rank_cap, (uint64_t)ix->rank_count + count,
                   sizeof *ix->ranks);

    if (err < 0) return err;
    if (count) memcpy(ix->ranks + ix->rank_count, ranks, count * sizeof *ranks);
    ix->rank_count += count;
    return 0;
}

int segment__index_add_run(struct segment__index *ix, uint64_t seq, int64_t recv_us)
{
    int err = grow((void **)&ix->runs, &ix->run_cap, ix->run_count + 1ull, sizeof *ix->runs);

    if (err < 0) return err;
    ix->runs[ix->run_count++] = (struct segment__run){seq, recv_us};
    return 0;
}

int segment__index_add_group(struct segment__index *ix, const struct segment__group *g)
{
    int err = grow((void **)&ix->groups, &ix->group_cap, ix->group_count + 1ull,
                   sizeof *ix->groups);

    if (err < 0) return err;
    ix->groups[ix->group_count++] = *g;
    return 0;
}

/* ---- writing ---- */

static int put_varint(struct buf *out, uint64_t v)
{
    unsigned char bytes[10];
    size_t n = 0;

    while (v >= 0x80) bytes[n++] = (unsigned char)(v | 0x80), v >>= 7;
    bytes[n++] = (unsigned char)v;
    return buf_add(out, bytes, n);
}

static int put_zigzag(struct buf *out, int64_t v)
{
    return put_varint(out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static int64_t minus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int put_entry(const struct segment__index *ix, uint32_t i, int64_t *recv_us, struct buf *out)
{
    const struct segment__entry *e = &ix->entries[i];
    const struct frame_summary *s = &e->pub.sum;
    int64_t ts_before = i ? ix->entries[i - 1].pub.sum.ts_min_us : 0;
    uint64_t seq = e->pub.first_seq;
    int err = 0;

    err |= put_varint(out, e->pub.packed_bytes);
    err |= put_varint(out, e->pub.raw_bytes);
    err |= put_varint(out, s->count);
    err |= put_varint(out, s->level_mask);
    err |= put_varint(out, e->flags);
    err |= put_zigzag(out, s->rank_lo);
    err |= put_varint(out, (uint64_t)((int64_t)s->rank_hi - s->rank_lo));
    if (e->flags & ENTRY_HAS_RANKS) {
        int32_t before = s->rank_lo;

        err |= put_varint(out, e->rank_count);
        for (uint32_t k = 0; k < e->rank_count; k++) {
            int32_t rank = ix->ranks[e->rank_at + k];

            err |= put_varint(out, (uint64_t)((int64_t)rank - before));
            before = rank;
        }
    }
    err |= put_zigzag(out, minus(s->ts_min_us, ts_before));
    err |= put_varint(out, (uint64_t)minus(s->ts_max_us, s->ts_min_us));
    err |= put_varint(out, e->run_count);
    for (uint32_t k = 0; k < e->run_count; k++) {
        const struct segment__run *run = &ix->runs[e->run_at + k];

        err |= put_varint(out, run->seq - seq);
        err |= put_zigzag(out, minus(run->recv_us, *recv_us));
        seq = run->seq;
        *recv_us = run->recv_us;
    }
    return err < 0 ? ERR_NOMEM : 0;
}

int segment__index_encode(const struct segment__index *ix, struct buf *out)
{
    unsigned char header[SEGMENT_SKIP_HEADER_BYTES + HEADER_BYTES] = {0}, crc[4], *frame;
    size_t at = out->len, payload;
    int64_t recv_us = 0;
    int err = buf_add(out, header, sizeof header);

    for (uint32_t i = 0; i < ix->entry_count && err >= 0; i++)
        err = put_entry(ix, i, &recv_us, out);
    for (uint32_t i = 0; i < ix->group_count && err >= 0; i++) {
        segment__put32(crc, ix->groups[i].crc);
        err = put_varint(out, ix->groups[i].bytes);
        if (err >= 0) err = buf_add(out, crc, 4);
    }
    if (err < 0) return err;
    payload = out->len - at - SEGMENT_SKIP_HEADER_BYTES + 4;
    if (payload > SEGMENT_INDEX_BYTES_MAX) return ERR_LIMIT;
    frame = (unsigned char *)out->data + at;
    segment__put32(frame, SEGMENT_MAGIC_INDEX);
    segment__put32(frame + 4, (uint32_t)payload);
    memcpy(frame + 8, INDEX_MAGIC, 8);
    segment__put32(frame + 16, (uint32_t)payload);
    segment__put32(frame + 20, ix->entry_count);
    segment__put64(frame + 24, ix->first_seq);
    segment__put64(frame + 32, ix->last_seq);
    segment__put64(frame + 40, ix->data_bytes);
    segment__put32(frame + 48, ix->group_count);
    segment__put32(frame + 52, ix->settled_level);
    segment__put32(crc, segment__crc(frame + SEGMENT_SKIP_HEADER_BYTES, payload - 4));
    return buf_add(out, crc, 4);
}

/* ---- reading ---- */

struct cut {
    const unsigned char *p, *end;
    int is_bad; /* sticky: ran out, or overlong */
};

static uint64_t get_varint(struct cut *c)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char byte;

        if (c->p >= c->end) break;
        byte = *c->p++;
        if (shift == 63 && byte > 1) break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return v;
    }
    c->is_bad = 1;
    return 0;
}

static uint64_t get_capped(struct cut *c, uint64_t max)
{
    uint64_t v = get_varint(c);

    if (v > max) c->is_bad = 1;
    return c->is_bad ? 0 : v;
}

static int64_t get_zigzag(struct cut *c)
{
    uint64_t v = get_varint(c);

    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int get_ranks(struct segment__index *ix, struct segment__entry *e, struct cut *c)
{
    int32_t ranks[SEGMENT_RANKS_MAX];
    int64_t rank = e->pub.sum.rank_lo;
    uint32_t count = (uint32_t)get_capped(c, SEGMENT_RANKS_MAX);

    for (uint32_t k = 0; k < count && !c->is_bad; k++) {
        rank += (int64_t)get_capped(c, RECORD_RANK_MAX + 1);
        if (rank > e->pub.sum.rank_hi) c->is_bad = 1;
        ranks[k] = (int32_t)rank;
    }
    if (c->is_bad) return ERR_CORRUPT;
    e->rank_at = ix->rank_count;
    e->rank_count = count;
    return segment__index_add_ranks(ix, ranks, count);
}

static int get_runs(struct segment__index *ix, struct segment__entry *e, int64_t *recv_us,
                    struct cut *c)
{
    uint64_t seq = e->pub.first_seq, last = seq + e->pub.sum.count - 1;
    uint32_t count = (uint32_t)get_capped(c, e->pub.sum.count);

    e->run_at = ix->run_count;
    for (uint32_t k = 0; k < count && !c->is_bad; k++) {
        uint64_t step = get_capped(c, last - seq);
        int err;

        *recv_us = plus(*recv_us, get_zigzag(c));
        if (c->is_bad || (k == 0) != (step == 0)) return ERR_CORRUPT;
        seq += step;
        err = segment__index_add_run(ix, seq, *recv_us);
        if (err < 0) return err;
        if (k == 0 || *recv_us < e->pub.recv_min_us) e->pub.recv_min_us = *recv_us;
        if (k == 0 || *recv_us > e->pub.recv_max_us) e->pub.recv_max_us = *recv_us;
        e->run_count++;
    }
    return c->is_bad ? ERR_CORRUPT : 0;
}

/* The next entry; offset and first seq are where the one before ended. */
static int get_entry(struct segment__index *ix, uint64_t offset, uint64_t first_seq,
                     int64_t *recv_us, struct cut *c)
{
    struct segment__entry e = {0};
    struct frame_summary *s = &e.pub.sum;
    int64_t rank_lo, ts_before = ix->entry_count
        ? ix->entries[ix->entry_count - 1].pub.sum.ts_min_us : 0;
    int err;

    e.pub.offset = offset;
    e.pub.first_seq = first_seq;
    e.pub.packed_bytes = (uint32_t)get_capped(c, SEGMENT_PACKED_BYTES_MAX);
    e.pub.raw_bytes = (uint32_t)get_capped(c, SEGMENT_RAW_BYTES_MAX);
    s->count = (uint32_t)get_capped(c, e.pub.raw_bytes);
    s->level_mask = (uint32_t)get_capped(c, UINT32_MAX);
    e.flags = (uint32_t)get_capped(c, ENTRY_HAS_STATE | ENTRY_HAS_GAP | ENTRY_HAS_RANKS);
    rank_lo = get_zigzag(c);
    if (c->is_bad || rank_lo < RECORD_RANK_NONE || rank_lo > RECORD_RANK_MAX) return ERR_CORRUPT;
    s->rank_lo = (int32_t)rank_lo;
    s->rank_hi = s->rank_lo + (int32_t)get_capped(c, (uint64_t)(RECORD_RANK_MAX - rank_lo));
    s->is_state = e.flags & (ENTRY_HAS_STATE | ENTRY_HAS_GAP) ? 1 : 0;
    if (!e.pub.packed_bytes || !e.pub.raw_bytes || !s->count) return ERR_CORRUPT;
    if (s->count - 1 > UINT64_MAX - first_seq - 1) return ERR_CORRUPT;
    if (e.flags & ENTRY_HAS_RANKS) {
        err = get_ranks(ix, &e, c);
        if (err < 0) return err;
    }
    s->ts_min_us = plus(ts_before, get_zigzag(c));
    s->ts_max_us = plus(s->ts_min_us, (int64_t)get_varint(c));
    if (c->is_bad || s->ts_max_us < s->ts_min_us) return ERR_CORRUPT;
    err = get_runs(ix, &e, recv_us, c);
    if (err < 0) return err;
    e.pub.last_seq = first_seq + s->count - 1;
    return segment__index_add_entry(ix, &e);
}

static int get_groups(struct segment__index *ix, uint32_t count, struct cut *c)
{
    uint64_t offset = ix->data_bytes;

    if (count != (ix->entry_count + SEGMENT_GROUP_ENTRIES - 1) / SEGMENT_GROUP_ENTRIES)
        return ERR_CORRUPT;
    for (uint32_t i = 0; i < count; i++) {
        struct segment__group g = {0};
        int err;

        g.bytes = (uint32_t)get_capped(c, SEGMENT_PACKED_BYTES_MAX);
        if (c->is_bad || c->end - c->p < 4) return ERR_CORRUPT;
        g.crc = segment__get32(c->p);
        c->p += 4;
        g.offset = offset + SEGMENT_SKIP_HEADER_BYTES;
        offset = g.offset + g.bytes;
        err = segment__index_add_group(ix, &g);
        if (err < 0) return err;
    }
    return 0;
}

int segment__index_decode(struct segment__index *ix, const unsigned char *payload, size_t len)
{
    struct cut c = {0};
    uint32_t entry_count;
    uint64_t offset = 0, seq;
    int64_t recv_us = 0;
    int err = 0;

    if (len < HEADER_BYTES + 4 || len > SEGMENT_INDEX_BYTES_MAX) return ERR_CORRUPT;
    if (memcmp(payload, INDEX_MAGIC, 8) != 0 || segment__get32(payload + 8) != len)
        return ERR_CORRUPT;
    if (segment__crc(payload, len - 4) != segment__get32(payload + len - 4)) return ERR_CORRUPT;
    c.p = payload + HEADER_BYTES;
    c.end = payload + len - 4;
    entry_count = segment__get32(payload + 12);
    ix->first_seq = seq = segment__get64(payload + 16);
    ix->last_seq = segment__get64(payload + 24);
    ix->data_bytes = segment__get64(payload + 32);
    ix->settled_level = segment__get32(payload + 44);
    if (entry_count == 0 || entry_count > (len - HEADER_BYTES) / ENTRY_BYTES_MIN || seq == 0)
        return ERR_CORRUPT;
    for (uint32_t i = 0; i < entry_count && err >= 0; i++) {
        err = get_entry(ix, offset, seq, &recv_us, &c);
        if (err < 0) return err;
        offset += ix->entries[i].pub.packed_bytes;
        seq = ix->entries[i].pub.last_seq + 1;
    }
    if (seq - 1 != ix->last_seq || offset != ix->data_bytes) return ERR_CORRUPT;
    err = get_groups(ix, segment__get32(payload + 40), &c);
    if (err < 0) return err;
    return c.p == c.end ? 0 : ERR_CORRUPT;
}

/* ---- zstd's seek table ---- */

size_t segment__table_bytes(uint32_t frame_count)
{
    return SEGMENT_SKIP_HEADER_BYTES + (size_t)frame_count * TABLE_ENTRY_BYTES +
           SEGMENT_FOOTER_BYTES;
}

static void put_table_entry(unsigned char *p, uint32_t packed, uint32_t raw, uint32_t checksum)
{
    segment__put32(p, packed);
    segment__put32(p + 4, raw);
    segment__put32(p + 8, checksum);
}

int segment__table_encode(const struct segment__index *ix, size_t index_frame_bytes,
                          struct buf *out)
{
    uint32_t count = ix->entry_count + ix->group_count + 1;
    size_t bytes = segment__table_bytes(count);
    unsigned char *p;
    int err = buf_reserve(out, bytes);

    if (err < 0) return err;
    p = (unsigned char *)out->data + out->len;
    segment__put32(p, SEGMENT_MAGIC_TABLE);
    segment__put32(p + 4, (uint32_t)(bytes - SEGMENT_SKIP_HEADER_BYTES));
    p += SEGMENT_SKIP_HEADER_BYTES;
    for (uint32_t i = 0; i < ix->entry_count; i++, p += TABLE_ENTRY_BYTES) {
        const struct segment__entry *e = &ix->entries[i];

        put_table_entry(p, e->pub.packed_bytes, e->pub.raw_bytes, e->checksum);
    }
    for (uint32_t i = 0; i < ix->group_count; i++, p += TABLE_ENTRY_BYTES)
        put_table_entry(p, ix->groups[i].bytes + SEGMENT_SKIP_HEADER_BYTES, 0, EMPTY_CHECKSUM);
    put_table_entry(p, (uint32_t)index_frame_bytes, 0, EMPTY_CHECKSUM);
    p += TABLE_ENTRY_BYTES;
    segment__put32(p, count);
    p[4] = TABLE_CHECKSUM_FLAG;
    segment__put32(p + 5, SEGMENT_MAGIC_FOOTER);
    out->len += bytes;
    return 0;
}

int segment__table_check(struct segment__index *ix, size_t index_frame_bytes,
                         const unsigned char *table, size_t len)
{
    uint32_t count = ix->entry_count + ix->group_count + 1;
    const unsigned char *p = table + SEGMENT_SKIP_HEADER_BYTES;

    if (len != segment__table_bytes(count)) return ERR_CORRUPT;
    for (uint32_t i = 0; i < count; i++, p += TABLE_ENTRY_BYTES) {
        uint32_t group = i - ix->entry_count, packed, raw = 0, checksum = EMPTY_CHECKSUM;

        if (i < ix->entry_count) {
            packed = ix->entries[i].pub.packed_bytes;
            raw = ix->entries[i].pub.raw_bytes;
            checksum = ix->entries[i].checksum = segment__get32(p + 8);
        } else if (group < ix->group_count) {
            packed = ix->groups[group].bytes + SEGMENT_SKIP_HEADER_BYTES;
        } else {
            packed = (uint32_t)index_frame_bytes;
        }
        if (segment__get32(p) != packed || segment__get32(p + 4) != raw) return ERR_CORRUPT;
        if (segment__get32(p + 8) != checksum) return ERR_CORRUPT;
    }
    return 0;
}

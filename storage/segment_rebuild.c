/*
 * storage/segment_rebuild.c -- a segment without its index, read frame by frame.
 *
 * Torn files, joined files and files whose index is damaged are walked from the front: zstd says
 * how long each frame is, the records say what it holds. Where no frame starts, the walk looks for
 * the next magic number. Missing numbers become entries marked is_lost, so that a reader reports
 * them.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "job/record.h"
#include "storage/segment_int.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES_FIRST (512 * 1024)
#define SCAN_BYTES (256 * 1024)
#define DAMAGES_MAX 4096 /* places without a frame in one file; then the rest counts as lost */

static int is_gap_record(const struct record_view *v)
{
    static const char gap[] = "{\"gap\":";

    return v->fields_json && v->fields_json_len >= sizeof gap - 1
        && memcmp(v->fields_json, gap, sizeof gap - 1) == 0;
}

void segment__entry_note(struct segment__entry *e, const struct record_view *v)
{
    frame_summary_add(&e->pub.sum, v->ts_us, v->rank, v->level);
    if (v->is_state) e->flags |= ENTRY_HAS_STATE;
    if (is_gap_record(v)) e->flags |= ENTRY_HAS_GAP;
    e->pub.sum.is_state = e->flags & (ENTRY_HAS_STATE | ENTRY_HAS_GAP) ? 1 : 0;
}

/* Load up to len bytes at offset into s->packed. */
static int load(struct segment *s, uint64_t offset, size_t len)
{
    ssize_t got;
    int err;

    buf_clear(&s->packed);
    err = buf_reserve(&s->packed, len);
    if (err < 0) return err;
    got = io_pread_all(s->fd, s->packed.data, len, (off_t)offset);
    if (got < 0) return (int)got;
    s->packed.len = (size_t)got;
    return 0;
}

/* The size of whatever frame starts at offset. 1: records (loaded in s->packed), 0: to be
 * skipped. ERR_CORRUPT: none does, or it is torn. */
static int measure_at(struct segment *s, uint64_t offset, uint64_t *ret_bytes, size_t *ret_content)
{
    uint64_t left = s->file_bytes - offset;
    size_t window = WINDOW_BYTES_FIRST;
    int err;

    for (;;) {
        const unsigned char *p;
        size_t packed;

        if (window > left) window = (size_t)left;
        err = load(s, offset, window);
        if (err < 0) return err;
        p = (const unsigned char *)s->packed.data;
        if (s->packed.len < SEGMENT_SKIP_HEADER_BYTES) return ERR_CORRUPT;
        if ((segment__get32(p) & 0xfffffff0u) == SEGMENT_MAGIC_INDEX) {
            *ret_bytes = (uint64_t)SEGMENT_SKIP_HEADER_BYTES + segment__get32(p + 4);
            return *ret_bytes <= left ? 0 : ERR_CORRUPT;
        }
        err = segment__measure(p, s->packed.len, &packed, ret_content);
        if (err >= 0) {
            *ret_bytes = packed;
            return 1;
        }
        if (err != ERR_LIMIT || window == left || window >= SEGMENT_PACKED_BYTES_MAX)
            return ERR_CORRUPT;
        window *= 2;
    }
}

/* The next offset after `offset` where a frame may start; file_bytes when there is none. */
static int find_magic(struct segment *s, uint64_t offset, uint64_t *ret_offset)
{
    for (uint64_t at = offset + 1; at + 4 <= s->file_bytes; at += s->packed.len - 3) {
        int err = load(s, at, SCAN_BYTES);

        if (err < 0) return err;
        if (s->packed.len < 4) break;
        for (size_t i = 0; i + 4 <= s->packed.len; i++) {
            uint32_t magic = segment__get32((const unsigned char *)s->packed.data + i);

            if (magic == SEGMENT_MAGIC_DATA || (magic & 0xfffffff0u) == SEGMENT_MAGIC_INDEX) {
                *ret_offset = at + i;
                return 0;
            }
        }
    }
    *ret_offset = s->file_bytes;
    return 0;
}

static int add_hole(struct segment__index *ix, uint64_t first, uint64_t last)
{
    struct segment__entry e = {0};

    frame_summary_init(&e.pub.sum);
    e.pub.first_seq = first;
    e.pub.last_seq = last;
    e.pub.is_lost = 1;
    e.pub.sum.count = last - first >= UINT32_MAX ? UINT32_MAX : (uint32_t)(last - first + 1);
    return segment__index_add_entry(ix, &e);
}

int segment__summarise(const char *text, size_t len, struct segment__entry *e)
{
    struct record_view v;
    size_t at = 0;

    frame_summary_init(&e->pub.sum);
    while (at < len) {
        const char *end = memchr(text + at, '\n', len - at);

        if (!end || record_parse(text + at, (size_t)(end - text) - at, &v) < 0 || v.seq == 0)
            return ERR_CORRUPT;
        if (e->pub.sum.count == 0) e->pub.first_seq = v.seq;
        if (v.seq != e->pub.first_seq + e->pub.sum.count) return ERR_CORRUPT;
        segment__entry_note(e, &v);
        at = (size_t)(end - text) + 1;
    }
    e->pub.last_seq = e->pub.first_seq + e->pub.sum.count - 1;
    return e->pub.sum.count && e->pub.last_seq != UINT64_MAX ? 0 : ERR_CORRUPT;
}

/* One frame of records, loaded in s->packed. What is damaged or comes again is left out. */
static int take_frame(struct segment *s, uint64_t offset, size_t packed, size_t content)
{
    struct segment__index *ix = &s->ix;
    struct segment__entry e = {0};
    char *text = malloc(content + 1);
    int err;

    if (!text) return ERR_NOMEM;
    err = segment__unpack(s->unpacker, s->packed.data, packed, text, content);
    if (err >= 0) err = segment__summarise(text, content, &e);
    free(text);
    if (err < 0) return err;
    if (ix->last_seq && e.pub.first_seq <= ix->last_seq) return 0;
    if (ix->last_seq && e.pub.first_seq > ix->last_seq + 1) {
        err = add_hole(ix, ix->last_seq + 1, e.pub.first_seq - 1);
        if (err < 0) return err;
    }
    e.pub.offset = offset;
    e.pub.packed_bytes = (uint32_t)packed;
    e.pub.raw_bytes = (uint32_t)content;
    err = segment__index_add_entry(ix, &e);
    if (err < 0) return err;
    if (!ix->first_seq) ix->first_seq = e.pub.first_seq;
    ix->last_seq = e.pub.last_seq;
    ix->data_bytes += packed;
    return 0;
}

/* What the name promises beyond what was found is lost. */
static int add_outer_holes(struct segment *s)
{
    struct segment__index *ix = &s->ix;
    uint64_t first, last;
    int err;

    if (segment__parse_name(s->name, &first, &last) < 0) return 0;
    if (first < ix->first_seq) {
        err = add_hole(ix, first, ix->first_seq - 1);
        if (err < 0) return err;
        struct segment__entry hole = ix->entries[ix->entry_count - 1];

        memmove(ix->entries + 1, ix->entries, (ix->entry_count - 1) * sizeof *ix->entries);
        ix->entries[0] = hole;
        ix->first_seq = first;
    }
    if (last > ix->last_seq) {
        err = add_hole(ix, ix->last_seq + 1, last);
        if (err < 0) return err;
        ix->last_seq = last;
    }
    return 0;
}

int segment__rebuild(struct segment *s)
{
    uint64_t at = 0;
    unsigned damages = 0;

    CHECK(s->ix.entry_count == 0 && s->ix.last_seq == 0);
    s->is_rebuilt = 1;
    while (at < s->file_bytes) {
        uint64_t bytes = 0;
        size_t content = 0;
        int kind = measure_at(s, at, &bytes, &content), err = 0;

        if (kind > 0) err = take_frame(s, at, (size_t)bytes, content);
        else if (kind < 0 && kind != ERR_CORRUPT) return kind;
        if (err < 0 && err != ERR_CORRUPT) return err;
        if (kind >= 0 && err >= 0) {
            at += bytes;
            continue;
        }
        /* A frame that is damaged may lie about its length: look again right behind its start. */
        if (++damages > DAMAGES_MAX) break;
        err = find_magic(s, at, &at);
        if (err < 0) return err;
    }
    return s->ix.entry_count ? add_outer_holes(s) : ERR_CORRUPT;
}

/*
 * storage/segment_match.c -- ruling frames out: by their index, and by a look at their text.
 *
 * First what the index knows (summary, ranks, search grams): no byte of the frame is read. Then,
 * for frames that were unpacked, one search over the whole text before any record is parsed. Both
 * only ever say "certainly not".
 */
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "job/record.h"
#include "storage/segment_int.h"

#include <stdlib.h>
#include <string.h>

int segment__load_group(const struct segment *s, uint32_t group)
{
    struct segment__group *g = &s->ix.groups[group];
    uint32_t first = group * SEGMENT_GROUP_ENTRIES, count = s->ix.entry_count - first;
    unsigned char *frame = NULL, *payload;
    int err;

    if (g->rows) return 1;
    if (g->is_bad) return 0;
    if (count > SEGMENT_GROUP_ENTRIES) count = SEGMENT_GROUP_ENTRIES;
    err = segment__read_piece(s, g->offset - SEGMENT_SKIP_HEADER_BYTES,
                     (size_t)g->bytes + SEGMENT_SKIP_HEADER_BYTES, &frame);
    if (err < 0) goto out;
    payload = frame + SEGMENT_SKIP_HEADER_BYTES;
    err = ERR_CORRUPT;
    if (segment__get32(frame) != SEGMENT_MAGIC_GRAMS || segment__get32(frame + 4) != g->bytes)
        goto out;
    if (segment__crc(payload, g->bytes) != g->crc) goto out;
    err = segment__grams_decode(g, first, count, payload, g->bytes);
out: /* without grams nothing is skipped */
    free(frame);
    if (err >= 0) return 1;
    g->is_bad = 1;
    log_warn("storage", "search grams of a segment are damaged", "file=%s group=%u error=%s",
             s->name, group, err_name(err));
    return 0;
}

static int ranks_may_match(const struct segment *s, const struct segment__entry *e,
                           const struct filter *f)
{
    if (f->rank_count == 0 || !(e->flags & ENTRY_HAS_RANKS)) return 1;
    for (uint32_t k = 0; k < e->rank_count; k++) {
        int32_t rank = s->ix.ranks[e->rank_at + k];

        for (uint32_t r = 0; r < f->rank_count; r++)
            if (rank >= f->ranks[r].lo && rank <= f->ranks[r].hi) return 1;
    }
    return 0;
}

struct grams_of_entry {
    const struct segment__group *group;
    uint64_t bit;
};

static int grams_have(void *user, const char *piece, size_t len)
{
    const struct grams_of_entry *g = user;

    return len < 3 || (segment__grams_mask(g->group, piece, len) & g->bit) != 0;
}

int segment_may_match(const struct segment *s, uint32_t i, const struct filter *f,
                      const char *literal, size_t literal_len)
{
    const struct segment__entry *e = &s->ix.entries[i];
    struct segment__group *g;
    uint64_t bit = UINT64_C(1) << (i % SEGMENT_GROUP_ENTRIES);

    CHECKF(i < s->ix.entry_count, "i=%u count=%u", i, s->ix.entry_count);
    if (e->pub.is_lost) return 1;
    if (f && !filter_may_match(f, &e->pub.sum)) return 0;
    if (e->flags & (ENTRY_HAS_STATE | ENTRY_HAS_GAP)) return 1;
    if (f && !ranks_may_match(s, e, f)) return 0;
    if ((!literal || literal_len < 3) && (!f || (f->q_len < 3 && !f->may_match))) return 1;
    if (i / SEGMENT_GROUP_ENTRIES >= s->ix.group_count) return 1;
    g = &s->ix.groups[i / SEGMENT_GROUP_ENTRIES];
    if (!segment__load_group(s, i / SEGMENT_GROUP_ENTRIES)) return 1;
    if (literal && !(segment__grams_mask(g, literal, literal_len) & bit)) return 0;
    if (!f) return 1;
    if (f->may_match) {
        struct grams_of_entry user = {g, bit};

        if (!f->may_match(f->matcher, grams_have, &user)) return 0;
    }
    return (segment__grams_mask(g, f->q, f->q_len) & bit) != 0;
}

/* Does a line with an escape in it hold literal once it is unescaped? Others were searched as
 * they are. */
static int escaped_may_match(const char *text, size_t len, const char *literal, size_t literal_len)
{
    struct buf msg = BUF_INIT;
    const char *end = text + len, *at = text;
    int found = 0;

    while (!found && (at = memchr(at, '\\', (size_t)(end - at)))) {
        const char *before = memrchr(text, '\n', (size_t)(at - text));
        const char *line = before ? before + 1 : text;
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        struct record_view v;

        buf_clear(&msg);
        if (!nl) nl = end;
        if (record_parse(line, (size_t)(nl - line), &v) < 0 || record_msg(&v, &msg) < 0) found = 1;
        else found = msg.len && memmem(msg.data, msg.len, literal, literal_len) != NULL;
        at = nl;
    }
    buf_release(&msg);
    return found;
}

static int text_may_hold(const char *text, size_t len, const char *literal, size_t literal_len)
{
    if (literal_len == 0 || memmem(text, len, literal, literal_len)) return 1;
    return escaped_may_match(text, len, literal, literal_len);
}

int segment__text_may_match(const struct segment *s, uint32_t i, const char *text,
                            const struct filter *f, const char *literal, size_t literal_len)
{
    const struct segment__entry *e = &s->ix.entries[i];

    if (e->pub.sum.is_state) return 1;
    if (literal && !text_may_hold(text, e->pub.raw_bytes, literal, literal_len)) return 0;
    return !f || f->ignore_case || text_may_hold(text, e->pub.raw_bytes, f->q, f->q_len);
}

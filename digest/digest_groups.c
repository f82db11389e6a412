/*
 * digest/digest_groups.c -- all occurrences of one error as one entry.
 *
 * Which groups stay when there is no room: the first DIGEST_GROUPS_EARLY, those kept for a cause, and of the
 * others those that occurred last.
 */
#include "digest/digest_int.h"

#include "base/err.h"
#include "digest/plain.h"

#include <stdlib.h>
#include <string.h>

static uint32_t slot_of(uint64_t fingerprint)
{
    return (uint32_t)fingerprint & (DIGEST_GROUP_SLOTS - 1);
}

static struct digest_group *find(struct digest *d, uint64_t fingerprint)
{
    const struct digest_inner *in = d->in;

    for (uint32_t s = slot_of(fingerprint); in->group_slots[s];
         s = (s + 1) & (DIGEST_GROUP_SLOTS - 1)) {
        struct digest_group *g = &d->groups[in->group_slots[s] - 1];
        if (g->fingerprint == fingerprint) return g;
    }
    return NULL;
}

void digest__group_index(struct digest *d, uint32_t at)
{
    struct digest_inner *in = d->in;
    uint32_t s = slot_of(d->groups[at].fingerprint);

    while (in->group_slots[s]) s = (s + 1) & (DIGEST_GROUP_SLOTS - 1);
    in->group_slots[s] = (uint16_t)(at + 1);
}

static void index_all(struct digest *d)
{
    memset(d->in->group_slots, 0, sizeof d->in->group_slots);
    for (uint32_t i = 0; i < d->group_count; i++) digest__group_index(d, i);
}

static void release_group(struct digest_group *g)
{
    free(g->title);
    free(g->text);
    free(g->ranks);
    free(g->rank_bits);
}

/* The group that may go: of those not kept the one whose last occurrence is the oldest. -1: none. */
static int victim(const struct digest *d)
{
    int at = -1;

    for (uint32_t i = 0; i < d->group_count; i++) {
        if (d->in->group_kept[i]) continue;
        if (at < 0 || d->groups[i].last.seq < d->groups[at].last.seq) at = (int)i;
    }
    return at;
}

/* Is this one kept for its cause? Counts it. */
static int keep_for_cause(struct digest_inner *in, uint32_t cause)
{
    uint32_t i = 0;

    if (!cause) return 0;
    while (i < in->cause_count && in->causes[i].cause != cause) i++;
    if (i == in->cause_count) {
        if (i == sizeof in->causes / sizeof *in->causes) return 0;
        in->causes[in->cause_count].cause = cause;
        in->causes[in->cause_count++].count = 0;
    }
    if (in->causes[i].count >= DIGEST_CAUSE_GROUPS_MAX) return 0;
    in->causes[i].count++;
    return 1;
}

/* A place for one more group; -1: none. */
static int make_room(struct digest *d)
{
    struct digest_inner *in = d->in;
    int at;

    if (!d->groups) {
        d->groups = calloc(DIGEST_GROUPS_MAX, sizeof *d->groups);
        if (!d->groups) return ERR_NOMEM;
    }
    if (d->group_count < DIGEST_GROUPS_MAX) return 0;
    at = victim(d);
    d->groups_omitted++;
    if (at < 0) return ERR_LIMIT;
    in->text_bytes -= d->groups[at].text_bytes;
    release_group(&d->groups[at]);
    d->group_count--;
    d->groups[at] = d->groups[d->group_count];
    in->group_kept[at] = in->group_kept[d->group_count];
    index_all(d);
    return 0;
}

static int copy_text(const char *s, size_t len, char **ret)
{
    *ret = malloc(len + 1);
    if (!*ret) return ERR_NOMEM;
    memcpy(*ret, s, len);
    (*ret)[len] = '\0';
    return 0;
}

static int add_group(struct digest *d, const struct digest_found *f,
                     struct digest_group **ret_group)
{
    struct digest_inner *in = d->in;
    struct digest_group g = {.fingerprint = f->fingerprint,
                             .kind = f->kind,
                             .level = f->level,
                             .cause = f->cause,
                             .is_block = f->is_block,
                             .first = f->at,
                             .first_end_seq = f->end_seq,
                             .first_rank = f->rank,
                             .first_replica = f->replica,
                             .whole_bytes = f->whole_bytes};
    size_t text_max =
        in->text_bytes < DIGEST_TEXTS_BYTES_MAX ? DIGEST_TEXT_BYTES_MAX : DIGEST_TEXT_BYTES_MIN;
    int err = make_room(d);

    if (err < 0) return err;
    g.text_bytes = plain_cut(f->text, f->text_bytes, text_max);
    err =
        copy_text(f->title, plain_cut(f->title, f->title_bytes, DIGEST_TITLE_BYTES_MAX), &g.title);
    if (err >= 0) err = copy_text(f->text, g.text_bytes, &g.text);
    if (err < 0) {
        release_group(&g);
        return err;
    }
    in->text_bytes += g.text_bytes;
    in->group_kept[d->group_count] =
        (uint8_t)((d->group_count < DIGEST_GROUPS_EARLY && !d->groups_omitted) |
                  keep_for_cause(in, f->cause));
    d->groups[d->group_count] = g;
    digest__group_index(d, d->group_count);
    *ret_group = &d->groups[d->group_count++];
    return 0;
}

/* Bit of rank; 1 when it is new. */
static int set_bit(struct digest_group *g, int32_t rank)
{
    uint32_t at = (uint32_t)rank / 8;
    uint8_t bit = (uint8_t)(1u << (rank % 8));

    if (at >= g->rank_bits_bytes) {
        uint32_t bytes = g->rank_bits_bytes ? g->rank_bits_bytes : 16;
        uint8_t *bits;
        while (bytes <= at) bytes *= 2;
        bits = realloc(g->rank_bits, bytes);
        if (!bits) return ERR_NOMEM;
        memset(bits + g->rank_bits_bytes, 0, bytes - g->rank_bits_bytes);
        g->rank_bits = bits;
        g->rank_bits_bytes = bytes;
    }
    if (g->rank_bits[at] & bit) return 0;
    g->rank_bits[at] |= bit;
    return 1;
}

static struct digest_group_rank *listed(struct digest_group *g, int32_t rank, uint32_t replica)
{
    for (uint32_t i = 0; i < g->rank_listed; i++) {
        struct digest_group_rank *r = &g->ranks[i];
        if (r->rank == rank && (rank >= 0 || r->replica == replica)) return r;
    }
    return NULL;
}

static int list_rank(struct digest_group *g, const struct digest_found *f)
{
    uint32_t n = g->rank_listed;

    if (n == DIGEST_GROUP_RANKS_MAX) return 0;
    if ((n & (n - 1)) == 0) { /* full at 1, 2, 4 … */
        struct digest_group_rank *ranks = realloc(g->ranks, (n ? 2 * n : 1) * sizeof *ranks);
        if (!ranks) return ERR_NOMEM;
        g->ranks = ranks;
    }
    g->ranks[g->rank_listed++] = (struct digest_group_rank){
        .rank = f->rank, .replica = f->replica, .count = 1, .first = f->at};
    return 0;
}

static int note_rank(struct digest_group *g, const struct digest_found *f)
{
    struct digest_group_rank *r = NULL;
    int is_new = 1;

    if (f->rank >= 0) {
        is_new = set_bit(g, f->rank);
        if (is_new < 0) return is_new;
    }
    if (f->rank < 0 || !is_new) r = listed(g, f->rank, f->replica);
    if (r) {
        r->count++;
        return 0;
    }
    if (f->rank < 0 && g->rank_listed == DIGEST_GROUP_RANKS_MAX)
        is_new = 0; /* cannot be told from an old one */
    g->rank_count += (uint32_t)is_new;
    return is_new ? list_rank(g, f) : 0;
}

int digest__group_note(struct digest *d, const struct digest_found *f)
{
    struct digest_group *g = find(d, f->fingerprint);
    int err = g ? 0 : add_group(d, f, &g);

    if (err == ERR_LIMIT) return 0; /* counted */
    if (err < 0) return err;
    g->count++;
    g->last = f->at;
    g->last_rank = f->rank;
    g->last_replica = f->replica;
    if (f->level > g->level) g->level = f->level;
    return note_rank(g, f);
}

static int by_first(const void *a, const void *b)
{
    const struct digest_group *x = a, *y = b;

    return x->first.seq < y->first.seq ? -1 : x->first.seq > y->first.seq;
}

int digest__groups_sort(struct digest *d)
{
    if (d->group_count) qsort(d->groups, d->group_count, sizeof *d->groups, by_first);
    index_all(d);
    return 0;
}

void digest__groups_free(struct digest *d)
{
    for (uint32_t i = 0; i < d->group_count; i++) release_group(&d->groups[i]);
    free(d->groups);
}

int digest_group_has_rank(const struct digest_group *g, int32_t rank)
{
    if (rank < 0 || (uint32_t)rank / 8 >= g->rank_bits_bytes) return 0;
    return (g->rank_bits[rank / 8] >> (rank % 8)) & 1;
}

int digest_group_ranks(const struct digest_group *g, struct buf *out)
{
    int32_t last = (int32_t)(8 * g->rank_bits_bytes);
    int err = 0, any = 0;

    for (uint32_t i = 0; i < g->rank_listed && !any; i++) any = g->ranks[i].rank < 0;
    if (any) err = buf_adds(out, "none");
    for (int32_t r = 0; r < last && err >= 0; r++) {
        int32_t from = r;
        if (!digest_group_has_rank(g, r)) continue;
        while (r + 1 < last && digest_group_has_rank(g, r + 1)) r++;
        err = buf_addf(out, from == r ? "%s%d" : "%s%d-%d", any ? "," : "", from, r);
        any = 1;
    }
    return err < 0 ? err : 0;
}

/*
 * ingest/marks.c -- what is read of lines on their way in.
 *
 * Nearly every line begins no block and no block is open: that is known from its first byte.
 */
#include "ingest/marks.h"

#include "base/check.h"
#include "base/err.h"
#include "digest/block.h"
#include "digest/plain.h"
#include "digest/prefix.h"
#include "job/record.h"

#include <stdlib.h>
#include <string.h>

struct source {
    uint64_t key;
    uint64_t used_at;
    struct block block;
};

struct flow {
    uint64_t key;
    uint64_t used_at;
    struct redact_flow flow;
};

struct marks {
    struct source sources[MARKS_SOURCES_MAX]; /* open_count of them */
    uint32_t open_count;
    struct prefix_labels labels; /* of all streams: srun labels all or none */
    uint32_t ranks;
    int is_one_node;
    int carries_many;   /* the agent's own rank is none of these lines' */
    int32_t first_rank; /* + 1: of a launcher's prefix; 0: none was seen */
    struct flow flows[MARKS_FLOWS_MAX]; /* flow_count of them */
    uint32_t flow_count;
    struct redact_flow fresh; /* of a source without one */
    uint64_t clock;
    struct buf scratch;
};

struct marks *marks_new(void)
{
    return calloc(1, sizeof(struct marks));
}

void marks_free(struct marks **m)
{
    if (!*m) return;
    buf_release(&(*m)->scratch);
    free(*m);
    *m = NULL;
}

void marks_reset(struct marks *m)
{
    m->open_count = m->flow_count = 0;
    m->labels = (struct prefix_labels){0};
    m->carries_many = m->first_rank = 0;
}

static uint64_t mix(uint64_t h, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t source_key(const struct line *line, const struct prefix *p)
{
    uint64_t h = mix(UINT64_C(0xcbf29ce484222325), line->replica, line->replica_len);

    h = mix(h ^ 0xff, line->stream, line->stream_len) ^ (uint64_t)(uint32_t)line->rank << 32;
    return line->rank == RECORD_RANK_NONE ? h ^ p->tag : h;
}

/* ---- private keys ---- */

static const struct prefix no_prefix;

struct redact_flow *marks_flow(struct marks *m, const struct line *line)
{
    uint64_t key = m->flow_count ? source_key(line, &no_prefix) : 0;

    for (uint32_t i = 0; i < m->flow_count; i++) {
        if (m->flows[i].key != key) continue;
        m->flows[i].used_at = ++m->clock;
        return &m->flows[i].flow;
    }
    m->fresh = (struct redact_flow){0};
    return &m->fresh;
}

void marks_flow_keep(struct marks *m, const struct line *line, const struct redact_flow *f)
{
    struct flow *to = &m->flows[0];

    if (f != &m->fresh || !f->seen) return;
    if (m->flow_count < MARKS_FLOWS_MAX) {
        to = &m->flows[m->flow_count++];
    } else {
        for (uint32_t i = 1; i < m->flow_count; i++) {
            if (m->flows[i].used_at < to->used_at) to = &m->flows[i];
        }
    }
    *to = (struct flow){.key = source_key(line, &no_prefix), .used_at = ++m->clock, .flow = *f};
}

void marks_reopen(struct marks *m)
{
    uint32_t count = m->flow_count;

    marks_reset(m);
    m->flow_count = count;
    for (uint32_t i = 0; i < count; i++) redact_flow_reopen(&m->flows[i].flow);
}

int marks_has_flows(const struct marks *m)
{
    return m->flow_count > 0;
}

/* Append a mark, unless the line has it already: a log of ours that is sent again stays as it is. */
static int mark(const struct line *line, struct buf *extra, const char *key, unsigned value)
{
    if (line->fields_len && memmem(line->fields, line->fields_len, key, strlen(key))) return 0;
    return buf_addf(extra, "%s%s%u", extra->len ? "," : "", key, value);
}

/* ---- blocks ---- */

static struct source *find(struct marks *m, uint64_t key)
{
    for (uint32_t i = 0; i < m->open_count; i++) {
        if (m->sources[i].key == key) return &m->sources[i];
    }
    return NULL;
}

static void open_source(struct marks *m, uint64_t key, const struct block *b)
{
    struct source *s = &m->sources[0];

    if (m->open_count < MARKS_SOURCES_MAX) {
        s = &m->sources[m->open_count++];
    } else {
        for (uint32_t i = 1; i < m->open_count; i++) {
            if (m->sources[i].used_at < s->used_at) s = &m->sources[i];
        }
    }
    *s = (struct source){.key = key, .used_at = ++m->clock, .block = *b};
}

/* A line without prefix. */
static int block_line(struct marks *m, struct line *line, const struct prefix *p, const char *text, size_t len,
                      struct buf *extra)
{
    struct source *s = m->open_count ? find(m, source_key(line, p)) : NULL;
    int is_many = memchr(text, '\n', len) != NULL; /* a record of several lines stands alone */
    enum block_role role;
    struct block b;

    if (s && !is_many && block_next(&s->block, text, len, &role)) {
        s->used_at = ++m->clock;
        if (line->level < s->block.level) line->level = s->block.level;
        return mark(line, extra, "\"block\":", s->block.line_count);
    }
    if (s) *s = m->sources[--m->open_count];
    if (is_many || !block_begin(&b, text, len, line->level, &role)) return 0;
    if (line->level < b.level) line->level = b.level;
    open_source(m, source_key(line, p), &b);
    return 0;
}

void marks_sender(struct marks *m, uint32_t ranks, int is_one_node)
{
    m->ranks = ranks;
    m->is_one_node = is_one_node;
}

int marks_want(const struct marks *m, const struct line *line, int level_given, const char *text, size_t len)
{
    const char c = len ? *text : '\0';

    if (c == '\\' || c == '\x1b') return 1; /* colours stand before it */
    if (line->rank == RECORD_RANK_NONE && (!m->labels.is_no || prefix_may_begin(c))) return 1;
    if (line->is_agents_rank && (m->carries_many || c == '[')) return 1;
    if (level_given) return 0;
    return m->open_count || prefix_may_begin(c) || block_may_begin(text, len, line->level);
}

/* Does the agent carry lines of many ranks? */
static int is_of_many(struct marks *m, const struct prefix *p)
{
    if (p->rank != PREFIX_NONE && p->is_launchers) {
        m->carries_many |= (m->ranks && (uint32_t)p->rank >= m->ranks) || (m->first_rank && m->first_rank != p->rank + 1);
        m->first_rank = p->rank + 1;
    }
    m->carries_many |= p->local_rank > 0;
    return m->carries_many;
}

/* The rank in front of the line, and what else stands there. */
static int read_prefix(struct marks *m, struct line *line, struct prefix *p, const char *text, size_t len,
                       struct buf *extra)
{
    int32_t label;

    prefix_read(text, len, p);
    if (line->is_agents_rank && is_of_many(m, p)) line->rank = RECORD_RANK_NONE;
    if (line->rank != RECORD_RANK_NONE) return 0;
    label = prefix_labels_next(&m->labels, p, text, len);
    if (p->rank != PREFIX_NONE) {
        line->rank = p->rank;
    } else if (p->local_rank != PREFIX_NONE) {
        if (m->is_one_node) line->rank = p->local_rank;
        return mark(line, extra, "\"local_rank\":", (unsigned)p->local_rank);
    } else if (label != PREFIX_NONE) {
        line->rank = label;
        if (!p->bytes) p->bytes = p->label_bytes;
    }
    return 0;
}

int marks_line(struct marks *m, struct line *line, int level_given, const char *text, size_t len, struct buf *extra)
{
    struct prefix p;
    int err;

    if (len > MARKS_LOOK_BYTES) len = MARKS_LOOK_BYTES;
    err = plain_from_text(&m->scratch, text, len, &text, &len);
    if (err >= 0) err = read_prefix(m, line, &p, text, len, extra);
    if (err < 0 || level_given) return err;
    return block_line(m, line, &p, text + p.bytes, len - p.bytes, extra);
}

/*
 * job/record.c -- writing a canonical line and reading one back by a fixed-order scan.
 *
 * Reading trusts nothing (an archive may be damaged): every step checks that the next key is the
 * one that may come, every end is bounded by the line's. The insides of msg and fields are handed
 * on as they are: who unescapes them meets a bad escape there.
 */
#include "job/record.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"

#include <string.h>

#define LITERAL(s) s, sizeof(s) - 1
/* Every key, number, name and mark of a line but the texts a caller gives. */
#define RECORD_FIXED_BYTES 256

static char *put(char *to, const char *s, size_t n)
{
    memcpy(to, s, n);
    return to + n;
}

static char *put_u64(char *to, uint64_t v)
{
    char digits[20], *p = digits + sizeof digits;
    do *--p = (char)('0' + v % 10);
    while (v /= 10);
    return put(to, p, (size_t)(digits + sizeof digits - p));
}

/* Everything before the value of msg, and the texts before it. */
static int write_head(struct buf *out, const struct record *r)
{
    char head[RECORD_FIXED_BYTES], *p = head;
    p = put(p, LITERAL("{\""));
    if (r->seq) {
        p = put(p, LITERAL("seq\":"));
        p = put_u64(p, r->seq);
        p = put(p, LITERAL(",\""));
    }
    p = put(p, LITERAL("ts\":\""));
    clock_format_rfc3339(r->ts_us, p);
    p += CLOCK_RFC3339_BYTES;
    *p++ = '"';
    if (r->rank >= 0) {
        p = put(p, LITERAL(",\"rank\":"));
        p = put_u64(p, (uint64_t)r->rank);
    }
    int rc = buf_add(out, head, (size_t)(p - head));
    if (rc >= 0 && r->replica && *r->replica) {
        rc = buf_add(out, LITERAL(",\"replica\":\""));
        if (rc >= 0) rc = json_escape(out, r->replica, strlen(r->replica));
        if (rc >= 0) rc = buf_addc(out, '"');
    }
    if (rc >= 0 && r->stream && *r->stream) {
        rc = buf_add(out, LITERAL(",\"stream\":\""));
        if (rc >= 0) rc = json_escape(out, r->stream, strlen(r->stream));
        if (rc >= 0) rc = buf_addc(out, '"');
    }
    if (rc < 0) return rc;
    p = head;
    if (r->level != LEVEL_NONE) {
        p = put(p, LITERAL(",\"level\":\""));
        p = put(p, level_name(r->level), strlen(level_name(r->level)));
        *p++ = '"';
    }
    if (r->is_state) {
        p = put(p, LITERAL(",\"state\":\""));
        p = put(p, state_name(r->state), strlen(state_name(r->state)));
        *p++ = '"';
    }
    p = put(p, LITERAL(",\"msg\":\""));
    return buf_add(out, head, (size_t)(p - head));
}

static int write_tail(struct buf *out, const struct record *r)
{
    int rc = buf_addc(out, '"');
    if (rc >= 0 && r->is_state && r->has_exit_code) {
        rc = buf_adds(out, r->exit_code < 0 ? ",\"exit_code\":-" : ",\"exit_code\":");
        uint64_t size = r->exit_code < 0 ? -(uint64_t)r->exit_code : (uint64_t)r->exit_code;
        if (rc >= 0) rc = buf_addu64(out, size);
    }
    if (rc >= 0 && r->fields_json) {
        rc = buf_add(out, LITERAL(",\"fields\":"));
        if (rc >= 0) rc = buf_add(out, r->fields_json, r->fields_json_len);
    }
    return rc < 0 ? rc : buf_add(out, LITERAL("}\n"));
}

int record_write(struct buf *out, const struct record *rec)
{
    size_t start = out->len;
    int rc = write_head(out, rec);
    if (rc >= 0 && rec->msg_len) rc = json_escape(out, rec->msg, rec->msg_len);
    if (rc >= 0) rc = write_tail(out, rec);
    if (rc < 0) { /* out is as it was */
        out->len = start;
        if (out->data) out->data[start] = '\0';
    }
    return rc;
}

/* A place in the line. */
struct scan {
    const char *p, *end;
};

/* Step over text when it stands here. */
static inline int take(struct scan *s, const char *text, size_t n)
{
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0) return 0;
    s->p += n;
    return 1;
}

/* Inside a string: its slice up to the closing quote, which is stepped over. */
static int take_string(struct scan *s, const char **ret, size_t *ret_len)
{
    const char *start = s->p, *quote = s->p;
    for (;; quote++) {
        quote = memchr(quote, '"', (size_t)(s->end - quote));
        if (!quote) return 0;
        const char *slash = quote;
        while (slash > start && slash[-1] == '\\') slash--;
        if ((quote - slash) % 2 == 0) break;
    }
    *ret = start;
    *ret_len = (size_t)(quote - start);
    s->p = quote + 1;
    return 1;
}

/* Decimal as we write it: no leading zeros. */
static int take_u64(struct scan *s, uint64_t *ret)
{
    const char *start = s->p;
    uint64_t v = 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
        unsigned digit = (unsigned)(*s->p - '0');
        if (v > UINT64_MAX / 10 || v * 10 > UINT64_MAX - digit) return 0;
        v = v * 10 + digit;
    }
    *ret = v;
    return s->p > start && (*start != '0' || s->p == start + 1);
}

static int take_i64(struct scan *s, int64_t *ret)
{
    uint64_t v;
    int negative = take(s, "-", 1);
    if (!take_u64(s, &v) || v > (uint64_t)INT64_MAX + (unsigned)negative) return 0;
    if (negative && !v) return 0;
    *ret = negative ? (int64_t)-v : (int64_t)v;
    return 1;
}

/* "2026-11-23T20:54:01.123456Z\"" */
static int take_ts(struct scan *s, int64_t *ret)
{
    const char *p = s->p;
    if (s->end - p < CLOCK_RFC3339_BYTES + 1) return 0;
    if (p[10] != 'T' || p[17] == '6' || p[19] != '.' || p[26] != 'Z' || p[27] != '"') return 0;
    if (clock_parse_rfc3339(p, CLOCK_RFC3339_BYTES, ret) < 0) return 0;
    s->p += CLOCK_RFC3339_BYTES + 1;
    return 1;
}

static int take_level(struct scan *s, enum level *ret)
{
    const char *name;
    size_t len;
    if (!take_string(s, &name, &len)) return 0;
    for (int l = LEVEL_TRACE; l < LEVEL_COUNT; l++) {
        const char *want = level_name((enum level)l);
        if (*want != *name || strlen(want) != len || memcmp(want, name, len) != 0) continue;
        *ret = (enum level)l;
        return 1;
    }
    return 0;
}

static int take_state(struct scan *s, enum job_state *ret)
{
    const char *name;
    size_t len;
    if (!take_string(s, &name, &len) || state_parse(name, len, ret) < 0) return 0;
    return strlen(state_name(*ret)) == len && memcmp(state_name(*ret), name, len) == 0;
}

/* The keys between ts and msg; each begins with a different letter. */
static int take_attributes(struct scan *s, struct record_view *v)
{
    uint64_t n;
    if (take(s, LITERAL(",\"rank\":"))) {
        if (!take_u64(s, &n) || n > RECORD_RANK_MAX) return 0;
        v->rank = (int32_t)n;
    }
    if (take(s, LITERAL(",\"replica\":\""))) {
        if (!take_string(s, &v->replica, &v->replica_len) || !v->replica_len) return 0;
    }
    if (take(s, LITERAL(",\"stream\":\""))) {
        if (!take_string(s, &v->stream, &v->stream_len) || !v->stream_len) return 0;
    }
    if (take(s, LITERAL(",\"level\":\"")) && !take_level(s, &v->level)) return 0;
    if (take(s, LITERAL(",\"state\":\""))) {
        if (!take_state(s, &v->state)) return 0;
        v->is_state = 1;
    }
    return 1;
}

int record_parse(const char *line, size_t len, struct record_view *ret)
{
    if (len && line[len - 1] == '\n') len--;
    struct scan s = {line, line + len};
    struct record_view v = {.rank = RECORD_RANK_NONE};
    if (!take(&s, LITERAL("{\""))) return ERR_CORRUPT;
    if (take(&s, LITERAL("seq\":"))) {
        if (!take_u64(&s, &v.seq) || !v.seq || !take(&s, LITERAL(",\""))) return ERR_CORRUPT;
    }
    if (!take(&s, LITERAL("ts\":\"")) || !take_ts(&s, &v.ts_us)) return ERR_CORRUPT;
    if (!take_attributes(&s, &v)) return ERR_CORRUPT;
    if (!take(&s, LITERAL(",\"msg\":\"")) || !take_string(&s, &v.msg_json, &v.msg_json_len))
        return ERR_CORRUPT;
    if (take(&s, LITERAL(",\"exit_code\":"))) {
        if (!v.is_state || !take_i64(&s, &v.exit_code)) return ERR_CORRUPT;
        v.has_exit_code = 1;
    }
    if (take(&s, LITERAL(",\"fields\":"))) {
        if (s.end - s.p < 3 || *s.p != '{' || s.end[-2] != '}') return ERR_CORRUPT;
        v.fields_json = s.p;
        v.fields_json_len = (size_t)(s.end - 1 - s.p);
        s.p = s.end - 1;
    }
    if (!take(&s, "}", 1) || s.p != s.end) return ERR_CORRUPT;
    *ret = v;
    return 0;
}

uint64_t record_line_seq(const char *line, size_t len)
{
    const char *p = line + 7, *end = line + len;
    uint64_t n = 0;
    if (len < 9 || memcmp(line, LITERAL("{\"seq\":")) != 0) return 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++) n = n * 10 + (uint64_t)(*p - '0');
    return p < end && *p == ',' ? n : 0;
}

int32_t record_line_rank(const char *line, size_t len)
{
    struct scan s = {line, line + len};
    uint64_t n;
    if (!take(&s, LITERAL("{\"seq\":")) || !take_u64(&s, &n) || !take(&s, LITERAL(",\"ts\":\""))) return RECORD_RANK_NONE;
    if (s.end - s.p < CLOCK_RFC3339_BYTES) return RECORD_RANK_NONE;
    s.p += CLOCK_RFC3339_BYTES;
    if (!take(&s, LITERAL("\",\"rank\":")) || !take_u64(&s, &n) || n > RECORD_RANK_MAX) return RECORD_RANK_NONE;
    return (int32_t)n;
}

int record_msg(const struct record_view *v, struct buf *out)
{
    return json_unescape(out, v->msg_json, v->msg_json_len);
}

/*
 * job/record.c -- writing a canonical line and reading one back by a fixed-order scan.
 *
 * Reading trusts nothing (an archive may be damaged): every step checks that the next key is the
 * one that may come, every end is bounded by the line's.
 */
#include "job/record.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static int add_key_str(struct buf *out, const char *key, const char *s) {
    int err = buf_adds(out, key);
    if (!err) err = json_escape(out, s, strlen(s));
    return err ? err : buf_addc(out, '"');
}

int record_write(struct buf *out, const struct record *r) {
    size_t start = out->len;
    char ts[CLOCK_RFC3339_BYTES];
    int err = buf_addc(out, '{');
    if (!err && r->seq) err = buf_addf(out, "\"seq\":%" PRIu64 ",", r->seq);
    clock_format_rfc3339(r->ts_us, ts);
    if (!err) err = buf_adds(out, "\"ts\":\"");
    if (!err) err = buf_add(out, ts, sizeof ts);
    if (!err) err = buf_addc(out, '"');
    if (!err && r->rank >= 0) err = buf_addf(out, ",\"rank\":%" PRId32, r->rank);
    if (!err && r->replica && *r->replica) err = add_key_str(out, ",\"replica\":\"", r->replica);
    if (!err && r->stream && *r->stream) err = add_key_str(out, ",\"stream\":\"", r->stream);
    if (!err && r->level != LEVEL_NONE) err = add_key_str(out, ",\"level\":\"", level_name(r->level));
    if (!err && r->is_state) err = add_key_str(out, ",\"state\":\"", state_name(r->state));
    if (!err) err = buf_adds(out, ",\"msg\":\"");
    if (!err) err = json_escape(out, r->msg ? r->msg : "", r->msg ? r->msg_len : 0);
    if (!err) err = buf_addc(out, '"');
    if (!err && r->is_state && r->has_exit_code) err = buf_addf(out, ",\"exit_code\":%" PRId64, r->exit_code);
    if (!err && r->fields_json) {
        err = buf_adds(out, ",\"fields\":");
        if (!err) err = buf_add(out, r->fields_json, r->fields_json_len);
    }
    if (!err) err = buf_add(out, "}\n", 2);
    if (err) {
        out->len = start;
        if (out->data) out->data[start] = '\0';
    }
    return err;
}

/* A place in the line. */
struct scan {
    const char *p, *end;
};

/* Step over text when it stands here. */
static inline int take(struct scan *s, const char *text, size_t n) {
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0) return 0;
    s->p += n;
    return 1;
}
#define TAKE(s, literal) take(s, literal, sizeof(literal) - 1)

/* Inside a string: its slice up to the closing quote, which is stepped over. */
static int take_string(struct scan *s, const char **ret, size_t *ret_len) {
    const char *start = s->p, *q = s->p;
    for (;;) {
        q = memchr(q, '"', (size_t)(s->end - q));
        if (!q) return 0;
        size_t slashes = 0;
        while (q - slashes > start && q[-1 - (ptrdiff_t)slashes] == '\\') slashes++;
        if (slashes % 2 == 0) break;
        q++;
    }
    *ret = start;
    *ret_len = (size_t)(q - start);
    s->p = q + 1;
    return 1;
}

static int take_u64(struct scan *s, uint64_t *ret) {
    const char *start = s->p;
    uint64_t v = 0;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s->p - '0'), &v))
            return 0;
        s->p++;
    }
    *ret = v;
    return s->p > start;
}

static int take_i64(struct scan *s, int64_t *ret) {
    uint64_t v;
    int negative = TAKE(s, "-");
    if (!take_u64(s, &v) || v > INT64_MAX) return 0;
    *ret = negative ? -(int64_t)v : (int64_t)v;
    return 1;
}

static inline int two(const char *p) { return (p[0] - '0') * 10 + (p[1] - '0'); }

/* "2026-11-23T20:54:01.123456Z" at p, 27 bytes that are there. Fixed places: no general parse. */
static int read_ts(const char *p, int64_t *ret) {
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    for (int i = 0; i < CLOCK_RFC3339_BYTES; i++)
        if (shape[i] == 'd' ? (p[i] < '0' || p[i] > '9') : p[i] != shape[i]) return 0;
    int64_t y = two(p) * 100 + two(p + 2), m = two(p + 5), d = two(p + 8);
    if (m < 1 || m > 12 || d < 1 || d > 31) return 0;
    /* days from civil (H. Hinnant's algorithm), March-based year */
    y -= m <= 2;
    int64_t era = y / 400, yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t days = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
    int64_t us = (two(p + 20) * 100 + two(p + 22)) * 100 + two(p + 24);
    *ret = (((days * 24 + two(p + 11)) * 60 + two(p + 14)) * 60 + two(p + 17)) * INT64_C(1000000) + us;
    return 1;
}

/* Keys between ts and msg. */
static int scan_attributes(struct scan *s, struct record_view *v) {
    const char *text;
    size_t len;
    uint64_t n;
    if (TAKE(s, ",\"rank\":")) {
        if (!take_u64(s, &n) || n > RECORD_RANK_MAX) return 0;
        v->rank = (int32_t)n;
    }
    if (TAKE(s, ",\"replica\":\"") && !take_string(s, &v->replica, &v->replica_len)) return 0;
    if (TAKE(s, ",\"stream\":\"") && !take_string(s, &v->stream, &v->stream_len)) return 0;
    if (TAKE(s, ",\"level\":\"")) {
        if (!take_string(s, &text, &len)) return 0;
        v->level = level_parse(text, len);
    }
    if (TAKE(s, ",\"state\":\"")) {
        if (!take_string(s, &text, &len) || state_parse(text, len, &v->state) != 0) return 0;
        v->is_state = 1;
    }
    return 1;
}

int record_parse(const char *line, size_t len, struct record_view *ret) {
    if (len && line[len - 1] == '\n') len--;
    struct scan s = {line, line + len};
    struct record_view v = {.rank = RECORD_RANK_NONE};
    if (!TAKE(&s, "{\"")) return ERR_CORRUPT;
    if (TAKE(&s, "seq\":") && (!take_u64(&s, &v.seq) || !TAKE(&s, ",\""))) return ERR_CORRUPT;
    if (!TAKE(&s, "ts\":\"") || s.end - s.p < CLOCK_RFC3339_BYTES + 1 || !read_ts(s.p, &v.ts_us)) return ERR_CORRUPT;
    s.p += CLOCK_RFC3339_BYTES;
    if (!TAKE(&s, "\"") || !scan_attributes(&s, &v)) return ERR_CORRUPT;
    if (!TAKE(&s, ",\"msg\":\"") || !take_string(&s, &v.msg_json, &v.msg_json_len)) return ERR_CORRUPT;
    if (TAKE(&s, ",\"exit_code\":")) {
        if (!take_i64(&s, &v.exit_code)) return ERR_CORRUPT;
        v.has_exit_code = 1;
    }
    if (TAKE(&s, ",\"fields\":")) {
        if (s.end - s.p < 3 || *s.p != '{' || s.end[-2] != '}') return ERR_CORRUPT;
        v.fields_json = s.p;
        v.fields_json_len = (size_t)(s.end - 1 - s.p);
        s.p = s.end - 1;
    }
    if (!TAKE(&s, "}") || s.p != s.end) return ERR_CORRUPT;
    *ret = v;
    return 0;
}

int record_msg(const struct record_view *v, struct buf *out) {
    if (!memchr(v->msg_json, '\\', v->msg_json_len)) return buf_add(out, v->msg_json, v->msg_json_len);
    return json_unescape(out, v->msg_json, v->msg_json_len);
}

/*
 * ingest/line.c -- one JSON object read as a log line.
 *
 * One pass over the object fills a slot for each known name and copies the other members to the fields;
 * then every group of names picks its first slot that holds something usable, and what lost or could not
 * be used is added to the fields under its own name: nothing a producer says is dropped.
 */
#include "ingest/line.h"

#include "base/err.h"
#include "ingest/decode.h"
#include "job/id.h"
#include "job/record.h"

#include <string.h>

/* In order of priority within a group. */
#define SLOT_TABLE(X)                                                                              \
    X(TS, "ts")                                                                                    \
    X(TIMESTAMP, "timestamp")                                                                      \
    X(TIME, "time")                                                                                \
    X(AT_TIMESTAMP, "@timestamp")                                                                  \
    X(MSG, "msg")                                                                                  \
    X(MESSAGE, "message")                                                                          \
    X(LOG, "log")                                                                                  \
    X(BODY, "body")                                                                                \
    X(TEXT, "text")                                                                                \
    X(LEVEL, "level")                                                                              \
    X(SEVERITY, "severity")                                                                        \
    X(LVL, "lvl")                                                                                  \
    X(LEVELNAME, "levelname")                                                                      \
    X(RANK, "rank")                                                                                \
    X(REPLICA, "replica")                                                                          \
    X(STREAM, "stream")                                                                            \
    X(FIELDS, "fields")

enum slot {
#define X(name, text) SLOT_##name,
    SLOT_TABLE(X)
#undef X
        SLOT_COUNT
};

static const struct {
    const char *text;
    size_t len;
} slot_names[SLOT_COUNT] = {
#define X(name, text) {text, sizeof text - 1},
    SLOT_TABLE(X)
#undef X
};

enum value_kind { VALUE_NONE, VALUE_STRING, VALUE_OTHER /* number, bool, array, object: as text */ };

struct value {
    enum value_kind kind;
    struct scan_text t;
};

struct object {
    struct line_reader *r;
    struct value values[SLOT_COUNT];
    uint32_t present; /* bits of slots */
};

void line_reader_init(struct line_reader *r)
{
    buf_init(&r->strings, 0);
    buf_init(&r->key, 0);
    buf_init(&r->fields_given, 0);
    buf_init(&r->fields, 0);
    r->minute_us = -1;
}

void line_reader_release(struct line_reader *r)
{
    buf_release(&r->strings);
    buf_release(&r->key);
    buf_release(&r->fields_given);
    buf_release(&r->fields);
}

void line_reader_trim(struct line_reader *r, size_t bytes_max)
{
    struct buf *const bufs[] = {&r->strings, &r->key, &r->fields_given, &r->fields};

    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) {
        if (bufs[i]->cap > bytes_max) buf_release(bufs[i]);
    }
}

int line_stream_valid(const char *s, size_t len)
{
    if (len == 0 || len > RECORD_STREAM_BYTES_MAX) return 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] <= ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\') return 0;
    }
    return 1;
}

int line_parse_rank(const char *s, size_t len, int32_t *ret_rank)
{
    int32_t v = 0;

    if (len == 0 || len > 5) return ERR_INVALID;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9') return ERR_INVALID;
        v = v * 10 + (s[i] - '0');
    }
    if (v > RECORD_RANK_MAX) return ERR_INVALID;
    *ret_rank = v;
    return 0;
}

/* Literals, so that each comparison is a few instructions. */
static enum slot slot_of(const char *k, size_t len)
{
#define IS(name) (memcmp(k, name, sizeof name - 1) == 0)
    switch (len) {
    case 2: return IS("ts") ? SLOT_TS : SLOT_COUNT;
    case 3: return IS("msg") ? SLOT_MSG : IS("log") ? SLOT_LOG : IS("lvl") ? SLOT_LVL : SLOT_COUNT;
    case 4:
        return IS("rank")   ? SLOT_RANK
               : IS("time") ? SLOT_TIME
               : IS("text") ? SLOT_TEXT
               : IS("body") ? SLOT_BODY
                            : SLOT_COUNT;
    case 5: return IS("level") ? SLOT_LEVEL : SLOT_COUNT;
    case 6: return IS("stream") ? SLOT_STREAM : IS("fields") ? SLOT_FIELDS : SLOT_COUNT;
    case 7: return IS("message") ? SLOT_MESSAGE : IS("replica") ? SLOT_REPLICA : SLOT_COUNT;
    case 8: return IS("severity") ? SLOT_SEVERITY : SLOT_COUNT;
    case 9: return IS("timestamp") ? SLOT_TIMESTAMP : IS("levelname") ? SLOT_LEVELNAME : SLOT_COUNT;
    case 10: return IS("@timestamp") ? SLOT_AT_TIMESTAMP : SLOT_COUNT;
    default: return SLOT_COUNT;
    }
#undef IS
}

static const char *text_of(const struct object *o, enum slot slot)
{
    const struct scan_text *t = &o->values[slot].t;
    return t->text ? t->text : o->r->strings.data + t->offset;
}

/* The value at s as the slot's; null empties it. */
static int read_known(struct object *o, struct scan *s, enum slot slot)
{
    struct value *v = &o->values[slot];
    struct buf *strings = &o->r->strings;
    int err;

    o->present &= ~(1u << slot);
    scan_space(s);
    if (s->p < s->end && *s->p == '"') {
        s->p++;
        err = scan_string(s, strings, &v->t);
        v->kind = VALUE_STRING;
    } else if (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        err = scan_number(s, &v->t.text, &v->t.len);
        v->t.flags = 0;
        v->kind = VALUE_OTHER;
    } else {
        v->t = (struct scan_text){.offset = strings->len};
        err = scan_value(s, strings, DECODE_DEPTH_MAX);
        v->t.len = strings->len - v->t.offset;
        v->kind = VALUE_OTHER;
        if (!err && v->t.len == 4 && memcmp(strings->data + v->t.offset, "null", 4) == 0) return 0;
    }
    if (!err) o->present |= 1u << slot;
    return err;
}

static int read_member(struct object *o, struct scan *s)
{
    struct line_reader *r = o->r;
    struct scan_text key;
    enum slot slot;
    int err;

    if (s->p == s->end || *s->p != '"') return scan_fail(s, "a member's name is missing");
    s->p++;
    buf_clear(&r->key);
    err = scan_string(s, &r->key, &key);
    if (err) return err;
    const char *name = key.text ? key.text : r->key.data + key.offset;
    scan_space(s);
    if (s->p == s->end || *s->p != ':') return scan_fail(s, "a ':' is missing");
    s->p++;
    slot = slot_of(name, key.len);
    if (slot == SLOT_FIELDS) {
        scan_space(s);
        if (s->p < s->end && *s->p == '{') {
            buf_clear(&r->fields_given);
            return scan_members(s, &r->fields_given, DECODE_DEPTH_MAX - 1);
        }
    }
    if (slot != SLOT_COUNT) return read_known(o, s, slot);
    if (r->fields.len) err = buf_addc(&r->fields, ',');
    if (!err) err = buf_addc(&r->fields, '"');
    if (!err) err = buf_add(&r->fields, name, key.len);
    if (!err) err = buf_add(&r->fields, "\":", 2);
    return err ? err : scan_value(s, &r->fields, DECODE_DEPTH_MAX);
}

static int read_members(struct object *o, struct scan *s)
{
    s->p++;
    scan_space(s);
    if (s->p < s->end && *s->p == '}') return scan_fail(s, "the object is empty");
    for (;;) {
        scan_space(s);
        int err = read_member(o, s);
        if (err) return err;
        scan_space(s);
        if (s->p == s->end) return scan_fail(s, "the object is not closed");
        if (*s->p != ',' && *s->p != '}') return scan_fail(s, "a ',' or '}' is missing");
        if (*s->p++ == '}') return 0;
    }
}

/* A value nobody could use, or that lost against another name, stays as a field. */
static int keep_as_field(struct object *o, enum slot slot)
{
    struct buf *f = &o->r->fields;
    const struct value *v = &o->values[slot];
    int is_string = v->kind == VALUE_STRING;
    int err = 0;

    if (f->len) err = buf_addc(f, ',');
    if (!err) err = buf_addc(f, '"');
    if (!err) err = buf_add(f, slot_names[slot].text, slot_names[slot].len);
    if (!err) err = buf_add(f, is_string ? "\":\"" : "\":", is_string ? 3 : 2);
    if (!err) err = buf_add(f, text_of(o, slot), v->t.len);
    if (!err && is_string) err = buf_addc(f, '"');
    return err;
}

static int two_digits(const char *p, int max)
{
    int v = (p[0] - '0') * 10 + (p[1] - '0');
    return p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9' || v > max ? -1 : v;
}

/* A time in canonical form, its minute remembered: most lines of a log share it. */
static int canonical_time(struct line_reader *r, const char *t, int64_t *ret_us)
{
    int second = two_digits(t + 17, 59);
    int64_t fraction = 0;

    if (second < 0 || t[10] != 'T' || t[16] != ':' || t[19] != '.' || t[26] != 'Z') return 0;
    for (int i = 20; i < 26; i++) {
        if (t[i] < '0' || t[i] > '9') return 0;
        fraction = fraction * 10 + (t[i] - '0');
    }
    fraction += second * INT64_C(1000000);
    if (r->minute_us < 0 || memcmp(r->minute, t, sizeof r->minute) != 0) {
        int64_t us;
        if (clock_parse_rfc3339(t, CLOCK_RFC3339_BYTES, &us)) return 0;
        memcpy(r->minute, t, sizeof r->minute);
        r->minute_us = us - fraction;
    }
    *ret_us = r->minute_us + fraction;
    return 1;
}

static int take_time(struct object *o, enum slot slot, struct line *ret)
{
    const char *t = text_of(o, slot);
    size_t len = o->values[slot].t.len;

    if (o->values[slot].kind == VALUE_STRING && len == CLOCK_RFC3339_BYTES &&
        canonical_time(o->r, t, &ret->ts_us)) {
        memcpy(ret->ts_text, t, CLOCK_RFC3339_BYTES);
        return 0;
    }
    if (clock_parse_rfc3339(t, len, &ret->ts_us) && clock_parse_epoch(t, len, &ret->ts_us)) {
        return ERR_INVALID;
    }
    clock_format_rfc3339(ret->ts_us, ret->ts_text);
    return 0;
}

/* The canonical names first: they are what nearly every line says. */
static enum level level_of(const char *t, size_t len)
{
    if (len == 4 && memcmp(t, "info", 4) == 0) return LEVEL_INFO;
    if (len == 4 && memcmp(t, "warn", 4) == 0) return LEVEL_WARN;
    if (len == 5 && memcmp(t, "debug", 5) == 0) return LEVEL_DEBUG;
    if (len == 5 && memcmp(t, "error", 5) == 0) return LEVEL_ERROR;
    return level_parse(t, len);
}

static int take_level(struct object *o, enum slot slot, struct line *ret)
{
    ret->level = level_of(text_of(o, slot), o->values[slot].t.len);
    return ret->level == LEVEL_NONE ? ERR_INVALID : 0;
}

static int take_msg(struct object *o, enum slot slot, struct line *ret)
{
    const struct value *v = &o->values[slot];
    struct buf *strings = &o->r->strings;

    ret->msg_flags = v->t.flags;
    ret->msg_plain_bytes = v->t.plain_bytes;
    ret->msg_len = v->t.len;
    if (v->kind == VALUE_STRING) {
        ret->msg = text_of(o, slot);
        /* docker and the kubelet keep the line's own newline in "log" */
        if (slot == SLOT_LOG && ret->msg_len >= 2 && memcmp(ret->msg + ret->msg_len - 2, "\\n", 2) == 0) {
            size_t slashes = 1;
            while (slashes < ret->msg_len - 1 && ret->msg[ret->msg_len - 2 - slashes] == '\\') slashes++;
            if (slashes % 2 == 1) {
                ret->msg_len -= 2;
                ret->msg_plain_bytes--;
            }
        }
        return 0;
    }
    /* a number, object, …: its text is the message. scan_escape reads what reserve keeps in place. */
    size_t offset = strings->len;
    struct scan plain;
    int err = buf_reserve(strings, 2 * v->t.len);
    if (err) return err;
    scan_init(&plain, text_of(o, slot), v->t.len);
    err = scan_escape(&plain, strings, plain.p, v->t.len);
    ret->msg = strings->data + offset;
    ret->msg_len = strings->len - offset;
    ret->msg_plain_bytes = v->t.len;
    ret->msg_flags = SCAN_ESCAPED;
    return err;
}

static int take_rank(struct object *o, enum slot slot, struct line *ret)
{
    return line_parse_rank(text_of(o, slot), o->values[slot].t.len, &ret->rank);
}

static int take_replica(struct object *o, enum slot slot, struct line *ret)
{
    const struct value *v = &o->values[slot];
    if (v->kind != VALUE_STRING || (v->t.len && !id_valid(text_of(o, slot), v->t.len))) return ERR_INVALID;
    ret->replica = text_of(o, slot);
    ret->replica_len = v->t.len;
    return 0;
}

static int take_stream(struct object *o, enum slot slot, struct line *ret)
{
    const struct value *v = &o->values[slot];
    if (v->kind != VALUE_STRING || (v->t.len && !line_stream_valid(text_of(o, slot), v->t.len))) {
        return ERR_INVALID;
    }
    ret->stream = text_of(o, slot);
    ret->stream_len = v->t.len;
    return 0;
}

typedef int take_fn(struct object *o, enum slot slot, struct line *ret);

/* The first usable of [from, to] is taken; the others become fields. */
static int choose(struct object *o, enum slot from, enum slot to, take_fn *take, struct line *ret,
                  int *ret_taken)
{
    *ret_taken = 0;
    for (unsigned slot = from; slot <= to; slot++) {
        if (!(o->present & 1u << slot)) continue;
        if (!*ret_taken) {
            int err = take(o, slot, ret);
            if (!err) {
                *ret_taken = 1;
                continue;
            }
            if (err != ERR_INVALID) return err;
        }
        int err = keep_as_field(o, slot);
        if (err) return err;
    }
    return 0;
}

int line_read_object(struct line_reader *r, struct scan *s, struct line *ret)
{
    struct object o;
    int taken, err;

    o.r = r;
    o.present = 0;
    buf_clear(&r->strings);
    buf_clear(&r->fields_given);
    buf_clear(&r->fields);
    ret->rank = RECORD_RANK_NONE;
    ret->level = LEVEL_NONE;
    ret->replica_len = ret->stream_len = 0;
    ret->msg = "";
    ret->msg_len = ret->msg_plain_bytes = 0;
    ret->msg_flags = 0;

    err = read_members(&o, s);
    /* msg first: it may move the strings, and what is borrowed after it stays where it is */
    if (!err) err = choose(&o, SLOT_MSG, SLOT_TEXT, take_msg, ret, &taken);
    if (!err) err = choose(&o, SLOT_TS, SLOT_AT_TIMESTAMP, take_time, ret, &ret->has_ts);
    if (!err) err = choose(&o, SLOT_LEVEL, SLOT_LEVELNAME, take_level, ret, &taken);
    if (!err) err = choose(&o, SLOT_RANK, SLOT_RANK, take_rank, ret, &taken);
    if (!err) err = choose(&o, SLOT_REPLICA, SLOT_REPLICA, take_replica, ret, &taken);
    if (!err) err = choose(&o, SLOT_STREAM, SLOT_STREAM, take_stream, ret, &taken);
    if (!err && (o.present & 1u << SLOT_FIELDS)) err = keep_as_field(&o, SLOT_FIELDS);
    if (!err && r->fields_given.len) {
        if (r->fields.len) err = buf_addc(&r->fields_given, ',');
        if (!err) err = buf_add(&r->fields_given, r->fields.data, r->fields.len);
        ret->fields = r->fields_given.data;
        ret->fields_len = r->fields_given.len;
    } else {
        ret->fields = r->fields.data;
        ret->fields_len = r->fields.len;
    }
    if (!err && ret->fields_len > DECODE_FIELDS_BYTES_MAX) {
        s->why = "the fields exceed 65536 bytes";
        return ERR_TOO_BIG;
    }
    return err;
}

/*
 * ingest/scan.c -- a scanner of JSON text that copies what is already good.
 *
 * A string is read as runs of plain bytes (found 16 at a time) and units between them: an escape, a
 * multi-byte character, a raw control byte, a byte that is no UTF-8. classify() says of a unit how
 * long it is and whether it can stay. As long as all can stay nothing is copied; from the first that
 * cannot, the string is rewritten into the scratch buffer.
 */
#include "ingest/scan.h"

#include "base/err.h"
#include "base/utf8.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define REPLACEMENT "\xef\xbf\xbd"

void scan_init(struct scan *s, const char *text, size_t len)
{
    s->p = text;
    s->end = text + len;
    s->why = "";
    s->replaced_count = 0;
    s->nul_count = 0;
}

int scan_fail(struct scan *s, const char *why)
{
    s->why = why;
    return ERR_INVALID;
}

/* The first byte that is '"', '\\', a control or not ASCII. */
static inline __attribute__((always_inline)) const char *skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* signed: bytes >= 0x80 are negative, so one compare finds them and the controls */
        __m128i hit = _mm_or_si128(_mm_cmplt_epi8(v, space),
                                   _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask) return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    while (p < end && (signed char)*p >= 0x20 && *p != '"' && *p != '\\') p++;
    return p;
}

/* Bytes of the UTF-8 character at p (not ASCII), 0 when it is none (RFC 3629). */
static size_t utf8_step(const char *text, const char *end)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t left = (size_t)(end - text);

    if (p[0] < 0xc2 || p[0] > 0xf4) return 0;
    if (left < 2 || (p[1] & 0xc0) != 0x80) return 0;
    if (p[0] < 0xe0) return 2;
    if (left < 3 || (p[2] & 0xc0) != 0x80) return 0;
    if (p[0] < 0xf0) {
        if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
        if (p[0] == 0xed && p[1] > 0x9f) return 0;
        return 3;
    }
    if (left < 4 || (p[3] & 0xc0) != 0x80) return 0;
    if (p[0] == 0xf0 && p[1] < 0x90) return 0;
    if (p[0] == 0xf4 && p[1] > 0x8f) return 0;
    return 4;
}

enum unit_kind {
    UNIT_KEEP,      /* may stand as it is */
    UNIT_SURROGATE, /* lone: \ufffd */
    UNIT_CONTROL,   /* raw: escape it */
    UNIT_NOT_UTF8,  /* replace it */
    UNIT_BAD,       /* no JSON at all */
};

struct unit {
    enum unit_kind kind;
    size_t bytes;       /* in the input */
    size_t plain_bytes; /* unescaped, after replacement */
    unsigned flags;
    int is_nul;
};

/* Four hex digits, or -1. */
static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        v = v << 4 | digit;
    }
    return v;
}

static void classify_escape(const char *p, const char *end, struct unit *u)
{
    size_t left = (size_t)(end - p);

    u->kind = UNIT_BAD;
    u->flags = SCAN_ESCAPED;
    if (left < 2) return;
    if (p[1] != 'u') {
        if (!strchr("\"\\/bfnrt", p[1]) || !p[1]) return;
        u->kind = UNIT_KEEP;
        u->bytes = 2;
        u->plain_bytes = 1;
        if (p[1] == 'r') u->flags |= SCAN_CR;
        return;
    }
    int v = left >= 6 ? hex4(p + 2) : -1;
    if (v < 0) return;
    u->kind = UNIT_KEEP;
    u->bytes = 6;
    u->plain_bytes = v < 0x80 ? 1 : v < 0x800 ? 2 : 3;
    u->is_nul = v == 0;
    if (v == '\r') u->flags |= SCAN_CR;
    if (v < 0xd800 || v > 0xdfff) return;
    int low = left >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : -1;
    if (v < 0xdc00 && low >= 0xdc00 && low <= 0xdfff) {
        u->bytes = 12;
        u->plain_bytes = 4;
    } else {
        u->kind = UNIT_SURROGATE;
    }
}

static void classify(const char *p, const char *end, struct unit *u)
{
    unsigned char c = (unsigned char)*p;

    u->flags = 0;
    u->is_nul = 0;
    if (c == '\\') {
        classify_escape(p, end, u);
    } else if (c >= 0x80) {
        size_t n = utf8_step(p, end);
        u->kind = n ? UNIT_KEEP : UNIT_NOT_UTF8;
        u->bytes = n ? n : utf8_bad_run(p, (size_t)(end - p));
        u->plain_bytes = n ? n : 3;
    } else if (c < 0x20) {
        u->kind = UNIT_CONTROL;
        u->bytes = u->plain_bytes = 1;
        u->is_nul = c == 0;
        u->flags = SCAN_ESCAPED | (c == '\r' ? SCAN_CR : 0);
    } else { /* '"' or '\\' in plain text */
        u->kind = UNIT_KEEP;
        u->bytes = u->plain_bytes = 1;
    }
}

static int add_control(struct buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char names[0x20] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};

    if (names[c]) return buf_add(out, (char[]){'\\', names[c]}, 2);
    return buf_add(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

static int add_unit(struct scan *s, struct buf *out, const char *p, const struct unit *u)
{
    s->nul_count += (uint64_t)u->is_nul;
    switch (u->kind) {
    case UNIT_KEEP: return buf_add(out, p, u->bytes);
    case UNIT_CONTROL: return add_control(out, (unsigned char)*p);
    case UNIT_SURROGATE: s->replaced_count++; return buf_adds(out, "\\ufffd");
    case UNIT_NOT_UTF8: s->replaced_count++; return buf_adds(out, REPLACEMENT);
    case UNIT_BAD: break;
    }
    return ERR_INVALID;
}

/* Go on with a string whose bytes up to p are good and whose next unit is not. */
static int rewrite_string(struct scan *s, struct buf *scratch, const char *p, struct scan_text *ret)
{
    size_t offset = scratch->len;
    int err = buf_add(scratch, s->p, (size_t)(p - s->p));

    while (!err) {
        const char *run = p;
        struct unit u;

        p = skip_plain(p, s->end);
        ret->plain_bytes += (size_t)(p - run);
        err = buf_add(scratch, run, (size_t)(p - run));
        if (err) break;
        if (p == s->end) return scan_fail(s, "a string is not closed");
        if (*p == '"') {
            ret->text = NULL;
            ret->offset = offset;
            ret->len = scratch->len - offset;
            s->p = p + 1;
            return 0;
        }
        classify(p, s->end, &u);
        if (u.kind == UNIT_BAD) {
            s->p = p;
            return scan_fail(s, "a string holds a bad escape");
        }
        ret->flags |= u.flags;
        ret->plain_bytes += u.plain_bytes;
        err = add_unit(s, scratch, p, &u);
        p += u.bytes;
    }
    return err;
}

int scan_string(struct scan *s, struct buf *scratch, struct scan_text *ret)
{
    const char *p = s->p;
    size_t nul_count = 0;

    ret->plain_bytes = 0;
    ret->flags = 0;
    for (;;) {
        const char *run = p;
        struct unit u;

        p = skip_plain(p, s->end);
        ret->plain_bytes += (size_t)(p - run);
        if (p == s->end) return scan_fail(s, "a string is not closed");
        if (*p == '"') break;
        classify(p, s->end, &u);
        if (u.kind == UNIT_BAD) {
            s->p = p;
            return scan_fail(s, "a string holds a bad escape");
        }
        if (u.kind != UNIT_KEEP) {
            s->nul_count += nul_count;
            return rewrite_string(s, scratch, p, ret);
        }
        ret->flags |= u.flags;
        ret->plain_bytes += u.plain_bytes;
        nul_count += (size_t)u.is_nul;
        p += u.bytes;
    }
    s->nul_count += nul_count;
    ret->text = s->p;
    ret->offset = 0;
    ret->len = (size_t)(p - s->p);
    s->p = p + 1;
    return 0;
}

static int copy_string(struct scan *s, struct buf *out)
{
    struct scan_text t;
    int err = buf_addc(out, '"');

    if (!err) err = scan_string(s, out, &t);
    if (!err && t.text) err = buf_add(out, t.text, t.len);
    if (!err) err = buf_addc(out, '"');
    return err;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') p++;
    return p;
}

/* RFC 8259 section 6. Returns the end of the number at p, or NULL. */
static const char *number_end(const char *p, const char *end)
{
    const char *digits;

    if (p < end && *p == '-') p++;
    if (p < end && *p == '0') {
        p++;
    } else {
        digits = p;
        p = skip_digits(p, end);
        if (p == digits) return NULL;
    }
    if (p < end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, end);
        if (p == digits) return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        digits = p;
        p = skip_digits(p, end);
        if (p == digits) return NULL;
    }
    return p;
}

int scan_number(struct scan *s, const char **ret_text, size_t *ret_len)
{
    const char *end = number_end(s->p, s->end);

    if (!end || (end < s->end && ((*end >= '0' && *end <= '9') || *end == '.'))) {
        return scan_fail(s, "a value is no JSON");
    }
    *ret_text = s->p;
    *ret_len = (size_t)(end - s->p);
    s->p = end;
    return 0;
}

static int copy_atom(struct scan *s, struct buf *out)
{
    static const struct {
        const char *text;
        const char *stored;
    } words[] = {{"true", "true"},       {"false", "false"},          {"null", "null"},
                 {"NaN", "\"NaN\""},     {"Infinity", "\"Infinity\""}, {"-Infinity", "\"-Infinity\""}};
    size_t left = (size_t)(s->end - s->p), len;
    const char *text;
    int err;

    for (size_t i = 0; (*s->p < '0' || *s->p > '9') && i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].text);
        if (left < n || memcmp(s->p, words[i].text, n) != 0) continue;
        s->p += n;
        return buf_adds(out, words[i].stored);
    }
    err = scan_number(s, &text, &len);
    return err ? err : buf_add(out, text, len);
}

int scan_members(struct scan *s, struct buf *out, int depth)
{
    int err = 0;
    int first = 1;

    s->p++;
    scan_space(s);
    if (s->p < s->end && *s->p == '}') {
        s->p++;
        return 0;
    }
    while (!err) {
        scan_space(s);
        if (s->p == s->end || *s->p != '"') return scan_fail(s, "a member's name is missing");
        s->p++;
        /* a comma before, unless nothing of this object was written yet */
        if (!first || (out->len && out->data[out->len - 1] != '{')) err = buf_addc(out, ',');
        first = 0;
        if (!err) err = copy_string(s, out);
        if (err) break;
        scan_space(s);
        if (s->p == s->end || *s->p != ':') return scan_fail(s, "a ':' is missing");
        s->p++;
        err = buf_addc(out, ':');
        if (!err) err = scan_value(s, out, depth);
        if (err) break;
        scan_space(s);
        if (s->p == s->end) return scan_fail(s, "an object is not closed");
        if (*s->p != ',' && *s->p != '}') return scan_fail(s, "a ',' or '}' is missing");
        if (*s->p++ == '}') return 0;
    }
    return err;
}

static int copy_array(struct scan *s, struct buf *out, int depth)
{
    int err = buf_addc(out, '[');

    s->p++;
    scan_space(s);
    if (s->p < s->end && *s->p == ']') {
        s->p++;
        return err ? err : buf_addc(out, ']');
    }
    while (!err) {
        err = scan_value(s, out, depth);
        if (err) break;
        scan_space(s);
        if (s->p == s->end) return scan_fail(s, "an array is not closed");
        if (*s->p != ',' && *s->p != ']') return scan_fail(s, "a ',' or ']' is missing");
        char c = *s->p++;
        err = buf_addc(out, c);
        if (c == ']') break;
    }
    return err;
}

int scan_value(struct scan *s, struct buf *out, int depth)
{
    int err;

    scan_space(s);
    if (s->p == s->end) return scan_fail(s, "a value is missing");
    switch (*s->p) {
    case '"': s->p++; return copy_string(s, out);
    case '[':
        if (depth <= 0) return scan_fail(s, "values are nested too deep");
        return copy_array(s, out, depth - 1);
    case '{':
        if (depth <= 0) return scan_fail(s, "values are nested too deep");
        err = buf_addc(out, '{');
        if (!err) err = scan_members(s, out, depth - 1);
        return err ? err : buf_addc(out, '}');
    default: return copy_atom(s, out);
    }
}

int scan_escape(struct scan *s, struct buf *out, const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    int err = 0;

    while (!err && p < end) {
        const char *run = p;
        struct unit u;

        p = skip_plain(p, end);
        if (p > run) err = buf_add(out, run, (size_t)(p - run));
        if (err || p == end) break;
        if (*p == '"' || *p == '\\') {
            err = buf_add(out, (char[]){'\\', *p}, 2);
            p++;
            continue;
        }
        classify(p, end, &u);
        err = add_unit(s, out, p, &u);
        p += u.bytes;
    }
    return err;
}

size_t scan_cut(const char *text, size_t max)
{
    size_t n = max;

    while (n > 0 && max - n < 3 && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
    return ((unsigned char)text[n] & 0xc0) == 0x80 || n == 0 ? max : n;
}

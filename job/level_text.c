/*
 * job/level_text.c -- the level of a line, read from the shape that loggers give its beginning.
 *
 * Only places where a logger puts its level are believed; a word inside prose is not ("0 errors
 * found", "step 12 ERROR rate 0.3"). The walk: take colour out, step over the prefixes launchers
 * add ("[rank3]:", "3: ", "(Worker pid=12) "), try what stands at the beginning (tracebacks, glog),
 * then look at each level word and ask whether what is around it is a logger's.
 */
#include "job/level.h"

#include <string.h>

#define LOOK_BYTES 256
#define STAMP_BYTES 24 /* "2026-11-23 20:54:01,123" */
#define ESCAPE '\x1b'
#define LITERAL(s) s, sizeof(s) - 1

struct text {
    const char *s;
    size_t n;
    int has_stamp; /* begins with a date or a time */
};

static int is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_name(char c)
{
    return is_upper(c) || (c >= 'a' && c <= 'z') || is_digit(c) || c == '_';
}

static int starts(const char *s, size_t n, const char *with, size_t len)
{
    return n >= len && memcmp(s, with, len) == 0;
}

/* The words loggers print, in capitals or not at all. */
static enum level word_level(const char *s, size_t len)
{
    switch (len) {
    case 4:
        if (memcmp(s, "INFO", 4) == 0) return LEVEL_INFO;
        return memcmp(s, "WARN", 4) == 0 ? LEVEL_WARN : LEVEL_NONE;
    case 5:
        if (memcmp(s, "ERROR", 5) == 0) return LEVEL_ERROR;
        if (memcmp(s, "DEBUG", 5) == 0) return LEVEL_DEBUG;
        if (memcmp(s, "FATAL", 5) == 0) return LEVEL_FATAL;
        return memcmp(s, "TRACE", 5) == 0 ? LEVEL_TRACE : LEVEL_NONE;
    case 6: return memcmp(s, "NOTICE", 6) == 0 ? LEVEL_INFO : LEVEL_NONE;
    case 7: return memcmp(s, "WARNING", 7) == 0 ? LEVEL_WARN : LEVEL_NONE;
    case 8: return memcmp(s, "CRITICAL", 8) == 0 ? LEVEL_FATAL : LEVEL_NONE;
    default: return LEVEL_NONE;
    }
}

static enum level letter_level(char c)
{
    switch (c) {
    case 'I': return LEVEL_INFO;
    case 'W': return LEVEL_WARN;
    case 'E': return LEVEL_ERROR;
    case 'F': return LEVEL_FATAL;
    default: return LEVEL_NONE;
    }
}

/* glog: "E1123 20:54:01.123": a letter, month and day, a time. */
static enum level glog_level(const char *s, size_t n)
{
    if (n < 9 || !is_digit(s[1]) || !is_digit(s[2]) || !is_digit(s[3]) || !is_digit(s[4]) ||
        s[5] != ' ' || !is_digit(s[6]) || !is_digit(s[7]) || s[8] != ':')
        return LEVEL_NONE;
    return letter_level(s[0]);
}

/* "20:54" or "2026-11-23" somewhere in a word. */
static int is_stamp(const char *s, size_t n)
{
    for (size_t i = 2; i + 2 < n; i++) {
        if (s[i] != ':' && s[i] != '-' && s[i] != '/') continue;
        if (!is_digit(s[i - 2]) || !is_digit(s[i - 1]) || !is_digit(s[i + 1]) ||
            !is_digit(s[i + 2]))
            continue;
        if (s[i] == ':') return 1;
        if (i + 3 < n && s[i + 3] == s[i]) return 1;
    }
    return 0;
}

/* "RuntimeError: …", "torch.cuda.OutOfMemoryError: …", or such a name alone. */
static int is_exception(const char *s, size_t n)
{
    size_t i = 0, base = 0;
    for (; i < n && (is_name(s[i]) || s[i] == '.'); i++)
        if (s[i] == '.') base = i + 1;
    if (i < n && s[i] != ':') return 0;
    if (i + 1 < n && s[i + 1] != ' ') return 0; /* "x.Error:12" is a place */
    if (base == i || !is_upper(s[base])) return 0;
    size_t len = i - base;
    return (len > 5 && memcmp(s + i - 5, "Error", 5) == 0) ||
           (len > 9 && memcmp(s + i - 9, "Exception", 9) == 0);
}

static const struct beginning {
    const char *text;
    size_t len;
    enum level level;
} beginnings[] = {
    {LITERAL("Traceback (most recent call last)"), LEVEL_ERROR},
    {LITERAL("terminate called"), LEVEL_FATAL},
    {LITERAL("Segmentation fault"), LEVEL_FATAL},
    {LITERAL("Bus error"), LEVEL_FATAL},
    {LITERAL("Aborted (core dumped)"), LEVEL_FATAL},
    {LITERAL("Fatal Python error"), LEVEL_FATAL},
    {LITERAL("Exception in thread"), LEVEL_ERROR},
    {LITERAL("CUDA error"), LEVEL_ERROR},
    {LITERAL("CUDA out of memory"), LEVEL_ERROR},
    {LITERAL("panic: "), LEVEL_FATAL},
    {LITERAL("fatal error: "), LEVEL_FATAL},
    {LITERAL("fatal: "), LEVEL_FATAL},
    {LITERAL("error: "), LEVEL_ERROR},
    {LITERAL("warning: "), LEVEL_WARN},
    {LITERAL("srun: error: "), LEVEL_ERROR},
    {LITERAL("slurmstepd: error: "), LEVEL_ERROR},
    {LITERAL("*** SIG"), LEVEL_FATAL},
    {LITERAL("*** Aborted at "), LEVEL_FATAL},
};

static enum level by_beginning(const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (*s == *beginnings[i].text && starts(s, n, beginnings[i].text, beginnings[i].len))
            return beginnings[i].level;
    if (starts(s, n, LITERAL("thread '")) && memmem(s, n, LITERAL("' panicked at")))
        return LEVEL_FATAL;
    return is_exception(s, n) ? LEVEL_ERROR : LEVEL_NONE;
}

static size_t skip_spaces(const struct text *t, size_t i)
{
    while (i < t->n && t->s[i] == ' ') i++;
    return i;
}

/* After a level word at the beginning: "ERROR: ", "ERROR 2026-…", "ERROR - ", "ERROR [main] ". */
static int follows_first(const struct text *t, size_t k)
{
    if (k == t->n) return 0;
    if (t->s[k] == ':' || t->s[k] == '|') return 1;
    if (t->s[k] != ' ') return 0;
    size_t i = skip_spaces(t, k);
    if (i == t->n) return 0;
    if (t->s[i] == '-' || t->s[i] == '|') return i + 1 < t->n && t->s[i + 1] == ' ';
    if (t->s[i] == '[') return 1;
    size_t left = t->n - i;
    return is_digit(t->s[i]) && is_stamp(t->s + i, left < STAMP_BYTES ? left : STAMP_BYTES);
}

/* The word at [i, k) is in brackets: "[ERROR]", "[ ERROR ]", "[INFO|file.py:12]", "[INFO 20:54". */
static int in_brackets(const struct text *t, size_t i, size_t k)
{
    size_t open = i;
    while (open > 0 && t->s[open - 1] == ' ') open--;
    if (!open || t->s[open - 1] != '[' || k == t->n) return 0;
    if (t->s[k] == ']' || t->s[k] == '|') return 1;
    if (t->s[k] != ' ') return 0;
    size_t next = skip_spaces(t, k);
    return next < t->n && (t->s[next] == ']' || is_digit(t->s[next]));
}

/* Words of the text before i that are not part of the stamp at its beginning. */
static int words_after_stamp(const struct text *t, size_t i)
{
    int words = 0;
    for (size_t at = 0; at < i;) {
        size_t start = at;
        while (at < i && t->s[at] != ' ') at++;
        if (at > start && !is_stamp(t->s + start, at - start)) words++;
        while (at < i && t->s[at] == ' ') at++;
    }
    return words;
}

/* The word at [i, k) comes after a space: what stands before that, and what after it? */
static int after_space(const struct text *t, size_t i, size_t k)
{
    size_t end = i; /* of the word before */
    while (end > 0 && t->s[end - 1] == ' ') end--;
    if (!end) return 0;
    size_t start = end;
    while (start > 0 && t->s[start - 1] != ' ') start--;
    char before = t->s[end - 1], after = k < t->n ? t->s[k] : ' ';
    if (after != ' ' && after != ':' && after != ']' && after != '|' && after != ',') return 0;
    if (is_stamp(t->s + start, end - start)) return 1;
    if (end - start == 1 && (before == '-' || before == '|')) {
        size_t next = skip_spaces(t, k);
        if (t->s[0] == '|' || next == t->n) return 0; /* a table's row */
        return strchr("-|:[", t->s[next]) != NULL;
    }
    if (before == ']') return t->has_stamp || t->s[0] == '[';
    return t->has_stamp && words_after_stamp(t, i) == 1; /* "20:54:01 name ERROR …" */
}

/* "name:ERROR:…", "20:54:01,123:ERROR:…", "…|ERROR|…", "<ERROR>" */
static int between_marks(const struct text *t, size_t i, size_t k)
{
    char before = t->s[i - 1], after = k < t->n ? t->s[k] : '\0';
    if (before == '<') return after == '>';
    if (before == '|') return after == '|' || (after == ' ' && t->has_stamp);
    if (before != ':' || after != ':') return 0;
    return t->has_stamp || !memchr(t->s, ' ', i);
}

static int is_loggers_place(const struct text *t, size_t i, size_t k)
{
    if (i == 0) return follows_first(t, k);
    if (in_brackets(t, i, k)) return 1;
    return t->s[i - 1] == ' ' ? after_space(t, i, k) : between_marks(t, i, k);
}

/* '=' at i: "level=error", "lvl=warn", "severity=\"INFO\"". */
static enum level logfmt_level(const struct text *t, size_t i)
{
    static const struct {
        const char *key;
        size_t len;
    } keys[] = {{LITERAL("level")}, {LITERAL("lvl")}, {LITERAL("severity")}};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        size_t len = keys[k].len;
        if (i < len || memcmp(t->s + i - len, keys[k].key, len) != 0) continue;
        if (i > len && t->s[i - len - 1] != ' ') continue;
        size_t at = i + 1 + (i + 1 < t->n && t->s[i + 1] == '"'), end = at;
        while (end < t->n && is_name(t->s[end])) end++;
        if (at < t->n && is_digit(t->s[at])) return LEVEL_NONE;
        return level_parse(t->s + at, end - at);
    }
    return LEVEL_NONE;
}

/* '[' at i: "[error]" in small letters, as nginx and spdlog have it. */
static enum level small_bracket_level(const struct text *t, size_t i)
{
    size_t end = i + 1;
    while (end < t->n && t->s[end] >= 'a' && t->s[end] <= 'z') end++;
    if (end == t->n || t->s[end] != ']' || (i && !t->has_stamp)) return LEVEL_NONE;
    return level_parse(t->s + i + 1, end - i - 1);
}

/* ": E tensorflow/…": the ':' at i ends a stamp. */
static enum level tensorflow_level(const struct text *t, size_t i)
{
    if (!t->has_stamp || t->n - i < 6 || t->s[i + 1] != ' ' || t->s[i + 3] != ' ')
        return LEVEL_NONE;
    const char *word = t->s + i + 4, *end = memchr(word, ' ', t->n - i - 4);
    if (!end || !memchr(word, '/', (size_t)(end - word))) return LEVEL_NONE;
    return letter_level(t->s[i + 2]);
}

/* "/path/x.py:12: UserWarning: …": the 'W' of "Warning:" at i. */
static int is_python_warning(const struct text *t, size_t i)
{
    if (!starts(t->s + i, t->n - i, LITERAL("Warning: "))) return 0;
    while (i > 0 && is_name(t->s[i - 1])) i--;
    if (i == 0) return 1;
    if (i < 3 || t->s[i - 1] != ' ' || t->s[i - 2] != ':' || !is_digit(t->s[i - 3])) return 0;
    const char *place = memmem(t->s, i, LITERAL(".py:"));
    return place && !memchr(t->s, ' ', (size_t)(place - t->s));
}

/* "host:123:456 [0] NCCL WARN …": the 'N' at i. */
static enum level nccl_level(const struct text *t, size_t i)
{
    if (!starts(t->s + i, t->n - i, LITERAL("NCCL ")) || !i || !memchr(t->s, ':', i))
        return LEVEL_NONE;
    const char *bracket = memrchr(t->s, ']', i);
    if (!bracket || t->s[i - 1] != ' ') return LEVEL_NONE;
    size_t k = i + 5, end = k;
    while (end < t->n && is_upper(t->s[end])) end++;
    return word_level(t->s + k, end - k);
}

/* What can begin one of the shapes above. */
static const unsigned char interesting[256] = {
    ['I'] = 1, ['W'] = 1, ['E'] = 1, ['D'] = 1, ['F'] = 1, ['T'] = 1, ['N'] = 1, ['C'] = 1,
    ['='] = 2, ['['] = 3, [':'] = 4,
};

static enum level word_at(const struct text *t, size_t i)
{
    enum level l;
    size_t k = i;
    if (t->s[i] == 'W' && is_python_warning(t, i)) return LEVEL_WARN;
    if (i > 0 && is_name(t->s[i - 1])) return LEVEL_NONE;
    if (t->s[i] == 'N' && (l = nccl_level(t, i)) != LEVEL_NONE) return l;
    while (k < t->n && is_upper(t->s[k])) k++;
    l = word_level(t->s + i, k - i);
    if (l == LEVEL_NONE || (k < t->n && is_name(t->s[k]))) return LEVEL_NONE;
    return is_loggers_place(t, i, k) ? l : LEVEL_NONE;
}

static enum level by_place(const struct text *t)
{
    for (size_t i = 0; i < t->n; i++) {
        enum level l = LEVEL_NONE;
        switch (interesting[(unsigned char)t->s[i]]) {
        case 0: continue;
        case 1: l = word_at(t, i); break;
        case 2: /* level=, lvl=, severity= */
            if (i && (t->s[i - 1] == 'l' || t->s[i - 1] == 'y')) l = logfmt_level(t, i);
            break;
        case 3: l = small_bracket_level(t, i); break;
        case 4:
            if (t->has_stamp) l = tensorflow_level(t, i);
            break;
        }
        if (l != LEVEL_NONE) return l;
    }
    return LEVEL_NONE;
}

/* Copy without colour and other CSI sequences. */
static size_t strip_escapes(const char *s, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] != ESCAPE) {
            out[len++] = s[i];
            continue;
        }
        if (i + 1 == n || s[i + 1] != '[') continue;
        for (i += 2; i < n && (unsigned char)s[i] < 0x40; i++) {}
    }
    return len;
}

/* Bytes of a launcher's prefix at s: "[rank3]:", "[default0]:", "3: ", "(Worker pid=12, ip=…) ". */
static size_t launcher_prefix(const char *s, size_t n)
{
    const char *end;
    size_t i = 0;
    if (starts(s, n, LITERAL("[rank")) || starts(s, n, LITERAL("[default"))) {
        end = memchr(s, ']', n);
        return end && end + 1 < s + n && end[1] == ':' ? (size_t)(end - s) + 2 : 0;
    }
    if (*s == '(') {
        end = memchr(s, ')', n);
        return end && memmem(s, (size_t)(end - s), LITERAL("pid=")) ? (size_t)(end - s) + 1 : 0;
    }
    while (i < n && i < 6 && is_digit(s[i])) i++;
    return i && i + 1 < n && s[i] == ':' && s[i + 1] == ' ' ? i + 2 : 0;
}

enum level level_from_text(const char *text, size_t len)
{
    char plain[LOOK_BYTES];
    struct text t = {text, len < LOOK_BYTES ? len : LOOK_BYTES, 0};
    enum level l;
    if (memchr(t.s, ESCAPE, t.n)) {
        t.n = strip_escapes(t.s, t.n, plain);
        t.s = plain;
    }
    for (size_t step = 1; t.n && step;) {
        step = *t.s == ' ' || *t.s == '\r' || *t.s == '\t' ? 1 : launcher_prefix(t.s, t.n);
        t.s += step;
        t.n -= step;
    }
    if (!t.n) return LEVEL_NONE;
    if (*t.s == '[') l = glog_level(t.s + 1, t.n - 1);
    else l = glog_level(t.s, t.n);
    if (l == LEVEL_NONE) l = by_beginning(t.s, t.n);
    if (l != LEVEL_NONE) return l;
    const char *space = memchr(t.s, ' ', t.n);
    t.has_stamp = is_stamp(t.s, space ? (size_t)(space - t.s) : t.n);
    return by_place(&t);
}

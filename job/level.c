/*
 * job/level.c -- level names, and reading a level from the shape of a line's beginning.
 *
 * Only shapes that loggers print are believed, never a word inside prose: "0 errors found" has no
 * level. The walk: skip ANSI colour and rank prefixes ("[rank3]:"), then try each known shape.
 */
#include "job/level.h"

#include <string.h>
#include <strings.h>

#define LOOK_BYTES 256

static const struct {
    const char *name;
    enum level level;
} names[] = {
    {"trace", LEVEL_TRACE}, {"debug", LEVEL_DEBUG}, {"info", LEVEL_INFO}, {"warn", LEVEL_WARN}, {"error", LEVEL_ERROR},
    {"fatal", LEVEL_FATAL}, /* canonical ones first, in order */
    {"warning", LEVEL_WARN}, {"err", LEVEL_ERROR}, {"critical", LEVEL_FATAL}, {"crit", LEVEL_FATAL}, {"panic", LEVEL_FATAL},
    {"emerg", LEVEL_FATAL}, {"emergency", LEVEL_FATAL}, {"alert", LEVEL_FATAL}, {"notice", LEVEL_INFO},
    {"information", LEVEL_INFO}, {"verbose", LEVEL_DEBUG}, {"dbg", LEVEL_DEBUG}, {"exception", LEVEL_ERROR},
    {"0", LEVEL_FATAL}, {"1", LEVEL_FATAL}, {"2", LEVEL_FATAL}, {"3", LEVEL_ERROR}, {"4", LEVEL_WARN}, {"5", LEVEL_INFO},
    {"6", LEVEL_INFO}, {"7", LEVEL_DEBUG}, {"10", LEVEL_DEBUG}, {"20", LEVEL_INFO}, {"30", LEVEL_WARN},
    {"40", LEVEL_ERROR}, {"50", LEVEL_FATAL},
};

const char *level_name(enum level l) { return l == LEVEL_NONE || l >= LEVEL_COUNT ? "" : names[l - 1].name; }

enum level level_parse(const char *s, size_t len) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == len && strncasecmp(names[i].name, s, len) == 0) return names[i].level;
    return LEVEL_NONE;
}

/* The words loggers print, in capitals (or as given in brackets). */
static enum level word_level(const char *s, size_t len) {
    static const struct {
        const char *word;
        enum level level;
    } words[] = {{"INFO", LEVEL_INFO}, {"WARNING", LEVEL_WARN}, {"WARN", LEVEL_WARN}, {"ERROR", LEVEL_ERROR},
                 {"DEBUG", LEVEL_DEBUG}, {"CRITICAL", LEVEL_FATAL}, {"FATAL", LEVEL_FATAL}, {"TRACE", LEVEL_TRACE},
                 {"NOTICE", LEVEL_INFO}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == len && memcmp(words[i].word, s, len) == 0) return words[i].level;
    return LEVEL_NONE;
}

static int is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static int is_digit(char c) { return c >= '0' && c <= '9'; }
static int is_name(char c) { return is_upper(c) || (c >= 'a' && c <= 'z') || is_digit(c) || c == '_' || c == '.'; }

static int starts(const char *s, size_t n, const char *with) {
    size_t len = strlen(with);
    return n >= len && memcmp(s, with, len) == 0;
}

/* glog: "E1123 20:54:01.123" -- one of IWEF and four digits. */
static enum level glog_level(const char *s, size_t n) {
    if (n < 6 || !is_digit(s[1]) || !is_digit(s[2]) || !is_digit(s[3]) || !is_digit(s[4]) || s[5] != ' ') return LEVEL_NONE;
    switch (s[0]) {
    case 'I': return LEVEL_INFO;
    case 'W': return LEVEL_WARN;
    case 'E': return LEVEL_ERROR;
    case 'F': return LEVEL_FATAL;
    default: return LEVEL_NONE;
    }
}

/* "RuntimeError: …", "torch.cuda.OutOfMemoryError: …", "KeyboardInterrupt" is none. */
static int is_exception(const char *s, size_t n) {
    size_t i = 0;
    while (i < n && is_name(s[i])) i++;
    if (i < 6 || i == n || s[i] != ':') return 0;
    const char *dot = memrchr(s, '.', i);
    if (!is_upper(dot ? dot[1] : s[0])) return 0;
    return memcmp(s + i - 5, "Error", 5) == 0 || (i > 9 && memcmp(s + i - 9, "Exception", 9) == 0);
}

static enum level by_beginning(const char *s, size_t n) {
    static const struct {
        const char *with;
        enum level level;
    } known[] = {
        {"Traceback (most recent call last)", LEVEL_ERROR}, {"terminate called", LEVEL_FATAL},
        {"Segmentation fault", LEVEL_FATAL},                {"Fatal Python error", LEVEL_FATAL},
        {"CUDA error", LEVEL_ERROR},                        {"panic: ", LEVEL_FATAL},
        {"Aborted (core dumped)", LEVEL_FATAL},             {"Killed", LEVEL_NONE},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (starts(s, n, known[i].with)) return known[i].level;
    if (starts(s, n, "thread '") && memmem(s, n, "' panicked at", 13)) return LEVEL_FATAL;
    return is_exception(s, n) ? LEVEL_ERROR : LEVEL_NONE;
}

static int follows_level(const char *s, size_t n) { return n == 0 || strchr(":]| \t-,)", *s) != NULL; }

/* A level word where loggers put one: first word followed by ':' or "]"…, in brackets, or after " - " or a timestamp. */
static enum level by_word(const char *s, size_t n) {
    int digits_before = 0;
    for (size_t i = 0; i < n;) {
        if (is_digit(s[i])) digits_before = 1;
        if (!is_upper(s[i])) {
            i++;
            continue;
        }
        size_t k = i;
        while (k < n && is_upper(s[k])) k++;
        enum level l = k - i > 3 && (k == n || !is_name(s[k]) || s[k] == '.') ? word_level(s + i, k - i) : LEVEL_NONE;
        if (l != LEVEL_NONE && follows_level(s + k, n - k)) {
            int bracket = i > 0 && s[i - 1] == '[' && k < n && (s[k] == ']' || s[k] == ' ' || s[k] == '|');
            int first = i == 0 && k < n && (s[k] == ':' || (s[k] == ' ' && k + 1 < n && is_digit(s[k + 1])));
            int dashed = i >= 2 && (s[i - 1] == ' ' || s[i - 1] == '|') && digits_before &&
                         (k == n || s[k] == ':' || s[k] == ' ' || s[k] == '|' || s[k] == ']');
            int after = i >= 2 && (s[i - 2] == '-' || s[i - 2] == '|' || is_digit(s[i - 2]) || s[i - 2] == ']');
            if (bracket || first || (dashed && after)) return l;
        }
        while (k < n && is_name(s[k])) k++;
        i = k;
    }
    return LEVEL_NONE;
}

/* Past ANSI colour, spaces, and prefixes like "[rank3]:" or "[rank3]:[". */
static size_t skip_prefix(const char *s, size_t n) {
    size_t i = 0;
    for (;;) {
        size_t was = i;
        if (i + 1 < n && s[i] == '\x1b' && s[i + 1] == '[') {
            i += 2;
            while (i < n && (is_digit(s[i]) || s[i] == ';')) i++;
            if (i < n) i++;
        }
        while (i < n && s[i] == ' ' && i < 8) i++;
        if (starts(s + i, n - i, "[rank") || starts(s + i, n - i, "[default")) {
            const char *close = memchr(s + i, ']', n - i);
            if (close && close + 1 < s + n && close[1] == ':') i = (size_t)(close - s) + 2;
        }
        if (i == was) return i;
    }
}

enum level level_from_text(const char *text, size_t len) {
    size_t n = len < LOOK_BYTES ? len : LOOK_BYTES, skip = skip_prefix(text, n);
    const char *s = text + skip;
    enum level l;
    n -= skip;
    if (n == 0) return LEVEL_NONE;
    if (*s == '[' && (l = glog_level(s + 1, n - 1)) != LEVEL_NONE) return l;
    if ((l = glog_level(s, n)) != LEVEL_NONE || (l = by_beginning(s, n)) != LEVEL_NONE) return l;
    const char *nccl = memmem(s, n, "NCCL ", 5);
    if (nccl && starts(nccl + 5, n - (size_t)(nccl + 5 - s), "WARN")) return LEVEL_WARN;
    if (nccl && starts(nccl + 5, n - (size_t)(nccl + 5 - s), "INFO")) return LEVEL_INFO;
    return by_word(s, n);
}

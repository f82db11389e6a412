/*
 * base/log.c -- joblog's own log: events made safe and written whole.
 *
 * The pairs arrive as one formatted text. They are cut apart at spaces outside quotes, so a value
 * of a peer can at worst add a pair to its own event, never a line: control bytes, and in JSON
 * everything RFC 8259 wants, are escaped.
 *
 * Limits     An event over LOG_EVENT_BYTES_MAX of pairs is cut and ends in "…".
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_EVENT_BYTES_MAX 4096

static atomic_int log_min = LOG_INFO;
static atomic_int log_form = LOG_FORMAT_AUTO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_marks[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
static const char *const format_names[] = {"auto", "text", "json"};

static int name_index(const char *const *names, int count, const char *s)
{
    for (int i = 0; i < count; i++)
        if (s && strcmp(names[i], s) == 0) return i;
    return ERR_INVALID;
}

int log_level_parse(const char *s, enum log_level *ret)
{
    int i = name_index(level_names, 4, s);
    if (i < 0) return i;
    *ret = (enum log_level)i;
    return 0;
}

int log_format_parse(const char *s, enum log_format *ret)
{
    int i = name_index(format_names, 3, s);
    if (i < 0) return i;
    *ret = (enum log_format)i;
    return 0;
}

void log_setup(enum log_level min, enum log_format format)
{
    if (format == LOG_FORMAT_AUTO)
        format = isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    atomic_store(&log_min, (int)min);
    atomic_store(&log_form, (int)format);
}

/* Printable text for a terminal: controls (C1 too) and what is not UTF-8 become \xNN. */
static void add_visible(struct buf *out, const char *s, size_t len)
{
    while (len) {
        size_t good = 0, valid = utf8_valid_prefix(s, len);
        while (good < valid) {
            unsigned char c = (unsigned char)s[good];
            if (c < 0x20 || c == 0x7f) break;
            if (c == 0xc2 && (unsigned char)s[good + 1] < 0xa0) break;
            good++;
        }
        (void)buf_add(out, s, good);
        if (good < len) {
            (void)buf_addf(out, "\\x%02x", (unsigned char)s[good]);
            good++;
        }
        s += good;
        len -= good;
    }
}

/* Escaped for JSON; what is not UTF-8 becomes U+FFFD. */
static void add_json(struct buf *out, const char *s, size_t len)
{
    (void)buf_addc(out, '"');
    while (len) {
        size_t good = utf8_valid_prefix(s, len);
        (void)json_escape(out, s, good);
        if (good < len) {
            (void)buf_adds(out, "\xef\xbf\xbd");
            good += utf8_bad_run(s + good, len - good);
        }
        s += good;
        len -= good;
    }
    (void)buf_addc(out, '"');
}

/* A key is a run of [a-z0-9_.-] before '='. Its length, or 0. */
static size_t key_len(const char *s, size_t len)
{
    size_t i = 0;
    while (i < len && ((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
                       (s[i] >= '0' && s[i] <= '9') || s[i] == '_' || s[i] == '.' || s[i] == '-'))
        i++;
    return i < len && s[i] == '=' ? i : 0;
}

/* The value at s ends at a space that is followed by another key, or at its closing quote. */
static size_t value_len(const char *s, size_t len)
{
    if (len && *s == '"') {
        const char *close = memchr(s + 1, '"', len - 1);
        if (close && (close + 1 == s + len || close[1] == ' ')) return (size_t)(close - s) + 1;
    }
    size_t i = 0;
    for (; i < len; i++)
        if (s[i] == ' ' && key_len(s + i + 1, len - i - 1)) break;
    return i;
}

static int is_own_key(const char *s, size_t len)
{
    static const char *const own[] = {"ts", "level", "room", "msg"};
    for (unsigned i = 0; i < sizeof own / sizeof *own; i++)
        if (strlen(own[i]) == len && memcmp(own[i], s, len) == 0) return 1;
    return 0;
}

static void add_json_pairs(struct buf *out, const char *s, size_t len)
{
    while (len) {
        size_t key = key_len(s, len);
        if (!key) { /* no pair: the rest is one note */
            (void)buf_adds(out, ",\"note\":");
            add_json(out, s, len);
            return;
        }
        (void)buf_adds(out, is_own_key(s, key) ? ",\"_" : ",\"");
        (void)buf_add(out, s, key);
        (void)buf_adds(out, "\":");
        s += key + 1;
        len -= key + 1;
        size_t value = value_len(s, len);
        int quoted = value >= 2 && s[0] == '"' && s[value - 1] == '"';
        add_json(out, s + quoted, value - 2 * (size_t)quoted);
        s += value;
        len -= value;
        while (len && *s == ' ') s++, len--;
    }
}

static void format_json(struct buf *out, enum log_level level, const char *room, const char *msg,
                        const char *kv, size_t kv_len)
{
    char ts[CLOCK_RFC3339_BYTES + 1];
    (void)buf_addf(out, "{\"ts\":\"%s\",\"level\":\"%s\",\"room\":", clock_rfc3339(clock_wall_us(), ts),
                   level_names[level]);
    add_json(out, room, strlen(room));
    (void)buf_adds(out, ",\"msg\":");
    add_json(out, msg, strlen(msg));
    add_json_pairs(out, kv, kv_len);
    (void)buf_adds(out, "}\n");
}

static void format_text(struct buf *out, enum log_level level, const char *room, const char *msg,
                        const char *kv, size_t kv_len)
{
    char ts[CLOCK_RFC3339_BYTES + 1];
    clock_rfc3339(clock_wall_us(), ts);
    (void)buf_addf(out, "%.12s %s %s: ", ts + 11, level_marks[level], room);
    add_visible(out, msg, strlen(msg));
    if (kv_len) (void)buf_addc(out, ' ');
    add_visible(out, kv, kv_len);
    (void)buf_addc(out, '\n');
}

void log_event(enum log_level level, const char *room, const char *msg, const char *kv_fmt, ...)
{
    if ((int)level < atomic_load_explicit(&log_min, memory_order_relaxed)) return;
    int saved = errno;
    if (atomic_load(&log_form) == LOG_FORMAT_AUTO)
        log_setup((enum log_level)atomic_load(&log_min), LOG_FORMAT_AUTO);

    char kv[LOG_EVENT_BYTES_MAX];
    size_t kv_size = 0;
    if (kv_fmt) {
        va_list ap;
        va_start(ap, kv_fmt);
        int n = vsnprintf(kv, sizeof kv, kv_fmt, ap);
        va_end(ap);
        if (n > 0) kv_size = (size_t)n;
        if (kv_size >= sizeof kv) {
            static const char cut[] = "…";
            kv_size = sizeof kv - 1;
            memcpy(kv + kv_size - (sizeof cut - 1), cut, sizeof cut - 1);
        }
    }
    struct buf line = BUF_INIT;
    if (atomic_load(&log_form) == LOG_FORMAT_TEXT) format_text(&line, level, room, msg, kv, kv_size);
    else format_json(&line, level, room, msg, kv, kv_size);
    /* A log that cannot be written has nowhere to say so. */
    ssize_t ignored = line.len ? write(STDERR_FILENO, line.data, line.len) : 0;
    (void)ignored;
    buf_release(&line);
    errno = saved;
}

int log_every(struct log_every *e, int64_t period_us, uint64_t *ret_suppressed)
{
    int64_t now = clock_mono_us();
    if (now < e->next_us) {
        e->suppressed++;
        return 0;
    }
    if (ret_suppressed) *ret_suppressed = e->suppressed;
    e->suppressed = 0;
    e->next_us = now + period_us;
    return 1;
}

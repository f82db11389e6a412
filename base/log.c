/*
 * base/log.c -- one event, one line, one write(2).
 *
 * kv_fmt gives "key=value key2=value2"; a value that holds spaces is written between \x01 marks by
 * LOG_Q. Here the text is cut into pairs and escaped for the format in force.
 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_BYTES_MAX 8192

static enum log_level log_min = LOG_INFO;
static enum log_format log_format = LOG_FORMAT_AUTO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_words[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
static const char *const level_colours[] = {"\x1b[2m", "", "\x1b[33m", "\x1b[31m"};

void log_setup(enum log_level min, enum log_format format)
{
    log_min = min;
    log_format = format;
}

int log_level_parse(const char *s, enum log_level *ret)
{
    for (int i = 0; i <= LOG_ERROR; i++)
        if (strcmp(s, level_names[i]) == 0) return *ret = (enum log_level)i, 0;
    return ERR_INVALID;
}

int log_format_parse(const char *s, enum log_format *ret)
{
    static const char *const formats[] = {"auto", "text", "json"};
    for (int i = 0; i <= LOG_FORMAT_JSON; i++)
        if (strcmp(s, formats[i]) == 0) return *ret = (enum log_format)i, 0;
    return ERR_INVALID;
}

/* The next key=value of *p; a value starting with LOG_Q's mark goes to the next mark. */
static int next_pair(const char **p, const char **key, size_t *key_len, const char **value,
                     size_t *value_len)
{
    const char *s = *p + strspn(*p, " "), *eq = strchr(s, '=');
    if (!eq) return 0;
    *key = s;
    *key_len = (size_t)(eq - s);
    s = eq + 1;
    if (*s == '\x01') {
        const char *end = strchr(++s, '\x01');
        if (!end) end = s + strlen(s);
        *value_len = (size_t)(end - s);
        *value = s;
        *p = *end ? end + 1 : end;
        return 1;
    }
    *value = s;
    *value_len = strcspn(s, " ");
    *p = s + *value_len;
    return 1;
}

/* Bytes of what terminals and viewers obey at s (C0, DEL, C1; U+2028 and U+2029 break lines, U+202A..E and U+2066..9 turn them
 * around), 0 when it is none. */
static size_t control_bytes(const char *s)
{
    unsigned char c = (unsigned char)s[0], d, e;
    if (c < 0x20 || c == 0x7f) return 1;
    if (c == 0xc2) return (unsigned char)s[1] < 0xa0 ? 2 : 0;
    if (c != 0xe2) return 0;
    d = (unsigned char)s[1];
    e = (unsigned char)s[2];
    return (d == 0x80 && e >= 0xa8 && e <= 0xae) || (d == 0x81 && e >= 0xa6 && e <= 0xa9) ? 3 : 0;
}

/* The code point of control_bytes(). */
static unsigned control_code(const char *s, size_t bytes)
{
    if (bytes < 3) return (unsigned char)s[bytes - 1];
    return 0x2000u | ((unsigned char)s[1] & 0x3fu) << 6 | ((unsigned char)s[2] & 0x3fu);
}

/* Valid UTF-8 without the controls: \xNN or \uNNNN in text, \uNNNN in JSON. */
static void add_visible(struct buf *out, const char *s, size_t len, int json)
{
    for (size_t i = 0, run; i < len; i += run) {
        for (run = 0; i + run < len && !control_bytes(s + i + run);) run++;
        (void)(json ? json_escape(out, s + i, run) : buf_add(out, s + i, run));
        if (i + run == len) break;
        size_t bytes = control_bytes(s + i + run);
        (void)buf_addf(out, json || bytes > 2 ? "\\u%04x" : "\\x%02x", control_code(s + i + run, bytes));
        run += bytes;
    }
}

/* Text a peer may have chosen, made harmless: valid UTF-8 and no control bytes. */
static void add_safe(struct buf *out, const char *s, size_t len, int json)
{
    while (len > 0) {
        size_t good = utf8_valid_prefix(s, len);
        add_visible(out, s, good, json);
        s += good;
        len -= good;
        if (len == 0) break;
        (void)buf_adds(out, "\xef\xbf\xbd");
        size_t bad = utf8_bad_run(s, len);
        s += bad;
        len -= bad;
    }
}

/* A number as JSON has them: then it needs no quotes. */
static int is_number(const char *s, size_t len)
{
    size_t i = len && s[0] == '-';
    if (i == len || len > 18 || (s[i] == '0' && len > i + 1)) return 0;
    for (; i < len; i++)
        if (s[i] < '0' || s[i] > '9') return 0;
    return 1;
}

static void write_json(struct buf *out, enum log_level level, const char *room, const char *msg,
                       const char *kv)
{
    char ts[CLOCK_RFC3339_BYTES + 1];
    const char *key, *value;
    size_t key_len, value_len;
    buf_addf(out, "{\"ts\":\"%s\",\"level\":\"%s\",\"room\":\"%s\",\"msg\":\"",
             clock_rfc3339(clock_wall_us(), ts), level_names[level], room);
    add_safe(out, msg, strlen(msg), 1);
    buf_addc(out, '"');
    while (next_pair(&kv, &key, &key_len, &value, &value_len)) {
        int number = is_number(value, value_len);
        buf_adds(out, ",\"");
        add_safe(out, key, key_len, 1);
        buf_adds(out, number ? "\":" : "\":\"");
        add_safe(out, value, value_len, 1);
        if (!number) buf_addc(out, '"');
    }
    if (*(kv += strspn(kv, " "))) { /* an unquoted value held spaces: keep its words */
        buf_adds(out, ",\"note\":\"");
        add_safe(out, kv, strlen(kv), 1);
        buf_addc(out, '"');
    }
    buf_adds(out, "}\n");
}

static void write_text(struct buf *out, enum log_level level, const char *room, const char *msg,
                       const char *kv)
{
    char ts[CLOCK_RFC3339_BYTES + 1];
    const char *key, *value;
    size_t key_len, value_len;
    int colour = isatty(STDERR_FILENO);
    clock_rfc3339(clock_wall_us(), ts);
    buf_addf(out, "%.12s %s%s%s %s: ", ts + 11, colour ? level_colours[level] : "",
             level_words[level], colour && *level_colours[level] ? "\x1b[0m" : "", room);
    add_safe(out, msg, strlen(msg), 0);
    while (next_pair(&kv, &key, &key_len, &value, &value_len)) {
        int quoted = memchr(value, ' ', value_len) != NULL || value_len == 0;
        buf_addc(out, ' ');
        add_safe(out, key, key_len, 0);
        buf_adds(out, quoted ? "=\"" : "=");
        add_safe(out, value, value_len, 0);
        if (quoted) buf_addc(out, '"');
    }
    if (*(kv += strspn(kv, " "))) { /* an unquoted value held spaces: keep its words */
        buf_addc(out, ' ');
        add_safe(out, kv, strlen(kv), 0);
    }
    buf_addc(out, '\n');
}

void log_event(enum log_level level, const char *room, const char *msg, const char *kv_fmt, ...)
{
    char kv[LOG_LINE_BYTES_MAX / 2] = "";
    struct buf out;
    va_list ap;
    int saved = errno;
    if (level < log_min) return;
    if (kv_fmt) {
        va_start(ap, kv_fmt);
        vsnprintf(kv, sizeof kv, kv_fmt, ap);
        va_end(ap);
    }
    enum log_format f = log_format;
    if (f == LOG_FORMAT_AUTO) f = isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    buf_init(&out, 0);
    (f == LOG_FORMAT_JSON ? write_json : write_text)(&out, level, room, msg, kv);
    if (out.len && write(STDERR_FILENO, out.data, out.len) < 0) { /* nowhere to complain */
    }
    buf_release(&out);
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

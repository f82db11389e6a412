/*
 * clients/cli/term.c -- the sanitiser and the colours.
 */
#include "clients/cli/term.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

void term_init(struct term *t, int fd, const char *when)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

    t->fd = fd;
    t->is_tty = isatty(fd);
    t->columns = TERM_COLUMNS_DEFAULT;
    if (when && !strcmp(when, "always"))
        t->color = 1;
    else if (when && !strcmp(when, "never"))
        t->color = 0;
    else
        t->color = t->is_tty && !(none && *none) && !(term && !strcmp(term, "dumb"));
    term_resize(t);
}

void term_resize(struct term *t)
{
    struct winsize w;

    if (t->is_tty && ioctl(t->fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
        t->columns = w.ws_col;
}

/* Bytes of the colour sequence at s; 0 when there is none. */
static size_t sgr_bytes(const char *s, size_t len)
{
    if (len < 3 || s[0] != '\x1b' || s[1] != '[')
        return 0;
    for (size_t i = 2; i < len && i < TERM_SGR_BYTES_MAX; i++) {
        if (s[i] == 'm')
            return i + 1;
        if ((s[i] < '0' || s[i] > '9') && s[i] != ';' && s[i] != ':')
            return 0;
    }
    return 0;
}

/* A valid UTF-8 sequence at s into its code point. */
static uint32_t decode(const char *s, size_t *ret_len)
{
    const unsigned char *u = (const unsigned char *)s;

    if (u[0] < 0x80)
        return *ret_len = 1, u[0];
    if (u[0] < 0xe0)
        return *ret_len = 2, (uint32_t)(u[0] & 0x1f) << 6 | (u[1] & 0x3f);
    if (u[0] < 0xf0)
        return *ret_len = 3,
               (uint32_t)(u[0] & 0x0f) << 12 | (uint32_t)(u[1] & 0x3f) << 6 | (u[2] & 0x3f);
    *ret_len = 4;
    return (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3f) << 12 |
           (uint32_t)(u[2] & 0x3f) << 6 | (u[3] & 0x3f);
}

/* C1 controls, line separators, and what turns the direction of text around. */
static int is_harmful(uint32_t c)
{
    return (c >= 0x80 && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
           (c >= 0xe0000 && c <= 0xe007f);
}

/* The length of the valid sequence at s, 0 for a byte that begins none. */
static size_t sequence_bytes(const char *s, size_t len)
{
    size_t n = (unsigned char)*s < 0xe0 ? 2 : (unsigned char)*s < 0xf0 ? 3 : 4;

    return n <= len && utf8_valid_prefix(s, n) == n ? n : 0;
}

int term_clean(struct buf *out, const char *text, size_t len, enum term_color color,
               int *ret_colored)
{
    int err = 0;

    if (ret_colored)
        *ret_colored = 0;
    for (size_t i = 0; i < len && err >= 0;) {
        size_t run = i, n;
        unsigned char c;
        uint32_t point;

        while (run < len &&
               ((unsigned char)text[run] >= 0x20 || text[run] == '\t' || text[run] == '\n') &&
               (unsigned char)text[run] < 0x7f)
            run++;
        if (run > i) {
            err = buf_add(out, text + i, run - i);
            i = run;
            continue;
        }
        c = (unsigned char)text[i];
        if ((n = sgr_bytes(text + i, len - i))) {
            if (color == TERM_COLOR_KEEP) {
                err = buf_add(out, text + i, n);
                if (ret_colored)
                    *ret_colored = 1;
            }
        } else if (c < 0x80 || !(n = sequence_bytes(text + i, len - i))) {
            err = buf_addf(out, "\\x%02x", c);
            n = 1;
        } else if (point = decode(text + i, &n), is_harmful(point)) {
            err = buf_addf(out, "\\u%04x", (unsigned)point);
        } else {
            err = buf_add(out, text + i, n);
        }
        i += n;
    }
    return err < 0 ? err : 0;
}

int term_clean_row(struct buf *out, const char *text, size_t len, int columns)
{
    struct buf safe = BUF_INIT;
    int at = 0, err = term_clean(&safe, text, len, TERM_COLOR_DROP, NULL);

    for (size_t i = 0; i < safe.len && err >= 0;) {
        size_t n = 1;
        uint32_t point = decode(safe.data + i, &n);
        int width = point < 0x80 ? 1 : wcwidth((wchar_t)point);

        if (width < 0)
            width = 1;
        if (at + width > columns)
            break;
        at += width;
        err = safe.data[i] == '\n' || safe.data[i] == '\t' ? buf_addc(out, ' ')
                                                           : buf_add(out, safe.data + i, n);
        i += n;
    }
    buf_release(&safe);
    return err < 0 ? err : 0;
}

const char *term_level_sgr(enum level l)
{
    switch (l) {
    case LEVEL_FATAL:
        return "1;31";
    case LEVEL_ERROR:
        return "31";
    case LEVEL_WARN:
        return "33";
    case LEVEL_DEBUG:
    case LEVEL_TRACE:
        return "2";
    default:
        return "";
    }
}

const char *term_rank_sgr(int32_t rank)
{
    static const char *const colors[] = {"36", "32", "35", "34", "33",
                                         "96", "92", "95", "94", "93"};

    return rank < 0 ? "2" : colors[(size_t)rank % (sizeof colors / sizeof *colors)];
}

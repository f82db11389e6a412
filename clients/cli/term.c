/*
 * clients/cli/term.c -- the sanitiser, and how wide text is.
 */
#include "clients/cli/term.h"

#include "base/utf8.h"
#include "clients/cli/pager.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

void term_init(struct term *t, int fd, const char *when)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

    if (fd == STDOUT_FILENO && pager_terminal() >= 0)
        fd = pager_terminal();
    t->fd = fd;
    t->is_tty = isatty(fd);
    t->columns = TERM_COLUMNS_DEFAULT;
    t->rows = TERM_ROWS_DEFAULT;
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

    if (!t->is_tty || ioctl(t->fd, TIOCGWINSZ, &w) != 0)
        return;
    if (w.ws_col > 0)
        t->columns = w.ws_col;
    if (w.ws_row > 0)
        t->rows = w.ws_row;
}

int term_can_move(void)
{
    const char *term = getenv("TERM");

    return !(term && !strcmp(term, "dumb"));
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

#define MARK_ON "\x1b[7m"
#define MARK_OFF "\x1b[27m"

/* One walk over a text: what is shown, and where the next mark begins or ends. */
struct walk {
    struct buf *out;
    enum term_color color;
    const struct term_mark *marks;
    size_t count, next;
    int on, colored;
};

/* At byte i of the text, between two things that are shown: switch the mark when one begins or ends. */
static int turn_mark(struct walk *w, size_t i)
{
    int err = 0;

    if (w->on && i >= w->marks[w->next].to) {
        err = buf_adds(w->out, MARK_OFF);
        w->on = 0;
        w->next++;
    }
    while (!w->on && w->next < w->count && w->marks[w->next].to <= i)
        w->next++; /* it lay inside a sequence, or was empty */
    if (err >= 0 && !w->on && w->next < w->count && i >= w->marks[w->next].from) {
        err = buf_adds(w->out, MARK_ON);
        w->on = 1;
    }
    return err;
}

/* No further than the next turn. */
static size_t turn_at(const struct walk *w, size_t len)
{
    size_t at = w->next >= w->count ? len : w->on ? w->marks[w->next].to : w->marks[w->next].from;

    return at < len ? at : len;
}

static int add_colour(struct walk *w, const char *sgr, size_t len)
{
    int err;

    if (w->color == TERM_COLOR_DROP)
        return 0;
    w->colored = 1;
    err = buf_add(w->out, sgr, len);
    return err >= 0 && w->on ? buf_adds(w->out, MARK_ON) : err;
}

/* What begins with the byte at s and is no plain ASCII. Its length in *ret_len. */
static int add_special(struct walk *w, const char *s, size_t len, size_t *ret_len)
{
    unsigned char c = (unsigned char)*s;
    uint32_t point;

    if ((*ret_len = sgr_bytes(s, len)))
        return add_colour(w, s, *ret_len);
    if (c < 0x80 || !(*ret_len = sequence_bytes(s, len))) {
        *ret_len = 1;
        return buf_addf(w->out, "\\x%02x", c);
    }
    point = decode(s, ret_len);
    if (is_harmful(point))
        return buf_addf(w->out, "\\u%04x", (unsigned)point);
    return buf_add(w->out, s, *ret_len);
}

int term_clean_marked(struct buf *out, const char *text, size_t len, enum term_color color,
                      const struct term_mark *marks, size_t count, int *ret_colored)
{
    struct walk w = {.out = out, .color = color, .marks = marks, .count = count};
    int err = 0;

    for (size_t i = 0; i < len && err >= 0;) {
        size_t run = i, stop, n;

        err = turn_mark(&w, i);
        stop = turn_at(&w, len);
        while (run < stop &&
               ((unsigned char)text[run] >= 0x20 || text[run] == '\t' || text[run] == '\n') &&
               (unsigned char)text[run] < 0x7f)
            run++;
        if (run > i) {
            err = err < 0 ? err : buf_add(out, text + i, run - i);
            i = run;
            continue;
        }
        if (err >= 0)
            err = add_special(&w, text + i, len - i, &n);
        if (err >= 0)
            i += n;
    }
    if (err >= 0 && w.on)
        err = buf_adds(out, MARK_OFF);
    if (ret_colored)
        *ret_colored = w.colored;
    return err < 0 ? err : 0;
}

int term_clean(struct buf *out, const char *text, size_t len, enum term_color color,
               int *ret_colored)
{
    return term_clean_marked(out, text, len, color, NULL, 0, ret_colored);
}

int term_add_marked(struct buf *out, const char *text, size_t len, const struct term_mark *marks,
                    size_t count)
{
    size_t at = 0;
    int err = 0;

    for (size_t i = 0; i < count && err >= 0; i++) {
        size_t from = marks[i].from < at ? at : marks[i].from;
        size_t to = marks[i].to < len ? marks[i].to : len;

        if (from >= to)
            continue;
        if ((err = buf_add(out, text + at, from - at)) >= 0 &&
            (err = buf_adds(out, MARK_ON)) >= 0 &&
            (err = buf_add(out, text + from, to - from)) >= 0)
            err = buf_adds(out, MARK_OFF);
        at = to;
    }
    return err < 0 ? err : buf_add(out, text + at, len - at);
}

/* Of one character; a variation selector may make the one before it wide. */
static int width_of(uint32_t point)
{
    int width = point < 0x80 ? point >= 0x20 : wcwidth((wchar_t)point);

    return point == 0xfe0f || width < 0 ? 1 : width;
}

int term_width(const char *text, size_t len)
{
    int width = 0;

    for (size_t i = 0; i < len;) {
        size_t n = sgr_bytes(text + i, len - i);

        if (!n && text[i] == '\t') {
            width += TERM_TAB - width % TERM_TAB;
            n = 1;
        } else if (!n) {
            n = (unsigned char)text[i] < 0x80 ? 1 : sequence_bytes(text + i, len - i);
            width += n ? width_of(decode(text + i, &n)) : (int)(n = 1);
        }
        i += n;
    }
    return width;
}

int term_clean_row(struct buf *out, const char *text, size_t len, int columns)
{
    struct buf safe = BUF_INIT;
    int at = 0, err = term_clean(&safe, text, len, TERM_COLOR_DROP, NULL);

    for (size_t i = 0; i < safe.len && err >= 0;) {
        int is_space = safe.data[i] == '\n' || safe.data[i] == '\t', width = 1;
        size_t n = 1;

        if (!is_space)
            width = width_of(decode(safe.data + i, &n));
        if (at + width > columns)
            break;
        at += width;
        err = is_space ? buf_addc(out, ' ') : buf_add(out, safe.data + i, n);
        i += n;
    }
    buf_release(&safe);
    return err < 0 ? err : at;
}

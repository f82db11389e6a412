/*
 * clients/cli/bars.c -- rows by name, and when they are done.
 */
#include "clients/cli/bars.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* ---- control sequences ---- */

/* ESC '[' parameters letter at text: bytes, the letter and the first number (1 when not given); 0: none, or not whole. */
static size_t sequence(const char *text, size_t len, char *ret_letter, int *ret_n)
{
    size_t i = 2;
    int n = 0;

    if (len < 3 || text[0] != '\x1b' || text[1] != '[')
        return 0;
    for (; i < len && text[i] >= '0' && text[i] <= '9'; i++)
        n = n < BARS_REACH_MAX ? n * 10 + (text[i] - '0') : n;
    while (i < len && text[i] >= ' ' && text[i] <= '?')
        i++;
    if (i == len || text[i] < '@' || text[i] > '~')
        return 0;
    *ret_letter = text[i];
    *ret_n = n > BARS_REACH_MAX ? BARS_REACH_MAX : n ? n : 1;
    return i + 1;
}

/* Rows the sequence moves down (up: negative). */
static int moves(char letter, int n)
{
    return letter == 'A' || letter == 'F' ? -n : letter == 'B' || letter == 'E' ? n : 0;
}

int bars_wanted(const char *text, size_t len)
{
    const char *p = text, *end = len ? text + len : text; /* an empty line has no text */
    char letter;
    int n;

    while (p < end && (p = memchr(p, '\x1b', (size_t)(end - p))) != NULL) {
        if (sequence(p, (size_t)(end - p), &letter, &n) && moves(letter, n) < 0)
            return 1;
        p++;
    }
    return 0;
}

size_t bars_settled(const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    size_t settled = 0, bytes;
    char letter;
    int n;

    while (p < end && (p = memchr(p, '\x1b', (size_t)(end - p))) != NULL) {
        bytes = sequence(p, (size_t)(end - p), &letter, &n);
        if (bytes && moves(letter, n))
            settled = (size_t)(p - text) + bytes;
        p++;
    }
    return settled;
}

/* ---- names ---- */

/* Boxes, blocks and spinners (U+2500-25FF, U+2800-28FF): three bytes. */
static int is_drawing(const char *s, size_t len)
{
    unsigned char a, b;

    if (len < 3 || (unsigned char)s[0] != 0xe2)
        return 0;
    a = (unsigned char)s[1];
    b = (unsigned char)s[2];
    return b >= 0x80 && ((a >= 0x94 && a <= 0x97) || (a >= 0xa0 && a <= 0xa3));
}

/* What stands before the numbers, each of its own numbers as one '#'; "" when it has no letter. */
static void read_name(char name[BARS_NAME_BYTES], const char *s, size_t len)
{
    size_t at = 0;
    int has_letter = 0, n;
    char letter;

    for (size_t i = 0; i < len && at < BARS_NAME_BYTES - 1; i++) {
        size_t bytes = sequence(s + i, len - i, &letter, &n);

        if (bytes) {
            i += bytes - 1;
        } else if (is_drawing(s + i, len - i)) {
            if (has_letter)
                break;
            i += 2;
        } else if (strchr(":%|[", s[i])) {
            break;
        } else if (s[i] >= '0' && s[i] <= '9') {
            if (!at || name[at - 1] != '#')
                name[at++] = '#';
        } else if (at || s[i] != ' ') {
            has_letter |= (s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'z';
            has_letter |= (unsigned char)s[i] >= 0x80;
            name[at++] = s[i];
        }
    }
    while (at && name[at - 1] == ' ')
        at--;
    name[has_letter ? at : 0] = '\0';
}

static struct bar *find(const struct bars *b, const char *name, int64_t row)
{
    struct bar *best = NULL;

    for (unsigned i = 0; i < b->count; i++)
        if (!strcmp(b->bars[i]->name, name) && (*name || b->bars[i]->row == row) &&
            (!best || llabs(b->bars[i]->row - row) < llabs(best->row - row)))
            best = b->bars[i];
    return best;
}

/* ---- done ---- */

static int give(struct bars *b, unsigned at, bars_on_line on_line, void *user)
{
    struct bar *bar = b->bars[at];
    const struct buf *text = &bar->track.shown;
    int err = 0;

    b->bars[at] = b->bars[--b->count];
    if (bar->track.redraws && !bar->is_once)
        err = track_fields(&bar->track, &b->scratch);
    else
        buf_clear(&b->scratch);
    if (err >= 0)
        err = on_line(user, text->data ? text->data : "", text->len, b->scratch.len ? b->scratch.data : NULL,
                      b->scratch.len);
    track_release(&bar->track);
    free(bar);
    return err;
}

/* Rows above row are done, from the top. */
static int settle(struct bars *b, int64_t row, bars_on_line on_line, void *user)
{
    for (;;) {
        unsigned top = b->count;
        int err;

        for (unsigned i = 0; i < b->count; i++)
            if (b->bars[i]->row < row && (top == b->count || b->bars[i]->row < b->bars[top]->row))
                top = i;
        if (top == b->count)
            return 0;
        err = give(b, top, on_line, user);
        if (err < 0)
            return err;
    }
}

int bars_finish(struct bars *b, bars_on_line on_line, void *user)
{
    int err = settle(b, INT64_MAX, on_line, user);

    b->is_on = 0;
    b->row = b->bottom = b->reach = 0;
    return err;
}

void bars_release(struct bars *b)
{
    while (b->count) {
        struct bar *bar = b->bars[--b->count];

        track_release(&bar->track);
        free(bar);
    }
    buf_release(&b->live);
    buf_release(&b->scratch);
}

/* ---- drawing ---- */

static struct bar *add(struct bars *b, const char *name, int is_once)
{
    struct bar *bar = must_calloc(1, sizeof *bar);

    CHECK(b->count < BARS_MAX);
    memcpy(bar->name, name, BARS_NAME_BYTES);
    bar->row = b->row;
    bar->is_once = is_once;
    b->bars[b->count++] = bar;
    return bar;
}

void bars_begin(struct bars *b, struct track *open_row, int after_cr)
{
    b->is_on = 1;
    b->after_cr = after_cr;
    b->row = b->bottom = b->reach = 0;
    if (open_row->has_shown) {
        char name[BARS_NAME_BYTES] = "";

        read_name(name, open_row->shown.data, open_row->shown.len);
        add(b, name, 0)->track = *open_row;
        memset(open_row, 0, sizeof *open_row);
    }
}

/* Colours stay, all else that is no text goes. */
static int clean(struct buf *out, const char *text, size_t len)
{
    size_t from = 0;
    char letter;
    int n, err = 0;

    buf_clear(out);
    for (size_t i = 0; i < len && err >= 0; i++) {
        size_t bytes = text[i] == '\x1b' ? sequence(text + i, len - i, &letter, &n) : 0;

        if (!bytes)
            continue;
        if (letter != 'm') {
            err = buf_add(out, text + from, i - from);
            from = i + bytes;
        }
        i += bytes - 1;
    }
    return err < 0 ? err : buf_add(out, text + from, len - from);
}

/* Is it drawn as bars are? Boxes, or a part of a hundred. */
static int is_bar(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (is_drawing(text + i, len - i) || (text[i] == '%' && i && text[i - 1] >= '0' && text[i - 1] <= '9'))
            return 1;
    return 0;
}

/* A named line over a bar without a name has pushed it down. */
static void push(struct bars *b, const char *name)
{
    struct bar *under = find(b, "", b->row);

    if (!*name || !under || under->is_once)
        return;
    for (unsigned i = 0; i < b->count; i++)
        if (!b->bars[i]->name[0] && b->bars[i]->row >= b->row)
            b->bars[i]->row++;
}

/* Text that shows something, on the row of the cursor. */
static int draw(struct bars *b, const char *text, size_t len, enum bars_end end, bars_on_line on_line, void *user)
{
    char name[BARS_NAME_BYTES] = "";
    int err, is_drawn = end != BARS_LF || (b->after_cr && is_bar(text, len));
    struct bar *bar;

    read_name(name, text, len);
    bar = find(b, name, b->row);
    if (!bar && !is_drawn && b->row == b->bottom) { /* below all of them: they are done */
        err = bars_finish(b, on_line, user);
        return err < 0 ? err : on_line(user, text, len, NULL, 0);
    }
    for (unsigned i = 0; !bar && i < b->count; i++)
        if (b->bars[i]->row == b->row && b->bars[i]->is_once) { /* taken for a line, and is drawn over */
            bar = b->bars[i];
            memcpy(bar->name, name, sizeof bar->name);
        }
    len = track_cut(text, len, BARS_TEXT_BYTES);
    if (bar) {
        bar->row = b->row;
        bar->is_once = 0;
        if (bar->track.has_shown && bar->track.shown.len == len && !memcmp(bar->track.shown.data, text, len))
            return 0;
        return track_draw(&bar->track, text, len);
    }
    if (!is_drawn)
        push(b, name);
    if (b->count == BARS_MAX) {
        unsigned top = 0;

        for (unsigned i = 1; i < b->count; i++)
            if (b->bars[i]->row < b->bars[top]->row)
                top = i;
        err = give(b, top, on_line, user);
        if (err < 0)
            return err;
    }
    return track_draw(&add(b, name, !is_drawn)->track, text, len);
}

static int take_text(struct bars *b, const char *text, size_t len, enum bars_end end, bars_on_line on_line, void *user)
{
    struct buf cleaned = BUF_INIT;
    int err = 0;

    if (track_shows(text, len)) {
        buf_init(&cleaned, 0);
        err = clean(&cleaned, text, len);
        if (err >= 0)
            err = draw(b, cleaned.data, cleaned.len, end, on_line, user);
        buf_release(&cleaned);
    }
    return err;
}

static void move(struct bars *b, int rows)
{
    b->row += rows;
    if (b->row > b->bottom)
        b->row = b->bottom; /* a terminal does not scroll for it */
    if (b->bottom - b->row > BARS_REACH_MAX)
        b->row = b->bottom - BARS_REACH_MAX;
    if (b->bottom - b->row > b->reach)
        b->reach = b->bottom - b->row;
}

int bars_take(struct bars *b, const char *text, size_t len, enum bars_end end, bars_on_line on_line, void *user)
{
    size_t from = 0;
    int err = 0, n;
    char letter;

    for (size_t i = 0; i < len && err >= 0; i++) {
        size_t bytes = text[i] == '\x1b' ? sequence(text + i, len - i, &letter, &n) : 0;

        if (!bytes)
            continue;
        if (moves(letter, n)) {
            err = take_text(b, text + from, i - from, BARS_MOVE, on_line, user);
            move(b, moves(letter, n));
            from = i + bytes;
        }
        i += bytes - 1;
    }
    if (err >= 0)
        err = take_text(b, text + from, len - from, end, on_line, user);
    if (end != BARS_MOVE)
        b->after_cr = end == BARS_CR;
    if (err < 0 || end != BARS_LF || !b->is_on)
        return err;
    if (++b->row > b->bottom) {
        b->bottom = b->row;
        err = settle(b, b->bottom - b->reach, on_line, user);
    }
    if (!b->count)
        b->is_on = 0;
    return err;
}

/* ---- live ---- */

static int by_row(const void *pa, const void *pb)
{
    const struct bar *const *a = pa, *const *b = pb;

    return (*a)->row < (*b)->row ? -1 : (*a)->row > (*b)->row;
}

int bars_live(struct bars *b, const char *open, size_t open_len, const char **ret_text, size_t *ret_len)
{
    struct bar *drawn = NULL, *rows[BARS_MAX]; /* looking changes nothing: not the order of what is kept either */
    char name[BARS_NAME_BYTES] = "";
    unsigned shown = 0;

    buf_clear(&b->live);
    memcpy(rows, b->bars, b->count * sizeof *rows);
    qsort(rows, b->count, sizeof *rows, by_row);
    if (track_shows(open, open_len)) {
        read_name(name, open, open_len);
        drawn = find(b, name, b->row);
    }
    for (unsigned i = 0; i < b->count && shown < BARS_LIVE_MAX; i++) {
        struct bar *bar = rows[i];

        if (bar->is_once)
            continue;
        if (shown++)
            buf_addc(&b->live, '\n');
        if (bar == drawn) {
            clean(&b->scratch, open, open_len);
            buf_add(&b->live, b->scratch.data, b->scratch.len);
        } else {
            buf_add(&b->live, bar->track.shown.data, bar->track.shown.len);
        }
    }
    *ret_text = b->live.data;
    *ret_len = b->live.len;
    return b->live.len > 0;
}

/*
 * clients/cli/board.c -- keeping, erasing and drawing the rows.
 */
#include "clients/cli/board.h"

#include "base/check.h"
#include "clients/cli/palette.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xterm and rxvt cut lines at a smaller width; everything else in use wraps them anew. */
static int terminal_reflows(void)
{
    const char *term = getenv("TERM");

    return !getenv("XTERM_VERSION") && !(term && !strncmp(term, "rxvt", 4));
}

void board_init(struct board *b)
{
    memset(b, 0, sizeof *b);
    buf_init(&b->status, 0);
    b->reflows = terminal_reflows();
}

static void free_row(struct board_row *r)
{
    free(r->prefix);
    free(r->text);
}

void board_release(struct board *b)
{
    for (size_t i = 0; i < b->count; i++)
        free_row(&b->rows[i]);
    b->count = 0;
    buf_release(&b->status);
}

/* Where the row of rank is, or would be. */
static size_t find(const struct board *b, int32_t rank)
{
    size_t at = 0;

    while (at < b->count && b->rows[at].rank < rank)
        at++;
    return at;
}

static void remove_at(struct board *b, size_t at)
{
    free_row(&b->rows[at]);
    memmove(&b->rows[at], &b->rows[at + 1], (b->count - at - 1) * sizeof *b->rows);
    b->count--;
}

void board_set_row(struct board *b, int32_t rank, const char *prefix, const char *text, size_t len,
                   int64_t now_us)
{
    size_t at = find(b, rank);

    if (len > BOARD_TEXT_BYTES_MAX)
        len = BOARD_TEXT_BYTES_MAX;
    if (at < b->count && b->rows[at].rank == rank) {
        free_row(&b->rows[at]);
    } else {
        if (b->count == BOARD_ROWS_KEPT)
            return;
        memmove(&b->rows[at + 1], &b->rows[at], (b->count - at) * sizeof *b->rows);
        b->count++;
    }
    b->rows[at] = (struct board_row){rank, now_us, must_strdup(prefix), must_strndup(text, len)};
}

void board_drop_row(struct board *b, int32_t rank)
{
    size_t at = find(b, rank);

    if (at < b->count && b->rows[at].rank == rank)
        remove_at(b, at);
}

void board_set_status(struct board *b, const char *text)
{
    buf_clear(&b->status);
    buf_adds(&b->status, text);
}

int board_is_drawn(const struct board *b)
{
    return b->drawn_count > 0;
}

int board_is_empty(const struct board *b)
{
    return !b->count && !b->status.len;
}

void board_erase(struct board *b, const struct term *t, struct buf *out)
{
    int lines = 0;

    if (!b->drawn_count)
        return;
    for (int i = 0; i < b->drawn_count; i++)
        lines += b->reflows && b->drawn[i] > t->columns ? (b->drawn[i] + t->columns - 1) / t->columns
                                                        : 1;
    if (lines > t->rows)
        lines = t->rows; /* the others have scrolled away */
    /* line by line: tmux keeps in its history what is cleared from the top of the screen at once */
    buf_adds(out, "\r\x1b[2K");
    while (--lines > 0)
        buf_adds(out, "\x1b[A\x1b[2K");
    b->drawn_count = 0;
}

static void begin_row(struct board *b, struct buf *out)
{
    if (b->drawn_count)
        buf_addc(out, '\n');
    b->drawn[b->drawn_count++] = 0;
}

static void draw_bar(struct board *b, const struct term *t, const struct board_row *r,
                     const char *text, size_t len, struct buf *out)
{
    int prefix = term_width(r->prefix, strlen(r->prefix)), room = t->columns - 1 - prefix;

    begin_row(b, out);
    if (room < 1)
        return;
    buf_adds(out, r->prefix);
    b->drawn[b->drawn_count - 1] =
        prefix + term_clean_row(out, text, len, room);
}

/* The bars of a rank, a line each, as long as there is room. Returns how many there are. */
static size_t draw_bars(struct board *b, const struct term *t, const struct board_row *r, size_t room,
                        struct buf *out)
{
    size_t count = 0;

    for (const char *line = r->text; line; count++) {
        size_t len = strcspn(line, "\n");

        if (count < room)
            draw_bar(b, t, r, line, len, out);
        line = line[len] ? line + len + 1 : NULL;
    }
    return count;
}

static void draw_words(struct board *b, const struct term *t, const char *text, struct buf *out)
{
    begin_row(b, out);
    if (t->color)
        buf_addf(out, "\x1b[%sm", palette_faint());
    b->drawn[b->drawn_count - 1] = term_clean_row(out, text, strlen(text), t->columns - 1);
    if (t->color)
        buf_adds(out, TERM_RESET);
}

void board_draw(struct board *b, const struct term *t, struct buf *out, int64_t now_us)
{
    size_t max = (size_t)(t->rows / 3), count = 0;
    char more[48];

    CHECK(!b->drawn_count);
    for (size_t i = b->count; i-- > 0;)
        if (now_us - b->rows[i].seen_us > BOARD_STALE_US)
            remove_at(b, i);
    if (max > BOARD_ROWS_MAX)
        max = BOARD_ROWS_MAX;
    if (max < 1)
        max = 1;
    for (size_t i = 0; i < b->count; i++)
        count += draw_bars(b, t, &b->rows[i], count < max ? max - count : 0, out);
    if (count > max) {
        snprintf(more, sizeof more, "… and %zu more", count - max);
        draw_words(b, t, more, out);
    }
    if (b->status.len)
        draw_words(b, t, buf_cstr(&b->status), out);
}

/*
 * clients/cli/splitter.c -- the line splitter.
 */
#include "clients/cli/splitter.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

void splitter_init(struct splitter *s)
{
    memset(s, 0, sizeof *s);
    track_clear(&s->track);
}

void splitter_redact(struct splitter *s, const struct redact *r, int is_json, struct redact_counts *counts)
{
    s->redact = r;
    s->is_json = is_json;
    s->redacted = counts;
}

void splitter_release(struct splitter *s)
{
    track_release(&s->track);
    bars_release(&s->bars);
    buf_release(&s->line);
    buf_release(&s->fields);
    buf_release(&s->clean);
    buf_release(&s->clean_json);
    buf_release(&s->clean_live);
}

static void start_line(struct splitter *s)
{
    buf_clear(&s->line);
    track_clear(&s->track);
    s->parts = 0;
    s->is_redrawn = 0;
}

/* ---- secrets ---- */

/* *text without its secrets, in s->clean when there were any. Out of memory it is not given out at all. */
static void clean_line(struct splitter *s, const char **text, size_t *len)
{
    int got = 0;

    if (!s->redact || !*len)
        return;
    if (s->is_json && (*text)[0] == '{') {
        got = redact_json(s->redact, *text, *len, &s->clean_json, s->redacted);
        if (got > 0) {
            *text = buf_cstr(&s->clean_json);
            *len = s->clean_json.len;
        }
    }
    if (got >= 0)
        got = redact_text(s->redact, &s->flow, *text, *len, &s->clean, s->redacted);
    if (got > 0) {
        *text = buf_cstr(&s->clean);
        *len = s->clean.len;
    } else if (got < 0) {
        *len = 0;
    }
}

/* The same of what is shown for a while: it opens no key. */
static void clean_segment(struct splitter *s, struct buf *out, struct redact_counts *counts, const char **text, size_t *len)
{
    int got = s->redact ? redact_text(s->redact, NULL, *text, *len, out, counts) : 0;

    if (got > 0)
        *text = buf_cstr(out);
    if (got)
        *len = got > 0 ? out->len : 0;
}

#define WINDOW_BYTES 512 /* around a cut that must not go through a secret */
#define CUTS_MAX 256     /* places that are tried */

/* How long text would be without its secrets. */
static size_t clean_bytes(struct splitter *s, const char *text, size_t len)
{
    struct redact_counts none = {{0}};

    clean_segment(s, &s->clean, &none, &text, &len);
    return len;
}

/* A place at or before max where the open line may be cut so that both sides show what the whole showed: at a blank. */
static size_t cut_beside_secrets(struct splitter *s, size_t max)
{
    const char *text = s->line.data;

    for (size_t at = max, tries = 0; s->redact && at > max / 2 && tries < CUTS_MAX; at--) {
        size_t from = at - WINDOW_BYTES, to = at + WINDOW_BYTES;

        if (text[at] != ' ' && text[at] != '\t' && text[at] != ',')
            continue;
        tries++;
        if (clean_bytes(s, text + from, to - from) == clean_bytes(s, text + from, at - from) + clean_bytes(s, text + at, to - at))
            return at;
    }
    return max;
}

static int give(struct splitter *s, const char *text, size_t len, splitter_on_line on_line,
                void *user)
{
    struct splitter_line l = {text ? text : "", len, NULL, 0};

    if (s->fields.len) {
        l.fields = s->fields.data;
        l.fields_len = s->fields.len;
    }
    return on_line(user, &l);
}

/* Text of the open line as parts; more: the line goes on after it. */
static int give_parts(struct splitter *s, const char *text, size_t len, int more,
                      splitter_on_line on_line, void *user)
{
    unsigned of = s->parts;
    int err = 0;

    for (size_t at = 0; at < len; of++)
        at += track_cut(text + at, len - at, SPLITTER_PART_BYTES);
    if (!len && !more && s->parts)
        of++; /* the end of the line came right after a piece */
    do {
        size_t n = track_cut(text, len, SPLITTER_PART_BYTES);

        buf_clear(&s->fields);
        buf_addf(&s->fields, "{\"part\":{\"n\":%u,\"of\":%u}}", ++s->parts, of + (more ? 1 : 0));
        err = give(s, text, n, on_line, user);
        text += n;
        len -= n;
    } while (len && err >= 0);
    return err;
}

/* ---- rows that are drawn over ---- */

struct target {
    struct splitter *s;
    splitter_on_line on_line;
    void *user;
};

static int on_bar(void *user, const char *text, size_t len, const char *fields, size_t fields_len)
{
    struct target *t = user;
    struct splitter_line l = {text, len, fields, fields_len};

    if (fields)
        return t->on_line(t->user, &l);
    clean_line(t->s, &l.text, &l.len);
    return l.len <= SPLITTER_PART_BYTES ? t->on_line(t->user, &l)
                                        : give_parts(t->s, l.text, l.len, 0, t->on_line, t->user);
}

/* The line belongs to rows that are drawn over. A piece of one that is longer than a line may be does not. */
static int is_of_bars(const struct splitter *s)
{
    return !s->parts && (s->bars.is_on || bars_wanted(s->line.data, s->line.len));
}

/* The first len bytes of the line, to them. */
static int take_bars(struct splitter *s, size_t len, enum bars_end end, splitter_on_line on_line, void *user)
{
    struct target t = {s, on_line, user};
    const char *text = s->line.data;
    size_t clean_len = len;
    int err;

    if (!s->bars.is_on)
        bars_begin(&s->bars, &s->track, s->is_redrawn);
    clean_segment(s, &s->clean_live, s->redacted, &text, &clean_len);
    err = bars_take(&s->bars, text, clean_len, end, on_bar, &t);
    buf_consume(&s->line, len);
    track_clear(&s->track);
    s->is_redrawn = s->parts = 0;
    return err;
}

/* What an open line has moved is known before its end. */
static int take_moves(struct splitter *s, splitter_on_line on_line, void *user)
{
    size_t settled;

    if (!is_of_bars(s))
        return 0;
    settled = bars_settled(s->line.data, s->line.len);
    return settled ? take_bars(s, settled, BARS_MOVE, on_line, user) : 0;
}

/* ---- one row ---- */

/* A '\r' that ends no line: what stands on the line was drawn, and is now drawn over. */
static int take_redraw(struct splitter *s, splitter_on_line on_line, void *user)
{
    const char *text = s->line.data;
    size_t len = s->line.len;
    int err = 0;

    if (is_of_bars(s))
        return take_bars(s, len, BARS_CR, on_line, user);
    if (track_shows(text, len)) {
        clean_segment(s, &s->clean, s->redacted, &text, &len);
        err = track_draw(&s->track, text, len);
    }
    s->is_redrawn = 1;
    buf_clear(&s->line);
    return err;
}

static int end_line(struct splitter *s, splitter_on_line on_line, void *user)
{
    const char *text = s->line.data;
    size_t len = s->line.len;
    int err = 0;

    if (is_of_bars(s))
        return take_bars(s, len, BARS_LF, on_line, user);
    buf_clear(&s->fields);
    if (s->is_redrawn) {
        if (track_shows(text, len)) {
            track_cover(&s->track);
        } else {
            text = s->track.shown.data;
            len = s->track.shown.len;
        }
        if (s->track.redraws)
            err = track_fields(&s->track, &s->fields);
    }
    clean_line(s, &text, &len);
    if (err >= 0) {
        if (s->parts || len > SPLITTER_PART_BYTES)
            err = give_parts(s, text, len, 0, on_line, user);
        else
            err = give(s, text, len, on_line, user);
    }
    start_line(s);
    return err;
}

/* Bytes of one line. A line over the limit is given out as far as it is known. */
static int add_bytes(struct splitter *s, const char *data, size_t len, splitter_on_line on_line,
                     void *user)
{
    int err = 0;

    while (len && err >= 0) {
        size_t room = SPLITTER_LINE_BYTES - s->line.len, n = len < room ? len : room;

        err = buf_add(&s->line, data, n);
        data += n;
        len -= n;
        if (err >= 0 && s->line.len == SPLITTER_LINE_BYTES) {
            size_t whole = SPLITTER_LINE_BYTES - SPLITTER_PART_BYTES, piece_len;
            const char *piece = s->line.data;

            whole = piece_len = track_cut(s->line.data, s->line.len, cut_beside_secrets(s, whole));
            clean_line(s, &piece, &piece_len);
            err = give_parts(s, piece, piece_len, 1, on_line, user);
            buf_consume(&s->line, whole);
            track_clear(&s->track);
            s->is_redrawn = 0;
        }
    }
    return err;
}

int splitter_feed(struct splitter *s, const char *data, size_t len, splitter_on_line on_line,
                  void *user)
{
    int err = 0;

    for (size_t i = 0; i < len && err >= 0;) {
        const char *nl, *cr;
        size_t end;

        if (s->after_cr && data[i] == '\r') { /* "\r\r\n" is a line end too */
            i++;
            continue;
        }
        if (s->after_cr && data[i] != '\n')
            err = take_redraw(s, on_line, user);
        s->after_cr = 0;
        nl = memchr(data + i, '\n', len - i);
        end = nl ? (size_t)(nl - data) : len;
        cr = memchr(data + i, '\r', end - i);
        if (cr)
            end = (size_t)(cr - data);
        if (err >= 0)
            err = add_bytes(s, data + i, end - i, on_line, user);
        i = end;
        if (i == len || err < 0)
            break;
        if (data[i++] == '\r')
            s->after_cr = 1;
        else
            err = end_line(s, on_line, user);
    }
    return err < 0 ? err : take_moves(s, on_line, user);
}

int splitter_flush(struct splitter *s, splitter_on_line on_line, void *user)
{
    struct target t = {s, on_line, user};
    int err = 0;

    s->after_cr = 0;
    if (is_of_bars(s))
        err = take_bars(s, s->line.len, BARS_CR, on_line, user);
    if (s->bars.is_on && err >= 0)
        err = bars_finish(&s->bars, on_bar, &t);
    if (err < 0)
        return err;
    if (!s->line.len && !s->track.has_shown && !s->parts) { /* nothing, or carriage returns only */
        start_line(s);
        return 0;
    }
    return end_line(s, on_line, user);
}

int splitter_live(struct splitter *s, const char **ret_text, size_t *ret_len)
{
    struct redact_counts none = {{0}}; /* what is kept of it is counted */
    const struct buf *b;

    if (s->bars.is_on) {
        if (!bars_live(&s->bars, s->line.data, s->line.len, ret_text, ret_len))
            return 0;
    } else if (!s->is_redrawn && !s->after_cr) {
        return 0;
    } else {
        b = track_shows(s->line.data, s->line.len) ? &s->line : &s->track.shown;
        *ret_text = b->data;
        *ret_len = b->len;
    }
    if (*ret_len)
        clean_segment(s, &s->clean_live, &none, ret_text, ret_len);
    return *ret_len > 0;
}

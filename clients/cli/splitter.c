/*
 * clients/cli/splitter.c -- the line splitter.
 */
#include "clients/cli/splitter.h"

#include "base/check.h"
#include "base/err.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

void splitter_init(struct splitter *s)
{
    memset(s, 0, sizeof *s);
    s->stride = 1;
}

static void drop_samples(struct splitter *s)
{
    for (unsigned i = 0; i < s->sample_count; i++)
        free(s->samples[i]);
    s->sample_count = 0;
}

void splitter_release(struct splitter *s)
{
    drop_samples(s);
    buf_release(&s->line);
    buf_release(&s->shown);
    buf_release(&s->fields);
}

static void start_line(struct splitter *s)
{
    buf_clear(&s->line);
    buf_clear(&s->shown);
    drop_samples(s);
    s->stride = 1;
    s->redraws = 0;
    s->parts = 0;
    s->is_redrawn = s->has_shown = 0;
}

/* Does anything remain when blanks and control sequences (ESC '[' … letter) are taken away? */
static int shows(const char *t, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (t[i] == ' ' || t[i] == '\t')
            continue;
        if (t[i] != '\x1b' || i + 1 >= len || t[i + 1] != '[')
            return 1;
        for (i += 2; i < len && (t[i] < '@' || t[i] > '~'); i++)
            if (t[i] < ' ' || t[i] > '?')
                return 1;
    }
    return 0;
}

/* At most max bytes of text, not ending inside a UTF-8 sequence. */
static size_t cut(const char *text, size_t len, size_t max)
{
    size_t n = max;

    if (len <= max)
        return len;
    for (int back = 0; back < 3 && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; back++)
        n--;
    return ((unsigned char)text[n] & 0xc0) == 0x80 || n == 0 ? max : n;
}

/* An earlier segment of the line: keep every stride-th. */
static void add_sample(struct splitter *s, const char *text, size_t len)
{
    if (s->redraws % s->stride == 0) {
        if (s->sample_count == SPLITTER_SAMPLES_MAX) {
            for (unsigned i = 0; i < SPLITTER_SAMPLES_MAX; i++) {
                if (i % 2)
                    free(s->samples[i]);
                else
                    s->samples[i / 2] = s->samples[i];
            }
            s->sample_count /= 2;
            s->stride *= 2;
        }
        if (s->redraws % s->stride == 0)
            s->samples[s->sample_count++] =
                must_strndup(text, cut(text, len, SPLITTER_SEGMENT_BYTES));
    }
    s->redraws++;
}

/* A '\r' that ends no line: what stands on the line was drawn, and is now drawn over. */
static int take_redraw(struct splitter *s)
{
    int err = 0;

    if (shows(s->line.data, s->line.len)) {
        if (s->has_shown)
            add_sample(s, s->shown.data, s->shown.len);
        buf_clear(&s->shown);
        err = buf_add(&s->shown, s->line.data, s->line.len);
        s->has_shown = 1;
    }
    s->is_redrawn = 1;
    buf_clear(&s->line);
    return err;
}

static int write_history(struct splitter *s)
{
    unsigned kept = s->sample_count < SPLITTER_HISTORY_MAX ? s->sample_count : SPLITTER_HISTORY_MAX;
    struct json j;

    buf_clear(&s->fields);
    json_init(&j, &s->fields);
    json_obj(&j);
    json_ku64(&j, "redraws", s->redraws);
    json_key(&j, "history");
    json_arr(&j);
    for (unsigned i = 0; i < kept; i++)
        json_str(&j, s->samples[i * s->sample_count / kept]);
    json_end(&j);
    json_end(&j);
    return json_err(&j);
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
        at += cut(text + at, len - at, SPLITTER_PART_BYTES);
    if (!len && !more && s->parts)
        of++; /* the end of the line came right after a piece */
    do {
        size_t n = cut(text, len, SPLITTER_PART_BYTES);

        buf_clear(&s->fields);
        buf_addf(&s->fields, "{\"part\":{\"n\":%u,\"of\":%u}}", ++s->parts, of + (more ? 1 : 0));
        err = give(s, text, n, on_line, user);
        text += n;
        len -= n;
    } while (len && err >= 0);
    return err;
}

static int end_line(struct splitter *s, splitter_on_line on_line, void *user)
{
    const char *text = s->line.data;
    size_t len = s->line.len;
    int err = 0;

    buf_clear(&s->fields);
    if (s->is_redrawn) {
        if (shows(text, len)) {
            if (s->has_shown)
                add_sample(s, s->shown.data, s->shown.len);
        } else {
            text = s->shown.data;
            len = s->shown.len;
        }
        if (s->redraws)
            err = write_history(s);
    }
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
            size_t whole = SPLITTER_LINE_BYTES - SPLITTER_PART_BYTES;

            whole = cut(s->line.data, s->line.len, whole);
            err = give_parts(s, s->line.data, whole, 1, on_line, user);
            buf_consume(&s->line, whole);
            s->is_redrawn = s->has_shown = 0;
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
            err = take_redraw(s);
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
    return err;
}

int splitter_flush(struct splitter *s, splitter_on_line on_line, void *user)
{
    s->after_cr = 0;
    if (!s->line.len && !s->has_shown && !s->parts) { /* nothing, or carriage returns only */
        start_line(s);
        return 0;
    }
    return end_line(s, on_line, user);
}

int splitter_live(const struct splitter *s, const char **ret_text, size_t *ret_len)
{
    const struct buf *b;

    if (!s->is_redrawn && !s->after_cr)
        return 0;
    b = shows(s->line.data, s->line.len) ? &s->line : &s->shown;
    *ret_text = b->data;
    *ret_len = b->len;
    return b->len > 0;
}

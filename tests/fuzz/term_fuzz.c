/*
 * tests/fuzz/term_fuzz.c -- any bytes on their way to a terminal, as a stream of events, and through the line splitter.
 *
 * Of what is made safe nothing but colour is obeyed by a terminal; its width holds. Events are the same however the
 * stream is cut; of a tail's messages every record is found. The splitter loses no byte of a line, with or without parts.
 * Covers  clients/cli/term.c clients/cli/sse.c clients/cli/splitter.c
 */
#include "base/check.h"
#include "base/utf8.h"
#include "clients/cli/splitter.h"
#include "clients/cli/sse.h"
#include "clients/cli/term.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing but text, tab, newline and complete colour sequences. */
static void check_safe(const struct buf *b, int rows)
{
    for (size_t i = 0; i < b->len; i++) {
        unsigned char c = (unsigned char)b->data[i];

        if (c == 0x1b) {
            CHECK(i + 2 < b->len && b->data[i + 1] == '[');
            for (i += 2; i < b->len && strchr("0123456789;:", b->data[i]); i++)
                ;
            CHECK(i < b->len && b->data[i] == 'm');
            continue;
        }
        CHECK(c >= 0x20 ? c != 0x7f : (c == '\n' || c == '\t') && rows);
        CHECK(!(c == 0xc2 && i + 1 < b->len && (unsigned char)b->data[i + 1] < 0xa0)); /* C1 */
    }
    CHECK(utf8_valid_prefix(b->data, b->len) == b->len);
}

static void as_text(const char *text, size_t len)
{
    struct buf out = BUF_INIT;
    struct term_mark marks[2] = {{len / 4, len / 3}, {len / 2, len}};
    int colored = 0;

    for (int drop = 0; drop < 2; drop++) {
        buf_clear(&out);
        CHECK(term_clean(&out, text, len, drop ? TERM_COLOR_DROP : TERM_COLOR_KEEP, &colored) >= 0);
        if (out.len)
            check_safe(&out, 1);
        CHECK(!drop || !out.len || !memchr(out.data, 0x1b, out.len));
    }
    if (len) {
        buf_clear(&out);
        CHECK(term_clean_marked(&out, text, len, TERM_COLOR_KEEP, marks, 2, &colored) >= 0);
        check_safe(&out, 1);
        buf_clear(&out);
        CHECK(term_add_marked(&out, text, len, marks, 2) >= 0);
    }
    for (int columns = 1; columns < 200; columns += 37) {
        int took;

        buf_clear(&out);
        took = term_clean_row(&out, text, len, columns);
        CHECK(took >= 0 && took <= columns);
        if (out.len)
            check_safe(&out, 0);
        CHECK(!out.len || term_width(out.data, out.len) <= columns);
    }
    buf_release(&out);
}

static int on_event(void *user, const struct sse_event *e)
{
    struct buf *all = user;
    const char *line;
    size_t pos = 0, len;

    buf_addf(all, "%s|%s|", e->type, e->id);
    buf_add(all, e->data, e->len);
    buf_addc(all, '\n');
    while (lines_next(e->data, e->len, &pos, &line, &len) > 0)
        CHECK(line >= e->data && line + len <= e->data + e->len);
    lines_state(e->data, e->len, all);
    return 0;
}

static void as_events(const char *text, size_t len, size_t piece)
{
    struct buf whole = BUF_INIT, cut = BUF_INIT;

    for (int i = 0; i < 2; i++) {
        struct sse s;
        size_t step = i ? piece : len ? len : 1;

        sse_init(&s);
        for (size_t at = 0; at < len; at += step)
            CHECK(sse_feed(&s, text + at, len - at < step ? len - at : step, on_event, i ? &cut : &whole) >= 0);
        sse_release(&s);
    }
    CHECK(whole.len == cut.len && (!whole.len || memcmp(whole.data, cut.data, whole.len) == 0));
    buf_release(&whole);
    buf_release(&cut);
}

static int on_line(void *user, const struct splitter_line *l)
{
    struct buf *all = user;

    buf_add(all, l->text, l->len);
    if (l->fields)
        buf_add(all, l->fields, l->fields_len);
    return buf_addc(all, '\n');
}

static void as_lines(const char *text, size_t len, size_t piece, const struct redact *r)
{
    struct buf whole = BUF_INIT, cut = BUF_INIT;

    for (int i = 0; i < 2; i++) {
        struct splitter s;
        struct redact_counts counts = {{0}};
        size_t step = i ? piece : len ? len : 1, live_len;
        const char *live;

        splitter_init(&s);
        if (r)
            splitter_redact(&s, r, 1, &counts);
        for (size_t at = 0; at < len; at += step) {
            CHECK(splitter_feed(&s, text + at, len - at < step ? len - at : step, on_line, i ? &cut : &whole) >= 0);
            splitter_live(&s, &live, &live_len);
        }
        CHECK(splitter_flush(&s, on_line, i ? &cut : &whole) >= 0);
        splitter_release(&s);
    }
    CHECK(whole.len == cut.len && (!whole.len || memcmp(whole.data, cut.data, whole.len) == 0));
    buf_release(&whole);
    buf_release(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct redact *r;
    char why[100];
    size_t piece;

    if (!r)
        CHECK(redact_new(NULL, &r, why, sizeof why) == 0);
    if (!size)
        return 0;
    piece = 1 + data[0] % 31u;
    as_text((const char *)data + 1, size - 1);
    as_events((const char *)data + 1, size - 1, piece);
    as_lines((const char *)data + 1, size - 1, piece, NULL);
    as_lines((const char *)data + 1, size - 1, piece, r);
    return 0;
}

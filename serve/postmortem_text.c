/*
 * serve/postmortem_text.c -- text of a job made harmless, for documents that give characters a meaning.
 */
#include "serve/postmortem_int.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>

/* C1 controls, line separators, what turns the direction of text around, and tags: shown, not obeyed. */
static int is_harmful(uint32_t c)
{
    return (c >= 0x80 && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
           (c >= 0xe0000 && c <= 0xe007f);
}

/* The code point of the valid sequence at s. */
static uint32_t decode(const unsigned char *s, size_t n)
{
    uint32_t c = n == 2 ? s[0] & 0x1f : n == 3 ? s[0] & 0x0f : s[0] & 0x07;

    for (size_t i = 1; i < n; i++)
        c = c << 6 | (s[i] & 0x3f);
    return c;
}

static const char *html_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void add_ascii(struct document *out, char c, enum postmortem_escape how, int lines)
{
    const char *entity = how == POSTMORTEM_HTML ? html_of(c) : NULL;

    if (entity)
        document_adds(out, entity);
    else if (c == '\n' || c == '\t')
        document_addc(out, lines ? c : ' ');
    else if ((unsigned char)c < 0x20 || c == 0x7f)
        document_addf(out, "%s\\x%02x", how == POSTMORTEM_MARKDOWN ? "\\" : "", (unsigned char)c);
    else if (how == POSTMORTEM_MARKDOWN && strchr("\\`*_[]<>|~&$", c) && !lines)
        document_addf(out, "\\%c", c);
    else
        document_addc(out, c);
}

void postmortem__text(struct document *out, const char *s, size_t len, enum postmortem_escape how,
                      int lines)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)s[i];
        size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (n == 1) {
            add_ascii(out, s[i], how, lines);
        } else if (n > len - i || utf8_valid_prefix(s + i, n) != n) {
            document_adds(out, "\xef\xbf\xbd");
            n = 1;
        } else if (is_harmful(decode((const unsigned char *)s + i, n))) {
            document_addf(out, "%s\\u%04x", how == POSTMORTEM_MARKDOWN && !lines ? "\\" : "",
                     (unsigned)decode((const unsigned char *)s + i, n));
        } else {
            document_add(out, s + i, n);
        }
        i += n;
    }
}

const char *postmortem__age(const struct verdict_rank *r, char out[32])
{
    if (r->age_at_end_us < 0)
        return "–";
    return r->age_at_end_us < 1000 ? "0s" : clock_format_duration(r->age_at_end_us, out);
}

void postmortem__last_line(struct document *out, const struct verdict_rank *r,
                           enum postmortem_escape how)
{
    const struct digest_detail *d = r->entry ? r->entry->detail : NULL;
    size_t from = 0, n;

    if (!d)
        return;
    while (from < d->last_text_bytes && (d->last_text[from] == ' ' || d->last_text[from] == '\t'))
        from++;
    n = d->last_text_bytes - from;
    if (n > POSTMORTEM_CELL_BYTES)
        n = POSTMORTEM_CELL_BYTES;
    n = utf8_valid_prefix(d->last_text + from, n);
    postmortem__text(out, d->last_text + from, n, how, 0);
    if (from + n < d->last_text_bytes)
        document_adds(out, "…");
}

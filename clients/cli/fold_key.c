/*
 * clients/cli/fold_key.c -- one walk over a message.
 */
#include "clients/cli/fold_key.h"

#include <string.h>
#include <strings.h>

struct walk {
    const char *text;
    size_t len;
    int32_t rank;
};

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static char at(const struct walk *w, size_t i)
{
    return i < w->len ? w->text[i] : '\0';
}

static size_t digits(const struct walk *w, size_t i)
{
    size_t n = 0;

    while (is_digit(at(w, i + n)))
        n++;
    return n;
}

/* Bytes of a time (12:34:56, 12:34:56.789) or date (2026-11-24, 2026/11/24) at i; 0: none. */
static size_t moment(const struct walk *w, size_t i)
{
    size_t n = digits(w, i), end;
    char sep = at(w, i + n);

    if (n == 2 && sep == ':' && digits(w, i + 3) == 2 && at(w, i + 5) == ':' &&
        digits(w, i + 6) == 2) {
        end = i + 8;
        if ((at(w, end) == '.' || at(w, end) == ',') && digits(w, end + 1))
            end += 1 + digits(w, end + 1);
        return end - i;
    }
    if (n == 4 && (sep == '-' || sep == '/') && digits(w, i + 5) == 2 && at(w, i + 7) == sep &&
        digits(w, i + 8) == 2)
        return 10;
    return 0;
}

/* Does the word stand before i, with no more than ' ', '=', ':', '#', '[', '(' or '_' between? */
static int follows(const struct walk *w, size_t i, const char *word)
{
    size_t n = strlen(word);

    while (i && strchr(" =:#[(_", w->text[i - 1]))
        i--;
    return i >= n && !strncasecmp(w->text + i - n, word, n) &&
           (i == n || !is_word(w->text[i - n - 1]) || w->text[i - n - 1] == '_');
}

/* Are the n digits at i its rank, as a number is written? */
static int is_rank(const struct walk *w, size_t i, size_t n)
{
    int32_t v = 0;

    if (n > 5 || (n > 1 && w->text[i] == '0'))
        return 0;
    for (size_t k = 0; k < n; k++)
        v = v * 10 + (w->text[i + k] - '0');
    return v == w->rank;
}

static int names_process(const struct walk *w, size_t i, size_t n)
{
    static const char *const words[] = {"local_rank", "local rank", "pid",
                                        "gpu",        "cuda",       "device"};

    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (follows(w, i, words[k]))
            return 1;
    return is_rank(w, i, n) && follows(w, i, "rank");
}

/* pid:tid [n] behind "host:" as NCCL begins its lines: its bytes, 0: none. */
static size_t nccl(const struct walk *w, size_t i)
{
    size_t a = digits(w, i), b = digits(w, i + a + 1), c;

    if (!i || w->text[i - 1] != ':' || at(w, i + a) != ':' || !b || at(w, i + a + 1 + b) != ' ' ||
        at(w, i + a + b + 2) != '[')
        return 0;
    c = digits(w, i + a + b + 3);
    return c && at(w, i + a + b + 3 + c) == ']' ? a + b + c + 4 : 0;
}

static size_t hexadecimal(const struct walk *w, size_t i)
{
    size_t n = 2;

    if (at(w, i) != '0' || at(w, i + 1) != 'x')
        return 0;
    while (at(w, i + n) && strchr("0123456789abcdefABCDEF", at(w, i + n)))
        n++;
    return n > 2 ? n : 0;
}

static size_t colour(const struct walk *w, size_t i)
{
    size_t n = 2;

    if (at(w, i) != '\x1b' || at(w, i + 1) != '[')
        return 0;
    while (is_digit(at(w, i + n)) || at(w, i + n) == ';')
        n++;
    return at(w, i + n) == 'm' ? n + 1 : 0;
}

int fold_key(struct buf *out, const char *text, size_t len, int32_t rank, const char *replica,
             size_t replica_len)
{
    struct walk w = {text, len, rank};
    int err = 0;

    for (size_t i = 0; i < len && err >= 0;) {
        int begins = !i || !is_word(text[i - 1]);
        size_t n;

        if ((n = colour(&w, i))) {
            i += n;
        } else if (begins && replica_len && i + replica_len <= len &&
                   !memcmp(text + i, replica, replica_len) && !is_word(at(&w, i + replica_len))) {
            err = buf_adds(out, "\x01R");
            i += replica_len;
        } else if (is_digit(text[i]) && (begins || text[i - 1] == 'T') && (n = moment(&w, i))) {
            err = buf_adds(out, "\x01T");
            i += n;
        } else if (begins && ((n = hexadecimal(&w, i)) || (n = nccl(&w, i)))) {
            err = buf_adds(out, "\x01N");
            i += n;
        } else if (is_digit(text[i]) && (!i || !is_digit(text[i - 1]))) {
            n = digits(&w, i);
            err = names_process(&w, i, n) ? buf_adds(out, "\x01N") : buf_add(out, text + i, n);
            i += n;
        } else {
            err = buf_addc(out, text[i++]);
        }
    }
    return err < 0 ? err : 0;
}

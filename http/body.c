/*
 * http/body.c -- where a request body ends.
 *
 * Content-Length counts down; chunked (RFC 9112, 7.1) is decoded by a small strict machine: hex
 * digits, CRLF, exactly that many bytes, CRLF; the last chunk, then trailer lines up to a blank
 * line, which are dropped. Chunk extensions are refused: nobody sends them, and lenient readings
 * of them are how requests are smuggled.
 *
 *     SIZE --CR--> SIZE_LF --LF--> DATA --left==0--> DATA_CR --> DATA_LF --> SIZE
 *                    \--size==0--> LINE --CR--> LINE_LF --blank--> done
 */
#include "http/body.h"

#include "base/check.h"
#include "base/err.h"

enum { SIZE, SIZE_LF, DATA, DATA_CR, DATA_LF, LINE_START, LINE, LINE_LF, END_LF, DONE };
#define SIZE_DIGITS_MAX 15

void body__init(struct body *b, int64_t length, uint64_t bytes_max)
{
    *b = (struct body){.bytes_max = bytes_max, .state = SIZE};
    b->kind = length < 0 ? BODY_CHUNKED : length > 0 ? BODY_LENGTH : BODY_NONE;
    if (length > 0) b->left = (uint64_t)length;
}

static int hex_digit(unsigned char ch)
{
    if (ch >= '0' && ch <= '9') return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* A byte of a chunk-size line. */
static int feed_size(struct body *b, unsigned char ch)
{
    int digit = hex_digit(ch);
    if (digit >= 0) {
        if (++b->digits > SIZE_DIGITS_MAX) return ERR_TOO_BIG;
        b->left = b->left * 16 + (unsigned)digit;
        return b->left > b->bytes_max - b->taken ? ERR_TOO_BIG : 0;
    }
    if (ch != '\r' || b->digits == 0) return ERR_INVALID;
    b->state = SIZE_LF;
    return 0;
}

/* A byte of the trailer section: kept only long enough to find its end. */
static int feed_trailer(struct body *b, unsigned char ch)
{
    if (++b->trailer_bytes > TRAILER_BYTES_MAX) return ERR_INVALID;
    switch (b->state) {
    case LINE_START:
        if (ch == '\r') b->state = END_LF;
        else if (ch > ' ' && ch != ':' && ch < 0x7f) b->state = LINE;
        else return ERR_INVALID;
        return 0;
    case LINE:
        if (ch == '\r') b->state = LINE_LF;
        else if ((ch < ' ' && ch != '\t') || ch == 0x7f) return ERR_INVALID;
        return 0;
    case LINE_LF:
        b->state = LINE_START;
        return ch == '\n' ? 0 : ERR_INVALID;
    default: /* END_LF */
        b->state = DONE;
        return ch == '\n' ? 1 : ERR_INVALID;
    }
}

static int feed_byte(struct body *b, unsigned char ch)
{
    switch (b->state) {
    case SIZE: return feed_size(b, ch);
    case SIZE_LF:
        if (ch != '\n') return ERR_INVALID;
        b->digits = 0;
        b->state = b->left ? DATA : LINE_START;
        return 0;
    case DATA_CR:
        b->state = DATA_LF;
        return ch == '\r' ? 0 : ERR_INVALID;
    case DATA_LF:
        b->state = SIZE;
        return ch == '\n' ? 0 : ERR_INVALID;
    default: return feed_trailer(b, ch);
    }
}

static size_t take_run(struct body *b, const char *data, size_t len, const char **ret_run,
                       size_t *ret_run_len)
{
    size_t n = len < b->left ? len : (size_t)b->left;
    if (n) {
        *ret_run = data;
        *ret_run_len = n;
        b->left -= n;
        b->taken += n;
    }
    return n;
}

int body__feed(struct body *b, const char *data, size_t len, size_t *ret_used, const char **ret_run,
               size_t *ret_run_len)
{
    size_t used = 0;
    int r = 0;
    *ret_run = NULL;
    *ret_run_len = 0;
    if (b->kind == BODY_LENGTH) {
        used = take_run(b, data, len, ret_run, ret_run_len);
        r = b->left == 0;
    } else if (b->kind == BODY_CHUNKED) {
        while (r == 0 && used < len) {
            if (b->state == DATA) {
                used += take_run(b, data + used, len - used, ret_run, ret_run_len);
                if (b->left == 0) b->state = DATA_CR;
                break;
            }
            r = feed_byte(b, (unsigned char)data[used++]);
        }
    } else {
        r = 1;
    }
    *ret_used = used;
    return r;
}

/*
 * http/request_lint.c -- is a request head written exactly as RFC 9112 says?
 *
 * Debian's http-parser is built lenient: it takes bare LF, folded lines, a space before the colon
 * (and honours "Content-Length : 3" as framing), any version, leading blank lines. Two readers
 * that see different framing in the same bytes are how requests are smuggled, so everything that
 * can be read in two ways is refused here before it is tokenised.
 *
 * Bytes above 0x7f are allowed in values (obs-text, RFC 9110 5.5: browsers send cookies of other
 * local programs), nowhere else.
 */
#include "http/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/err.h"
#include "base/utf8.h"

/* Longest method and version around a target of full length. */
#define REQUEST_LINE_REST_BYTES 40

static int is_token_byte(unsigned char ch)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    if ((ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z')) return 1;
    return ch != 0 && strchr(others, ch) != NULL;
}

int head__find(const char *data, size_t len, size_t *scanned, const struct http_limits *l,
               struct refusal *ret_refusal)
{
    size_t end = len < l->header_bytes_max ? len : l->header_bytes_max;
    const char *first_lf;
    if (len && !is_token_byte((unsigned char)data[0])) { /* a blank line, TLS, anything else */
        refuse(ret_refusal, 400, "bad_request", "this is not an HTTP request");
        return -1;
    }
    first_lf = memchr(data, '\n', end);
    if ((first_lf ? (size_t)(first_lf - data) : end) > l->target_bytes_max + REQUEST_LINE_REST_BYTES) {
        refuse(ret_refusal, 414, "uri_too_long", "the request target is too long");
        return -1;
    }
    for (size_t i = *scanned; i < end; i++) {
        const char *lf = memchr(data + i, '\n', end - i);
        if (!lf) break;
        i = (size_t)(lf - data);
        if (i == 0 || data[i - 1] != '\r') {
            refuse(ret_refusal, 400, "bad_request", "a line of the request head does not end with CRLF");
            return -1;
        }
        if (i >= 3 && data[i - 2] == '\n') return (int)i + 1;
    }
    *scanned = end;
    if (len >= l->header_bytes_max) {
        refuse(ret_refusal, 431, "header_too_large", "the request head is too large");
        return -1;
    }
    return 0;
}

/* "GET /target HTTP/1.1", one space each. */
static int lint_request_line(const char *line, size_t len, const struct http_limits *l,
                             struct refusal *r)
{
    size_t at = 0, target;
    while (at < len && is_token_byte((unsigned char)line[at])) at++;
    if (at == 0 || at == len || line[at] != ' ')
        return refuse(r, 400, "bad_request", "the request line does not start with a method");
    target = ++at;
    while (at < len && line[at] > ' ' && line[at] < 0x7f && line[at] != '#') at++;
    if (at == target || at == len || line[at] != ' ')
        return refuse(r, 400, "bad_request", "the request target has a byte that does not belong there");
    if (at - target > l->target_bytes_max)
        return refuse(r, 414, "uri_too_long", "the request target is too long");
    at++;
    if (len - at != 8 || memcmp(line + at, "HTTP/", 5) != 0 || line[at + 6] != '.')
        return refuse(r, 400, "bad_request", "the request line does not end with a version");
    if (line[at + 5] != '1' || (line[at + 7] != '0' && line[at + 7] != '1'))
        return refuse(r, 505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are served");
    return 0;
}

static int lint_field_line(const char *line, size_t len, struct refusal *r)
{
    size_t at = 0;
    while (at < len && is_token_byte((unsigned char)line[at])) at++;
    if (at == 0 || at == len || line[at] != ':')
        return refuse(r, 400, "bad_request", "a header line is not name, colon, value");
    for (at++; at < len; at++) {
        unsigned char ch = (unsigned char)line[at];
        if ((ch < ' ' && ch != '\t') || ch == 0x7f)
            return refuse(r, 400, "bad_request", "a header value has a control byte");
    }
    return 0;
}

int head__lint(const char *data, size_t len, const struct http_limits *l, struct refusal *ret_refusal)
{
    unsigned line_no = 0;
    CHECK(len >= 4);
    for (size_t at = 0; at < len - 2; line_no++) {
        const char *lf = memchr(data + at, '\n', len - at);
        size_t line_len = (size_t)(lf - (data + at)) - 1;
        int err = line_no == 0 ? lint_request_line(data + at, line_len, l, ret_refusal)
                               : lint_field_line(data + at, line_len, ret_refusal);
        if (err < 0) return err;
        at += line_len + 2;
    }
    if (line_no > HEAD_FIELDS_MAX + 1) {
        *ret_refusal = (struct refusal){431, "header_too_large", "the request has too many header lines"};
        return ERR_INVALID;
    }
    return 0;
}

static int hex_digit(char ch)
{
    if (ch >= '0' && ch <= '9') return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* Decode s into out (which has room); returns the end, or NULL. keep_slash: "%2F" stays as it is. */
static char *percent_decode(const char *s, size_t len, char *out, int keep_slash, int plus_is_space)
{
    char *start = out;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '%') {
            int hi = i + 2 < len ? hex_digit(s[i + 1]) : -1;
            int lo = hi >= 0 ? hex_digit(s[i + 2]) : -1;
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0)) return NULL;
            if (keep_slash && hi * 16 + lo == '/') {
                memcpy(out, s + i, 3);
                out += 3;
            } else {
                *out++ = (char)(hi * 16 + lo);
            }
            i += 2;
        } else {
            *out++ = plus_is_space && s[i] == '+' ? ' ' : s[i];
        }
    }
    if (utf8_valid_prefix(start, (size_t)(out - start)) != (size_t)(out - start)) return NULL;
    *out++ = '\0';
    return out;
}

/* One "name=value" of the query. */
static char *decode_arg(struct head *h, const char *arg, size_t len, char *out)
{
    const char *eq = memchr(arg, '=', len);
    size_t name_len = eq ? (size_t)(eq - arg) : len;
    struct head_pair *p = &h->args[h->arg_count++];
    p->name = out;
    out = percent_decode(arg, name_len, out, 0, 1);
    if (!out) return NULL;
    p->value = out;
    return percent_decode(eq ? eq + 1 : "", eq ? len - name_len - 1 : 0, out, 0, 1);
}

/* "http://host/path" (RFC 9112 3.2.2) is served as "/path". */
static const char *skip_authority(const char *target)
{
    const char *authority = NULL;
    if (strncasecmp(target, "http://", 7) == 0) authority = target + 7;
    else if (strncasecmp(target, "https://", 8) == 0) authority = target + 8;
    if (!authority) return target;
    return authority + strcspn(authority, "/?");
}

int head__decode_target(struct head *h, char *target, struct refusal *ret_refusal)
{
    const char *start = skip_authority(target);
    size_t path_len = strcspn(start, "?");
    const char *query = start[path_len] ? start + path_len + 1 : "";
    size_t left = strlen(query), args = 1;
    char *out;
    for (const char *p = query; *p; p++) args += *p == '&';
    /* Decoding never grows; each string adds a NUL. */
    h->decoded = malloc(path_len + left + 2 * args + 8);
    if (!h->decoded) return ERR_NOMEM;
    h->raw_query = query;
    h->path = out = h->decoded;
    if (strcmp(start, "*") == 0 && strcmp(h->method, "OPTIONS") == 0) {
        memcpy(out, "*", 2);
        return 0;
    }
    if (start != target && (*start == '\0' || *start == '?')) *out++ = '/'; /* no path was given */
    else if (*start != '/')
        return refuse(ret_refusal, 400, "bad_request", "the request target does not start with '/'");
    out = percent_decode(start, path_len, out, 1, 0);
    while (out && left) {
        size_t n = strcspn(query, "&");
        if (n) {
            if (h->arg_count == HTTP_QUERY_ARGS_MAX)
                return refuse(ret_refusal, 400, "bad_request", "the query has too many arguments");
            out = decode_arg(h, query, n, out);
        }
        n += query[n] == '&';
        query += n;
        left -= n;
    }
    if (!out)
        return refuse(ret_refusal, 400, "bad_request",
                      "the request target is not percent-encoded UTF-8 without NUL");
    return 0;
}

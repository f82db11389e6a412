/*
 * http/request.c -- a request head: from bytes to method, path, arguments, headers and framing.
 *
 * The head has passed the lint (request_lint.c). http-parser cuts it into names and values; what
 * decides framing (Host, Content-Length, Transfer-Encoding, Expect, Upgrade) is counted and read
 * by us from those, and where either of the two refuses, the request is refused.
 * Not here   libwebsockets: its header defines an enum http_status too.
 */
#include <http_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "http/head.h"

/* What the tokeniser calls back into. */
struct tokens {
    struct head *head;
    char *target;
    size_t target_len;
    size_t value_len[HEAD_FIELDS_MAX], name_len[HEAD_FIELDS_MAX];
    int names, values, upgrade_asked, complete;
};

static int on_target(http_parser *p, const char *at, size_t len)
{
    struct tokens *t = p->data;
    t->target = (char *)at;
    t->target_len = len;
    return 0;
}

static int on_name(http_parser *p, const char *at, size_t len)
{
    struct tokens *t = p->data;
    if (t->names == HEAD_FIELDS_MAX) return 1;
    t->values = t->names; /* an empty value is not always called back */
    t->head->fields[t->names].name = at;
    t->name_len[t->names++] = len;
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    struct tokens *t = p->data;
    if (t->values + 1 != t->names) return 1;
    while (len && (at[len - 1] == ' ' || at[len - 1] == '\t')) len--;
    t->head->fields[t->values].value = at;
    t->value_len[t->values++] = len;
    return 0;
}

static int on_head_complete(http_parser *p)
{
    struct tokens *t = p->data;
    t->head->minor = p->http_minor;
    t->head->method = http_method_str(p->method);
    t->head->keep_alive = http_should_keep_alive(p) != 0;
    t->upgrade_asked = (p->flags & F_CONNECTION_UPGRADE) != 0;
    t->complete = 1;
    return 1; /* no body: framing is ours */
}

static int refuse_tokens(enum http_errno e, struct refusal *r)
{
    if (e == HPE_INVALID_METHOD)
        return refuse(r, 501, "method_not_implemented", "this method is not known here");
    if (e == HPE_INVALID_TRANSFER_ENCODING)
        return refuse(r, 501, "coding_not_implemented", "the only transfer coding served is chunked");
    if (e == HPE_INVALID_CONTENT_LENGTH || e == HPE_UNEXPECTED_CONTENT_LENGTH)
        return refuse(r, 400, "bad_request", "Content-Length is not one plain number, alone");
    return refuse(r, 400, "bad_request", "the request head cannot be read");
}

static int tokenise(struct tokens *t, char *block, size_t len, struct refusal *r)
{
    static const http_parser_settings settings = {
        .on_url = on_target,
        .on_header_field = on_name,
        .on_header_value = on_value,
        .on_headers_complete = on_head_complete,
    };
    struct head *h = t->head;
    http_parser parser;
    size_t used;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = t;
    used = http_parser_execute(&parser, &settings, block, len);
    if (HTTP_PARSER_ERRNO(&parser) != HPE_OK) return refuse_tokens(HTTP_PARSER_ERRNO(&parser), r);
    if (used != len || !t->complete || !t->target)
        return refuse(r, 400, "bad_request", "the request head cannot be read");
    /* Cut: the byte after each piece is a separator that is no longer needed. */
    t->target[t->target_len] = '\0';
    for (int i = 0; i < t->names; i++) {
        ((char *)h->fields[i].name)[t->name_len[i]] = '\0';
        /* An empty value is said to lie at the start of the next line, or is not said at all. */
        if (t->value_len[i] == 0) h->fields[i].value = "";
        else ((char *)h->fields[i].value)[t->value_len[i]] = '\0';
    }
    h->field_count = (unsigned)t->names;
    return 0;
}

/* The value of a header that may come once; *ret_count how often it came. */
static const char *only_field(const struct head *h, const char *name, unsigned *ret_count)
{
    const char *value = NULL;
    *ret_count = 0;
    for (unsigned i = 0; i < h->field_count; i++)
        if (strcasecmp(h->fields[i].name, name) == 0 && (*ret_count)++ == 0)
            value = h->fields[i].value;
    return value;
}

const char *head__field(const struct head *h, const char *name)
{
    unsigned count;
    return only_field(h, name, &count);
}

static int read_length(struct head *h, const char *value, const struct http_limits *l,
                       struct refusal *r)
{
    uint64_t length = 0;
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || value[digits] != '\0')
        return refuse(r, 400, "bad_request", "Content-Length is not a plain number");
    for (size_t i = 0; i < digits && length <= l->body_bytes_max; i++)
        length = length * 10 + (unsigned)(value[i] - '0');
    if (length > l->body_bytes_max)
        return refuse(r, 413, "too_large", "the request body is larger than is taken here");
    h->length = (int64_t)length;
    return 0;
}

/* Where the body ends, counted by us (RFC 9112, 6). */
static int read_framing(struct head *h, const struct http_limits *l, struct refusal *r)
{
    unsigned lengths, codings, hosts;
    const char *length = only_field(h, "Content-Length", &lengths);
    const char *coding = only_field(h, "Transfer-Encoding", &codings);
    const char *host = only_field(h, "Host", &hosts);
    if (hosts > 1 || (hosts == 0 && h->minor == 1))
        return refuse(r, 400, "bad_request", "there must be one Host header");
    if (host && (*host == '\0' || strpbrk(host, " \t,/@?#\\")))
        return refuse(r, 400, "bad_request", "the Host header is not a host");
    if (lengths > 1) return refuse(r, 400, "bad_request", "there is more than one Content-Length");
    if (lengths && codings)
        return refuse(r, 400, "bad_request", "Content-Length and Transfer-Encoding exclude each other");
    if (codings > 1) return refuse(r, 400, "bad_request", "there is more than one Transfer-Encoding");
    if (codings && h->minor == 0)
        return refuse(r, 400, "bad_request", "HTTP/1.0 has no Transfer-Encoding");
    if (codings && strcasecmp(coding, "chunked") != 0)
        return refuse(r, 501, "coding_not_implemented", "the only transfer coding served is chunked");
    if (codings) {
        h->chunked = 1;
        h->length = -1;
    }
    return lengths ? read_length(h, length, l, r) : 0;
}

static int read_expect(struct head *h, struct refusal *r)
{
    unsigned count;
    const char *expect = only_field(h, "Expect", &count);
    if (!expect || h->minor == 0) return 0; /* RFC 9110 10.1.1: ignored in 1.0 */
    if (count > 1 || strcasecmp(expect, "100-continue") != 0)
        return refuse(r, 417, "expectation_failed", "the only expectation known is 100-continue");
    h->expects_continue = h->length != 0;
    return 0;
}

/* 16 bytes in base64: 22 letters, the last of which carries 4 zero bits, and "==". */
static int is_ws_key(const char *key)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return strlen(key) == 24 && strspn(key, alphabet) == 22 && strchr("AQgw", key[21]) != NULL &&
           key[22] == '=' && key[23] == '=';
}

/* A WebSocket upgrade (RFC 6455, 4.2.1) or not; every other Upgrade is ignored. */
static int read_upgrade(struct head *h, int upgrade_asked, struct refusal *r)
{
    unsigned upgrades, versions, keys;
    const char *upgrade = only_field(h, "Upgrade", &upgrades);
    const char *version = only_field(h, "Sec-WebSocket-Version", &versions);
    const char *key = only_field(h, "Sec-WebSocket-Key", &keys);
    if (upgrades != 1 || strcasecmp(upgrade, "websocket") != 0 || !upgrade_asked || h->minor != 1 ||
        strcmp(h->method, "GET") != 0 || h->length != 0)
        return 0;
    if (versions != 1 || strcmp(version, "13") != 0)
        return refuse(r, 426, "upgrade_required", "only WebSocket version 13 is served");
    if (keys != 1 || !is_ws_key(key))
        return refuse(r, 400, "bad_request", "Sec-WebSocket-Key is not 16 bytes in base64");
    h->ws_key = key;
    h->is_upgrade = 1;
    return 0;
}

/* Repeated headers become one, its values joined with ", " (RFC 9110, 5.3). */
static int join_repeated(struct head *h, size_t block_len)
{
    unsigned kept = 0;
    char *out = NULL;
    for (unsigned i = 0; i < h->field_count; i++) {
        char *start = out;
        for (unsigned k = i + 1; k < h->field_count; k++) {
            if (strcasecmp(h->fields[i].name, h->fields[k].name) != 0 || !*h->fields[k].name) continue;
            if (!h->joined) { /* every value once, every separator no longer than a line's ending */
                h->joined = start = out = malloc(block_len + 2 * HEAD_FIELDS_MAX + 1);
                if (!out) return ERR_NOMEM;
            }
            if (out == start) out = stpcpy(out, h->fields[i].value);
            out = stpcpy(stpcpy(out, ", "), h->fields[k].value);
            h->fields[k].name = "";
        }
        if (out == start) continue;
        h->fields[i].value = start;
        out++;
    }
    for (unsigned i = 0; i < h->field_count; i++)
        if (*h->fields[i].name) h->fields[kept++] = h->fields[i];
    h->field_count = kept;
    return 0;
}

int head__parse(struct head *h, const char *data, size_t len, const struct http_limits *l,
                struct refusal *ret_refusal)
{
    struct tokens t = {.head = h};
    int err = head__lint(data, len, l, ret_refusal);
    memset(h, 0, offsetof(struct head, fields));
    if (err < 0) return err;
    h->block = malloc(len + 1);
    if (!h->block) return ERR_NOMEM;
    memcpy(h->block, data, len);
    h->block[len] = '\0';
    memset(h->fields, 0, sizeof(h->fields));
    err = tokenise(&t, h->block, len, ret_refusal);
    if (err == 0 && strcmp(h->method, "CONNECT") == 0)
        err = refuse(ret_refusal, 501, "method_not_implemented", "this is not a proxy");
    if (err == 0) err = read_framing(h, l, ret_refusal);
    if (err == 0) err = read_expect(h, ret_refusal);
    if (err == 0) err = read_upgrade(h, t.upgrade_asked, ret_refusal);
    if (err == 0) err = join_repeated(h, len);
    if (err == 0) err = head__decode_target(h, t.target, ret_refusal);
    if (err < 0) {
        head__release(h);
        return err;
    }
    h->is_head = strcmp(h->method, "HEAD") == 0;
    return 0;
}

void head__release(struct head *h)
{
    free(h->block);
    free(h->decoded);
    free(h->joined);
    h->block = h->decoded = h->joined = NULL;
}

/*
 * serve/origin.c -- pages of other sites.
 */
#include "serve/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_BYTES_MAX 256
#define CORS_METHODS "GET, HEAD, POST, DELETE, OPTIONS"
#define CORS_HEADERS                                                                               \
    "Authorization, Content-Type, Content-Encoding, Last-Event-ID, Range, If-Range, X-Producer, "  \
    "X-Epoch, X-Sequence, X-Producer-Fin"
#define CORS_EXPOSED "Retry-After, WWW-Authenticate, Content-Range, ETag"
#define CORS_MAX_AGE_S "600"

int origin_valid(const char *origin)
{
    const char *authority = NULL;

    if (strncmp(origin, "https://", 8) == 0)
        authority = origin + 8;
    else if (strncmp(origin, "http://", 7) == 0)
        authority = origin + 7;
    if (!authority || !*authority || strlen(authority) >= HOST_BYTES_MAX)
        return 0;
    return strspn(authority, "abcdefghijklmnopqrstuvwxyz0123456789.-_[]:") == strlen(authority);
}

static int is_listed(const char *origin, char *const *list)
{
    for (; list && *list; list++)
        if (strcmp(*list, origin) == 0)
            return 1;
    return 0;
}

static int is_own(const struct http *x, const char *origin)
{
    const char *host = http_header(x, "Host"), *authority = strstr(origin, "://");

    return authority && host && strcasecmp(authority + 3, host) == 0;
}

int origin_allowed(const struct http *x, char *const *list)
{
    const char *origin = http_header(x, "Origin");

    return !origin || is_own(x, origin) || is_listed(origin, list);
}

void origin_set_headers(struct http *x, char *const *list)
{
    const char *origin = http_header(x, "Origin");

    if (!list || !*list)
        return;
    http_set_header(x, "Vary", "Origin");
    if (!origin || !is_listed(origin, list))
        return;
    http_set_header(x, "Access-Control-Allow-Origin", origin);
    http_set_header(x, "Access-Control-Expose-Headers", CORS_EXPOSED);
    if (strcmp(http_method(x), "OPTIONS") != 0)
        return;
    http_set_header(x, "Access-Control-Allow-Methods", CORS_METHODS);
    http_set_header(x, "Access-Control-Allow-Headers", CORS_HEADERS);
    http_set_header(x, "Access-Control-Max-Age", CORS_MAX_AGE_S);
}

/* The Host without port and brackets. */
static int read_host(const struct http *x, char host[HOST_BYTES_MAX])
{
    const char *text = http_header(x, "Host");
    size_t len;

    if (!text || strlen(text) >= HOST_BYTES_MAX)
        return 0;
    if (*text == '[') {
        len = strcspn(++text, "]");
        if (!text[len])
            return 0;
    } else {
        len = strcspn(text, ":");
    }
    memcpy(host, text, len);
    host[len] = '\0';
    return 1;
}

int origin_host_is_local(const struct http *x)
{
    static const char tail[] = ".localhost";
    char host[HOST_BYTES_MAX];
    unsigned char address[sizeof(struct in6_addr)];
    size_t len;

    if (!http_header(x, "Host"))
        return 1; /* HTTP/1.0: no browser */
    if (!read_host(x, host))
        return 0;
    len = strlen(host);
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1 ||
           (len && !strpbrk(host, ".:")) ||
           (len >= sizeof tail && strcasecmp(host + len - (sizeof tail - 1), tail) == 0);
}

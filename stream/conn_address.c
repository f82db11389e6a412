/*
 * stream/conn_address.c -- where Redis is: redis://[user:pass@]host[:port][/db] or unix:///path.
 */
#include "base/err.h"
#include "stream/conn_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REDIS_PORT_DEFAULT 6379

static int refuse(char *why, size_t why_size, const char *sentence)
{
    if (why_size)
        snprintf(why, why_size, "%s", sentence);
    return ERR_INVALID;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded copy of [s, s + len). */
static int copy_decoded(char *out, size_t size, const char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = s[i];

        if (n + 1 >= size)
            return ERR_TOO_BIG;
        if (c == '%' && i + 2 < len && hex_digit(s[i + 1]) >= 0 && hex_digit(s[i + 2]) >= 0) {
            c = (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return 0;
}

static int parse_number(const char *s, size_t len, long max, int *ret)
{
    long v = 0;

    if (len == 0)
        return ERR_INVALID;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return ERR_INVALID;
        v = v * 10 + (s[i] - '0');
        if (v > max)
            return ERR_INVALID;
    }
    *ret = (int)v;
    return 0;
}

static int parse_userinfo(const char *s, size_t len, struct conn_address *a)
{
    const char *colon = memchr(s, ':', len);
    size_t user_len = colon ? (size_t)(colon - s) : len;
    int err = copy_decoded(a->user, sizeof a->user, s, user_len);

    if (err == 0 && colon)
        err = copy_decoded(a->pass, sizeof a->pass, colon + 1, len - user_len - 1);
    return err;
}

static int parse_host(const char *s, size_t len, struct conn_address *a)
{
    const char *end = s + len, *host = s, *host_end, *port;

    if (len && *s == '[') {
        host = s + 1;
        host_end = memchr(s, ']', len);
        if (!host_end)
            return ERR_INVALID;
        port = host_end + 1;
        if (port < end && *port != ':')
            return ERR_INVALID;
    } else {
        port = memchr(s, ':', len);
        host_end = port ? port : end;
        if (!port)
            port = end;
    }
    if (host_end == host || (size_t)(host_end - host) >= sizeof a->host)
        return ERR_INVALID;
    memcpy(a->host, host, (size_t)(host_end - host));
    a->port = REDIS_PORT_DEFAULT;
    return port < end ? parse_number(port + 1, (size_t)(end - port - 1), 65535, &a->port) : 0;
}

int conn_address_parse(const char *url, struct conn_address *ret, char *why, size_t why_size)
{
    const char *s, *slash, *at = NULL;
    size_t len;

    memset(ret, 0, sizeof *ret);
    if (strncmp(url, "unix://", 7) == 0) {
        s = url + 7;
        if (*s != '/' || strlen(s) >= sizeof ret->path)
            return refuse(why, why_size, "a unix Redis URL is unix:///path with at most 107 bytes of path");
        ret->is_unix = 1;
        memcpy(ret->path, s, strlen(s) + 1);
        return 0;
    }
    if (strncmp(url, "redis://", 8) != 0)
        return refuse(why, why_size, "a Redis URL is redis://[user:pass@]host[:port][/db] or unix:///path");
    s = url + 8;
    slash = strchr(s, '/');
    len = slash ? (size_t)(slash - s) : strlen(s);
    for (size_t i = 0; i < len; i++)
        if (s[i] == '@')
            at = s + i;
    if (at) {
        if (parse_userinfo(s, (size_t)(at - s), ret) < 0)
            return refuse(why, why_size, "user or password of the Redis URL is too long");
        len -= (size_t)(at + 1 - s);
        s = at + 1;
    }
    if (parse_host(s, len, ret) < 0)
        return refuse(why, why_size, "host or port of the Redis URL is not valid");
    if (slash && slash[1] && parse_number(slash + 1, strlen(slash + 1), 65535, &ret->db) < 0)
        return refuse(why, why_size, "the database of the Redis URL is not a number");
    return 0;
}

/*
 * stream/conn_address.c -- where Redis is: a URL taken apart.
 */
#include "base/err.h"
#include "stream/conn_address.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REDIS_PORT_DEFAULT 6379
#define SENTINEL_PORT_DEFAULT 26379
#define SHOWN_BYTES_MAX 60 /* of what is wrong, in a sentence */

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t why_size, const char *sentence, ...)
{
    va_list ap;

    va_start(ap, sentence);
    if (why_size)
        vsnprintf(why, why_size, sentence, ap);
    va_end(ap);
    return ERR_INVALID;
}

static int shown(long len)
{
    return len < SHOWN_BYTES_MAX ? (int)len : SHOWN_BYTES_MAX;
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

/* ---- [user:pass@] ---- */

static int parse_userinfo(const char *s, size_t len, struct conn_address *a)
{
    const char *colon = memchr(s, ':', len);
    size_t user_len = colon ? (size_t)(colon - s) : len;
    int err = copy_decoded(a->user, sizeof a->user, s, user_len);

    if (err == 0 && colon)
        err = copy_decoded(a->pass, sizeof a->pass, colon + 1, len - user_len - 1);
    return err;
}

/* ---- host[:port] ---- */

static int parse_endpoint(const char *s, size_t len, int port_default, struct conn_endpoint *ret)
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
    if (host_end == host || (size_t)(host_end - host) >= sizeof ret->host)
        return ERR_INVALID;
    memcpy(ret->host, host, (size_t)(host_end - host));
    ret->host[host_end - host] = '\0';
    ret->port = port_default;
    return port < end ? parse_number(port + 1, (size_t)(end - port - 1), 65535, &ret->port) : 0;
}

/* host[:port],host[:port]… */
static int parse_sentinels(const char *s, size_t len, struct conn_address *a, char *why, size_t why_size)
{
    const char *end = s + len;

    for (;;) {
        const char *comma = memchr(s, ',', (size_t)(end - s)), *stop = comma ? comma : end;

        if (a->sentinel_count == CONN_SENTINELS_MAX)
            return refuse(why, why_size, "the Redis URL names more than %d sentinels", CONN_SENTINELS_MAX);
        if (parse_endpoint(s, (size_t)(stop - s), SENTINEL_PORT_DEFAULT, &a->sentinels[a->sentinel_count++]) < 0)
            return refuse(why, why_size, "host or port of sentinel %u of the Redis URL is not valid: \"%.*s\"", a->sentinel_count,
                          shown(stop - s), s);
        if (!comma)
            return 0;
        s = comma + 1;
    }
}

/* ---- /name[/db][?options] ---- */

static int parse_master(const char *s, size_t len, struct conn_address *a, char *why, size_t why_size)
{
    if (!len)
        return refuse(why, why_size, "the Redis URL lacks the name of the master that the sentinels are asked for: "
                                     "redis+sentinel://HOST:PORT/NAME");
    if (copy_decoded(a->master, sizeof a->master, s, len) < 0)
        return refuse(why, why_size, "the name of the master in the Redis URL has more than %d bytes", CONN_MASTER_BYTES - 1);
    return 0;
}

/* What is wrong with it is not shown: it may be a piece of a password. */
static int parse_option(const char *s, size_t len, unsigned n, struct conn_address *a, char *why, size_t why_size)
{
    const char *equals = memchr(s, '=', len);
    size_t name_len = equals ? (size_t)(equals - s) : len;
    const char *value = equals ? equals + 1 : s + len;
    size_t value_len = (size_t)(s + len - value);
    char *to = name_len == 17 && memcmp(s, "sentinel_username", 17) == 0   ? a->sentinel_user
               : name_len == 17 && memcmp(s, "sentinel_password", 17) == 0 ? a->sentinel_pass
                                                                           : NULL;

    if (!to)
        return refuse(why, why_size, "option %u of the Redis URL is not known: there are sentinel_username and "
                                     "sentinel_password", n);
    if (copy_decoded(to, CONN_SECRET_BYTES, value, value_len) < 0)
        return refuse(why, why_size, "%.*s of the Redis URL is too long", (int)name_len, s);
    return 0;
}

/* s: what follows the '?'. */
static int parse_options(const char *s, struct conn_address *a, char *why, size_t why_size)
{
    for (unsigned n = 1;; n++) {
        const char *stop = strchrnul(s, '&');
        int err = parse_option(s, (size_t)(stop - s), n, a, why, why_size);

        if (err < 0 || !*stop)
            return err;
        s = stop + 1;
    }
}

static int parse_db(const char *s, size_t len, struct conn_address *a, char *why, size_t why_size)
{
    if (len && parse_number(s, len, 65535, &a->db) < 0)
        return refuse(why, why_size, "the database of the Redis URL is not a number up to 65535: \"%.*s\"", shown((long)len), s);
    return 0;
}

/* path: from the first '/' behind the hosts, or "". */
static int parse_sentinel_path(const char *path, struct conn_address *a, char *why, size_t why_size)
{
    const char *name = *path == '/' ? path + 1 : path, *options = strchrnul(name, '?');
    const char *slash = memchr(name, '/', (size_t)(options - name)), *name_end = slash ? slash : options;
    int err = parse_master(name, (size_t)(name_end - name), a, why, why_size);

    if (err == 0 && slash)
        err = parse_db(slash + 1, (size_t)(options - slash - 1), a, why, why_size);
    if (err == 0 && *options)
        err = parse_options(options + 1, a, why, why_size);
    return err;
}

/* ---- the whole ---- */

static int parse_unix(const char *path, struct conn_address *a, char *why, size_t why_size)
{
    if (*path != '/' || strlen(path) >= sizeof a->path)
        return refuse(why, why_size, "a unix Redis URL is unix:///path with at most 107 bytes of path");
    a->is_unix = 1;
    memcpy(a->path, path, strlen(path) + 1);
    return 0;
}

/* s: what follows "scheme://". */
static int parse_net(const char *s, int by_sentinels, struct conn_address *a, char *why, size_t why_size)
{
    const char *end = s + strcspn(s, by_sentinels ? "/?" : "/"), *at = memrchr(s, '@', (size_t)(end - s));

    if (strchr(end, '@')) /* else a piece of a password would be shown below */
        return refuse(why, why_size, "the Redis URL has an '@' behind its hosts: in users and passwords '/', '?' and '@' are "
                                     "written %%2F, %%3F and %%40");
    if (at) {
        if (parse_userinfo(s, (size_t)(at - s), a) < 0)
            return refuse(why, why_size, "user or password of the Redis URL is too long");
        s = at + 1;
    }
    if (by_sentinels) {
        int err = parse_sentinels(s, (size_t)(end - s), a, why, why_size);

        return err < 0 ? err : parse_sentinel_path(end, a, why, why_size);
    }
    if (parse_endpoint(s, (size_t)(end - s), REDIS_PORT_DEFAULT, &a->at) < 0)
        return refuse(why, why_size, "host or port of the Redis URL is not valid: \"%.*s\"%s", shown(end - s), s,
                      memchr(s, ',', (size_t)(end - s)) ? " (several sentinels: redis+sentinel://)" : "");
    return *end ? parse_db(end + 1, strlen(end + 1), a, why, why_size) : 0;
}

int conn_address_parse(const char *url, struct conn_address *ret, char *why, size_t why_size)
{
    static const char other[] = "redis-sentinel://";

    memset(ret, 0, sizeof *ret);
    if (strlen(url) > CONN_URL_BYTES_MAX)
        return refuse(why, why_size, "the Redis URL is longer than %d bytes", CONN_URL_BYTES_MAX);
    if (strncmp(url, "unix://", 7) == 0)
        return parse_unix(url + 7, ret, why, why_size);
    if (strncmp(url, "redis://", 8) == 0)
        return parse_net(url + 8, 0, ret, why, why_size);
    if (strncmp(url, "redis+sentinel://", 17) == 0)
        return parse_net(url + 17, 1, ret, why, why_size);
    if (strncmp(url, other, sizeof other - 1) == 0)
        return refuse(why, why_size, "sentinels are named redis+sentinel://HOST:PORT[,HOST:PORT…]/NAME, "
                                     "not redis-sentinel://…#NAME");
    return refuse(why, why_size, "a Redis URL is redis://[user:pass@]host[:port][/db], unix:///path or "
                                 "redis+sentinel://[user:pass@]host[:port][,host[:port]…]/name[/db]");
}

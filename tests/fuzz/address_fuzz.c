/*
 * tests/fuzz/address_fuzz.c -- any bytes as the URL of a Redis, and as the URL of a server.
 *
 * A Redis that is taken is written as a URL again, which is taken and means the same. Of a server's URL host, port and path are
 * what stands in it, whole.
 * Covers  stream/conn_address.c
 */
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "clients/cli/http.h"
#include "stream/conn_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_encoded(struct buf *out, const char *s)
{
    for (; *s; s++)
        CHECK(buf_addf(out, "%%%02x", (unsigned)(unsigned char)*s) >= 0);
}

static void add_endpoint(struct buf *out, const struct conn_endpoint *e)
{
    int in_brackets = strchr(e->host, ':') || e->host[0] == '[';

    buf_addf(out, in_brackets ? "[%s]:%d" : "%s:%d", e->host, e->port);
}

static void write_url(struct buf *out, const struct conn_address *a)
{
    if (a->is_unix) {
        buf_addf(out, "unix://%s", a->path);
        return;
    }
    buf_adds(out, a->sentinel_count ? "redis+sentinel://" : "redis://");
    if (a->user[0] || a->pass[0]) {
        add_encoded(out, a->user);
        buf_addc(out, ':');
        add_encoded(out, a->pass);
        buf_addc(out, '@');
    }
    if (!a->sentinel_count) {
        add_endpoint(out, &a->at);
    } else {
        for (uint32_t i = 0; i < a->sentinel_count; i++) {
            if (i) buf_addc(out, ',');
            add_endpoint(out, &a->sentinels[i]);
        }
        buf_addc(out, '/');
        add_encoded(out, a->master);
    }
    buf_addf(out, "/%d", a->db);
    if (a->sentinel_count) {
        buf_adds(out, "?sentinel_username=");
        add_encoded(out, a->sentinel_user);
        buf_adds(out, "&sentinel_password=");
        add_encoded(out, a->sentinel_pass);
    }
}

static int endpoint_is(const struct conn_endpoint *a, const struct conn_endpoint *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static void as_redis(const char *text)
{
    struct conn_address a, again;
    struct buf url = BUF_INIT;
    char why[200] = "";

    if (conn_address_parse(text, &a, why, sizeof why) < 0) {
        CHECK(*why && strlen(why) < sizeof why && conn_address_parse(text, &a, NULL, 0) == ERR_INVALID);
        return;
    }
    CHECK(strlen(text) <= CONN_URL_BYTES_MAX && a.sentinel_count <= CONN_SENTINELS_MAX && a.db >= 0);
    CHECK(a.is_unix ? a.path[0] == '/' : a.sentinel_count ? !a.at.host[0] : a.at.host[0] && a.at.port >= 0 && a.at.port <= 65535);
    write_url(&url, &a);
    if (url.len > CONN_URL_BYTES_MAX || (a.sentinel_count && !a.master[0])) /* encoded it is longer; a name may begin with %00 */
        goto out;
    CHECKF(conn_address_parse(buf_cstr(&url), &again, why, sizeof why) == 0, "%s: %s", url.data, why);
    CHECK(a.is_unix == again.is_unix && strcmp(a.path, again.path) == 0 && endpoint_is(&a.at, &again.at) && a.db == again.db);
    CHECK(strcmp(a.user, again.user) == 0 && strcmp(a.pass, again.pass) == 0 && strcmp(a.master, again.master) == 0);
    CHECK(strcmp(a.sentinel_user, again.sentinel_user) == 0 && strcmp(a.sentinel_pass, again.sentinel_pass) == 0);
    CHECK(a.sentinel_count == again.sentinel_count);
    for (uint32_t i = 0; i < a.sentinel_count; i++)
        CHECK(a.sentinels[i].host[0] && endpoint_is(&a.sentinels[i], &again.sentinels[i]));
out:
    buf_release(&url);
}

static void as_server(const char *text)
{
    struct http_server s;
    struct buf url = BUF_INIT;
    char why[256] = "";
    int has_port, in_brackets;

    memset(&s, 0, sizeof s);
    if (http_server_parse(&s, text, why, sizeof why) < 0) {
        CHECK(*why);
        return;
    }
    CHECK(strncmp(text, s.url, strlen(s.url)) == 0 && s.port > 0 && s.port <= 65535);
    if (strncmp(text, "unix:", 5) == 0) {
        CHECKF(strcmp(s.unix_path, s.url + 5) == 0, "%s", s.url);
        return;
    }
    in_brackets = s.url[s.is_tls ? 8 : 7] == '[';
    has_port = s.url[(s.is_tls ? 8 : 7) + strlen(s.host) + (in_brackets ? 2 : 0)] == ':';
    buf_addf(&url, in_brackets ? "http%s://[%s]" : "http%s://%s", s.is_tls ? "s" : "", s.host);
    if (has_port)
        buf_addf(&url, ":%.*s", (int)strcspn(s.url + url.len + 1, "/"), s.url + url.len + 1);
    buf_adds(&url, s.prefix);
    CHECKF(strcasecmp(buf_cstr(&url), s.url) == 0, "%s is not %s", buf_cstr(&url), s.url);
    if (has_port) {
        const char *digits = strrchr(s.host, '\0') - s.host + s.url + (s.is_tls ? 8 : 7) + (in_brackets ? 2 : 0) + 1;

        CHECKF(strspn(digits, "0123456789") == strcspn(digits, "/") && atoi(digits) == s.port, "%s", s.url);
    }
    buf_release(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    CHECK(text);
    memcpy(text, data, size);
    text[size] = '\0';
    as_redis(text);
    as_server(text);
    free(text);
    return 0;
}

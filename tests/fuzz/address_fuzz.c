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

static void write_url(struct buf *out, const struct conn_address *a)
{
    int in_brackets = strchr(a->host, ':') || a->host[0] == '[';

    if (a->is_unix) {
        buf_addf(out, "unix://%s", a->path);
        return;
    }
    buf_adds(out, "redis://");
    if (a->user[0] || a->pass[0]) {
        add_encoded(out, a->user);
        buf_addc(out, ':');
        add_encoded(out, a->pass);
        buf_addc(out, '@');
    }
    buf_addf(out, in_brackets ? "[%s]:%d/%d" : "%s:%d/%d", a->host, a->port, a->db);
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
    CHECK(a.is_unix ? a.path[0] == '/' : a.host[0] && a.port >= 0 && a.port <= 65535 && a.db >= 0);
    write_url(&url, &a);
    CHECKF(conn_address_parse(buf_cstr(&url), &again, why, sizeof why) == 0, "%s: %s", url.data, why);
    CHECK(a.is_unix == again.is_unix && strcmp(a.path, again.path) == 0 && strcmp(a.host, again.host) == 0);
    CHECK(a.port == again.port && a.db == again.db && strcmp(a.user, again.user) == 0 && strcmp(a.pass, again.pass) == 0);
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

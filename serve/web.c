/*
 * serve/web.c -- the page's files, from the table that is built in or from a directory.
 */
#include "serve/web.h"

#include "base/err.h"
#include "base/io.h"
#include "job/id.h"
#include "serve/query.h"
#include "serve/service.h"
#include "serve/web_int.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEB_PREFIX "/web/"
#define WEB_PAGE "index.html"
#define TRUSS_PREFIX "/training/"
#define TRUSS_MIDDLE "/logs/"
#define ETAG_BYTES 32

static const struct web_asset *find_asset(const char *name)
{
    for (unsigned i = 0; i < web_asset_count; i++)
        if (!strcmp(web_assets[i].name, name))
            return &web_assets[i];
    return NULL;
}

/* ---- headers ---- */

static void set_headers(struct http *x, const char *cache)
{
    http_set_header(x, "Content-Security-Policy", WEB_CSP);
    http_set_header(x, "X-Content-Type-Options", "nosniff");
    http_set_header(x, "X-Frame-Options", "DENY");
    http_set_header(x, "Referrer-Policy", "no-referrer");
    http_set_header(x, "Cross-Origin-Opener-Policy", "same-origin");
    http_set_header(x, "Cross-Origin-Resource-Policy", "same-origin");
    http_set_header(x, "Permissions-Policy", "camera=(), geolocation=(), microphone=()");
    http_set_header(x, "Cache-Control", cache);
}

int web_etag_matches(const char *header, const char *etag)
{
    size_t want = strlen(etag);

    while (header && *header) {
        header += strspn(header, " \t,");
        if (*header == '*')
            return 1;
        if (!strncmp(header, "W/", 2))
            header += 2;
        if (!strncmp(header, etag, want) && (!header[want] || strchr(" \t,", header[want])))
            return 1;
        header += strcspn(header, ",");
    }
    return 0;
}

/* ---- a directory, for development ---- */

/* The kind of a name we would build in; NULL for any other: also keeps paths out. */
static const char *type_of(const char *name)
{
    static const char *const types[][2] = {{".html", "text/html; charset=utf-8"},
                                           {".css", "text/css; charset=utf-8"},
                                           {".js", "text/javascript; charset=utf-8"},
                                           {".svg", "image/svg+xml"}};
    const char *dot = strrchr(name, '.');

    if (!dot || name[0] == '.' || strlen(name) > WEB_NAME_BYTES_MAX ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.")])
        return NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i][0], dot))
            return types[i][1];
    return NULL;
}

static void reply_from_dir(struct serve_ctx *ctx, struct http *x, const char *name)
{
    const char *type = type_of(name);
    char path[PATH_MAX], *data = NULL;
    size_t len = 0;
    int err = type ? 0 : ERR_NOT_FOUND;

    if (!err) {
        snprintf(path, sizeof path, "%s/%s", ctx->web_dir, name);
        err = io_read_file(path, WEB_FILE_BYTES_MAX, &data, &len);
    }
    if (err < 0) {
        http_reply_error(x, 404, "not_found", "%s: %s", name, err_text(err));
        return;
    }
    set_headers(x, "no-store");
    http_reply(x, 200, type, data, len);
    free(data);
}

/* ---- what is built in ---- */

static void reply_asset(struct http *x, const struct web_asset *a)
{
    int packed = a->gzip && query_accepts_coding(http_header(x, "Accept-Encoding"), "gzip");
    char etag[ETAG_BYTES];

    snprintf(etag, sizeof etag, "\"%s%s\"", a->tag, packed ? "-gz" : "");
    set_headers(x, "no-cache");
    http_set_header(x, "ETag", etag);
    http_set_header(x, "Vary", "Accept, Accept-Encoding");
    if (web_etag_matches(http_header(x, "If-None-Match"), etag)) {
        http_reply(x, 304, NULL, NULL, 0);
        return;
    }
    if (packed)
        http_set_header(x, "Content-Encoding", "gzip");
    http_reply(x, 200, a->type, packed ? a->gzip : a->data, packed ? a->gzip_len : a->len);
}

static void reply_name(struct serve_ctx *ctx, struct http *x, const char *name)
{
    const struct web_asset *a;

    if (ctx->web_dir && *ctx->web_dir) {
        reply_from_dir(ctx, x, name);
        return;
    }
    a = find_asset(name);
    if (a)
        reply_asset(x, a);
    else
        http_reply_error(x, 404, "not_found", "the page has no such file");
}

/* ---- doors ---- */

void web_root(struct serve_ctx *ctx, struct http *x)
{
    const char *accept = http_header(x, "Accept");

    if (accept && strstr(accept, "text/html")) {
        web_page(ctx, x);
        return;
    }
    http_set_header(x, "Vary", "Accept");
    service_root(ctx, x);
}

void web_page(struct serve_ctx *ctx, struct http *x)
{
    reply_name(ctx, x, WEB_PAGE);
}

void web_file(struct serve_ctx *ctx, struct http *x)
{
    reply_name(ctx, x, http_path(x) + strlen(WEB_PREFIX));
}

void web_truss_link(struct serve_ctx *ctx, struct http *x)
{
    const char *project = http_path(x) + strlen(TRUSS_PREFIX), *job;
    size_t len = strcspn(project, "/");
    struct job_key key;
    char to[sizeof "/jobs//" + 2 * ID_BYTES_MAX];

    job = project + len + strlen(TRUSS_MIDDLE);
    if (job_key_make(&key, project, len, job, strlen(job)) < 0) {
        http_reply_error(x, 404, "not_found", "there is no such job");
        return;
    }
    snprintf(to, sizeof to, "/jobs/%s/%s", key.project, key.job);
    http_set_header(x, "Location", to);
    http_reply(x, 302, NULL, NULL, 0);
}

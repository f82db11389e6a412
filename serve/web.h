/*
 * serve/web.h -- the page (clients/web) over HTTP.
 *
 *     GET /              the page for who accepts text/html, else the word of service_root()
 *     GET /jobs…         the page: it reads the address itself
 *     GET /web/NAME      one of its files
 *     GET /training/P/logs/J   302 to /jobs/P/J: where truss' links to a job lead (docs/baseten.md)
 *
 * The files are built in (serve/web_int.h). With --web DIR they are read from there at every
 * request instead, on the loop: for working on the page only.
 *
 * Promises   Nothing the page loads or sends goes to another host, no script or style but these
 *            files runs, nobody may frame it: said to the browser by WEB_CSP and the headers beside
 *            it. Public: no token is asked for; what the page shows it asks for with one.
 *            ETag by content and coding; revalidated at every use, so that files of two versions
 *            are never mixed for longer than one load.
 */
#ifndef SERVE_WEB_H
#define SERVE_WEB_H

#include "http/http.h"
#include "serve/ctx.h"

#define WEB_FILE_BYTES_MAX (4 * 1024 * 1024) /* of --web DIR */
#define WEB_NAME_BYTES_MAX 64
#define WEB_CSP                                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "               \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

void web_root(struct serve_ctx *ctx, struct http *x);
void web_page(struct serve_ctx *ctx, struct http *x);
void web_file(struct serve_ctx *ctx, struct http *x);
void web_truss_link(struct serve_ctx *ctx, struct http *x);

/* Does an If-None-Match value name etag (RFC 9110 13.1.2, weak comparison)? */
int web_etag_matches(const char *if_none_match, const char *etag);

#endif

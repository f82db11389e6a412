/*
 * serve/router.h -- which door a request goes to.
 *
 * One table of routes (router.c): method, path pattern, what the caller must hold, how the job is
 * resolved, handler. The caller is let in first (serve/auth.h). The job J of a path is looked up in the
 * caller's project, else `?project=` + J, else over all projects (serve/resolve.h); routes that may
 * create a job fall back to project "default".
 *
 * Promises   404 for unknown paths, 405 with Allow for known paths with another method, HEAD served
 *            as GET, OPTIONS answered with Allow. Every request of an unknown job that must exist is
 *            404 `not_found`, of an ambiguous id 409 `ambiguous`.
 */
#ifndef SERVE_ROUTER_H
#define SERVE_ROUTER_H

#include "http/http.h"
#include "serve/ctx.h"

/* The root handler for http_server_open; its root_user is the struct serve_ctx. */
extern const struct http_handler router_root;

#endif

/*
 * serve/api_rules.h -- alert rules and their receivers over HTTP.
 *
 *     GET    /v1/rules[?project=P|*]    {"rules":[…]}: those of the API, of the rules file and of the starter set
 *     POST   /v1/rules                  a new one: 201; 409 `exists`
 *     GET    /v1/rules/ID               one
 *     PUT    /v1/rules/ID               the whole of it, new or in place of the old one: 201 or 200
 *     PATCH  /v1/rules/ID               members in place of its own (RFC 7396, first level); null takes one away
 *     DELETE /v1/rules/ID               204; one of the starter set is as it was shipped again
 *     …                                 the same of /v1/receivers
 *
 * An id is unique within its project, or within those of all projects (`*`). A path's ID is looked up in ?project=
 * when that is given (`*`: those of all projects), else everywhere: 409 `ambiguous` when two have it. A mistake
 * is 400 `bad_rule` (`bad_receiver`) with `path`, like "$.line.pattern".
 * A token of one project sees that project's, and rules of all projects to look at; a PATCH of one of those makes the
 * project a rule of its own, which then stands in for it there.
 */
#ifndef SERVE_API_RULES_H
#define SERVE_API_RULES_H

#include "http/http.h"
#include "serve/ctx.h"

#define API_RULES_BODY_BYTES_MAX 32768

void api_rules_list(struct serve_ctx *ctx, struct http *x);
void api_rules_create(struct serve_ctx *ctx, struct http *x);
void api_rules_show(struct serve_ctx *ctx, struct http *x);
void api_rules_replace(struct serve_ctx *ctx, struct http *x);
void api_rules_patch(struct serve_ctx *ctx, struct http *x);
void api_rules_delete(struct serve_ctx *ctx, struct http *x);

void api_receivers_list(struct serve_ctx *ctx, struct http *x);
void api_receivers_create(struct serve_ctx *ctx, struct http *x);
void api_receivers_show(struct serve_ctx *ctx, struct http *x);
void api_receivers_replace(struct serve_ctx *ctx, struct http *x);
void api_receivers_patch(struct serve_ctx *ctx, struct http *x);
void api_receivers_delete(struct serve_ctx *ctx, struct http *x);

#endif

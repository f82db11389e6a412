/*
 * serve/api_tokens.h -- tokens and tickets over HTTP, and who one is.
 *
 *     GET    /v1/whoami      what this caller is and may
 *     POST   /v1/tickets     a ticket for a browser's next GET: {"ticket":"jlk_…","expires_at":"…"}
 *     GET    /v1/tokens      all tokens, without their secrets; newest first
 *     POST   /v1/tokens      {name?, project?, scopes, expires_at? | expires_in?}: 201 with the secret, once
 *     DELETE /v1/tokens/ID   revoke: 204
 *
 * An admin of one project sees and makes tokens of that project only; others are 404. The first token must be an
 * admin of all projects and is made on the machine itself. The last such admin cannot be revoked while no
 * --admin-token-file is there to come back with.
 */
#ifndef SERVE_API_TOKENS_H
#define SERVE_API_TOKENS_H

#include "http/http.h"
#include "serve/ctx.h"

#define API_TOKENS_BODY_BYTES_MAX 16384
#define API_TOKENS_LIFE_US_MAX (INT64_C(3653) * 86400 * 1000000) /* ten years; longer: leave it out */

void api_whoami(struct serve_ctx *ctx, struct http *x);
void api_tickets_create(struct serve_ctx *ctx, struct http *x);
void api_tokens_list(struct serve_ctx *ctx, struct http *x);
void api_tokens_create(struct serve_ctx *ctx, struct http *x);
void api_tokens_revoke(struct serve_ctx *ctx, struct http *x);

#endif

/*
 * serve/service.h -- what operators and their tools ask: alive? ready? how much? what is this?
 *
 *     GET /healthz       200 while the loop turns
 *     GET /readyz        200 when lines can be taken and kept, else 503 with the reason
 *     GET /metrics       Prometheus text format 0.0.4
 *     GET /openapi.json  the contract (serve/openapi.json, embedded)
 *     GET /              a line for a person who opened the port in a browser
 */
#ifndef SERVE_SERVICE_H
#define SERVE_SERVICE_H

#include "http/http.h"
#include "serve/ctx.h"

void service_health(struct serve_ctx *ctx, struct http *x);
void service_ready(struct serve_ctx *ctx, struct http *x);
void service_metrics(struct serve_ctx *ctx, struct http *x);
void service_openapi(struct serve_ctx *ctx, struct http *x);
void service_root(struct serve_ctx *ctx, struct http *x);

#endif

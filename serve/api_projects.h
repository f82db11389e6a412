/*
 * serve/api_projects.h -- projects: listed, and made by hand.
 *
 *     GET  /v1/projects    {"projects":[{"id":"vision","name":"Computer vision","created_at":"…","updated_at":"…",
 *                           "latest_job":{compact job}|null}]}, last touched first
 *     POST /v1/projects    {"id"?,"name"?}: 201, or 200 when it is there already; 409 `exists` when the name is
 *                          another's, or it has another name
 *
 * A project comes to be with its first job too; its name is its id then, until a POST gives one. Without an
 * id it is the caller's own project, else the id is made out of the name.
 */
#ifndef SERVE_API_PROJECTS_H
#define SERVE_API_PROJECTS_H

#include "http/http.h"
#include "serve/ctx.h"

void api_projects_list(struct serve_ctx *ctx, struct http *x);
void api_projects_create(struct serve_ctx *ctx, struct http *x);

#endif

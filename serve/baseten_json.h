/*
 * serve/baseten_json.h -- jobs and projects as objects of the Baseten training API.
 *
 * What joblog does not own is taken from the fields given at creation: instance_type (an object, or a
 * string that names it), priority, node_count, user (an object, or an e-mail address), availability_model (or
 * availability). Those not given are left out, but instance_type, which clients need: it is
 * "unspecified" then, with zeros. created_at is one fixed format, so that it sorts as a string.
 */
#ifndef SERVE_BASETEN_JSON_H
#define SERVE_BASETEN_JSON_H

#include "base/json.h"
#include "job/info.h"
#include "stream/projects.h"

/* One object each, as the next value of j. state: what current_status says. */
void baseten_job_json(struct json *j, const struct job_info *info, const char *project_name, enum job_state state);
/* latest_job is info->latest, or null. */
void baseten_project_json(struct json *j, const struct project_info *info);

#endif

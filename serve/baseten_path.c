/*
 * serve/baseten_path.c -- projects and jobs out of paths, and what joblog leaves to others.
 */
#include "base/err.h"
#include "serve/auth.h"
#include "serve/baseten.h"
#include "serve/baseten_logs.h"

#include <string.h>

#define PROJECTS_PATH "/v1/training_projects/"
#define JOBS_PATH "/jobs/"

static int missing(struct http *x, const char *what)
{
    http_reply_error(x, 404, err_code(ERR_NOT_FOUND), "%s", what);
    return ERR_NOT_FOUND;
}

/* The segment after PROJECTS_PATH; its length. */
static size_t project_segment(const struct http *x, const char **ret)
{
    *ret = http_path(x) + strlen(PROJECTS_PATH);
    return strcspn(*ret, "/");
}

int baseten_path_project(struct http *x, char project[ID_BYTES_MAX + 1], int *ret_foreign)
{
    const char *name;
    size_t len = project_segment(x, &name);

    if (!id_valid(name, len))
        return missing(x, BASETEN_NO_PROJECT);
    memcpy(project, name, len);
    project[len] = '\0';
    *ret_foreign = !caller_may_see(auth_caller(x), project);
    return 0;
}

int baseten_path_key(struct http *x, struct job_key *key, int *ret_foreign)
{
    const char *name, *job;
    size_t len = project_segment(x, &name);

    job = name + len + strlen(JOBS_PATH);
    if (job_key_make(key, name, len, job, strcspn(job, "/")) < 0)
        return missing(x, BASETEN_NO_JOB);
    *ret_foreign = !caller_may_see(auth_caller(x), key->project);
    return 0;
}

void baseten_job_logs(struct serve_ctx *ctx, struct http *x)
{
    struct job_key key;
    int is_foreign;

    if (baseten_path_key(x, &key, &is_foreign) == 0)
        baseten_logs(ctx, x, &key, is_foreign);
}

void baseten_not_ours(struct serve_ctx *ctx, struct http *x)
{
    http_reply_error(x, 404, "not_ours",
                     "joblog keeps logs, states and metrics of training jobs; it does not run them and has no "
                     "checkpoints, caches or artifacts: %s %s is not served here",
                     http_method(x), http_path(x));
}

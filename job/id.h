/*
 * job/id.h -- names: of jobs, projects, producers and replicas.
 *
 * An id is [A-Za-z0-9][A-Za-z0-9._-]{0,127}: safe in a path, a key and a URL as it stands.
 */
#ifndef JOB_ID_H
#define JOB_ID_H

#include <stddef.h>

#define ID_BYTES_MAX 128
#define PROJECT_DEFAULT "default"

/* A job's full name: unique within its project. */
struct job_key {
    char project[ID_BYTES_MAX + 1];
    char job[ID_BYTES_MAX + 1];
};
/* "project/job" with NUL. */
#define JOB_KEY_TEXT_BYTES (2 * ID_BYTES_MAX + 2)

int id_valid(const char *s, size_t len);
/* ERR_INVALID when either is no id. */
int job_key_make(struct job_key *k, const char *project, size_t project_len, const char *job,
                 size_t job_len);
/* "project/job" back into its parts. ERR_INVALID. */
int job_key_parse(struct job_key *k, const char *text, size_t len);
const char *job_key_text(const struct job_key *k, char out[JOB_KEY_TEXT_BYTES]);
int job_key_equal(const struct job_key *a, const struct job_key *b);
/* A fresh job id, "job-" and 16 characters of [0-9a-z] from getrandom(2). */
void id_make(char out[ID_BYTES_MAX + 1]);

#endif

/*
 * job/id.c -- names: of jobs, projects, producers and replicas.
 */
#include "job/id.h"

#include "base/check.h"
#include "base/err.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#define ID_RANDOM_CHARS 16

static int is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

int id_valid(const char *s, size_t len)
{
    if (len < 1 || len > ID_BYTES_MAX || !is_alnum(s[0])) return 0;
    for (size_t i = 1; i < len; i++)
        if (!is_alnum(s[i]) && s[i] != '.' && s[i] != '_' && s[i] != '-') return 0;
    return 1;
}

int job_key_make(struct job_key *k, const char *project, size_t project_len, const char *job,
                 size_t job_len)
{
    if (!id_valid(project, project_len) || !id_valid(job, job_len)) return ERR_INVALID;
    memset(k, 0, sizeof *k);
    memcpy(k->project, project, project_len);
    memcpy(k->job, job, job_len);
    return 0;
}

int job_key_parse(struct job_key *k, const char *text, size_t len)
{
    const char *slash = len ? memchr(text, '/', len) : NULL;
    if (!slash) return ERR_INVALID;
    size_t project_len = (size_t)(slash - text);
    return job_key_make(k, text, project_len, slash + 1, len - project_len - 1);
}

const char *job_key_text(const struct job_key *k, char out[JOB_KEY_TEXT_BYTES])
{
    size_t project_len = strnlen(k->project, ID_BYTES_MAX);
    size_t job_len = strnlen(k->job, ID_BYTES_MAX);
    memcpy(out, k->project, project_len);
    out[project_len] = '/';
    memcpy(out + project_len + 1, k->job, job_len);
    out[project_len + 1 + job_len] = '\0';
    return out;
}

int job_key_equal(const struct job_key *a, const struct job_key *b)
{
    return strcmp(a->job, b->job) == 0 && strcmp(a->project, b->project) == 0;
}

void id_make(char out[ID_BYTES_MAX + 1])
{
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    size_t at = 4, end = at + ID_RANDOM_CHARS;
    memcpy(out, "job-", 4);
    while (at < end) {
        unsigned char random[32];
        ssize_t n = getrandom(random, sizeof random, 0);
        CHECKF(n > 0 || errno == EINTR, "errno=%d", errno);
        for (ssize_t i = 0; i < n && at < end; i++) /* 252 = 7 * 36: no character is likelier */
            if (random[i] < 252) out[at++] = alphabet[random[i] % 36];
    }
    out[at] = '\0';
}

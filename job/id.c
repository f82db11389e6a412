/*
 * job/id.c -- what is a name, and a job's full name.
 */
#include "job/id.h"

#include "base/check.h"
#include "base/err.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define MADE_CHARS 16

static int is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

int id_valid(const char *s, size_t len) {
    if (len == 0 || len > ID_BYTES_MAX || !is_alnum(s[0])) return 0;
    for (size_t i = 1; i < len; i++)
        if (!is_alnum(s[i]) && s[i] != '.' && s[i] != '_' && s[i] != '-') return 0;
    return 1;
}

int job_key_make(struct job_key *k, const char *project, size_t project_len, const char *job, size_t job_len) {
    if (!id_valid(project, project_len) || !id_valid(job, job_len)) return ERR_INVALID;
    memset(k, 0, sizeof *k);
    memcpy(k->project, project, project_len);
    memcpy(k->job, job, job_len);
    return 0;
}

int job_key_parse(struct job_key *k, const char *text, size_t len) {
    const char *slash = memchr(text, '/', len);
    if (!slash) return ERR_INVALID;
    size_t n = (size_t)(slash - text);
    return job_key_make(k, text, n, slash + 1, len - n - 1);
}

const char *job_key_text(const struct job_key *k, char out[JOB_KEY_TEXT_BYTES]) {
    snprintf(out, JOB_KEY_TEXT_BYTES, "%s/%s", k->project, k->job);
    return out;
}

int job_key_equal(const struct job_key *a, const struct job_key *b) {
    return strcmp(a->job, b->job) == 0 && strcmp(a->project, b->project) == 0;
}

void id_make(char out[ID_BYTES_MAX + 1]) {
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    unsigned char random[MADE_CHARS];
    CHECK(getrandom(random, sizeof random, 0) == sizeof random);
    char *p = stpcpy(out, "job-");
    for (int i = 0; i < MADE_CHARS; i++) *p++ = digits[random[i] % 36];
    *p = '\0';
}

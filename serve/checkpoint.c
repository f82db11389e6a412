/*
 * serve/checkpoint.c -- the job as of the last record of its archive.
 */
#include "serve/checkpoint.h"

#include "base/err.h"
#include "base/fault.h"
#include "serve/job_json.h"

#include <stdlib.h>

int checkpoint_prepare(const struct archive *a, const struct job_key *key, const char *json, size_t len)
{
    int err = archive_prepare_job(a, key, json, len);

    FAULT_POINT("pump.prepared");
    return err;
}

int checkpoint_set(const struct archive *a, const struct job_key *key)
{
    return archive_set_prepared_job(a, key);
}

/* ERR_NOT_FOUND: nothing is prepared, or it cannot be read. */
static int read_prepared(const struct archive *a, const struct job_key *key, struct job_info **ret_info)
{
    char *json = NULL;
    size_t len;
    int err = archive_get_prepared_job(a, key, &json, &len);

    if (err == 0)
        err = job_json_read(json, len, key, ret_info);
    free(json);
    return err == ERR_CORRUPT || err == ERR_TOO_BIG ? ERR_NOT_FOUND : err;
}

int checkpoint_read(const struct archive *a, const struct job_key *key, uint64_t last, struct job_info **info)
{
    struct job_info *prepared = NULL;
    int err;

    if ((*info)->seq == last)
        return 0;
    err = read_prepared(a, key, &prepared);
    if (err == 0 && prepared->seq == last) {
        job_info_free(info);
        *info = prepared;
        return 0;
    }
    job_info_free(&prepared);
    return err == ERR_NOT_FOUND ? 0 : err;
}

int checkpoint_mend(const struct archive *a, const struct job_key *key, uint64_t last)
{
    struct job_info *prepared = NULL;
    int err = read_prepared(a, key, &prepared), holds = err == 0 && prepared->seq == last;

    job_info_free(&prepared);
    if (err < 0 && err != ERR_NOT_FOUND)
        return err;
    return holds ? archive_set_prepared_job(a, key) : archive_drop_prepared_job(a, key);
}

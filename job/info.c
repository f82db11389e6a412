/*
 * job/info.c -- making and freeing what is known of a job.
 */
#include "job/info.h"

#include "base/check.h"

#include <stdlib.h>

struct job_info *job_info_new(void) { return must_calloc(1, sizeof(struct job_info)); }

void job_info_free(struct job_info **info)
{
    struct job_info *i = *info;
    if (!i) return;
    free(i->name);
    free(i->labels_json);
    free(i->extra_json);
    free(i->error_message);
    free(i->missing_json);
    for (uint32_t k = 0; k < i->history_count; k++) free(i->history[k].message);
    free(i->ranks);
    free(i->producers);
    free(i);
    *info = NULL;
}

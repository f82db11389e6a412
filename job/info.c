/*
 * job/info.c -- making and freeing what is known of a job.
 */
#include "job/info.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

struct job_info *job_info_new(void) { return must_calloc(1, sizeof(struct job_info)); }

static char *copy_text(const char *s) { return s ? must_strdup(s) : NULL; }

static void *copy_array(const void *from, size_t count, size_t bytes)
{
    void *to;
    if (!from) return NULL;
    to = must_calloc(count ? count : 1, bytes);
    if (count) memcpy(to, from, count * bytes);
    return to;
}

struct job_info *job_info_copy(const struct job_info *info)
{
    struct job_info *i = job_info_new();
    *i = *info;
    i->name = copy_text(info->name);
    i->labels_json = copy_text(info->labels_json);
    i->extra_json = copy_text(info->extra_json);
    i->error_message = copy_text(info->error_message);
    i->missing_json = copy_text(info->missing_json);
    for (uint32_t k = 0; k < i->history_count; k++) i->history[k].message = copy_text(info->history[k].message);
    i->ranks = copy_array(info->ranks, info->rank_count, sizeof *info->ranks);
    i->producers = copy_array(info->producers, info->producer_count, sizeof *info->producers);
    return i;
}

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

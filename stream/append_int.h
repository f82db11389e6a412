/*
 * stream/append_int.h -- one append on its way, shared by append.c and append_group.c.
 */
#ifndef STREAM_APPEND_INT_H
#define STREAM_APPEND_INT_H

#include "stream/stream_int.h"

#define APPEND_GROUP_PART_BYTES_MAX 16384 /* larger batches go by themselves */
#define APPEND_GROUP_BYTES_MAX 65536      /* of text in one load; it does not wait for more */
#define APPEND_GROUP_LINES_MAX FRAME_LINES_MAX

struct append {
    STAILQ_ENTRY(append) link;
    struct stream *st;
    struct job_key key;
    struct batch *batch;
    stream_append_fn *done;
    void *user;
    int64_t deadline_us, started_us;
    int with_index; /* sent with index entries in front: the script may create the job */
    int in_lane;    /* the one that goes alone */
    int in_group;   /* a group waits for its end */
    int is_load;    /* made of several: each of them is counted, not this */
    unsigned backs; /* times Redis was found to have lost history */
    uint64_t serial; /* of calls: the order in a lane */
    uint64_t cut;   /* lines of the batch that were held already and are cut off */
    struct append_result res;
};
STAILQ_HEAD(append_queue, append);

void append__send(struct append *a);
/* The same, or at its place in the job's lane when there is one. */
void append__go(struct append *a);
/* Tell its caller and free it. */
void append__finish(struct append *a, int err);

/* Of a job that is known. 1: a waits for the one on its way; 0: it is the caller's to send now. */
int append_group__takes(struct append *a);
/* Those that wait go. */
void append_group__flush(struct stream *st, const struct job_key *key);
/* One with in_group has ended: those that waited go. */
void append_group__landed(struct stream *st, const struct job_key *key, int err);

#endif

/*
 * serve/events_int.h -- one reader of the feed.
 */
#ifndef SERVE_EVENTS_INT_H
#define SERVE_EVENTS_INT_H

#include "alert/events.h"
#include "base/buf.h"
#include "base/json_tree.h"
#include "job/cursor.h"
#include "serve/events.h"
#include "serve/pipe.h"

#include <sys/queue.h>

#define EVENTS_GROUP_BYTES (2 * ID_BYTES_MAX + 2)

struct event_query {
    int has_after;
    struct cursor after;
    uint64_t tail;                      /* 0: none */
    char project[ID_BYTES_MAX + 1];     /* "": all */
    char own_project[ID_BYTES_MAX + 1]; /* of the caller; "": all */
    char *label_keys[EVENTS_LABELS_MAX], *label_values[EVENTS_LABELS_MAX];
    uint32_t label_count;
    unsigned types;  /* bits: 1 alert, 2 state, 4 end; 0: all */
    int64_t wait_us; /* -1: it is no long read */
    uint64_t limit;
    char group[EVENTS_GROUP_BYTES]; /* with its scope; "": none */
    char consumer[EVENTS_CONSUMER_BYTES_MAX + 1];
    int64_t ack_us;
};
/* 0, or an answered error. Release it in both cases. */
int event_query_read(struct event_query *q, struct http *x);
void event_query_release(struct event_query *q);
/* Does the reader want it (and may it see it)? */
int event_query_takes(const struct event_query *q, const struct alert_event *e);
/* "<project or *>|G" */
int event_group_name(struct http *x, const char *project, const char *own,
                     char out[EVENTS_GROUP_BYTES]);

#endif

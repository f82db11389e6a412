/*
 * alert/event.h -- what is said of an alert or a state: the event, and what each receiver gets of it.
 *
 *     {"type":"alert","id":"al_…","status":"firing","rule":…,…,"annotations":{…},
 *      "evidence":[{"seq":812,"ts":…,"rank":3,"level":"error","msg":"…"},…],"url":"…"}
 *     {"type":"state","project":…,"job":…,"state":…,"from":…,"seq":…,"at":…,…}
 *
 * Pure. Every text of the job's is cut: an event is at most EVENT_BYTES_MAX.
 */
#ifndef ALERT_EVENT_H
#define ALERT_EVENT_H

#include "alert/ruleset.h"
#include "job/info.h"

#define EVENT_LINES_BEFORE 10
#define EVENT_LINES_AFTER 5
#define EVENT_LINE_BYTES_MAX 1024       /* of a line of the evidence */
#define EVENT_ANNOTATION_BYTES_MAX 4096 /* filled in */
#define EVENT_BYTES_MAX (256 * 1024)

struct event_context {
    const struct ruleset *set;
    const char *public_url; /* NULL or "": no links */
    const char *evidence;   /* canonical NDJSON around the alert; may be empty */
    size_t evidence_len;
    const struct json_tree *postmortem; /* NULL: none */
};

/* core: what the evaluator said (eval.h), with its id. ERR_INVALID: it is none; ERR_TOO_BIG. */
int event_alert(struct buf *out, const struct json_tree *core, const struct event_context *c);
/* The i-th state of a job's history; i == history_count: that it is sealed. */
int event_state(struct buf *out, const struct job_info *info, uint32_t i);

/* What goes to a receiver, as it waits in its lane: "<id> <queued_us> <type> <body>\n"-less text. The body is that of the
 * request, except of Alertmanager: the event, its body depends on when it is sent. */
int event_delivery(struct buf *out, const struct receiver *r, const struct json_tree *event,
                   const char *event_text, size_t event_len, int64_t now_us);
struct event_parcel {
    const char *id, *body;
    size_t id_len, body_len;
    int64_t queued_us;
};
/* The parts of it. ERR_CORRUPT. */
int event_parcel_read(const char *text, size_t len, struct event_parcel *ret);
/* POST /api/v2/alerts: the body for an event as of now. */
int event_alertmanager(struct buf *out, const struct json_tree *event, int64_t now_us);
#define EVENT_ALERTMANAGER_US                                                                      \
    (INT64_C(300) * 1000000)      /* firing: it ends this long after it was sent, at least */
#define EVENT_REFRESH_US 60000000 /* what lasts is told to Alertmanager again so often */

#endif

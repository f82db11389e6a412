/*
 * alert/publish.h -- committed alerts on their way into the feed: evidence is read, words are filled in, lanes are chosen.
 *
 * One at a time and in order for each job. The feed takes each number of a job once, so one that was published and not noted
 * so (a node died) may be published again.
 */
#ifndef ALERT_PUBLISH_H
#define ALERT_PUBLISH_H

#include "alert/alert_int.h"
#include "base/buf.h"
#include "job/id.h"

#define PUBLISH_RETRY_US 1000000
#define PUBLISH_EVIDENCE_US 2000000 /* what is not read by then is left out */
#define FEED_EVENTS_MAX 20000
#define FEED_BYTES_MAX (64 * 1024 * 1024)
#define FEED_AGE_US (INT64_C(7) * 86400 * 1000000)

struct watched;
struct publish;

/* The next of w's committed alerts, when none is under way. */
void publish_go(struct watched *w);
/* Try again, give up waiting for evidence. */
void publish_tick(struct watched *w, int64_t now_us);
/* Let go of it, whatever it waits for. Takes and NULLs; NULL is fine. */
void publish_drop(struct publish **p);

/* A call that publishes items of one kind ("state" or "alert") of one job: begin, then each item with its deliveries (lane,
 * parcel, standing and for how long it is claimed each, added by the caller). words: of all items and deliveries. */
#define PUBLISH_HEAD_WORDS 9
#define PUBLISH_ITEM_WORDS 7
void publish_begin(struct alert *a, struct conn_request *r, const struct job_key *key,
                   int64_t created_us, const char *kind, const char *token, uint32_t items,
                   uint32_t words);
/* rule_key "": no limit. */
void publish_item(struct conn_request *r, uint64_t n, const char *type, int64_t at_us,
                  const struct buf *json, const char *rule_key, uint64_t max_per_hour,
                  uint32_t deliveries);
/* "<receiver key>|project/job" */
#define LANE_BYTES (RULE_KEY_BYTES + JOB_KEY_TEXT_BYTES)
const char *publish_lane(const struct receiver *r, const struct job_key *key, char out[LANE_BYTES]);

#endif

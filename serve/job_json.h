/*
 * serve/job_json.h -- a job printed as JSON: GET /v1/jobs/J, lists, the hello of a tail, job.json.
 *
 *     {"id":"demo","project":"default","name":"…","labels":{…},"ranks":8,"state":"TRAINING_JOB_RUNNING",
 *      "created_at":"…","updated_at":"…","started_at":"…","ended_at":null,"duration_s":12.5,
 *      "exit_code":null,"error_message":null,"cursor":"1:812","epoch":1,"seq":812,"lines":810,
 *      "bytes":65536,"sealed":false,"complete":null,"missing":[],          <- compact ends here
 *      "sealed_at":null,"batches":3,"duplicates":0,"gaps":0,"refused_sealed":0,"levels":{"none":3,…},
 *      "history":[{"state":"…","at":"…","seq":1,"duration_s":1.5,"exit_code":0,"rank":3,"message":"…"}],
 *      "extra":{…},"archived_upto":500,"held_from":501,
 *      "by_rank":[{"rank":0,"lines":9,"last_seq":9,"last_at":"…","last_received_at":"…"}],
 *      "producers":[{"id":"rank-3","epoch":1,"last":600,"rank":3,"fin":600,"fin_at":"…","exit_code":0,"signal":null}]}
 *
 * Times are RFC 3339 UTC; what is not known is null (complete: null until sealed; ranks: null when
 * not declared; a rank that is none: null). Durations are seconds; the last state of a job that is not over lasts until
 * now_us. by_rank and producers are there when info has them (asked with detail). A job whose index was rebuilt from records
 * alone has "rebuilt":true after held_from; a producer whose epoch is over 2^53 has it again as text, epoch_text.
 */
#ifndef SERVE_JOB_JSON_H
#define SERVE_JOB_JSON_H

#include "base/json.h"
#include "job/info.h"

/* One whole object, compact or full. now_us: the wall clock. ERR_NOMEM, ERR_TOO_BIG of the
 * buffer. */
int job_json_compact(struct buf *out, const struct job_info *info, int64_t now_us);
int job_json(struct buf *out, const struct job_info *info, int64_t now_us);
/* The same members written into an object the caller has open (to add its own, like archived
 * ranges). */
void job_json_compact_members(struct json *j, const struct job_info *info, int64_t now_us);
void job_json_members(struct json *j, const struct job_info *info, int64_t now_us);
/* The members of `end`: state, exit_code, last_seq, lines, bytes, complete, missing. */
void job_json_end_members(struct json *j, const struct job_info *info);
/* The text of job_json() of this job back; what the text does not hold (drain_until_us, recv_next_us) is 0. ERR_CORRUPT:
 * something else; ERR_TOO_BIG. */
int job_json_read(const char *text, size_t len, const struct job_key *key, struct job_info **ret_info);
/* "key": an RFC 3339 time, or null when us is 0. */
void job_json_time(struct json *j, const char *key, int64_t us);

#endif

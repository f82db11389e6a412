/*
 * stream/headroom.h -- whether Redis has room for more lines, and takes them.
 *
 * Lines are refused (ERR_FULL, ERR_READONLY) before Redis is quite full: what makes room again (seals, commits of the
 * archive, states) needs a little memory and disk itself, and a Redis that has neither refuses those too.
 *
 *     memory   used (INFO) + appended since > HEADROOM_MEMORY_HIGH of maxmemory, until it is below _LOW
 *     disk     the file system of the embedded server has less than HEADROOM_DISK_BYTES left
 *     replies  OOM, MISCONF, READONLY: each append is tried, but /readyz says it until one, or a small write of ours,
 *              succeeds
 *
 * Promises   The operator's log has one sentence when lines begin to be refused and one when they are taken again.
 * Threads    The loop thread.
 */
#ifndef STREAM_HEADROOM_H
#define STREAM_HEADROOM_H

#include <stddef.h>
#include <stdint.h>

#define HEADROOM_MEMORY_HIGH 0.90
#define HEADROOM_MEMORY_LOW 0.85
#define HEADROOM_DISK_BYTES (UINT64_C(32) << 20)

struct stream;

struct headroom {
    uint64_t appended_bytes; /* sent since used_memory was asked for */
    int memory_full, disk_full;
    int refused;             /* ERR_* that Redis answered last, 0: none */
    int said;                /* refusing, and the log says so */
};

/* Every 2 s while connected; used and max as INFO tells them. */
void headroom__note_memory(struct stream *st, int64_t used_bytes, int64_t max_bytes);
void headroom__look(struct stream *st);
/* A batch of so many bytes goes out. */
void headroom__note_append(struct stream *st, uint64_t bytes);
/* Redis answered a write with err (0: it was done). */
void headroom__note_answer(struct stream *st, int err);
/* 0, or what new lines are to be refused with before Redis is asked. */
int headroom__refuses(const struct stream *st);
/* The same, and what Redis itself refused with last. */
int headroom__state(const struct stream *st);
/* The reason, for /readyz. */
const char *headroom__why(const struct stream *st);

#endif

/*
 * stream/headroom.c -- whether Redis has room for more lines, and takes them.
 */
#include "stream/headroom.h"

#include "base/err.h"
#include "base/log.h"
#include "stream/stream_int.h"

#include <sys/statvfs.h>

#define PROBE_KEY "jl:probe"

int headroom__refuses(const struct stream *st)
{
    return st->headroom.memory_full || st->headroom.disk_full ? ERR_FULL : 0;
}

int headroom__state(const struct stream *st)
{
    int err = headroom__refuses(st);

    return err ? err : st->headroom.refused;
}

const char *headroom__why(const struct stream *st)
{
    const struct headroom *h = &st->headroom;

    if (h->memory_full)
        return "Redis' memory is nearly full: lines are refused until the archive has caught up, or it gets more "
               "(--redis-memory, maxmemory)";
    if (h->disk_full)
        return "the disk of the data directory is nearly full: lines are refused until there is room";
    if (h->refused == ERR_READONLY)
        return "Redis is read-only (a replica?): lines are refused until it takes writes";
    return "Redis refuses writes, its memory or its disk is full: lines are refused until it takes them";
}

static void tell(struct stream *st)
{
    int refuses = headroom__state(st) != 0;

    if (refuses == st->headroom.said)
        return;
    st->headroom.said = refuses;
    if (refuses)
        log_error("stream", headroom__why(st), "used=%lld max=%lld", (long long)st->stats.redis_memory_bytes,
                  (long long)st->stats.redis_memory_max_bytes);
    else
        log_info("stream", "lines are taken again", NULL);
}

static void judge_memory(struct stream *st)
{
    struct headroom *h = &st->headroom;
    double max = (double)st->stats.redis_memory_max_bytes;
    double used = (double)st->stats.redis_memory_bytes + (double)h->appended_bytes;

    h->memory_full = max > 0 && used > max * (h->memory_full ? HEADROOM_MEMORY_LOW : HEADROOM_MEMORY_HIGH);
    tell(st);
}

void headroom__note_memory(struct stream *st, int64_t used_bytes, int64_t max_bytes)
{
    st->stats.redis_memory_bytes = used_bytes;
    st->stats.redis_memory_max_bytes = max_bytes;
    st->headroom.appended_bytes = 0;
    judge_memory(st);
}

void headroom__note_append(struct stream *st, uint64_t bytes)
{
    st->headroom.appended_bytes += bytes;
    judge_memory(st);
}

void headroom__note_answer(struct stream *st, int err)
{
    if (err != 0 && err != ERR_FULL && err != ERR_READONLY)
        return;
    st->headroom.refused = err;
    tell(st);
}

static void on_probe(void *user, int err, const struct reply *reply)
{
    headroom__note_answer(user, err);
}

void headroom__look(struct stream *st)
{
    struct headroom *h = &st->headroom;
    struct statvfs vfs;

    if (st->embedded && statvfs(embedded_dir(st->embedded), &vfs) == 0)
        h->disk_full = (uint64_t)vfs.f_bavail * vfs.f_frsize < HEADROOM_DISK_BYTES;
    if (h->refused)
        conn_words(st->cmd, CONN_IDEMPOTENT, on_probe, st, "SET", PROBE_KEY, "1", "PX", "60000", NULL);
    tell(st);
}

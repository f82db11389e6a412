/*
 * stream/embedded.h -- a redis-server of our own inside the data directory.
 *
 *     DATA/redis/   redis.conf (ours, written at each start)  redis.sock  redis.pid  lock  appendonlydir/
 *
 * Promises   One joblogd owns the directory (flock on `lock`); a second one is refused. A redis-server left by a
 *            joblogd that was killed is found by its pid file and socket, adopted when it is ours (its
 *            CONFIG GET dir is this directory), and never met twice. A server that dies is
 *            started again with a growing pause; one that cannot start is told of once, with its last words. Its output
 *            becomes events of base/log.
 * Threads    The loop thread.
 */
#ifndef STREAM_EMBEDDED_H
#define STREAM_EMBEDDED_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define EMBEDDED_SOCKET_BYTES 108

struct embedded;
struct embedded_options {
    uv_loop_t *loop;
    const char *data_dir;     /* DATA; the server lives in DATA/redis */
    const char *redis_server; /* name or path; NULL: redis-server */
    int64_t memory_bytes;     /* maxmemory; 0: none */
    int fsync_always;
    /* The server has been started or adopted (again): connect now. */
    void (*on_up)(void *user);
    void *user;
};
/* ERR_INVALID (why): no redis-server found, the directory cannot be made, another joblogd holds it. */
int embedded_open(const struct embedded_options *opts, char *why, size_t why_size, struct embedded **ret_embedded);
/* "unix:///…/redis.sock". Borrowed. */
const char *embedded_url(const struct embedded *e);
/* The pid now running, 0 when none. */
/* The note that embedded_close() left when it stopped the last server in order; it is taken away by this. "" when there is none:
 * that server was killed, or is still running (adopted). */
void embedded_take_note(const struct embedded *e, char *out, size_t out_size);
/* To be left by embedded_close() when the server ends in order; at most 63 bytes. */
void embedded_leave_note(struct embedded *e, const char *note);
/* Its directory, for as long as e. */
const char *embedded_dir(const struct embedded *e);
int embedded_pid(const struct embedded *e);
/* Does it fail to start again and again? Then why, for people. */
int embedded_fails(const struct embedded *e, char *why, size_t why_size);
uint64_t embedded_restarts(const struct embedded *e);
/* The connection to an adopted server was lost: is it still alive? Restarts it when not. */
void embedded_check(struct embedded *e);
/* SIGTERM (Redis then fsyncs and exits), SIGKILL after 5 s; done(user) when it is gone. Takes and NULLs. */
void embedded_close(struct embedded **e, void (*done)(void *user), void *user);

#endif

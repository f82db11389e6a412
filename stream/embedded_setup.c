/*
 * stream/embedded_setup.c -- the directory of our redis-server: lock, configuration, leftovers.
 *
 * A redis-server outlives a joblogd that was killed (and must: it may hold what was not synced yet). The
 * next joblogd asks on the socket who is there: with our directory it is adopted, settings
 * included. A process of our directory that does not answer is stopped.
 */
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "stream/embedded_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_PATH_MAX 100 /* longer ones are put into a directory below /tmp */
#define ASK_MS 500
#define STOP_TERM_MS 3000
#define STOP_KILL_MS 2000

static int refuse(char *why, size_t why_size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int refuse(char *why, size_t why_size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (why_size)
        vsnprintf(why, why_size, fmt, ap);
    va_end(ap);
    return ERR_INVALID;
}

/* ---- binary ---- */

static int find_binary(struct embedded *e, const char *name, char *why, size_t why_size)
{
    const char *path = getenv("PATH");
    char *copy, *save = NULL;
    int found = 0;

    if (strchr(name, '/')) {
        found = access(name, X_OK) == 0 && realpath(name, e->binary) != NULL;
    } else {
        copy = must_strdup(path ? path : "/usr/bin:/bin");
        for (char *dir = strtok_r(copy, ":", &save); dir && !found; dir = strtok_r(NULL, ":", &save)) {
            int n = snprintf(e->binary, sizeof e->binary, "%s/%s", dir, name);

            found = n > 0 && n < (int)sizeof e->binary && access(e->binary, X_OK) == 0;
        }
        free(copy);
    }
    if (!found)
        return refuse(why, why_size, "%s is not found or not executable (install redis-server, or use --redis URL)", name);
    return 0;
}

/* ---- directory ---- */

static int make_dir(struct embedded *e, const char *data_dir, char *why, size_t why_size)
{
    char path[PATH_MAX], lock[PATH_MAX + 16];

    if (snprintf(path, sizeof path, "%s/redis", data_dir) >= (int)sizeof path - 32)
        return refuse(why, why_size, "the data directory's name is too long");
    if (io_mkdirs(path) < 0 || !realpath(path, e->dir) || chmod(e->dir, 0700) < 0)
        return refuse(why, why_size, "directory %s cannot be made: %s", path, strerror(errno));
    /* Redis would make this one, and a power cut take its name: Redis does not sync the folder it is in. */
    snprintf(path + strlen(path), 32, "/" EMBEDDED_AOF_DIR);
    if (io_mkdirs(path) < 0) return refuse(why, why_size, "directory %s cannot be made: %s", path, strerror(errno));
    snprintf(e->conf_path, sizeof e->conf_path, "%s/redis.conf", e->dir);
    snprintf(lock, sizeof lock, "%s/lock", e->dir);
    e->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (e->lock_fd < 0)
        return refuse(why, why_size, "%s cannot be opened: %s", lock, strerror(errno));
    if (flock(e->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return refuse(why, why_size, "another joblogd uses %s", e->dir);
    return 0;
}

/* DIR/redis.sock, or when that is too long for a socket a directory of our own below /tmp whose name is kept in
 * DIR/socket. */
static int choose_socket(struct embedded *e, char *why, size_t why_size)
{
    char note[PATH_MAX + 16], temp[] = "/tmp/joblog-XXXXXX", *kept = NULL;
    struct stat st;
    size_t len;
    int n;

    if (strlen(e->dir) + strlen("/redis.sock") <= SOCKET_PATH_MAX) {
        len = strlen(e->dir);
        memcpy(e->socket_path, e->dir, len);
        memcpy(e->socket_path + len, "/redis.sock", sizeof "/redis.sock");
        goto out;
    }
    snprintf(note, sizeof note, "%s/socket", e->dir);
    if (io_read_file(note, EMBEDDED_SOCKET_BYTES, &kept, NULL) == 0) {
        n = snprintf(e->socket_path, sizeof e->socket_path, "%s/redis.sock", kept);
        int good = n > 0 && n < (int)sizeof e->socket_path && lstat(kept, &st) == 0 && S_ISDIR(st.st_mode) &&
                   st.st_uid == geteuid() && (st.st_mode & 077) == 0;

        free(kept);
        if (good)
            goto out;
    }
    if (!mkdtemp(temp) || io_replace_file(note, temp, strlen(temp)) < 0)
        return refuse(why, why_size, "no directory for Redis' socket: %s", strerror(errno));
    snprintf(e->socket_path, sizeof e->socket_path, "%s/redis.sock", temp);
out:
    snprintf(e->url, sizeof e->url, "unix://%s", e->socket_path);
    return 0;
}

static void add_quoted(struct buf *b, const char *word, const char *value)
{
    must_have(buf_addf(b, "%s \"", word));
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            must_have(buf_addc(b, '\\'));
        must_have(buf_addc(b, *value));
    }
    must_have(buf_adds(b, "\"\n"));
}

static int write_conf(const struct embedded *e, const struct embedded_options *opts, char *why, size_t why_size)
{
    struct buf b = BUF_INIT;
    char pid_path[PATH_MAX + 16];
    int err;

    snprintf(pid_path, sizeof pid_path, "%s/redis.pid", e->dir);
    must_have(buf_adds(&b, "# written by joblogd at each start\nport 0\n"));
    add_quoted(&b, "unixsocket", e->socket_path);
    add_quoted(&b, "dir", e->dir);
    add_quoted(&b, "pidfile", pid_path);
    must_have(buf_addf(&b, "unixsocketperm 700\ndaemonize no\nloglevel notice\nlogfile \"\"\nalways-show-logo no\n"
                           "databases 1\nsave \"\"\nstop-writes-on-bgsave-error no\n"
                           "appendonly yes\nappendfsync %s\nno-appendfsync-on-rewrite no\naof-load-truncated yes\n"
                           "auto-aof-rewrite-percentage 100\nauto-aof-rewrite-min-size 64mb\n"
                           "maxmemory %lld\nmaxmemory-policy noeviction\nproto-max-bulk-len 64mb\n"
                           "client-output-buffer-limit normal 1gb 256mb 60\nclient-output-buffer-limit pubsub 64mb 16mb 60\n",
                       opts->fsync_always ? "always" : "everysec", (long long)opts->memory_bytes));
    err = io_replace_file(e->conf_path, buf_cstr(&b), b.len);
    buf_release(&b);
    return err < 0 ? refuse(why, why_size, "%s cannot be written: %s", e->conf_path, err_text(err)) : 0;
}

/* ---- leftovers ---- */

int embedded__is_ours(const struct embedded *e, int pid)
{
    char link[64], cwd[PATH_MAX];
    ssize_t n;

    if (pid <= 1 || kill(pid, 0) < 0)
        return 0;
    snprintf(link, sizeof link, "/proc/%d/cwd", pid);
    n = readlink(link, cwd, sizeof cwd - 1);
    if (n < 0)
        return 0; /* a zombie, or another user's */
    cwd[n] = '\0';
    return strcmp(cwd, e->dir) == 0;
}

static int connect_socket(const struct embedded *e)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return ERR_IO;
    memcpy(addr.sun_path, e->socket_path, strlen(e->socket_path) + 1);
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
        close(fd);
        return ERR_NOT_FOUND;
    }
    return fd;
}

/* Inline command in, what came within ASK_MS until `until` was seen out. */
static int ask(int fd, const char *command, const char *until, struct buf *answer)
{
    int64_t end = clock_mono_us() + ASK_MS * 1000;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char chunk[4096];
    ssize_t n;

    buf_clear(answer);
    if (send(fd, command, strlen(command), MSG_NOSIGNAL) != (ssize_t)strlen(command))
        return ERR_IO;
    while (!strstr(buf_cstr(answer), until)) {
        int64_t left = end - clock_mono_us();

        if (left <= 0 || poll(&p, 1, (int)(left / 1000) + 1) <= 0)
            return ERR_TIMEOUT;
        n = read(fd, chunk, sizeof chunk);
        if (n <= 0)
            return ERR_IO;
        must_have(buf_add(answer, chunk, (size_t)n));
    }
    return 0;
}

/* Who sits on the socket? Its pid when it is the server of our directory, 0 when nobody or somebody else. */
static int ask_server(const struct embedded *e, const struct embedded_options *opts)
{
    struct buf answer = BUF_INIT;
    char command[256], dir_line[PATH_MAX + 8];
    const char *at;
    int fd = connect_socket(e), pid = 0;

    if (fd < 0)
        return 0;
    snprintf(dir_line, sizeof dir_line, "\r\n%s\r\n", e->dir);
    if (ask(fd, "CONFIG GET dir\r\n", dir_line, &answer) < 0)
        goto out;
    if (ask(fd, "INFO server\r\n", "\r\nconfig_file:", &answer) < 0)
        goto out;
    at = strstr(buf_cstr(&answer), "process_id:");
    pid = at ? atoi(at + strlen("process_id:")) : 0;
    snprintf(command, sizeof command, "CONFIG SET appendfsync %s\r\nCONFIG SET maxmemory %lld\r\nECHO adopted\r\n",
             opts->fsync_always ? "always" : "everysec", (long long)opts->memory_bytes);
    if (!embedded__is_ours(e, pid) || ask(fd, command, "adopted", &answer) < 0)
        pid = 0;
out:
    buf_release(&answer);
    close(fd);
    return pid;
}

static int wait_gone(const struct embedded *e, int pid, int ms)
{
    for (int i = 0; i < ms / 10 && embedded__is_ours(e, pid); i++)
        poll(NULL, 0, 10);
    return !embedded__is_ours(e, pid);
}

static int handle_leftover(struct embedded *e, const struct embedded_options *opts, char *why, size_t why_size)
{
    char path[PATH_MAX + 16], *text = NULL;
    int pid = ask_server(e, opts);

    if (pid) {
        e->pid = pid;
        e->adopted = 1;
        e->started_us = clock_mono_us();
        log_info("stream", "redis-server of an earlier joblogd adopted", "pid=%d socket=%s", pid, e->socket_path);
        return 0;
    }
    snprintf(path, sizeof path, "%s/redis.pid", e->dir);
    if (io_read_file(path, 64, &text, NULL) < 0)
        return 0;
    pid = atoi(text);
    free(text);
    if (!embedded__is_ours(e, pid))
        return 0;
    log_warn("stream", "a redis-server of an earlier joblogd does not answer: stopping it", "pid=%d", pid);
    kill(pid, SIGTERM);
    if (!wait_gone(e, pid, STOP_TERM_MS)) {
        kill(pid, SIGKILL);
        if (!wait_gone(e, pid, STOP_KILL_MS))
            return refuse(why, why_size, "redis-server %d in %s does not answer and cannot be stopped", pid, e->dir);
    }
    return 0;
}

int embedded__setup(struct embedded *e, const struct embedded_options *opts, char *why, size_t why_size)
{
    int err = find_binary(e, opts->redis_server ? opts->redis_server : "redis-server", why, why_size);

    if (err == 0)
        err = make_dir(e, opts->data_dir, why, why_size);
    if (err == 0)
        err = choose_socket(e, why, why_size);
    if (err == 0)
        err = write_conf(e, opts, why, why_size);
    if (err == 0)
        err = handle_leftover(e, opts, why, why_size);
    return err;
}

/*
 * clients/cli/spool_meta.c -- the card in front of a spool.
 */
#include "clients/cli/spool_meta.h"

#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "job/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define META_NAME "meta.json"
#define LOCK_NAME "lock"
#define META_BYTES_MAX (64 * 1024)

void spool_base(struct buf *out)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (state && state[0] == '/') {
        buf_addf(out, "%s/joblog", state);
    } else if (home && home[0] == '/' && access(home, W_OK) == 0) {
        buf_addf(out, "%s/.local/state/joblog", home);
    } else {
        buf_addf(out, "/tmp/joblog-%u", (unsigned)getuid());
    }
}

void spool_place(struct buf *out, const char *base, const struct spool_meta *m)
{
    buf_addf(out, "%s/%s/%s.%llu", base, m->job, m->agent.producer,
             (unsigned long long)m->agent.epoch);
}

static void path_in(struct buf *out, const char *dir, const char *name)
{
    buf_addf(out, "%s/%s", dir, name);
}

int spool_meta_write(const char *dir, const struct spool_meta *m)
{
    struct buf path = BUF_INIT, out = BUF_INIT;
    struct json j;
    int err;

    json_init(&j, &out);
    json_obj(&j);
    json_kstr(&j, "url", m->url);
    json_kstr(&j, "project", m->project);
    json_kstr(&j, "job", m->job);
    json_kstr(&j, "producer", m->agent.producer);
    json_ku64(&j, "epoch", m->agent.epoch);
    json_ki64(&j, "rank", m->agent.rank);
    json_ki64(&j, "ranks", m->agent.ranks);
    if (m->agent.is_one_node)
        json_ki64(&j, "nodes", 1);
    json_kstr(&j, "replica", m->agent.replica);
    if (m->has_end) {
        json_key(&j, "end");
        json_obj(&j);
        if (m->end.has_state)
            json_kstr(&j, "state", state_name(m->end.state));
        if (m->end.has_exit_code)
            json_ki64(&j, "exit_code", m->end.exit_code);
        if (m->end.signal)
            json_ki64(&j, "signal", m->end.signal);
        if (m->end.message[0])
            json_kstr(&j, "message", m->end.message);
        json_kbool(&j, "fin", m->end.fin);
        json_end(&j);
    }
    json_end(&j);
    buf_addc(&out, '\n');
    path_in(&path, dir, META_NAME);
    err = json_err(&j) < 0 ? json_err(&j) : io_replace_file(buf_cstr(&path), out.data, out.len);
    buf_release(&path);
    buf_release(&out);
    return err;
}

static int copy_text(const struct json_tree *root, const char *key, char *out, size_t size)
{
    const char *text = NULL;

    if (json_tree_get_str(root, key, &text) <= 0 || strlen(text) >= size)
        return ERR_INVALID;
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static void read_end(const struct json_tree *v, struct spool_meta *m)
{
    const char *text = NULL;
    int64_t number = 0;

    m->has_end = json_tree_is_obj(v);
    if (!m->has_end)
        return;
    if (json_tree_get_str(v, "state", &text) > 0)
        m->end.has_state = state_parse(text, strlen(text), &m->end.state) == 0;
    m->end.has_exit_code = json_tree_get_i64(v, "exit_code", &m->end.exit_code) > 0;
    if (json_tree_get_i64(v, "signal", &number) > 0 && number > 0 && number <= INT32_MAX)
        m->end.signal = (int)number;
    copy_text(v, "message", m->end.message, sizeof m->end.message);
    json_tree_get_bool(v, "fin", &m->end.fin);
}

int spool_meta_read(const char *dir, struct spool_meta *m)
{
    struct buf path = BUF_INIT;
    struct json_tree *root = NULL;
    char *data = NULL;
    size_t len;
    int64_t nodes = 0, epoch = 0, rank = RECORD_RANK_NONE;
    int err;

    memset(m, 0, sizeof *m);
    path_in(&path, dir, META_NAME);
    err = io_read_file(buf_cstr(&path), META_BYTES_MAX, &data, &len);
    buf_release(&path);
    if (err < 0)
        return err;
    err = json_tree_parse(data, len, &root, NULL) < 0 ? ERR_INVALID : 0;
    if (!err)
        err = copy_text(root, "url", m->url, sizeof m->url);
    if (!err)
        err = copy_text(root, "job", m->job, sizeof m->job);
    if (!err)
        err = copy_text(root, "producer", m->agent.producer, sizeof m->agent.producer);
    if (!err && (json_tree_get_i64(root, "epoch", &epoch) <= 0 || epoch < 0))
        err = ERR_INVALID;
    if (!err && (!id_valid(m->job, strlen(m->job)) ||
                 !id_valid(m->agent.producer, strlen(m->agent.producer))))
        err = ERR_INVALID;
    if (!err) {
        copy_text(root, "project", m->project, sizeof m->project);
        copy_text(root, "replica", m->agent.replica, sizeof m->agent.replica);
        json_tree_get_i64(root, "rank", &rank);
        json_tree_get_i64(root, "ranks", &m->agent.ranks);
        if (rank < RECORD_RANK_NONE || rank > RECORD_RANK_MAX || m->agent.ranks < 0)
            err = ERR_INVALID;
        m->agent.is_one_node = json_tree_get_i64(root, "nodes", &nodes) > 0 && nodes == 1;
        m->agent.epoch = (uint64_t)epoch;
        m->agent.rank = (int32_t)rank;
        read_end(json_tree_get(root, "end"), m);
    }
    json_tree_free(&root);
    free(data);
    return err;
}

int spool_lock(const char *dir)
{
    struct buf path = BUF_INIT;
    int fd;

    path_in(&path, dir, LOCK_NAME);
    fd = io_open(buf_cstr(&path), O_RDWR | O_CREAT, 0600);
    buf_release(&path);
    if (fd < 0)
        return fd;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return ERR_BUSY;
}

void spool_meta_remove(const char *dir)
{
    static const char *const names[] = {META_NAME, LOCK_NAME};
    struct buf path = BUF_INIT;
    char *slash;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        buf_clear(&path);
        path_in(&path, dir, names[i]);
        unlink(buf_cstr(&path));
    }
    rmdir(dir);
    buf_clear(&path);
    buf_adds(&path, dir);
    slash = strrchr(buf_cstr(&path), '/');
    if (slash && slash != path.data) {
        *slash = '\0';
        rmdir(path.data); /* the job's directory, when this was the last */
    }
    buf_release(&path);
}

/*
 * serve/token_store.c -- tokens between Redis, the file and the other nodes.
 */
#include "serve/token_store.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/map.h"
#include "stream/tokens.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define FILE_BYTES_MAX ((size_t)TOKENS_MAX * 2048)
#define MASTER_FILE_BYTES_MAX 4096
#define BROKEN_LOG_US (INT64_C(600) * 1000000)

/* Somebody waits for a change to be kept. */
struct change {
    STAILQ_ENTRY(change) link;
    struct token_store *store;
    struct token *token; /* to be added once Redis has it; NULL: a revocation */
    token_store_fn *done;
    void *user;
    int err;
};
STAILQ_HEAD(changes, change);

struct token_store {
    uv_loop_t *loop;
    struct stream *stream; /* NULL before token_store_start() */
    struct tokens *tokens;
    char path[PATH_MAX];
    char *master_path; /* NULL: none */
    void (*changed)(void *user);
    void *user;
    uv_timer_t timer;
    unsigned poll_ms;
    uint64_t version; /* of what was loaded last */
    int is_loaded, loading, load_again, must_load, closed;
    void (*close_done)(void *user);
    void *close_user;
    /* the file */
    uv_work_t work;
    struct buf text; /* with the worker */
    int work_active, is_dirty, write_err;
    struct changes waiting; /* for the next write */
    struct changes writing; /* for the one under way */
};

struct tokens *token_store_tokens(const struct token_store *s)
{
    return s->tokens;
}

int token_store_is_loaded(const struct token_store *s)
{
    return s->is_loaded;
}

/* ---- the file ---- */

static void free_when_over(struct token_store *s)
{
    void (*done)(void *user) = s->close_done;
    void *user = s->close_user;

    if (!s->closed || s->work_active || s->timer.data)
        return;
    tokens_free(&s->tokens);
    buf_release(&s->text);
    free(s->master_path);
    free(s);
    done(user);
}

static void on_write(uv_work_t *work)
{
    struct token_store *s = work->data;

    s->write_err = io_replace_file(s->path, s->text.data, s->text.len);
}

static void settle(struct changes *list)
{
    struct change *c;

    while ((c = STAILQ_FIRST(list))) {
        STAILQ_REMOVE_HEAD(list, link);
        c->done(c->user, c->err);
        free(c);
    }
}

static void save(struct token_store *s);

static void on_written(uv_work_t *work, int status)
{
    struct token_store *s = work->data;

    CHECK(status == 0); /* nobody cancels it */
    s->work_active = 0;
    if (s->write_err)
        log_error("serve", "the tokens' file was not written: Redis alone holds the change",
                  "path=" LOG_Q("%s") " why=" LOG_Q("%s"), s->path, err_text(s->write_err));
    settle(&s->writing);
    if (s->is_dirty)
        save(s);
    else
        free_when_over(s);
}

/* Write all tokens; what waits is told when it is done. */
static void save(struct token_store *s)
{
    struct token *t;
    struct json j;
    size_t pos = 0;

    s->is_dirty = 1;
    if (s->work_active)
        return; /* again after it */
    s->is_dirty = 0;
    buf_clear(&s->text);
    while ((t = tokens_next(s->tokens, &pos))) {
        json_init(&j, &s->text);
        token_write(&j, t);
        buf_addc(&s->text, '\n');
    }
    STAILQ_CONCAT(&s->writing, &s->waiting);
    s->work.data = s;
    s->work_active = 1;
    CHECK(uv_queue_work(s->loop, &s->work, on_write, on_written) == 0);
}

static int read_file(struct token_store *s, char *why, size_t why_size)
{
    char *text = NULL;
    size_t len;
    unsigned line_no = 0;
    int err = io_read_file(s->path, FILE_BYTES_MAX, &text, &len);

    if (err == ERR_NOT_FOUND)
        return 0;
    if (err < 0) {
        snprintf(why, why_size, "%s: %s", s->path, err_text(err));
        return err;
    }
    for (char *at = text, *end; err == 0 && *at; at = end) {
        struct token *t = NULL;
        size_t n = strcspn(at, "\n");

        line_no++;
        end = at + n + (at[n] == '\n');
        if (!n)
            continue;
        err = token_parse(at, n, &t);
        if (err == 0)
            err = tokens_merge(s->tokens, t);
        if (err < 0)
            snprintf(why, why_size, "%s:%u: no token: %s", s->path, line_no, err_text(err));
        else
            err = 0;
        token_unref(&t);
    }
    free(text);
    return err;
}

int token_store_reload(struct token_store *s, char *why, size_t why_size)
{
    char *text = NULL;
    size_t len = 0, begin;
    int err;

    if (!s->master_path)
        return 0;
    err = io_read_file(s->master_path, MASTER_FILE_BYTES_MAX, &text, &len);
    if (err < 0) {
        snprintf(why, why_size, "%s: %s", s->master_path, err_text(err));
        return err;
    }
    begin = strspn(text, " \t\r\n");
    while (len > begin && strchr(" \t\r\n", text[len - 1]))
        len--;
    err = tokens_set_master(s->tokens, text + begin, len - begin, clock_wall_us());
    if (err == ERR_CORRUPT)
        snprintf(why, why_size, "%s: the token's checksum does not match: it was cut or mistyped", s->master_path);
    else if (err < 0)
        snprintf(why, why_size, "%s: a token of %d to %d visible ASCII characters is wanted, one line",
                 s->master_path, TOKENS_MASTER_BYTES_MIN, TOKENS_MASTER_BYTES_MAX);
    hash_wipe(text, len);
    free(text);
    return err;
}

/* ---- Redis ---- */

static void on_pushed(void *user, int err)
{
    struct token_store *s = user;

    if (err && err != ERR_CANCELLED)
        s->must_load = 1; /* the next poll compares again */
}

static void write_line(const struct token *t, struct buf *out)
{
    struct json j;

    json_init(&j, out);
    token_write(&j, t);
}

static void push(struct token_store *s, const struct token *t)
{
    struct buf line = BUF_INIT;

    write_line(t, &line);
    stream_tokens_put(s->stream, t->id, line.data, line.len, on_pushed, s);
    buf_release(&line);
}

static void drop(void *user, const char *id)
{
    struct token_store *s = user;

    stream_tokens_drop(s->stream, id);
}

/* One line of Redis or of a bell. 1: it brought something. */
static int take_line(struct token_store *s, const char *line, size_t len)
{
    static struct log_every every;
    struct token *t = NULL;
    uint64_t silent;
    int got = token_parse(line, len, &t);

    if (got == 0 && tokens_is_stale(t, clock_wall_us()) && !tokens_by_id(s->tokens, t->id))
        got = TOKENS_SAME;
    else if (got == 0)
        got = tokens_merge(s->tokens, t);
    if (got == TOKENS_OLDER)
        push(s, tokens_by_id(s->tokens, t->id));
    if (got < 0 && log_every(&every, BROKEN_LOG_US, &silent))
        log_error("serve", "a token in Redis cannot be used; it is left alone", "id=%s why=" LOG_Q("%s"),
                  t ? t->id : "?", err_text(got));
    token_unref(&t);
    return got == TOKENS_TAKEN;
}

/* What this node knows and Redis has lost. */
static void push_missing(struct token_store *s, const struct stream_token *tokens, uint32_t count)
{
    struct map *there = map_new();
    int64_t now = clock_wall_us();
    size_t pos = 0, pushed = 0;
    struct token *t;

    for (uint32_t i = 0; i < count; i++)
        map_put(there, tokens[i].id, strlen(tokens[i].id), s);
    while ((t = tokens_next(s->tokens, &pos))) {
        if (map_get(there, t->id, strlen(t->id)) || tokens_is_stale(t, now))
            continue;
        push(s, t);
        pushed++;
    }
    map_free(&there);
    if (pushed)
        log_warn("serve", "tokens that Redis had lost were given back to it", "count=%zu", pushed);
}

static void load(struct token_store *s);

static void on_loaded(void *user, int err, uint64_t version, const struct stream_token *tokens, uint32_t count)
{
    struct token_store *s = user;
    int first = !s->is_loaded, took = 0;

    s->loading = 0;
    if (s->closed)
        return;
    if (err < 0) {
        s->must_load = 1;
        return;
    }
    s->version = version;
    for (uint32_t i = 0; i < count; i++)
        took |= take_line(s, tokens[i].line, tokens[i].line_len);
    push_missing(s, tokens, count);
    s->is_loaded = 1;
    if (tokens_forget(s->tokens, clock_wall_us(), drop, s) || took)
        save(s);
    if (took || first)
        s->changed(s->user);
    if (s->load_again)
        load(s);
}

static void load(struct token_store *s)
{
    s->load_again = s->loading;
    if (s->loading)
        return;
    s->loading = 1;
    s->must_load = 0;
    stream_tokens_load(s->stream, on_loaded, s);
}

static void on_version(void *user, int err, uint64_t version, const struct stream_token *tokens, uint32_t count)
{
    struct token_store *s = user;

    if (!s->closed && err == 0 && version != s->version)
        load(s);
}

static void on_poll(uv_timer_t *timer)
{
    struct token_store *s = timer->data;

    if (s->must_load || !s->is_loaded)
        load(s);
    else
        stream_tokens_version(s->stream, on_version, s);
}

static void on_bell(void *user, const char *line, size_t len)
{
    struct token_store *s = user;

    if (!take_line(s, line, len))
        return;
    save(s);
    s->changed(s->user);
}

static void on_listening(void *user)
{
    load(user);
}

void token_store_start(struct token_store *s, struct stream *st)
{
    static const struct stream_tokens_ops ops = {on_bell, on_listening};

    s->stream = st;
    stream_tokens_watch(st, &ops, s);
    uv_timer_start(&s->timer, on_poll, s->poll_ms, s->poll_ms);
    uv_unref((uv_handle_t *)&s->timer);
}

/* ---- changes ---- */

static struct change *change_new(struct token_store *s, token_store_fn *done, void *user)
{
    struct change *c = must_calloc(1, sizeof *c);

    c->store = s;
    c->done = done;
    c->user = user;
    return c;
}

static void change_end(struct change *c)
{
    token_unref(&c->token);
    c->done(c->user, c->err);
    free(c);
}

static void on_stored(void *user, int err)
{
    struct change *c = user;
    struct token_store *s = c->store;
    int got;

    c->err = err;
    if (err == 0 && c->token) {
        got = tokens_merge(s->tokens, c->token); /* the bell may have been first */
        c->err = got < 0 ? got : 0;
    }
    if (c->err < 0 && c->token) {
        change_end(c);
        return;
    }
    token_unref(&c->token);
    STAILQ_INSERT_TAIL(&s->waiting, c, link);
    save(s);
    s->changed(s->user);
}

static void store(struct token_store *s, const struct token *t, struct change *c)
{
    struct buf line = BUF_INIT;

    write_line(t, &line);
    stream_tokens_put(s->stream, t->id, line.data, line.len, on_stored, c);
    buf_release(&line);
}

void token_store_add(struct token_store *s, const struct token *t, token_store_fn *done, void *user)
{
    struct change *c = change_new(s, done, user);

    if (tokens_count(s->tokens) >= TOKENS_MAX) {
        c->err = ERR_LIMIT;
        change_end(c);
        return;
    }
    c->token = must_malloc(sizeof *c->token);
    *c->token = *t;
    c->token->refs = 1;
    store(s, t, c);
}

void token_store_revoke(struct token_store *s, const char *id, token_store_fn *done, void *user)
{
    struct change *c = change_new(s, done, user);

    c->err = tokens_revoke(s->tokens, id, clock_wall_us());
    if (c->err < 0) {
        change_end(c);
        return;
    }
    s->must_load = 1; /* until Redis is seen to have it */
    s->changed(s->user);
    store(s, tokens_by_id(s->tokens, id), c);
}

/* ---- life ---- */

int token_store_open(const struct token_store_options *o, char *why, size_t why_size,
                     struct token_store **ret_store)
{
    struct token_store *s = must_calloc(1, sizeof *s);
    int err;

    s->loop = o->loop;
    s->poll_ms = o->poll_ms ? o->poll_ms : TOKEN_STORE_POLL_MS;
    s->changed = o->changed;
    s->user = o->user;
    s->tokens = tokens_new();
    s->master_path = o->master_file && *o->master_file ? must_strdup(o->master_file) : NULL;
    STAILQ_INIT(&s->waiting);
    STAILQ_INIT(&s->writing);
    buf_init(&s->text, 0);
    snprintf(s->path, sizeof s->path, "%.*s/" TOKEN_STORE_FILE, (int)(sizeof s->path - 32), o->data_dir);
    err = read_file(s, why, why_size);
    if (err == 0)
        err = token_store_reload(s, why, why_size);
    if (err < 0) {
        tokens_free(&s->tokens);
        free(s->master_path);
        free(s);
        return err;
    }
    CHECK(uv_timer_init(o->loop, &s->timer) == 0);
    s->timer.data = s;
    *ret_store = s;
    return 0;
}

static void on_timer_closed(uv_handle_t *h)
{
    struct token_store *s = h->data;

    h->data = NULL;
    free_when_over(s);
}

void token_store_stop(struct token_store *s)
{
    uv_timer_stop(&s->timer);
}

void token_store_close(struct token_store **sp, void (*done)(void *user), void *user)
{
    struct token_store *s = *sp;

    *sp = NULL;
    s->closed = 1;
    s->close_done = done;
    s->close_user = user;
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

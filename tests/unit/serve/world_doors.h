/*
 * tests/unit/serve/world_doors.h -- the front hall and the hub of the small world (world.h).
 *
 * An exchange collects what is sent into body; `stalled` makes its backlog look full until
 * door_drain().
 * The hub gives the frames from `ring_from` on, ERR_LAGGED before.
 */
#ifndef TESTS_UNIT_SERVE_WORLD_DOORS_H
#define TESTS_UNIT_SERVE_WORLD_DOORS_H

struct pair {
    char name[32], value[256];
};

struct http {
    const char *method;
    struct pair args[16], headers[16], sent[16];
    unsigned arg_count, header_count, sent_count;
    const struct http_handler *h;
    void *user;
    int status, started, finished, aborted, closed, upgrade, accept_fails;
    char type[64];
    struct buf body;
    size_t stalled, backlog;
    struct ws *w;
    void *guest;
};

struct ws {
    const struct ws_handler *h;
    void *user;
    struct buf sent; /* messages, each with '\n' */
    unsigned messages, shared;
    int close_code;
    char reason[64];
    size_t stalled;
};

struct ws_message {
    int refs;
    struct buf text;
};
static int door_messages_alive;

static void door_init(struct http *x, const char *method)
{
    memset(x, 0, sizeof *x);
    x->method = method;
}

static void door_add(struct pair *list, unsigned *count, const char *name, const char *value)
{
    snprintf(list[*count].name, sizeof list[0].name, "%s", name);
    snprintf(list[*count].value, sizeof list[0].value, "%s", value);
    ++*count;
}
static void door_arg(struct http *x, const char *name, const char *value)
{
    door_add(x->args, &x->arg_count, name, value);
}
static void door_header(struct http *x, const char *name, const char *value)
{
    door_add(x->headers, &x->header_count, name, value);
}

static const char *door_find(const struct pair *list, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcasecmp(list[i].name, name))
            return list[i].value;
    return NULL;
}
static inline const char *door_sent(const struct http *x, const char *name)
{
    return door_find(x->sent, x->sent_count, name);
}

/* The exchange ends: the last callback. */
static void door_close(struct http *x)
{
    if (!x->closed && x->h && x->h->on_close) {
        x->closed = 1;
        x->h->on_close(x, 1);
    }
    x->closed = 1;
    buf_release(&x->body);
}

static inline void door_drain(struct http *x)
{
    x->stalled = x->backlog = 0;
    if (x->h->on_drain)
        x->h->on_drain(x);
}

static inline void ws_end(struct ws *w)
{
    w->h->on_close(w, 1000);
    buf_release(&w->sent);
    free(w);
}

const char *http_method(const struct http *x)
{
    return x->method;
}
const char *http_arg(const struct http *x, const char *name)
{
    return door_find(x->args, x->arg_count, name);
}
int http_arg_at(const struct http *x, unsigned i, const char **ret_name, const char **ret_value)
{
    if (i >= x->arg_count)
        return 0;
    *ret_name = x->args[i].name;
    *ret_value = x->args[i].value;
    return 1;
}
const char *http_header(const struct http *x, const char *name)
{
    return door_find(x->headers, x->header_count, name);
}
void http_handle(struct http *x, const struct http_handler *h, void *user)
{
    x->h = h;
    x->user = user;
}
void *http_guest(const struct http *x)
{
    return x->guest;
}
void *http_user(const struct http *x)
{
    return x->user;
}
void http_set_header(struct http *x, const char *name, const char *value)
{
    door_add(x->sent, &x->sent_count, name, value);
}
void http_reply(struct http *x, int status, const char *type, const void *body, size_t len)
{
    CHECK(!x->started);
    x->started = x->finished = 1;
    x->status = status;
    buf_add(&x->body, body, len);
}
void http_reply_error(struct http *x, int status, const char *code, const char *fmt, ...)
{
    va_list ap;
    CHECK(!x->started);
    x->started = x->finished = 1;
    x->status = status;
    buf_addf(&x->body, "%s: ", code);
    va_start(ap, fmt);
    buf_vaddf(&x->body, fmt, ap);
    va_end(ap);
}
void http_start(struct http *x, int status, const char *type, int64_t length)
{
    CHECK(!x->started);
    x->started = 1;
    x->status = status;
    snprintf(x->type, sizeof x->type, "%s", type);
}
size_t http_write(struct http *x, const void *data, size_t len)
{
    CHECK(x->started && !x->finished);
    buf_add(&x->body, data, len);
    if (x->stalled)
        x->backlog += len;
    return x->backlog;
}
size_t http_backlog(const struct http *x)
{
    return x->backlog;
}
void http_finish(struct http *x)
{
    CHECK(x->started && !x->finished && !x->aborted);
    x->finished = 1;
}
void http_abort(struct http *x)
{
    x->aborted = x->finished = 1;
}
int http_started(const struct http *x)
{
    return x->started;
}

/* ---- WebSocket ---- */

struct ws_message *ws_message_new(const void *data, size_t len, int is_binary)
{
    struct ws_message *m = must_calloc(1, sizeof *m);
    m->refs = 1;
    buf_add(&m->text, data, len);
    door_messages_alive++;
    return m;
}
struct ws_message *ws_message_ref(struct ws_message *m)
{
    m->refs++;
    return m;
}
void ws_message_unref(struct ws_message **mp)
{
    struct ws_message *m = *mp;
    *mp = NULL;
    if (--m->refs)
        return;
    buf_release(&m->text);
    free(m);
    door_messages_alive--;
}
int http_is_upgrade(const struct http *x)
{
    return x->upgrade;
}
int http_offers_subprotocol(const struct http *x, const char *name)
{
    return 0;
}
static void run_open(struct call *c)
{
    struct http *x = c->user;
    x->closed = 1; /* from here on only the WebSocket's callbacks come */
    x->h->on_close(x, 1);
    x->w->h->on_open(x->w);
}
int ws_accept(struct http *x, const char *subprotocol, size_t bytes_max, const struct ws_handler *h,
              void *user)
{
    if (x->accept_fails) {
        x->started = x->finished = 1;
        x->status = 400;
        return ERR_INVALID;
    }
    x->w = must_calloc(1, sizeof *x->w);
    x->w->h = h;
    x->w->user = user;
    x->started = x->finished = 1;
    x->status = 101;
    later(run_open, NULL, x, 0, 0, 0);
    return 0;
}
void *ws_user(const struct ws *w)
{
    return w->user;
}
size_t ws_send_text(struct ws *w, const void *data, size_t len)
{
    CHECK(!w->close_code);
    buf_add(&w->sent, data, len);
    buf_addc(&w->sent, '\n');
    w->messages++;
    if (w->stalled)
        w->stalled += len;
    return w->stalled;
}
size_t ws_send_message(struct ws *w, struct ws_message *m)
{
    w->shared++;
    return ws_send_text(w, m->text.data, m->text.len);
}
size_t ws_backlog(const struct ws *w)
{
    return w->stalled;
}
void ws_close(struct ws *w, int code, const char *reason)
{
    CHECK(!w->close_code);
    w->close_code = code;
    snprintf(w->reason, sizeof w->reason, "%s", reason);
}

/* ---- hub ---- */

struct hub_sub {
    const struct hub_sub_ops *ops;
    void *user;
    uint64_t cursor;
    uint64_t epoch;
    struct job_info info;
};
static struct hub_sub *door_subs[8];
static uint64_t door_ring_from;                      /* frames from here on are in the ring */
static int door_knows;                               /* hub_sub_info() has an answer */
static struct frame *door_frames[WORLD_RECORDS_MAX]; /* one per cut, shared by all */

static inline void door_wake_all(void)
{
    for (int i = 0; i < 8; i++)
        if (door_subs[i])
            door_subs[i]->ops->wake(door_subs[i]->user);
}
static inline void door_forget_frames(void)
{
    for (uint32_t i = 0; i < WORLD_RECORDS_MAX; i++)
        frame_unref(&door_frames[i]);
}
void hub_subscribe(struct stream *st, const struct job_key *key, uint64_t after,
                   const struct hub_sub_ops *ops, void *user, struct hub_sub **ret)
{
    struct hub_sub *s = must_calloc(1, sizeof *s);
    s->ops = ops;
    s->user = user;
    s->cursor = after;
    s->epoch = st->epoch;
    for (int i = 0; i < 8; i++)
        if (!door_subs[i]) {
            door_subs[i] = s;
            break;
        }
    *ret = s;
}
void hub_unsubscribe(struct hub_sub **sp)
{
    struct hub_sub *s = *sp;
    *sp = NULL;
    for (int i = 0; i < 8; i++)
        if (door_subs[i] == s)
            door_subs[i] = NULL;
    free(s);
}
int hub_sub_next(struct hub_sub *s, struct frame **ret)
{
    struct stream *st = &W.stream;
    if (st->exists)
        door_knows = 1; /* loaded by now */
    if (s->epoch != st->epoch || !st->exists) {
        s->epoch = st->epoch;
        s->cursor = 0;
        if (!st->exists && !door_knows)
            return 0;
        return ERR_RESET;
    }
    if (s->cursor >= st->count)
        return 0;
    if (s->cursor + 1 < door_ring_from)
        return ERR_LAGGED;
    for (uint32_t i = 0; i < st->cuts; i++) {
        if (st->cut[i] <= s->cursor)
            continue;
        uint64_t first = i ? st->cut[i - 1] + 1 : 1;
        if (!door_frames[i]) {
            door_frames[i] = world_frame(first, st->cut[i]);
            if (first == st->cut[i] && world_is_state(first))
                door_frames[i]->sum.is_state = 1;
        }
        *ret = door_frames[i];
        s->cursor = st->cut[i];
        return 1;
    }
    return 0;
}
uint64_t hub_sub_cursor(const struct hub_sub *s)
{
    return s->cursor;
}
uint64_t hub_sub_end(const struct hub_sub *s)
{
    (void)s;
    return UINT64_MAX;
}
int hub_sub_holds(const struct hub_sub *s, uint64_t seq)
{
    const struct stream *st = &W.stream;
    return s->epoch == st->epoch && st->exists && seq + 1 >= door_ring_from && seq <= st->count;
}
void hub_sub_expect(struct hub_sub *s)
{
    (void)s; /* the world's job is not deleted before it is known */
}

void hub_sub_seek(struct hub_sub *s, uint64_t after)
{
    s->cursor = after;
}
const struct job_info *hub_sub_info(const struct hub_sub *s)
{
    if (!door_knows || !W.stream.exists)
        return NULL;
    world_info(&((struct hub_sub *)(uintptr_t)s)->info);
    return &s->info;
}
int hub_sub_ended(const struct hub_sub *s)
{
    return W.stream.sealed && s->cursor >= W.stream.count;
}

#endif

/*
 * alert/post_curl.c -- the door to libcurl: its multi interface on our loop.
 *
 * libcurl says which sockets it waits for and when it wants to be called; uv_poll and a timer do so.
 */
#include "alert/post.h"

#include "base/check.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

struct post_call {
    LIST_ENTRY(post_call) link;
    struct poster *p;
    CURL *curl;
    struct curl_slist *headers;
    post_done_fn *done;
    void *user;
    size_t answer_bytes;
    char refused[ADDRESS_TEXT_BYTES]; /* "": no address was */
    char error[CURL_ERROR_SIZE];
};

struct poster {
    uv_loop_t *loop;
    const struct address_list *allowed;
    const char *ca_file;
    CURLM *multi;
    uv_timer_t timer;
    LIST_HEAD(, post_call) calls;
    uint32_t handles; /* not closed yet */
    int closing;
    void (*closed)(void *user);
    void *user;
};

struct watch_fd {
    uv_poll_t poll;
    struct poster *p;
    curl_socket_t fd;
};

/* ---- the end of things ---- */

static void maybe_over(struct poster *p)
{
    void (*closed)(void *user) = p->closed;
    void *user = p->user;

    if (!p->closing || p->handles)
        return;
    free(p);
    closed(user);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct watch_fd *w = handle->data;
    struct poster *p = w->p;

    free(w);
    p->handles--;
    maybe_over(p);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct poster *p = handle->data;

    p->handles--;
    maybe_over(p);
}

static void free_call(struct post_call *c)
{
    LIST_REMOVE(c, link);
    curl_multi_remove_handle(c->p->multi, c->curl);
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    free(c);
}

void post_cancel(struct post_call **call)
{
    struct post_call *c = *call;

    *call = NULL;
    if (c)
        free_call(c);
}

/* ---- what libcurl wants ---- */

static void finish(struct post_call *c, CURLcode code)
{
    struct post_answer a = {0};
    post_done_fn *done = c->done;
    void *user = c->user;
    curl_off_t seconds = 0;
    long status = 0;
    char why[POST_WHY_BYTES];

    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &seconds);
    /* Too long an answer is an answer all the same; one that breaks off before its body's end is not. */
    if (status >= 200 && (code == CURLE_OK || c->answer_bytes > POST_ANSWER_BYTES_MAX))
        a.status = (int)status;
    a.retry_after_us = (int64_t)(seconds > 86400 ? 86400 : seconds) * 1000000;
    if (*c->refused)
        snprintf(why, sizeof why,
                 "its address %s is not one that alerts may be sent to (--alert-allow)",
                 c->refused);
    else
        snprintf(why, sizeof why, "%s", *c->error ? c->error : curl_easy_strerror(code));
    a.why = why;
    free_call(c);
    done(user, &a);
}

static void look_for_ends(struct poster *p)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(p->multi, &left))) {
        struct post_call *c = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        finish(c, code); /* may send another */
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch_fd *w = poll->data;
    struct poster *p = w->p;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;

    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(p->multi, w->fd, flags, &running);
    look_for_ends(p);
}

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *user, void *assigned)
{
    struct poster *p = user;
    struct watch_fd *w = assigned;
    int events = (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? UV_READABLE : 0) |
                 (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? UV_WRITABLE : 0);

    if (what == CURL_POLL_REMOVE) {
        if (w) {
            curl_multi_assign(p->multi, fd, NULL);
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, on_poll_closed);
        }
        return 0;
    }
    if (!w) {
        w = must_calloc(1, sizeof *w);
        w->p = p;
        w->fd = fd;
        w->poll.data = w;
        CHECK(uv_poll_init_socket(p->loop, &w->poll, fd) == 0);
        p->handles++;
        curl_multi_assign(p->multi, fd, w);
    }
    CHECK(uv_poll_start(&w->poll, events, on_ready) == 0);
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct poster *p = timer->data;
    int running;

    curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look_for_ends(p);
}

static int on_timeout(CURLM *multi, long ms, void *user)
{
    struct poster *p = user;

    if (p->closing)
        return 0;
    if (ms < 0)
        uv_timer_stop(&p->timer);
    else
        uv_timer_start(&p->timer, on_timer, (uint64_t)ms, 0);
    return 0;
}

/* ---- what a call may do ---- */

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct post_call *c = user;

    if (purpose != CURLSOCKTYPE_IPCXN || !address_may(&a->addr, c->p->allowed)) {
        address_text(&a->addr, c->refused);
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct post_call *c = user;

    c->answer_bytes += size * count;
    return c->answer_bytes > POST_ANSWER_BYTES_MAX ? 0 : size * count;
}

static void set(CURLcode code)
{
    CHECKF(code == CURLE_OK, "libcurl takes no option: %s", curl_easy_strerror(code));
}

static void set_limits(struct post_call *c, int64_t timeout_us)
{
    CURL *h = c->curl;
    int64_t connect_us = timeout_us < POST_CONNECT_US_MAX ? timeout_us : POST_CONNECT_US_MAX;

    set(curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https"));
    set(curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L));
    set(curl_easy_setopt(h, CURLOPT_PROXY, ""));
    set(curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED));
    set(curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, on_open));
    set(curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, c));
    set(curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L));
    set(curl_easy_setopt(h, CURLOPT_QUICK_EXIT, 1L)); /* a lookup that takes long is left to its thread */
    set(curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(timeout_us / 1000)));
    set(curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_us / 1000)));
    set(curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1));
    set(curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L));
    set(curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L));
    set(curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body));
    set(curl_easy_setopt(h, CURLOPT_WRITEDATA, c));
    set(curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->error));
    if (c->p->ca_file && *c->p->ca_file)
        set(curl_easy_setopt(h, CURLOPT_CAINFO, c->p->ca_file));
}

void post_send(struct poster *p, const struct post *o, post_done_fn *done, void *user,
               struct post_call **ret)
{
    struct post_call *c = must_calloc(1, sizeof *c);

    CHECK(!p->closing && o->header_count <= POST_HEADERS_MAX);
    c->p = p;
    c->done = done;
    c->user = user;
    c->curl = curl_easy_init();
    CHECK(c->curl);
    for (unsigned i = 0; i < o->header_count; i++)
        CHECK((c->headers = curl_slist_append(c->headers, o->headers[i])));
    CHECK((c->headers = curl_slist_append(c->headers, "Expect:")));
    set_limits(c, o->timeout_us);
    set(curl_easy_setopt(c->curl, CURLOPT_URL, o->url));
    set(curl_easy_setopt(c->curl, CURLOPT_PRIVATE, c));
    set(curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers));
    set(curl_easy_setopt(c->curl, CURLOPT_POST, 1L));
    set(curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_len));
    set(curl_easy_setopt(c->curl, CURLOPT_COPYPOSTFIELDS, o->body));
    LIST_INSERT_HEAD(&p->calls, c, link);
    *ret = c;
    CHECK(curl_multi_add_handle(p->multi, c->curl) == CURLM_OK);
}

/* ---- life ---- */

void poster_open(uv_loop_t *loop, const struct address_list *allowed, const char *ca_file,
                 struct poster **ret)
{
    struct poster *p = must_calloc(1, sizeof *p);

    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    p->loop = loop;
    p->allowed = allowed;
    p->ca_file = ca_file;
    LIST_INIT(&p->calls);
    p->multi = curl_multi_init();
    CHECK(p->multi);
    curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
    curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
    curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)POST_CONNECTIONS_MAX);
    uv_timer_init(loop, &p->timer);
    p->timer.data = p;
    p->handles = 1;
    *ret = p;
}

void poster_close(struct poster **poster, void (*closed)(void *user), void *user)
{
    struct poster *p = *poster;
    struct post_call *c;

    *poster = NULL;
    p->closed = closed;
    p->user = user;
    while ((c = LIST_FIRST(&p->calls)) != NULL)
        free_call(c);
    p->closing = 1;
    curl_multi_cleanup(p->multi);
    uv_timer_stop(&p->timer);
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

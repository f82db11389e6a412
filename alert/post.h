/*
 * alert/post.h -- one POST to a stranger: the answer's status, and nothing else of it.
 *
 * Promises   No redirect is followed, no proxy or password of the environment is used, only http and https are spoken; each
 *            address is checked when it is connected to (alert/address.h), so what a name leads to cannot change in
 *            between. done() comes once, from the loop, never from inside post_send(); not after post_cancel().
 * Limits     The answer is read up to POST_ANSWER_BYTES_MAX and thrown away; POST_CONNECTIONS_MAX idle connections are
 *            kept; the whole of it takes at most timeout_us.
 * Threads    The loop thread; names are looked up on threads of libcurl's own.
 */
#ifndef ALERT_POST_H
#define ALERT_POST_H

#include "alert/address.h"

#include <stdint.h>
#include <uv.h>

#define POST_ANSWER_BYTES_MAX (64 * 1024)
#define POST_CONNECTIONS_MAX 32
#define POST_CONNECT_US_MAX 10000000
#define POST_HEADERS_MAX 32
#define POST_WHY_BYTES 300

struct poster;
/* allowed, ca_file: borrowed as long as it is open. ca_file NULL or "": the system's authorities. */
void poster_open(uv_loop_t *loop, const struct address_list *allowed, const char *ca_file,
                 struct poster **ret);
/* Everything under way is cancelled. closed(user) from the loop. Takes and NULLs. */
void poster_close(struct poster **p, void (*closed)(void *user), void *user);

struct post {
    const char *url;
    const char *headers[POST_HEADERS_MAX]; /* "Name: value" */
    unsigned header_count;
    const char *body;
    size_t body_len;
    int64_t timeout_us;
};
struct post_answer {
    int status;             /* 0: there was none: why */
    int64_t retry_after_us; /* 0: it says nothing of it */
    const char *why;        /* for people; borrowed */
};
typedef void post_done_fn(void *user, const struct post_answer *a);
struct post_call;
/* Everything in o is copied. */
void post_send(struct poster *p, const struct post *o, post_done_fn *done, void *user,
               struct post_call **ret);
/* done() will not be called. Takes and NULLs; NULL is fine. */
void post_cancel(struct post_call **c);

#endif

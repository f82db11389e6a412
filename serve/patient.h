/*
 * serve/patient.h -- an exchange that waits when Redis is away, for clients that never ask twice.
 *
 *     body -> begin() -> ask() -> Redis -> answered: reply
 *                          ^--- pause <--- away, and not yet for too long
 *
 * Embedded as the first member of what serves the request. Every call to a room below is bracketed by
 * patient_call() and patient_back(), so that what outlives its client frees itself with the last answer.
 * Limits     No ask() begins later than PATIENT_US after the request, so that with STREAM_CALL_US_MAX for the
 *            last one all is over within 50 s: real clients give up after 60.
 * Threads    The loop thread.
 */
#ifndef SERVE_PATIENT_H
#define SERVE_PATIENT_H

#include "base/buf.h"
#include "base/json_tree.h"
#include "http/http.h"
#include "serve/ctx.h"

#define PATIENT_US 38000000
#define PATIENT_PAUSE_MS 250
#define PATIENT_BODY_BYTES_MAX (64 * 1024)

struct patient;
struct patient_pause;

struct patient_ops {
    void (*begin)(struct patient *p);   /* the request is whole: look at it, then ask() or answer */
    void (*ask)(struct patient *p);     /* (again) from the start */
    void (*drain)(struct patient *p);   /* as on_drain of http/http.h; may be NULL */
    void (*release)(struct patient *p); /* the client is gone and no call is out: free all */
    void (*gone)(struct patient *p);    /* the exchange is over: let go what costs; may be NULL */
};

struct patient {
    const struct patient_ops *ops;
    struct serve_ctx *ctx;
    struct http *x; /* NULL: the client has gone, or was answered and the exchange is over */
    struct buf body;
    int64_t until_us;
    struct patient_pause *pause;
    unsigned calls;
};

/* Take x over. begin() comes when the body is whole, from the loop (at once for a request without one). */
void patient_open(struct patient *p, const struct patient_ops *ops, struct serve_ctx *ctx, struct http *x);
/* A call goes out / has come back. 1: the client is still there; 0: p may be gone. */
void patient_call(struct patient *p);
int patient_back(struct patient *p);
/* err came from a room below, before anything was sent. Asks again after a pause, or answers the
 * error (what: "there is no such job" for ERR_NOT_FOUND). */
void patient_failed(struct patient *p, int err, const char *what);
/* The same pause without an answer: 1 and ask() follows; 0: there is no more time, or waiting does not help. */
int patient_wait(struct patient *p, int err);
/* The body as a JSON object, {} when there is none; NULL: 400 was answered. */
struct json_tree *patient_json(struct patient *p);

#endif

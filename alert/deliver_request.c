/*
 * alert/deliver_request.c -- a waiting delivery as the request that its receiver understands.
 */
#include "alert/deliver_int.h"
#include "alert/event.h"
#include "alert/sign.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USER_AGENT "joblog/" JOBLOG_VERSION
#define ALERTMANAGER_PATH "/api/v2/alerts"

struct request {
    struct post post;
    struct buf url, body;
    char *lines[POST_HEADERS_MAX];
    unsigned count;
};

static void add_header(struct request *q, const char *name, const char *value)
{
    struct buf line = BUF_INIT;

    CHECK(q->count < POST_HEADERS_MAX);
    must_have(buf_addf(&line, "%s: %s", name, value));
    q->post.headers[q->count] = q->lines[q->count] = buf_steal(&line, NULL);
    q->count++;
}

/* A body for a webhook, when the receiver was one when this was queued: the event is inside. */
static int alertmanager_body(struct buf *out, const struct event_parcel *p)
{
    struct json_tree *root = NULL;
    const struct json_tree *event;
    int err = ERR_CORRUPT;

    if (json_tree_parse_own(p->body, p->body_len, &root) == 0) {
        event = json_tree_is_obj(json_tree_get(root, "data")) ? json_tree_get(root, "data") : root;
        if (json_tree_str(json_tree_get(event, "fingerprint")))
            err = event_alertmanager(out, event, clock_wall_us());
    }
    json_tree_free(&root);
    return err;
}

static void add_signature(struct request *q, const struct receiver *r, const struct event_parcel *p)
{
    int64_t now_s = clock_wall_us() / 1000000;
    struct buf text = BUF_INIT;
    char id[DELIVER_HEAD_BYTES], stamp[24];

    snprintf(id, sizeof id, "%.*s", (int)p->id_len, p->id);
    snprintf(stamp, sizeof stamp, "%" PRId64, now_s);
    add_header(q, "webhook-id", id);
    add_header(q, "webhook-timestamp", stamp);
    if (r->secret_count && must_have(sign_add(&text, r->secrets, r->secret_count, p->id, p->id_len, now_s, q->post.body,
                                              q->post.body_len)) == 0)
        add_header(q, "webhook-signature", buf_cstr(&text));
    buf_release(&text);
}

/* The base, without '/' at its end, and the path. */
static void alertmanager_url(struct buf *out, const char *base)
{
    size_t len = strlen(base);

    while (len && base[len - 1] == '/')
        len--;
    must_have(buf_add(out, base, len));
    must_have(buf_adds(out, ALERTMANAGER_PATH));
}

static int fill(struct request *q, const struct receiver *r, const struct event_parcel *p)
{
    int err = 0;

    q->post.url = r->url;
    q->post.timeout_us = r->timeout_us;
    q->post.body = p->body;
    q->post.body_len = p->body_len;
    if (r->kind == RECEIVER_ALERTMANAGER) {
        err = alertmanager_body(&q->body, p);
        alertmanager_url(&q->url, r->url);
        q->post.url = buf_cstr(&q->url);
        q->post.body = buf_cstr(&q->body);
        q->post.body_len = q->body.len;
    }
    if (err < 0)
        return err;
    add_header(q, "Content-Type", "application/json");
    add_header(q, "User-Agent", USER_AGENT);
    add_signature(q, r, p);
    for (uint32_t i = 0; i < r->header_count; i++)
        add_header(q, r->headers[i].name, r->headers[i].value);
    q->post.header_count = q->count;
    return 0;
}

int deliver__post(struct sending *s, const struct receiver *r, post_done_fn *done)
{
    struct request q = {.url = BUF_INIT, .body = BUF_INIT};
    struct event_parcel p;
    int err = event_parcel_read(s->parcel, s->parcel_len, &p);

    if (err == 0)
        err = fill(&q, r, &p);
    if (err == 0)
        post_send(s->a->deliver->poster, &q.post, done, s, &s->call);
    for (unsigned i = 0; i < q.count; i++) {
        explicit_bzero(q.lines[i], strlen(q.lines[i]));
        free(q.lines[i]);
    }
    buf_release(&q.url);
    buf_release(&q.body);
    return err;
}

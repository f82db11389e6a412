/*
 * alert/deliver_count.c -- how much waits for whom, and receivers that are no more.
 */
#include "alert/deliver_int.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

struct counted *deliver__counted(struct alert *a, const char *receiver_key)
{
    struct counted *c = map_get(a->deliver->counts, receiver_key, strlen(receiver_key));

    if (!c) {
        c = must_calloc(1, sizeof *c);
        map_put(a->deliver->counts, receiver_key, strlen(receiver_key), c);
    }
    return c;
}

void deliver_counts(const struct alert *a, const char *receiver_key, struct deliver_counts *ret)
{
    const struct counted *c = map_get(a->deliver->counts, receiver_key, strlen(receiver_key));

    memset(ret, 0, sizeof *ret);
    if (c)
        *ret = c->c;
}

uint64_t deliver_dead_letters(const struct alert *a)
{
    return a->deliver->dead_letters;
}

/* Its rules file may be another one, or the bell has not rung yet: only after a long while. */
static void check_orphan(struct alert *a, const char *key, struct counted *c, int64_t now_us)
{
    if (deliver__receiver(a, key) || c->c.queued == 0) {
        c->orphan_us = 0;
    } else if (!c->orphan_us) {
        c->orphan_us = now_us;
    } else if (now_us - c->orphan_us >= DELIVER_ORPHAN_US) {
        deliver_flush(a, key, "there is no such receiver any more", 1);
    }
}

static void take_figures(struct alert *a, const struct reply *queued, const struct reply *bytes)
{
    struct deliver *d = a->deliver;
    int64_t now_us = clock_mono_us();
    struct counted *c;
    const char *key;
    size_t pos = 0, len;

    while ((c = map_next(d->counts, &pos, NULL, NULL)))
        c->c.queued = c->c.queued_bytes = 0;
    for (uint32_t i = 0; i + 1 < queued->count; i += 2) {
        c = deliver__counted(a, reply_at(queued, i)->str);
        c->c.queued = reply_u64(reply_at(queued, i + 1));
        c->c.queued_bytes = reply_u64(reply_field(bytes, reply_at(queued, i)->str));
    }
    pos = 0;
    while ((c = map_next(d->counts, &pos, &key, &len))) {
        char text[RULE_KEY_BYTES];
        if (len >= sizeof text)
            continue;
        memcpy(text, key, len);
        text[len] = '\0';
        check_orphan(a, text, c, now_us);
    }
}

static void on_counted(void *user, int err, const struct reply *reply)
{
    struct alert *a = user;

    if (err == ERR_CANCELLED)
        return;
    a->deliver->counting = 0;
    if (err < 0)
        return;
    a->deliver->dead_letters = reply_u64(reply_at(reply, 2));
    take_figures(a, reply_at(reply, 0), reply_at(reply, 1));
}

/* Not with every claim: figures are for people. */
void deliver__count_tick(struct alert *a, int64_t now_us)
{
    static const char *const words[3][2] = {{"HGETALL", "jl:{alert}:queued"},
                                            {"HGETALL", "jl:{alert}:queued_bytes"},
                                            {"XLEN", "jl:{alert}:dead"}};
    struct deliver *d = a->deliver;
    struct conn_request *r;

    if (d->counting || now_us < d->next_count_us || d->stopping || !store_ruleset(a) ||
        !store_ruleset(a)->receiver_count || !conn_is_open(a->cmd))
        return;
    d->next_count_us = now_us + DELIVER_LOOK_US;
    d->counting = 1;
    r = conn_request_new(0);
    for (int i = 0; i < 3; i++) {
        conn_request_begin(r, 2);
        conn_request_str(r, words[i][0]);
        conn_request_str(r, words[i][1]);
    }
    conn_send(a->cmd, &r, CONN_IDEMPOTENT, 0, on_counted, a);
}

void deliver__counts_free(struct deliver *d)
{
    struct counted *c;
    size_t pos = 0;

    while ((c = map_next(d->counts, &pos, NULL, NULL)))
        free(c);
    map_free(&d->counts);
}

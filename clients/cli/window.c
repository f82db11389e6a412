/*
 * clients/cli/window.c -- acknowledgements, rewinds and limits of the agent's road.
 */
#include "clients/cli/window.h"

#include "base/check.h"
#include "base/err.h"

#include <string.h>

void window_init(struct window *w)
{
    memset(w, 0, sizeof *w);
    w->next = 1;
}

static void forget_flight(struct window *w)
{
    w->first = w->count = 0;
    w->flight_bytes = 0;
}

void window_open(struct window *w, uint64_t last, int is_durable, uint32_t messages, uint64_t bytes)
{
    forget_flight(w);
    w->is_open = 1;
    w->accepted = last;
    w->next = last + 1;
    if (last > w->sent)
        w->sent = last;
    if (is_durable || w->durable > last)
        w->durable = last;
    w->messages_max = messages < 1                     ? 1
                      : messages > WINDOW_MESSAGES_MAX ? WINDOW_MESSAGES_MAX
                                                       : messages;
    w->bytes_max = bytes;
    w->busy_until_us = 0;
}

void window_close(struct window *w)
{
    forget_flight(w);
    w->is_open = 0;
    w->next = w->accepted + 1;
}

int window_may_send(const struct window *w, size_t bytes, int64_t now_us)
{
    if (!w->is_open || now_us < w->busy_until_us)
        return 0;
    if (!w->count)
        return 1; /* one message may be larger than the window */
    return w->count < w->messages_max && w->flight_bytes + bytes <= w->bytes_max;
}

void window_sent(struct window *w, uint64_t last, size_t bytes, int64_t now_us)
{
    CHECK(w->is_open && last >= w->next && w->count < WINDOW_MESSAGES_MAX);
    w->flight[(w->first + w->count++) % WINDOW_MESSAGES_MAX] =
        (struct window_message){last, bytes, now_us};
    w->flight_bytes += bytes;
    w->next = last + 1;
    if (last > w->sent)
        w->sent = last;
}

int window_ack(struct window *w, uint64_t accepted, uint64_t durable)
{
    if (accepted > w->sent || durable > accepted)
        return ERR_PROTOCOL;
    if (accepted < w->accepted)
        return 0; /* said before a rewind or out of date */
    w->accepted = accepted;
    if (w->next <= accepted)
        w->next = accepted + 1;
    if (durable > w->durable)
        w->durable = durable;
    while (w->count && w->flight[w->first].last <= accepted) {
        w->flight_bytes -= w->flight[w->first].bytes;
        w->first = (w->first + 1) % WINDOW_MESSAGES_MAX;
        w->count--;
    }
    return 0;
}

int window_gap(struct window *w, uint64_t expected)
{
    if (!expected || expected > w->sent + 1)
        return ERR_PROTOCOL;
    forget_flight(w);
    w->accepted = expected - 1;
    if (w->durable > w->accepted)
        w->durable = w->accepted;
    w->next = expected;
    return 0;
}

void window_busy(struct window *w, int64_t retry_us, int64_t now_us)
{
    if (retry_us > WINDOW_BUSY_US_MAX)
        retry_us = WINDOW_BUSY_US_MAX;
    forget_flight(w);
    w->next = w->accepted + 1;
    w->busy_until_us = now_us + retry_us;
}

int64_t window_oldest_us(const struct window *w)
{
    return w->count ? w->flight[w->first].sent_us : 0;
}

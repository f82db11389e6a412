/*
 * tests/bench/budget.c -- fixed amounts of the three kinds of work that cost most, to be counted by callgrind.
 *
 *     budget ingest N    N requests of 500 NDJSON lines decoded, framed, packed
 *     budget hub N       N frames of 8 lines to 200 followers of one job: woken, pulled, each frame made once into the
 *                        message that all of them share
 *     budget search N    N searches for a text that does not occur, one that is in one frame, and a pattern, over a
 *                        segment of 10,000 lines
 *
 * The difference between two counts of N is free of what the start costs: tests/e2e/90-budget.py.
 */
#include "base/check.h"
#include "base/clock.h"
#include "ingest/decode.h"
#include "job/filter.h"
#include "serve/sieve.h"
#include "serve/tail_int.h"
#include "storage/segment.h"
#include "stream/hub_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUEST_LINES 500
#define FOLLOWERS 200
#define SEGMENT_FRAMES 20

/* Line i of a training log, as NDJSON. */
static void add_line(struct buf *b, unsigned i)
{
    buf_addf(b,
             "{\"ts\":\"2026-11-23T20:%02u:%02u.%06uZ\",\"rank\":%u,\"stream\":\"stdout\",\"level\":\"%s\","
             "\"msg\":\"step %u/20000 "
             "loss=%u.%04u lr=2.98e-04 grad_norm=0.%03u tokens/s=%u mem=61.2GB\"}\n",
             i / 3600 % 60, i / 60 % 60, i * 997 % 1000000, i % 8, i % 50 == 49 ? "warn" : "info", i / 8, 1 + i % 3,
             i * 7919 % 10000, i * 31 % 1000, 41000 + i * 13 % 900);
}

static struct batch *decode(struct decoder **d, const struct decode_options *o, const struct buf *body)
{
    struct batch *b = NULL;

    CHECK((*d ? decoder_reset(*d, o) : decoder_new(o, d)) == 0);
    CHECK(decoder_feed(*d, body->data, body->len) == 0);
    CHECK(decoder_finish(*d, &b) == 0);
    return b;
}

static void options(struct decode_options *o, int pack_level)
{
    decode_options_init(o);
    o->format = DECODE_NDJSON;
    o->pack_level = pack_level;
    o->recv_us = INT64_C(1795000000000000);
}

static void ingest(int n)
{
    struct buf body = BUF_INIT;
    struct decode_options o;
    struct decoder *d = NULL;

    options(&o, 1);
    for (unsigned i = 0; i < REQUEST_LINES; i++)
        add_line(&body, i);
    while (n-- > 0) {
        struct batch *b = decode(&d, &o, &body);

        CHECK(b->line_count == REQUEST_LINES);
        batch_free(&b);
    }
    decoder_free(&d);
    buf_release(&body);
}

/* ---- the hub, with a Redis that is there at once ---- */

static void no_read(struct stream *st, const struct job_key *k, uint64_t after, uint32_t frames_max, stream_read_fn *done,
                    void *user)
{
    done(user, 0, NULL, 0, 1, after, 1);
}

static struct job_key key;
static uint64_t stored; /* the last record: what a look at Redis finds */

static void at_once(struct stream *st, const struct job_key *k, jobs__loaded_fn *done, void *user)
{
    struct job_info *info = must_calloc(1, sizeof *info);

    info->key = *k;
    info->epoch = 1;
    info->first_in_stream = 1;
    info->seq = stored;
    info->state = STATE_RUNNING;
    done(user, 0, &info);
    free(info);
}

static void subscribe(struct stream *st, const struct job_key *k, const struct conn_channel_ops *ops, void *user)
{
    if (ops->subscribed)
        ops->subscribed(user);
}

static void unsubscribe(struct stream *st, const struct job_key *k)
{
}

static void bump(struct stream *st, const struct job_key *k, uint64_t old, void (*done)(void *user, int err, uint64_t epoch),
                 void *user)
{
    done(user, 0, old + 1);
}

static const struct hub_source source = {no_read, at_once, subscribe, unsubscribe, bump};

struct follower {
    struct hub_sub *sub;
    uint64_t lines;
};

static uint64_t given;

static void free_wire(void *wire)
{
    struct buf *b = wire;

    buf_release(b);
    free(b);
}

static void on_wake(void *user)
{
    struct follower *f = user;
    struct frame *frame;

    while (hub_sub_next(f->sub, &frame) == 1) {
        if (!frame->wire) {
            struct buf *message = must_calloc(1, sizeof *message);
            struct run run;

            run_start(&run, frame->first_seq - 1);
            CHECK(run_add(&run, frame) && tail__lines_of_run(message, 1, &run) == 0);
            frame->wire = message;
            frame->wire_free = free_wire;
        }
        f->lines += frame->sum.count;
        given += frame->sum.count;
    }
}

static struct frame *frame_of(struct decoder **d, uint64_t first, unsigned lines)
{
    struct buf body = BUF_INIT;
    struct decode_options o;
    struct frame *f = NULL;
    struct batch *b;

    options(&o, 1); /* frames of more than 64 KiB */
    for (unsigned i = 0; i < lines; i++)
        add_line(&body, (unsigned)first + i);
    b = decode(d, &o, &body);
    CHECK(b->frame_count == 1);
    CHECK(frame_number(first, o.recv_us + (int64_t)first, &b->frames[0].sum, b->frames[0].raw, b->frames[0].raw_bytes, &f) == 0);
    batch_free(&b);
    buf_release(&body);
    return f;
}

static void hub(int n)
{
    static const struct hub_sub_ops ops = {on_wake, NULL};
    static struct follower followers[FOLLOWERS];
    struct decoder *d = NULL;
    struct hub *h;
    uv_loop_t loop;

    CHECK(uv_loop_init(&loop) == 0);
    CHECK(job_key_make(&key, "default", 7, "budget", 6) == 0);
    h = hub__new(NULL, &loop, &source);
    for (int i = 0; i < FOLLOWERS; i++)
        hub__subscribe(h, &key, 0, &ops, &followers[i], &followers[i].sub);
    for (int i = 0; i < 20; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    for (int i = 0; i < n; i++) {
        struct frame *f = frame_of(&d, (uint64_t)i * 8 + 1, 8);

        stored = (uint64_t)(i + 1) * 8;
        hub__offer_to(h, &key, 1, f);
        frame_unref(&f);
        while (given < (uint64_t)(i + 1) * 8 * FOLLOWERS)
            uv_run(&loop, UV_RUN_ONCE);
    }
    for (int i = 0; i < FOLLOWERS; i++)
        CHECKF(followers[i].lines == (uint64_t)n * 8, "follower %d has %llu", i, (unsigned long long)followers[i].lines);
    decoder_free(&d);
}

/* ---- search ---- */

static unsigned search_once(struct segment *s, struct sieve *sieve)
{
    struct buf scratch = BUF_INIT;
    const char *literal;
    unsigned found = 0;
    size_t len = 0;

    literal = sieve_literal(sieve, &len);
    for (uint32_t i = 0; i < segment_entry_count(s); i++) {
        struct frame *f = NULL;
        const char *line;
        size_t pos = 0, n;

        if (!segment_may_match(s, i, &sieve->filter, literal, len))
            continue;
        CHECK(segment_read(s, i, &f) == 0);
        while (frame_next_line(f, &pos, &line, &n)) {
            struct record_view v;

            CHECK(record_parse(line, n, &v) == 0);
            found += filter_finds(&sieve->filter, &v, &scratch) != 0;
        }
        frame_unref(&f);
    }
    buf_release(&scratch);
    return found;
}

static struct sieve *sieve_of(const char *q, const char *re)
{
    struct sieve *s = sieve_new();
    char why[200];

    if (q)
        s->filter.q_len = (size_t)snprintf(s->filter.q, sizeof s->filter.q, "%s", q);
    else
        CHECK(sieve_set_pattern(s, re, 0, why, sizeof why) == 0);
    return s;
}

static void search(int n)
{
    char dir[] = "/tmp/jl-budget-XXXXXX", name[SEGMENT_NAME_BYTES], path[sizeof dir + SEGMENT_NAME_BYTES + 1];
    struct segment_writer *w = NULL;
    struct decoder *d = NULL;
    struct segment *s = NULL;
    struct sieve *none, *one, *pattern;

    CHECK(mkdtemp(dir));
    CHECK(segment_writer_open(dir, 1, 1, &w) == 0);
    for (unsigned i = 0; i < SEGMENT_FRAMES; i++) {
        struct frame *f = frame_of(&d, (uint64_t)i * 500 + 1, 500);

        CHECK(segment_writer_add(w, f) == 0);
        frame_unref(&f);
    }
    CHECK(segment_writer_commit(&w, name) == 0);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CHECK(segment_open(path, &s) == 0);
    none = sieve_of("zyzzyva", NULL);
    one = sieve_of("step 700/", NULL);
    pattern = sieve_of(NULL, "step 7[0-9]{2}/.*loss=[12]\\.0");
    while (n-- > 0) {
        CHECK(search_once(s, none) == 0);
        CHECK(search_once(s, one) == 8);
        CHECK(search_once(s, pattern) > 0);
    }
    sieve_unref(&none);
    sieve_unref(&one);
    sieve_unref(&pattern);
    segment_close(&s);
    decoder_free(&d);
    unlink(path);
    rmdir(dir);
}

int main(int argc, char **argv)
{
    int n = argc == 3 ? atoi(argv[2]) : 0;

    if (n > 0 && !strcmp(argv[1], "ingest"))
        ingest(n);
    else if (n > 0 && !strcmp(argv[1], "hub"))
        hub(n);
    else if (n > 0 && !strcmp(argv[1], "search"))
        search(n);
    else
        return fputs("usage: budget ingest|hub|search N\n", stderr), 2;
    return 0;
}

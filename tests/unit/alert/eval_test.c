/* tests/unit/alert/eval_test.c -- what fires, when, and once: scenes told in time, and the same told in pieces. */
#include "alert/eval.h"
#include "base/err.h"
#include "job/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 INT64_C(1767225600000000) /* 2026-01-01 */
#define S INT64_C(1000000)

/* A job under evaluation, and what was said: "12.0 firing oom rank=3 count=1; …" (seconds since T0). */
struct scene {
    struct job_info *info;
    struct ruleset *set;
    struct eval *e;
    uint64_t seq;
    struct buf said;
    int64_t now;
    int tracked;    /* ranks that Redis would know of */
    int with_ranks; /* eval_ranks() before each tick that wants it */
};

static struct ruleset *rules(const char *text)
{
    struct ruleset_draft d = {0};
    struct fields_why why = {"", ""};
    if (ruleset_parse(text, strlen(text), SOURCE_FILE, 1, &d, &why) < 0)
        fail_msg("%s: %s", why.path, why.text);
    return ruleset_make(&d);
}

static struct job_info *running_job(void)
{
    struct job_info *i = job_info_new();
    job_key_make(&i->key, "p", 1, "j", 1);
    i->labels_json = strdup("{\"team\":\"v\"}");
    i->state = STATE_RUNNING;
    i->epoch = 1;
    i->created_us = T0;
    i->history[0].state = STATE_RUNNING;
    i->history[0].at_us = T0;
    i->history_count = 1;
    return i;
}

static void open_scene(struct scene *s, const char *rules_text)
{
    memset(s, 0, sizeof *s);
    s->info = running_job();
    s->set = rules(rules_text);
    s->e = eval_new(s->info);
    s->now = T0;
    s->with_ranks = 1;
    eval_set_rules(s->e, s->set, T0);
    eval_begin(s->e, 0);
}

static void close_scene(struct scene *s)
{
    eval_free(&s->e);
    ruleset_unref(&s->set);
    job_info_free(&s->info);
    buf_release(&s->said);
}

static const char *member(const char *json, const char *key, char out[64])
{
    char want[32];
    const char *at;
    snprintf(want, sizeof want, "\"%s\":", key);
    at = strstr(json, want);
    out[0] = '\0';
    if (at)
        snprintf(out, 64, "%.*s",
                 (int)strcspn(at + strlen(want) + (at[strlen(want)] == '"'), ",\"}"),
                 at + strlen(want) + (at[strlen(want)] == '"'));
    return out;
}

static void take(struct scene *s)
{
    struct eval_alert *a;
    uint32_t n = eval_take(s->e, &a);
    for (uint32_t i = 0; i < n; i++) {
        char status[64], rank[64], count[64], value[64];
        buf_addf(&s->said, "%.1f %s %s", (double)(a[i].at_us - T0) / 1e6,
                 member(a[i].json, "status", status), a[i].rule->id);
        if (*member(a[i].json, "rank", rank))
            buf_addf(&s->said, " rank=%s", rank);
        if (!a[i].is_resolved)
            buf_addf(&s->said, " n=%s", member(a[i].json, "count", count));
        if (!a[i].is_resolved && *member(a[i].json, "value", value))
            buf_addf(&s->said, " v=%s", value);
        buf_adds(&s->said, "; ");
    }
    eval_alerts_free(&a, n);
}

/* Time goes on to now, with every deadline on the way looked at. */
static void advance(struct scene *s, int64_t now)
{
    for (int guard = 0; eval_deadline(s->e) <= now; guard++) {
        int64_t at = eval_deadline(s->e) > s->now ? eval_deadline(s->e) : s->now;
        assert_true(guard < 100000);
        eval_tick(s->e, at);
        s->now = at;
        if (eval_wants_ranks(s->e)) {
            if (!s->with_ranks)
                break;
            eval_ranks(s->e, s->info);
            eval_tick(s->e, at);
        }
        take(s);
    }
    s->now = now;
}

static void feed(struct scene *s, const char *text, const struct frame_summary *sum)
{
    struct eval_frame f = {text, strlen(text), s->seq + 1, s->now, sum};
    eval_feed(s->e, &f);
    s->seq = eval_upto(s->e);
    take(s);
}

static void add_line(struct buf *b, uint64_t seq, int rank, const char *level, const char *msg)
{
    struct record r = {.seq = seq,
                       .ts_us = T0,
                       .rank = rank,
                       .level = level_parse(level, strlen(level)),
                       .msg = msg,
                       .msg_len = strlen(msg)};
    assert_int_equal(record_write(b, &r), 0);
}

/* One line at a time (seconds since T0). */
static void say(struct scene *s, double at, int rank, const char *level, const char *msg)
{
    struct buf b = BUF_INIT;
    advance(s, T0 + (int64_t)(at * 1e6));
    add_line(&b, s->seq + 1, rank, level, msg);
    if (rank < s->tracked) {
        s->info->ranks[rank].rank = rank;
        s->info->ranks[rank].last_recv_us = s->now;
    }
    feed(s, buf_cstr(&b), NULL);
    buf_release(&b);
}

static void move(struct scene *s, double at, enum job_state state)
{
    struct buf b = BUF_INIT;
    struct record r = {.seq = s->seq + 1,
                       .ts_us = T0,
                       .rank = RECORD_RANK_NONE,
                       .msg = "why",
                       .msg_len = 3,
                       .is_state = 1,
                       .state = state};
    advance(s, T0 + (int64_t)(at * 1e6));
    assert_int_equal(record_write(&b, &r), 0);
    feed(s, buf_cstr(&b), NULL);
    buf_release(&b);
}

static void until(struct scene *s, double at)
{
    advance(s, T0 + (int64_t)(at * 1e6));
}

static void expect(struct scene *s, const char *want)
{
    if (strcmp(buf_cstr(&s->said), want) != 0)
        fail_msg("said:   %s\nwanted: %s", buf_cstr(&s->said), want);
    close_scene(s);
}

/* A line fires once for its group; within dedup it is counted, after it told again with the count. */
static void test_line(void **state)
{
    struct scene s;
    open_scene(&s, "{\"rules\":[{\"id\":\"oom\",\"line\":{\"contains\":\"CUDA "
                   "out\"},\"group_by\":[\"rank\"],\"dedup\":\"10s\"}]}");
    say(&s, 1, 0, "", "fine");
    say(&s, 2, 3, "", "CUDA out of memory");
    say(&s, 3, 3, "", "CUDA out of memory");
    say(&s, 4, 5, "", "CUDA out of memory");
    say(&s, 11.9, 3, "", "CUDA out of memory");
    say(&s, 12, 3, "", "CUDA out of memory");
    say(&s, 13, 3, "", "cuda out of memory");
    move(&s, 20, STATE_FAILED);
    until(&s, 100000);
    expect(&s,
           "2.0 firing oom rank=3 n=1; 4.0 firing oom rank=5 n=1; 12.0 firing oom rank=3 n=3; ");
}

/* The same error of other ranks, other numbers and other paths is the same group. */
static void test_line_fingerprint(void **state)
{
    struct scene s;
    open_scene(&s, "{\"rules\":[{\"id\":\"err\",\"line\":{\"level\":\"error\"}}]}");
    say(&s, 1, 0, "error", "OSError: [Errno 5] /mnt/a/ckpt-0001 at 0x7f00");
    say(&s, 2, 1, "error", "OSError: [Errno 7] /mnt/b/ckpt-0002 at 0x7f0a");
    say(&s, 3, 1, "fatal", "Segmentation fault");
    say(&s, 4, 1, "warn", "Segmentation fault");
    expect(&s, "1.0 firing err rank=0 n=1; 3.0 firing err rank=1 n=1; ");
}

/* Named groups are told, and may make the group. */
static void test_captures(void **state)
{
    struct scene s;
    struct eval_alert *a;
    struct buf b = BUF_INIT;
    uint32_t n;
    open_scene(&s, "{\"rules\":[{\"id\":\"xid\",\"line\":{\"pattern\":\"Xid .*?: "
                   "(?P<xid>[0-9]+)(?P<no>q)?\"},\"group_by\":[\"captures.xid\"]}]}");
    add_line(&b, 1, 0, "", "NVRM: Xid (PCI:0): 79, GPU");
    add_line(&b, 2, 1, "", "NVRM: Xid (PCI:1): 79, GPU");
    add_line(&b, 3, 1, "", "NVRM: Xid (PCI:1): 48, GPU");
    struct eval_frame f = {b.data, b.len, 1, T0 + S, NULL};
    eval_feed(s.e, &f);
    n = eval_take(s.e, &a);
    assert_int_equal(n, 2);
    assert_non_null(strstr(a[0].json, "\"captures\":{\"xid\":\"79\"}"));
    assert_non_null(strstr(a[0].json, "\"line\":\"NVRM: Xid (PCI:0): 79, GPU\""));
    assert_non_null(strstr(a[1].json, "\"captures\":{\"xid\":\"48\"}"));
    assert_int_equal(a[1].seq, 3);
    assert_int_not_equal(a[0].group, a[1].group);
    eval_alerts_free(&a, n);
    buf_release(&b);
    close_scene(&s);
}

/* A rule looks only at lines received after it was enabled, and only at jobs it covers. */
static void test_scope(void **state)
{
    struct scene s;
    open_scene(&s,
               "{\"rules\":["
               "{\"id\":\"late\",\"line\":{\"contains\":\"x\"},\"enabled_at\":\"2026-01-01T00:00:"
               "05Z\",\"dedup\":0},"
               "{\"id\":\"off\",\"line\":{\"contains\":\"x\"},\"enabled\":false},"
               "{\"id\":\"other\",\"project\":\"q\",\"line\":{\"contains\":\"x\"}},"
               "{\"id\":\"label\",\"job_labels\":{\"team\":\"w\"},\"line\":{\"contains\":\"x\"}},"
               "{\"id\":\"both\",\"line\":{\"contains\":\"x\"},\"dedup\":0},"
               "{\"id\":\"both\",\"project\":\"p\",\"line\":{\"contains\":\"nothing\"}}]}");
    assert_int_equal(eval_rule_count(s.e), 2);
    say(&s, 4, 0, "", "x");
    say(&s, 5, 0, "", "x");
    expect(&s, "5.0 firing late rank=0 n=1; ");
}

/* States: once on entering; with `for` when it has lasted, resolved when it is left. */
static void test_state(void **state)
{
    struct scene s;
    open_scene(&s, "{\"rules\":[{\"id\":\"end\",\"state\":{\"in\":[\"FAILED\",\"STOPPED\"]}},"
                   "{\"id\":\"run\",\"state\":{\"in\":[\"RUNNING\"]},\"for\":\"1m\"}]}");
    say(&s, 30, 0, "", "x");
    until(&s, 90);
    move(&s, 100, STATE_FAILED);
    say(&s, 101, 0, "", "late line");
    until(&s, 99999);
    expect(&s, "60.0 firing run n=1; 100.0 firing end n=1; 100.0 resolved run; ");
}

/* Silence of the job: fires once after the time, is resolved by the next line. */
static void test_silence_of_job(void **state)
{
    struct scene s;
    open_scene(&s, "{\"rules\":[{\"id\":\"hung\",\"silence\":{\"quiet\":\"10s\"}}]}");
    say(&s, 1, 0, "", "a");
    say(&s, 9, 0, "", "b");
    until(&s, 60);
    say(&s, 70, 0, "", "c");
    until(&s, 75);
    say(&s, 79, 0, "", "d");
    until(&s, 95);
    move(&s, 96, STATE_COMPLETED);
    until(&s, 9999);
    expect(&s,
           "19.0 firing hung n=1; 70.0 resolved hung; 89.0 firing hung n=1; 96.0 resolved hung; ");
}

/* A job that is not RUNNING may be silent. */
static void test_silence_only_while_running(void **state)
{
    struct scene s;
    open_scene(&s, "{\"rules\":[{\"id\":\"hung\",\"silence\":{\"quiet\":\"10s\"}}]}");
    move(&s, 5, STATE_COMPLETED);
    until(&s, 9999);
    expect(&s, "");
}

/* One rank is silent: `rank` fires for each, `peers` only while others talk; a rank that is done may be silent. */
static void test_silence_of_ranks(void **state)
{
    struct scene s;
    open_scene(&s, "{\"rules\":[{\"id\":\"any\",\"silence\":{\"quiet\":\"10s\",\"of\":\"rank\"}},"
                   "{\"id\":\"peer\",\"silence\":{\"quiet\":\"10s\",\"of\":\"peers\"}}]}");
    s.info->producers = calloc(1, sizeof *s.info->producers);
    s.info->producer_count = 1;
    s.info->producers[0].rank = 2;
    s.info->producers[0].has_fin = 1;
    say(&s, 1, 0, "", "a");
    say(&s, 1, 1, "", "a");
    say(&s, 1, 2, "", "a");
    say(&s, 8, 0, "", "a");
    until(&s, 17);
    say(&s, 17.5, 1, "", "a");
    until(&s, 60);
    expect(&s,
           "11.0 firing any rank=1 n=1; 11.0 firing peer rank=1 n=1; 17.5 resolved any rank=1; "
           "17.5 resolved peer rank=1; "
           "18.0 firing any rank=0 n=1; 18.0 firing peer rank=0 n=1; 27.5 firing any rank=1 n=1; ");
}

/* A job's own field "rank" is no rank: of a line without one it is not heard, whatever number it holds. */
static void test_fields_are_no_ranks(void **state)
{
    static const char own[] = "{\"a\":1,\"rank\":2000000000}", other[] = "{\"a\":1,\"rank\":1}";
    struct scene s;
    struct buf b = BUF_INIT;
    struct record r = {.seq = 3, .ts_us = T0, .rank = RECORD_RANK_NONE, .msg = "x", .msg_len = 1, .fields_json = own,
                       .fields_json_len = sizeof own - 1};

    open_scene(&s, "{\"rules\":[{\"id\":\"any\",\"silence\":{\"quiet\":\"10s\",\"of\":\"rank\"}}]}");
    say(&s, 1, 0, "", "a");
    say(&s, 1, 1, "", "a");
    advance(&s, T0 + 6 * S);
    assert_int_equal(record_write(&b, &r), 0);
    r.seq = 4;
    r.fields_json = other;
    r.fields_json_len = sizeof other - 1;
    assert_int_equal(record_write(&b, &r), 0);
    feed(&s, buf_cstr(&b), NULL);
    say(&s, 8, 0, "", "a");
    until(&s, 12);
    expect(&s, "11.0 firing any rank=1 n=1; ");
    buf_release(&b);
}

/* No rank is called silent before Redis was asked whether it is done. */
static void test_ranks_are_asked_for(void **state)
{
    struct scene s;
    open_scene(&s,
               "{\"rules\":[{\"id\":\"any\",\"silence\":{\"quiet\":\"10s\",\"of\":\"rank\"}}]}");
    s.with_ranks = 0;
    say(&s, 1, 0, "", "a");
    until(&s, 60);
    assert_true(eval_wants_ranks(s.e));
    expect(&s, "");
}

/* Absence: no such line within the time of RUNNING; ended by the line. */
static void test_absence(void **state)
{
    struct scene s;
    open_scene(
        &s,
        "{\"rules\":[{\"id\":\"nostep\",\"absence\":{\"within\":\"10s\",\"contains\":\"step\"}},"
        "{\"id\":\"mute\",\"absence\":{\"within\":\"10s\"}},{\"id\":\"fine\",\"absence\":{"
        "\"within\":\"10s\",\"contains\":\"hello\"}}]}");
    say(&s, 1, 0, "", "hello");
    until(&s, 50);
    say(&s, 60, 0, "", "step 1");
    until(&s, 500);
    expect(&s, "10.0 firing nostep n=1; 60.0 resolved nostep; ");
}

/* Rate: so many matches in the time; it is over when the window has fewer; `for` asks for longer. */
static void test_rate(void **state)
{
    struct scene s;
    open_scene(
        &s,
        "{\"rules\":[{\"id\":\"many\",\"rate\":{\"count\":3,\"per\":\"10s\",\"level\":\"error\"}},"
        "{\"id\":\"long\",\"rate\":{\"count\":3,\"per\":\"10s\",\"level\":\"error\"},\"for\":"
        "\"5s\"}]}");
    say(&s, 0, 0, "error", "a");
    say(&s, 6, 0, "error", "b");
    say(&s, 11, 0, "error", "c"); /* 0 is out of the window */
    say(&s, 12, 0, "error", "d"); /* 6 11 12 */
    until(&s, 15.9);
    say(&s, 20, 0, "info", "x");
    until(&s, 100);
    expect(&s, "12.0 firing many rank=0 n=1; 16.0 resolved many rank=0; ");
    open_scene(&s, "{\"rules\":[{\"id\":\"long\",\"rate\":{\"count\":3,\"per\":\"10s\",\"level\":"
                   "\"error\"},\"for\":\"5s\"}]}");
    for (int i = 0; i < 12; i++)
        say(&s, i, 0, "error", "a");
    until(&s, 100);
    expect(&s, "7.0 firing long rank=0 n=5; 19.0 resolved long rank=0; ");
}

/* Stall: the highest step has not moved for the time. */
static void test_stall(void **state)
{
    struct scene s;
    open_scene(&s, "{\"rules\":[{\"id\":\"stuck\",\"stall\":{\"after\":\"10s\"}}]}");
    until(&s, 30);
    say(&s, 31, 0, "", "step 1 loss=2.5");
    say(&s, 38, 1, "", "step=2 loss=2.5");
    say(&s, 40, 0, "", "step 1 loss=2.5");
    say(&s, 45, 0, "", "still here");
    until(&s, 50);
    say(&s, 55, 0, "", "step 3 loss=2.5");
    until(&s, 60);
    expect(&s, "48.0 firing stuck n=1; 55.0 resolved stuck; ");
}

/* Metrics: NaN, above for a time, below a part of the running median. */
static void test_metric(void **state)
{
    struct scene s;
    open_scene(&s,
               "{\"rules\":[{\"id\":\"nan\",\"metric\":{\"name\":\"loss\",\"is\":\"nan\"}},"
               "{\"id\":\"high\",\"metric\":{\"name\":\"loss\",\"above\":10},\"for\":\"5s\"}]}");
    say(&s, 1, 0, "", "step 1 loss=2.5");
    say(&s, 2, 0, "", "step 2 loss=11 val_loss=nan");
    say(&s, 4, 0, "", "step 3 loss=3");
    say(&s, 5, 0, "", "step 4 loss=12");
    say(&s, 9, 0, "", "step 5 loss=13.5");
    until(&s, 10.5);
    say(&s, 11, 0, "", "step 6 loss=nan");
    say(&s, 12, 0, "", "step 7 loss=1");
    expect(&s, "10.0 firing high rank=0 n=2 v=13.5; 11.0 resolved high rank=0; 11.0 firing nan "
               "rank=0 n=1 v=NaN; 12.0 resolved nan rank=0; ");
    open_scene(&s, "{\"rules\":[{\"id\":\"slow\",\"metric\":{\"name\":\"tokens_per_second\","
                   "\"below_median_percent\":50}}]}");
    for (int i = 0; i < 30; i++) {
        char text[64];
        snprintf(text, sizeof text, "step %d loss=2 tokens_per_second=%d", i,
                 i == 5 ? 10 : 1000 + i);
        say(&s, i, 0, "", text);
    }
    say(&s, 31, 0, "", "step 31 loss=2 tokens_per_second=600");
    say(&s, 32, 0, "", "step 32 loss=2 tokens_per_second=400");
    say(&s, 33, 0, "", "step 33 loss=2 tokens_per_second=900");
    expect(&s, "32.0 firing slow rank=0 n=1 v=400; 33.0 resolved slow rank=0; ");
}

/* A lasting alert that flaps is one alert while dedup lasts. */
static void test_flapping(void **state)
{
    struct scene s;
    open_scene(&s, "{\"rules\":[{\"id\":\"hot\",\"metric\":{\"name\":\"loss\",\"above\":10},"
                   "\"dedup\":\"60s\"}]}");
    for (int i = 0; i < 50; i++)
        say(&s, i, 0, "", i % 2 ? "loss=11" : "loss=9");
    say(&s, 51, 0, "", "loss=1");
    until(&s, 200);
    expect(&s, "1.0 firing hot rank=0 n=1 v=11; 61.0 resolved hot rank=0; ");
}

/* While a rule is muted nothing is told; what still lasts is told when the mute is over. */
static void test_mute(void **state)
{
    struct scene s;
    open_scene(&s, "{\"rules\":[{\"id\":\"hung\",\"silence\":{\"quiet\":\"10s\"},\"muted_until\":"
                   "\"2026-01-01T00:01:00Z\"},"
                   "{\"id\":\"line\",\"line\":{\"contains\":\"x\"},\"muted_until\":\"2026-01-01T00:"
                   "01:00Z\",\"dedup\":0}]}");
    say(&s, 1, 0, "", "x");
    until(&s, 200);
    say(&s, 201, 0, "", "x");
    until(&s, 202);
    expect(&s, "60.0 firing hung n=1; 201.0 firing line rank=0 n=2; 201.0 resolved hung; ");
}

/* A rule that changes or goes ends what it said; one that only changes its words goes on. */
static void test_rules_change(void **state)
{
    struct scene s;
    struct ruleset *second =
        rules("{\"rules\":[{\"id\":\"a\",\"silence\":{\"quiet\":\"10s\"},\"title\":\"new words\"},"
              "{\"id\":\"b\",\"silence\":{\"quiet\":\"20s\"}}]}");
    struct ruleset *third = rules("{\"rules\":[]}");
    open_scene(&s, "{\"rules\":[{\"id\":\"a\",\"silence\":{\"quiet\":\"10s\"}},{\"id\":\"b\","
                   "\"silence\":{\"quiet\":\"15s\"}}]}");
    until(&s, 16);
    eval_set_rules(s.e, second, s.now);
    take(&s);
    until(&s, 50);
    eval_set_rules(s.e, third, s.now);
    take(&s);
    until(&s, 100);
    ruleset_unref(&second);
    expect(&s, "10.0 firing a n=1; 15.0 firing b n=1; 16.0 resolved b; 36.0 firing b n=1; 50.0 "
               "resolved a; 50.0 resolved b; ");
    ruleset_unref(&third);
}

/* However many groups there are, the states are bounded, and what does not fit is told once. */
static void test_bounds(void **state)
{
    struct scene s;
    int n = 0;
    open_scene(
        &s, "{\"rules\":[{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"group_by\":[\"rank\"]}]}");
    for (int i = 0; i < 500; i++)
        say(&s, 1, i, "", "x");
    for (const char *at = s.said.data; (at = strstr(at, "firing")); at++)
        n++;
    assert_int_equal(n, EVAL_STATES_PER_RULE + 1);
    close_scene(&s);
}

/* ---- whole against pieces ---- */

static uint64_t seed;
static unsigned rnd(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}

static const char all_rules[] =
    "{\"rules\":[{\"id\":\"line\",\"line\":{\"pattern\":\"err(?P<n>[0-9])\"},\"group_by\":["
    "\"captures.n\"],\"dedup\":\"7s\",\"keep_firing_for\":\"9s\"},"
    "{\"id\":\"rate\",\"rate\":{\"count\":4,\"per\":\"9s\",\"contains\":\"err\"},\"for\":\"2s\","
    "\"group_by\":[\"rank\"]},"
    "{\"id\":\"sil\",\"silence\":{\"quiet\":\"4s\"}},{\"id\":\"rank\",\"silence\":{\"quiet\":"
    "\"6s\",\"of\":\"rank\"}},"
    "{\"id\":\"abs\",\"absence\":{\"within\":\"20s\",\"contains\":\"step\"}},{\"id\":\"stall\","
    "\"stall\":{\"after\":\"8s\"}},"
    "{\"id\":\"hi\",\"metric\":{\"name\":\"loss\",\"above\":5},\"for\":\"3s\",\"dedup\":\"5s\"},"
    "{\"id\":\"med\",\"metric\":{\"name\":\"loss\",\"below_median_percent\":40}},{\"id\":\"st\","
    "\"state\":{\"in\":[\"COMPLETED\"]}}]}";

/* every: how often it is looked at out of turn; saved and loaded then, too, or not. */
static void random_scene(uint64_t start, int every, int is_saved, struct buf *ret)
{
    struct scene s;
    double at = 0;
    open_scene(&s, all_rules);
    s.info->ranks = calloc(3, sizeof *s.info->ranks);
    s.info->rank_count = 3;
    for (s.tracked = 0; s.tracked < 3; s.tracked++)
        s.info->ranks[s.tracked].rank = RECORD_RANK_NONE;
    seed = start;
    for (int i = 0; i < 300; i++) {
        char text[64];
        at += rnd(20) == 0 ? rnd(12) : rnd(10) / 10.0;
        switch (rnd(4)) {
        case 0:
            snprintf(text, sizeof text, "err%u", rnd(3));
            break;
        case 1:
            snprintf(text, sizeof text, "step %u loss=%u.%u", i > 100 ? i / 20 : 0, rnd(9), rnd(9));
            break;
        default:
            snprintf(text, sizeof text, "hello %d", i);
        }
        say(&s, at, (int)rnd(3), "info", text);
        if (i % every == 0 && !is_saved)
            eval_set_rules(s.e, s.set, s.now);
        if (i % every == 0 && is_saved) { /* the node dies and another one goes on */
            struct buf state = BUF_INIT;
            struct eval *next = eval_new(s.info);
            assert_int_equal(eval_save(s.e, &state), 0);
            eval_set_rules(next, s.set, s.now);
            assert_int_equal(eval_load(next, state.data, state.len, eval_upto(s.e)), 0);
            eval_ranks(next, s.info); /* Redis knows of the ranks */
            eval_free(&s.e);
            s.e = next;
            buf_release(&state);
        }
    }
    move(&s, at + 1, STATE_COMPLETED);
    until(&s, at + 100);
    buf_add(ret, s.said.data ? s.said.data : "", s.said.len);
    close_scene(&s);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In alphabetical order: what is said at one moment has none of its own. */
static void sort_said(struct buf *b)
{
    char *items[2000], *save = NULL;
    size_t n = 0;
    struct buf sorted = BUF_INIT;

    for (char *at = strtok_r(b->data, ";", &save); at; at = strtok_r(NULL, ";", &save)) {
        assert_true(n < 2000);
        items[n++] = at;
    }
    qsort(items, n, sizeof *items, by_text);
    for (size_t i = 0; i < n; i++)
        buf_addf(&sorted, "%s;", items[i]);
    buf_release(b);
    *b = sorted;
}

/* Written down and read back at any moment, an evaluator says the same as one that was never interrupted. */
static void test_saved_and_loaded(void **state)
{
    for (uint64_t round = 1; round <= 40; round++) {
        struct buf whole = BUF_INIT, pieces = BUF_INIT;
        random_scene(round * 7919, 1 + (int)(round % 9), 0, &whole);
        random_scene(round * 7919, 1 + (int)(round % 9), 1, &pieces);
        assert_true(whole.len > 100);
        sort_said(&whole);
        sort_said(&pieces);
        if (strcmp(buf_cstr(&whole), buf_cstr(&pieces)) != 0)
            fail_msg("round %d:\nwhole:  %s\npieces: %s", (int)round, buf_cstr(&whole),
                     buf_cstr(&pieces));
        buf_release(&whole);
        buf_release(&pieces);
    }
}

/* What is no state, or of another form, is refused and changes nothing. */
static void test_bad_states(void **state)
{
    static const char *const bad[] = {"", "[]", "{}", "{\"v\":2,\"state\":\"RUNNING\"}",
                                      "{\"v\":1,\"state\":\"GONE\"}"};
    struct scene s;
    open_scene(&s, all_rules);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(eval_load(s.e, bad[i], strlen(bad[i]), 5), ERR_INVALID);
    assert_int_equal(eval_upto(s.e), 0);
    static const char odd[] = "{\"v\":1,\"state\":\"RUNNING\",\"rules\":{\"*/"
                              "rate\":{\"h\":\"zz\",\"groups\":[1,{},{\"p\":9}]}}}";
    assert_int_equal(eval_load(s.e, odd, sizeof odd - 1, 5), 0);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_line_fingerprint),
        cmocka_unit_test(test_captures),
        cmocka_unit_test(test_scope),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_silence_of_job),
        cmocka_unit_test(test_silence_only_while_running),
        cmocka_unit_test(test_silence_of_ranks),
        cmocka_unit_test(test_fields_are_no_ranks),
        cmocka_unit_test(test_ranks_are_asked_for),
        cmocka_unit_test(test_absence),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_metric),
        cmocka_unit_test(test_flapping),
        cmocka_unit_test(test_mute),
        cmocka_unit_test(test_rules_change),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_saved_and_loaded),
        cmocka_unit_test(test_bad_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/fuzz/eval_fuzz.c -- any bytes as the saved state of an evaluation, and what a job says behind it.
 *
 * The first line is the state, as it lies in Redis; when it is empty the evaluation begins anew. Each further line is a line of
 * the job, of the rank that its first letter says ('a' is 0; another byte: no rank, and what follows may be its fields), or
 * after a '.' a step of time, after a '!' a change of state, after a '#' lines of all ranks are one frame from here on. Time
 * goes on from that of the state, as alert/watch_live.c sees to. What is refused changes nothing; what is taken is written
 * down, read back and written down as the same; and at the end the one that was read back last has said what the first one
 * says.
 * Covers  alert/eval_save.c alert/eval.c alert/eval_group.c alert/eval_time.c alert/eval_lines.c alert/eval_metric.c
 */
#include "alert/eval.h"
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "base/utf8.h"
#include "job/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define T0 INT64_C(1764000000000000)
#define RANKS 4
#define STEPS_MAX 200
#define NOW_MAX (INT64_C(1) << 52) /* as far again as to 1970: JSON's numbers end at 2^53 */

static const char all_rules[] =
    "{\"rules\":[{\"id\":\"line\",\"line\":{\"pattern\":\"err(?P<n>[0-9]+)\"},\"group_by\":[\"captures.n\"],\"dedup\":\"5s\"},"
    "{\"id\":\"rank\",\"line\":{\"contains\":\"oom\"},\"group_by\":[\"rank\",\"replica\",\"fingerprint\"],"
    "\"labels\":{\"n\":\"x\"}},"
    "{\"id\":\"rate\",\"rate\":{\"count\":3,\"per\":\"10s\",\"contains\":\"err\"},\"group_by\":[\"rank\"]},"
    "{\"id\":\"quiet\",\"silence\":{\"quiet\":\"20s\",\"of\":\"job\"}},"
    "{\"id\":\"peers\",\"silence\":{\"quiet\":\"15s\",\"of\":\"peers\"},\"group_by\":[\"rank\"]},"
    "{\"id\":\"each\",\"silence\":{\"quiet\":\"25s\",\"of\":\"rank\"},\"group_by\":[\"job\"]},"
    "{\"id\":\"absent\",\"absence\":{\"within\":\"30s\",\"contains\":\"ready\"}},"
    "{\"id\":\"none\",\"absence\":{\"within\":\"40s\"}},"
    "{\"id\":\"stall\",\"stall\":{\"after\":\"30s\"}},"
    "{\"id\":\"high\",\"metric\":{\"name\":\"loss\",\"above\":5},\"for\":\"5s\",\"keep_firing_for\":\"5s\"},"
    "{\"id\":\"nan\",\"metric\":{\"name\":\"loss\",\"is\":\"nan\"}},"
    "{\"id\":\"median\",\"metric\":{\"name\":\"loss\",\"below_median_percent\":40}},"
    "{\"id\":\"failed\",\"state\":{\"in\":[\"FAILED\"]}},"
    "{\"id\":\"waits\",\"state\":{\"in\":[\"RUNNING\"]},\"for\":\"60s\"}]}";

static struct ruleset *set;

static void make_rules(void)
{
    struct ruleset_draft d = {0};
    struct fields_why why = {"", ""};

    if (set)
        return;
    CHECKF(ruleset_parse(all_rules, sizeof all_rules - 1, SOURCE_FILE, 1, &d, &why) >= 0, "%s: %s", why.path, why.text);
    set = ruleset_make(&d);
    CHECK(set->enabled_count == 14);
}

/* One job, and two evaluators that are told the same. */
struct world {
    struct job_info *info;
    struct eval *one, *two;
    int64_t now_us;
    uint64_t seq;
    struct buf frame;
    uint32_t in_frame;
    int is_whole; /* frames of several lines */
};

static struct job_info *make_job(void)
{
    struct job_info *i = job_info_new();

    CHECK(job_key_make(&i->key, "vision", 6, "vision-12", 9) == 0);
    free(i->labels_json);
    i->labels_json = must_strdup("{\"team\":\"v\"}");
    i->state = STATE_RUNNING;
    i->epoch = 1;
    i->created_us = T0;
    i->history[0].state = STATE_RUNNING;
    i->history[0].at_us = T0;
    i->history_count = 1;
    i->ranks = must_calloc(RANKS, sizeof *i->ranks);
    i->rank_count = RANKS;
    for (int r = 0; r < RANKS; r++)
        i->ranks[r].rank = r;
    return i;
}

static struct eval *make_eval(const struct world *w)
{
    struct eval *e = eval_new(w->info);

    eval_set_rules(e, set, w->now_us);
    return e;
}

/* In alphabetical order: what is said at one moment has none of its own. Times and words count, values may be no numbers. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_said(struct eval *e, struct buf *out)
{
    struct eval_alert *a = NULL;
    uint32_t n = eval_take(e, &a);
    char **texts = must_calloc(n + 1, sizeof *texts);

    CHECK(n <= EVAL_ALERTS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct buf b = BUF_INIT, whole = BUF_INIT;
        struct json_tree *root = NULL;

        CHECK(buf_addf(&whole, "{%.*s}", (int)a[i].json_len, a[i].json) >= 0 && strlen(a[i].json) == a[i].json_len);
        CHECKF(json_tree_parse_own(whole.data, whole.len, &root) == 0, "%s", whole.data);
        CHECK(utf8_valid_prefix(whole.data, whole.len) == whole.len);
        CHECK(buf_addf(&b, "%s %d %lld %llu %llx %d\n", a[i].rule->id, a[i].is_resolved, (long long)a[i].at_us,
                       (unsigned long long)a[i].seq, (unsigned long long)a[i].group, (int)a[i].rank) >= 0);
        texts[i] = buf_steal(&b, NULL);
        json_tree_free(&root);
        buf_release(&whole);
    }
    qsort(texts, n, sizeof *texts, by_text);
    for (uint32_t i = 0; i < n; i++) {
        CHECK(buf_adds(out, texts[i]) >= 0);
        free(texts[i]);
    }
    free(texts);
    eval_alerts_free(&a, n);
}

static void compare(struct world *w)
{
    struct buf one = BUF_INIT, two = BUF_INIT;

    add_said(w->one, &one);
    add_said(w->two, &two);
    CHECKF(strcmp(buf_cstr(&one), buf_cstr(&two)) == 0, "%s-\n%s", buf_cstr(&one), buf_cstr(&two));
    CHECK(eval_upto(w->one) == eval_upto(w->two));
    buf_release(&one);
    buf_release(&two);
}

/* The second one is written down and read back, as when another node goes on. */
static void take_over(struct world *w)
{
    struct eval *next = make_eval(w);
    struct buf state = BUF_INIT, again = BUF_INIT;

    CHECK(eval_save(w->two, &state) == 0);
    CHECKF(eval_load(next, state.data, state.len, eval_upto(w->two)) == 0, "%s", state.data);
    CHECK(eval_save(next, &again) == 0);
    CHECKF(state.len == again.len && memcmp(state.data, again.data, state.len) == 0, "%s\n%s", state.data, again.data);
    eval_ranks(next, w->info);
    eval_ranks(w->one, w->info);
    eval_free(&w->two);
    w->two = next;
    buf_release(&state);
    buf_release(&again);
}

static void tick(struct world *w)
{
    struct eval *both[] = {w->one, w->two};

    for (int i = 0; i < 2; i++) {
        eval_tick(both[i], w->now_us);
        if (eval_wants_ranks(both[i])) {
            eval_ranks(both[i], w->info);
            eval_tick(both[i], w->now_us);
        }
        CHECK(!eval_wants_ranks(both[i]));
    }
    compare(w);
}

static void feed(struct world *w)
{
    struct frame *f = NULL;
    char *text;

    if (!w->in_frame)
        return;
    CHECK((text = must_strndup(w->frame.data, w->frame.len)) != NULL);
    CHECK(frame_from_text(w->seq - w->in_frame + 1, w->now_us, NULL, &text, w->frame.len, &f) == 0);
    for (int i = 0; i < 2; i++) {
        struct eval_frame e = {f->text, f->text_bytes, f->first_seq, f->recv_us, w->is_whole ? &f->sum : NULL};

        eval_feed(i ? w->two : w->one, &e);
    }
    frame_unref(&f);
    buf_clear(&w->frame);
    w->in_frame = 0;
    compare(w);
}

static void add_record(struct world *w, struct record *r)
{
    struct json_tree *fields = NULL;

    r->seq = ++w->seq;
    r->ts_us = w->now_us;
    if (r->msg_len && r->msg[0] == '{' && json_tree_parse(r->msg, r->msg_len, &fields, NULL) == 0 && json_tree_is_obj(fields)) {
        struct json j;
        struct buf text = BUF_INIT;

        json_init(&j, &text);
        json_tree_print(&j, fields);
        r->fields_json = buf_cstr(&text);
        r->fields_json_len = text.len;
        r->msg_len = 0;
        CHECK(record_write(&w->frame, r) == 0);
        buf_release(&text);
    } else {
        CHECK(record_write(&w->frame, r) == 0);
    }
    json_tree_free(&fields);
    w->in_frame++;
    if (r->rank >= 0)
        w->info->ranks[r->rank].last_recv_us = w->now_us;
}

static void add_line(struct world *w, const char *text, size_t len)
{
    struct record r = {.rank = *text >= 'a' && *text < 'a' + RANKS ? *text - 'a' : RECORD_RANK_NONE, .replica = "w-0",
                       .stream = "stderr", .level = LEVEL_ERROR, .msg = text + 1, .msg_len = len - 1};

    if (r.rank == RECORD_RANK_NONE) {
        r.replica = r.stream = NULL;
        r.level = LEVEL_NONE;
    }
    r.msg_len = utf8_valid_prefix(r.msg, r.msg_len);
    add_record(w, &r);
    if (!w->is_whole)
        feed(w);
}

static void change_state(struct world *w, const char *text, size_t len)
{
    struct record r = {.rank = RECORD_RANK_NONE, .is_state = 1, .msg = "", .has_exit_code = len > 2, .exit_code = (int64_t)len};

    r.state = (enum job_state)((len > 1 ? (unsigned char)text[1] : 0u) % STATE_COUNT);
    feed(w);
    add_record(w, &r);
    feed(w);
}

static void step(struct world *w, const char *text, size_t len)
{
    switch (*text) {
    case '.':
        feed(w);
        w->now_us += INT64_C(1000000) * (len > 1 ? (unsigned char)text[1] % 64 : 1);
        tick(w);
        if (len > 2)
            take_over(w);
        break;
    case '!': change_state(w, text, len); break;
    case '#': w->is_whole = 1; break;
    default: add_line(w, text, len);
    }
}

/* The state as it came. 0: it was refused. */
static int begin(struct world *w, const char *state, size_t len)
{
    struct buf before = BUF_INIT, after = BUF_INIT;
    int err = ERR_INVALID;

    w->one = make_eval(w);
    w->two = make_eval(w);
    CHECK(eval_save(w->one, &before) == 0);
    if (len && (err = eval_load(w->one, state, len, 5)) == 0) {
        CHECK(eval_load(w->two, state, len, 5) == 0 && eval_upto(w->one) == 5);
        w->seq = 5;
        w->now_us = eval_now_us(w->one);
    } else {
        CHECK(eval_save(w->one, &after) == 0);
        CHECK(before.len == after.len && memcmp(before.data, after.data, before.len) == 0 && eval_upto(w->one) == 0);
        eval_begin(w->one, 0);
        eval_begin(w->two, 0);
    }
    compare(w);
    buf_release(&before);
    buf_release(&after);
    return err == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size, *nl = size ? memchr(at, '\n', size) : NULL;
    struct world w = {.now_us = T0};
    size_t len = (size_t)((nl ? nl : end) - at);

    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    make_rules();
    w.info = make_job();
    if (begin(&w, at, len) && w.now_us < NOW_MAX)
        take_over(&w);
    for (int i = 0; w.now_us < NOW_MAX && i < STEPS_MAX && (at += len + 1) < end; i++) {
        nl = memchr(at, '\n', (size_t)(end - at));
        len = (size_t)((nl ? nl : end) - at);
        if (len)
            step(&w, at, len);
    }
    feed(&w);
    if (w.now_us < NOW_MAX)
        take_over(&w);
    w.now_us += 100000000;
    tick(&w);
    eval_free(&w.one);
    eval_free(&w.two);
    job_info_free(&w.info);
    buf_release(&w.frame);
    return 0;
}

/*
 * tests/fuzz/query_fuzz.c -- any bytes as the target and the headers of a request, under every reader of arguments.
 *
 * The first line is the target, each further one a header, as in "/v1/jobs/j/logs?tail=5\nAccept: text/html". What is refused is
 * answered once, with a sentence; what is taken keeps the limits that its header promises, and a cursor of many jobs is
 * written and read back the same. What a filter of the request keeps is asked of a frame of records, whole and one by one.
 * Covers  serve/query.c serve/sieve.c serve/events_query.c serve/tail_many_query.c serve/jobs_query.c serve/baseten_query.c
 *         serve/postmortem_query.c serve/origin.c ingest/logs_request.c job/filter.c job/cursor.c base/clock_span.c
 */
#include "tests/fuzz/hall.h"

#include "auth/caller.h"
#include "base/err.h"
#include "ingest/logs_request.h"
#include "serve/api_jobs.h"
#include "serve/archive_http.h"
#include "serve/baseten_query.h"
#include "serve/jobs_query.h"
#include "serve/origin.h"
#include "serve/postmortem_int.h"
#include "serve/query.h"
#include "serve/stats.h"
#include "serve/tail_many_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char lines[] =
    "{\"seq\":1,\"ts\":\"2026-11-23T20:54:01.000001Z\",\"rank\":0,\"replica\":\"w-0\",\"stream\":\"stderr\",\"level\":\"error\","
    "\"msg\":\"loss is NaN\"}\n"
    "{\"seq\":2,\"ts\":\"2026-11-23T20:54:02.000001Z\",\"rank\":5,\"level\":\"info\",\"msg\":\"Loss \\\"0.5\\\"\"}\n"
    "{\"seq\":3,\"ts\":\"2026-11-23T20:54:03.000001Z\",\"msg\":\"step 12\"}\n";
static struct frame *frame;

/* A text of digits only, which is what a number has to be. */
static int is_digits(const char *s)
{
    return *s && s[strspn(s, "0123456789")] == '\0';
}

static void check_number(const struct http *x, const char *name)
{
    const char *v = http_arg(x, name);

    CHECKF(!v || is_digits(v), "%s=%s was taken", name, v);
}

/* 0 taken, or refused with one answer of 4xx. */
static int answered(int err)
{
    CHECKF(hall_answers == (err < 0), "err=%d answers=%d", err, hall_answers);
    CHECK(err >= 0 || (hall_status >= 400 && hall_status < 500));
    hall_answers = 0;
    return err;
}

static void check_filter(const struct sieve *s)
{
    const struct filter *f = &s->filter;
    struct buf scratch = BUF_INIT;
    struct record_view v;
    size_t at = 0, len;
    int any = 0;

    CHECK(f->rank_count <= FILTER_RANKS_MAX && f->q_len <= FILTER_Q_BYTES_MAX && strlen(f->q) == f->q_len);
    for (uint32_t i = 0; i < f->rank_count; i++)
        CHECK(f->ranks[i].lo <= f->ranks[i].hi);
    CHECK(!sieve_is_open(s));
    sieve_literal(s, &len);
    while (at < frame->text_bytes) {
        const char *line = frame->text + at, *nl = memchr(line, '\n', frame->text_bytes - at);

        CHECK(record_parse(line, (size_t)(nl - line), &v) >= 0);
        any |= filter_match(f, &v, &scratch);
        at += (size_t)(nl - line) + 1;
    }
    CHECK(!any || filter_may_match(f, &frame->sum)); /* a summary never hides a record */
    buf_release(&scratch);
}

static void as_reading(const struct http *x, enum query_use use)
{
    char why[256] = "";
    struct query q;

    if (query_parse(&q, x, use, why, sizeof why) < 0) {
        CHECK(why[0] && !q.sieve && !q.re);
        return;
    }
    CHECK(q.buckets <= QUERY_BUCKETS_MAX && q.limit <= QUERY_COUNT_MAX && q.wait_us >= -1);
    CHECK(q.tail <= QUERY_COUNT_MAX || q.tail == QUERY_TAIL_ALL);
    CHECK(use == QUERY_SEARCH || !q.buckets);
    check_number(x, "limit");
    if (q.sieve)
        check_filter(q.sieve);
    query_release(&q);
}

static void as_events(struct http *x)
{
    static struct alert_event *e;
    static const char json[] = "{\"job_labels\":{\"team\":\"a\"}}";
    struct event_query q;

    if (!e) {
        e = must_calloc(1, sizeof *e + sizeof json);
        e->len = sizeof json - 1;
        memcpy(e->json, json, sizeof json);
        strcpy(e->type, "alert");
        CHECK(job_key_make(&e->key, "vision", 6, "vision-12", 9) == 0);
    }
    if (answered(event_query_read(&q, x)) == 0) {
        CHECK(q.label_count <= EVENTS_LABELS_MAX && q.types <= 7 && q.wait_us >= -1 && q.limit <= 10000);
        CHECK(!q.group[0] == !q.consumer[0] && !(q.has_after && q.tail));
        CHECK(!(event_query_takes(&q, e) && q.own_project[0] && strcmp(q.own_project, e->key.project) != 0));
        check_number(x, "limit");
        check_number(x, "tail");
    }
    event_query_release(&q);
}

static void many_release(struct many *m)
{
    many__reap(m, 1);
    CHECK(!m->follow_count);
    query_release(&m->lines);
    event_query_release(&m->jobs);
}

static void as_tail_of_many(struct http *x)
{
    struct many m, again;
    struct buf one = BUF_INIT, two = BUF_INIT;

    memset(&m, 0, sizeof m);
    TAILQ_INIT(&m.follows);
    if (answered(many__query_read(&m, x)) == 0) {
        struct follow *f;

        CHECK(m.follow_count <= TAIL_MANY_JOBS_MAX && m.jobs.label_count <= EVENTS_LABELS_MAX);
        TAILQ_FOREACH(f, &m.follows, link)
        CHECK(!m.jobs.own_project[0] || strcmp(m.jobs.own_project, f->key.project) == 0);
        many__cursor_write(&m, &one);
        memset(&again, 0, sizeof again);
        TAILQ_INIT(&again.follows);
        memcpy(again.jobs.project, m.jobs.project, sizeof m.jobs.project);
        memcpy(again.jobs.own_project, m.jobs.own_project, sizeof m.jobs.own_project);
        CHECKF(many__cursor_read(&again, buf_cstr(&one)) == 0, "%s", buf_cstr(&one));
        many__cursor_write(&again, &two);
        CHECK(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
        many_release(&again);
    }
    many_release(&m);
    buf_release(&one);
    buf_release(&two);
}

static void as_list(struct http *x)
{
    struct job_list_query q;
    struct job_key key;

    if (answered(jobs_query_read(x, &q)) < 0)
        return;
    CHECK(q.limit >= 1 && q.limit <= API_JOBS_LIMIT_MAX && q.label_count <= 8);
    CHECK(q.state_mask < 1u << STATE_COUNT && q.before_us >= 0);
    CHECK(!q.before_us == !q.before_key[0]);
    CHECK(!q.before_us || job_key_parse(&key, q.before_key, strlen(q.before_key)) == 0);
    check_number(x, "limit");
}

static void as_document(struct http *x)
{
    struct postmortem_question p;
    struct stats_options s;

    if (answered(postmortem__question_read(x, &p)) == 0) {
        CHECK(p.form <= POSTMORTEM_PAGE && p.groups_max <= POSTMORTEM_GROUPS_MAX && p.lines <= POSTMORTEM_TAIL_LINES);
        check_number(x, "ranks");
    }
    if (answered(stats_options_read(x, &s)) == 0)
        CHECK(s.buckets >= 1 && s.buckets <= STATS_BUCKETS_MAX &&
              (s.points <= DIGEST_POINTS_MAX || s.points == STATS_POINTS_AUTO));
}

static void as_baseten(const struct http *x, const char *body, size_t len)
{
    struct json_tree *root = NULL;
    struct baseten_query q;
    char why[200] = "";

    if (json_tree_parse(body, len, &root, NULL) < 0)
        root = NULL;
    if (baseten_query_read(&q, x, root, why, sizeof why) < 0) {
        CHECK(why[0]);
    } else {
        CHECK(q.limit <= BASETEN_LIMIT_MAX && q.start_ms >= 0 && q.end_ms >= 0);
        if (!root)
            check_number(x, "limit");
    }
    json_tree_free(&root);
}

static void as_lines_in(const struct http *x)
{
    struct decode_options o;
    struct logs_request r;
    struct batch b = {.line_count = 3};

    memset(&r, 0, sizeof r);
    decode_options_init(&o);
    if (logs_request_read(&r, x, &o) < 0) {
        CHECK(r.why[0]);
        return;
    }
    CHECK(!r.producer.id[0] || id_valid(r.producer.id, strlen(r.producer.id)));
    CHECK(r.producer.exit_code >= 0 && r.producer.exit_code <= 255 && o.rank <= 65535);
    b.producer = r.producer;
    if (logs_request_number(&r, &b) < 0)
        CHECK(r.why[0]);
}

static void as_headers(struct http *x)
{
    static char *list[] = {(char *)"https://logs.example.com", NULL};
    const char *origin = http_header(x, "Origin"), *accept = http_header(x, "Accept-Encoding"), *range = http_header(x, "Range");
    uint64_t from, to;

    if (origin) {
        origin_valid(origin);
        CHECK(origin_allowed(x, list) || strcmp(origin, list[0]) != 0);
    }
    origin_set_headers(x, list);
    origin_host_is_local(x);
    if (accept)
        CHECK(query_accepts_coding(accept, "zstd") <= 1 && query_accepts_coding(accept, "gzip") >= 0);
    if (range && archive_http_range(range, 1000, &from, &to) == 1)
        CHECK(from <= to && to < 1000);
}

/* "target\nname: value\n…" as a request's head. */
static int make_head(struct head *h, const char *text, size_t len)
{
    static const struct http_limits limits = {.header_bytes_max = 16384, .target_bytes_max = 12000, .body_bytes_max = 4096};
    const char *nl = memchr(text, '\n', len), *end = text + len;
    size_t target = nl ? (size_t)(nl - text) : len, scanned = 0;
    struct refusal r = {0};
    struct buf b = BUF_INIT;
    int n, err;

    buf_adds(&b, "GET ");
    buf_add(&b, text, target);
    buf_adds(&b, " HTTP/1.1\r\nHost: logs.example.com\r\n");
    while (nl && nl + 1 < end) {
        const char *line = nl + 1;

        nl = memchr(line, '\n', (size_t)(end - line));
        buf_add(&b, line, (size_t)((nl ? nl : end) - line));
        buf_adds(&b, "\r\n");
    }
    buf_adds(&b, "\r\n");
    n = head__find(b.data, b.len, &scanned, &limits, &r);
    err = n > 0 ? head__parse(h, b.data, (size_t)n, &limits, &r) : ERR_INVALID;
    buf_release(&b);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token own = {.project = "vision", .scopes = SCOPE_READ};
    struct caller caller = {.token = &own};
    const char *text = (const char *)data, *body;
    struct http x;

    if (!frame) {
        char *copy = must_strdup(lines);

        CHECK(frame_from_text(1, 1764000000000000, NULL, &copy, strlen(copy), &frame) == 0);
    }
    memset(&x, 0, sizeof x);
    if (size < 1 || make_head(&x.head, text + 1, size - 1) < 0)
        return 0;
    if (text[0] == 'v')
        x.guest = &caller;
    body = memchr(text + 1, '{', size - 1);
    as_reading(&x, QUERY_LOGS);
    as_reading(&x, QUERY_TAIL);
    as_reading(&x, QUERY_SEARCH);
    as_events(&x);
    as_tail_of_many(&x);
    as_list(&x);
    as_document(&x);
    as_baseten(&x, body, body ? size - (size_t)(body - text) : 0);
    as_lines_in(&x);
    as_headers(&x);
    head__release(&x.head);
    return 0;
}

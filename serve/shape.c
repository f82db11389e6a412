/*
 * serve/shape.c -- the walk over a frame's lines, with three short cuts.
 *
 * 1. Nothing to filter and no state change to set apart: runs of whole lines are copied at once.
 * 2. Unfiltered text: msg is found by its mark, the other members are not read.
 * 3. A literal is known that every match contains: only lines that hold it are looked at, found by
 *    memmem over the text (and those with the marks of state changes and gaps, which pass every
 *    filter).
 */
#include "serve/shape.h"

#include "base/err.h"
#include "base/json.h"
#include "job/record.h"
#include "serve/baseten_line.h"

#include <string.h>

#define STATE_MARK ",\"state\":\"TRAINING_JOB_"
#define GAP_MARK "\"gap\":{"
#define MSG_MARK ",\"msg\":\""
#define PART_MARK "\"part\":{\"n\":"

static int has_mark(const char *text, size_t len, const char *mark)
{
    return memmem(text, len, mark, strlen(mark)) != NULL;
}

void shape_start(struct shape_walk *w, const struct frame *f, uint64_t from, uint64_t to,
                 int backward)
{
    *w = (struct shape_walk){.from = from, .to = to, .backward = backward};
    if (backward) {
        w->pos = f->text_bytes;
        return;
    }
    for (uint64_t seq = f->first_seq; seq < from && w->pos < f->text_bytes; seq++) {
        const char *nl = memchr(f->text + w->pos, '\n', f->text_bytes - w->pos);

        w->pos = nl ? (size_t)(nl - f->text) + 1 : f->text_bytes;
    }
}

int shape_may_match(const struct shape *s, const struct frame *f)
{
    return f->is_lost || sieve_is_open(s->sieve) || filter_may_match(&s->sieve->filter, &f->sum);
}

/* ---- runs of whole lines ---- */

static int can_copy(const struct shape *s, const struct frame *f, struct shape_walk *w)
{
    if (w->backward || s->kind == SHAPE_TEXT || s->kind == SHAPE_HITS || s->kind == SHAPE_BASETEN ||
        !sieve_is_open(s->sieve))
        return 0;
    if (!s->skip_states && !s->split_states)
        return 1;
    if (!w->is_plain) /* looked for once a frame, not once a slice */
        w->is_plain = !has_mark(f->text + w->pos, f->text_bytes - w->pos, STATE_MARK);
    return w->is_plain;
}

static int add_run(const struct shape *s, struct buf *out, const char *text, size_t len)
{
    size_t start;
    int err;

    if (s->kind == SHAPE_COUNT || !len)
        return 0;
    if (s->kind == SHAPE_ARRAY && out->len && (err = buf_addc(out, ',')) < 0)
        return err;
    start = out->len;
    err = buf_add(out, text, s->kind == SHAPE_ARRAY ? len - 1 : len);
    if (err < 0 || s->kind != SHAPE_ARRAY)
        return err;
    for (char *p = out->data + start, *end = out->data + out->len;
         (p = memchr(p, '\n', (size_t)(end - p)));)
        *p++ = ',';
    return 0;
}

/* The end of the longest run of whole lines from base within bytes_max, and the seq of its last
 * one, when that is wanted whole; NULL otherwise. Looks at the ends only. */
static const char *whole_run(const struct frame *f, const struct shape_walk *w, const char *base,
                             uint64_t first, uint64_t records_max, size_t bytes_max,
                             uint64_t *ret_last)
{
    const char *end = f->text + f->text_bytes, *stop = end, *line;
    uint64_t last = frame_last_seq(f);

    if ((size_t)(end - base) > bytes_max) {
        const char *nl = memrchr(base, '\n', bytes_max);

        if (!nl)
            return NULL;
        stop = nl + 1;
        line = memrchr(base, '\n', (size_t)(nl - base));
        line = line ? line + 1 : base;
        last = record_line_seq(line, (size_t)(stop - line));
    }
    if (last < first || last > w->to || (records_max && last - first >= records_max))
        return NULL;
    *ret_last = last;
    return stop;
}

static int copy_run(const struct shape *s, const struct frame *f, struct shape_walk *w,
                    uint64_t records_max, size_t bytes_max, struct buf *out,
                    struct shape_slice *ret)
{
    const char *base = f->text + w->pos, *end = f->text + f->text_bytes, *stop;
    uint64_t first = record_line_seq(base, (size_t)(end - base)), last = first;
    int err;

    if (!first)
        return ERR_CORRUPT;
    if (first > w->to)
        return 0;
    stop = whole_run(f, w, base, first, records_max, bytes_max, &last);
    if (!stop) {
        stop = base;
        for (uint64_t n = 0; stop < end && first + n <= w->to && (!records_max || n < records_max);
             n++) {
            const char *nl = memchr(stop, '\n', (size_t)(end - stop));
            size_t upto = (size_t)((nl ? nl + 1 : end) - base);

            if (n && upto > bytes_max)
                break;
            stop = base + upto;
            last = first + n;
        }
    }
    err = add_run(s, out, base, (size_t)(stop - base));
    if (err < 0)
        return err;
    ret->records = last - first + 1;
    ret->last_seq = ret->given_seq = last;
    w->pos = (size_t)(stop - f->text);
    return w->pos < f->text_bytes && last < w->to;
}

/* ---- text of unfiltered lines ---- */

/* Do these fields say: a part of a split line with another one after it? */
static int part_goes_on(const char *fields, size_t len)
{
    const char *mark = len ? memmem(fields, len, PART_MARK, strlen(PART_MARK)) : NULL,
               *end = fields + len;
    uint64_t n = 0, of = 0;

    if (!mark)
        return 0;
    mark += strlen(PART_MARK);
    for (; mark < end && *mark >= '0' && *mark <= '9'; mark++)
        n = n * 10 + (uint64_t)(*mark - '0');
    if (end - mark < 6 || memcmp(mark, ",\"of\":", 6) != 0)
        return 0;
    for (mark += 6; mark < end && *mark >= '0' && *mark <= '9'; mark++)
        of = of * 10 + (uint64_t)(*mark - '0');
    return n < of;
}

/* Append the msg of one canonical line and its newline; states are left out. Only what lies before
 * msg is scanned: no value there holds an unescaped quote, so the first mark is the member itself.
 * 1:
 * given,
 * 0: a state change, ERR_CORRUPT. */
static int add_text(struct buf *out, const char *line, size_t len)
{
    const char *end = line + len, *p = line, *msg, *q;
    int err;

    for (;;) {
        p = memchr(p, ',', (size_t)(end - p));
        if (!p || end - p < 9)
            return ERR_CORRUPT;
        if (!memcmp(p, MSG_MARK, 8))
            break;
        if (!memcmp(p, ",\"state\"", 8))
            return 0;
        p++;
    }
    msg = p + 8;
    q = memchr(msg, '"', (size_t)(end - msg));
    if (!q)
        return ERR_CORRUPT;
    if (!memchr(msg, '\\', (size_t)(q - msg))) {
        err = buf_add(out, msg, (size_t)(q - msg));
    } else {
        for (q = msg; q < end && *q != '"'; q++)
            if (*q == '\\')
                q++;
        if (q >= end)
            return ERR_CORRUPT;
        err = json_unescape(out, msg, (size_t)(q - msg));
    }
    if (err < 0)
        return err;
    if (q[1] != '}' && part_goes_on(q + 1, (size_t)(end - q - 1)))
        return 1;
    err = buf_addc(out, '\n');
    return err < 0 ? err : 1;
}

static int text_run(const struct frame *f, struct shape_walk *w, uint64_t records_max,
                    size_t bytes_max, struct buf *out, struct shape_slice *ret)
{
    const char *p = f->text + w->pos, *end = f->text + f->text_bytes;
    uint64_t seq = record_line_seq(p, (size_t)(end - p));
    size_t start = out->len;

    if (!seq)
        return ERR_CORRUPT;
    for (; p < end && seq <= w->to; seq++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        int got = nl ? add_text(out, p, (size_t)(nl - p)) : ERR_CORRUPT;

        if (got < 0)
            return got;
        p = nl + 1;
        w->pos = (size_t)(p - f->text);
        ret->last_seq = seq;
        if (!got)
            continue;
        ret->given_seq = seq;
        ret->records++;
        if (out->len - start >= bytes_max || (records_max && ret->records >= records_max))
            break;
    }
    return p < end && seq < w->to;
}

/* ---- line by line ---- */

static int add_record(const struct shape *s, const struct frame *f, const struct shape_walk *w,
                      const struct record_view *v, const char *line, size_t len, struct buf *out)
{
    int err = 0;

    switch (s->kind) {
    case SHAPE_COUNT:
        return 0;
    case SHAPE_HITS: {
        const struct shape_hit hit = {v->seq, v->ts_us, v->rank, v->level};

        return buf_add(out, &hit, sizeof hit);
    }
    case SHAPE_TEXT:
        if (v->is_state) {
            err = buf_addf(out, "[%s] ", state_name(v->state));
            if (err < 0)
                return err;
        }
        err = record_msg(v, out);
        if (err < 0)
            return err;
        if (!w->backward && sieve_is_open(s->sieve) &&
            part_goes_on(v->fields_json, v->fields_json_len))
            return 0;
        return buf_addc(out, '\n');
    case SHAPE_ARRAY:
        if (out->len)
            err = buf_addc(out, ',');
        return err < 0 ? err : buf_add(out, line, len);
    case SHAPE_NDJSON:
        err = buf_add(out, line, len);
        return err < 0 ? err : buf_addc(out, '\n');
    case SHAPE_BASETEN:
        if (out->len)
            err = buf_addc(out, ',');
        return err < 0 ? err : baseten_line(out, f, v);
    }
    return ERR_INVALID;
}

/* Where the next lines worth looking at may lie; SIZE_MAX: nowhere. */
struct hints {
    const char *mark[3];
    size_t mark_len[3];
    size_t at[3];
    int count;
};

static int literal_is_plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] == '"' || s[i] == '\\' || (unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return 0;
    return len > 0;
}

/* An archived frame says of itself whether it holds a state change or a gap record. */
static int has_no_marks(const struct shape *s, const struct frame *f)
{
    return s->kind == SHAPE_HITS || (f->runs && !f->sum.is_state);
}

static void hints_init(struct hints *h, const struct shape *s, const struct frame *f, int backward)
{
    size_t len;
    const char *literal = sieve_literal(s->sieve, &len);

    h->count = 0;
    if (backward || !literal || !literal_is_plain(literal, len))
        return;
    h->mark[0] = literal, h->mark_len[0] = len;
    h->mark[1] = GAP_MARK, h->mark_len[1] = strlen(GAP_MARK);
    h->mark[2] = STATE_MARK, h->mark_len[2] = strlen(STATE_MARK);
    h->count = has_no_marks(s, f) ? 1 : s->skip_states ? 2 : 3;
    memset(h->at, 0, sizeof h->at);
}

/* Move *pos (a line start) to the start of the next line that holds a mark; the text's end when
 * none does. */
static void hints_skip(struct hints *h, const struct frame *f, size_t *pos)
{
    size_t best = f->text_bytes;

    for (int i = 0; i < h->count; i++) {
        if (h->at[i] <= *pos) {
            const char *p =
                memmem(f->text + *pos, f->text_bytes - *pos, h->mark[i], h->mark_len[i]);

            h->at[i] = p ? (size_t)(p - f->text) : SIZE_MAX;
        }
        if (h->at[i] < best)
            best = h->at[i];
    }
    if (best < f->text_bytes) {
        const char *nl = memrchr(f->text + *pos, '\n', best - *pos);

        *pos = nl ? (size_t)(nl - f->text) + 1 : *pos;
    } else {
        *pos = f->text_bytes;
    }
}

static int wanted(const struct shape *s, const struct record_view *v, struct buf *scratch)
{
    if (v->is_state && s->skip_states)
        return 0;
    if (s->kind == SHAPE_HITS)
        return sieve_is_open(s->sieve) ? !v->is_state : filter_finds(&s->sieve->filter, v, scratch);
    return sieve_is_open(s->sieve) || filter_match(&s->sieve->filter, v, scratch);
}

/* One line at w->pos. 1 looked at, 0 none is left; *ret_stop: the slice ends before or after it. */
static int step_line(const struct shape *s, const struct frame *f, struct shape_walk *w,
                     struct buf *scratch, struct buf *out, struct shape_slice *ret, int *ret_stop)
{
    struct record_view v;
    const char *line;
    size_t len, pos = w->pos;
    int err;

    if (!(w->backward ? frame_prev_line(f, &pos, &line, &len)
                      : frame_next_line(f, &pos, &line, &len)))
        return 0;
    err = record_parse(line, len, &v);
    if (err < 0)
        return err;
    if (w->backward ? v.seq < w->from : v.seq > w->to)
        return 0;
    if (v.seq < w->from || v.seq > w->to) {
        w->pos = pos;
        return 1;
    }
    if (wanted(s, &v, scratch)) {
        int apart = s->split_states && v.is_state;

        if (apart && ret->records) {
            *ret_stop = 1;
            return 1;
        }
        err = add_record(s, f, w, &v, line, len, out);
        if (err < 0)
            return err;
        ret->records++;
        ret->given_seq = v.seq;
        ret->is_state = apart;
        *ret_stop = apart;
    }
    w->pos = pos;
    ret->last_seq = v.seq;
    return 1;
}

static int step_lines(const struct shape *s, const struct frame *f, struct shape_walk *w,
                      uint64_t records_max, size_t bytes_max, struct buf *out,
                      struct shape_slice *ret)
{
    struct buf scratch;
    struct hints hints;
    size_t start = out->len;
    int stop = 0, err;

    buf_init(&scratch, FRAME_TEXT_BYTES_HARD_MAX);
    hints_init(&hints, s, f, w->backward);
    for (;;) {
        if (hints.count)
            hints_skip(&hints, f, &w->pos);
        err = step_line(s, f, w, &scratch, out, ret, &stop);
        if (err <= 0)
            break;
        if (stop || out->len - start >= bytes_max || (records_max && ret->records >= records_max))
            break;
    }
    buf_release(&scratch);
    if (err == 0) /* the frame is done: all of it within the bounds was looked at */
        ret->last_seq = w->backward ? (f->first_seq > w->from ? f->first_seq : w->from)
                                    : (frame_last_seq(f) < w->to ? frame_last_seq(f) : w->to);
    return err;
}

int shape_step(const struct shape *s, const struct frame *f, struct shape_walk *w,
               uint64_t records_max, size_t bytes_max, struct buf *out, struct shape_slice *ret)
{
    memset(ret, 0, sizeof *ret);
    if (f->is_lost)
        return ERR_CORRUPT;
    if (!w->backward && w->pos >= f->text_bytes) {
        ret->last_seq = frame_last_seq(f) < w->to ? frame_last_seq(f) : w->to;
        return 0;
    }
    if (s->kind == SHAPE_TEXT && s->skip_states && !w->backward && sieve_is_open(s->sieve))
        return text_run(f, w, records_max, bytes_max, out, ret);
    if (can_copy(s, f, w))
        return copy_run(s, f, w, records_max, bytes_max, out, ret);
    return step_lines(s, f, w, records_max, bytes_max, out, ret);
}

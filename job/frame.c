/*
 * job/frame.c -- numbering and walking a batch of records.
 *
 * Numbering puts `"seq":N,` behind the '{' of each line. The number is kept as text and counted up
 * in place: a division a digit and line would cost more than the copy.
 */
#include "job/frame.h"

#include "base/check.h"
#include "base/err.h"
#include "job/record.h"

#include <stdlib.h>
#include <string.h>

#define LINE_START "{\"ts\":\""
#define LINE_START_LEN (sizeof LINE_START - 1)
#define LINE_BYTES_MIN 46 /* {"ts":"…27…","msg":""} */
#define SEQ_DIGITS_MAX 20

/* `{"seq":` and the digits, right-aligned so that the number can grow to the left. */
struct numeral {
    char digits[SEQ_DIGITS_MAX];
    int start;
};

static void numeral_set(struct numeral *n, uint64_t v)
{
    n->start = SEQ_DIGITS_MAX;
    do n->digits[--n->start] = (char)('0' + v % 10);
    while (v /= 10);
}

static void numeral_next(struct numeral *n)
{
    int i = SEQ_DIGITS_MAX - 1;
    while (i >= n->start && n->digits[i] == '9') n->digits[i--] = '0';
    if (i >= n->start) n->digits[i]++;
    else if (i >= 0) n->digits[n->start = i] = '1';
}

static struct frame *frame_new(uint64_t first_seq, int64_t recv_us, const struct frame_summary *s,
                               char *text, size_t len)
{
    struct frame *f = must_calloc(1, sizeof *f);
    f->refs = 1;
    f->first_seq = first_seq;
    f->recv_us = recv_us;
    f->sum = *s;
    f->text = text;
    f->text_bytes = len;
    return f;
}

/* Copy raw to `to` with numbers; the bytes written, 0 when raw is not count lines. */
static size_t number_lines(char *to, uint64_t first_seq, uint32_t count, const char *raw,
                           size_t raw_len)
{
    static const char key[] = "{\"seq\":";
    const char *p = raw, *end = raw + raw_len;
    char *start = to;
    struct numeral seq;
    numeral_set(&seq, first_seq);
    for (uint32_t i = 0; i < count; i++, numeral_next(&seq)) {
        if ((size_t)(end - p) < LINE_BYTES_MIN || memcmp(p, LINE_START, LINE_START_LEN) != 0)
            return 0;
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl) return 0;
        memcpy(to, key, sizeof key - 1);
        to += sizeof key - 1;
        size_t digits = (size_t)(SEQ_DIGITS_MAX - seq.start);
        memcpy(to, seq.digits + seq.start, digits);
        to += digits;
        *to++ = ',';
        size_t rest = (size_t)(nl - p); /* without '{', with '\n' */
        memcpy(to, p + 1, rest);
        to += rest;
        p = nl + 1;
    }
    return p == end ? (size_t)(to - start) : 0;
}

int frame_number(uint64_t first_seq, int64_t recv_us, const struct frame_summary *s,
                 const char *raw, size_t raw_len, struct frame **ret_frame)
{
    if (!s->count || !first_seq || first_seq > UINT64_MAX - s->count) return ERR_CORRUPT;
    if (raw_len / s->count < LINE_BYTES_MIN) return ERR_CORRUPT;
    /* `"seq":` and ',' around the digits are 7 bytes */
    size_t size = raw_len + (size_t)s->count * (SEQ_DIGITS_MAX + 7) + 1;
    char *text = malloc(size);
    if (!text) return ERR_NOMEM;
    size_t len = number_lines(text, first_seq, s->count, raw, raw_len);
    if (!len) {
        free(text);
        return ERR_CORRUPT;
    }
    text[len] = '\0';
    if (size - len > size / 8) { /* long numbers were allowed for: frames live long, give it back */
        char *fitted = realloc(text, len + 1);
        if (fitted) text = fitted;
    }
    *ret_frame = frame_new(first_seq, recv_us, s, text, len);
    return 0;
}

int frame_from_text(uint64_t first_seq, int64_t recv_us, const struct frame_summary *s,
                    char **text, size_t text_len, struct frame **ret_frame)
{
    struct frame_summary sum;
    struct record_view v;
    frame_summary_init(&sum);
    for (size_t at = 0; at < text_len;) {
        const char *nl = memchr(*text + at, '\n', text_len - at);
        if (!nl || sum.count == UINT32_MAX) return ERR_CORRUPT;
        size_t len = (size_t)(nl - *text) - at;
        if (s) {
            if (record_line_seq(*text + at, len) != first_seq + sum.count || nl[-1] != '}') return ERR_CORRUPT;
            sum.count++;
        } else {
            if (record_parse(*text + at, len, &v) < 0 || v.seq != first_seq + sum.count) return ERR_CORRUPT;
            frame_summary_add(&sum, v.ts_us, v.rank, v.level);
            sum.is_state |= v.is_state;
        }
        at += len + 1;
    }
    if (sum.count == 0 || (s && s->count != sum.count)) return ERR_CORRUPT;
    *ret_frame = frame_new(first_seq, recv_us, s ? s : &sum, *text, text_len);
    *text = NULL;
    return 0;
}

/* Wraps when a damaged file claims times beyond the year 2262. */
static int64_t recv_ns(int64_t recv_us, uint64_t index)
{
    return (int64_t)((uint64_t)recv_us * 1000 + index);
}

int64_t frame_runs_recv_ns(const struct frame_run *runs, uint32_t count, uint64_t seq)
{
    uint32_t lo = 0, hi = count;
    CHECKF(count && runs[0].seq <= seq, "seq=%llu", (unsigned long long)seq);
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (runs[mid].seq <= seq) lo = mid;
        else hi = mid;
    }
    return recv_ns(runs[lo].recv_us, seq - runs[lo].seq);
}

int64_t frame_recv_ns(const struct frame *f, uint64_t seq)
{
    if (f->runs) return frame_runs_recv_ns(f->runs, f->run_count, seq);
    return f->recv_us ? recv_ns(f->recv_us, seq - f->first_seq) : 0;
}

struct frame *frame_lost(uint64_t first_seq, uint64_t last_seq)
{
    struct frame_summary sum;
    struct frame *f;
    CHECKF(first_seq && first_seq <= last_seq, "first_seq=%llu last_seq=%llu",
           (unsigned long long)first_seq, (unsigned long long)last_seq);
    frame_summary_init(&sum);
    sum.count = last_seq - first_seq < UINT32_MAX ? (uint32_t)(last_seq - first_seq) + 1 : UINT32_MAX;
    f = frame_new(last_seq - sum.count + 1, 0, &sum, must_strdup(""), 0);
    f->is_lost = 1;
    return f;
}

struct frame *frame_ref(struct frame *f)
{
    CHECK(f->refs > 0);
    f->refs++;
    return f;
}

void frame_unref(struct frame **f)
{
    struct frame *last = *f;
    *f = NULL;
    if (!last) return;
    CHECKF(last->refs > 0, "first_seq=%llu", (unsigned long long)last->first_seq);
    if (--last->refs > 0) return;
    if (last->wire && last->wire_free) last->wire_free(last->wire);
    free(last->runs);
    free(last->text);
    free(last);
}

int frame_next_line(const struct frame *f, size_t *pos, const char **ret_line, size_t *ret_len)
{
    if (*pos >= f->text_bytes) return 0;
    const char *start = f->text + *pos, *nl = memchr(start, '\n', f->text_bytes - *pos);
    CHECKF(nl, "first_seq=%llu pos=%zu", (unsigned long long)f->first_seq, *pos);
    *ret_line = start;
    *ret_len = (size_t)(nl - start);
    *pos += *ret_len + 1;
    return 1;
}

int frame_prev_line(const struct frame *f, size_t *pos, const char **ret_line, size_t *ret_len)
{
    if (*pos == 0) return 0;
    CHECKF(*pos <= f->text_bytes, "pos=%zu bytes=%zu", *pos, f->text_bytes);
    size_t end = *pos - 1; /* the '\n' that ends the line */
    const char *nl = end ? memrchr(f->text, '\n', end) : NULL;
    size_t start = nl ? (size_t)(nl - f->text) + 1 : 0;
    *ret_line = f->text + start;
    *ret_len = end - start;
    *pos = start;
    return 1;
}

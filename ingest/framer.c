/*
 * ingest/framer.c -- canonical lines gathered into the frames of a batch.
 *
 * A line is written behind the last one in one go (its longest form is reserved first). If it took the
 * frame over a limit, the frame ends before it and it starts the next.
 */
#include "ingest/framer.h"

#include "base/check.h"
#include "base/err.h"
#include "base/pack.h"
#include "job/record.h"

#include <stdlib.h>
#include <string.h>

/* All that stands around the variable parts of a record. */
#define RECORD_FRAME_BYTES_MAX 256
#define TEXT_AIM_MIN 8192

void framer_init(struct framer *f)
{
    memset(f, 0, sizeof *f);
}

int framer_start(struct framer *f, int pack_level, int64_t recv_us)
{
    batch_free(&f->batch);
    if (f->text.cap > 4 * FRAME_RAW_BYTES_MAX) buf_release(&f->text);
    if (f->packed.cap > 4 * FRAME_RAW_BYTES_MAX) buf_release(&f->packed);
    buf_clear(&f->text);
    buf_clear(&f->packed);
    f->line_count = 0;
    f->pack_level = pack_level;
    f->text_aim = pack_level ? FRAME_RAW_BYTES_MAX : FRAME_PACKED_BYTES_AIM;
    f->batch = batch_new();
    if (!f->batch) return ERR_NOMEM;
    f->batch->recv_us = recv_us;
    return 0;
}

void framer_release(struct framer *f)
{
    batch_free(&f->batch);
    buf_release(&f->text);
    buf_release(&f->packed);
    free(f->lines);
    f->lines = NULL;
}

size_t framer_bytes(const struct framer *f)
{
    size_t n = f->text.cap + f->packed.cap + f->line_cap * sizeof *f->lines;

    if (!f->batch) return n;
    for (uint32_t i = 0; i < f->batch->frame_count; i++) {
        n += f->batch->frames[i].raw_bytes + f->batch->frames[i].packed_bytes;
    }
    return n;
}

/* A copy of exactly these bytes: what a frame of the batch owns. */
static int copy_bytes(const char *data, size_t len, char **ret)
{
    *ret = malloc(len ? len : 1);
    if (!*ret) return ERR_NOMEM;
    memcpy(*ret, data, len);
    return 0;
}

/* Lines [from, to) become one frame, or two of half the size, … */
static int close_range(struct framer *f, uint32_t from, uint32_t to)
{
    size_t start = from ? f->lines[from - 1].end : 0;
    size_t len = f->lines[to - 1].end - start;
    const char *text = f->text.data + start;
    char *raw = NULL, *packed = NULL;
    size_t packed_bytes = 0;
    struct frame_summary sum;
    int err = 0;

    buf_clear(&f->packed);
    if (f->pack_level && len > FRAMER_PACK_BYTES_MIN) {
        err = pack_zstd(&f->packed, text, len, f->pack_level);
        if (err) return err;
        packed_bytes = f->packed.len < len ? f->packed.len : 0;
    }
    size_t payload = packed_bytes ? packed_bytes : len;
    /* a batch has room for so many frames: the second half of them may be as large as they like */
    int halve = payload > FRAME_PACKED_BYTES_AIM && f->batch->frame_count < BATCH_FRAMES_MAX / 2;
    if (payload > FRAME_PACKED_BYTES_AIM) {
        size_t aim = (size_t)((double)len * FRAME_PACKED_BYTES_AIM / (double)payload * 0.92);
        f->text_aim = aim < TEXT_AIM_MIN ? TEXT_AIM_MIN : aim;
    } else if (payload < FRAME_PACKED_BYTES_AIM / 4 * 3 && f->text_aim < FRAME_RAW_BYTES_MAX) {
        f->text_aim += f->text_aim / 8;
        if (f->text_aim > FRAME_RAW_BYTES_MAX) f->text_aim = FRAME_RAW_BYTES_MAX;
    }
    if (halve && to - from > 1) {
        uint32_t mid = from + 1;
        while (mid < to - 1 && f->lines[mid - 1].end - start < len / 2) mid++;
        err = close_range(f, from, mid);
        return err ? err : close_range(f, mid, to);
    }
    frame_summary_init(&sum);
    for (uint32_t i = from; i < to; i++) {
        frame_summary_add(&sum, f->lines[i].ts_us, f->lines[i].rank, f->lines[i].level);
    }
    err = copy_bytes(text, len, &raw);
    if (!err && packed_bytes) err = copy_bytes(f->packed.data, packed_bytes, &packed);
    if (!err) err = batch_add_frame(f->batch, &sum, &raw, len, &packed, packed_bytes);
    free(raw);
    free(packed);
    return err == ERR_LIMIT ? ERR_TOO_BIG : err;
}

/* Close the first count lines; what is behind them moves to the front. */
static int close_frame(struct framer *f, uint32_t count)
{
    size_t end = f->lines[count - 1].end;
    int err = close_range(f, 0, count);

    if (err) return err;
    f->line_count -= count;
    CHECK(f->line_count <= 1);
    if (f->line_count) {
        f->lines[0] = f->lines[count];
        f->lines[0].end -= (uint32_t)end;
    }
    buf_consume(&f->text, end);
    return 0;
}

static char *put(char *p, const char *s, size_t len)
{
    memcpy(p, s, len);
    return p + len;
}

static char *put_text(char *p, const char *s)
{
    return put(p, s, strlen(s));
}

static char *put_rank(char *p, int32_t rank)
{
    char digits[12];
    int n = 0;

    do {
        digits[n++] = (char)('0' + rank % 10);
        rank /= 10;
    } while (rank);
    while (n) *p++ = digits[--n];
    return p;
}

/* The canonical line of job/record.h, its msg and fields already JSON text. Returns its end. */
static char *put_record(char *p, const struct line *l, const char *extra, size_t extra_len)
{
    p = put_text(p, "{\"ts\":\"");
    p = put(p, l->ts_text, CLOCK_RFC3339_BYTES);
    *p++ = '"';
    if (l->rank != RECORD_RANK_NONE) {
        p = put_text(p, ",\"rank\":");
        p = put_rank(p, l->rank);
    }
    if (l->replica_len) {
        p = put_text(p, ",\"replica\":\"");
        p = put(p, l->replica, l->replica_len);
        *p++ = '"';
    }
    if (l->stream_len) {
        p = put_text(p, ",\"stream\":\"");
        p = put(p, l->stream, l->stream_len);
        *p++ = '"';
    }
    if (l->level != LEVEL_NONE) {
        p = put_text(p, ",\"level\":\"");
        p = put_text(p, level_name(l->level));
        *p++ = '"';
    }
    p = put_text(p, ",\"msg\":\"");
    p = put(p, l->msg, l->msg_len);
    *p++ = '"';
    if (l->fields_len || extra_len) {
        p = put_text(p, ",\"fields\":{");
        if (l->fields_len) p = put(p, l->fields, l->fields_len);
        if (l->fields_len && extra_len) *p++ = ',';
        if (extra_len) p = put(p, extra, extra_len);
        *p++ = '}';
    }
    return put(p, "}\n", 2);
}

static int reserve_line(struct framer *f, size_t bytes)
{
    if (bytes > FRAME_TEXT_BYTES_HARD_MAX) return ERR_TOO_BIG;
    if (f->line_count == f->line_cap) {
        uint32_t cap = f->line_cap ? 4 * f->line_cap : 16;
        struct framer_line *lines = realloc(f->lines, cap * sizeof *lines);
        if (!lines) return ERR_NOMEM;
        f->lines = lines;
        f->line_cap = cap;
    }
    return buf_reserve(&f->text, bytes);
}

int framer_add(struct framer *f, const struct line *line, const char *extra, size_t extra_len)
{
    size_t bytes = RECORD_FRAME_BYTES_MAX + line->replica_len + line->stream_len + line->msg_len +
                   line->fields_len + extra_len;
    int err = reserve_line(f, bytes);

    if (err) return err;
    char *end = put_record(f->text.data + f->text.len, line, extra, extra_len);
    f->text.len = (size_t)(end - f->text.data);
    CHECK(f->text.len < f->text.cap);
    *end = '\0';
    f->lines[f->line_count++] = (struct framer_line){
        .end = (uint32_t)f->text.len, .rank = line->rank, .ts_us = line->ts_us, .level = line->level};

    f->batch->msg_bytes += line->msg_plain_bytes;
    f->batch->level_count[line->level]++;
    batch_note_rank(f->batch, line->rank, line->ts_us);

    size_t limit = f->batch->frame_count < BATCH_FRAMES_MAX / 2 ? f->text_aim : FRAME_RAW_BYTES_MAX;
    if (f->text.len > limit && f->line_count > 1) err = close_frame(f, f->line_count - 1);
    if (!err && f->line_count == FRAME_LINES_MAX) err = close_frame(f, f->line_count);
    return err;
}

int framer_finish(struct framer *f, struct batch **ret_batch)
{
    int err = f->line_count ? close_frame(f, f->line_count) : 0;

    if (err) return err;
    *ret_batch = f->batch;
    f->batch = NULL;
    return 0;
}

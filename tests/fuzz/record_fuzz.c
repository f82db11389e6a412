/*
 * tests/fuzz/record_fuzz.c -- any bytes as a canonical line, and as a frame of such lines.
 *
 * What is read is written again; that line is read as the same record and written as itself. Where
 * the texts of the line were escaped as we escape, the written line is the one that was read.
 * Covers  job/record.c job/frame.c job/frame_header.c
 */
#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"
#include "job/frame.h"
#include "job/id.h"
#include "job/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unescaped, with a NUL; NULL when an escape is bad or the text is not UTF-8. */
static char *plain(const char *s, size_t len, size_t *ret_len)
{
    struct buf b = BUF_INIT;
    if (json_unescape(&b, s, len) < 0 || utf8_valid_prefix(buf_cstr(&b), b.len) != b.len) {
        buf_release(&b);
        return NULL;
    }
    return buf_steal(&b, ret_len);
}

static int is_our_escape(const char *s, size_t len, const char *text, size_t text_len)
{
    struct buf b = BUF_INIT;
    CHECK(json_escape(&b, text, text_len) >= 0);
    int same = b.len == len && (!len || memcmp(b.data, s, len) == 0);
    buf_release(&b);
    return same;
}

static void rewrite(const char *line, size_t len, const struct record_view *v)
{
    struct buf out = BUF_INIT, again = BUF_INIT;
    struct record_view w;
    size_t msg_len = 0, replica_len = 0, stream_len = 0;
    char *msg = plain(v->msg_json, v->msg_json_len, &msg_len);
    char *replica = plain(v->replica, v->replica_len, &replica_len);
    char *stream = plain(v->stream, v->stream_len, &stream_len);
    if (!msg || !replica || !stream) goto out;
    if (strlen(replica) != replica_len || strlen(stream) != stream_len) goto out;
    struct record r = {.seq = v->seq, .ts_us = v->ts_us, .rank = v->rank, .replica = replica,
                       .stream = stream, .level = v->level, .msg = msg, .msg_len = msg_len,
                       .fields_json = v->fields_json, .fields_json_len = v->fields_json_len,
                       .is_state = v->is_state, .state = v->state,
                       .has_exit_code = v->has_exit_code, .exit_code = v->exit_code};
    CHECK(record_write(&out, &r) >= 0);
    CHECK(record_parse(out.data, out.len, &w) >= 0);
    CHECK(w.seq == v->seq && w.ts_us == v->ts_us && w.rank == v->rank && w.level == v->level);
    CHECK(w.is_state == v->is_state && w.state == v->state);
    CHECK(w.has_exit_code == v->has_exit_code && w.exit_code == v->exit_code);
    CHECK(w.fields_json_len == v->fields_json_len);
    CHECK(record_msg(&w, &again) >= 0);
    CHECK(again.len == msg_len && memcmp(buf_cstr(&again), msg, msg_len) == 0);
    if (is_our_escape(v->msg_json, v->msg_json_len, msg, msg_len) &&
        is_our_escape(v->replica, v->replica_len, replica, replica_len) &&
        is_our_escape(v->stream, v->stream_len, stream, stream_len)) {
        if (len && line[len - 1] == '\n') len--;
        CHECK(out.len == len + 1 && memcmp(out.data, line, len) == 0);
    }
out:
    free(msg);
    free(replica);
    free(stream);
    buf_release(&out);
    buf_release(&again);
}

static void as_frame(const char *data, size_t size)
{
    struct frame_summary s = {.level_mask = 1};
    struct frame *f = NULL;
    for (size_t i = 0; i < size; i++) s.count += data[i] == '\n';
    if (frame_number(UINT32_MAX, 0, &s, data, size, &f) >= 0) {
        size_t pos = 0, back = f->text_bytes, len;
        const char *line;
        uint32_t n = 0, m = 0;
        while (frame_next_line(f, &pos, &line, &len)) n++;
        while (frame_prev_line(f, &back, &line, &len)) m++;
        CHECK(n == s.count && m == n);
        frame_unref(&f);
    }
    char *text = malloc(size + 1);
    CHECK(text);
    memcpy(text, data, size);
    if (frame_from_text(812, 0, NULL, &text, size, &f) >= 0) frame_unref(&f);
    free(text);
}

/* A header that is taken is written as it was; a lost frame of its size is walked over. */
static void as_header(const char *text, size_t size)
{
    struct frame_summary s, t;
    int64_t recv_us, recv_again;
    size_t bytes, bytes_again;
    int packed, packed_again;
    struct buf out = BUF_INIT;
    struct frame *f, *again;

    if (frame_header_parse(text, size, &s, &recv_us, &bytes, &packed) < 0) return;
    CHECK(frame_header_format(&out, &s, recv_us, bytes, packed) >= 0);
    CHECK(frame_header_parse(out.data, out.len, &t, &recv_again, &bytes_again, &packed_again) >= 0);
    CHECK(t.count == s.count && t.level_mask == s.level_mask && t.rank_lo == s.rank_lo && t.rank_hi == s.rank_hi);
    CHECK(t.ts_min_us == s.ts_min_us && t.ts_max_us == s.ts_max_us && t.is_state == s.is_state);
    CHECK(recv_us == recv_again && bytes == bytes_again && packed == packed_again);
    frame_summary_merge(&t, &s);
    frame_summary_init(&t);
    frame_summary_merge(&t, &s);
    frame_summary_add(&t, s.ts_min_us, s.rank_lo, LEVEL_INFO);
    CHECK(t.count == s.count + 1);
    f = frame_lost(7, 6 + (s.count ? s.count : 1));
    again = frame_ref(f);
    frame_unref(&f);
    CHECK(frame_recv_ns(again, frame_last_seq(again)) >= 0 && again->is_lost);
    frame_unref(&again);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_view v;
    const char *line = (const char *)data;
    if (record_parse(line, size, &v) >= 0) {
        rewrite(line, size, &v);
        CHECK(record_line_seq(line, size) == v.seq && record_line_rank(line, size) == (v.seq ? v.rank : RECORD_RANK_NONE));
    } else {
        record_line_rank(line, size);
    }
    as_frame(line, size);
    as_header(line, size);
    return 0;
}

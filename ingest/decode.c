/*
 * ingest/decode.c -- from whatever was sent to a batch of canonical frames.
 *
 *     bytes --(format, once)--> lines or elements --(line.h, redraw.h)--> records --(framer.h)--> batch
 *
 * Input is used where it lies; only a line whose end has not come yet is kept (carry). While the format
 * is not clear the first bytes wait there too.
 */
#include "ingest/decode.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "digest/plain.h"
#include "digest/progress.h"
#include "ingest/framer.h"
#include "ingest/line.h"
#include "ingest/marks.h"
#include "ingest/redraw.h"
#include "ingest/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOM "\xef\xbb\xbf"
#define LOOK_BYTES_MAX 4096       /* so much leading space is looked through for the format */
/* of an escaped message, for what is read from its text (level_from_text looks at 256 plain bytes) */
#define TEXT_LOOK_BYTES (2 * MARKS_LOOK_BYTES)

#define KEEP_BYTES_MAX (256 * 1024) /* larger buffers do not survive a reset */

enum mode { MODE_LOOK, MODE_LINES, MODE_TEXT, MODE_VALUES };

struct decoder {
    struct decode_options o;
    enum mode mode;
    int may_be_text; /* AUTO chose NDJSON and no line has proved it yet */
    uint32_t blank_count; /* lines skipped meanwhile */
    int started;     /* the BOM was looked for */
    struct buf carry;
    struct split split; /* MODE_VALUES: where the elements end */
    struct line_reader reader;
    struct buf plain;   /* a message unescaped */
    struct buf stored;     /* a message with U+FFFD where it is no UTF-8 */
    struct buf uncoloured; /* a bar without its colours */
    struct buf escaped; /* a message escaped */
    struct buf extra;   /* members joblog adds to the fields */
    struct buf clean;   /* a message without its secrets, */
    struct buf clean_fields; /* and fields */
    struct framer framer;
    struct marks *own_marks; /* when the options bring none */
    struct marks *marks;
    char recv_text[CLOCK_RFC3339_BYTES];
    uint64_t bytes;     /* fed so far */
    uint64_t line;      /* of the input, from 1; the element in MODE_VALUES */
    uint64_t record_count;
    int err;
    uint64_t err_line;
    char why[160];
};

void decode_options_init(struct decode_options *o)
{
    memset(o, 0, sizeof *o);
    o->format = DECODE_AUTO;
    o->line_bytes_max = DECODE_LINE_BYTES_DEFAULT;
    o->body_bytes_max = DECODE_BODY_BYTES_MAX;
    o->lines_max = DECODE_LINES_MAX;
    o->pack_level = 1;
    o->rank = RECORD_RANK_NONE;
    o->level = LEVEL_NONE;
}

/* Everything but the buffers. */
static int start(struct decoder *d, const struct decode_options *o)
{
    if (o->line_bytes_max < 16 || o->line_bytes_max > DECODE_LINE_BYTES_MAX) return ERR_INVALID;
    d->o = *o;
    d->marks = o->marks ? o->marks : d->own_marks;
    marks_reset(d->own_marks);
    marks_sender(d->marks, o->ranks, o->is_one_node);
    if (d->o.recv_us <= 0 || d->o.recv_us > CLOCK_WALL_US_MAX) d->o.recv_us = clock_wall_us();
    clock_format_rfc3339(d->o.recv_us, d->recv_text);
    return framer_start(&d->framer, o->pack_level, d->o.recv_us);
}

int decoder_new(const struct decode_options *o, struct decoder **ret_decoder)
{
    struct decoder *d = calloc(1, sizeof *d);
    int err;

    if (!d) return ERR_NOMEM;
    d->own_marks = marks_new();
    if (!d->own_marks) {
        free(d);
        return ERR_NOMEM;
    }
    framer_init(&d->framer);
    line_reader_init(&d->reader);
    err = start(d, o);
    if (err) {
        decoder_free(&d);
        return err;
    }
    *ret_decoder = d;
    return 0;
}

int decoder_reset(struct decoder *d, const struct decode_options *o)
{
    struct buf *const bufs[] = {&d->carry,   &d->plain, &d->stored, &d->uncoloured,
                                &d->escaped, &d->extra, &d->clean,  &d->clean_fields};

    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) {
        if (bufs[i]->cap > KEEP_BYTES_MAX) buf_release(bufs[i]);
        buf_clear(bufs[i]);
    }
    line_reader_trim(&d->reader, KEEP_BYTES_MAX);
    d->mode = MODE_LOOK;
    d->may_be_text = d->started = 0;
    d->blank_count = 0;
    d->bytes = d->line = d->record_count = d->err_line = 0;
    d->err = 0;
    d->why[0] = '\0';
    return start(d, o);
}

void decoder_free(struct decoder **d)
{
    if (!*d) return;
    buf_release(&(*d)->carry);
    buf_release(&(*d)->plain);
    buf_release(&(*d)->stored);
    buf_release(&(*d)->uncoloured);
    buf_release(&(*d)->escaped);
    buf_release(&(*d)->extra);
    buf_release(&(*d)->clean);
    buf_release(&(*d)->clean_fields);
    line_reader_release(&(*d)->reader);
    framer_release(&(*d)->framer);
    marks_free(&(*d)->own_marks);
    free(*d);
    *d = NULL;
}

size_t decoder_bytes(const struct decoder *d)
{
    return sizeof *d + d->carry.cap + d->plain.cap + d->stored.cap + d->uncoloured.cap + d->escaped.cap + d->clean.cap +
           framer_bytes(&d->framer);
}

const char *decoder_error(const struct decoder *d, uint64_t *ret_line)
{
    if (ret_line) *ret_line = d->err_line;
    return d->why;
}

static int fail(struct decoder *d, int err, const char *why)
{
    if (d->err) return d->err;
    d->err = err;
    d->err_line = d->line;
    snprintf(d->why, sizeof d->why, "%s %llu: %s", d->mode == MODE_VALUES ? "element" : "line",
             (unsigned long long)d->line, why);
    return err;
}

/* ---- from a line to records ---- */

static int add_record(struct decoder *d, const struct line *line)
{
    int err;

    if (++d->record_count > d->o.lines_max) return fail(d, ERR_LIMIT, "more lines than one batch may hold");
    err = framer_add(&d->framer, line, d->extra.data, d->extra.len);
    if (err == ERR_TOO_BIG) return fail(d, err, "the line, or all of them together, is too big to be kept");
    return err ? fail(d, err, err_text(err)) : 0;
}

/* What the line does not say comes from the options. */
static void apply_defaults(const struct decoder *d, struct line *line)
{
    if (!line->has_ts) {
        line->ts_us = d->o.recv_us;
        memcpy(line->ts_text, d->recv_text, CLOCK_RFC3339_BYTES);
    }
    line->is_agents_rank = d->o.is_agent && line->rank == RECORD_RANK_NONE && d->o.rank != RECORD_RANK_NONE;
    if (line->rank == RECORD_RANK_NONE) line->rank = d->o.rank;
    if (!line->replica_len) {
        line->replica = d->o.replica;
        line->replica_len = strlen(d->o.replica);
    }
    if (!line->stream_len) {
        line->stream = d->o.stream;
        line->stream_len = strlen(d->o.stream);
    }
    if (line->level == LEVEL_NONE) line->level = d->o.level;
}

static int escape_msg(struct decoder *d, struct line *line, const char *text, size_t len)
{
    struct scan s;
    int err;

    buf_clear(&d->escaped);
    scan_init(&s, text, len);
    err = scan_escape(&s, &d->escaped, text, len);
    if (err) return fail(d, err, err_text(err));
    d->framer.batch->replaced_utf8_count += s.replaced_count;
    d->framer.batch->nul_count += s.nul_count;
    line->msg = d->escaped.len ? d->escaped.data : "";
    line->msg_len = d->escaped.len;
    line->msg_plain_bytes = len;
    return 0;
}

/* ---- secrets ---- */

/* A message as plain bytes: *text is replaced when there was something to take out. */
static int redact_plain(struct decoder *d, const struct line *line, const char **text, size_t *len)
{
    struct redact_flow *f = marks_flow(d->marks, line);
    int got = redact_text(d->o.redact, f, *text, *len, &d->clean, &d->framer.batch->redacted);

    marks_flow_keep(d->marks, line, f);
    if (got < 0) return fail(d, got, err_text(got));
    if (got) {
        *text = buf_cstr(&d->clean);
        *len = d->clean.len;
    }
    return 0;
}

static int unescape(struct decoder *d, const char *text, size_t len);

/* A message as canonical JSON text. */
static int redact_msg(struct decoder *d, struct line *line)
{
    struct batch *b = d->framer.batch;
    uint64_t nul_count = b->nul_count;
    const char *text = line->msg, *was;
    size_t len = line->msg_len;
    int err = 0;

    if (!redact_wants(d->o.redact, marks_flow(d->marks, line), text, len)) return 0;
    if (line->msg_flags & SCAN_ESCAPED) {
        err = unescape(d, text, len);
        text = buf_cstr(&d->plain);
        len = d->plain.len;
    }
    was = text;
    if (!err) err = redact_plain(d, line, &text, &len);
    if (err || text == was) return err;
    err = escape_msg(d, line, text, len);
    b->nul_count = nul_count; /* counted when it was read */
    if (memchr(line->msg, '\\', line->msg_len)) line->msg_flags |= SCAN_ESCAPED;
    return err;
}

static int redact_fields(struct decoder *d, struct line *line)
{
    int got = redact_json(d->o.redact, line->fields, line->fields_len, &d->clean_fields, &d->framer.batch->redacted);

    if (got < 0) return fail(d, got, err_text(got));
    if (got) {
        line->fields = buf_cstr(&d->clean_fields);
        line->fields_len = d->clean_fields.len;
    }
    return 0;
}

static size_t part_bytes(const char *text, size_t len, size_t max)
{
    return len <= max ? len : scan_cut(text, max);
}

/* A message over the limit becomes numbered parts; the first carries the fields. */
static int add_parts(struct decoder *d, struct line *line, const char *text, size_t len)
{
    uint64_t of = 0, n = 0;
    int err = 0;

    for (size_t at = 0; at < len; of++) at += part_bytes(text + at, len - at, d->o.line_bytes_max);
    for (size_t at = 0; at < len && !err;) {
        size_t bytes = part_bytes(text + at, len - at, d->o.line_bytes_max);

        err = escape_msg(d, line, text + at, bytes);
        if (!err && d->extra.len) err = buf_addc(&d->extra, ',');
        if (!err) {
            err = buf_addf(&d->extra, "\"part\":{\"n\":%llu,\"of\":%llu}", (unsigned long long)++n,
                           (unsigned long long)of);
        }
        if (!err) err = add_record(d, line);
        line->fields_len = 0;
        buf_clear(&d->extra);
        at += bytes;
    }
    d->framer.batch->split_count++;
    return err ? fail(d, err, err_text(err)) : 0;
}

/* Text with U+FFFD where it is no UTF-8, as it is stored: what is read of it must be found in the stored line, too. */
static int as_stored(struct decoder *d, const char **text, size_t *len)
{
    const char *s = *text, *end = s + *len;
    int err = 0;

    if (utf8_valid_prefix(s, *len) == *len) return 0;
    buf_clear(&d->stored);
    while (!err && s < end) {
        size_t n = utf8_valid_prefix(s, (size_t)(end - s));

        err = buf_add(&d->stored, s, n);
        s += n;
        if (!err && s < end) err = buf_adds(&d->stored, "\xef\xbf\xbd");
        if (s < end) s += utf8_bad_run(s, (size_t)(end - s));
    }
    *text = buf_cstr(&d->stored);
    *len = d->stored.len;
    return err;
}

/* What a bar says, beside its last text. */
static int mark_progress(struct decoder *d, const char *text, size_t len)
{
    struct progress p;
    int err = plain_from_text(&d->uncoloured, text, len, &text, &len);

    if (err < 0) return err;
    if (!progress_read(text, len, &p)) return 0;
    err = buf_adds(&d->extra, d->extra.len ? ",\"progress\":{" : "\"progress\":{");
    if (!err) err = progress_write(&d->extra, &p);
    return err ? err : buf_addc(&d->extra, '}');
}

/* A message as plain bytes: redraws, level, marks, parts. The other members of line are set. */
static int add_plain(struct decoder *d, struct line *line, const char *text, size_t len)
{
    int err = 0, level_given = line->level != LEVEL_NONE;
    struct redraw r = {0};
    const char *look;
    size_t look_len;

    buf_clear(&d->extra);
    if (d->o.redact) err = redact_plain(d, line, &text, &len);
    if (err) return err;
    if (memchr(text, '\r', len)) {
        redraw_read(text, len, &r);
        if (r.count) err = redraw_write(text, len, &r, &d->extra);
        text = r.text;
        len = r.len;
    }
    look = text;
    look_len = len;
    if (!err) err = as_stored(d, &look, &look_len);
    if (!err && r.count) err = mark_progress(d, look, look_len);
    if (err < 0) return fail(d, err, err_text(err));
    if (!level_given) line->level = level_from_text(look, look_len);
    if (marks_want(d->marks, line, level_given, look, look_len))
        err = marks_line(d->marks, line, level_given, look, look_len, &d->extra);
    if (err < 0) return fail(d, err, err_text(err));
    if (len > d->o.line_bytes_max && !d->o.numbered) return add_parts(d, line, text, len);
    if (len > DECODE_JSON_LINE_BYTES_MAX) return fail(d, ERR_TOO_BIG, "a numbered line may have 4 MiB");
    err = escape_msg(d, line, text, len);
    return err ? err : add_record(d, line);
}

static int add_text_line(struct decoder *d, const char *text, size_t len)
{
    struct line line = {.rank = RECORD_RANK_NONE, .msg = ""};

    apply_defaults(d, &line);
    return add_plain(d, &line, text, len);
}

/* A prefix of escaped text that ends between two units. */
static size_t escaped_prefix(const char *text, size_t len, size_t max)
{
    size_t i = 0;

    if (len <= max) return len;
    while (i < max) i += text[i] != '\\' ? 1 : text[i + 1] == 'u' ? 6 : 2;
    return i <= len ? i : len;
}

static int unescape(struct decoder *d, const char *text, size_t len)
{
    int err;

    buf_clear(&d->plain);
    err = json_unescape(&d->plain, text, len);
    return err ? fail(d, err, err_text(err)) : 0;
}

#define REDRAWN "\"redraws\":" /* how the fields begin that an agent gives a redrawn line */

/* What is read from the text of a message that is canonical JSON: level, rank, block, bar. */
static int read_json_text(struct decoder *d, struct line *line)
{
    int level_given = line->level != LEVEL_NONE, err = 0;
    int is_redrawn = line->fields_len > sizeof REDRAWN && memcmp(line->fields, REDRAWN, sizeof REDRAWN - 1) == 0 &&
                     !memmem(line->fields, line->fields_len, "\"progress\":", sizeof "\"progress\":" - 1);
    const char *text = line->msg;
    size_t len = line->msg_len;

    if (level_given && !is_redrawn && !marks_want(d->marks, line, 1, text, len)) return 0;
    if (line->msg_flags & SCAN_ESCAPED) {
        err = unescape(d, text, escaped_prefix(text, len, is_redrawn ? len : TEXT_LOOK_BYTES));
        if (err) return err;
        text = buf_cstr(&d->plain);
        len = d->plain.len;
    }
    if (!level_given) line->level = level_from_text(text, len);
    if (is_redrawn) err = mark_progress(d, text, len);
    if (!err && marks_want(d->marks, line, level_given, text, len))
        err = marks_line(d->marks, line, level_given, text, len, &d->extra);
    return err < 0 ? fail(d, err, err_text(err)) : 0;
}

/* A message as canonical JSON text: nearly always copied as it is. */
static int add_json(struct decoder *d, struct line *line)
{
    int err = d->o.redact && line->fields_len ? redact_fields(d, line) : 0;

    if (err) return err;
    buf_clear(&d->extra);
    if ((line->msg_flags & SCAN_CR) || line->msg_len > d->o.line_bytes_max) {
        int fits = line->msg_plain_bytes <= d->o.line_bytes_max || d->o.numbered;
        if ((line->msg_flags & SCAN_CR) || !fits) {
            uint64_t nul_count = d->framer.batch->nul_count; /* counted when it was read */
            err = unescape(d, line->msg, line->msg_len);
            if (!err) err = add_plain(d, line, buf_cstr(&d->plain), d->plain.len);
            d->framer.batch->nul_count = nul_count;
            return err;
        }
    }
    if (d->o.redact) err = redact_msg(d, line);
    if (!err) err = read_json_text(d, line);
    return err ? err : add_record(d, line);
}

/* A line that is no log line: refused, or with skip_bad kept as text. */
static int add_bad(struct decoder *d, int err, const char *why, const char *text, size_t len)
{
    if (d->may_be_text) {
        int failed = 0;
        d->may_be_text = 0;
        d->mode = MODE_TEXT;
        for (; d->blank_count && !failed; d->blank_count--) failed = add_text_line(d, "", 0);
        return failed ? failed : add_text_line(d, text, len);
    }
    if (!d->o.skip_bad || (err != ERR_INVALID && err != ERR_TOO_BIG)) return fail(d, err, why);
    d->framer.batch->skipped_bad_count++;
    return add_text_line(d, text, len);
}

/* An object, or where allowed a string. text has no space at its ends; whole has. */
static int add_value(struct decoder *d, const char *text, size_t len, int strings_too, const char *whole,
                     size_t whole_len)
{
    struct batch *b = d->framer.batch;
    struct line line;
    struct scan s;
    int err;

    scan_init(&s, text, len);
    if (*text == '{') {
        err = line_read_object(&d->reader, &s, &line);
    } else if (*text == '"' && strings_too) {
        struct scan_text t;
        line = (struct line){.rank = RECORD_RANK_NONE};
        s.p++;
        buf_clear(&d->reader.strings);
        err = scan_string(&s, &d->reader.strings, &t);
        if (!err) {
            line.msg = t.text ? t.text : d->reader.strings.data + t.offset;
            line.msg_len = t.len;
            line.msg_plain_bytes = t.plain_bytes;
            line.msg_flags = t.flags;
        }
    } else {
        err = scan_fail(&s, strings_too ? "neither an object nor a string" : "not a JSON object");
    }
    if (!err && s.p != s.end) err = scan_fail(&s, "something follows the object");
    if (err) return add_bad(d, err, *s.why ? s.why : err_text(err), whole, whole_len);
    d->may_be_text = 0;
    b->replaced_utf8_count += s.replaced_count;
    b->nul_count += s.nul_count;
    apply_defaults(d, &line);
    return add_json(d, &line);
}

/* ---- from bytes to lines ---- */

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One whole line without its newline. */
static int take_line(struct decoder *d, const char *text, size_t len)
{
    d->line++;
    if (d->mode == MODE_TEXT) {
        if (len && text[len - 1] == '\r') len--;
        return add_text_line(d, text, len);
    }
    const char *whole = text;
    size_t whole_len = len && text[len - 1] == '\r' ? len - 1 : len;
    while (len && is_space(*text)) text++, len--;
    while (len && is_space(text[len - 1])) len--;
    if (!len) {
        d->blank_count += (uint32_t)d->may_be_text;
        return 0;
    }
    if (len > DECODE_JSON_LINE_BYTES_MAX) {
        if (!d->may_be_text) return fail(d, ERR_TOO_BIG, "a JSON line may have 4 MiB");
        return add_bad(d, ERR_TOO_BIG, "", whole, whole_len);
    }
    return add_value(d, text, len, 0, whole, whole_len);
}

static int feed_lines(struct decoder *d, const char *p, size_t len)
{
    const char *end = p + len;
    int err = 0;

    while (!err && p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((nl ? nl : end) - p);

        if (!nl || d->carry.len) {
            if (d->carry.len + n > DECODE_JSON_LINE_BYTES_MAX + 2 && (d->mode == MODE_LINES || d->o.numbered)) {
                d->line++;
                if (!d->may_be_text) return fail(d, ERR_TOO_BIG, "a line of this kind may have 4 MiB");
                d->line--;
            }
            err = buf_add(&d->carry, p, n);
            if (err) return fail(d, err, err_text(err));
        }
        if (!nl) break;
        if (d->carry.len) {
            err = take_line(d, d->carry.data, d->carry.len);
            buf_clear(&d->carry);
        } else {
            err = take_line(d, p, n);
        }
        p = nl + 1;
    }
    return err;
}

static int feed_values(struct decoder *d, const char *p, size_t len)
{
    const char *end = p + len;

    while (p < end) {
        size_t n;
        int got = split_next(&d->split, p, (size_t)(end - p), &n);
        int err = 0;

        d->line = d->split.element_count;
        if (got < 0) return fail(d, ERR_INVALID, d->split.why);
        if (got == SPLIT_SKIP) {
            p += n;
            continue;
        }
        if (got == SPLIT_MORE || d->carry.len) {
            if (d->carry.len + n > DECODE_JSON_LINE_BYTES_MAX)
                return fail(d, ERR_TOO_BIG, "a JSON value may have 4 MiB");
            err = buf_add(&d->carry, p, n);
            if (err) return fail(d, err, err_text(err));
        }
        if (got == SPLIT_VALUE) {
            int carried = d->carry.len > 0;
            const char *value = carried ? d->carry.data : p;
            size_t value_len = carried ? d->carry.len : n;
            err = add_value(d, value, value_len, d->split.is_array, value, value_len);
            buf_clear(&d->carry);
            if (err) return err;
        }
        p += n;
    }
    return 0;
}

static int feed_mode(struct decoder *d, const char *p, size_t len)
{
    return d->mode == MODE_VALUES ? feed_values(d, p, len) : feed_lines(d, p, len);
}

/* ---- the format ---- */

/* Is the object at p closed before its line is? -1: cannot be said yet. */
static int object_on_one_line(const char *p, size_t len, int at_end)
{
    const char *nl = memchr(p, '\n', len);
    struct split s;
    size_t n, line = nl ? (size_t)(nl - p) : len;

    split_init(&s, 0);
    int got = split_next(&s, p, line, &n);
    if (got == SPLIT_VALUE) return 1;
    return nl || at_end || len > DECODE_JSON_LINE_BYTES_MAX ? 0 : -1;
}

/* What the first bytes say; MODE_LOOK when more are needed. */
static enum mode look(struct decoder *d, const char *p, size_t len, int at_end)
{
    size_t i = 0;

    if (d->o.format == DECODE_TEXT) return MODE_TEXT;
    if (d->o.format == DECODE_NDJSON) return MODE_LINES;
    while (i < len && is_space(p[i])) i++;
    if (d->o.format == DECODE_ARRAY) {
        if (i == len) return at_end ? MODE_LINES : MODE_LOOK;
        if (p[i] == '[') {
            split_init(&d->split, 1);
            return MODE_VALUES;
        }
        if (p[i] != '{') return MODE_LINES;
        int one = object_on_one_line(p + i, len - i, at_end);
        if (one < 0) return MODE_LOOK;
        split_init(&d->split, 0);
        return one ? MODE_LINES : MODE_VALUES;
    }
    if (i == len) return at_end || len > LOOK_BYTES_MAX ? MODE_TEXT : MODE_LOOK;
    if (p[i] == '{') {
        d->may_be_text = 1;
        return MODE_LINES;
    }
    if (p[i] != '[') return MODE_TEXT;
    for (i++; i < len && is_space(p[i]);) i++;
    if (i == len) return at_end || len > LOOK_BYTES_MAX ? MODE_TEXT : MODE_LOOK;
    if (p[i] != '{' && p[i] != '"' && p[i] != ']') return MODE_TEXT;
    split_init(&d->split, 1);
    return MODE_VALUES;
}

/* Without the BOM; -1: the bytes may still become one. */
static int bom_bytes(const char *p, size_t len, int at_end)
{
    size_t n = len < 3 ? len : 3;

    if (memcmp(p, BOM, n) != 0) return 0;
    return n == 3 ? 3 : at_end ? 0 : -1;
}

/* Bytes come while the format is not known: decide, or keep them. */
static int feed_start(struct decoder *d, const char *p, size_t len, int at_end)
{
    struct buf held = BUF_INIT;
    int err = 0;

    if (d->carry.len) {
        err = buf_add(&d->carry, p, len);
        if (err) return fail(d, err, err_text(err));
        held = d->carry;
        buf_init(&d->carry, 0);
        p = held.data;
        len = held.len;
    }
    int bom = d->started ? 0 : bom_bytes(p, len, at_end);
    if (bom >= 0) {
        d->started = 1;
        p += bom;
        len -= (size_t)bom;
        d->mode = look(d, p, len, at_end);
    }
    if (d->mode != MODE_LOOK) {
        if (len) err = feed_mode(d, p, len);
    } else if (len) {
        err = buf_add(&d->carry, p, len);
        if (err) err = fail(d, err, err_text(err));
    }
    buf_release(&held);
    return err;
}

int decoder_feed(struct decoder *d, const char *data, size_t len)
{
    if (d->err) return d->err;
    if (len == 0) return 0;
    d->bytes += len;
    if (d->bytes > d->o.body_bytes_max) return fail(d, ERR_TOO_BIG, "the batch is too big");
    return d->mode == MODE_LOOK ? feed_start(d, data, len, 0) : feed_mode(d, data, len);
}

int decoder_finish(struct decoder *d, struct batch **ret_batch)
{
    int err = d->err;

    if (!err && d->mode == MODE_LOOK) {
        err = feed_start(d, "", 0, 1);
    }
    if (!err && d->mode == MODE_VALUES) {
        const char *why = split_finish(&d->split);
        if (why) err = fail(d, ERR_INVALID, why);
    } else if (!err && d->carry.len) {
        err = take_line(d, d->carry.data, d->carry.len);
        buf_clear(&d->carry);
    }
    if (!err) {
        err = framer_finish(&d->framer, ret_batch);
        if (err) err = fail(d, err, err_text(err));
    }
    return err;
}

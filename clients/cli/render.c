/*
 * clients/cli/render.c -- one record to one line of output, and what stands below it.
 */
#include "clients/cli/render.h"

#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/cli.h"
#include "clients/cli/palette.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PART_MARK "\"part\":{\"n\":"

static int on_folded(void *user, const char *line, size_t len, const char *remark);

void render_init(struct render *r, const struct render_options *o)
{
    memset(r, 0, sizeof *r);
    r->o = *o;
    term_init(&r->term, STDOUT_FILENO, o->color);
    if (o->fold && o->form == RENDER_TEXT)
        r->fold = fold_new(o->is_live ? FOLD_HOLD_US : 0, on_folded, r);
    stamp_init(&r->stamp, o->form == RENDER_TEXT ? o->timestamps : NULL);
    board_init(&r->board);
    if (o->form == RENDER_RAW) {
        r->o.no_prefix = 1;
        r->o.match = NULL;
    }
    r->width = 1;
    buf_init(&r->out, 0);
    buf_init(&r->scratch, 0);
    buf_init(&r->frame, 0);
}

void render_release(struct render *r)
{
    fold_free(&r->fold);
    board_release(&r->board);
    buf_release(&r->out);
    buf_release(&r->scratch);
    buf_release(&r->frame);
}

static int digits(int64_t v)
{
    int n = 1;

    while (v >= 10)
        v /= 10, n++;
    return n;
}

void render_ranks(struct render *r, int64_t ranks)
{
    if (ranks <= 1)
        return;
    r->many_ranks = 1;
    if (digits(ranks - 1) > r->width)
        r->width = digits(ranks - 1);
}

void render_start(struct render *r, int64_t start_us)
{
    if (!r->stamp.start_us)
        r->stamp.start_us = start_us;
}

static void see_rank(struct render *r, int32_t rank)
{
    if (rank == RECORD_RANK_NONE)
        return;
    if (!r->rank_seen) {
        r->rank_seen = 1;
        r->first_rank = rank;
    } else if (rank != r->first_rank) {
        r->many_ranks = 1;
    }
    if (digits(rank) > r->width)
        r->width = digits(rank);
}

static void add_sgr(const struct render *r, struct buf *out, const char *sgr)
{
    if (r->term.color && *sgr)
        buf_addf(out, "\x1b[%sm", sgr);
}

static void add_reset(const struct render *r, struct buf *out)
{
    if (r->term.color)
        buf_adds(out, TERM_RESET);
}

static void add_prefix(const struct render *r, struct buf *out, int32_t rank)
{
    if (r->o.no_prefix || !r->many_ranks)
        return;
    add_sgr(r, out, palette_rank(rank));
    if (rank == RECORD_RANK_NONE)
        buf_addf(out, "%*s | ", 5 + r->width, "");
    else
        buf_addf(out, "rank %*d | ", r->width, (int)rank);
    add_reset(r, out);
}

/* n and of of fields.part; 0 when the record is no part. */
static int read_part(const struct record_view *v, unsigned *ret_n, unsigned *ret_of)
{
    const char *mark =
        v->fields_json ? memmem(v->fields_json, v->fields_json_len, PART_MARK, strlen(PART_MARK))
                       : NULL;
    char text[48];
    size_t left;

    if (!mark)
        return 0;
    left = (size_t)(v->fields_json + v->fields_json_len - mark) - strlen(PART_MARK);
    snprintf(text, sizeof text, "%.*s", left < sizeof text ? (int)left : (int)sizeof text - 1,
             mark + strlen(PART_MARK));
    return sscanf(text, "%u,\"of\":%u", ret_n, ret_of) == 2;
}

/* One line of a message, in the colour of its level, with the found words lit. */
static void add_words(struct render *r, const struct record_view *v, const char *text, size_t len)
{
    const char *sgr = r->o.form == RENDER_RAW ? "" : v->is_state ? "1" : palette_level(v->level);
    struct term_mark marks[MATCH_MARKS_MAX];
    size_t count = 0;
    int colored = 0;

    if (!r->term.is_tty && !r->term.color) {
        buf_add(&r->out, text, len);
        return;
    }
    if (r->o.match && r->term.color)
        count = match_marks(r->o.match, text, len, marks);
    /* a line with colours of its own keeps them */
    if (len && memchr(text, '\x1b', len))
        sgr = "";
    add_sgr(r, &r->out, sgr);
    if (r->term.is_tty)
        term_clean_marked(&r->out, text, len, r->term.color ? TERM_COLOR_KEEP : TERM_COLOR_DROP,
                          marks, count, &colored);
    else
        term_add_marked(&r->out, text, len, marks, count);
    if (colored || (r->term.color && *sgr))
        buf_adds(&r->out, TERM_RESET);
}

/* Where a rank stands before lines it stands before each line of a message, or one line could pass itself off as
 * another rank's. */
static void add_message(struct render *r, const struct record_view *v)
{
    const char *at, *end;
    int has_prefix = r->many_ranks && !r->o.no_prefix;

    buf_clear(&r->scratch);
    record_msg(v, &r->scratch);
    at = r->scratch.data ? r->scratch.data : "";
    end = at + r->scratch.len;
    for (const char *nl; has_prefix && (nl = memchr(at, '\n', (size_t)(end - at))); at = nl + 1) {
        add_words(r, v, at, (size_t)(nl - at));
        buf_addc(&r->out, '\n');
        if (r->stamp.kind != STAMP_NONE)
            stamp_add(&r->stamp, &r->out, v->ts_us);
        add_prefix(r, &r->out, v->rank);
    }
    add_words(r, v, at, (size_t)(end - at));
}

static void add_text(struct render *r, const struct record_view *v, const char *remark)
{
    unsigned n = 1, of = 1;
    int is_part = read_part(v, &n, &of);

    if (r->part_open && !(is_part && n > 1)) {
        buf_addc(&r->out, '\n');
        r->part_open = 0;
    }
    if (!r->part_open) {
        add_sgr(r, &r->out, r->stamp.kind == STAMP_NONE ? "" : palette_faint());
        stamp_add(&r->stamp, &r->out, v->ts_us);
        if (r->stamp.kind != STAMP_NONE)
            add_reset(r, &r->out);
        add_prefix(r, &r->out, v->rank);
    }
    add_message(r, v);
    r->part_open = is_part && n < of;
    if (r->part_open)
        return;
    if (remark) {
        add_sgr(r, &r->out, palette_faint());
        buf_addf(&r->out, "  %s", remark);
        add_reset(r, &r->out);
    }
    buf_addc(&r->out, '\n');
}

int render_json(struct render *r, const char *line, size_t len)
{
    int err = r->term.is_tty ? term_clean(&r->out, line, len, TERM_COLOR_DROP, NULL)
                             : buf_add(&r->out, line, len);

    return err >= 0 && line[len - 1] != '\n' ? buf_addc(&r->out, '\n') : err;
}

static int add_template(struct render *r, const struct record_view *v, const char *line, size_t len)
{
    int err, colored = 0;

    if (!r->term.is_tty)
        return template_add(r->o.template, &r->out, v, line, len, r->o.job, &r->stamp);
    buf_clear(&r->scratch);
    err = template_add(r->o.template, &r->scratch, v, line, len, r->o.job, &r->stamp);
    if (err < 0)
        return err;
    r->scratch.len--; /* the newline comes after the reset */
    err = term_clean(&r->out, r->scratch.data, r->scratch.len,
                     r->term.color ? TERM_COLOR_KEEP : TERM_COLOR_DROP, &colored);
    if (colored)
        buf_adds(&r->out, TERM_RESET);
    return err < 0 ? err : buf_addc(&r->out, '\n');
}

/* A background job must not draw over the shell that has the terminal. */
static int may_draw(const struct render *r)
{
    pid_t front;

    if (!r->o.has_board || !r->term.is_tty || r->part_open)
        return 0;
    front = tcgetpgrp(r->term.fd);
    return front < 0 || front == getpgrp(); /* < 0: a terminal without job control */
}

static int write_out(struct render *r, struct buf *b)
{
    int err = b->len ? cli_write(STDOUT_FILENO, b->data, b->len) : 0;

    buf_clear(b);
    return err;
}

static int flush_out(struct render *r)
{
    int draw = may_draw(r);

    if (!r->out.len && !(draw && r->board_moved))
        return 0;
    if (!r->o.has_board)
        return write_out(r, &r->out);
    term_resize(&r->term);
    r->board_moved |= board_is_drawn(&r->board);
    board_erase(&r->board, &r->term, &r->frame);
    buf_add(&r->frame, r->out.data, r->out.len);
    buf_clear(&r->out);
    if (draw) {
        board_draw(&r->board, &r->term, &r->frame, clock_mono_us());
        r->board_moved = 0;
    }
    return write_out(r, &r->frame);
}

static int print_record(struct render *r, const struct record_view *v, const char *line, size_t len,
                        const char *remark)
{
    int err = 0;

    board_drop_row(&r->board, v->rank);
    if (r->o.form == RENDER_JSON) {
        err = render_json(r, line, len);
    } else if (v->is_state) {
        return 0;
    } else if (r->o.form == RENDER_TEMPLATE) {
        err = add_template(r, v, line, len);
    } else {
        see_rank(r, v->rank);
        add_text(r, v, remark);
    }
    if (err < 0)
        return err;
    return r->out.len >= RENDER_FLUSH_BYTES ? flush_out(r) : 0;
}

static int on_folded(void *user, const char *line, size_t len, const char *remark)
{
    struct record_view v;
    int err = record_parse(line, len, &v);

    return err < 0 ? err : print_record(user, &v, line, len, remark);
}

int render_record(struct render *r, const struct record_view *v, const char *line, size_t len)
{
    if (!r->fold || v->is_state)
        return print_record(r, v, line, len, NULL);
    see_rank(r, v->rank); /* the gutter is there before the first line waits */
    return fold_add(r->fold, v, line, len, clock_mono_us());
}

int render_line(struct render *r, const char *line, size_t len)
{
    struct record_view v;
    int err = record_parse(line, len, &v);

    return err < 0 ? err : render_record(r, &v, line, len);
}

int render_separator(struct render *r)
{
    int err = r->fold ? fold_finish(r->fold) : 0;

    if (err < 0 || r->o.form == RENDER_JSON)
        return err;
    add_sgr(r, &r->out, palette_faint());
    buf_adds(&r->out, "--");
    add_reset(r, &r->out);
    return buf_addc(&r->out, '\n');
}

void render_blank(struct render *r)
{
    if (!r->part_open)
        buf_addc(&r->out, '\n');
}

void render_progress(struct render *r, int32_t rank, const char *text, size_t len)
{
    struct buf prefix = BUF_INIT;

    if (!r->o.has_board || r->o.form == RENDER_JSON || !r->term.is_tty)
        return;
    see_rank(r, rank);
    add_prefix(r, &prefix, rank);
    board_set_row(&r->board, rank, buf_cstr(&prefix), text, len, clock_mono_us());
    r->board_moved = 1;
    buf_release(&prefix);
}

void render_status(struct render *r, const char *text)
{
    if (!r->o.has_board || !r->term.is_tty ||
        (r->board.status.len && !strcmp(buf_cstr(&r->board.status), text)))
        return;
    board_set_status(&r->board, text);
    r->board_moved = 1;
}

int render_flush(struct render *r)
{
    int err = r->fold ? fold_tick(r->fold, clock_mono_us()) : 0;

    return err < 0 ? err : flush_out(r);
}

int render_finish(struct render *r)
{
    int err = r->fold ? fold_finish(r->fold) : 0;

    if (err >= 0 && r->part_open)
        err = buf_addc(&r->out, '\n');
    r->part_open = 0;
    return err < 0 ? err : render_hide(r);
}

int render_hide(struct render *r)
{
    int err = r->fold ? fold_finish(r->fold) : 0;

    if (err < 0)
        return err;
    if (board_is_drawn(&r->board)) {
        term_resize(&r->term);
        board_erase(&r->board, &r->term, &r->frame);
        r->board_moved = 1;
    }
    buf_add(&r->frame, r->out.data, r->out.len);
    buf_clear(&r->out);
    return write_out(r, &r->frame);
}

void render_resized(struct render *r)
{
    r->board_moved = 1;
}

/*
 * clients/cli/render.c -- one record to one line of output.
 */
#include "clients/cli/render.h"

#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PART_MARK "\"part\":{\"n\":"

void render_init(struct render *r, const char *color, int json, int timestamps, int no_prefix)
{
    memset(r, 0, sizeof *r);
    term_init(&r->term, STDOUT_FILENO, color);
    r->json = json;
    r->timestamps = timestamps;
    r->no_prefix = no_prefix;
    r->width = 1;
    buf_init(&r->out, 0);
    buf_init(&r->scratch, 0);
}

void render_release(struct render *r)
{
    buf_release(&r->out);
    buf_release(&r->scratch);
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

static void add_sgr(struct render *r, const char *sgr)
{
    if (r->term.color && *sgr)
        buf_addf(&r->out, "\x1b[%sm", sgr);
}

static void add_prefix(struct render *r, int32_t rank)
{
    if (r->no_prefix || !r->many_ranks)
        return;
    add_sgr(r, term_rank_sgr(rank));
    if (rank == RECORD_RANK_NONE)
        buf_addf(&r->out, "%*s | ", 5 + r->width, "");
    else
        buf_addf(&r->out, "rank %*d | ", r->width, (int)rank);
    if (r->term.color)
        buf_adds(&r->out, TERM_RESET);
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

static void add_message(struct render *r, const struct record_view *v)
{
    const char *sgr = v->is_state ? "1" : term_level_sgr(v->level);
    int colored = 0;

    buf_clear(&r->scratch);
    record_msg(v, &r->scratch);
    if (!r->term.is_tty && !r->term.color) {
        buf_add(&r->out, r->scratch.data, r->scratch.len);
        return;
    }
    /* a line with colours of its own keeps them */
    if (r->scratch.len && memchr(r->scratch.data, '\x1b', r->scratch.len))
        sgr = "";
    add_sgr(r, sgr);
    if (r->term.is_tty)
        term_clean(&r->out, r->scratch.data, r->scratch.len,
                   r->term.color ? TERM_COLOR_KEEP : TERM_COLOR_DROP, &colored);
    else
        buf_add(&r->out, r->scratch.data, r->scratch.len);
    if (colored || (r->term.color && *sgr))
        buf_adds(&r->out, TERM_RESET);
}

static void add_text(struct render *r, const struct record_view *v)
{
    unsigned n = 1, of = 1;
    int is_part = read_part(v, &n, &of);

    if (r->part_open && !(is_part && n > 1)) {
        buf_addc(&r->out, '\n');
        r->part_open = 0;
    }
    if (!r->part_open) {
        char ts[CLOCK_RFC3339_BYTES + 1];

        if (r->timestamps)
            buf_addf(&r->out, "%s ", clock_rfc3339(v->ts_us, ts));
        add_prefix(r, v->rank);
    }
    add_message(r, v);
    r->part_open = is_part && n < of;
    if (!r->part_open)
        buf_addc(&r->out, '\n');
}

static void take_row_away(struct render *r)
{
    if (!r->row_shown)
        return;
    buf_adds(&r->out, "\r\x1b[K");
    r->row_shown = 0;
}

int render_line(struct render *r, const char *line, size_t len)
{
    struct record_view v;
    int err = record_parse(line, len, &v);

    if (err < 0)
        return err;
    take_row_away(r);
    if (r->json) {
        err = r->term.is_tty ? term_clean(&r->out, line, len, TERM_COLOR_DROP, NULL)
                             : buf_add(&r->out, line, len);
        if (err >= 0 && line[len - 1] != '\n')
            err = buf_addc(&r->out, '\n');
        if (err < 0)
            return err;
    } else if (!v.is_state) {
        see_rank(r, v.rank);
        add_text(r, &v);
    }
    return r->out.len >= RENDER_FLUSH_BYTES ? render_flush(r) : 0;
}

int render_progress(struct render *r, int32_t rank, const char *text, size_t len)
{
    int columns;
    size_t start;

    if (r->json || !r->term.is_tty || r->part_open)
        return 0;
    see_rank(r, rank);
    take_row_away(r);
    term_resize(&r->term);
    columns = r->term.columns - 1 - (r->many_ranks && !r->no_prefix ? 8 + r->width : 0);
    if (columns < 1)
        return 0;
    add_prefix(r, rank);
    start = r->out.len;
    term_clean_row(&r->out, text, len, columns);
    r->row_shown = r->out.len > start;
    return render_flush(r);
}

int render_clear_row(struct render *r)
{
    take_row_away(r);
    return render_flush(r);
}

int render_flush(struct render *r)
{
    int err;

    if (!r->out.len)
        return 0;
    err = cli_write(STDOUT_FILENO, r->out.data, r->out.len);
    buf_clear(&r->out);
    return err;
}

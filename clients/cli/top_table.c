/*
 * clients/cli/top_table.c -- order, cells and widths.
 */
#include "clients/cli/top_table.h"

#include "base/check.h"
#include "base/clock.h"
#include "clients/cli/cli.h"
#include "clients/cli/palette.h"
#include "clients/cli/term.h"
#include "job/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_BYTES 160 /* an id, and the dots of one that is cut */
#define GAP 2
#define JOB_COLUMNS_MIN 12
#define PROJECT_COLUMNS_MIN 7
#define LATE_US 60000000 /* of a silence that is shown as a warning */

static const struct {
    const char *option, *title;
    char typed;
    int is_left;
} keys[TOP_KEY_COUNT] = {
#define X(name, option, key) [TOP_##name] = {option, #name, key, 0},
    TOP_KEYS(X)
#undef X
};

static int is_left(enum top_key k)
{
    return k <= TOP_STATE;
}

enum top_key top_key_of(const char *option)
{
    for (int k = 0; k < TOP_KEY_COUNT; k++)
        if (!strcmp(keys[k].option, option))
            return (enum top_key)k;
    return TOP_KEY_COUNT;
}

enum top_key top_key_typed(char c)
{
    for (int k = 0; k < TOP_KEY_COUNT; k++)
        if (keys[k].typed == c)
            return (enum top_key)k;
    return TOP_KEY_COUNT;
}

const char *top_key_title(enum top_key k)
{
    return k == TOP_RATE ? "LINES/S" : keys[k].title;
}

/* ---- order ---- */

static int64_t silence(const struct scout_view *v, int64_t now_us)
{
    if (v->silent_us < 0)
        return -1;
    return v->silent_us + (now_us > v->seen_us ? now_us - v->seen_us : 0);
}

/* What a job counts by a key, larger first; < 0: not known. Not for names. */
static double weight(const struct fleet_job *j, enum top_key key)
{
    const struct scout_view *v = &j->view;
    enum job_state s;

    switch (key) {
    case TOP_STATE:
        return state_parse(v->state, strlen(v->state), &s) < 0 ? -1 : (double)s;
    case TOP_RANKS:
        return v->ranks > 0 ? (double)(v->ranks - v->alive) : -1;
    case TOP_RATE:
        return v->lines_per_s;
    case TOP_STEP:
        return v->has_step ? (double)v->newest_step : -1;
    case TOP_DONE:
        return j->percent;
    case TOP_SLOWEST:
        return v->has_slowest ? (double)(v->newest_step - v->slowest_step) : -1;
    case TOP_SILENT:
        return (double)silence(v, v->seen_us);
    default:
        return v->is_known ? 1e18 - (double)v->lasted_us : -1; /* newest first */
    }
}

struct order {
    double weight;
    unsigned at;
    const struct fleet_job *job;
};

static enum top_key order_key;
static int order_reversed;

static int compare(const void *pa, const void *pb)
{
    const struct order *a = pa, *b = pb;
    int c = 0;

    if (order_key == TOP_JOB)
        c = strcmp(a->job->id, b->job->id);
    else if (order_key == TOP_PROJECT)
        c = strcmp(a->job->project, b->job->project);
    else if ((a->weight < 0) != (b->weight < 0))
        return a->weight < 0 ? 1 : -1;
    else if (a->weight != b->weight)
        c = a->weight < b->weight ? 1 : -1;
    if (c)
        return order_reversed ? -c : c;
    return a->at < b->at ? -1 : 1;
}

void top_sort(struct fleet_job *jobs, unsigned count, enum top_key key, int is_reversed)
{
    struct order *o = must_calloc(count + 1, sizeof *o);
    struct fleet_job *was = must_calloc(count + 1, sizeof *was);

    if (count)
        memcpy(was, jobs, count * sizeof *was);
    for (unsigned i = 0; i < count; i++)
        o[i] = (struct order){weight(&was[i], key), i, &was[i]};
    order_key = key;
    order_reversed = is_reversed;
    qsort(o, count, sizeof *o, compare);
    for (unsigned i = 0; i < count; i++)
        jobs[i] = *o[i].job;
    free(was);
    free(o);
}

/* ---- cells ---- */

/* "14s", "2m 10s", "1h 02m", "3d 4h" */
static void duration(int64_t us, char out[CELL_BYTES])
{
    long long s = us > 0 ? us / 1000000 : 0;

    if (s < 60)
        snprintf(out, CELL_BYTES, "%llds", s);
    else if (s < 3600)
        snprintf(out, CELL_BYTES, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, CELL_BYTES, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(out, CELL_BYTES, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

/* Names are ids, so ASCII; what else a server says is a '?' each byte: it goes to a terminal, and a byte is a column. */
static void name(const char *s, char out[CELL_BYTES])
{
    size_t n = 0;

    for (; s[n] && n < CELL_BYTES - 1; n++)
        out[n] = s[n] >= 0x20 && s[n] < 0x7f ? s[n] : '?';
    out[n] = '\0';
}

static void cell(const struct fleet_job *j, enum top_key k, int64_t now_us, char out[CELL_BYTES])
{
    const struct scout_view *v = &j->view;
    char number[32];

    snprintf(out, CELL_BYTES, "-");
    switch (k) {
    case TOP_JOB:
        name(j->id, out);
        break;
    case TOP_PROJECT:
        name(j->project, out);
        break;
    case TOP_STATE:
        name(v->is_known ? cli_short_state(v->state) : "-", out);
        break;
    case TOP_RANKS:
        if (v->ranks > 0)
            snprintf(out, CELL_BYTES, "%lld/%lld", (long long)v->alive, (long long)v->ranks);
        break;
    case TOP_RATE:
        if (v->lines_per_s >= 0)
            snprintf(out, CELL_BYTES, "%s", cli_thousands((uint64_t)(v->lines_per_s + 0.5), number));
        break;
    case TOP_AGE:
        if (v->is_known)
            duration(v->lasted_us + (now_us > v->seen_us ? now_us - v->seen_us : 0), out);
        break;
    case TOP_STEP:
        if (v->has_step)
            snprintf(out, CELL_BYTES, "%s", cli_thousands((uint64_t)v->newest_step, number));
        break;
    case TOP_DONE:
        if (j->percent >= 0)
            snprintf(out, CELL_BYTES, "%.0f%%", j->percent);
        break;
    case TOP_SLOWEST:
        if (v->has_slowest)
            snprintf(out, CELL_BYTES, v->newest_step > v->slowest_step ? "r%lld -%lld" : "=",
                     (long long)v->slowest_rank, (long long)(v->newest_step - v->slowest_step));
        break;
    default:
        if (silence(v, now_us) >= 0)
            duration(silence(v, now_us), out);
    }
}

static const char *cell_color(const struct fleet_job *j, enum top_key k, int64_t now_us)
{
    const struct scout_view *v = &j->view;

    if (k == TOP_STATE)
        return palette_state(v->state);
    if (k == TOP_RANKS && v->alive < v->ranks)
        return palette_level(LEVEL_ERROR);
    if (k == TOP_SILENT && silence(v, now_us) >= LATE_US)
        return palette_level(LEVEL_WARN);
    if (k == TOP_SLOWEST && v->has_slowest && v->newest_step > v->slowest_step)
        return palette_level(LEVEL_WARN);
    return "";
}

/* ---- widths ---- */

static int total(const int *widths, int gap)
{
    int sum = -gap;

    for (int k = 0; k < TOP_KEY_COUNT; k++)
        if (widths[k])
            sum += widths[k] + gap;
    return sum;
}

static void squeeze(int *width, int min, int over)
{
    if (over > 0 && *width > min)
        *width = *width - over > min ? *width - over : min;
}

/* 0: the column is left out. Returns the gap between columns. */
static int fit(int *widths, int columns)
{
    static const enum top_key spare[] = {TOP_SLOWEST, TOP_PROJECT, TOP_DONE, TOP_AGE, TOP_STEP, TOP_RATE};
    int gap = GAP;

    if (!columns || total(widths, gap) <= columns)
        return gap;
    squeeze(&widths[TOP_JOB], 2 * JOB_COLUMNS_MIN, total(widths, gap) - columns);
    squeeze(&widths[TOP_PROJECT], 2 * PROJECT_COLUMNS_MIN, total(widths, gap) - columns);
    if (total(widths, gap) > columns)
        gap = 1;
    squeeze(&widths[TOP_PROJECT], PROJECT_COLUMNS_MIN, total(widths, gap) - columns);
    squeeze(&widths[TOP_JOB], JOB_COLUMNS_MIN, total(widths, gap) - columns);
    for (size_t i = 0; i < sizeof spare / sizeof *spare && total(widths, gap) > columns; i++)
        widths[spare[i]] = 0;
    squeeze(&widths[TOP_JOB], 1, total(widths, gap) - columns);
    return gap;
}

static void measure(int *widths, const struct top_table *t, const struct fleet_job *jobs, unsigned count)
{
    char text[CELL_BYTES];

    for (int k = 0; k < TOP_KEY_COUNT; k++) {
        widths[k] = (int)strlen(top_key_title((enum top_key)k));
        for (unsigned i = 0; i < count; i++) {
            cell(&jobs[i], (enum top_key)k, t->now_us, text);
            if ((int)strlen(text) > widths[k])
                widths[k] = (int)strlen(text);
        }
    }
}

/* ---- rows ---- */

/* text on width columns; a name that is too long loses its middle. */
static void add_cell(struct buf *out, const char *text, int width, enum top_key k, const char *sgr, int color)
{
    int len = (int)strlen(text), head;

    if (!is_left(k) && len < width)
        buf_addf(out, "%*s", width - len, "");
    if (color && *sgr)
        buf_addf(out, "\x1b[%sm", sgr);
    if (len <= width) {
        buf_adds(out, text);
    } else {
        head = (width - 1) / 2;
        buf_addf(out, "%.*s…%s", head, text, text + len - (width - 1 - head));
    }
    if (color && *sgr)
        buf_adds(out, TERM_RESET);
    if (is_left(k) && len < width)
        buf_addf(out, "%*s", width - len, "");
}

static void end_row(struct buf *out, const struct top_table *t)
{
    buf_adds(out, t->on_screen ? "\x1b[K\n" : "\n");
}

static void add_row(struct buf *out, const struct top_table *t, const int *widths, int gap, const struct fleet_job *j)
{
    char text[CELL_BYTES];
    int is_first = 1;

    for (int k = 0; k < TOP_KEY_COUNT; k++) {
        const char *sgr = "";

        if (!widths[k])
            continue;
        if (!is_first)
            buf_addf(out, "%*s", gap, "");
        is_first = 0;
        if (j) {
            cell(j, (enum top_key)k, t->now_us, text);
            sgr = cell_color(j, (enum top_key)k, t->now_us);
        } else {
            snprintf(text, sizeof text, "%s", top_key_title((enum top_key)k));
            sgr = (enum top_key)k == t->key ? "1;4" : "1";
        }
        add_cell(out, text, widths[k], (enum top_key)k, sgr, t->color);
    }
    end_row(out, t);
}

void top_table_add(struct buf *out, const struct top_table *t, const struct fleet_job *jobs, unsigned count,
                   unsigned from, unsigned to)
{
    int widths[TOP_KEY_COUNT], gap;

    CHECK(to <= count);
    measure(widths, t, jobs, count);
    gap = fit(widths, t->columns);
    add_row(out, t, widths, gap, NULL);
    for (unsigned i = from; i < to; i++)
        add_row(out, t, widths, gap, &jobs[i]);
}

/*
 * serve/history_writer.c -- lost ranges, separators, head and foot of an answer in each format.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/json.h"
#include "serve/history_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *history_reason(int err)
{
    return err == ERR_CORRUPT ? "corrupt" : "missing";
}

void history_writer_init(struct history_writer *w, enum query_format format, uint64_t epoch)
{
    memset(w, 0, sizeof *w);
    w->format = format;
    w->epoch = epoch;
    buf_init(&w->out, 0);
}

void history_writer_release(struct history_writer *w)
{
    buf_release(&w->out);
    free(w->gaps);
    w->gaps = NULL;
}

void history_writer_begin(struct history_writer *w)
{
    buf_adds(&w->out, "{\"logs\":[");
}

void history_writer_slice(struct history_writer *w, const struct shape_slice *slice)
{
    if (!slice->records)
        return;
    if (w->format == QUERY_JSON && w->any)
        buf_addc(&w->out, ',');
    w->any = 1;
}

static void keep_gap(struct history_writer *w, uint64_t from, uint64_t to, int err)
{
    if (w->gap_count == HISTORY_GAPS_MAX) {
        struct history_gap *last = &w->gaps[w->gap_count - 1];

        if (from < last->from)
            last->from = from;
        if (to > last->to)
            last->to = to;
        return;
    }
    if (w->gap_count == w->gap_cap) {
        w->gap_cap = w->gap_cap ? w->gap_cap * 2 : 8;
        w->gaps = must_realloc(w->gaps, w->gap_cap * sizeof *w->gaps);
    }
    w->gaps[w->gap_count++] = (struct history_gap){from, to, err};
}

static void add_gap(struct json *j, uint64_t from, uint64_t to, int err)
{
    json_obj(j);
    json_ku64(j, "from", from);
    json_ku64(j, "to", to);
    json_kstr(j, "reason", history_reason(err));
    json_end(j);
}

void history_writer_lost(struct history_writer *w, uint64_t from, uint64_t to, int err)
{
    struct json j;

    switch (w->format) {
    case QUERY_TEXT:
        buf_addf(&w->out, "[joblog: records %" PRIu64 "-%" PRIu64 " are lost: %s]\n", from, to,
                 history_reason(err));
        return;
    case QUERY_NDJSON:
        json_init(&j, &w->out);
        json_obj(&j);
        json_key(&j, "gap");
        add_gap(&j, from, to, err);
        json_end(&j);
        buf_addc(&w->out, '\n');
        return;
    case QUERY_JSON:
        keep_gap(w, from, to, err);
        return;
    }
}

void history_writer_end(struct history_writer *w, uint64_t seq, int more)
{
    struct cursor cursor = {w->epoch, seq};
    char text[CURSOR_TEXT_BYTES];
    struct json j;

    if (w->format != QUERY_JSON)
        return;
    cursor_format(&cursor, text);
    buf_adds(&w->out, "],\"gaps\":");
    json_init(&j, &w->out);
    json_arr(&j);
    for (uint32_t i = 0; i < w->gap_count; i++)
        add_gap(&j, w->gaps[i].from, w->gaps[i].to, w->gaps[i].err);
    json_end(&j);
    buf_adds(&w->out, ",\"cursor\":");
    json_init(&j, &w->out);
    json_str(&j, text);
    buf_adds(&w->out, ",\"next\":");
    json_init(&j, &w->out);
    json_str(&j, more ? text : NULL);
    buf_adds(&w->out, "}\n");
}

/*
 * clients/cli/track.c -- drawing over, and every stride-th text as a sample.
 */
#include "clients/cli/track.h"

#include "base/check.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

int track_shows(const char *t, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (t[i] == ' ' || t[i] == '\t')
            continue;
        if (t[i] != '\x1b' || i + 1 >= len || t[i + 1] != '[')
            return 1;
        for (i += 2; i < len && (t[i] < '@' || t[i] > '~'); i++)
            if (t[i] < ' ' || t[i] > '?')
                return 1;
    }
    return 0;
}

size_t track_cut(const char *text, size_t len, size_t max)
{
    size_t n = max;

    if (len <= max)
        return len;
    for (int back = 0; back < 3 && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; back++)
        n--;
    return ((unsigned char)text[n] & 0xc0) == 0x80 || n == 0 ? max : n;
}

void track_clear(struct track *t)
{
    for (unsigned i = 0; i < t->sample_count; i++)
        free(t->samples[i]);
    buf_clear(&t->shown);
    t->sample_count = 0;
    t->stride = 1;
    t->redraws = 0;
    t->has_shown = 0;
}

void track_release(struct track *t)
{
    track_clear(t);
    buf_release(&t->shown);
}

void track_cover(struct track *t)
{
    if (!t->has_shown)
        return;
    if (!t->stride)
        t->stride = 1;
    if (t->redraws % t->stride == 0 && t->sample_count == TRACK_SAMPLES_MAX) {
        for (unsigned i = 0; i < TRACK_SAMPLES_MAX; i++) {
            if (i % 2)
                free(t->samples[i]);
            else
                t->samples[i / 2] = t->samples[i];
        }
        t->sample_count /= 2;
        t->stride *= 2;
    }
    if (t->redraws % t->stride == 0)
        t->samples[t->sample_count++] =
            must_strndup(t->shown.data, track_cut(t->shown.data, t->shown.len, TRACK_SEGMENT_BYTES));
    t->redraws++;
    buf_clear(&t->shown);
    t->has_shown = 0;
}

int track_draw(struct track *t, const char *text, size_t len)
{
    track_cover(t);
    buf_clear(&t->shown);
    t->has_shown = 1;
    return buf_add(&t->shown, text, len);
}

int track_fields(const struct track *t, struct buf *fields)
{
    unsigned kept = t->sample_count < TRACK_HISTORY_MAX ? t->sample_count : TRACK_HISTORY_MAX;
    struct json j;

    buf_clear(fields);
    json_init(&j, fields);
    json_obj(&j);
    json_ku64(&j, "redraws", t->redraws);
    json_key(&j, "history");
    json_arr(&j);
    for (unsigned i = 0; i < kept; i++)
        json_str(&j, t->samples[i * t->sample_count / kept]);
    json_end(&j);
    json_end(&j);
    return json_err(&j);
}

/*
 * clients/cli/stamp.c -- writing times for people.
 */
#include "clients/cli/stamp.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void stamp_init(struct stamp *s, const char *name)
{
    static const char *const names[] = {"", "utc", "local", "relative", "delta"};

    memset(s, 0, sizeof *s);
    for (size_t i = 1; name && i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            s->kind = (enum stamp_kind)i;
}

static int add_local(struct buf *out, int64_t ts_us)
{
    time_t seconds = (time_t)(ts_us / 1000000);
    struct tm tm;
    char text[32];

    if (!localtime_r(&seconds, &tm) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm))
        return buf_adds(out, "?");
    return buf_addf(out, "%s.%03d", text, (int)(ts_us / 1000 % 1000));
}

static int add_relative(struct buf *out, int64_t us)
{
    int64_t ms = llabs(us) / 1000;

    return buf_addf(out, "%c%02lld:%02d:%02d.%03d", us < 0 ? '-' : '+', (long long)(ms / 3600000),
                    (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000));
}

static int add_delta(struct buf *out, int64_t us)
{
    int64_t ms = llabs(us) / 1000;

    return buf_addf(out, "%c%5lld.%03d", us < 0 ? '-' : '+', (long long)(ms / 1000),
                    (int)(ms % 1000));
}

int stamp_format(const struct stamp *s, enum stamp_kind kind, struct buf *out, int64_t ts_us)
{
    char text[CLOCK_RFC3339_BYTES + 1];

    switch (kind) {
    case STAMP_UTC:
        return buf_adds(out, clock_rfc3339(ts_us, text));
    case STAMP_LOCAL:
        return add_local(out, ts_us);
    case STAMP_RELATIVE:
        return add_relative(out, s->start_us ? ts_us - s->start_us : 0);
    case STAMP_DELTA:
        return add_delta(out, s->last_us ? ts_us - s->last_us : 0);
    case STAMP_NONE:
        break;
    }
    return 0;
}

int stamp_add(struct stamp *s, struct buf *out, int64_t ts_us)
{
    int err;

    if (!s->start_us)
        s->start_us = ts_us;
    if (s->kind == STAMP_NONE)
        return 0;
    err = stamp_format(s, s->kind, out, ts_us);
    s->last_us = ts_us;
    return err < 0 ? err : buf_addc(out, ' ');
}

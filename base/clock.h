/*
 * base/clock.h -- what time it is, and how times and durations are written.
 *
 * Two clocks: clock_mono_us() for deadlines and durations (CLOCK_MONOTONIC), clock_wall_us() for
 * what people read (CLOCK_REALTIME, microseconds since 1970). All wall times inside joblog are
 * int64_t microseconds since the epoch, UTC.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_RFC3339_BYTES 27 /* "2026-11-23T20:54:01.123456Z", without NUL */
/* Times outside 1970-01-01 .. 9999-12-31T23:59:59.999999Z are refused everywhere. */
#define CLOCK_WALL_US_MAX INT64_C(253402300799999999)

int64_t clock_mono_us(void);
int64_t clock_wall_us(void);

/* The wall clock, watched: by how much it was set ahead of what time has passed since the last look. 0: by less than
 * CLOCK_JUMP_US, which is slewing, or it was set back. */
#define CLOCK_JUMP_US 1000000
struct clock_watch {
    int64_t ahead_us;
};
void clock_watch_init(struct clock_watch *w);
int64_t clock_watch_jump(struct clock_watch *w);

/* Exactly CLOCK_RFC3339_BYTES bytes, always 6 fraction digits and 'Z'. No NUL is written. */
void clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_BYTES]);
/* The same with a NUL: out holds CLOCK_RFC3339_BYTES + 1. Returns out. */
char *clock_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_BYTES + 1]);
/* RFC 3339 (any offset, 0-9 fraction digits, 'T' or ' ', case of t/z free; a leap second :60 is
 * read as :59.999999). Digits beyond microseconds are cut. ERR_INVALID. */
int clock_parse_rfc3339(const char *s, size_t len, int64_t *ret_wall_us);
/* A time of day as epoch number in s, ms, us or ns, told apart by magnitude (below 1e11 s, below
 * 1e14 ms, below 1e17 us, else ns), integer or with a fraction: exact decimal, no doubles. */
int clock_parse_epoch(const char *s, size_t len, int64_t *ret_wall_us);
/* RFC 3339, epoch, or a duration before now ("10m", "1h30m"): what --since and ?since= take. */
int clock_parse_when(const char *s, size_t len, int64_t now_us, int64_t *ret_wall_us);

/* "250ms", "10s", "1h30m", "2d", a bare number is seconds. ERR_INVALID. */
int clock_parse_duration(const char *s, size_t len, int64_t *ret_us);
/* "1h 02m", "3.2s", "140ms": for people. Returns out. */
char *clock_format_duration(int64_t us, char out[32]);

#endif

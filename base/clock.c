/*
 * base/clock.c -- the two clocks, and instants as RFC 3339 and epoch numbers.
 *
 * Dates are counted in days by civil-calendar arithmetic on years that start in March, so that the
 * leap day is the last of its year; no libc time zone code, no doubles. Durations: clock_span.c.
 */
#include "base/clock.h"

#include "base/err.h"

#include <string.h>
#include <time.h>

#define US_PER_SEC INT64_C(1000000)
#define SEC_PER_DAY 86400
#define DAYS_PER_400Y 146097
#define DAYS_0000_03_01_TO_1970 719468

static int64_t now_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * US_PER_SEC + ts.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    return now_us(CLOCK_REALTIME);
}

void clock_watch_init(struct clock_watch *w)
{
    w->ahead_us = clock_wall_us() - clock_mono_us();
}

int64_t clock_watch_jump(struct clock_watch *w)
{
    int64_t was_us = w->ahead_us;
    clock_watch_init(w);
    return w->ahead_us > was_us + CLOCK_JUMP_US ? w->ahead_us - was_us : 0;
}

static int32_t days_from_date(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int era_year = y % 400;
    int month_from_march = month > 2 ? month - 3 : month + 9;
    int day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int day_of_era = era_year * 365 + era_year / 4 - era_year / 100 + day_of_year;
    return y / 400 * DAYS_PER_400Y + day_of_era - DAYS_0000_03_01_TO_1970;
}

static void date_from_days(int32_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int32_t shifted = days + DAYS_0000_03_01_TO_1970;
    int era = shifted / DAYS_PER_400Y, day_of_era = shifted % DAYS_PER_400Y;
    int era_year =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * era_year + era_year / 4 - era_year / 100);
    int month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    *ret_month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    *ret_year = era * 400 + era_year + (*ret_month <= 2);
}

static void put2(char *out, int v)
{
    out[0] = (char)('0' + v / 10);
    out[1] = (char)('0' + v % 10);
}

void clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_BYTES])
{
    /* Lines come in runs of one day: its ten bytes are kept. */
    static __thread struct {
        int32_t day;
        char text[10];
    } cached = {-1, ""};
    if (wall_us < 0) wall_us = 0;
    if (wall_us > CLOCK_WALL_US_MAX) wall_us = CLOCK_WALL_US_MAX;
    int64_t sec = wall_us / US_PER_SEC;
    int us = (int)(wall_us % US_PER_SEC);
    int32_t day = (int32_t)(sec / SEC_PER_DAY);
    int in_day = (int)(sec % SEC_PER_DAY);
    if (day != cached.day) {
        int y, m, d;
        date_from_days(day, &y, &m, &d);
        put2(cached.text, y / 100);
        put2(cached.text + 2, y % 100);
        cached.text[4] = cached.text[7] = '-';
        put2(cached.text + 5, m);
        put2(cached.text + 8, d);
        cached.day = day;
    }
    memcpy(out, cached.text, 10);
    out[10] = 'T';
    put2(out + 11, in_day / 3600);
    out[13] = ':';
    put2(out + 14, in_day / 60 % 60);
    out[16] = ':';
    put2(out + 17, in_day % 60);
    out[19] = '.';
    put2(out + 20, us / 10000);
    put2(out + 22, us / 100 % 100);
    put2(out + 24, us % 100);
    out[26] = 'Z';
}

char *clock_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_BYTES + 1])
{
    clock_format_rfc3339(wall_us, out);
    out[CLOCK_RFC3339_BYTES] = '\0';
    return out;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* n digits at s as a number, -1 when one is no digit. */
static int digits(const char *s, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (!is_digit(s[i])) return -1;
        v = v * 10 + (s[i] - '0');
    }
    return v;
}

static int days_in_month(int year, int month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* ".123456" at s: *ret_us and the bytes read; 0 bytes when there is no fraction, ERR_INVALID. */
static int parse_fraction(const char *s, size_t len, int *ret_us)
{
    size_t at = 1;
    int us = 0, weight = 100000;
    *ret_us = 0;
    if (!len || (*s != '.' && *s != ',')) return 0;
    for (; at < len && is_digit(s[at]); at++) {
        us += (s[at] - '0') * weight;
        weight /= 10;
    }
    if (at == 1 || at > 10) return ERR_INVALID;
    *ret_us = us;
    return (int)at;
}

/* "Z" or "+05:30" and nothing after it. */
static int parse_zone(const char *s, size_t len, int *ret_offset_sec)
{
    if (len == 1 && (*s == 'Z' || *s == 'z')) {
        *ret_offset_sec = 0;
        return 0;
    }
    if (len != 6 || (*s != '+' && *s != '-') || s[3] != ':') return ERR_INVALID;
    int h = digits(s + 1, 2), m = digits(s + 4, 2);
    if (h < 0 || h > 23 || m < 0 || m > 59) return ERR_INVALID;
    *ret_offset_sec = (h * 3600 + m * 60) * (*s == '-' ? -1 : 1);
    return 0;
}

int clock_parse_rfc3339(const char *s, size_t len, int64_t *ret_wall_us)
{
    static __thread struct { /* the last day read, as text and as number */
        char text[10];
        int32_t day;
    } cached = {"", 0};
    int us, offset = 0;
    int32_t day;
    if (len < 20 || (s[10] != 'T' && s[10] != 't' && s[10] != ' ')) return ERR_INVALID;
    if (memcmp(cached.text, s, 10) == 0) {
        day = cached.day;
    } else {
        int year = digits(s, 4), month = digits(s + 5, 2), mday = digits(s + 8, 2);
        if (year < 0 || s[4] != '-' || s[7] != '-' || month < 1 || month > 12 || mday < 1 ||
            mday > days_in_month(year, month))
            return ERR_INVALID;
        if (year < 1969) return ERR_INVALID; /* 1969-12-31 may be 1970 by its offset */
        day = days_from_date(year, month, mday);
        memcpy(cached.text, s, 10);
        cached.day = day;
    }
    int h = digits(s + 11, 2), m = digits(s + 14, 2), sec = digits(s + 17, 2);
    if (s[13] != ':' || s[16] != ':' || h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60)
        return ERR_INVALID;
    int used = parse_fraction(s + 19, len - 19, &us);
    if (used < 0 || parse_zone(s + 19 + used, len - 19 - (size_t)used, &offset) < 0)
        return ERR_INVALID;
    if (sec == 60) {
        sec = 59;
        us = (int)US_PER_SEC - 1;
    }
    int64_t at = ((int64_t)day * SEC_PER_DAY + h * 3600 + m * 60 + sec - offset) * US_PER_SEC + us;
    if (at < 0 || at > CLOCK_WALL_US_MAX) return ERR_INVALID;
    *ret_wall_us = at;
    return 0;
}

/* whole.frac in units of unit_ns nanoseconds, to microseconds; digits that fall below are cut. */
static int64_t scale_epoch(uint64_t whole, const char *frac, size_t frac_len, int64_t unit_ns)
{
    if (unit_ns == 1) return (int64_t)(whole / 1000);
    int64_t unit_us = unit_ns / 1000, us = (int64_t)whole * unit_us, weight = unit_us / 10;
    for (size_t i = 0; i < frac_len && weight; i++, weight /= 10) us += (frac[i] - '0') * weight;
    return us;
}

int clock_parse_epoch(const char *s, size_t len, int64_t *ret_wall_us)
{
    uint64_t whole = 0;
    size_t at = 0;
    for (; at < len && is_digit(s[at]); at++) {
        if (whole > (UINT64_MAX - 9) / 10) return ERR_INVALID;
        whole = whole * 10 + (uint64_t)(s[at] - '0');
    }
    if (!at) return ERR_INVALID;
    const char *frac = s + at;
    size_t frac_len = 0;
    if (at < len) {
        if (*frac++ != '.') return ERR_INVALID;
        frac_len = len - at - 1;
        if (!frac_len) return ERR_INVALID;
        for (size_t i = 0; i < frac_len; i++)
            if (!is_digit(frac[i])) return ERR_INVALID;
    }
    int64_t unit_ns = whole < UINT64_C(100000000000)         ? 1000000000
                      : whole < UINT64_C(100000000000000)    ? 1000000
                      : whole < UINT64_C(100000000000000000) ? 1000
                                                             : 1;
    int64_t us = scale_epoch(whole, frac, frac_len, unit_ns);
    if (us < 0 || us > CLOCK_WALL_US_MAX) return ERR_INVALID;
    *ret_wall_us = us;
    return 0;
}

int clock_parse_when(const char *s, size_t len, int64_t now, int64_t *ret_wall_us)
{
    int64_t span;
    if (clock_parse_rfc3339(s, len, ret_wall_us) >= 0) return 0;
    if (len && !is_digit(s[len - 1]) && clock_parse_duration(s, len, &span) >= 0) {
        *ret_wall_us = span < now ? now - span : 0;
        return 0;
    }
    return clock_parse_epoch(s, len, ret_wall_us);
}

/*
 * base/clock_span.c -- durations, as options take them and as people read them.
 */
#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>
#include <string.h>

static const struct span_unit {
    char name[4];
    int64_t us;
} span_units[] = {
    {"us", 1},
    {"ms", 1000},
    {"s", 1000000},
    {"m", INT64_C(60000000)},
    {"h", INT64_C(3600000000)},
    {"d", INT64_C(86400000000)},
    {"w", INT64_C(604800000000)},
};

static int64_t unit_us(const char *name, size_t len)
{
    if (!len) return 1000000;
    for (size_t i = 0; i < sizeof span_units / sizeof *span_units; i++)
        if (strlen(span_units[i].name) == len && memcmp(span_units[i].name, name, len) == 0)
            return span_units[i].us;
    return 0;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One "12.5h" at *at. 0 or ERR_INVALID; *ret_us of it, *ret_unit the unit's size. */
static int parse_term(const char *s, size_t len, size_t *at, int64_t *ret_us, int64_t *ret_unit)
{
    int64_t whole = 0, us, weight;
    size_t i = *at, frac_at = 0, frac_end = 0;
    for (; i < len && is_digit(s[i]); i++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, s[i] - '0', &whole))
            return ERR_INVALID;
    if (i == *at) return ERR_INVALID;
    if (i < len && s[i] == '.') {
        frac_at = ++i;
        while (i < len && is_digit(s[i])) i++;
        frac_end = i;
        if (frac_at == frac_end) return ERR_INVALID;
    }
    size_t name_at = i;
    while (i < len && s[i] >= 'a' && s[i] <= 'z') i++;
    int64_t unit = unit_us(s + name_at, i - name_at);
    if (!unit || __builtin_mul_overflow(whole, unit, &us)) return ERR_INVALID;
    weight = unit;
    int64_t denominator = 1;
    for (size_t k = frac_at; k < frac_end && denominator < 1000000; k++) {
        denominator *= 10;
        if (__builtin_add_overflow(us, (s[k] - '0') * weight / denominator, &us))
            return ERR_INVALID;
    }
    *at = i;
    *ret_us = us;
    *ret_unit = unit;
    return 0;
}

int clock_parse_duration(const char *s, size_t len, int64_t *ret_us)
{
    int64_t total = 0, last_unit = INT64_MAX;
    size_t at = 0;
    if (!len) return ERR_INVALID;
    while (at < len) {
        int64_t us, unit;
        int first = at == 0;
        int rc = parse_term(s, len, &at, &us, &unit);
        if (rc < 0) return rc;
        /* "1h30m" goes from large to small; a bare number stands alone. */
        if (unit >= last_unit || (!first && is_digit(s[len - 1]))) return ERR_INVALID;
        if (__builtin_add_overflow(total, us, &total)) return ERR_INVALID;
        last_unit = unit;
    }
    *ret_us = total;
    return 0;
}

char *clock_format_duration(int64_t us, char out[32])
{
    const char *sign = us < 0 ? "-" : "";
    unsigned long long v = us < 0 ? -(unsigned long long)us : (unsigned long long)us;
    unsigned long long sec = v / 1000000;
    if (v < 1000) snprintf(out, 32, "%s%lluus", sign, v);
    else if (v < 1000000) snprintf(out, 32, "%s%llums", sign, v / 1000);
    else if (sec < 60) snprintf(out, 32, "%s%llu.%llus", sign, sec, v / 100000 % 10);
    else if (sec < 3600) snprintf(out, 32, "%s%llum %02llus", sign, sec / 60, sec % 60);
    else if (sec < 86400) snprintf(out, 32, "%s%lluh %02llum", sign, sec / 3600, sec / 60 % 60);
    else snprintf(out, 32, "%s%llud %02lluh", sign, sec / 86400, sec / 3600 % 24);
    return out;
}

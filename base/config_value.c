/*
 * base/config_value.c -- the value of one option: reading it, and saying what is wanted instead.
 */
#include "base/config_int.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int config_parse_bytes(const char *s, int64_t *ret)
{
    static const struct {
        const char *unit;
        int shift;
    } units[] = {
        {"", 0},   {"B", 0},    {"K", 10}, {"KiB", 10}, {"M", 20},
        {"MiB", 20}, {"G", 30}, {"GiB", 30}, {"T", 40}, {"TiB", 40},
    };
    char *end;
    if (!isdigit((unsigned char)*s)) return ERR_INVALID;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(end, units[i].unit) != 0) continue;
        if (errno || v > (INT64_MAX >> units[i].shift)) return ERR_INVALID;
        *ret = (int64_t)v << units[i].shift;
        return 0;
    }
    return ERR_INVALID;
}

static int parse_bool(const char *s, int *ret)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(s, words[i]) != 0) continue;
        *ret = (int)(i % 2);
        return 0;
    }
    return ERR_INVALID;
}

static int is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (const char *c = choices; *c;) {
        size_t n = strcspn(c, "|");
        if (n == len && memcmp(c, value, len) == 0) return 1;
        c += n + (c[n] == '|');
    }
    return 0;
}

static void list_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++) free(list[i]);
    free(list);
}

/* Add the comma separated values to what *list holds. ERR_LIMIT leaves it as it was. */
static int list_add(char ***list, const char *value)
{
    size_t had = 0, n;
    while (*list && (*list)[had]) had++;
    n = had;
    char **grown = must_realloc(*list, (CONFIG_LIST_MAX + 1) * sizeof *grown);
    *list = grown;
    for (const char *p = value; *p;) {
        size_t len = strcspn(p, ",");
        if (len && n == CONFIG_LIST_MAX) {
            while (n > had) free(grown[--n]);
            grown[had] = NULL;
            return ERR_LIMIT;
        }
        if (len) grown[n++] = must_strndup(p, len);
        p += len + (p[len] == ',');
    }
    grown[n] = NULL;
    return 0;
}

static int list_set(char ***list, const char *value)
{
    char **fresh = NULL;
    int rc = list_add(&fresh, value);
    if (rc < 0) {
        list_free(fresh);
        return rc;
    }
    list_free(*list);
    *list = fresh;
    return 0;
}

static int set_number(const struct config_option *o, const char *value, int64_t *ret)
{
    char *end;
    int64_t v = 0;
    int rc = 0;
    switch (o->kind) {
    case CONFIG_BYTES: rc = config_parse_bytes(value, &v); break;
    case CONFIG_DURATION: rc = clock_parse_duration(value, strlen(value), &v); break;
    default:
        errno = 0;
        v = strtoll(value, &end, 10);
        if (errno || end == value || *end || isspace((unsigned char)*value)) rc = ERR_INVALID;
    }
    if (rc >= 0 && (o->min || o->max) && (v < o->min || v > o->max)) rc = ERR_LIMIT;
    if (rc >= 0) *ret = v;
    return rc;
}

static const char *print_number(const struct config_option *o, int64_t v, char out[32])
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    if (o->kind == CONFIG_DURATION) return clock_format_duration(v, out);
    while (o->kind == CONFIG_BYTES && v && v % 1024 == 0 && unit < 4) {
        v /= 1024;
        unit++;
    }
    snprintf(out, 32, "%lld%s", (long long)v, units[unit]);
    return out;
}

static void say_wanted(const struct config_option *o, char *out, size_t size)
{
    char lo[32], hi[32];
    const char *what = "";
    switch (o->kind) {
    case CONFIG_BOOL: snprintf(out, size, "true or false is wanted"); return;
    case CONFIG_STRING: snprintf(out, size, "one of %s is wanted", o->choices); return;
    case CONFIG_LIST: snprintf(out, size, "at most %d values are taken", CONFIG_LIST_MAX); return;
    case CONFIG_BYTES: what = "a size like 64KiB or 2GiB"; break;
    case CONFIG_DURATION: what = "a duration like 250ms, 10s or 5m"; break;
    case CONFIG_COUNT: what = "a whole number"; break;
    }
    if (o->min || o->max)
        snprintf(out, size, "%s from %s to %s is wanted", what, print_number(o, o->min, lo),
                 print_number(o, o->max, hi));
    else snprintf(out, size, "%s is wanted", what);
}

int config__set(const struct config_option *o, void *target, const char *value, int append,
                char *want, size_t want_size)
{
    void *at = (char *)target + o->offset;
    int rc = 0;
    switch (o->kind) {
    case CONFIG_STRING:
        if (o->choices && !is_choice(o->choices, value)) {
            rc = ERR_INVALID;
            break;
        }
        free(*(char **)at);
        *(char **)at = must_strdup(value);
        break;
    case CONFIG_BOOL: rc = parse_bool(value, at); break;
    case CONFIG_LIST: rc = append ? list_add(at, value) : list_set(at, value); break;
    default: rc = set_number(o, value, at);
    }
    if (rc < 0) say_wanted(o, want, want_size);
    return rc < 0 ? ERR_INVALID : 0;
}

void config_release(const struct config_option *table, size_t count, void *target)
{
    for (size_t i = 0; i < count; i++) {
        void **at = (void **)((char *)target + table[i].offset);
        if (table[i].kind != CONFIG_LIST && table[i].kind != CONFIG_STRING) continue;
        if (table[i].kind == CONFIG_LIST) list_free((char **)*at);
        else free(*at);
        *at = NULL;
    }
}

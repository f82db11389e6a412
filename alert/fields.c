/*
 * alert/fields.c -- typed members of a JSON object, and mistakes with their place.
 */
#include "alert/fields.h"

#include "base/clock.h"
#include "base/err.h"
#include "job/id.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fields_fail(const struct fields *f, const char *name, const char *fmt, ...)
{
    va_list ap;

    snprintf(f->why->path, sizeof f->why->path, "%s%s%.64s", f->path,
             name && *name != '[' ? "." : "", name ? name : "");
    va_start(ap, fmt);
    vsnprintf(f->why->text, sizeof f->why->text, fmt, ap);
    va_end(ap);
    return ERR_INVALID;
}

static int is_allowed(const char *const *allowed, const char *name)
{
    for (; *allowed; allowed++)
        if (strcmp(*allowed, name) == 0)
            return 1;
    return 0;
}

int fields_check(const struct fields *f, const char *const *allowed)
{
    if (!json_tree_is_obj(f->v))
        return fields_fail(f, NULL, "an object is wanted");
    for (const struct json_tree *c = json_tree_first(f->v); c; c = json_tree_next(c)) {
        const char *name = json_tree_key(c);
        if (!is_allowed(allowed, name))
            return fields_fail(f, name, "there is no such member");
        if (json_tree_get(f->v, name) != c)
            return fields_fail(f, name, "it is there twice");
    }
    return 0;
}

static const struct json_tree *member(const struct fields *f, const char *name)
{
    const struct json_tree *v = json_tree_get(f->v, name);

    return v && !json_tree_is_null(v) ? v : NULL;
}

int fields_object(const struct fields *f, const char *name, char path[FIELDS_PATH_BYTES],
                  struct fields *ret)
{
    const struct json_tree *v = member(f, name);

    if (!v)
        return 0;
    if (!json_tree_is_obj(v))
        return fields_fail(f, name, "an object is wanted");
    snprintf(path, FIELDS_PATH_BYTES, "%.80s.%.64s", f->path, name);
    ret->v = v;
    ret->path = path;
    ret->why = f->why;
    return 1;
}

int fields_str(const struct fields *f, const char *name, size_t max, const char **ret)
{
    const struct json_tree *v = member(f, name);
    const char *s;

    if (!v)
        return 0;
    if (!(s = json_tree_str(v)))
        return fields_fail(f, name, "a string is wanted");
    if (strlen(s) > max)
        return fields_fail(f, name, "at most %zu bytes are taken", max);
    for (const char *c = s; *c; c++)
        if (((unsigned char)*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f)
            return fields_fail(f, name, "control characters are not taken");
    *ret = s;
    return 1;
}

int fields_id(const struct fields *f, const char *name, const char **ret)
{
    int n = fields_str(f, name, ID_BYTES_MAX, ret);

    if (n > 0 && !id_valid(*ret, strlen(*ret)))
        return fields_fail(
            f, name, "letters, digits, '.', '_', '-' are wanted, the first a letter or digit");
    return n;
}

int fields_bool(const struct fields *f, const char *name, int *ret)
{
    const struct json_tree *v = member(f, name);

    if (!v)
        return 0;
    if (!json_tree_is_bool(v))
        return fields_fail(f, name, "true or false is wanted");
    *ret = json_tree_true(v);
    return 1;
}

int fields_count(const struct fields *f, const char *name, int64_t min, int64_t max, int64_t *ret)
{
    const struct json_tree *v = member(f, name);

    if (!v)
        return 0;
    if (json_tree_i64(v, ret) < 0 || *ret < min || *ret > max)
        return fields_fail(f, name, "a whole number from %" PRId64 " to %" PRId64 " is wanted", min,
                           max);
    return 1;
}

int fields_number(const struct fields *f, const char *name, double *ret)
{
    const struct json_tree *v = member(f, name);

    if (!v)
        return 0;
    if (!json_tree_is_num(v) || !isfinite(json_tree_double(v)))
        return fields_fail(f, name, "a number is wanted");
    *ret = json_tree_double(v);
    return 1;
}

int fields_span(const struct fields *f, const char *name, int64_t min_us, int64_t max_us,
                int64_t *ret_us)
{
    const struct json_tree *v = member(f, name);
    char least[FIELDS_SPAN_BYTES], most[FIELDS_SPAN_BYTES];
    const char *s;

    if (!v)
        return 0;
    if ((s = json_tree_str(v))) {
        if (clock_parse_duration(s, strlen(s), ret_us) < 0)
            return fields_fail(f, name, "a time like \"30s\", \"10m\" or \"2h\" is wanted");
    } else if (json_tree_is_num(v) && json_tree_double(v) >= 0 && json_tree_double(v) < 1e9) {
        *ret_us = (int64_t)(json_tree_double(v) * 1e6);
    } else {
        return fields_fail(f, name, "a time like \"30s\" or a number of seconds is wanted");
    }
    *ret_us = *ret_us / 1000 * 1000; /* milliseconds are written back exactly */
    if (*ret_us < min_us || *ret_us > max_us)
        return fields_fail(f, name, "a time from %s to %s is wanted",
                           fields_span_text(min_us, least), fields_span_text(max_us, most));
    return 1;
}

int fields_time(const struct fields *f, const char *name, int64_t *ret_us)
{
    const struct json_tree *v = member(f, name);
    const char *s;

    if (!v)
        return 0;
    if (!(s = json_tree_str(v)) || clock_parse_rfc3339(s, strlen(s), ret_us) < 0)
        return fields_fail(f, name, "a time like \"2026-11-23T20:54:01Z\" is wanted");
    return 1;
}

int fields_choice(const struct fields *f, const char *name, const char *choices, int *ret)
{
    const struct json_tree *v = member(f, name);
    const char *s, *at = choices;

    if (!v)
        return 0;
    s = json_tree_str(v);
    for (int i = 0; s; i++) {
        size_t len = strcspn(at, "|");
        if (strlen(s) == len && memcmp(s, at, len) == 0) {
            *ret = i;
            return 1;
        }
        if (!at[len])
            break;
        at += len + 1;
    }
    return fields_fail(f, name, "one of %s is wanted", choices);
}

const char *fields_span_text(int64_t us, char out[FIELDS_SPAN_BYTES])
{
    static const struct {
        int64_t us;
        const char *unit;
    } units[] = {{INT64_C(86400000000), "d"},
                 {INT64_C(3600000000), "h"},
                 {60000000, "m"},
                 {1000000, "s"},
                 {1000, "ms"}};

    snprintf(out, FIELDS_SPAN_BYTES, "%" PRId64 "us", us);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (us % units[i].us == 0) {
            snprintf(out, FIELDS_SPAN_BYTES, "%" PRId64 "%s", us / units[i].us,
                     us ? units[i].unit : "s");
            break;
        }
    }
    return out;
}

void fields_put_span(struct json *j, const char *key, int64_t us)
{
    char text[FIELDS_SPAN_BYTES];

    json_kstr(j, key, fields_span_text(us, text));
}

void fields_put_time(struct json *j, const char *key, int64_t us)
{
    char text[CLOCK_RFC3339_BYTES + 1];

    json_kstr(j, key, us ? clock_rfc3339(us, text) : NULL);
}

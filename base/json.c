/*
 * base/json.c -- writing JSON text, and unescaping JSON strings.
 *
 * A value is preceded by a comma when its level already holds one; the key of a member takes the
 * comma, its value then takes none. The first error of the buffer sticks, later calls do nothing.
 */
#include "base/json.h"

#include "base/check.h"
#include "base/err.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void json_init(struct json *j, struct buf *out)
{
    memset(j, 0, sizeof *j);
    j->out = out;
}

void json_init_may_fail(struct json *j, struct buf *out)
{
    json_init(j, out);
    j->may_fail = 1;
}

static void note(struct json *j, int err)
{
    j->err = j->may_fail ? err : must_have(err);
}

static void add(struct json *j, const char *s, size_t len)
{
    if (j->err >= 0) note(j, buf_add(j->out, s, len));
}

static void before_value(struct json *j)
{
    if (j->after_key) {
        j->after_key = 0;
        return;
    }
    if (!j->depth) return;
    CHECK(j->kind[j->depth - 1] == '[');
    if (j->comma[j->depth - 1]) add(j, ",", 1);
    j->comma[j->depth - 1] = 1;
}

static void open_level(struct json *j, char kind)
{
    before_value(j);
    CHECKF(j->depth < JSON_DEPTH_MAX, "depth=%d", j->depth);
    j->kind[j->depth] = (unsigned char)kind;
    j->comma[j->depth] = 0;
    j->depth++;
    add(j, &kind, 1);
}

void json_obj(struct json *j)
{
    open_level(j, '{');
}

void json_arr(struct json *j)
{
    open_level(j, '[');
}

void json_end(struct json *j)
{
    CHECK(j->depth > 0 && !j->after_key);
    j->depth--;
    add(j, j->kind[j->depth] == '{' ? "}" : "]", 1);
}

static void quoted(struct json *j, const char *s, size_t len)
{
    add(j, "\"", 1);
    if (j->err >= 0) note(j, json_escape(j->out, s, len));
    add(j, "\"", 1);
}

void json_key(struct json *j, const char *key)
{
    CHECK(j->depth > 0 && j->kind[j->depth - 1] == '{' && !j->after_key);
    if (j->comma[j->depth - 1]) add(j, ",", 1);
    j->comma[j->depth - 1] = 1;
    quoted(j, key, strlen(key));
    add(j, ":", 1);
    j->after_key = 1;
}

void json_str(struct json *j, const char *s)
{
    if (s) json_strn(j, s, strlen(s));
    else json_null(j);
}

void json_strn(struct json *j, const char *s, size_t len)
{
    before_value(j);
    quoted(j, s, len);
}

void json_u64(struct json *j, uint64_t v)
{
    before_value(j);
    if (j->err >= 0) note(j, buf_addu64(j->out, v));
}

void json_i64(struct json *j, int64_t v)
{
    before_value(j);
    if (v < 0) add(j, "-", 1);
    if (j->err >= 0) note(j, buf_addu64(j->out, v < 0 ? -(uint64_t)v : (uint64_t)v));
}

void json_double(struct json *j, double v)
{
    char text[40];
    if (!isfinite(v)) {
        json_null(j);
        return;
    }
    before_value(j);
    snprintf(text, sizeof text, "%.15g", v);
    double back = 0;
    if (sscanf(text, "%lf", &back) != 1 || back != v) snprintf(text, sizeof text, "%.17g", v);
    for (char *p = text; *p; p++) /* a locale may have its own decimal point */
        if (*p == ',') *p = '.';
    add(j, text, strlen(text));
}

void json_bool(struct json *j, int v)
{
    before_value(j);
    add(j, v ? "true" : "false", v ? 4 : 5);
}

void json_null(struct json *j)
{
    before_value(j);
    add(j, "null", 4);
}

void json_raw(struct json *j, const char *text, size_t len)
{
    before_value(j);
    add(j, text, len);
}

int json_err(const struct json *j)
{
    return j->err;
}

void json_kstr(struct json *j, const char *key, const char *s)
{
    json_key(j, key);
    json_str(j, s);
}

void json_kstrn(struct json *j, const char *key, const char *s, size_t len)
{
    json_key(j, key);
    json_strn(j, s, len);
}

void json_ku64(struct json *j, const char *key, uint64_t v)
{
    json_key(j, key);
    json_u64(j, v);
}

void json_ki64(struct json *j, const char *key, int64_t v)
{
    json_key(j, key);
    json_i64(j, v);
}

void json_kbool(struct json *j, const char *key, int v)
{
    json_key(j, key);
    json_bool(j, v);
}

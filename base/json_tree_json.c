/*
 * base/json_tree_json.c -- the strict reader over cJSON.
 *
 * A lint pass looks at what cJSON 1.7.15 would let through or cut: invalid UTF-8, raw control bytes,
 * NUL, \u0000 and bad \u digits, numbers like 01 or 1., nesting. Then cJSON builds the tree.
 */
#include "base/json_tree.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/utf8.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define JSON_TREE_DEPTH_MAX 64
#define EXACT_MAX 9007199254740991.0 /* 2^53 - 1: above it two numbers share a double */
#define US_MAX ((double)CLOCK_WALL_US_MAX)

/* cJSON tells a fault in the text and want of memory apart by nothing: its allocator is ours and remembers. */
static _Thread_local int lacks_memory;

static void *take(size_t bytes)
{
    void *p = malloc(bytes);
    if (!p) lacks_memory = 1;
    return p;
}

__attribute__((constructor)) static void set_allocator(void)
{
    cJSON_Hooks hooks = {take, free};
    cJSON_InitHooks(&hooks);
}

static const cJSON *node(const struct json_tree *v)
{
    return (const cJSON *)v;
}

static const struct json_tree *tree(const cJSON *c)
{
    return (const struct json_tree *)c;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The four digits of a \u escape at s[i]. cJSON reads bad ones as 0, and 0 as the string's end. */
static int lint_hex4(const char *s, size_t len, size_t i)
{
    if (len - i < 4) return 0;
    for (size_t k = i; k < i + 4; k++)
        if (!is_hex(s[k])) return 0;
    return memcmp(s + i, "0000", 4) != 0;
}

/* Past the quote of a string at s[i]: the index after its closing quote; 0 for a fault at *at. */
static size_t lint_string(const char *s, size_t len, size_t i, size_t *at)
{
    for (; i < len; i++) {
        *at = i;
        if (s[i] == '"') return i + 1;
        if ((unsigned char)s[i] < 0x20) return 0;
        if (s[i] != '\\') continue;
        if (++i == len) return 0;
        if (s[i] == 'u' && !lint_hex4(s, len, i + 1)) return 0;
    }
    *at = len;
    return 0;
}

static size_t skip_digits(const char *s, size_t len, size_t i)
{
    while (i < len && is_digit(s[i])) i++;
    return i;
}

/* The number at s[i] by JSON's grammar (strtod takes more): the index after it; 0 for a fault. */
static size_t lint_number(const char *s, size_t len, size_t i)
{
    size_t start;
    i += s[i] == '-';
    start = i;
    i = skip_digits(s, len, i);
    if (i == start || (s[start] == '0' && i > start + 1)) return 0;
    if (i < len && s[i] == '.') {
        start = ++i;
        i = skip_digits(s, len, i);
        if (i == start) return 0;
    }
    if (i < len && (s[i] == 'e' || s[i] == 'E')) {
        i++;
        if (i < len && (s[i] == '+' || s[i] == '-')) i++;
        start = i;
        i = skip_digits(s, len, i);
        if (i == start) return 0;
    }
    return i;
}

static int lint(const char *s, size_t len, size_t *at)
{
    int depth = 0;
    *at = utf8_valid_prefix(s, len);
    if (*at != len) return ERR_INVALID;
    for (size_t i = 0; i < len;) {
        char c = s[i];
        *at = i;
        if (c == '"') {
            if (!(i = lint_string(s, len, i + 1, at))) return ERR_INVALID;
            continue;
        }
        if (c == '-' || is_digit(c)) {
            if (!(i = lint_number(s, len, i))) return ERR_INVALID;
            continue;
        }
        if ((c == '{' || c == '[') && ++depth > JSON_TREE_DEPTH_MAX) return ERR_TOO_BIG;
        if (c == '}' || c == ']') depth--;
        if ((unsigned char)c < 0x20 && c != '\n' && c != '\r' && c != '\t') return ERR_INVALID;
        if ((unsigned char)c > 0x7e) return ERR_INVALID; /* a byte order mark, too */
        i++;
    }
    return 0;
}

static int parse(const char *text, size_t len, size_t bytes_max, struct json_tree **ret_root, size_t *ret_at)
{
    size_t at = 0;
    const char *end = NULL;
    int err = len > bytes_max ? ERR_TOO_BIG : lint(text, len, &at);
    if (err) goto out;
    lacks_memory = 0;
    cJSON *root = cJSON_ParseWithLengthOpts(text, len, &end, 0);
    at = end && end >= text && end <= text + len ? (size_t)(end - text) : 0;
    if (!root) {
        err = lacks_memory ? ERR_NOMEM : ERR_INVALID;
        goto out;
    }
    while (at < len && strchr(" \t\r\n", text[at]) && text[at]) at++;
    if (at != len) {
        cJSON_Delete(root);
        err = ERR_INVALID;
        goto out;
    }
    *ret_root = (struct json_tree *)root;
out:
    if (ret_at) *ret_at = at;
    return err;
}

/* text with each \u0000 as \ufffd, which is as long; NULL: no memory. A backslash outside of strings is cJSON's to refuse. */
static char *without_nuls(const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy) return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    for (size_t i = 0; i + 1 < len; i++) {
        if (copy[i] != '\\') continue;
        i++;
        if (len - i >= 5 && memcmp(copy + i, "u0000", 5) == 0) memcpy(copy + i + 1, "fffd", 4);
    }
    return copy;
}

int json_tree_parse_max(const char *text, size_t len, size_t bytes_max, struct json_tree **ret_root, size_t *ret_at)
{
    char *copy = NULL;
    int err = 0;
    if (len <= bytes_max && len && memmem(text, len, "\\u0000", 6)) {
        copy = without_nuls(text, len);
        if (!copy) err = ERR_NOMEM;
    }
    if (!err) err = parse(copy ? copy : text, len, bytes_max, ret_root, ret_at);
    free(copy);
    return err;
}

int json_tree_parse_own(const char *text, size_t len, struct json_tree **ret_root)
{
    return must_have(json_tree_parse_max(text, len, JSON_TREE_BYTES_MAX, ret_root, NULL));
}

int json_tree_parse(const char *text, size_t len, struct json_tree **ret_root, size_t *ret_at)
{
    return parse(text, len, JSON_TREE_BYTES_MAX, ret_root, ret_at);
}

void json_tree_free(struct json_tree **root)
{
    cJSON_Delete((cJSON *)*root);
    *root = NULL;
}

int json_tree_is_obj(const struct json_tree *v)
{
    return cJSON_IsObject(node(v));
}

int json_tree_is_arr(const struct json_tree *v)
{
    return cJSON_IsArray(node(v));
}

int json_tree_is_str(const struct json_tree *v)
{
    return cJSON_IsString(node(v));
}

int json_tree_is_num(const struct json_tree *v)
{
    return cJSON_IsNumber(node(v));
}

int json_tree_is_bool(const struct json_tree *v)
{
    return cJSON_IsBool(node(v));
}

int json_tree_is_null(const struct json_tree *v)
{
    return cJSON_IsNull(node(v));
}

int json_tree_true(const struct json_tree *v)
{
    return cJSON_IsTrue(node(v));
}

const struct json_tree *json_tree_get(const struct json_tree *v, const char *key)
{
    return json_tree_is_obj(v) ? tree(cJSON_GetObjectItemCaseSensitive(node(v), key)) : NULL;
}

const struct json_tree *json_tree_first(const struct json_tree *v)
{
    return json_tree_is_obj(v) || json_tree_is_arr(v) ? tree(node(v)->child) : NULL;
}

const struct json_tree *json_tree_next(const struct json_tree *v)
{
    return tree(node(v)->next);
}

const char *json_tree_key(const struct json_tree *v)
{
    return node(v)->string;
}

const char *json_tree_str(const struct json_tree *v)
{
    return json_tree_is_str(v) ? node(v)->valuestring : NULL;
}

double json_tree_double(const struct json_tree *v)
{
    return json_tree_is_num(v) ? node(v)->valuedouble : NAN;
}

int json_tree_us(const struct json_tree *v, int64_t *ret)
{
    double us = json_tree_double(v) * 1e6;
    if (!(fabs(us) <= US_MAX)) return ERR_INVALID;
    *ret = (int64_t)us;
    return 0;
}

int json_tree_i64(const struct json_tree *v, int64_t *ret)
{
    double d = json_tree_double(v);
    if (!(fabs(d) <= EXACT_MAX) || d != floor(d)) return ERR_INVALID;
    *ret = (int64_t)d;
    return 0;
}

/* The member unless absent or null. */
static const struct json_tree *present(const struct json_tree *v, const char *key)
{
    const struct json_tree *m = json_tree_get(v, key);
    return m && !json_tree_is_null(m) ? m : NULL;
}

int json_tree_get_str(const struct json_tree *v, const char *key, const char **ret)
{
    const struct json_tree *m = present(v, key);
    if (!m) return 0;
    if (!json_tree_is_str(m)) return ERR_INVALID;
    *ret = json_tree_str(m);
    return 1;
}

int json_tree_get_i64(const struct json_tree *v, const char *key, int64_t *ret)
{
    const struct json_tree *m = present(v, key);
    if (!m) return 0;
    return json_tree_i64(m, ret) == 0 ? 1 : ERR_INVALID;
}

int json_tree_get_bool(const struct json_tree *v, const char *key, int *ret)
{
    const struct json_tree *m = present(v, key);
    if (!m) return 0;
    if (!json_tree_is_bool(m)) return ERR_INVALID;
    *ret = json_tree_true(m);
    return 1;
}

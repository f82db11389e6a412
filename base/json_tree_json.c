/*
 * base/json_tree_json.c -- the strict reader over cJSON.
 *
 * A lint pass looks at what cJSON 1.7.15 would let through or cut: invalid UTF-8, raw control bytes
 * in strings, NUL, \u0000, numbers like 01, nesting. Then cJSON builds the tree.
 */
#include "base/json_tree.h"

#include "base/err.h"
#include "base/utf8.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#define JSON_TREE_DEPTH_MAX 64
#define EXACT_MAX 9007199254740992.0 /* 2^53 */

static const cJSON *node(const struct json_tree *v) { return (const cJSON *)v; }
static const struct json_tree *tree(const cJSON *c) { return (const struct json_tree *)c; }

/* At s[i] inside a string, past the quote: the index after the closing quote, or 0 for a fault at *at. */
static size_t lint_string(const char *s, size_t len, size_t i, size_t *at) {
    for (; i < len; i++) {
        *at = i;
        if (s[i] == '"') return i + 1;
        if ((unsigned char)s[i] < 0x20) return 0;
        if (s[i] != '\\') continue;
        if (++i == len) return 0;
        if (s[i] == 'u' && i + 4 < len && memcmp(s + i + 1, "0000", 4) == 0) return 0;
    }
    return 0;
}

/* A number starts at s[i]: JSON's grammar forbids leading zeros and '+', which strtod takes. */
static int lint_number(const char *s, size_t len, size_t i) {
    if (s[i] == '-') i++;
    if (i == len || s[i] < '0' || s[i] > '9') return 0;
    if (s[i] == '0' && i + 1 < len && s[i + 1] >= '0' && s[i + 1] <= '9') return 0;
    return 1;
}

static int lint(const char *s, size_t len, size_t *at) {
    int depth = 0;
    *at = utf8_valid_prefix(s, len);
    if (*at != len) return ERR_INVALID;
    for (size_t i = 0; i < len;) {
        *at = i;
        char c = s[i];
        if (c == '"') {
            if (!(i = lint_string(s, len, i + 1, at))) return ERR_INVALID;
            continue;
        }
        if (c == '{' || c == '[') {
            if (++depth > JSON_TREE_DEPTH_MAX) return ERR_TOO_BIG;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            if (!lint_number(s, len, i)) return ERR_INVALID;
            while (i < len && strchr("+-.eE0123456789", s[i]) && s[i]) i++;
            continue;
        } else if ((unsigned char)c < 0x20 && c != '\n' && c != '\r' && c != '\t') {
            return ERR_INVALID;
        }
        i++;
    }
    return 0;
}

int json_tree_parse(const char *text, size_t len, struct json_tree **ret_root, size_t *ret_at) {
    size_t at = 0;
    const char *end = NULL;
    int err = len > JSON_TREE_BYTES_MAX ? ERR_TOO_BIG : lint(text, len, &at);
    if (err) goto out;
    cJSON *root = cJSON_ParseWithLengthOpts(text, len, &end, 0);
    at = end ? (size_t)(end - text) : 0;
    if (!root) {
        err = ERR_INVALID;
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

void json_tree_free(struct json_tree **root) {
    cJSON_Delete((cJSON *)*root);
    *root = NULL;
}

int json_tree_is_obj(const struct json_tree *v) { return cJSON_IsObject(node(v)); }
int json_tree_is_arr(const struct json_tree *v) { return cJSON_IsArray(node(v)); }
int json_tree_is_str(const struct json_tree *v) { return cJSON_IsString(node(v)); }
int json_tree_is_num(const struct json_tree *v) { return cJSON_IsNumber(node(v)); }
int json_tree_is_bool(const struct json_tree *v) { return cJSON_IsBool(node(v)); }
int json_tree_is_null(const struct json_tree *v) { return cJSON_IsNull(node(v)); }
int json_tree_true(const struct json_tree *v) { return cJSON_IsTrue(node(v)); }

const struct json_tree *json_tree_get(const struct json_tree *v, const char *key) {
    return json_tree_is_obj(v) ? tree(cJSON_GetObjectItemCaseSensitive(node(v), key)) : NULL;
}

const struct json_tree *json_tree_first(const struct json_tree *v) {
    return json_tree_is_obj(v) || json_tree_is_arr(v) ? tree(node(v)->child) : NULL;
}

const struct json_tree *json_tree_next(const struct json_tree *v) { return tree(node(v)->next); }
const char *json_tree_key(const struct json_tree *v) { return node(v)->string; }
const char *json_tree_str(const struct json_tree *v) { return json_tree_is_str(v) ? node(v)->valuestring : NULL; }
double json_tree_double(const struct json_tree *v) { return json_tree_is_num(v) ? node(v)->valuedouble : NAN; }

int json_tree_i64(const struct json_tree *v, int64_t *ret) {
    double d = json_tree_double(v);
    if (!(fabs(d) <= EXACT_MAX) || d != floor(d)) return ERR_INVALID;
    *ret = (int64_t)d;
    return 0;
}

/* The member unless absent or null. */
static const struct json_tree *present(const struct json_tree *v, const char *key) {
    const struct json_tree *m = json_tree_get(v, key);
    return m && !json_tree_is_null(m) ? m : NULL;
}

int json_tree_get_str(const struct json_tree *v, const char *key, const char **ret) {
    const struct json_tree *m = present(v, key);
    if (!m) return 0;
    if (!json_tree_is_str(m)) return ERR_INVALID;
    *ret = json_tree_str(m);
    return 1;
}

int json_tree_get_i64(const struct json_tree *v, const char *key, int64_t *ret) {
    const struct json_tree *m = present(v, key);
    if (!m) return 0;
    return json_tree_i64(m, ret) == 0 ? 1 : ERR_INVALID;
}

int json_tree_get_bool(const struct json_tree *v, const char *key, int *ret) {
    const struct json_tree *m = present(v, key);
    if (!m) return 0;
    if (!json_tree_is_bool(m)) return ERR_INVALID;
    *ret = json_tree_true(m);
    return 1;
}

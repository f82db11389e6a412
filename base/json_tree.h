/*
 * base/json_tree.h -- reading small JSON documents: control messages and API bodies.
 *
 * A strict reader over cJSON (base/json_tree_json.c is its only door): the whole input must be one
 * value, valid UTF-8, no raw control bytes, no NUL and no \u0000 (cJSON would cut the string
 * there; but see json_tree_parse_max), keys compared with case. Not for log lines: see ingest/scan.h.
 * Limits     JSON_TREE_BYTES_MAX of input, depth 64 (ERR_TOO_BIG, ERR_INVALID).
 */
#ifndef BASE_JSON_TREE_H
#define BASE_JSON_TREE_H

#include <stddef.h>
#include <stdint.h>

#define JSON_TREE_BYTES_MAX (1UL << 20)

struct json_tree; /* a value; the root owns all */

/* ERR_INVALID, ERR_TOO_BIG: *ret_at (may be NULL) is the byte offset where reading stopped. ERR_NOMEM: nobody knows. */
int json_tree_parse(const char *text, size_t len, struct json_tree **ret_root, size_t *ret_at);
/* The same with a limit of its own, for documents that we wrote ourselves. They may quote lines, and a line may hold a NUL:
 * \u0000 is read as U+FFFD. ERR_NOMEM then, too. */
int json_tree_parse_max(const char *text, size_t len, size_t bytes_max, struct json_tree **ret_root, size_t *ret_at);
/* Those of ordinary size, where it does not matter where reading stopped. Never ERR_NOMEM, which would be taken for damage: the
 * process ends, as by must_malloc(). */
int json_tree_parse_own(const char *text, size_t len, struct json_tree **ret_root);
void json_tree_free(struct json_tree **root);

int json_tree_is_obj(const struct json_tree *v);
int json_tree_is_arr(const struct json_tree *v);
int json_tree_is_str(const struct json_tree *v);
int json_tree_is_num(const struct json_tree *v);
int json_tree_is_bool(const struct json_tree *v);
int json_tree_is_null(const struct json_tree *v);
/* Member by exact name, NULL when absent or v is no object. */
const struct json_tree *json_tree_get(const struct json_tree *v, const char *key);
/* Child iteration over an object or array: first child, then next. Key is NULL in arrays. */
const struct json_tree *json_tree_first(const struct json_tree *v);
const struct json_tree *json_tree_next(const struct json_tree *v);
const char *json_tree_key(const struct json_tree *v);
/* NULL when not a string. */
const char *json_tree_str(const struct json_tree *v);
int json_tree_true(const struct json_tree *v);
/* Whole numbers within +-(2^53 - 1); ERR_INVALID otherwise. */
int json_tree_i64(const struct json_tree *v, int64_t *ret);
double json_tree_double(const struct json_tree *v);
/* Seconds as microseconds. ERR_INVALID: no number, or more than there are until the year 9999. */
int json_tree_us(const struct json_tree *v, int64_t *ret);

/* Shorthand on members: 1 found and of the type, 0 absent or null, ERR_INVALID wrong type. */
int json_tree_get_str(const struct json_tree *v, const char *key, const char **ret);
int json_tree_get_i64(const struct json_tree *v, const char *key, int64_t *ret);
int json_tree_get_bool(const struct json_tree *v, const char *key, int *ret);

struct json;
/* v as one value of j: compact, members in their order; numbers that are no whole ones as doubles. Levels below
 * JSON_DEPTH_MAX - 2 are left out. */
void json_tree_print(struct json *j, const struct json_tree *v);

#endif

/*
 * alert/fields.h -- reading an object of configuration member by member, with the exact place of a mistake.
 *
 *     struct fields f = {root, "$", &why};
 *     if (fields_span(&f, "dedup", min, max, &us) < 0) return ERR_INVALID;      // why: "$.dedup", "…"
 *
 * Every reader: 1 found, 0 absent or null, ERR_INVALID with why filled.
 */
#ifndef ALERT_FIELDS_H
#define ALERT_FIELDS_H

#include "base/json.h"
#include "base/json_tree.h"

#include <stddef.h>
#include <stdint.h>

#define FIELDS_PATH_BYTES 160
#define FIELDS_WHY_BYTES 320

/* What is wrong, and where: "$.line.pattern". */
struct fields_why {
    char path[FIELDS_PATH_BYTES];
    char text[FIELDS_WHY_BYTES];
};

struct fields {
    const struct json_tree *v; /* an object */
    const char *path;
    struct fields_why *why;
};

/* Fill why: path of f, ".name" when name is not NULL, and the sentence. ERR_INVALID, always. */
int fields_fail(const struct fields *f, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Is f's value an object, with no members but these (NULL-terminated)? 0. */
int fields_check(const struct fields *f, const char *const *allowed);
/* An object under name: 1 and *ret, whose path is kept in path. */
int fields_object(const struct fields *f, const char *name, char path[FIELDS_PATH_BYTES],
                  struct fields *ret);
/* 0 to max bytes, no control characters but \n and \t. Borrowed. */
int fields_str(const struct fields *f, const char *name, size_t max, const char **ret);
int fields_id(const struct fields *f, const char *name, const char **ret);
int fields_bool(const struct fields *f, const char *name, int *ret);
int fields_count(const struct fields *f, const char *name, int64_t min, int64_t max, int64_t *ret);
int fields_number(const struct fields *f, const char *name, double *ret);
/* "10m" or seconds, in microseconds. */
int fields_span(const struct fields *f, const char *name, int64_t min_us, int64_t max_us,
                int64_t *ret_us);
/* RFC 3339. */
int fields_time(const struct fields *f, const char *name, int64_t *ret_us);
/* One of "a|b|c": its number. */
int fields_choice(const struct fields *f, const char *name, const char *choices, int *ret);

/* Shortest text that reads back as us: "10m", "90s", "1500ms". Returns out. */
#define FIELDS_SPAN_BYTES 32
const char *fields_span_text(int64_t us, char out[FIELDS_SPAN_BYTES]);
void fields_put_span(struct json *j, const char *key, int64_t us);
/* RFC 3339, or null for 0. */
void fields_put_time(struct json *j, const char *key, int64_t us);

#endif

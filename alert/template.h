/*
 * alert/template.h -- text with places to fill in: "{{job}}: rank {{rank}} out of memory".
 *
 * A place is {{name}}, spaces around the name allowed. Names are known beforehand and checked when the
 * template is made; `captures.x`, `labels.x` and `annotations.x` take any x that the maker knows of. What has
 * no value is filled with nothing. Nothing else is special: no loops, no conditions, no code.
 *
 *     id rule title severity status project job rank replica stream level state seq at starts_at ends_at
 *     line evidence value threshold count step exit_code message url postmortem reason
 *
 * Limits     TEMPLATE_BYTES_MAX of text; what is rendered is cut at TEMPLATE_OUT_BYTES_MAX, at a character.
 */
#ifndef ALERT_TEMPLATE_H
#define ALERT_TEMPLATE_H

#include "base/buf.h"

#define TEMPLATE_BYTES_MAX 8192
#define TEMPLATE_PLACES_MAX 64
#define TEMPLATE_OUT_BYTES_MAX (64 * 1024)

struct template;

struct template_names {
    /* Is x of captures.x, labels.x, annotations.x known? NULL: none is. */
    int (*captures)(const void *user, const char *x);
    int (*labels)(const void *user, const char *x);
    int (*annotations)(const void *user, const char *x);
    const void *user;
};
/* ERR_INVALID, ERR_TOO_BIG with why: the place and what is wrong with it. */
int template_new(const char *text, const struct template_names *names,
                 struct template **ret_template, char *why, size_t why_size);
void template_free(struct template **t);

/* The value of a name; NULL: none. Borrowed until the next call. */
typedef const char *template_value_fn(void *user, const char *name, size_t *ret_len);
/* is_json: values are escaped as inside a JSON string. ERR_NOMEM. */
int template_render(const struct template *t, struct buf *out, int is_json,
                    template_value_fn *value, void *user);

#endif

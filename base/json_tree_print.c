/*
 * base/json_tree_print.c -- a parsed value written again as JSON text.
 */
#include "base/json.h"
#include "base/json_tree.h"

void json_tree_print(struct json *j, const struct json_tree *v)
{
    int64_t whole;
    if (json_tree_is_obj(v) || json_tree_is_arr(v)) {
        json_tree_is_obj(v) ? json_obj(j) : json_arr(j);
        for (const struct json_tree *c = json_tree_first(v); c && j->depth < JSON_DEPTH_MAX - 2;
             c = json_tree_next(c)) {
            if (json_tree_is_obj(v)) json_key(j, json_tree_key(c));
            json_tree_print(j, c);
        }
        json_end(j);
    } else if (json_tree_is_str(v)) {
        json_str(j, json_tree_str(v));
    } else if (json_tree_is_bool(v)) {
        json_bool(j, json_tree_true(v));
    } else if (json_tree_is_num(v)) {
        json_tree_i64(v, &whole) == 0 ? json_i64(j, whole) : json_double(j, json_tree_double(v));
    } else {
        json_null(j);
    }
}

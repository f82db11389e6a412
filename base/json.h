/*
 * base/json.h -- writing JSON text, and unescaping JSON strings.
 *
 * Writing is ours (fast, exact integers, escapes by RFC 8259: '"', '\\', controls as \b \f \n \r
 * \t or \u00XX; bytes >= 0x80 are copied: callers give valid UTF-8). Parsing whole documents
 * (control messages, configuration) is not here: base/json_tree.h over cJSON. Log lines are
 * scanned in ingest/.
 *
 * The writer keeps commas and nesting by itself:
 *     struct json j; json_init(&j, &buf);
 *     json_obj(&j); json_key(&j, "seq"); json_u64(&j, 7); json_end(&j);
 * Memory     Without it the process ends, as by must_malloc(): half a document is of no use to anybody. Large ones, and those
 *            whose writer can say so, are begun with json_init_may_fail(): then json_err() is to be asked.
 * Limits     JSON_DEPTH_MAX levels (CHECKed: it is our own document). Of a buffer with a limit: ERR_TOO_BIG, by json_err().
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

#define JSON_DEPTH_MAX 32

struct json {
    struct buf *out;
    int depth;
    int err;                          /* first error of the buffer, sticky; see json_err() */
    unsigned char kind[JSON_DEPTH_MAX];  /* '{' or '[' */
    unsigned char comma[JSON_DEPTH_MAX];
    unsigned char after_key;
    unsigned char may_fail;
};

void json_init(struct json *j, struct buf *out);
void json_init_may_fail(struct json *j, struct buf *out);
void json_obj(struct json *j);
void json_arr(struct json *j);
void json_end(struct json *j);
void json_key(struct json *j, const char *key);
void json_str(struct json *j, const char *s);             /* NULL writes null */
void json_strn(struct json *j, const char *s, size_t len);
void json_u64(struct json *j, uint64_t v);
void json_i64(struct json *j, int64_t v);
void json_double(struct json *j, double v);               /* NaN, inf: null */
void json_bool(struct json *j, int v);
void json_null(struct json *j);
/* Already-valid JSON text, as one value. */
void json_raw(struct json *j, const char *text, size_t len);
int json_err(const struct json *j);

/* "key": value in one call. */
void json_kstr(struct json *j, const char *key, const char *s);
void json_kstrn(struct json *j, const char *key, const char *s, size_t len);
void json_ku64(struct json *j, const char *key, uint64_t v);
void json_ki64(struct json *j, const char *key, int64_t v);
void json_kbool(struct json *j, const char *key, int v);

/* Append s escaped, without quotes. */
int json_escape(struct buf *out, const char *s, size_t len);
/* Append the unescaped form of the inside of a valid JSON string. \u pairs become UTF-8, lone
 * surrogates U+FFFD. ERR_INVALID on a bad escape (out keeps what was written before it). */
int json_unescape(struct buf *out, const char *s, size_t len);

#endif

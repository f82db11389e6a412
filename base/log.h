/*
 * base/log.h -- joblog's own log: one event per line, with the room it came from.
 *
 * Text on a terminal ("20:54:01.123 WARN  storage: trim refused job=demo/x upto=812"), JSON
 * otherwise ({"ts":…,"level":"warn","room":"storage","msg":"…","job":…}). Written to stderr with
 * one write(2). Values are escaped: no input of a peer can forge a second event.
 *
 *     log_warn("storage", "trim refused", "job=%s upto=%llu", key, upto);
 *
 * The third argument formats key=value pairs, values with spaces inside LOG_Q("%s"); it may be
 * NULL. Repeated events: use log_every() to log at most once per period with a count.
 * Threads    Any.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

/* A format piece for values that may hold spaces: log_info("x", "m", "why=" LOG_Q("%s"), why) */
#define LOG_Q(format) "\x01" format "\x01"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

void log_setup(enum log_level min, enum log_format format);
/* ERR_INVALID for unknown names: debug info warn error; auto text json. */
int log_level_parse(const char *s, enum log_level *ret);
int log_format_parse(const char *s, enum log_format *ret);

void log_event(enum log_level level, const char *room, const char *msg, const char *kv_fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define log_debug(room, msg, ...) log_event(LOG_DEBUG, room, msg, __VA_ARGS__)
#define log_info(room, msg, ...) log_event(LOG_INFO, room, msg, __VA_ARGS__)
#define log_warn(room, msg, ...) log_event(LOG_WARN, room, msg, __VA_ARGS__)
#define log_error(room, msg, ...) log_event(LOG_ERROR, room, msg, __VA_ARGS__)

/* A repeated fault: true at most once per period; *ret_suppressed is how often it was silent
 * since. */
struct log_every {
    int64_t next_us;
    uint64_t suppressed;
};
int log_every(struct log_every *e, int64_t period_us, uint64_t *ret_suppressed);

#endif

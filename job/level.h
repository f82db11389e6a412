/*
 * job/level.h -- how serious a line is, given or read from its text.
 *
 * Canonical names: trace debug info warn error fatal. Accepted in any case with the usual others:
 * warning, err, critical, crit, panic, emerg, alert, notice, syslog 0-7, Python's 10..50.
 */
#ifndef JOB_LEVEL_H
#define JOB_LEVEL_H

#include <stddef.h>

enum level { LEVEL_NONE, LEVEL_TRACE, LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR, LEVEL_FATAL, LEVEL_COUNT };
#define LEVEL_BIT(l) (1u << (l))

/* "info"; "" for LEVEL_NONE. */
const char *level_name(enum level l);
/* LEVEL_NONE when it is no level name. */
enum level level_parse(const char *s, size_t len);
/* From the text of a line, or LEVEL_NONE. Looks at the first 256 bytes (ANSI colour skipped):
 * Python logging ("WARNING:root:", "2026-… - name - ERROR - ", "[ERROR]", "ERROR 2026-…"),
 * NCCL ("NCCL WARN", "NCCL INFO"), glog ("E1123 20:54:01.123 …", "W1123"), tracebacks
 * ("Traceback (most recent call last):", "SomeError: …", "SomeException: …" at line start), "CUDA error",
 * "terminate called", "Segmentation fault", rust/go "panic:". Never guesses from a word inside prose. */
enum level level_from_text(const char *text, size_t len);

#endif

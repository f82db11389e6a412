/*
 * job/redact_int.h -- what the files of the redaction share.
 */
#ifndef JOB_REDACT_INT_H
#define JOB_REDACT_INT_H

#include "job/redact.h"

#define REDACT_GRAMS 4096 /* a power of two */

struct redact_span {
    size_t from, to;
    enum redact_kind kind;
};

/* Which detectors may begin with these three bytes, in either case; one bit each. */
void redact__fill_grams(uint8_t grams[REDACT_GRAMS]);
/* Where a detector may begin, at or after at; len: nowhere. */
size_t redact__candidate(const uint8_t grams[REDACT_GRAMS], const char *text, size_t len, size_t at);
/* A secret (or REDACT_PRIVATE_KEY: the BEGIN line's marker) that the bytes at `at` announce. 1 and its span, 0. */
int redact__detect(const uint8_t grams[REDACT_GRAMS], const char *text, size_t len, size_t at, struct redact_span *ret);
/* The first "-----END …PRIVATE KEY…-----" at or after at: 1 and its bounds. */
int redact__key_end(const char *text, size_t len, size_t at, size_t *ret_from, size_t *ret_to);
/* Where the bytes of a key begin that stand right before `to`, not before from. */
size_t redact__key_tail(const char *text, size_t from, size_t to);
/* Is text a line of a private key, as they stand between BEGIN and END? 1 and the part to take out. prefix: what stands in
 * front of each line. */
int redact__key_line(const char *text, size_t len, size_t prefix, size_t *ret_from, size_t *ret_to);

#endif

/*
 * job/redact.h -- secrets in what a job writes, taken out before anybody keeps it.
 *
 *     "key hf_AbC…"                        -> "key [redacted:huggingface]"
 *     "Authorization: Bearer eyJhb…"       -> "Authorization: Bearer [redacted:bearer]"
 *     -----BEGIN … PRIVATE KEY----- and the lines that follow it, to its END -> each "[redacted:private-key]"
 *
 * Known by its form: aws (key ids; secret keys and session tokens after their name), huggingface, wandb (40 hex digits
 * after its name, wandb_v1_…), openai (sk-…, Anthropic's too), github, joblog (jlt_, jlk_), private-key (PEM, OpenSSH, PGP),
 * bearer (Authorization, X-Api-Key, "Bearer …"). More by patterns of the user's own, NAME=RE (RE2); what its first group
 * (?P<secret>…) holds is taken out, else the whole match.
 *
 * Promises   Pure: the same text and flow give the same result; nothing that was found is in the result. A line that
 *            holds none costs one pass of about a nanosecond a byte.
 * Not here   What has no form: a password in a sentence, 40 hex digits alone (they are commits, too). Which lines
 *            belong together: a struct redact_flow for each source of lines, kept by the caller.
 * Limits     REDACT_PATTERNS_MAX patterns in REDACT_FILE_BYTES_MAX. A key is followed over REDACT_KEY_LINES_MAX lines, and
 *            over REDACT_MISSES_MAX strange ones between them in a row.
 * Threads    The rules may be used by many threads; a flow and counts have one owner.
 */
#ifndef JOB_REDACT_H
#define JOB_REDACT_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

#define REDACT_PATTERNS_MAX 32
#define REDACT_NAME_BYTES_MAX 32
#define REDACT_FILE_BYTES_MAX (64 * 1024)
#define REDACT_KEY_LINES_MAX 256
#define REDACT_MISSES_MAX 8

/* X(name, word) */
#define REDACT_KIND_TABLE(X) \
    X(AWS, "aws") X(HUGGINGFACE, "huggingface") X(WANDB, "wandb") X(OPENAI, "openai") X(GITHUB, "github") X(JOBLOG, "joblog") \
    X(PRIVATE_KEY, "private-key") X(BEARER, "bearer") X(PATTERN, "pattern")
enum redact_kind {
#define X(name, word) REDACT_##name,
    REDACT_KIND_TABLE(X)
#undef X
        REDACT_KIND_COUNT
};
const char *redact_word(enum redact_kind kind);

struct redact_counts {
    uint64_t of[REDACT_KIND_COUNT]; /* a private key counts once, however many lines it has */
};
uint64_t redact_total(const struct redact_counts *c);
void redact_counts_add(struct redact_counts *sum, const struct redact_counts *more);

/* What the lines before left open. All zero: nothing. */
struct redact_flow {
    uint8_t open;   /* private keys whose end has not come */
    uint8_t misses; /* lines in a row that were none of a key's */
    uint8_t seen;   /* there was a key at all */
    uint16_t left;  /* lines the open ones may still have */
    uint16_t prefix; /* bytes in front of the BEGIN */
};
/* The lines may come again, perhaps from the middle of a key: look for its rest whatever was seen of its end. */
void redact_flow_reopen(struct redact_flow *f);

struct redact;
/* patterns: lines NAME=RE, or RE alone (then it is called "pattern"), and of comments ('#'); NULL: none. A name is [a-z0-9-].
 * ERR_INVALID, ERR_LIMIT with the line and the reason in why. */
int redact_new(const char *patterns, struct redact **ret, char *why, size_t why_size);
/* The same with the patterns of a file; NULL or "": none. Also ERR_NOT_FOUND, ERR_IO, … of reading it. */
int redact_new_file(const char *path, struct redact **ret, char *why, size_t why_size);
void redact_free(struct redact **r);

/* 0: redact_text() would leave text as it is; may be asked of text that has JSON escapes, too. */
int redact_wants(const struct redact *r, const struct redact_flow *f, const char *text, size_t len);
/* Plain text, one line or several. 1: out, emptied first, holds it without its secrets; 0: there are none, and out means
 * nothing. f may be NULL: a line by itself. ERR_NOMEM, ERR_TOO_BIG. */
int redact_text(const struct redact *r, struct redact_flow *f, const char *text, size_t len, struct buf *out,
                struct redact_counts *counts);
/* JSON text, whole or the members of an object without its braces: the strings in it, each told together with the name
 * it has. Valid JSON stays valid. As redact_text(). */
int redact_json(const struct redact *r, const char *text, size_t len, struct buf *out, struct redact_counts *counts);

#endif

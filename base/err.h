/*
 * base/err.h -- the one table of errors that travel between rooms.
 *
 * Functions return int: >= 0 is success, a negative ERR_* is failure. -1 belongs to nobody, so a
 * libc code that leaks through shows at once. Codes of foreign libraries are translated at the
 * door (zstd, hiredis, errno do not travel).
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/* X(name, number, snake_case code used on the wire, sentence for an operator) */
#define ERR_TABLE(X)                                                                               \
    X(ERR_NOMEM, -1001, "no_memory", "memory is exhausted")                                        \
    X(ERR_IO, -1002, "io", "reading or writing a file or socket failed")                           \
    X(ERR_INVALID, -1003, "bad_request", "the input is not what the contract asks for")            \
    X(ERR_TOO_BIG, -1004, "too_large", "a documented size limit was exceeded")                     \
    X(ERR_LIMIT, -1005, "limit", "a documented count or rate limit was reached")                   \
    X(ERR_CORRUPT, -1006, "corrupt", "stored bytes do not match their checksum or format")         \
    X(ERR_ORDER, -1007, "order", "a record does not follow the last one")                          \
    X(ERR_NOT_FOUND, -1008, "not_found", "there is no such thing")                                 \
    X(ERR_EXISTS, -1009, "exists", "it is already there")                                          \
    X(ERR_BUSY, -1010, "busy", "somebody else holds it; try again later")                          \
    X(ERR_UNAVAILABLE, -1011, "unavailable", "Redis is away or not ready; try again later")        \
    X(ERR_SEALED, -1012, "sealed", "the job is sealed: no record may follow")                      \
    X(ERR_FENCED, -1013, "fenced", "a newer epoch of this producer has taken over")                \
    X(ERR_GAP, -1014, "gap", "the batch jumps ahead of what is held for this producer")            \
    X(ERR_TRANSITION, -1015, "bad_transition", "the job's state does not allow this move")         \
    X(ERR_LAGGED, -1016, "lagged", "the reader fell behind what is kept in memory")                \
    X(ERR_CLOSED, -1017, "closed", "the other side is gone")                                       \
    X(ERR_TIMEOUT, -1018, "timeout", "the deadline passed")                                        \
    X(ERR_FULL, -1019, "full", "the disk or Redis's memory is full")                               \
    X(ERR_READONLY, -1020, "read_only", "the store refuses writes")                                \
    X(ERR_AMBIGUOUS, -1021, "ambiguous", "more than one project has a job of this id")             \
    X(ERR_UNSUPPORTED, -1022, "unsupported", "a feature that is not served here was asked for")    \
    X(ERR_CANCELLED, -1023, "cancelled", "the caller gave up first")                               \
    X(ERR_PROTOCOL, -1024, "protocol", "the peer broke the protocol")                              \
    X(ERR_RESET, -1025, "reset", "stored history was lost or replaced: the epoch has changed")

enum err {
#define X(name, number, code, text) name = number,
    ERR_TABLE(X)
#undef X
};

/* "ERR_GAP"; "ERR_?" for a number not in the table. Never NULL. */
const char *err_name(int err);
/* "gap": the snake_case code sent to clients. */
const char *err_code(int err);
/* The sentence of the table. */
const char *err_text(int err);

#endif

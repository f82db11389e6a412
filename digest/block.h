/*
 * digest/block.h -- which lines of one source are one thing: a traceback, a crash report, a panic.
 *
 *     block_begin()  line 1      "Traceback (most recent call last):"      -> PYTHON
 *     block_next()   lines 2 …   "  File …", "    code", "ValueError: x"   -> 1
 *     block_next()   a line of its own                                     -> 0: it is over, ask block_begin()
 *
 * Known: Python tracebacks (chained, groups, notes that are indented, SyntaxError, faulthandler, rich's frames, the
 * header line of a logger or thread in front, torchrun's closing report behind, PyTorch's C++ frames), C++ terminate,
 * glibc's aborts, AddressSanitizer and its kin, glog's and Open MPI's signal handlers, CUDA's device assertions,
 * NCCL's warnings with their return path, Go panics with goroutines, Rust panics with a backtrace.
 * A source is what writes line by line: a rank's stdout or stderr. Its lines come without launcher prefix and colours
 * (digest/prefix.h, digest/plain.h); lines of other sources between them do not matter.
 *
 * Ends well on a normal line: what follows an exception's own line belongs to it only when it is indented, blank
 * before a chained traceback, or one of the messages known to go on. A message whose further lines look like any
 * other line is cut there.
 * Limits     BLOCK_LINES_MAX, BLOCK_BYTES_MAX: over them the block is over.
 * Memory     struct block is all state; no allocation.
 */
#ifndef DIGEST_BLOCK_H
#define DIGEST_BLOCK_H

#include "digest/digest_group.h"

#define BLOCK_LINES_MAX 2000
#define BLOCK_BYTES_MAX (256 * 1024)
#define BLOCK_ASSERTIONS_MAX 64 /* CUDA's device assertions come by the thousand */

/* What a line is to its block. */
enum block_role {
    BLOCK_HEAD,     /* in front: a logger's line, "Process X:" */
    BLOCK_TITLE,    /* names the error; of several the last one does */
    BLOCK_SUBTITLE, /* names a part of it */
    BLOCK_FRAME,    /* of a stack */
    BLOCK_TEXT,     /* more of the message */
    BLOCK_NOISE,    /* source text, carets, addresses, blank: does not tell errors apart */
};

struct block {
    uint8_t is_open;
    uint8_t kind;  /* enum digest_kind; LINE: one line of level error, so far */
    uint8_t phase; /* of the kind's own */
    uint8_t blank_count;
    uint8_t flags;
    uint16_t line_count;
    uint32_t bytes;
    enum level level; /* of the block: at least that of its kind */
};

/* Is this line the first of a block? level: of the line; error and fatal lines begin one by themselves. 1 and *b set,
 * or 0 and *b closed. */
int block_begin(struct block *b, const char *text, size_t len, enum level level, enum block_role *ret_role);
/* 0: block_begin() would say no, as the first byte shows. text may still have JSON escapes behind it. */
int block_may_begin(const char *text, size_t len, enum level level);
/* Does this line belong to the open block? 0: it is closed now. */
int block_next(struct block *b, const char *text, size_t len, enum block_role *ret_role);
/* A block of one line that only may go on: not worth a mark until a second one comes. */
static inline int block_is_single(const struct block *b) { return b->line_count < 2; }
/* Frame, title or text without what varies: hash of a line of role from h. */
uint64_t block_hash(uint64_t h, enum digest_kind kind, enum block_role role, const char *text, size_t len);

#endif

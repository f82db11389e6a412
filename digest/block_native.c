/*
 * digest/block_native.c -- what native code says when it dies: C++, glibc, sanitizers, signal handlers, CUDA, NCCL.
 */
#include "digest/block_int.h"

enum {
    TERMINATE = 1, /* "terminate called …" */
    ABORT,         /* glibc: one line, perhaps a backtrace */
    SANITIZER,     /* "==7==ERROR: AddressSanitizer: …" */
    GLOG,          /* "*** Aborted at …", "*** Check failure stack trace: ***" */
    OPENMPI,       /* "[host:7] *** Process received signal ***" */
    ASSERTION,     /* CUDA's, one a thread */
    NCCL,
    OVER, /* its last line was read */
};

static int open_at(struct block *b, enum digest_kind kind, int phase, enum level level)
{
    b->kind = (uint8_t)kind;
    b->phase = (uint8_t)phase;
    if (b->level < level) b->level = level;
    return 1;
}

static int is_assertion(const struct block_text *x)
{
    return HAS(x, ": block: [") && HAS(x, "Assertion `");
}

/* " NCCL WARN " behind "host:pid:tid [dev] ". */
static const char *nccl_word(const struct block_text *x)
{
    size_t n = x->tn < 200 ? x->tn : 200;
    const char *at = memmem(x->t, n, LITERAL(" NCCL "));

    return at && memchr(x->t, ':', (size_t)(at - x->t)) ? at + 6 : NULL;
}

static int is_nccl_warning(const struct block_text *x)
{
    const char *w = nccl_word(x);

    return w && block_starts(w, x->tn - (size_t)(w - x->t), LITERAL("WARN"));
}

/* glibc's, and what a shell says of a signal; by their first byte. */
static int is_abort_line(const struct block_text *x)
{
    switch (*x->t) {
    case '*':
        return STARTS(x, "*** Error in `") || STARTS(x, "*** stack smashing detected ***") ||
               STARTS(x, "*** buffer overflow detected ***");
    case 'd': return STARTS(x, "double free or corruption");
    case 'f': return STARTS(x, "free(): ");
    case 'm':
        return STARTS(x, "malloc(): ") || STARTS(x, "malloc_consolidate(): ") ||
               STARTS(x, "munmap_chunk(): ");
    case 'r': return STARTS(x, "realloc(): ");
    case 'c':
        return STARTS(x, "corrupted size vs. prev_size") ||
               STARTS(x, "corrupted double-linked list");
    case 'F': return STARTS(x, "Fatal glibc error: ");
    case 'S': return STARTS(x, "Segmentation fault");
    case 'B': return STARTS(x, "Bus error");
    case 'I': return STARTS(x, "Illegal instruction");
    }
    return 0;
}

static int is_sanitizer(const struct block_text *x)
{
    if (*x->t == '=')
        return STARTS(x, "==") && (HAS(x, "==ERROR: ") || HAS(x, "==WARNING: ")) &&
               HAS(x, "Sanitizer");
    return STARTS(x, "WARNING: ThreadSanitizer: ");
}

int block__native_begin(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_TITLE;
    if (*x->t == 't' || *x->t == 'l') {
        if (STARTS(x, "terminate called ") || STARTS(x, "libc++abi: terminating") ||
            STARTS(x, "libc++abi.dylib: terminating"))
            return open_at(b, DIGEST_KIND_CPP, TERMINATE, LEVEL_FATAL);
    }
    if (*x->t == '*' && (STARTS(x, "*** Aborted at ") || STARTS(x, "*** SIG") ||
                         STARTS(x, "*** Check failure stack trace: ***")))
        return open_at(b, DIGEST_KIND_CPP, GLOG, LEVEL_FATAL);
    if (*x->t == '[' && HAS(x, "] *** Process received signal ***"))
        return open_at(b, DIGEST_KIND_CPP, OPENMPI, LEVEL_FATAL);
    if (x->indent) return 0;
    if (is_sanitizer(x)) return open_at(b, DIGEST_KIND_CPP, SANITIZER, LEVEL_FATAL);
    if (is_abort_line(x)) return open_at(b, DIGEST_KIND_CPP, ABORT, LEVEL_FATAL);
    return 0;
}

int block__inside_begin(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_TITLE;
    if (b->level == LEVEL_WARN && is_nccl_warning(x))
        return open_at(b, DIGEST_KIND_NCCL, NCCL, LEVEL_WARN);
    if (!memchr(x->t, '`', x->tn)) return 0;
    if (is_assertion(x)) return open_at(b, DIGEST_KIND_CUDA, ASSERTION, LEVEL_ERROR);
    if (HAS(x, ": Assertion `") && HAS(x, "' failed."))
        return open_at(b, DIGEST_KIND_CPP, ABORT, LEVEL_FATAL);
    return 0;
}

/* "Aborted", "Aborted (core dumped)", a shell's "line 3:  7 Aborted …" */
static int is_shell_end(const struct block_text *x)
{
    return STARTS(x, "Aborted") || STARTS(x, "Segmentation fault") || HAS(x, "(core dumped)");
}

static int native_common(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (is_shell_end(x)) {
        b->phase = OVER;
        return 1;
    }
    if (!x->tn) return ++b->blank_count <= 2;
    if (STARTS(x, "*** Aborted at ") || STARTS(x, "*** SIG") || STARTS(x, "PC: @") ||
        STARTS(x, "*** Check failure")) {
        if (STARTS(x, "*** SIG")) *role = BLOCK_TITLE;
        b->phase = GLOG;
        return 1;
    }
    return 0;
}

static int terminate(struct block *b, const struct block_text *x, enum block_role *role)
{
    if (native_common(b, x, role)) return 1;
    *role = BLOCK_TITLE;
    if (STARTS(x, "what():")) return 1;
    *role = BLOCK_NOISE;
    if (STARTS(x, "terminate called recursively")) return 1;
    if (STARTS(x, "Fatal Python error: Aborted")) return 1;
    if (block__message_goes_on(x, role)) return 1;
    *role = BLOCK_TEXT;
    return x->indent >= 2 && x->tn && *x->t != '[';
}

static int glog(struct block *b, const struct block_text *x, enum block_role *role)
{
    if (native_common(b, x, role)) return 1;
    *role = BLOCK_FRAME;
    return x->indent >= 2 && (*x->t == '@' || *x->t == '0');
}

static int abort_next(struct block *b, const struct block_text *x, enum block_role *role)
{
    if (native_common(b, x, role)) return 1;
    *role = BLOCK_NOISE;
    if (STARTS(x, "======= ")) return 1;
    if (HAS(x, "[0x") || STARTS(x, "[bt]") ||
        (HAS(x, "-") &&
         (HAS(x, " r-xp ") || HAS(x, " rw-p ") || HAS(x, " r--p ") || HAS(x, " ---p "))))
        return 1;
    return block__message_goes_on(x, role);
}

static int sanitizer(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (!x->tn) return ++b->blank_count <= 30;
    if (STARTS(x, "==") && HAS(x, "==ABORTING")) {
        b->phase = OVER;
        return 1;
    }
    if (*x->t == '#' && x->indent >= 2) {
        *role = BLOCK_FRAME;
        return 1;
    }
    return x->indent >= 2 || STARTS(x, "==") || STARTS(x, "READ of") || STARTS(x, "WRITE of") ||
           STARTS(x, "SUMMARY: ") || STARTS(x, "Shadow ") || STARTS(x, "HINT: ") ||
           STARTS(x, "0x") || STARTS(x, "=>") || STARTS(x, "freed by") ||
           STARTS(x, "previously allocated") || STARTS(x, "allocated by") ||
           STARTS(x, "Thread T") || STARTS(x, "Addressable: ") || STARTS(x, "Direct leak") ||
           STARTS(x, "Indirect leak") || STARTS(x, "Address 0x") || STARTS(x, "This frame has") ||
           STARTS(x, "Previous ") || STARTS(x, "Location is") || STARTS(x, "Mutex ") ||
           STARTS(x, "-----") || STARTS(x, "AddressSanitizer") || STARTS(x, "Register values") ||
           STARTS(x, "rax = ") || STARTS(x, "rdi = ") || STARTS(x, "r8  = ") ||
           STARTS(x, "r12 = ") || STARTS(x, "rip = ");
}

static int openmpi(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (!STARTS(x, "[") || !memchr(x->t, ']', x->tn)) return 0;
    if (HAS(x, "*** End of error message ***"))
        b->phase = OVER;
    else if (HAS(x, "] Signal: "))
        *role = BLOCK_TITLE;
    else if (HAS(x, "] [ ") || HAS(x, "] [1"))
        *role = BLOCK_FRAME;
    return 1;
}

static int nccl(struct block *b, const struct block_text *x, enum block_role *role)
{
    const char *w;
    size_t n;

    *role = BLOCK_NOISE;
    if (!x->tn) return ++b->blank_count <= 2;
    w = nccl_word(x);
    if (!w) return 0;
    n = x->tn - (size_t)(w - x->t);
    if (block_starts(w, n, LITERAL("WARN"))) {
        *role = BLOCK_SUBTITLE;
        return 1;
    }
    /* the way an error took back: "NCCL INFO transport/net_ib.cc:84 -> 3" */
    return block_starts(w, n, LITERAL("INFO")) && memmem(w, n, LITERAL(" -> ")) &&
           memmem(w, n, LITERAL(".cc:"));
}

int block__native_next(struct block *b, const struct block_text *x, enum block_role *role)
{
    switch (b->phase) {
    case TERMINATE: return terminate(b, x, role);
    case ABORT: return abort_next(b, x, role);
    case SANITIZER: return sanitizer(b, x, role);
    case GLOG: return glog(b, x, role);
    case OPENMPI: return openmpi(b, x, role);
    case ASSERTION:
        *role = BLOCK_NOISE;
        return is_assertion(x) && b->line_count < BLOCK_ASSERTIONS_MAX;
    case NCCL: return nccl(b, x, role);
    }
    return 0;
}

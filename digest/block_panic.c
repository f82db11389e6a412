/*
 * digest/block_panic.c -- panics of Go and Rust.
 */
#include "digest/block_int.h"

enum {
    GO_PANIC = 1, /* the message, up to the first goroutine */
    GO_STACK,
    RUST_HEADER, /* the message is on the next line */
    RUST,
    OVER,
};

#define F_FIRST_GOROUTINE 1
#define F_NEXT_GOROUTINE 2

static int open_at(struct block *b, enum digest_kind kind, int phase)
{
    b->kind = (uint8_t)kind;
    b->phase = (uint8_t)phase;
    b->level = LEVEL_FATAL;
    return 1;
}

static int go_goroutine(const struct block_text *x)
{
    return STARTS(x, "goroutine ") && x->t[x->tn - 1] == ':' && HAS(x, " [");
}

int block__panic_begin(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_TITLE;
    if (x->indent || !x->tn) return 0;
    switch (*x->t) {
    case 'p':
        if (STARTS(x, "panic: ")) return open_at(b, DIGEST_KIND_GO, GO_PANIC);
        break;
    case 'f':
        if (STARTS(x, "fatal error: ")) return open_at(b, DIGEST_KIND_GO, GO_PANIC);
        break;
    case 'S':
        if (STARTS(x, "SIGQUIT: quit") || STARTS(x, "SIGABRT: abort") ||
            STARTS(x, "SIGSEGV: segmentation violation"))
            return open_at(b, DIGEST_KIND_GO, GO_PANIC);
        break;
    case 'u':
        if (STARTS(x, "unexpected fault address 0x")) return open_at(b, DIGEST_KIND_GO, GO_PANIC);
        break;
    case 't':
        if (STARTS(x, "thread '") && HAS(x, " panicked at "))
            return open_at(b, DIGEST_KIND_RUST, x->t[x->tn - 1] == ':' ? RUST_HEADER : RUST);
        break;
    case 'g':
        if (go_goroutine(x)) return open_at(b, DIGEST_KIND_GO, GO_STACK);
        break;
    }
    return 0;
}

/* "main.(*T).run(0xc000012345, {0x1, 0x2})": a name with a dot, then an argument list to the end. */
static int is_go_call(const struct block_text *x)
{
    const char *paren = memrchr(x->t, '(', x->tn);
    size_t n = paren ? (size_t)(paren - x->t) : 0;

    return !x->indent && n && x->t[x->tn - 1] == ')' && memchr(x->t, '.', n) &&
           !memchr(x->t, ' ', n);
}

static int go_stack(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (!x->tn) return ++b->blank_count <= 200;
    if (go_goroutine(x)) {
        b->flags |= b->flags & F_FIRST_GOROUTINE ? F_NEXT_GOROUTINE : F_FIRST_GOROUTINE;
        return 1;
    }
    if (x->s[0] == '\t') return 1;
    if (is_go_call(x)) {
        *role = b->flags & F_NEXT_GOROUTINE ? BLOCK_NOISE : BLOCK_FRAME;
        return 1;
    }
    if (STARTS(x, "exit status ")) {
        b->phase = OVER;
        return 1;
    }
    return STARTS(x, "created by ") || STARTS(x, "panic(") ||
           STARTS(x, "...additional frames elided") || STARTS(x, "[originating from goroutine") ||
           (x->tn > 8 && *x->t == 'r' && HAS(x, " 0x")); /* registers */
}

static int go_panic(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_TEXT;
    if (!x->tn) {
        *role = BLOCK_NOISE;
        return ++b->blank_count <= 4;
    }
    if (go_goroutine(x)) {
        b->phase = GO_STACK;
        b->blank_count = 0;
        return go_stack(b, x, role);
    }
    return x->indent || STARTS(x, "[signal ") || STARTS(x, "panic: ") ||
           STARTS(x, "fatal error: ") || STARTS(x, "PC=0x") || STARTS(x, "runtime: ") ||
           STARTS(x, "[recovered") || STARTS(x, "exit status ");
}

static int rust(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (!x->tn) return ++b->blank_count <= 2;
    if (STARTS(x, "stack backtrace:")) return 1;
    if (STARTS(x, "note: run with `RUST_BACKTRACE") ||
        STARTS(x, "note: Some details are omitted")) {
        return 1;
    }
    *role = BLOCK_TEXT;
    if (STARTS(x, "note: ") || STARTS(x, "thread caused non-unwinding panic") ||
        STARTS(x, "Aborted"))
        return 1;
    if (!x->indent) return 0;
    if (*x->t >= '0' && *x->t <= '9' && memchr(x->t, ':', x->tn < 6 ? x->tn : 6))
        *role = BLOCK_FRAME;
    else if (STARTS(x, "at "))
        *role = BLOCK_NOISE;
    return 1;
}

int block__panic_next(struct block *b, const struct block_text *x, enum block_role *role)
{
    switch (b->phase) {
    case GO_PANIC: return go_panic(b, x, role);
    case GO_STACK: return go_stack(b, x, role);
    case RUST_HEADER:
        b->phase = RUST;
        *role = BLOCK_TITLE;
        return 1;
    case RUST: return rust(b, x, role);
    }
    return 0;
}

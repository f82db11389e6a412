/*
 * digest/block_python.c -- Python's tracebacks, line by line.
 *
 *     STACK --exception line--> MESSAGE --blank--> BLANK --"During handling …"--> CHAIN --"Traceback"--> STACK
 *                                  '--"  File", "Original Traceback"--> STACK
 */
#include "digest/block_int.h"

enum {
    STACK = 1, /* frames, their source lines, carets; then the exception's line */
    MESSAGE,   /* behind it */
    BLANK,     /* behind a blank line behind that */
    CHAIN,     /* "During handling …" was read */
    REPORT,    /* torchrun's closing report, up to its last ruler */
    GROUP,     /* an exception group: lines drawn with | and + */
    SYNTAX,    /* a SyntaxError without a traceback */
    FATAL,     /* faulthandler */
    RICH,      /* a frame drawn by rich */
    RICH_END,
};

#define F_REPORT_ROOT 1 /* the report has come to its last part */
#define F_REPORT 2      /* the exception is the one with a report behind */
#define F_ANY 4         /* the next line belongs to it whatever it is */
#define F_TITLED 8

#define TRACEBACK "Traceback (most recent call last):"

static int is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* "ValueError: bad", "torch.cuda.OutOfMemoryError: …", "RayTaskError(ValueError): …", "KeyboardInterrupt" */
static int is_exception_line(const struct block_text *x)
{
    size_t i = 0;

    if (x->indent || !x->tn || !is_word(*x->t) || (*x->t >= '0' && *x->t <= '9')) return 0;
    while (i < x->tn && (is_word(x->t[i]) || strchr(".<>()", x->t[i])) && x->t[i]) i++;
    return i == x->tn || (x->t[i] == ':' && (i + 1 == x->tn || x->t[i + 1] == ' '));
}

/* "^^^^", "~~~~^^": only the place is marked. */
static int is_caret_line(const struct block_text *x)
{
    for (size_t i = 0; i < x->tn; i++) {
        if (!strchr("^~ ", x->t[i])) return 0;
    }
    return x->tn > 0;
}

/* '  File "x.py", line 3' and nothing behind: how a SyntaxError begins. */
static int is_bare_file(const struct block_text *x)
{
    size_t i = x->tn;

    if (x->indent != 2 || !STARTS(x, "File \"")) return 0;
    while (i > 0 && x->t[i - 1] >= '0' && x->t[i - 1] <= '9') i--;
    return i < x->tn && i >= 7 && memcmp(x->t + i - 7, ", line ", 7) == 0;
}

static int is_group_line(const struct block_text *x)
{
    return x->indent >= 2 && x->tn && (*x->t == '|' || *x->t == '+');
}

static int open_at(struct block *b, int phase, enum level level)
{
    b->kind = DIGEST_KIND_PYTHON;
    b->phase = (uint8_t)phase;
    if (b->level < level) b->level = level;
    return 1;
}

int block__python_begin(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (STARTS(x, TRACEBACK)) return open_at(b, STACK, LEVEL_ERROR);
    if (STARTS(x, "+ Exception Group Traceback")) return open_at(b, GROUP, LEVEL_ERROR);
    if (is_bare_file(x)) {
        *role = BLOCK_FRAME;
        return open_at(b, SYNTAX, LEVEL_ERROR);
    }
    if (STARTS(x, "\xe2\x95\xad") && HAS(x, "Traceback (most recent call last)"))
        return open_at(b, RICH, LEVEL_ERROR);
    if (x->indent) return 0;
    if (STARTS(x, "concurrent.futures.process._RemoteTraceback:") ||
        STARTS(x, "multiprocessing.pool.RemoteTraceback:"))
        return open_at(b, MESSAGE, LEVEL_ERROR); /* a worker's traceback, in quotes, comes first */
    if (STARTS(x, "Fatal Python error: ")) {
        *role = BLOCK_TITLE;
        return open_at(b, FATAL, LEVEL_FATAL);
    }
    *role = BLOCK_HEAD;
    if (STARTS(x, "Exception in thread ") || STARTS(x, "Exception ignored ") ||
        (STARTS(x, "Process ") && x->t[x->tn - 1] == ':' && HAS(x, "Process-"))) {
        b->kind = DIGEST_KIND_LINE;
        b->phase = 0;
        return 1;
    }
    return 0;
}

static int stack(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (STARTS(x, "File \"") && x->indent >= 2) {
        *role = BLOCK_FRAME;
        return 1;
    }
    if (x->indent >= 2) return 1; /* source text, carets, "[Previous line repeated …]" */
    if (STARTS(x, TRACEBACK)) return 1;
    if (!is_exception_line(x)) return 0;
    *role = BLOCK_TITLE;
    b->phase = MESSAGE;
    b->blank_count = 0;
    if (HAS(x, "ChildFailedError")) b->flags |= F_REPORT;
    return 1;
}

static int is_chain(const struct block_text *x)
{
    return STARTS(x, "During handling of the above exception, another exception occurred:") ||
           STARTS(x, "The above exception was the direct cause of the following exception:");
}

/* A line behind the exception's own. */
static int message(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_TEXT;
    if (b->flags & F_ANY) {
        b->flags &= (uint8_t)~F_ANY;
        if (x->tn) return 1;
    }
    if (!x->tn) {
        *role = BLOCK_NOISE;
        b->phase = BLANK;
        return ++b->blank_count <= 2;
    }
    if ((b->flags & F_REPORT) && STARTS(x, "=====")) {
        *role = BLOCK_NOISE;
        b->phase = REPORT;
        return 1;
    }
    if (x->indent >= 2 && STARTS(x, "File \"")) {
        *role = BLOCK_FRAME;
        b->phase = STACK;
        return 1;
    }
    if (STARTS(x, "Original " TRACEBACK)) {
        *role = BLOCK_NOISE;
        b->phase = STACK;
        return 1;
    }
    if (is_chain(x) || STARTS(x, "-- Process ") || (!x->indent && STARTS(x, "\"\"\""))) {
        *role = BLOCK_NOISE;
        b->phase = CHAIN;
        b->blank_count = 0;
        return 1;
    }
    if (STARTS(x, "Last error:")) b->flags |= F_ANY;
    if (block__message_goes_on(x, role)) {
        b->phase = MESSAGE;
        return 1;
    }
    if (b->phase == BLANK) return 0;
    return x->indent >= 4 || (x->indent >= 2 && *x->t != '[' && !(*x->t >= '0' && *x->t <= '9'));
}

/* "During handling …", blank lines, and the next traceback. */
static int chain(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (!x->tn) return ++b->blank_count <= 2;
    if (STARTS(x, TRACEBACK) || STARTS(x, "+ Exception Group")) {
        b->phase = *x->t == '+' ? GROUP : STACK;
        b->flags &= (uint8_t)~F_TITLED;
        return 1;
    }
    return is_chain(x) || STARTS(x, "\"\"\"");
}

static int report(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_TEXT;
    if (STARTS(x, "Root Cause")) b->flags |= F_REPORT_ROOT;
    if (STARTS(x, "=====") && (b->flags & F_REPORT_ROOT)) b->phase = BLANK, b->blank_count = 2;
    return 1;
}

static int group(struct block *b, const struct block_text *x, enum block_role *role)
{
    const char *t = x->t;
    size_t n = x->tn;
    struct block_text inner;

    *role = BLOCK_NOISE;
    if (!x->tn) {
        b->phase = BLANK;
        b->blank_count = 1;
        return 1;
    }
    if (!is_group_line(x)) return 0;
    if (n < 2 || *t != '|' || t[1] != ' ') return 1;
    inner = (struct block_text){t + 2, n - 2, 0, t + 2, n - 2};
    while (inner.tn && *inner.t == ' ') inner.t++, inner.tn--, inner.indent++;
    if (STARTS(&inner, "File \""))
        *role = BLOCK_FRAME;
    else if (STARTS(&inner, "Traceback") || !is_exception_line(&inner))
        return 1;
    else
        *role = b->flags & F_TITLED ? BLOCK_SUBTITLE : BLOCK_TITLE;
    if (*role == BLOCK_TITLE) b->flags |= F_TITLED;
    return 1;
}

static int syntax(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (x->indent >= 2) return 1;
    if (!is_exception_line(x) || !memmem(x->t, x->tn, LITERAL("Error"))) return 0;
    *role = BLOCK_TITLE;
    b->phase = MESSAGE;
    return 1;
}

static int fatal(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (!x->tn) return ++b->blank_count <= 8;
    if (x->indent >= 2 && STARTS(x, "File \"")) {
        *role = BLOCK_FRAME;
        return 1;
    }
    return x->indent >= 2 || STARTS(x, "Thread 0x") || STARTS(x, "Current thread 0x") ||
           STARTS(x, "Python runtime state") || STARTS(x, "Extension modules:") ||
           STARTS(x, "Stack (most recent") || STARTS(x, TRACEBACK) ||
           STARTS(x, "Current thread's C stack trace") || STARTS(x, "Aborted") ||
           STARTS(x, "Segmentation fault");
}

/* rich draws a box: "│ /x/a.py:3 in f      │" */
static int rich(struct block *b, const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_NOISE;
    if (STARTS(x, "\xe2\x95\xb0")) { /* the lower corner */
        b->phase = RICH_END;
        return 1;
    }
    if (!STARTS(x, "\xe2\x94\x82")) return 0;
    if (HAS(x, ".py:") && HAS(x, " in ")) *role = BLOCK_FRAME;
    return 1;
}

static int rich_end(struct block *b, const struct block_text *x, enum block_role *role)
{
    if (!is_exception_line(x)) return 0;
    b->phase = MESSAGE;
    *role = BLOCK_TITLE;
    return 1;
}

int block__python_next(struct block *b, const struct block_text *x, enum block_role *role)
{
    switch (b->phase) {
    case STACK: return stack(b, x, role);
    case MESSAGE:
    case BLANK: return message(b, x, role);
    case CHAIN: return chain(b, x, role);
    case REPORT: return report(b, x, role);
    case GROUP: return group(b, x, role);
    case SYNTAX: return is_caret_line(x) ? (*role = BLOCK_NOISE, 1) : syntax(b, x, role);
    case FATAL: return fatal(b, x, role);
    case RICH: return rich(b, x, role);
    case RICH_END: return rich_end(b, x, role);
    }
    return 0;
}

/*
 * digest/block.c -- which lines of one source are one thing.
 *
 * block_begin() is asked for every line of a log: its first byte says for nearly all of them that no block
 * begins there.
 */
#include "digest/block.h"

#include "digest/block_int.h"
#include "digest/fingerprint.h"

#define HEAD_INDENT_MIN 4 /* of lines that go on after a line of level error */
#define HEAD_LINES_MAX 64

/* First bytes (behind spaces) of lines that begin a block by their text. */
static const unsigned char first_byte[256] = {
    ['T'] = 1, ['+'] = 1, ['F'] = 1, ['E'] = 1, ['P'] = 1, [0xe2] = 1, /* Python */
    ['t'] = 1, ['l'] = 1, ['*'] = 1, ['['] = 1, ['d'] = 1, ['f'] = 1,
    ['m'] = 1, ['r'] = 1, /* native, panics */
    ['c'] = 1, ['S'] = 1, ['B'] = 1, ['I'] = 1, ['='] = 1, ['W'] = 1,
    ['p'] = 1, ['u'] = 1, ['g'] = 1,
};

static void look(struct block_text *x, const char *text, size_t len)
{
    size_t i = 0;

    while (len && (text[len - 1] == '\r' || text[len - 1] == ' ')) len--;
    *x = (struct block_text){.s = text, .n = len};
    for (; i < len && (text[i] == ' ' || text[i] == '\t'); i++)
        x->indent += text[i] == '\t' ? 8 : 1;
    x->t = text + i;
    x->tn = len - i;
}

static int begin_kind(struct block *b, const struct block_text *x, enum block_role *role)
{
    if (!x->tn) return 0;
    if (first_byte[(unsigned char)*x->t] &&
        (block__python_begin(b, x, role) || block__native_begin(b, x, role) ||
         block__panic_begin(b, x, role)))
        return 1;
    return !x->indent && block__inside_begin(b, x, role);
}

int block_may_begin(const char *text, size_t len, enum level level)
{
    if (!len) return 0;
    return level >= LEVEL_WARN || *text == ' ' || *text == '\t' ||
           first_byte[(unsigned char)*text] || memchr(text, '`', len) != NULL;
}

int block_begin(struct block *b, const char *text, size_t len, enum level level,
                enum block_role *ret_role)
{
    struct block_text x;

    *b = (struct block){.level = level};
    look(&x, text, len);
    if (!begin_kind(b, &x, ret_role)) {
        if (level < LEVEL_ERROR || !x.tn) return 0;
        b->kind = DIGEST_KIND_LINE;
        *ret_role = BLOCK_TITLE;
    }
    b->is_open = 1;
    b->line_count = 1;
    b->bytes = (uint32_t)(len < BLOCK_BYTES_MAX ? len : BLOCK_BYTES_MAX);
    return 1;
}

/* Behind a line of level error, or the header of a thread: a block, or more of its message. */
static int head_next(struct block *b, const struct block_text *x, enum block_role *role)
{
    if (b->line_count == 1 && begin_kind(b, x, role)) return *role != BLOCK_HEAD;
    if (!x->tn || b->line_count >= HEAD_LINES_MAX) return 0;
    if (block__message_goes_on(x, role)) return 1;
    *role = BLOCK_TEXT;
    return x->indent >= HEAD_INDENT_MIN && !(*x->t >= '0' && *x->t <= '9');
}

int block_next(struct block *b, const char *text, size_t len, enum block_role *ret_role)
{
    struct block_text x;
    int more = 0;

    look(&x, text, len);
    if (b->line_count < BLOCK_LINES_MAX && b->bytes + len <= BLOCK_BYTES_MAX) {
        switch (b->kind) {
        case DIGEST_KIND_LINE: more = head_next(b, &x, ret_role); break;
        case DIGEST_KIND_PYTHON: more = block__python_next(b, &x, ret_role); break;
        case DIGEST_KIND_GO:
        case DIGEST_KIND_RUST: more = block__panic_next(b, &x, ret_role); break;
        default: more = block__native_next(b, &x, ret_role); break;
        }
    }
    if (!more) {
        b->is_open = 0;
        return 0;
    }
    b->line_count++;
    b->bytes += (uint32_t)len;
    return 1;
}

int block__message_goes_on(const struct block_text *x, enum block_role *role)
{
    *role = BLOCK_FRAME;
    if (STARTS(x, "frame #")) return 1;
    *role = BLOCK_TEXT;
    switch (x->tn ? *x->t : '\0') {
    case 'C':
        return STARTS(x, "CUDA kernel errors might be asynchronously") ||
               STARTS(x, "Compile with `TORCH_USE_CUDA_DSA`") ||
               STARTS(x, "C++ CapturedTraceback:") || STARTS(x, "CUDA error:");
    case 'F': return STARTS(x, "For debugging consider passing CUDA_LAUNCH_BLOCKING");
    case 'D': return STARTS(x, "Device-side assertion");
    case 'E': return STARTS(x, "Exception raised from ") || STARTS(x, "Error string: ");
    case 'H': return STARTS(x, "HIP kernel errors might");
    case 'n':
        return STARTS(x, "ncclUnhandled") || STARTS(x, "ncclSystemError") ||
               STARTS(x, "ncclInternalError") || STARTS(x, "ncclRemoteError") ||
               STARTS(x, "ncclInvalid");
    case 'L': return STARTS(x, "Last error:");
    case 'S': return STARTS(x, "Set TORCH_LOGS=") || STARTS(x, "Set TORCHDYNAMO_VERBOSE=");
    case 'Y': return STARTS(x, "You can suppress this exception");
    case 'T': return STARTS(x, "The above operation failed in interpreter");
    case '#': return x->tn > 2 && x->t[1] >= '0' && x->t[1] <= '9';
    }
    return 0;
}

/* '  File "/a/b.py", line 3, in f' -> "b.py" "f" */
static uint64_t hash_python_frame(uint64_t h, const char *s, size_t n)
{
    const char *quote = memchr(s, '"', n),
               *end = quote ? memchr(quote + 1, '"', n - (size_t)(quote + 1 - s)) : NULL;
    const char *name = quote + 1, *slash, *in;

    if (!end) return fingerprint_text(h, s, n);
    slash =
        memrchr(name, '/', (size_t)(end - name)); /* the directory depends on how it was started */
    if (slash) name = slash + 1;
    h = fingerprint_text(h, name, (size_t)(end - name));
    in = memmem(end, n - (size_t)(end - s), LITERAL(" in ")); /* ", in f"; faulthandler: " in f" */
    return in ? fingerprint_text(h, in + 4, n - (size_t)(in + 4 - s)) : h;
}

uint64_t block_hash(uint64_t h, enum digest_kind kind, enum block_role role, const char *text,
                    size_t len)
{
    const char *paren;

    if (role != BLOCK_TITLE && role != BLOCK_SUBTITLE && role != BLOCK_FRAME) return h;
    while (len && *text == ' ') text++, len--;
    if (role != BLOCK_FRAME) return fingerprint_text(h, text, len);
    if (block_starts(text, len, LITERAL("File \""))) return hash_python_frame(h, text, len);
    if (len > 2 && text[0] == '|' && memmem(text, len, LITERAL("File \"")))
        return hash_python_frame(h, text, len);
    if (kind == DIGEST_KIND_GO && (paren = memrchr(text, '(', len)) != NULL)
        len = (size_t)(paren - text);
    return fingerprint_text(h, text, len);
}

/*
 * digest/cause.c -- the search: all literals of the table in one pass over a text.
 *
 * Every literal is entered under its first two bytes. A pass looks at each pair of bytes, and only where a
 * literal begins with that pair it compares. What was found is a set of bits; rules are looked at only
 * when there is one.
 */
#include "digest/cause.h"

#include "base/check.h"
#include "digest/cause_table.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#define LITERALS_MAX 512
#define CHAIN_END UINT16_MAX

struct literal {
    const char *text;
    uint16_t len;
    uint16_t next; /* with the same first two bytes */
};

/* Made once. */
static struct {
    struct literal literals[LITERALS_MAX];
    unsigned count;
    uint16_t first[65536]; /* by pair of bytes: the first literal, or CHAIN_END */
    uint16_t of_rule[LITERALS_MAX][CAUSE_LITERALS_MAX];
    uint8_t in_any[LITERALS_MAX]; /* the literal serves a rule for any line */
} table;

static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static const struct {
    const char *id, *title;
    enum cause_nature nature;
} causes[CAUSE_COUNT] = {
#define X(name, wire, kind, words) [CAUSE_##name] = {wire, words, CAUSE_##kind},
    CAUSE_TABLE(X)
#undef X
};

const char *cause_id(enum cause c)
{
    return (unsigned)c < CAUSE_COUNT ? causes[c].id : NULL;
}

const char *cause_title(enum cause c)
{
    return (unsigned)c < CAUSE_COUNT ? causes[c].title : NULL;
}

enum cause_nature cause_nature(enum cause c)
{
    return (unsigned)c < CAUSE_COUNT && c != CAUSE_NONE ? causes[c].nature : CAUSE_GENERIC;
}

static unsigned pair(const char *s)
{
    return (unsigned)(unsigned char)s[0] << 8 | (unsigned char)s[1];
}

static uint16_t enter(const char *text, int in_any)
{
    unsigned i = 0;

    while (i < table.count && strcmp(table.literals[i].text, text) != 0)
        i++;
    if (i == table.count) {
        CHECK(table.count < LITERALS_MAX && strlen(text) >= 2);
        table.literals[i] = (struct literal){text, (uint16_t)strlen(text), table.first[pair(text)]};
        table.first[pair(text)] = (uint16_t)i;
        table.count++;
    }
    table.in_any[i] |= (uint8_t)in_any;
    return (uint16_t)i;
}

static void make_table(void)
{
    memset(table.first, 0xff, sizeof table.first);
    CHECK(cause__rule_count <= LITERALS_MAX);
    for (unsigned r = 0; r < cause__rule_count; r++)
        for (unsigned k = 0; k < CAUSE_LITERALS_MAX; k++) {
            const char *text = cause__rules[r].literals[k];
            table.of_rule[r][k] =
                text ? enter(text, !(cause__rules[r].use & CAUSE_ERROR)) : CHAIN_END;
        }
}

/* ---- one text, literals found in it ---- */

struct found {
    uint64_t bits[LITERALS_MAX / 64];
    unsigned any;
};

static int is_found(const struct found *f, unsigned literal)
{
    return (f->bits[literal / 64] >> (literal % 64)) & 1;
}

static void find_all(struct found *f, const char *s, size_t len, int in_error)
{
    for (size_t i = 0; i + 1 < len; i++)
        for (uint16_t at = table.first[pair(s + i)]; at != CHAIN_END;
             at = table.literals[at].next) {
            const struct literal *l = &table.literals[at];
            if (!in_error && !table.in_any[at])
                continue;
            if (l->len > len - i || memcmp(s + i, l->text, l->len) != 0)
                continue;
            f->bits[at / 64] |= UINT64_C(1) << (at % 64);
            f->any = 1;
        }
}

static int is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

/* "MemoryError: …", "numpy.exceptions.MemoryError" at the beginning of a line. */
static int begins_named(const char *line, size_t len, const char *name)
{
    size_t end = 0, n = strlen(name);

    while (end < len && is_name(line[end]))
        end++;
    return end >= n && memcmp(line + end - n, name, n) == 0 &&
           (end == n || line[end - n - 1] == '.') &&
           (end == len || line[end] == ':' || line[end] == '\n');
}

/* Does a line of the text begin as the rule's use asks? */
static int is_placed(unsigned use, const char *literal, const char *s, size_t len)
{
    size_t n = strlen(literal);

    if (!(use & (CAUSE_START | CAUSE_PYTHON | CAUSE_WHOLE)))
        return 1;
    for (const char *line = s, *end; line < s + len; line = end + 1) {
        size_t left;
        end = memchr(line, '\n', (size_t)(s + len - line));
        if (!end)
            end = s + len;
        left = (size_t)(end - line);
        if (use & CAUSE_PYTHON) {
            if (begins_named(line, left, literal))
                return 1;
        } else if (left >= n && memcmp(line, literal, n) == 0 &&
                   (!(use & CAUSE_WHOLE) || left == n)) {
            return 1;
        }
    }
    return 0;
}

static enum cause search(const char *s, size_t len, int in_error)
{
    struct found f = {.any = 0};

    pthread_once(&table_once, make_table);
    find_all(&f, s, len, in_error);
    if (!f.any)
        return CAUSE_NONE;
    for (unsigned r = 0; r < cause__rule_count; r++) {
        const struct cause_rule *rule = &cause__rules[r];
        unsigned k = 0;
        if (!in_error && (rule->use & CAUSE_ERROR))
            continue;
        while (k < CAUSE_LITERALS_MAX && table.of_rule[r][k] != CHAIN_END &&
               is_found(&f, table.of_rule[r][k]))
            k++;
        if (k < CAUSE_LITERALS_MAX && table.of_rule[r][k] != CHAIN_END)
            continue;
        if (is_placed(rule->use, rule->literals[0], s, len))
            return rule->cause;
    }
    return CAUSE_NONE;
}

enum cause cause_of_line(const char *text, size_t len, int in_error)
{
    return search(text, len < CAUSE_TEXT_BYTES_MAX ? len : CAUSE_TEXT_BYTES_MAX, in_error);
}

/* ---- blocks ---- */

static int starts(const char *s, size_t len, const char *with)
{
    size_t n = strlen(with);

    return len >= n && memcmp(s, with, n) == 0;
}

/* What a traceback says, without what it quotes: frames, and the source lines and markers below them. */
static size_t said(const char *text, size_t len, char *out)
{
    size_t n = 0;
    int in_frames = 0;

    for (size_t i = 0; i < len;) {
        const char *end = memchr(text + i, '\n', len - i);
        size_t line = end ? (size_t)(end - text) - i : len - i;
        if (starts(text + i, line, "Traceback (most recent call last)"))
            in_frames = 1;
        else if (in_frames && !(line && text[i] == ' '))
            in_frames = 0;
        if (!in_frames || starts(text + i, line, "  File \"")) {
            memcpy(out + n, text + i, line);
            n += line;
            out[n++] = '\n';
        }
        i += line + 1;
    }
    return n;
}

static enum cause cause_of_kind(enum digest_kind kind)
{
    switch (kind) {
    case DIGEST_KIND_PYTHON:
        return CAUSE_PYTHON_EXCEPTION;
    case DIGEST_KIND_CPP:
        return CAUSE_CPP_EXCEPTION;
    case DIGEST_KIND_CUDA:
        return CAUSE_CUDA_ERROR;
    case DIGEST_KIND_NCCL:
        return CAUSE_NCCL_ERROR;
    case DIGEST_KIND_GO:
        return CAUSE_GO_PANIC;
    case DIGEST_KIND_RUST:
        return CAUSE_RUST_PANIC;
    default:
        return CAUSE_NONE;
    }
}

enum cause cause_of_block(enum digest_kind kind, const char *title, const char *text, size_t len)
{
    char spoken[CAUSE_TEXT_BYTES_MAX + 1];
    enum cause c = CAUSE_NONE;

    if (title)
        c = search(title, strlen(title), 1);
    if (c != CAUSE_NONE && c != CAUSE_CPP_EXCEPTION)
        return c;
    if (len >= CAUSE_TEXT_BYTES_MAX)
        len = CAUSE_TEXT_BYTES_MAX - 1;
    enum cause inside = search(spoken, said(text, len, spoken), 1);
    if (inside != CAUSE_NONE)
        return inside;
    return c != CAUSE_NONE ? c : cause_of_kind(kind);
}

enum cause cause_of_exit(int exit_code, int sig)
{
    switch (sig) {
    case 0:
        break;
    case SIGKILL:
        return CAUSE_SIGKILL;
    case SIGSEGV:
        return CAUSE_SEGFAULT;
    case SIGBUS:
        return CAUSE_BUS_ERROR;
    case SIGABRT:
        return CAUSE_ABORT;
    case SIGTERM:
        return CAUSE_TERMINATED;
    case SIGINT:
        return CAUSE_INTERRUPTED;
    default:
        return CAUSE_SIGNAL;
    }
    switch (exit_code) { /* shells and containers add 128 */
    case 0:
        return CAUSE_NONE;
    case 126:
    case 127:
        return CAUSE_COMMAND;
    case 128 + SIGKILL:
        return CAUSE_SIGKILL;
    case 128 + SIGSEGV:
        return CAUSE_SEGFAULT;
    case 128 + SIGBUS:
        return CAUSE_BUS_ERROR;
    case 128 + SIGABRT:
        return CAUSE_ABORT;
    case 128 + SIGTERM:
        return CAUSE_TERMINATED;
    case 128 + SIGINT:
        return CAUSE_INTERRUPTED;
    default:
        return CAUSE_EXIT_CODE;
    }
}

static uint32_t classify_line(const struct digest_line *line)
{
    return (uint32_t)cause_of_line(line->text, line->len,
                                   line->level >= LEVEL_ERROR || line->is_block);
}

static uint32_t classify_block(enum digest_kind kind, const char *title, const char *text,
                               size_t len)
{
    return (uint32_t)cause_of_block(kind, title, text, len);
}

const struct digest_classifier cause_classifier = {CAUSE_VERSION, classify_line, classify_block};

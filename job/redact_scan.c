/*
 * job/redact_scan.c -- what secrets look like.
 *
 * Every form begins with a literal. A table over three bytes (case and all folded by | 0x20) tells in one step that
 * none begins here; where one may, the detectors of that entry look closer.
 */
#include "job/redact_int.h"

#include <endian.h>
#include <string.h>
#include <strings.h>

/* ---- classes of bytes ---- */

enum { ALNUM = 1, WORD = 2 /* alnum _ - */, BASE64 = 4, CREDENTIAL = 8, HEX = 16, DIGIT = 32 };

static unsigned class_of(unsigned char c)
{
    unsigned digit = c >= '0' && c <= '9', alpha = (c | 0x20) >= 'a' && (c | 0x20) <= 'z', k = 0;

    if (digit || alpha)
        k = ALNUM | WORD | BASE64 | CREDENTIAL;
    if (digit)
        k |= DIGIT | HEX;
    if (c >= 'a' && c <= 'f')
        k |= HEX;
    if (c == '_' || c == '-')
        k |= WORD | CREDENTIAL;
    if (c == '+' || c == '/' || c == '=')
        k |= BASE64 | CREDENTIAL;
    if (c == '.' || c == '~' || c == ':' || c == '%')
        k |= CREDENTIAL;
    return k;
}

static int is(char c, unsigned class)
{
    return (class_of((unsigned char)c) & class) != 0;
}

/* How many bytes of class stand at `at`. */
static size_t run(const char *text, size_t len, size_t at, unsigned class)
{
    size_t n = 0;

    while (at + n < len && is(text[at + n], class))
        n++;
    return n;
}

static int any(const char *text, size_t n, unsigned class)
{
    for (size_t i = 0; i < n; i++)
        if (is(text[i], class))
            return 1;
    return 0;
}

/* No letter or digit in front; the n of a written-out "\n" is none. */
static int begins(const char *text, size_t at)
{
    return at == 0 || !is(text[at - 1], ALNUM) || (at >= 2 && text[at - 2] == '\\' && strchr("nrt", text[at - 1]));
}

static int starts(const char *text, size_t len, size_t at, const char *word)
{
    size_t n = strlen(word);

    return at <= len && len - at >= n && memcmp(text + at, word, n) == 0;
}

static int starts_any_case(const char *text, size_t len, size_t at, const char *word)
{
    size_t n = strlen(word);

    return at <= len && len - at >= n && strncasecmp(text + at, word, n) == 0;
}

static int found(struct redact_span *ret, size_t from, size_t to, enum redact_kind kind)
{
    *ret = (struct redact_span){from, to, kind};
    return 1;
}

/* ---- tokens known by their own first letters ---- */

struct form {
    const char *literal;
    unsigned class;
    unsigned min, max; /* bytes of class after the literal; a longer run is something else */
    enum redact_kind kind;
    unsigned must; /* of this class there must be one after the literal; 0: no matter */
};

static const struct form forms[] = {
    {"AKIA", ALNUM, 16, 16, REDACT_AWS, 0},
    {"ASIA", ALNUM, 16, 16, REDACT_AWS, 0},
    {"ABIA", ALNUM, 16, 16, REDACT_AWS, 0},
    {"ACCA", ALNUM, 16, 16, REDACT_AWS, 0},
    {"hf_", ALNUM, 30, 80, REDACT_HUGGINGFACE, 0},
    {"api_org_", ALNUM, 30, 80, REDACT_HUGGINGFACE, 0},
    {"wandb_v1_", WORD, 40, 200, REDACT_WANDB, 0},
    {"sk-", WORD, 32, 300, REDACT_OPENAI, DIGIT},
    {"ghp_", ALNUM, 36, 255, REDACT_GITHUB, 0},
    {"gho_", ALNUM, 36, 255, REDACT_GITHUB, 0},
    {"ghu_", ALNUM, 36, 255, REDACT_GITHUB, 0},
    {"ghs_", ALNUM, 36, 255, REDACT_GITHUB, 0},
    {"ghr_", ALNUM, 36, 255, REDACT_GITHUB, 0},
    {"github_pat_", WORD, 22, 255, REDACT_GITHUB, 0},
    {"jlt_", ALNUM, 49, 49, REDACT_JOBLOG, 0},
    {"jlk_", ALNUM, 49, 49, REDACT_JOBLOG, 0},
};

static int detect_form(const char *text, size_t len, size_t at, struct redact_span *ret)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const struct form *f = &forms[i];
        size_t head = strlen(f->literal), n;

        if (!starts(text, len, at, f->literal) || !begins(text, at))
            continue;
        n = run(text, len, at + head, f->class);
        if (n < f->min || n > f->max || (f->must && !any(text + at + head, n, f->must)))
            continue;
        return found(ret, at, at + head + n, f->kind);
    }
    return 0;
}

/* ---- values known by the name in front of them ---- */

#define REACH_BYTES 48 /* a value begins so near behind its name */

struct name {
    const char *text; /* any case */
    unsigned class;
    unsigned min, max;
    enum redact_kind kind;
};

static const struct name names[] = {
    {"secret_access_key", BASE64, 40, 40, REDACT_AWS},
    {"secretaccesskey", BASE64, 40, 40, REDACT_AWS},
    {"secret access key", BASE64, 40, 40, REDACT_AWS},
    {"secret-access-key", BASE64, 40, 40, REDACT_AWS},
    {"session_token", BASE64, 100, 4096, REDACT_AWS},
    {"sessiontoken", BASE64, 100, 4096, REDACT_AWS},
    {"security-token", BASE64, 100, 4096, REDACT_AWS},
    {"wandb_api_key", HEX, 40, 40, REDACT_WANDB},
    {"wandb login", HEX, 40, 40, REDACT_WANDB},
    {"wandb.login", HEX, 40, 40, REDACT_WANDB},
    {"api.wandb.ai", HEX, 40, 40, REDACT_WANDB},
};

static int detect_name(const char *text, size_t len, size_t at, struct redact_span *ret)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct name *n = &names[i];
        size_t end = at + strlen(n->text), last = end + REACH_BYTES < len ? end + REACH_BYTES : len;

        if (!starts_any_case(text, len, at, n->text))
            continue;
        for (size_t p = end; p < last;) {
            size_t bytes = run(text, len, p, n->class), lead = 0;

            while (lead < bytes && text[p + lead] == '=') /* NAME=VALUE, where '=' could be of the value */
                lead++;
            if (bytes - lead >= n->min && bytes - lead <= n->max && (begins(text, p + lead) || p == end) &&
                (p + bytes == len || !is(text[p + bytes], ALNUM)))
                return found(ret, p + lead, p + bytes, n->kind);
            p += bytes ? bytes : 1;
        }
    }
    return 0;
}

/* ---- Authorization ---- */

static int detect_value(const char *text, size_t len, size_t at, size_t min, int digit, struct redact_span *ret)
{
    size_t n = run(text, len, at, CREDENTIAL);

    if (n < min || (digit && !any(text + at, n, DIGIT)))
        return 0;
    return found(ret, at, at + n, REDACT_BEARER);
}

static size_t spaces(const char *text, size_t len, size_t at)
{
    size_t n = 0;

    while (at + n < len && (text[at + n] == ' ' || text[at + n] == '\t'))
        n++;
    return n;
}

/* "Authorization: Basic Zm9vOmJhcg==", "'authorization': 'Token …'", "X-Api-Key: …" */
static int detect_header(const char *text, size_t len, size_t at, struct redact_span *ret)
{
    static const char *const schemes[] = {"bearer", "basic", "token", "api-key", "apikey", "negotiate"};
    static const char *const heads[] = {"authorization", "x-api-key"};
    size_t p = 0;

    for (size_t i = 0; i < sizeof heads / sizeof *heads && !p; i++)
        if (starts_any_case(text, len, at, heads[i]))
            p = at + strlen(heads[i]);
    if (!p)
        return 0;
    for (int i = 0; i < 8 && p < len && text[p] && strchr(" \t\"'\\=:>{(,[", text[p]); i++)
        p++;
    if (starts(text, len, p, "b'") || starts(text, len, p, "b\"")) /* bytes of Python */
        p += 2;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t end = p + strlen(schemes[i]), n;

        if (!starts_any_case(text, len, p, schemes[i]))
            continue;
        n = spaces(text, len, end);
        if (n && detect_value(text, len, end + n, 8, 0, ret))
            return 1;
    }
    return p < len && detect_value(text, len, p, 16, 1, ret);
}

static int detect_bearer(const char *text, size_t len, size_t at, struct redact_span *ret)
{
    size_t p = at + 6, n = p < len ? spaces(text, len, p) : 0;

    if (!starts_any_case(text, len, at, "bearer") || !begins(text, at))
        return 0;
    if (!n && starts(text, len, p, "%20"))
        n = 3;
    return n && p + n < len && detect_value(text, len, p + n, 16, 1, ret);
}

/* ---- private keys ---- */

#define DASHES "-----"
#define LABEL_BYTES_MAX 40 /* "RSA ENCRYPTED PRIVATE KEY" and the like */

/* DASHES word " " label DASHES, whose label has PRIVATE KEY; its length, 0. */
static size_t key_marker(const char *text, size_t len, size_t at, const char *word)
{
    size_t p = at + strlen(DASHES) + strlen(word), label = p;

    if (!starts(text, len, at, DASHES) || !starts(text, len, at + strlen(DASHES), word))
        return 0;
    while (p < len && p - label <= LABEL_BYTES_MAX &&
           ((text[p] >= 'A' && text[p] <= 'Z') || text[p] == ' ' || is(text[p], DIGIT)))
        p++;
    if (len - p < strlen(DASHES) || memcmp(text + p, DASHES, strlen(DASHES)) != 0 ||
        !memmem(text + label, p - label, "PRIVATE KEY", 11))
        return 0;
    return p + strlen(DASHES) - at;
}

static int detect_key(const char *text, size_t len, size_t at, struct redact_span *ret)
{
    size_t n = key_marker(text, len, at, "BEGIN ");

    return n && found(ret, at, at + n, REDACT_PRIVATE_KEY);
}

size_t redact__key_tail(const char *text, size_t from, size_t to)
{
    while (to > from && (is(text[to - 1], BASE64) || (text[to - 1] && strchr("\\\r\n", text[to - 1]))))
        to--;
    return to;
}

int redact__key_end(const char *text, size_t len, size_t at, size_t *ret_from, size_t *ret_to)
{
    while (at < len) {
        const char *hit = memmem(text + at, len - at, DASHES "END ", strlen(DASHES) + 4);
        size_t n;

        if (!hit)
            return 0;
        at = (size_t)(hit - text);
        n = key_marker(text, len, at, "END ");
        if (n) {
            *ret_from = at;
            *ret_to = at + n;
            return 1;
        }
        at++;
    }
    return 0;
}

/* Upper and lower case: what is coded has both, a long word has not. */
static int looks_coded(const char *text, size_t n)
{
    int upper = 0, lower = 0;

    for (size_t i = 0; i < n; i++) {
        upper |= text[i] >= 'A' && text[i] <= 'Z';
        lower |= text[i] >= 'a' && text[i] <= 'z';
    }
    return upper && lower;
}

int redact__key_line(const char *text, size_t len, size_t prefix, size_t *ret_from, size_t *ret_to)
{
    static const char *const headers[] = {"Proc-Type:", "DEK-Info:", "Version:", "Comment:", "Hash:", "Charset:"};
    size_t to = len, from;

    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        const char *hit = memmem(text, len, headers[i], strlen(headers[i]));
        if (hit && (size_t)(hit - text) <= prefix) {
            *ret_from = (size_t)(hit - text);
            *ret_to = len;
            return 1;
        }
    }
    while (to > 0) { /* what an array or a string in a program puts behind it */
        if (strchr(" \t\r\"',;)]", text[to - 1]) && text[to - 1])
            to--;
        else if (to >= 2 && text[to - 2] == '\\' && strchr("nr", text[to - 1]) && text[to - 1])
            to -= 2;
        else
            break;
    }
    for (from = to; from > 0 && (is(text[from - 1], BASE64) || text[from - 1] == '\\'); from--)
        ;
    *ret_from = from;
    *ret_to = to;
    if (from == to)
        return to <= prefix; /* an empty line */
    if (from <= prefix)
        return 1;
    return to - from >= 16 && looks_coded(text + from, to - from) && !is(text[from - 1], WORD);
}

/* ---- all of them ---- */

typedef int detect_fn(const char *text, size_t len, size_t at, struct redact_span *ret);

static detect_fn *const detectors[] = {detect_key, detect_form, detect_header, detect_bearer, detect_name};
enum { DETECT_KEY, DETECT_FORM, DETECT_HEADER, DETECT_BEARER, DETECT_NAME, DETECT_COUNT };

static unsigned gram(uint32_t three)
{
    return ((three | 0x202020) * UINT32_C(0x9E3779B1)) >> 20;
}

static unsigned gram_at(const char *p)
{
    return gram((uint32_t)(unsigned char)p[0] | (uint32_t)(unsigned char)p[1] << 8 | (uint32_t)(unsigned char)p[2] << 16);
}

void redact__fill_grams(uint8_t grams[REDACT_GRAMS])
{
    memset(grams, 0, REDACT_GRAMS);
    grams[gram_at("---")] |= 1 << DETECT_KEY;
    grams[gram_at("aut")] |= 1 << DETECT_HEADER;
    grams[gram_at("x-a")] |= 1 << DETECT_HEADER;
    grams[gram_at("bea")] |= 1 << DETECT_BEARER;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        grams[gram_at(forms[i].literal)] |= 1 << DETECT_FORM;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        grams[gram_at(names[i].text)] |= 1 << DETECT_NAME;
}

size_t redact__candidate(const uint8_t grams[REDACT_GRAMS], const char *text, size_t len, size_t at)
{
    for (; at + 4 <= len; at++) { /* one load; the fourth byte falls out */
        uint32_t v;

        memcpy(&v, text + at, sizeof v);
        if (grams[gram(le32toh(v) & 0xffffff)])
            return at;
    }
    return at + 3 <= len && grams[gram_at(text + at)] ? at : len;
}

int redact__detect(const uint8_t grams[REDACT_GRAMS], const char *text, size_t len, size_t at, struct redact_span *ret)
{
    unsigned bits = at + 3 <= len ? grams[gram_at(text + at)] : 0;

    for (int i = 0; bits >> i; i++)
        if (bits >> i & 1 && detectors[i](text, len, at, ret))
            return 1;
    return 0;
}

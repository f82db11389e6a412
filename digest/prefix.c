/*
 * digest/prefix.c -- what a launcher wrote in front of a line.
 *
 * Nearly every line is told off by its first byte. The others are read group by group from the left; the
 * last group that names a rank decides.
 */
#include "digest/prefix.h"

#include <string.h>
#include <strings.h>

#define LITERAL(s) s, sizeof(s) - 1
#define NESTED_MAX 6

struct at {
    const char *s; /* of the whole line */
    size_t len, i;
};

static int starts(const struct at *a, const char *what, size_t n)
{
    return a->len - a->i >= n && memcmp(a->s + a->i, what, n) == 0;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* Digits at s: how many, and their value; 0 when there are none or it is no rank. */
static size_t rank_digits(const char *s, size_t n, int32_t *ret)
{
    size_t i = 0;
    int32_t v = 0;

    while (i < n && i < 6 && is_digit(s[i])) v = v * 10 + (s[i++] - '0');
    if (!i || i > 5 || v > PREFIX_RANK_MAX) return 0;
    *ret = v;
    return i;
}

/* "rank 3", "Rank: 3", "rank=3", "RANK 3/8", "rank3" ends the inside of a group s and is not "local_rank 3". */
static int group_rank(const char *s, size_t n, int32_t *ret)
{
    size_t digits, i = n;
    int32_t rank;

    while (i > 0 && is_digit(s[i - 1])) i--;
    if (i > 0 && i < n && s[i - 1] == '/') {
        n = --i;
        while (i > 0 && is_digit(s[i - 1])) i--;
    }
    digits = rank_digits(s + i, n - i, &rank);
    if (!digits || i + digits != n) return 0;
    while (i > 0 && (s[i - 1] == ' ' || s[i - 1] == ':' || s[i - 1] == '=')) i--;
    if (i < 4 || strncasecmp(s + i - 4, "rank", 4) != 0) return 0;
    i -= 4;
    if (i && s[i - 1] != ' ' && s[i - 1] != ',' && s[i - 1] != '|') return 0;
    while (i > 0 && s[i - 1] == ' ') i--;
    if (i >= 5 && strncasecmp(s + i - 5, "local", 5) == 0) return 0;
    *ret = rank;
    return 1;
}

/* "[1,3]<stderr>:", "[x@1,3][host:7]<stdout>: ", "[3]<stderr>:" at a, whose '[' closes at close. */
static int take_mpi(struct at *a, size_t close, struct prefix *p)
{
    const char *s = a->s;
    size_t i = close, from, end = close + 1;
    int32_t rank;

    if (end < a->len && s[end] == '[') { /* [host:pid] */
        const char *bracket = memchr(s + end, ']', a->len - end);
        if (!bracket) return 0;
        end = (size_t)(bracket - s) + 1;
    }
    if (a->len - end < 9 || memcmp(s + end, "<std", 4) != 0) return 0;
    end += 4;
    while (end < a->len && s[end] >= 'a' && s[end] <= 'z') end++;
    if (a->len - end < 2 || s[end] != '>' || s[end + 1] != ':') return 0;
    end += 2;
    while (i > a->i + 1 && is_digit(s[i - 1])) i--;
    from = i;
    if (s[from - 1] != ',' && s[from - 1] != '[') return 0;
    if (!rank_digits(s + from, close - from, &rank)) return 0;
    if (memchr(s + a->i, '@', close - a->i) && end < a->len && s[end] == ' ') end++;
    a->i = end;
    p->rank = rank;
    p->local_rank = PREFIX_NONE;
    p->is_launchers = 1;
    return 1;
}

/* "[default3]:" */
static int take_local(struct at *a, size_t close, struct prefix *p)
{
    int32_t local;
    size_t from = a->i + 8;

    if (!starts(a, LITERAL("[default")) || close + 1 >= a->len || a->s[close + 1] != ':') return 0;
    if (rank_digits(a->s + from, close - from, &local) != close - from || close == from) return 0;
    p->local_rank = local;
    p->rank = PREFIX_NONE;
    a->i = close + 2;
    return 1;
}

/* A '[' at a. 1: a prefix, stepped over. 0: not one. */
static int take_bracket(struct at *a, struct prefix *p)
{
    const char *bracket = memchr(a->s + a->i, ']', a->len - a->i);
    size_t close;
    int32_t rank;

    if (!bracket) return 0;
    close = (size_t)(bracket - a->s);
    if (take_local(a, close, p) || take_mpi(a, close, p)) return 1;
    if (!group_rank(a->s + a->i + 1, close - a->i - 1, &rank)) return 0;
    p->is_launchers = starts(a, LITERAL("[rank")) && is_digit(a->s[a->i + 5]) && close + 1 < a->len && a->s[close + 1] == ':';
    p->rank = rank;
    p->local_rank = PREFIX_NONE;
    a->i = close + 1;
    if (a->i < a->len && a->s[a->i] == ':') a->i++;
    if (a->i < a->len && a->s[a->i] == ' ') a->i++;
    return 1;
}

/* "(worker1, rank=1, pid=7, ip=10.0.0.2) ", "(RayTrainWorker pid=7) " */
static int take_paren(struct at *a, struct prefix *p)
{
    const char *s = a->s + a->i, *close = memchr(s, ')', a->len - a->i), *at, *pid;
    size_t n, name = 1, digits;
    int32_t rank;

    if (!close) return 0;
    n = (size_t)(close - s);
    while (name < n && s[name] != ' ' && s[name] != ',') name++;
    at = memmem(s, n, LITERAL("rank="));
    pid = memmem(s, n, LITERAL("pid="));
    if (at && at[-1] != ' ') at = NULL;         /* local_rank=, node_rank= */
    if (at && !pid && s[name] != ',') return 0; /* "(see rank=3)" */
    if (at) {
        digits = rank_digits(at + 5, (size_t)(close - at) - 5, &rank);
        if (!digits || (at[5 + digits] != ',' && at[5 + digits] != ' ' && at[5 + digits] != ')'))
            return 0;
        p->rank = rank;
        p->is_launchers = 0;
        p->local_rank = PREFIX_NONE;
    } else if (!pid) {
        return 0;
    }
    a->i += n + 1;
    if (a->i < a->len && a->s[a->i] == ' ') a->i++;
    return 1;
}

/* " 3: " at the start of the line. */
static void take_label(struct at *a, struct prefix *p)
{
    size_t i = 0, digits;
    int32_t label;

    while (i < a->len && i < 5 && a->s[i] == ' ') i++;
    digits = rank_digits(a->s + i, a->len - i, &label);
    if (!digits || (digits > 1 && a->s[i] == '0')) return; /* srun pads with spaces */
    i += digits;
    if (i + 1 > a->len || a->s[i] != ':' || (i + 1 < a->len && a->s[i + 1] != ' ')) return;
    p->label = label;
    p->label_bytes = i + 1 < a->len ? i + 2 : i + 1;
    a->i = p->label_bytes;
}

/* Stamps, levels, names and […] in front of a "[Rank 3]": is everything up to it such? Its rank. */
static int rank_behind_stamps(const struct at *a, int32_t *ret)
{
    const char *s = a->s;
    size_t i = a->i, end = a->len;

    while (i < end) {
        size_t from = i;

        if (s[i] == '[') {
            const char *close = memchr(s + i, ']', end - i);
            if (!close) return 0;
            if (group_rank(s + i + 1, (size_t)(close - s) - i - 1, ret)) return 1;
            i = (size_t)(close - s) + 1;
        } else if (is_digit(s[i])) {
            while (i < end && (is_digit(s[i]) || strchr("-:.,/TZ+", s[i]))) i++;
        } else if (strchr(" -|:,", s[i])) {
            i++;
        } else {
            int upper = 1;
            while (i < end && s[i] != ' ' && s[i] != '[' && s[i] != '|' && s[i] != ':')
                upper &= is_upper(s[i++]);
            upper &= i - from <= 8;
            if (!upper && (end - i < 3 || s[i] != ' ' || (s[i + 1] != '-' && s[i + 1] != '|') ||
                           s[i + 2] != ' '))
                return 0;
        }
    }
    return 0;
}

static uint32_t tag_of(const char *s, size_t n)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h ? h : 1;
}

/* What can begin a line with a prefix. */
static const unsigned char first_byte[256] = {
    ['['] = 1, ['('] = 1, [' '] = 1, ['0' ... '9'] = 1, ['M'] = 1,
    ['T'] = 1, ['W'] = 1, ['F'] = 1, ['S'] = 1, /* weekdays */
    ['I'] = 1, ['D'] = 1, ['E'] = 1, ['C'] = 1, /* levels */
};

/* "Thu Jun 18 14:28:36 2026[1,3]<stderr>:": Open MPI's --timestamp-output. */
static int has_date(const struct at *a)
{
    return a->len > 26 && a->s[24] == '[' && a->s[3] == ' ' && a->s[13] == ':' && a->s[19] == ' ' &&
           is_digit(a->s[23]);
}

/* Some […] ends with a digit. */
static int has_numbered_group(const struct at *a)
{
    const char *p = a->s + a->i, *end = a->s + a->len;

    while ((p = memchr(p, ']', (size_t)(end - p))) != NULL) {
        if (p > a->s && is_digit(p[-1])) return 1;
        p++;
    }
    return 0;
}

static int take_group(struct at *a, struct prefix *p)
{
    if (a->i == a->len) return 0;
    return a->s[a->i] == '[' ? take_bracket(a, p) : a->s[a->i] == '(' ? take_paren(a, p) : 0;
}

int prefix_may_begin(char c)
{
    return first_byte[(unsigned char)c];
}

void prefix_read(const char *text, size_t len, struct prefix *ret)
{
    struct at a = {text, len < PREFIX_LOOK_BYTES ? len : PREFIX_LOOK_BYTES, 0};
    size_t outer = 0;

    *ret = (struct prefix){.rank = PREFIX_NONE, .local_rank = PREFIX_NONE, .label = PREFIX_NONE};
    if (!a.len || !first_byte[(unsigned char)*text]) return;
    if (*text == ' ' || is_digit(*text))
        take_label(&a, ret);
    else if (has_date(&a))
        a.i = 24;
    for (int k = 0; k < NESTED_MAX && take_group(&a, ret); k++) {
        outer = a.i;
        if (a.i + 1 < a.len && text[a.i] == ' ' && text[a.i + 1] == '[')
            a.i++; /* "[default3]: [rank3]: …" */
    }
    a.i = outer ? outer : ret->label_bytes;
    if (outer) {
        ret->bytes = outer;
        ret->tag = tag_of(text, outer);
    }
    if (ret->rank == PREFIX_NONE && ret->local_rank == PREFIX_NONE && has_numbered_group(&a))
        (void)rank_behind_stamps(&a, &ret->rank);
}

int32_t prefix_labels_next(struct prefix_labels *l, const struct prefix *p, const char *text,
                           size_t len)
{
    if (l->is_no) return PREFIX_NONE;
    if (p->label == PREFIX_NONE) {
        int is_srun = (len >= 5 && memcmp(text, "srun:", 5) == 0) ||
                      (len >= 10 && memcmp(text, "slurmstepd", 10) == 0);
        if (len && !is_srun) l->is_no = 1;
        return PREFIX_NONE;
    }
    if (p->local_rank != PREFIX_NONE || (p->rank != PREFIX_NONE && p->rank != p->label) ||
        memmem(text, len, LITERAL("torch.distributed.run")) ||
        memmem(text, len, LITERAL("torch/distributed/run"))) {
        l->is_no = 1;
        return PREFIX_NONE;
    }
    if (!l->count)
        l->first = p->label;
    else if (p->label <= l->last)
        l->is_back = 1;
    l->has_two |= p->label != l->first;
    l->last = p->label;
    if (l->count < PREFIX_LABELS_MIN) l->count++;
    if (l->count >= PREFIX_LABELS_MIN && l->is_back && l->has_two) l->is_yes = 1;
    return l->is_yes ? p->label : PREFIX_NONE;
}

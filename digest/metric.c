/*
 * digest/metric.c -- step numbers and metrics in a line of a training log.
 *
 * The walk stops at what can stand between a name and its value ('=', ':') and at the first digit of a
 * number; the name is what stands before. Lines without any of these cost one look at each byte.
 */
#include "digest/metric.h"

#include "digest/number.h"

#include <string.h>
#include <strings.h>

struct walk {
    const char *s;
    size_t n;
    struct metric *m;
    int is_known;  /* a metric's name was seen */
    int step_rank; /* how good the name was that gave the step */
    int has_bars;  /* "a | b: 1 | c: 2": names may have spaces */
};

enum { K_OTHER, K_METRIC, K_STEP };

static int is_alpha(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_name(char c)
{
    return is_alpha(c) || is_digit(c) || c == '_' || c == '/' || c == '.' || c == '-' || c == '@' ||
           c == '%';
}

static int is_equal(const char *s, size_t n, const char *what)
{
    return strlen(what) == n && strncasecmp(s, what, n) == 0;
}

static int ends(const char *s, size_t n, const char *what)
{
    size_t len = strlen(what);

    return n >= len && strncasecmp(s + n - len, what, len) == 0;
}

/* What a name is. Only its last part counts: "train/loss", "val_loss", "lm loss". */
static int kind_of(const char *s, size_t n)
{
    size_t from = n;

    while (from > 0 && s[from - 1] != '/' && s[from - 1] != '.') from--;
    s += from;
    n -= from;
    if (n < 2) return K_OTHER;
    switch (s[n - 1] | 32) {
    case 'p':
        if (is_equal(s, n, "step") || is_equal(s, n, "global_step") || is_equal(s, n, "globalstep"))
            return K_STEP;
        return K_OTHER;
    case 'r':
        if (is_equal(s, n, "iter") || is_equal(s, n, "global_iter")) return K_STEP;
        return is_equal(s, n, "lr") || ends(s, n, "_lr") || is_equal(s, n, "wer") ? K_METRIC
                                                                                  : K_OTHER;
    case 'n': return is_equal(s, n, "iteration") ? K_STEP : K_OTHER;
    case 's':
        if (ends(s, n, "loss")) return K_METRIC;
        return ends(s, n, "tflops") || ends(s, n, "per_second") ? K_METRIC : K_OTHER;
    case 'e':
        return ends(s, n, "learning_rate") || ends(s, n, "learning rate") ||
                       ends(s, n, "loss scale")
                   ? K_METRIC
                   : K_OTHER;
    case 'm':
        return ends(s, n, "grad_norm") || ends(s, n, "grad norm") || is_equal(s, n, "gradnorm") ||
                       is_equal(s, n, "gnorm")
                   ? K_METRIC
                   : K_OTHER;
    case 'y':
        return ends(s, n, "accuracy") || ends(s, n, "perplexity") || ends(s, n, "entropy")
                   ? K_METRIC
                   : K_OTHER;
    case 'h': return is_equal(s, n, "epoch") ? K_METRIC : K_OTHER;
    case 'c': return ends(s, n, "acc") || is_equal(s, n, "auc") ? K_METRIC : K_OTHER;
    case 'l':
        return is_equal(s, n, "ppl") || ends(s, n, "_ppl") || is_equal(s, n, "kl") ? K_METRIC
                                                                                   : K_OTHER;
    case 'u': return is_equal(s, n, "mfu") || is_equal(s, n, "bleu") ? K_METRIC : K_OTHER;
    case 'd': return ends(s, n, "reward") ? K_METRIC : K_OTHER;
    }
    return K_OTHER;
}

static void add_value(struct walk *w, const char *name, size_t len, double v)
{
    struct metric *m = w->m;

    if (m->count == METRIC_VALUES_MAX || !len) return;
    if (len > METRIC_NAME_BYTES_MAX) len = METRIC_NAME_BYTES_MAX;
    m->values[m->count++] = (struct metric_value){name, len, v};
}

/* A named number. */
static void note(struct walk *w, const char *name, size_t len, double v)
{
    int kind = kind_of(name, len);

    if (kind == K_STEP) {
        int rank = memchr(name, 'l', len) || memchr(name, 'L', len) ? 3 : 2; /* global_step */
        if (v >= 0 && v < 9e15 && v == (double)(int64_t)v && rank > w->step_rank) {
            w->m->step = (int64_t)v;
            w->step_rank = rank;
            w->is_known = 1;
        }
        return;
    }
    if (kind != K_OTHER) w->is_known = 1;
    add_value(w, name, len, v);
}

/* Where the cell "| elapsed time per iteration (ms)" that ends at end starts; end when it is no name. */
static size_t cell_before(const struct walk *w, size_t end)
{
    size_t i = end;

    while (i > 0 && w->s[i - 1] != '|' && w->s[i - 1] != ']') {
        if (strchr(",=<%:\"'", w->s[i - 1])) return end;
        i--;
    }
    while (i < end && w->s[i] == ' ') i++;
    return i;
}

/* The name that ends before at, for a ':' or '='. Its length, 0 when there is none. */
static size_t name_before(const struct walk *w, size_t at, const char **ret)
{
    size_t end = at, i;
    char quote = 0;

    while (end > 0 && w->s[end - 1] == ' ') end--;
    if (end > 0 && (w->s[end - 1] == '\'' || w->s[end - 1] == '"')) quote = w->s[--end];
    i = end;
    if (quote) {
        while (i > 0 && w->s[i - 1] != quote) i--;
        if (!i) return 0;
    } else if (w->has_bars && w->s[at] == ':' && (i = cell_before(w, end)) < end) {
        /* all of the cell */
    } else {
        i = end;
        while (i > 0 && is_name(w->s[i - 1])) i--;
        while (i < end && !is_alpha(w->s[i]) && w->s[i] != '_') i++; /* "- loss", "1.loss" */
        /* "train loss: 2.3", "lm loss: 2.3" */
        if (i >= 2 && w->s[i - 1] == ' ' && ends(w->s + i, end - i, "loss")) {
            size_t before = i - 1;
            while (before > 0 && is_alpha(w->s[before - 1])) before--;
            if (i - 1 - before >= 2 && i - 1 - before <= 5) i = before;
        }
    }
    *ret = w->s + i;
    return end - i > 0 && is_alpha(w->s[i]) ? end - i : 0;
}

/* Behind a number at i: is it a whole word there ("12ms" is, "12abc" and a time are not)? */
static int is_value_end(const struct walk *w, size_t i)
{
    char c;

    if (i == w->n) return 1;
    c = w->s[i];
    if (c == ':' && i + 1 < w->n && is_digit(w->s[i + 1])) return 0;
    if (c == '-' && i + 1 < w->n && is_digit(w->s[i + 1])) return 0;
    if (c == '.' && i + 1 < w->n && is_digit(w->s[i + 1])) return 0;
    if (c == '%' && i + 1 < w->n && w->s[i + 1] == '|') return 0; /* a progress bar */
    return c != '_' && c != '@';
}

/* A '=' or ':' at i. Bytes to go on by. */
static size_t separator(struct walk *w, size_t i)
{
    size_t at = i + 1, used, len;
    const char *name;
    double v;

    while (at < w->n && (w->s[at] == ' ' || w->s[at] == '=')) at++;
    if (at == w->n || !(is_digit(w->s[at]) || strchr("-+.nNiI", w->s[at]))) return 1;
    if (w->s[i] == ':' && i + 1 == at && i && is_digit(w->s[i - 1])) return 1; /* a time */
    used = number_read(w->s + at, w->n - at, &v);
    if (!used || !is_value_end(w, at + used)) return 1;
    if (w->s[i] == ':' && i + 1 == at && at + used < w->n && w->s[at + used] == ':')
        return 1; /* "x.py:96:f" */
    len = name_before(w, i, &name);
    if (!len) return 1;
    note(w, name, len, v);
    return at + used - i;
}

/* "it/s", "s/it", "tokens/s" behind a number. */
static int is_rate(const char *s, size_t n, size_t *ret_len)
{
    size_t i = 0;

    while (i < n && i < 16 && (is_alpha(s[i]) || s[i] == '/')) i++;
    *ret_len = i;
    if (i < 4) return 0;
    return is_equal(s, i, "it/s") || is_equal(s, i, "s/it") || is_equal(s, i, "tok/s") ||
           is_equal(s, i, "tokens/s") || is_equal(s, i, "tokens/sec") ||
           is_equal(s, i, "samples/s") || is_equal(s, i, "samples/sec") ||
           is_equal(s, i, "steps/s") || is_equal(s, i, "img/s") || is_equal(s, i, "images/sec") ||
           is_equal(s, i, "batch/s");
}

/* A number at i that nothing but space stands before: "iter 100", "loss 2.31", "4.5 it/s". Bytes to go on by. */
static size_t bare_number(struct walk *w, size_t i)
{
    const char *name;
    size_t used, end = i, from, len, unit;
    double v;

    used = number_read(w->s + i, w->n - i, &v);
    if (!used) return 1;
    unit = i + used + (i + used < w->n && w->s[i + used] == ' ');
    if (unit < w->n && is_rate(w->s + unit, w->n - unit, &len)) {
        if (is_equal(w->s + unit, len, "s/it"))
            add_value(w, "it/s", 4, v > 0 ? 1 / v : 0);
        else
            add_value(w, w->s + unit, len, v);
        return unit + len - i;
    }
    while (end > 0 && w->s[end - 1] == ' ') end--;
    if (!end || end == i || !is_alpha(w->s[end - 1])) return used;
    for (from = end; from > 0 && is_name(w->s[from - 1]); from--) {
    }
    name = w->s + from;
    if (!is_value_end(w, i + used) || kind_of(name, end - from) == K_OTHER) return used;
    if (ends(name, end - from, "loss") && from >= 3 &&
        w->s[from - 1] == ' ') { /* "train loss 4.28" */
        size_t before = from - 1;
        while (before > 0 && is_alpha(w->s[before - 1])) before--;
        if (from - 1 - before >= 2 && from - 1 - before <= 5) name = w->s + before;
    }
    note(w, name, (size_t)(w->s + end - name), v);
    return used;
}

int metric_read(const char *text, size_t len, struct metric *ret)
{
    static const unsigned char stop[256] = {['='] = 1, [':'] = 1, ['0' ... '9'] = 2};
    struct walk w = {.s = text, .n = len < METRIC_LOOK_BYTES ? len : METRIC_LOOK_BYTES, .m = ret};

    ret->step = -1;
    ret->count = 0;
    w.has_bars = memmem(text, w.n, " | ", 3) != NULL;
    for (size_t i = 0; i < w.n;) {
        switch (stop[(unsigned char)text[i]]) {
        case 0: i++; break;
        case 1: i += separator(&w, i); break;
        case 2:
            if (i && text[i - 1] != ' ' && text[i - 1] != '(' && text[i - 1] != '[') {
                while (i < w.n && (is_digit(text[i]) || text[i] == '.')) i++; /* inside a word */
            } else {
                i += bare_number(&w, i);
            }
            break;
        }
    }
    return w.is_known && (ret->count || ret->step >= 0);
}

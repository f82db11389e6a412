/*
 * digest/progress.c -- what a progress bar says.
 *
 * One walk notes what stands in the line: bar pieces, the first percentage, the first A/B, a rate, a rest of
 * time. Whether that makes it a progress bar is decided at the end.
 */
#include "digest/progress.h"

#include "digest/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct walk {
    const char *s;
    size_t n;
    struct progress *p;
    int bar;      /* pieces of a bar: tqdm's |, rich's ━, wget's and Keras' [=>], curl's #### */
    int brackets; /* tqdm's "[00:10<00:12, …" */
};

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static double factor(char c)
{
    switch (c) {
    case 'k':
    case 'K': return 1e3;
    case 'M': return 1e6;
    case 'G': return 1e9;
    case 'T': return 1e12;
    }
    return 0;
}

/* "0:00:12", "00:12", "1:02:03:04", "12s", "3m", "-:--:--" is none. Bytes used. */
static size_t read_time(const char *s, size_t n, double *ret)
{
    double total = 0, v;
    size_t i = 0, parts = 0;

    for (;;) {
        long long x;
        size_t len = number_whole(s + i, n - i, &x);
        if (!len) return 0;
        total = total * 60 + (double)x;
        i += len;
        parts++;
        if (i + 1 < n && s[i] == ':' && is_digit(s[i + 1]) && parts < 4)
            i++;
        else
            break;
    }
    if (parts > 1) {
        *ret = total;
        return i;
    }
    i = number_read(s, n, &v);
    if (i && i < n && strchr("smhd", s[i]) && s[i] &&
        (i + 1 == n || !((s[i + 1] | 32) >= 'a' && (s[i + 1] | 32) <= 'z'))) {
        *ret = v * (s[i] == 's' ? 1 : s[i] == 'm' ? 60 : s[i] == 'h' ? 3600 : 86400);
        return i + 1;
    }
    return 0;
}

/* A number with k, M, G, MB, MiB behind it. */
static size_t read_amount(const char *s, size_t n, double *ret)
{
    size_t i = number_read(s, n, ret);
    double f;

    if (!i || i == n || *s == '-' || *s == '+') return i;
    f = factor(s[i]);
    if (f) {
        *ret *= f;
        i++;
        if (i < n && s[i] == 'i') i++;
        if (i < n && (s[i] == 'B' || s[i] == 'b')) i++;
    }
    return i;
}

/* At a number: " 4.50it/s", "1.20s/it", "4.5 MB/s", "100ms/step". Bytes used. */
static size_t read_rate(struct walk *w, const char *s, size_t n)
{
    double v;
    size_t i = number_read(s, n, &v), from;
    char unit[PROGRESS_UNIT_BYTES_MAX + 1];

    if (!i || w->p->rate >= 0) return 0;
    if (i < n && s[i] == ' ') i++;
    from = i;
    while (i < n && (((s[i] | 32) >= 'a' && (s[i] | 32) <= 'z') || s[i] == '/') && i - from < 24)
        i++;
    if (i - from < 3) return 0;
    if (memcmp(s + i - 2, "/s", 2) == 0 || (i - from > 4 && memcmp(s + i - 4, "/sec", 4) == 0)) {
        size_t len = i - from - (s[i - 1] == 's' ? 2 : 4);
        double f = len > 1 || (len == 1 && factor(s[from])) ? factor(s[from]) : 0;
        if (f && (s[from + 1] == 'B' || s[from + 1] == 'i' || s[from + 1] == 'b' || len == 1 ||
                  strncmp(s + from + 1, "it", 2) == 0)) {
            v *= f;
            from++, len--;
            if (len && s[from] == 'i' && len > 1 && s[from + 1] == 'B') from++, len--;
        }
        snprintf(unit, sizeof unit, "%.*s", (int)(len < sizeof unit ? len : sizeof unit - 1),
                 s + from);
    } else if (s[from] == 's' && s[from + 1] == '/') {
        v = v > 0 ? 1 / v : 0;
        snprintf(unit, sizeof unit, "%.*s",
                 (int)(i - from - 2 < sizeof unit ? i - from - 2 : sizeof unit - 1), s + from + 2);
    } else if (memcmp(s + from, "ms/", 3) == 0) {
        v = v > 0 ? 1000 / v : 0;
        snprintf(unit, sizeof unit, "%.*s",
                 (int)(i - from - 3 < sizeof unit ? i - from - 3 : sizeof unit - 1), s + from + 3);
    } else if (memcmp(s + from, "us/", 3) == 0) {
        v = v > 0 ? 1e6 / v : 0;
        snprintf(unit, sizeof unit, "%.*s",
                 (int)(i - from - 3 < sizeof unit ? i - from - 3 : sizeof unit - 1), s + from + 3);
    } else {
        return 0;
    }
    if (!strcmp(unit, "iB")) strcpy(unit, "B");
    w->p->rate = v;
    memcpy(w->p->unit, unit, sizeof unit);
    return i;
}

/* At a number: "45/100", "45.0/100.0 MB". Bytes used. */
static size_t read_count(struct walk *w, const char *s, size_t n)
{
    double done, total, f;
    size_t i = read_amount(s, n, &done), len;

    if (!i || i + 1 >= n || s[i] != '/' || !is_digit(s[i + 1]) || w->p->total >= 0) return 0;
    len = read_amount(s + i + 1, n - i - 1, &total);
    i += 1 + len;
    if (i + 2 < n && s[i] == ' ' && (f = factor(s[i + 1])) != 0 &&
        (s[i + 2] == 'B' || s[i + 2] == 'i')) {
        done *= f;
        total *= f;
    }
    if (!len || total <= 0 || done < 0 || done > total * 1.0001) return 0;
    if (i < n && s[i] == '/') return 0; /* a date */
    w->p->done = done;
    w->p->total = total;
    return i;
}

/* tqdm's "[00:10<00:12, …" or "[00:10, …" at '['. */
static void read_brackets(struct walk *w, size_t at)
{
    const char *s = w->s + at + 1;
    size_t n = w->n - at - 1, i;
    double t;

    i = read_time(s, n, &t);
    if (!i || i == n || (s[i] != '<' && s[i] != ',')) return;
    if (!memchr(s, ':', i)) return;
    w->brackets = 1;
    w->p->elapsed_s = t;
    if (s[i] == '<' && read_time(s + i + 1, n - i - 1, &t)) w->p->eta_s = t;
}

/* "eta 0:00:12", "ETA: 12s" at e. */
static void read_eta(struct walk *w, size_t at)
{
    size_t i = at + 3;
    double t;

    while (i < w->n && (w->s[i] == ' ' || w->s[i] == ':')) i++;
    if (read_time(w->s + i, w->n - i, &t)) w->p->eta_s = t;
}

/* [====>    ], [####  ], and the row of # that curl -# draws. */
static int is_ascii_bar(const struct walk *w, size_t at)
{
    size_t i = at + (w->s[at] == '['), from = i, k;

    while (i < w->n && (w->s[i] == '=' || w->s[i] == '#')) i++;
    k = i;
    if (w->s[at] != '[') return i - from >= 4 && w->s[from] == '#';
    while (i < w->n && strchr(">. -", w->s[i]) && w->s[i]) i++;
    return i < w->n && w->s[i] == ']' && i - from >= 4 &&
           (k > from || w->s[from] == '.' || w->s[from] == '>');
}

/* Between tqdm's bars: "####5     ", blocks. */
static int is_filling(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] != '#' && s[i] != ' ' && !is_digit(s[i]) && (unsigned char)s[i] < 0x80) return 0;
    }
    return 1;
}

static int starts(const struct walk *w, size_t i, const char *what)
{
    size_t n = strlen(what);

    return w->n - i >= n && memcmp(w->s + i, what, n) == 0;
}

/* curl's twelve columns. */
static int read_curl(struct walk *w)
{
    const char *at[12];
    size_t len[12], i = 0;
    int count = 0;
    double v;

    while (i < w->n) {
        while (i < w->n && w->s[i] == ' ') i++;
        if (i == w->n) break;
        if (count == 12) return 0;
        at[count] = w->s + i;
        while (i < w->n && w->s[i] != ' ') i++;
        len[count] = (size_t)(w->s + i - at[count]);
        if (!is_digit(*at[count]) && *at[count] != '-') return 0;
        count++;
    }
    if (count != 12 || !memchr(at[8], ':', len[8]) || !memchr(at[9], ':', len[9]) ||
        !memchr(at[10], ':', len[10]))
        return 0;
    if (number_read(at[0], len[0], &v) != len[0]) return 0;
    w->p->percent = v;
    if (read_amount(at[1], len[1], &v)) w->p->total = v;
    if (read_amount(at[3], len[3], &v)) w->p->done = v;
    if (read_amount(at[11], len[11], &v)) w->p->rate = v;
    if (read_time(at[9], len[9], &v)) w->p->elapsed_s = v;
    if (read_time(at[10], len[10], &v)) w->p->eta_s = v;
    strcpy(w->p->unit, "B");
    return 1;
}

/* One place of the line; how many bytes were understood there. */
static size_t look(struct walk *w, size_t i)
{
    const char *s = w->s + i;
    size_t n = w->n - i, used;
    double v;

    if (*s == '[') {
        w->bar |= is_ascii_bar(w, i);
        read_brackets(w, i);
    } else if (*s == '#') {
        w->bar |= is_ascii_bar(w, i);
    } else if (*s == '|') {
        const char *end = memchr(s + 1, '|', n - 1);
        if (end && i && w->s[i - 1] == '%' && is_filling(s + 1, (size_t)(end - s) - 1)) w->bar = 1;
        if (end && w->bar) return (size_t)(end - s) + 1;
    } else if ((unsigned char)*s == 0xe2) {
        if (starts(w, i, "\xe2\x94\x81") || starts(w, i, "\xe2\x95\xb8") ||
            starts(w, i, "\xe2\x96\x88"))
            w->bar = 1; /* ━ ╸ █ */
        return 3;
    } else if ((*s | 32) == 'e' && n > 4 && strncasecmp(s, "eta", 3) == 0 &&
               (s[3] == ' ' || s[3] == ':')) {
        read_eta(w, i);
    } else if (is_digit(*s) && (!i || !(is_digit(s[-1]) || s[-1] == '.' || s[-1] == '_' ||
                                        ((s[-1] | 32) >= 'a' && (s[-1] | 32) <= 'z')))) {
        if ((used = read_count(w, s, n))) return used;
        if ((used = read_rate(w, s, n))) return used;
        used = number_read(s, n, &v);
        if (used && used < n && s[used] == '%' && v <= 100 && w->p->percent < 0) {
            w->p->percent = v;
            return used + 1;
        }
        if (w->bar && !w->brackets && w->p->eta_s < 0 && w->p->percent >= 0 &&
            (used = read_time(s, n, &v)) && memchr(s, ':', used)) {
            w->p->eta_s = v; /* rich: "45% 0:00:12" */
            return used;
        }
        used = number_read(s, n, &v);
        return used ? used : 1;
    }
    return 1;
}

int progress_read(const char *text, size_t len, struct progress *ret)
{
    struct walk w = {text, len < PROGRESS_LOOK_BYTES ? len : PROGRESS_LOOK_BYTES, ret, 0, 0};
    int is_one;

    *ret = (struct progress){
        .percent = -1, .done = -1, .total = -1, .rate = -1, .eta_s = -1, .elapsed_s = -1};
    while (w.n && (text[w.n - 1] == ' ' || text[w.n - 1] == '\r')) w.n--;
    if (!w.n) return 0;
    if ((text[0] == ' ' || is_digit(text[0])) && read_curl(&w)) return 1;
    for (size_t i = 0; i < w.n;) i += look(&w, i);
    if (ret->percent < 0 && ret->total > 0)
        ret->percent = floor(ret->done / ret->total * 1000 + 0.5) / 10;
    is_one = (w.bar && ret->percent >= 0) ||
             (w.brackets && (ret->rate >= 0 || ret->percent >= 0 || ret->total >= 0));
    return is_one;
}

static int member(struct buf *out, const char *key, double v)
{
    size_t end = out->len;
    int err =
        v < 0 || isinf(v) || isnan(v)
            ? 0
            : buf_addf(out, "%s\"%s\":%.10g", end && out->data[end - 1] != '{' ? "," : "", key, v);

    return err;
}

int progress_write(struct buf *out, const struct progress *p)
{
    int err = member(out, "percent", p->percent);

    if (err >= 0) err = member(out, "done", p->done);
    if (err >= 0) err = member(out, "total", p->total);
    if (err >= 0) err = member(out, "rate", p->rate);
    if (err >= 0 && p->rate >= 0 && p->unit[0]) err = buf_addf(out, ",\"unit\":\"%s\"", p->unit);
    return err < 0 ? err : member(out, "eta_s", p->eta_s);
}

/*
 * clients/cli/why_page.c -- sections of a post-mortem, top to bottom as a tired person needs them.
 */
#include "clients/cli/why_page.h"

#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/cli.h"
#include "clients/cli/palette.h"
#include "clients/cli/term.h"

#include <stdio.h>
#include <string.h>

#define BOLD "1"
#define MARKS_MAX 100
#define LEVELS 7
#define CELL_BYTES 48

struct page {
    struct why_page o;
    const struct json_tree *root;
    struct buf *out, line;
};

/* ---- reading ---- */

static const char *text_of(const struct json_tree *v, const char *key)
{
    const char *s = NULL;

    return json_tree_get_str(v, key, &s) > 0 ? s : "";
}

static int64_t number_of(const struct json_tree *v, const char *key, int64_t otherwise)
{
    int64_t n = otherwise;

    return json_tree_get_i64(v, key, &n) > 0 ? n : otherwise;
}

static int has_number(const struct json_tree *v, const char *key, double *ret)
{
    const struct json_tree *n = json_tree_get(v, key);

    if (!json_tree_is_num(n))
        return 0;
    *ret = json_tree_double(n);
    return 1;
}

/* "20:54:01.123" of an RFC 3339 time. */
static const char *clock_of(const char *ts, char out[16])
{
    if (strlen(ts) < 23)
        return "-";
    snprintf(out, 16, "%.12s", ts + 11);
    return out;
}

static const char *seconds(double s, char out[32])
{
    if (!(s > -1e11 && s < 1e11))
        return "-";
    return clock_format_duration((int64_t)(s * 1e6), out);
}

static const char *rank_of(const struct json_tree *v, char out[24])
{
    int64_t rank = number_of(v, "rank", -1);

    if (rank < 0)
        return "-";
    snprintf(out, 24, "%lld", (long long)rank);
    return out;
}

/* ---- writing ---- */

static void paint(struct page *p, const char *sgr)
{
    if (p->o.color && *sgr)
        buf_addf(p->out, "\x1b[%sm", sgr);
}

static void unpaint(struct page *p, const char *sgr)
{
    if (p->o.color && *sgr)
        buf_adds(p->out, TERM_RESET);
}

/* One row, cut to the width. */
static void row(struct page *p, const char *sgr, const char *text, size_t len)
{
    paint(p, sgr);
    term_clean_row(p->out, text, len, p->o.columns ? p->o.columns : 1 << 20);
    unpaint(p, sgr);
    buf_addc(p->out, '\n');
}

/* What p->line holds, as a row. */
static void put(struct page *p, const char *sgr)
{
    row(p, sgr, p->line.data ? p->line.data : "", p->line.len);
    buf_clear(&p->line);
}

static void heading(struct page *p, const char *text)
{
    buf_addc(p->out, '\n');
    row(p, BOLD, text, strlen(text));
}

/* Columns of the first n bytes of safe text. */
static size_t word_end(const char *s)
{
    size_t n = strcspn(s, " ");

    return n;
}

/* A paragraph wrapped at words. */
static void paragraph(struct page *p, const char *sgr, const char *text)
{
    struct buf safe = BUF_INIT;
    int at = 0;

    term_clean(&safe, text, strlen(text), TERM_COLOR_DROP, NULL);
    paint(p, sgr);
    for (const char *s = buf_cstr(&safe); *s;) {
        size_t n = word_end(s);
        int width = term_width(s, n);
        if (p->o.columns && at && at + 1 + width > p->o.columns) {
            buf_addc(p->out, '\n');
            at = 0;
        }
        if (at)
            buf_addc(p->out, ' ');
        buf_add(p->out, s, n);
        at += width + (at > 0);
        s += n;
        s += *s == ' ';
    }
    unpaint(p, sgr);
    buf_addc(p->out, '\n');
    buf_release(&safe);
}

static const char *color_of_kind(const char *kind)
{
    if (!strcmp(kind, "failed") || !strcmp(kind, "deploy_failed"))
        return "1;31";
    if (!strcmp(kind, "hung") || !strcmp(kind, "cannot_tell"))
        return "1;33";
    return !strcmp(kind, "completed") ? "1;32" : BOLD;
}

static const char *color_of_status(const char *status)
{
    if (!strcmp(status, "failed_first"))
        return "1;31";
    if (!strcmp(status, "failed") || !strcmp(status, "never_started"))
        return "31";
    if (!strcmp(status, "silent") || !strcmp(status, "killed"))
        return "33";
    return !strcmp(status, "cascade") ? palette_faint() : "";
}

/* ---- sections ---- */

static void head(struct page *p)
{
    const struct json_tree *verdict = json_tree_get(p->root, "verdict"),
                           *job = json_tree_get(p->root, "job");
    char text[32];
    int sealed = 0, complete = 0;
    double n;

    paragraph(p, color_of_kind(text_of(verdict, "kind")), text_of(verdict, "sentence"));
    buf_addf(&p->line, "%s: %s", text_of(job, "id"), cli_short_state(text_of(job, "state")));
    if (has_number(job, "duration_s", &n))
        buf_addf(&p->line, " after %s", seconds(n, text));
    if (number_of(job, "ranks", 0) > 1)
        buf_addf(&p->line, ", %lld ranks", (long long)number_of(job, "ranks", 0));
    buf_addf(&p->line, ", %s lines", cli_thousands((uint64_t)number_of(job, "lines", 0), text));
    json_tree_get_bool(job, "sealed", &sealed);
    json_tree_get_bool(job, "complete", &complete);
    buf_adds(&p->line, !sealed ? ", log open" : complete ? ", log complete" : ", log incomplete");
    if (*text_of(verdict, "confidence"))
        buf_addf(&p->line, "; sure: %s", text_of(verdict, "confidence"));
    put(p, palette_faint());
    for (const struct json_tree *m = json_tree_first(json_tree_get(p->root, "missing")); m;
         m = json_tree_next(m))
        buf_addf(&p->line, "%s%s",
                 p->line.len ? ", " : "missing: ", json_tree_str(m) ? json_tree_str(m) : "?");
    if (p->line.len)
        put(p, "33");
}

struct marks {
    double lines[MARKS_MAX][LEVELS], sum[MARKS_MAX], most;
    int count;
};

/* The rate in at most count marks. */
static void read_marks(const struct json_tree *rate, int count, struct marks *m)
{
    const struct json_tree *lines = json_tree_get(rate, "lines");
    int n = 0, each, at = 0;

    memset(m, 0, sizeof *m);
    for (const struct json_tree *b = json_tree_first(lines); b; b = json_tree_next(b))
        n++;
    if (!n)
        return;
    each = (n + count - 1) / count;
    m->count = (n + each - 1) / each;
    for (const struct json_tree *b = json_tree_first(lines); b; b = json_tree_next(b), at++) {
        int l = 0;
        for (const struct json_tree *v = json_tree_first(b); v && l < LEVELS;
             v = json_tree_next(v), l++) {
            m->lines[at / each][l] += json_tree_double(v);
            m->sum[at / each] += json_tree_double(v);
        }
    }
    for (int i = 0; i < m->count; i++)
        if (m->sum[i] > m->most)
            m->most = m->sum[i];
}

static void chart(struct page *p)
{
    static const char *const sparks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const struct json_tree *rate = json_tree_get(p->root, "rate");
    int room = p->o.columns ? p->o.columns - 2 : MARKS_MAX;
    struct marks m;
    char text[32];

    read_marks(rate, room > MARKS_MAX ? MARKS_MAX : room, &m);
    if (!m.count)
        return;
    heading(p, "lines over time");
    buf_adds(p->out, "  ");
    for (int i = 0; i < m.count; i++) {
        double errors = m.lines[i][LEVEL_ERROR] + m.lines[i][LEVEL_FATAL];
        const char *sgr = errors > 0 ? "31" : m.lines[i][LEVEL_WARN] > 0 ? "33" : palette_faint();
        if (m.sum[i] <= 0) {
            buf_addc(p->out, ' ');
            continue;
        }
        paint(p, sgr);
        buf_adds(p->out, sparks[(int)(m.sum[i] / m.most * 7.0)]);
        unpaint(p, sgr);
    }
    buf_adds(p->out, "\n");
    buf_adds(&p->line, "  ");
    for (int i = 0; i < m.count; i++)
        buf_addc(&p->line, m.lines[i][LEVEL_ERROR] + m.lines[i][LEVEL_FATAL] > 0 ? '!'
                           : m.lines[i][LEVEL_WARN] > 0                          ? 'w'
                                                                                 : ' ');
    while (p->line.len && p->line.data[p->line.len - 1] == ' ')
        p->line.len--;
    if (p->line.len)
        put(p, "31");
    buf_addf(&p->line, "  from %s UTC, ", clock_of(text_of(rate, "from"), text));
    buf_addf(&p->line, "at most %.0f lines a mark; ! error, w warning", m.most);
    put(p, palette_faint());
}

static void causes(struct page *p)
{
    const struct json_tree *c = json_tree_first(json_tree_get(p->root, "causes"));
    char at[16];

    if (!c)
        return;
    heading(p, "causes");
    for (; c; c = json_tree_next(c)) {
        const struct json_tree *first = json_tree_get(c, "first");
        const char *role = text_of(c, "role");
        buf_addf(&p->line, "  %-8s %s", role, text_of(c, "title"));
        if (*text_of(c, "ranks"))
            buf_addf(&p->line, ", rank%s %s", strpbrk(text_of(c, "ranks"), ",-") ? "s" : "",
                     text_of(c, "ranks"));
        if (number_of(c, "count", 1) > 1)
            buf_addf(&p->line, ", ×%lld", (long long)number_of(c, "count", 1));
        if (*text_of(first, "at"))
            buf_addf(&p->line, ", first at %s", clock_of(text_of(first, "at"), at));
        if (number_of(first, "seq", 0))
            buf_addf(&p->line, " (line %lld)", (long long)number_of(first, "seq", 0));
        put(p, !strcmp(role, "primary") ? "31" : !strcmp(role, "other") ? palette_faint() : "");
    }
}

/* The last lines of a text, at most max of them. */
static const char *last_lines(const char *s, unsigned max, unsigned *ret_left_out)
{
    unsigned lines = 0, skip;
    size_t n = strlen(s);

    while (n && s[n - 1] == '\n')
        n--;
    for (size_t i = 0; i < n; i++)
        lines += s[i] == '\n';
    skip = n && lines + 1 > max ? lines + 1 - max : 0;
    *ret_left_out = skip;
    for (; skip; skip--)
        s = strchr(s, '\n') + 1;
    return s;
}

static void block(struct page *p, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        buf_adds(&p->line, "  ");
        buf_add(&p->line, text, n);
        put(p, "");
        text += n + (text[n] == '\n');
    }
}

static void tail_before(struct page *p, int64_t rank, int64_t before)
{
    const struct json_tree *t = json_tree_first(json_tree_get(p->root, "tails"));
    unsigned n = 0, skip;

    while (t && number_of(t, "rank", -1) != rank)
        t = json_tree_next(t);
    for (const struct json_tree *l = json_tree_first(json_tree_get(t, "lines")); l;
         l = json_tree_next(l))
        n += number_of(l, "seq", 0) < before;
    skip = n > WHY_TAIL_LINES && !p->o.all ? n - WHY_TAIL_LINES : 0;
    for (const struct json_tree *l = json_tree_first(json_tree_get(t, "lines")); l && n;
         l = json_tree_next(l)) {
        if (number_of(l, "seq", 0) >= before || (skip && skip--))
            continue;
        buf_addf(&p->line, "  %s", text_of(l, "msg"));
        put(p, palette_faint());
    }
}

/* The errors themselves: the first one whole, with what the rank said before it; the others by name. */
static void errors(struct page *p)
{
    const struct json_tree *g = json_tree_first(json_tree_get(p->root, "groups"));
    int64_t omitted = number_of(p->root, "groups_omitted", 0);
    unsigned left_out = 0;
    char name[24];

    if (g && !strcmp(text_of(g, "role"), "primary")) {
        const struct json_tree *first = json_tree_get(g, "first");
        const char *text =
            last_lines(text_of(g, "text"), p->o.all ? 1u << 20 : WHY_TRACE_LINES, &left_out);
        buf_addc(p->out, '\n');
        buf_addf(&p->line, "the error, rank %s, line %lld", rank_of(first, name),
                 (long long)number_of(first, "seq", 0));
        put(p, BOLD);
        tail_before(p, number_of(first, "rank", -1), number_of(first, "seq", 0));
        if (left_out) {
            buf_addf(&p->line, "  … %u lines (-a shows all)", left_out);
            put(p, palette_faint());
        }
        block(p, text);
        g = json_tree_next(g);
    }
    if (!g)
        return;
    heading(p, "other errors");
    for (unsigned n = 0; g; g = json_tree_next(g)) {
        if (++n > 8 && !p->o.all) {
            omitted++;
            continue;
        }
        buf_addf(&p->line, "  %-8s ×%lld, rank%s %s: %s", text_of(g, "role"),
                 (long long)number_of(g, "count", 1), number_of(g, "rank_count", 1) == 1 ? "" : "s",
                 text_of(g, "ranks"), text_of(g, "title"));
        put(p, !strcmp(text_of(g, "role"), "cascade") ? palette_faint() : "");
    }
    if (omitted) {
        buf_addf(&p->line, "  … and %lld more", (long long)omitted);
        put(p, palette_faint());
    }
}

static void ranks(struct page *p)
{
    const struct json_tree *r = json_tree_first(json_tree_get(p->root, "ranks"));
    int64_t omitted = number_of(p->root, "ranks_omitted", 0);
    int is_wide = !p->o.columns || p->o.columns >= 110;
    char name[24], ending[CELL_BYTES], step[CELL_BYTES], age[32];
    double n;

    if (!r)
        return;
    heading(p, "ranks");
    buf_addf(&p->line, "  %5s  %-13s %-8s %9s %6s  %8s  %s%s", "rank", "status", "exit", "step",
             "errors", "silent", is_wide ? "clock     replica       " : "", "last line");
    put(p, palette_faint());
    for (; r; r = json_tree_next(r)) {
        if (*text_of(r, "signal"))
            snprintf(ending, sizeof ending, "%.20s", text_of(r, "signal"));
        else if (has_number(r, "exit_code", &n))
            snprintf(ending, sizeof ending, "%.0f", n);
        else
            snprintf(ending, sizeof ending, "-");
        if (!has_number(r, "step", &n))
            snprintf(step, sizeof step, "-");
        else if (number_of(r, "step_lag", 0))
            snprintf(step, sizeof step, "%.0f (-%lld)", n, (long long)number_of(r, "step_lag", 0));
        else
            snprintf(step, sizeof step, "%.0f", n);
        buf_addf(&p->line, "  %5s  %-13s %-8s %9s %6lld  %8s  ", rank_of(r, name),
                 text_of(r, "status"), ending, step, (long long)number_of(r, "errors", 0),
                 !has_number(r, "age_at_end_s", &n) ? "-"
                 : n < 0.001                        ? "0s"
                                                    : seconds(n, age));
        if (is_wide && has_number(r, "skew_s", &n))
            buf_addf(&p->line, "%+8.3fs %-13.24s ", n > -0.0005 && n < 0 ? 0 : n,
                     text_of(r, "replica"));
        else if (is_wide)
            buf_addf(&p->line, "%-9s %-13.24s ", "", text_of(r, "replica"));
        buf_adds(&p->line, text_of(r, "last_line") + strspn(text_of(r, "last_line"), " \t"));
        put(p, color_of_status(text_of(r, "status")));
    }
    if (omitted) {
        buf_addf(&p->line, "  … and %lld more (-a shows all)", (long long)omitted);
        put(p, palette_faint());
    }
}

static void timeline(struct page *p)
{
    const struct json_tree *e = json_tree_first(json_tree_get(p->root, "timeline"));
    unsigned n = 0, more = 0;
    char at[16], name[24];

    heading(p, "timeline (UTC)");
    for (; e; e = json_tree_next(e)) {
        const char *what = text_of(e, "what");
        if (++n > WHY_EVENTS && !p->o.all) {
            more++;
            continue;
        }
        buf_addf(&p->line, "  %s  %-4s %-7s %s", clock_of(text_of(e, "at"), at),
                 number_of(e, "rank", -1) < 0 ? "" : rank_of(e, name), what, text_of(e, "text"));
        put(p, !strcmp(what, "error")                             ? "31"
               : !strcmp(what, "silence") || !strcmp(what, "gap") ? "33"
                                                                  : "");
    }
    if (more) {
        buf_addf(&p->line, "  … and %u more (-a shows all)", more);
        put(p, palette_faint());
    }
}

static void tails(struct page *p)
{
    const struct json_tree *primary = json_tree_first(json_tree_get(p->root, "groups"));
    int64_t shown = -2;
    char name[24];

    if (primary && !strcmp(text_of(primary, "role"), "primary"))
        shown = number_of(json_tree_get(primary, "first"), "rank", -1);
    for (const struct json_tree *t = json_tree_first(json_tree_get(p->root, "tails")); t;
         t = json_tree_next(t)) {
        if (number_of(t, "rank", -1) == shown && !p->o.all)
            continue; /* its error is above */
        buf_addc(p->out, '\n');
        buf_addf(&p->line, number_of(t, "rank", -1) < 0 ? "last lines" : "last lines of rank %s",
                 rank_of(t, name));
        put(p, BOLD);
        tail_before(p, number_of(t, "rank", -1), INT64_MAX);
    }
}

int why_page_write(const struct why_page *o, const struct json_tree *root, struct buf *out)
{
    struct page p = {.o = *o, .root = root, .out = out, .line = BUF_INIT};

    if (!json_tree_is_obj(json_tree_get(root, "verdict")) ||
        !json_tree_is_obj(json_tree_get(root, "job")))
        return ERR_INVALID;
    if (p.o.columns && p.o.columns < WHY_COLUMNS_MIN)
        p.o.columns = WHY_COLUMNS_MIN;
    head(&p);
    chart(&p);
    causes(&p);
    errors(&p);
    ranks(&p);
    timeline(&p);
    tails(&p);
    buf_release(&p.line);
    return 0;
}

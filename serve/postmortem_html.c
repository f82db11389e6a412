/*
 * serve/postmortem_html.c -- the post-mortem as one HTML file: to open, mail, print, keep.
 *
 * No scripts, no fetches; dark and light by the reader's setting. Everything that came from the job goes through
 * postmortem__text(): inside elements and in attributes alike.
 */
#include "serve/postmortem_int.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define CHART_HEIGHT 60
#define CHART_WIDTH 720

static const char style[] =
    ":root{color-scheme:light dark;--b:#fff;--t:#1b1f24;--m:#59636e;--l:#d1d9e0;--s:#f6f8fa;"
    "--e:#c62828;--w:#9a6700;--o:#1a7f37;--i:#0969da}"
    "@media(prefers-color-scheme:dark){:root{--b:#0d1117;--t:#e6edf3;--m:#9198a1;--l:#3d444d;"
    "--s:#151b23;--e:#ff7b72;--w:#d29922;--o:#3fb950;--i:#4493f8}}"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--b);"
    "color:var(--t);font:16px/1.5 system-ui,sans-serif}"
    "h1{font-size:1.1rem;margin:0;color:var(--m);font-weight:600}h2{font-size:1.05rem;margin:2rem "
    "0 "
    ".5rem}"
    ".v{font-size:1.35rem;line-height:1.35;margin:.4rem 0 "
    ".8rem;border-left:.35rem solid var(--m);padding-left:.8rem;overflow-wrap:anywhere}"
    ".v.failed,.v.deploy_failed{border-color:var(--e)}.v.hung,.v.cannot_tell{border-color:var(--w)}"
    ".v.completed{border-color:var(--o)}.v.running{border-color:var(--i)}"
    ".f{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:0;padding:0;list-style:none;color:var("
    "--m)}"
    ".x{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;min-width:100%}"
    "th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid "
    "var(--l);vertical-align:top}"
    "th{color:var(--m);font-weight:600;white-space:nowrap}td.n{text-align:right;font-variant-"
    "numeric:tabular-nums}"
    "td.c,pre,code{font-family:ui-monospace,monospace}td.c{overflow-wrap:anywhere;min-width:16rem}"
    "pre{background:var(--s);border:1px solid var(--l);border-radius:.4rem;padding:.7rem;font-size:"
    ".8rem;line-height:1.4;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;unicode-"
    "bidi:"
    "isolate}"
    "summary{cursor:pointer;padding:.2rem 0}.primary,.failed_first,.error,.fatal{color:var(--e)}"
    "td.failed{color:var(--e)}.t td:first-child{white-space:nowrap}"
    ".cascade,.warn,.silent,.killed{color:var(--w)}.other{color:var(--m)}.q{color:var(--m)}"
    "svg{width:100%;height:auto;background:var(--s);border:1px solid var(--l);border-radius:.4rem}"
    ".l0,.l1,.l2,.l3{fill:var(--i)}.l4{fill:var(--w)}.l5,.l6{fill:var(--e)}"
    "@media print{body{max-width:none;font-size:12px}pre{white-space:pre-wrap}}";

static void text(struct document *out, const char *s)
{
    if (s)
        postmortem__text(out, s, strlen(s), POSTMORTEM_HTML, 0);
}

static void rank_cell(struct document *out, int32_t rank)
{
    if (rank < 0)
        document_adds(out, "<td class=n>–</td>");
    else
        document_addf(out, "<td class=n>%d</td>", (int)rank);
}

static void head(struct document *out, const struct postmortem *p)
{
    const struct verdict *v = p->verdict;
    const struct job_info *info = p->info;
    int64_t from = info->started_us ? info->started_us : info->created_us,
            to = info->ended_us ? info->ended_us : p->now_us;
    char a[32];

    document_adds(out, "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
                  "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
                  "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; "
                  "style-src 'unsafe-inline'\"><meta name=referrer content=no-referrer><title>");
    text(out, info->key.job);
    document_addf(out, ": %s</title><style>%s</style></head><body>\n<h1>Post-mortem of ",
             verdict_kind_name(v->kind), style);
    text(out, info->key.job);
    document_addf(out, "</h1>\n<p class=\"v %s\">", verdict_kind_name(v->kind));
    text(out, v->sentence);
    document_addf(out, "</p>\n<ul class=f><li>%s after %s</li><li>sure: %s</li>",
             state_short(info->state), clock_format_duration(to > from ? to - from : 0, a),
             verdict_confidence_name(v->confidence));
    if (v->has_margin)
        document_addf(out, "<li>margin %.3f s</li>", (double)v->margin_us / 1e6);
    if (v->has_clock_error)
        document_addf(out, "<li>clock error %.3f s</li>", (double)v->clock_error_us / 1e6);
    document_addf(out, "<li>%llu lines%s</li>", (unsigned long long)info->lines,
             !info->sealed    ? ", log open"
             : info->complete ? ", log complete"
                              : ", log incomplete");
    if (info->sealed && !info->complete && info->missing_json) {
        document_adds(out, "<li>missing: ");
        text(out, info->missing_json);
        document_adds(out, "</li>");
    }
    document_addf(out, "<li>asked %s UTC</li></ul>\n", postmortem__moment(p->now_us, a));
    if (!v->evidence_count)
        return;
    document_adds(out, "<h2>Evidence</h2><ul>");
    for (uint32_t i = 0; i < v->evidence_count; i++) {
        document_adds(out, "<li>");
        if (v->evidence[i].seq)
            document_addf(out, "<span class=q>line %llu</span> ",
                     (unsigned long long)v->evidence[i].seq);
        text(out, v->evidence[i].why);
        document_adds(out, "</li>");
    }
    document_adds(out, "</ul>\n");
}

static void causes(struct document *out, const struct verdict *v)
{
    char at[32];

    if (!v->cause_count)
        return;
    document_adds(out, "<h2>Causes</h2><div class=x><table><tr><th>cause<th>role<th>ranks<th>count<th>"
                  "first<th>line</tr>\n");
    for (uint32_t i = 0; i < v->cause_count; i++) {
        struct verdict_cause *c = &v->causes[i];
        document_adds(out, "<tr><td>");
        text(out, cause_title(c->cause));
        document_addf(out, "<td class=%s>%s<td>%s<td class=n>%llu<td>%s<td class=c>",
                 verdict_role_name(c->role), verdict_role_name(c->role),
                 c->ranks.len ? buf_cstr(&c->ranks) : "–", (unsigned long long)c->count,
                 postmortem__moment(c->at_us, at));
        text(out, c->line);
        document_adds(out, "</tr>\n");
    }
    document_adds(out, "</table></div>\n");
}

static void groups(struct document *out, const struct postmortem *p)
{
    uint32_t places[POSTMORTEM_GROUPS_MAX],
        n = postmortem__groups(p, places, POSTMORTEM_GROUPS_MAX);

    if (n)
        document_adds(out, "<h2>Errors</h2>\n");
    for (uint32_t i = 0; i < n; i++) {
        const struct digest_group *g = &p->digest->groups[places[i]];
        enum verdict_role role = p->verdict->group_roles[places[i]];
        struct buf ranks = BUF_INIT;
        document_note(out, digest_group_ranks(g, &ranks));
        document_addf(out, "<details%s><summary><span class=%s>%s</span> ",
                 role == VERDICT_ROLE_PRIMARY ? " open" : "", verdict_role_name(role),
                 verdict_role_name(role));
        text(out, g->title);
        document_addf(out, " <span class=q>×%llu, %s %s, line %llu</span></summary><pre>",
                 (unsigned long long)g->count, g->rank_count == 1 ? "rank" : "ranks",
                 buf_cstr(&ranks), (unsigned long long)g->first.seq);
        postmortem__text(out, g->text ? g->text : "", g->text_bytes, POSTMORTEM_HTML, 1);
        document_adds(out, "</pre></details>\n");
        buf_release(&ranks);
    }
}

static void rows(struct document *out, const struct postmortem *p)
{
    const struct verdict *v = p->verdict;
    uint32_t places[POSTMORTEM_ROWS_MAX], n = postmortem__rows(p, places, POSTMORTEM_ROWS_MAX);
    char age[32], ending[24];

    if (!n)
        return;
    document_adds(out, "<h2>Ranks</h2><div class=x><table><tr><th>rank<th>replica<th>status<th>exit<th>"
                  "step<th>lag<th>errors<th>lines<th>silent before the end<th>clock "
                  "ahead<th>last line</tr>\n");
    for (uint32_t i = 0; i < n; i++) {
        const struct verdict_rank *r = &v->ranks[places[i]];
        document_adds(out, "<tr>");
        rank_cell(out, r->rank);
        document_adds(out, "<td>");
        text(out, r->replica);
        document_addf(out, "<td class=%s>%s<td>%s", verdict_status_name(r->status),
                 verdict_status_name(r->status), postmortem__exit(r, ending));
        if (r->step >= 0)
            document_addf(out, "<td class=n>%lld<td class=n>%lld", (long long)r->step,
                     (long long)r->step_lag);
        else
            document_adds(out, "<td class=n>–<td class=n>–");
        document_addf(
            out, "<td class=n>%llu<td class=n>%llu<td class=n>%s<td class=n>%+.3f s<td class=c>",
            (unsigned long long)r->errors, (unsigned long long)(r->entry ? r->entry->lines : 0),
            postmortem__age(r, age), (double)r->skew_us / 1e6);
        postmortem__last_line(out, r, POSTMORTEM_HTML);
        document_adds(out, "</tr>\n");
    }
    document_adds(out, "</table></div>\n");
    if (v->rank_count + v->ranks_omitted > n)
        document_addf(out, "<p class=q>… and %llu more</p>\n",
                 (unsigned long long)(v->rank_count + v->ranks_omitted - n));
}

static void timeline(struct document *out, const struct verdict *v)
{
    char at[32];

    document_adds(out, "<h2>Timeline (UTC)</h2><div class=\"x t\"><table>\n");
    for (uint32_t i = 0; i < v->event_count; i++) {
        const struct verdict_event *e = &v->events[i];
        document_addf(out, "<tr><td>%s", postmortem__moment(e->at_us, at));
        rank_cell(out, e->rank);
        document_addf(out, "<td class=%s>%s<td class=c>", verdict_event_name(e->what),
                 verdict_event_name(e->what));
        text(out, e->text);
        if (e->seq)
            document_addf(out, "<td class=q>line %llu</tr>\n", (unsigned long long)e->seq);
        else
            document_adds(out, "<td></tr>\n");
    }
    document_adds(out, "</table></div>\n");
}

static void tails(struct document *out, const struct postmortem *p)
{
    if (p->tail_count)
        document_adds(out, "<h2>Last lines</h2>\n");
    for (unsigned i = 0; i < p->tail_count; i++) {
        const struct postmortem_tail *t = &p->tails[i];
        document_addf(out, "<details%s><summary>", i ? "" : " open");
        if (t->rank < 0)
            document_adds(out, "lines without a rank");
        else
            document_addf(out, "rank %d", (int)t->rank);
        document_adds(out, "</summary><pre>");
        for (unsigned k = 0; k < t->count; k++) {
            const struct postmortem_line *l = &t->lines[k];
            document_addf(out, "<span class=q>%llu</span> <span class=\"%s\">",
                     (unsigned long long)l->seq, level_name(l->level));
            postmortem__text(out, l->text, l->len, POSTMORTEM_HTML, 0);
            document_adds(out, "</span>\n");
        }
        document_adds(out, "</pre></details>\n");
    }
}

/* Bars of lines, by level, errors on top. */
static void rate(struct document *out, const struct postmortem *p)
{
    struct postmortem_rate r;
    char at[32], width[32];
    double w, y, h;

    postmortem__rate(&r, p->digest);
    if (!r.count)
        return;
    w = (double)CHART_WIDTH / r.count;
    document_addf(out,
             "<h2>Lines over time</h2><svg viewBox=\"0 0 %d %d\" role=img "
             "aria-label=\"lines over time by level\">",
             CHART_WIDTH, CHART_HEIGHT);
    for (unsigned i = 0; i < r.count; i++) {
        y = CHART_HEIGHT;
        for (int l = 0; l < LEVEL_COUNT; l++) {
            if (!r.lines[i][l])
                continue;
            h = (double)r.lines[i][l] * (CHART_HEIGHT - 2) / (double)r.most;
            if (l >= LEVEL_WARN && h < 2)
                h = 2; /* one error among a million lines is still seen */
            y -= h;
            document_addf(out, "<rect class=l%d x=%.1f y=%.1f width=%.1f height=%.1f />", l, i * w,
                     y < 0 ? 0 : y, w > 2 ? w - 1 : w, h);
        }
    }
    document_addf(out, "</svg><p class=q>from %s UTC, %s a bar, at most %llu lines</p>\n",
             postmortem__moment(r.from_us, at), clock_format_duration(r.bucket_us, width),
             (unsigned long long)r.most);
}

int postmortem__html(struct buf *out, const struct postmortem *p)
{
    struct document d = {out, 0};

    head(&d, p);
    rate(&d, p);
    causes(&d, p->verdict);
    groups(&d, p);
    rows(&d, p);
    timeline(&d, p->verdict);
    tails(&d, p);
    document_adds(&d, "</body></html>\n");
    return d.err;
}

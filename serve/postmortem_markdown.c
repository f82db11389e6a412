/*
 * serve/postmortem_markdown.c -- the post-mortem as markdown, for an issue or a chat.
 */
#include "serve/postmortem_int.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define SPARKS 8

static void text(struct document *out, const char *s)
{
    if (s)
        postmortem__text(out, s, strlen(s), POSTMORTEM_MARKDOWN, 0);
}

static const char *rank_name(int32_t rank, char out[24])
{
    if (rank < 0)
        return "–";
    snprintf(out, 24, "%d", (int)rank);
    return out;
}

/* Longer than any run of backticks within. */
static void fence(struct document *out, const char *s, size_t len)
{
    size_t run = 0, most = 2;

    for (size_t i = 0; i < len; i++) {
        run = s[i] == '`' ? run + 1 : 0;
        if (run > most)
            most = run;
    }
    for (size_t i = 0; i <= most; i++)
        document_addc(out, '`');
}

static void block(struct document *out, const char *s, size_t len)
{
    fence(out, s, len);
    document_adds(out, "text\n");
    postmortem__text(out, s, len, POSTMORTEM_PLAIN, 1);
    if (!len || s[len - 1] != '\n')
        document_addc(out, '\n');
    fence(out, s, len);
    document_adds(out, "\n\n");
}

static void head(struct document *out, const struct postmortem *p)
{
    const struct verdict *v = p->verdict;
    const struct job_info *info = p->info;
    int64_t from = info->started_us ? info->started_us : info->created_us,
            to = info->ended_us ? info->ended_us : p->now_us;
    char a[32], b[32];

    document_adds(out, "# Post-mortem of ");
    text(out, info->key.job);
    document_adds(out, "\n\n**");
    text(out, v->sentence);
    document_addf(out, "**\n\n- state: %s after %s\n- sure: %s", state_short(info->state),
             clock_format_duration(to > from ? to - from : 0, a),
             verdict_confidence_name(v->confidence));
    if (v->has_margin)
        document_addf(out, ", margin %s%s", v->margin_us < 0 ? "-" : "",
                 clock_format_duration(v->margin_us < 0 ? -v->margin_us : v->margin_us, b));
    if (v->has_clock_error)
        document_addf(out, ", clock error %s", clock_format_duration(v->clock_error_us, b));
    document_addf(out, "\n- log: %llu lines%s\n", (unsigned long long)info->lines,
             !info->sealed    ? ", open"
             : info->complete ? ", complete"
                              : ", incomplete");
    if (info->sealed && !info->complete && info->missing_json) {
        document_adds(out, "- missing: ");
        text(out, info->missing_json);
        document_addc(out, '\n');
    }
    document_addf(out, "- asked: %s UTC\n\n", postmortem__moment(p->now_us, a));
    if (v->evidence_count)
        document_adds(out, "## Evidence\n\n");
    for (uint32_t i = 0; i < v->evidence_count; i++) {
        document_adds(out, "- ");
        if (v->evidence[i].seq)
            document_addf(out, "line %llu: ", (unsigned long long)v->evidence[i].seq);
        text(out, v->evidence[i].why);
        document_addc(out, '\n');
    }
    document_addc(out, '\n');
}

static void causes(struct document *out, const struct verdict *v)
{
    char at[32];

    if (!v->cause_count)
        return;
    document_adds(out, "## Causes\n\n| cause | role | ranks | count | first | line |\n"
                  "|---|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < v->cause_count; i++) {
        struct verdict_cause *c = &v->causes[i];
        document_addf(out, "| %s | %s | %s | %llu | %s | ", cause_title(c->cause),
                 verdict_role_name(c->role), c->ranks.len ? buf_cstr(&c->ranks) : "–",
                 (unsigned long long)c->count, postmortem__moment(c->at_us, at));
        text(out, c->line);
        document_adds(out, " |\n");
    }
    document_addc(out, '\n');
}

static void groups(struct document *out, const struct postmortem *p)
{
    uint32_t places[POSTMORTEM_GROUPS_MAX], n = postmortem__groups(p, places, 12);
    char name[24];

    for (uint32_t i = 0; i < n; i++) {
        const struct digest_group *g = &p->digest->groups[places[i]];
        struct buf ranks = BUF_INIT;
        if (p->verdict->group_roles[places[i]] != VERDICT_ROLE_PRIMARY && !g->is_block)
            continue;
        document_note(out, digest_group_ranks(g, &ranks));
        document_addf(out, "## %s: ",
                 p->verdict->group_roles[places[i]] == VERDICT_ROLE_PRIMARY   ? "The error"
                 : p->verdict->group_roles[places[i]] == VERDICT_ROLE_CASCADE ? "In consequence"
                                                                              : "Also");
        text(out, g->title);
        document_addf(out, "\n\n%llu time%s, %s %s; first on rank %s at line %llu\n\n",
                 (unsigned long long)g->count, g->count == 1 ? "" : "s",
                 g->rank_count == 1 ? "rank" : "ranks", buf_cstr(&ranks),
                 rank_name(g->first_rank, name), (unsigned long long)g->first.seq);
        block(out, g->text ? g->text : "", g->text_bytes);
        buf_release(&ranks);
    }
}

static void rows(struct document *out, const struct postmortem *p)
{
    const struct verdict *v = p->verdict;
    uint32_t places[POSTMORTEM_ROWS_MAX], n = postmortem__rows(p, places, POSTMORTEM_ROWS_MAX);
    char name[24], age[32], ending[24];

    if (!n)
        return;
    document_adds(out, "## Ranks\n\n| rank | replica | status | exit | step | lag | errors | lines | "
                  "last line, before the end | clock ahead | |\n"
                  "|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < n; i++) {
        const struct verdict_rank *r = &v->ranks[places[i]];
        document_addf(out, "| %s | ", rank_name(r->rank, name));
        text(out, r->replica);
        document_addf(out, " | %s | %s | ", verdict_status_name(r->status), postmortem__exit(r, ending));
        if (r->step >= 0)
            document_addf(out, "%lld | %lld | ", (long long)r->step, (long long)r->step_lag);
        else
            document_adds(out, "– | – | ");
        document_addf(out, "%llu | %llu | %s | %+.3f s | ", (unsigned long long)r->errors,
                 (unsigned long long)(r->entry ? r->entry->lines : 0), postmortem__age(r, age),
                 (double)r->skew_us / 1e6);
        postmortem__last_line(out, r, POSTMORTEM_MARKDOWN);
        document_adds(out, " |\n");
    }
    if (v->rank_count + v->ranks_omitted > n)
        document_addf(out, "\n… and %llu more\n",
                 (unsigned long long)(v->rank_count + v->ranks_omitted - n));
    document_addc(out, '\n');
}

static void timeline(struct document *out, const struct verdict *v)
{
    char at[32], name[24];

    document_adds(out, "## Timeline (UTC)\n\n| time | rank | | line |\n|---|---|---|---|\n");
    for (uint32_t i = 0; i < v->event_count; i++) {
        const struct verdict_event *e = &v->events[i];
        document_addf(out, "| %s | %s | %s: ", postmortem__moment(e->at_us, at),
                 rank_name(e->rank, name), verdict_event_name(e->what));
        text(out, e->text);
        if (e->seq)
            document_addf(out, " | %llu |\n", (unsigned long long)e->seq);
        else
            document_adds(out, " | |\n");
    }
    document_addc(out, '\n');
}

static void tails(struct document *out, const struct postmortem *p)
{
    struct buf lines = BUF_INIT;
    char name[24];

    for (unsigned i = 0; i < p->tail_count; i++) {
        const struct postmortem_tail *t = &p->tails[i];
        buf_clear(&lines);
        for (unsigned k = 0; k < t->count; k++) {
            document_note(out, buf_add(&lines, t->lines[k].text, t->lines[k].len));
            document_note(out, buf_addc(&lines, '\n'));
        }
        document_addf(out, "## Last lines of rank %s\n\n", rank_name(t->rank, name));
        block(out, lines.data ? lines.data : "", lines.len);
    }
    buf_release(&lines);
}

/* One row of marks, a second one below for errors. */
static void rate(struct document *out, const struct postmortem *p)
{
    static const char *const sparks[SPARKS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    struct postmortem_rate r;
    char at[32], width[32];

    postmortem__rate(&r, p->digest);
    if (!r.count)
        return;
    document_adds(out, "## Lines over time\n\n```text\n");
    for (unsigned i = 0; i < r.count; i++) {
        uint64_t sum = 0;
        for (int l = 0; l < LEVEL_COUNT; l++)
            sum += r.lines[i][l];
        document_adds(out, sum ? sparks[(sum * SPARKS - 1) / r.most] : " ");
    }
    document_addc(out, '\n');
    for (unsigned i = 0; i < r.count; i++)
        document_adds(out, r.lines[i][LEVEL_ERROR] + r.lines[i][LEVEL_FATAL] ? "!"
                      : r.lines[i][LEVEL_WARN]                          ? "w"
                                                                        : " ");
    document_addf(out, "\n```\n\nfrom %s UTC, %s a mark, at most %llu lines; ! error, w warning\n",
             postmortem__moment(r.from_us, at), clock_format_duration(r.bucket_us, width),
             (unsigned long long)r.most);
}

int postmortem__markdown(struct buf *out, const struct postmortem *p)
{
    struct document d = {out, 0};

    head(&d, p);
    causes(&d, p->verdict);
    groups(&d, p);
    rows(&d, p);
    timeline(&d, p->verdict);
    tails(&d, p);
    rate(&d, p);
    document_addc(&d, '\n');
    return d.err;
}

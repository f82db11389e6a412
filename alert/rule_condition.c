/*
 * alert/rule_condition.c -- the seven conditions: reading and writing them.
 */
#include "alert/rule_int.h"

#include "base/check.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METRIC_TESTS "nan|above|below|below_median_percent"

/* ---- which lines ---- */

#define LINES_MEMBERS "level", "contains", "pattern", "ignore_case", "rank", "replica", "stream"

static int read_level(struct rule *r, const struct fields *f)
{
    const char *s = NULL;
    int n = fields_str(f, "level", 16, &s);

    if (n <= 0)
        return n;
    r->lines.filter.level_min = level_parse(s, strlen(s));
    if (r->lines.filter.level_min == LEVEL_NONE)
        return fields_fail(f, "level", "one of trace, debug, info, warn, error, fatal is wanted");
    return 1;
}

static int match_pattern(const void *matcher, const char *text, size_t len)
{
    return pattern_match(matcher, text, len);
}

static int read_pattern(struct rule *r, const struct fields *f)
{
    struct rule_lines *l = &r->lines;
    char why[FIELDS_WHY_BYTES - 32];
    const char *s = NULL;
    int n = fields_str(f, "pattern", PATTERN_BYTES_MAX, &s);

    if (n <= 0)
        return n;
    if (!*s)
        return fields_fail(f, "pattern", "it is empty");
    if (pattern_new(s, strlen(s), l->ignore_case, &l->pattern, why, sizeof why) < 0)
        return fields_fail(f, "pattern", "not an RE2 pattern: %s", why);
    for (unsigned i = 0; i < pattern_group_count(l->pattern); i++)
        if (strlen(pattern_group_name(l->pattern, i)) > RULE_NAME_BYTES_MAX)
            return fields_fail(f, "pattern", "the name of a group has at most %d bytes",
                               RULE_NAME_BYTES_MAX);
    l->pattern_text = must_strdup(s);
    l->filter.match = match_pattern;
    l->filter.matcher = l->pattern;
    return 1;
}

static int read_lines(struct rule *r, const struct fields *f)
{
    struct rule_lines *l = &r->lines;
    const char *s = NULL;
    int n, set = 0;

    if ((n = read_level(r, f)) < 0)
        return n;
    set += n;
    if ((n = fields_bool(f, "ignore_case", &l->ignore_case)) < 0)
        return n;
    if ((n = fields_str(f, "contains", FILTER_Q_BYTES_MAX, &s)) < 0)
        return n;
    if (n) {
        if (!*s)
            return fields_fail(f, "contains", "it is empty");
        l->contains = must_strdup(s);
        l->filter.q_len = strlen(s);
        memcpy(l->filter.q, s, l->filter.q_len + 1);
        set++;
    }
    l->filter.ignore_case = l->ignore_case;
    if ((n = read_pattern(r, f)) < 0)
        return n;
    set += n;
    if ((n = fields_str(f, "rank", 512, &s)) < 0)
        return n;
    if (n) {
        if (filter_parse_ranks(&l->filter, s, strlen(s)) < 0)
            return fields_fail(f, "rank", "ranks like \"0,3-5\" are wanted");
        l->rank_text = must_strdup(s);
    }
    if ((n = fields_id(f, "replica", &s)) < 0)
        return n;
    if (n)
        strcpy(l->filter.replica, s);
    if ((n = fields_str(f, "stream", RECORD_STREAM_BYTES_MAX, &s)) < 0)
        return n;
    if (n)
        strcpy(l->filter.stream, s);
    l->is_set = set > 0 || l->filter.rank_count || l->filter.replica[0] || l->filter.stream[0];
    return set;
}

static void write_lines(struct json *j, const struct rule_lines *l)
{
    if (l->filter.level_min != LEVEL_NONE)
        json_kstr(j, "level", level_name(l->filter.level_min));
    if (l->contains)
        json_kstr(j, "contains", l->contains);
    if (l->pattern_text)
        json_kstr(j, "pattern", l->pattern_text);
    if (l->ignore_case)
        json_kbool(j, "ignore_case", 1);
    if (l->rank_text)
        json_kstr(j, "rank", l->rank_text);
    if (l->filter.replica[0])
        json_kstr(j, "replica", l->filter.replica);
    if (l->filter.stream[0])
        json_kstr(j, "stream", l->filter.stream);
}

/* ---- each kind ---- */

static int want(const struct fields *f, const char *name, int n)
{
    return n ? n : fields_fail(f, name, "it is missing");
}

static int read_state(struct rule *r, const struct fields *f)
{
    static const char *const members[] = {"in", NULL};
    const struct json_tree *list = json_tree_get(f->v, "in");
    char at[32];
    int i = 0;

    if (fields_check(f, members) < 0)
        return ERR_INVALID;
    if (!list || !json_tree_is_arr(list) || !json_tree_first(list))
        return fields_fail(f, "in", "a list of states is wanted");
    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v), i++) {
        const char *s = json_tree_str(v);
        enum job_state state;
        snprintf(at, sizeof at, "in[%d]", i);
        if (!s || state_parse(s, strlen(s), &state) < 0)
            return fields_fail(f, at, "a state like \"FAILED\" is wanted");
        r->state_mask |= 1u << state;
    }
    return 1;
}

static int read_line(struct rule *r, const struct fields *f)
{
    static const char *const members[] = {LINES_MEMBERS, NULL};
    int n;

    if (fields_check(f, members) < 0 || (n = read_lines(r, f)) < 0)
        return ERR_INVALID;
    return n ? 1 : fields_fail(f, NULL, "level, contains or pattern is wanted");
}

static int read_silence(struct rule *r, const struct fields *f)
{
    static const char *const members[] = {"quiet", "of", NULL};
    int of = SILENCE_OF_JOB;

    if (fields_check(f, members) < 0 ||
        want(f, "quiet", fields_span(f, "quiet", RULE_SPAN_US_MIN, RULE_SPAN_US_MAX, &r->span_us)) <
            0 ||
        fields_choice(f, "of", "job|rank|peers", &of) < 0)
        return ERR_INVALID;
    r->silence_of = (enum silence_of)of;
    return 1;
}

static int read_absence(struct rule *r, const struct fields *f)
{
    static const char *const members[] = {"within", LINES_MEMBERS, NULL};

    if (fields_check(f, members) < 0 || read_lines(r, f) < 0)
        return ERR_INVALID;
    return want(f, "within",
                fields_span(f, "within", RULE_SPAN_US_MIN, RULE_SPAN_US_MAX, &r->span_us));
}

static int read_rate(struct rule *r, const struct fields *f)
{
    static const char *const members[] = {"count", "per", LINES_MEMBERS, NULL};
    int64_t count = 0;
    int n;

    if (fields_check(f, members) < 0 || (n = read_lines(r, f)) < 0)
        return ERR_INVALID;
    if (n == 0)
        return fields_fail(f, NULL, "level, contains or pattern is wanted");
    if (want(f, "count", fields_count(f, "count", 2, RULE_WINDOW_COUNT_MAX, &count)) < 0)
        return ERR_INVALID;
    r->rate_count = (uint32_t)count;
    return want(f, "per", fields_span(f, "per", RULE_SPAN_US_MIN, RULE_SPAN_US_MAX, &r->span_us));
}

static int read_stall(struct rule *r, const struct fields *f)
{
    static const char *const members[] = {"after", NULL};

    if (fields_check(f, members) < 0)
        return ERR_INVALID;
    return want(f, "after",
                fields_span(f, "after", RULE_SPAN_US_MIN, RULE_SPAN_US_MAX, &r->span_us));
}

static int read_metric(struct rule *r, const struct fields *f)
{
    static const char *const members[] = {"name", "is", "above", "below", "below_median_percent",
                                          NULL};
    const char *name = NULL, *is = NULL;
    int n = 0;

    if (fields_check(f, members) < 0 ||
        want(f, "name", fields_str(f, "name", RULE_NAME_BYTES_MAX, &name)) < 0)
        return ERR_INVALID;
    if (!*name)
        return fields_fail(f, "name", "it is empty");
    strcpy(r->metric_name, name);
    n = fields_str(f, "is", 8, &is);
    if (n < 0)
        return n;
    if (n && strcmp(is, "nan") != 0)
        return fields_fail(f, "is", "\"nan\" is wanted");
    for (int t = METRIC_ABOVE; t <= METRIC_BELOW_MEDIAN; t++) {
        static const char *const names[] = {"", "above", "below", "below_median_percent"};
        int found = fields_number(f, names[t], &r->metric_value);
        if (found < 0)
            return found;
        if (found)
            r->metric_test = (enum metric_test)t;
        n += found;
    }
    if (n != 1)
        return fields_fail(f, NULL,
                           "exactly one of is, above, below, below_median_percent is wanted");
    if (r->metric_test == METRIC_BELOW_MEDIAN && (r->metric_value <= 0 || r->metric_value >= 100))
        return fields_fail(f, "below_median_percent", "a number between 0 and 100 is wanted");
    return 1;
}

/* ---- the face ---- */

static int read_for(struct rule *r, const struct fields *f)
{
    int n = fields_span(f, "for", 0, RULE_SPAN_US_MAX, &r->for_us);
    uint32_t terminal = 0;

    if (n <= 0 || r->for_us == 0)
        return n;
    for (int s = 0; s < STATE_COUNT; s++)
        terminal |= state_is_terminal((enum job_state)s) ? 1u << s : 0;
    if (r->kind == RULE_STATE && (r->state_mask & terminal))
        return fields_fail(f, "for",
                           "a terminal state lasts for ever: without `for` it fires at once");
    if (r->kind != RULE_STATE && r->kind != RULE_RATE && r->kind != RULE_METRIC)
        return fields_fail(
            f, "for", "only conditions state, rate and metric may be asked to hold for a time");
    return 1;
}

int rule__read_condition(struct rule *r, const struct fields *f)
{
    static int (*const readers[RULE_KIND_COUNT])(struct rule *, const struct fields *) = {
        read_state, read_line, read_silence, read_absence, read_rate, read_stall, read_metric};
    char path[FIELDS_PATH_BYTES];
    struct fields c;
    int found = 0;

    for (int k = 0; k < RULE_KIND_COUNT; k++) {
        int n = fields_object(f, rule_kind_name((enum rule_kind)k), path, &c);
        if (n < 0)
            return n;
        if (!n)
            continue;
        if (found++)
            return fields_fail(f, rule_kind_name((enum rule_kind)k),
                               "a rule has one condition, this is the second");
        r->kind = (enum rule_kind)k;
        if (readers[k](r, &c) < 0)
            return ERR_INVALID;
    }
    if (!found)
        return fields_fail(
            f, NULL, "a condition is wanted: state, line, silence, absence, rate, stall or metric");
    return read_for(r, f);
}

void rule__write_condition(struct json *j, const struct rule *r)
{
    static const char *const of[] = {"job", "rank", "peers"};
    static const char *const tests[] = {"is", "above", "below", "below_median_percent"};

    json_key(j, rule_kind_name(r->kind));
    json_obj(j);
    switch (r->kind) {
    case RULE_STATE:
        json_key(j, "in");
        json_arr(j);
        for (int s = 0; s < STATE_COUNT; s++)
            if (r->state_mask & 1u << s)
                json_str(j, state_name((enum job_state)s));
        json_end(j);
        break;
    case RULE_SILENCE:
        fields_put_span(j, "quiet", r->span_us);
        json_kstr(j, "of", of[r->silence_of]);
        break;
    case RULE_ABSENCE:
        fields_put_span(j, "within", r->span_us);
        break;
    case RULE_RATE:
        json_ku64(j, "count", r->rate_count);
        fields_put_span(j, "per", r->span_us);
        break;
    case RULE_STALL:
        fields_put_span(j, "after", r->span_us);
        break;
    case RULE_METRIC:
        json_kstr(j, "name", r->metric_name);
        json_key(j, tests[r->metric_test]);
        if (r->metric_test == METRIC_NAN)
            json_str(j, "nan");
        else
            json_double(j, r->metric_value);
        break;
    default:
        break;
    }
    write_lines(j, &r->lines);
    json_end(j);
}

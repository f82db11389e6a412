/*
 * tests/unit/digest/verdict_test.c -- every recording of the corpus against its row in table.tsv.
 *
 * A wrong culprit, cause or kind is a failure. "Cannot tell" is allowed where the table allows it or names a culprit,
 * and counted: CANNOT_TELL_MAX of all cases, so that it does not become a habit. CASE=name -v shows one verdict whole.
 */
#include "corpus.h"
#include "digest/verdict.h"

#define CASES_MAX 256
#define CANNOT_TELL_MAX 3

struct expected {
    char name[64], kind[32], rank[16], cause[32], confidence[16], cascade[64];
};

static struct expected rows[CASES_MAX];
static unsigned row_count, told, untold;

/* One field of a row up to a tab. */
static char *field(char *at, char *out, size_t size)
{
    size_t n = strcspn(at, "\t\n");

    assert_true(n < size);
    memcpy(out, at, n);
    out[n] = '\0';
    return at + n + (at[n] == '\t');
}

static void read_table(void)
{
    FILE *f = fopen(CORPUS_DIR "/table.tsv", "r");
    char line[1024];

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct expected *e = &rows[row_count];
        char *at = line;
        if (*line == '#' || *line == '\n')
            continue;
        assert_true(row_count < CASES_MAX);
        at = field(at, e->name, sizeof e->name);
        at = field(at, e->kind, sizeof e->kind);
        at = field(at, e->rank, sizeof e->rank);
        at = field(at, e->cause, sizeof e->cause);
        at = field(at, e->confidence, sizeof e->confidence);
        field(at, e->cascade, sizeof e->cascade);
        row_count++;
    }
    fclose(f);
}

static const struct expected *row_of(const char *name)
{
    for (unsigned i = 0; i < row_count; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

static void show(const struct corpus *c, const struct verdict *v)
{
    char at[CLOCK_RFC3339_BYTES + 1];

    print_message("  [%s, %s, rank %d, cause %s, margin %lld us, clock %lld us] %s\n",
                  verdict_kind_name(v->kind), verdict_confidence_name(v->confidence), v->rank,
                  cause_id(v->cause) ? cause_id(v->cause) : "-",
                  (long long)(v->has_margin ? v->margin_us : -1),
                  (long long)(v->has_clock_error ? v->clock_error_us : -1), v->sentence);
    if (!getenv("CASE"))
        return;
    for (uint32_t i = 0; i < v->evidence_count; i++)
        print_message("    evidence %llu %s\n", (unsigned long long)v->evidence[i].seq,
                      v->evidence[i].why);
    for (uint32_t i = 0; i < v->cause_count; i++)
        print_message("    cause %s %s ranks %s x%llu %s\n", cause_id(v->causes[i].cause),
                      verdict_role_name(v->causes[i].role),
                      v->causes[i].ranks.len ? v->causes[i].ranks.data : "",
                      (unsigned long long)v->causes[i].count, v->causes[i].line);
    for (uint32_t i = 0; i < c->d->group_count; i++)
        print_message("    group %s %s rank %d at %llu x%llu %s\n",
                      digest_kind_name(c->d->groups[i].kind), verdict_role_name(v->group_roles[i]),
                      c->d->groups[i].first_rank, (unsigned long long)c->d->groups[i].first.seq,
                      (unsigned long long)c->d->groups[i].count, c->d->groups[i].title);
    for (uint32_t i = 0; i < v->rank_count; i++)
        print_message("    rank %d %s %s last %lld step %lld lag %lld skew %lld exit %d/%d/%d\n",
                      v->ranks[i].rank, v->ranks[i].replica,
                      verdict_status_name(v->ranks[i].status), (long long)v->ranks[i].age_at_end_us,
                      (long long)v->ranks[i].step, (long long)v->ranks[i].step_lag,
                      (long long)v->ranks[i].skew_us, v->ranks[i].has_exit_code,
                      v->ranks[i].exit_code, v->ranks[i].signal);
    for (uint32_t i = 0; i < v->event_count; i++)
        print_message("    %s %s rank %d %s\n", clock_rfc3339(v->events[i].at_us, at),
                      verdict_event_name(v->events[i].what), v->events[i].rank, v->events[i].text);
}

/* "0-2,4" of the ranks with a status of consequence. */
static void cascade_ranks(const struct verdict *v, struct buf *out)
{
    for (uint32_t i = 0; i < v->rank_count; i++) {
        uint32_t from = i;
#define FELL(k)                                                                                    \
    (v->ranks[k].rank >= 0 && (v->ranks[k].status == VERDICT_STATUS_CASCADE ||                     \
                               v->ranks[k].status == VERDICT_STATUS_KILLED))
        if (!FELL(i))
            continue;
        while (i + 1 < v->rank_count && FELL(i + 1))
            i++;
        buf_addf(out, from == i ? "%s%d" : "%s%d-%d", out->len ? "," : "", v->ranks[from].rank,
                 v->ranks[i].rank);
    }
}

static void test_case(void **state)
{
    const struct expected *e = row_of(*state);
    struct corpus c;
    struct verdict v;
    struct buf fell = BUF_INIT;
    char rank[16] = "-";

    corpus_load(&c, e->name);
    verdict_make(&v, c.d, c.info, c.now_us);
    show(&c, &v);
    if (v.rank >= 0)
        snprintf(rank, sizeof rank, "%d", v.rank);
    if (v.kind == VERDICT_KIND_CANNOT_TELL &&
        (!strcmp(e->kind, "failed") || strstr(e->kind, "cannot_tell"))) {
        assert_string_equal(rank, "-"); /* who cannot tell names nobody */
        untold += strstr(e->kind, "cannot_tell") == NULL;
    } else {
        assert_non_null(strstr(e->kind, verdict_kind_name(v.kind)));
        if (v.kind == VERDICT_KIND_FAILED || v.kind == VERDICT_KIND_HUNG) {
            assert_string_equal(rank, e->rank);
            assert_string_equal(cause_id(v.cause) ? cause_id(v.cause) : "-", e->cause);
        } else if (strcmp(e->cause, "-") != 0) {
            assert_string_equal(cause_id(v.cause), e->cause);
        }
        assert_string_equal(verdict_confidence_name(v.confidence), e->confidence);
        cascade_ranks(&v, &fell);
        if (strcmp(e->cascade, "*") != 0)
            assert_string_equal(fell.len ? buf_cstr(&fell) : "-", e->cascade);
        told++;
    }
    assert_true(strlen(v.sentence) > 10);
    for (uint32_t i = 0; i < v.evidence_count; i++)
        assert_true(v.evidence[i].seq <= c.d->upto);
    buf_release(&fell);
    verdict_release(&v);
    corpus_free(&c);
}

static void test_cannot_tell_is_no_habit(void **state)
{
    (void)state;
    print_message("  %u cases told, %u where a culprit was expected and not named\n", told, untold);
    assert_true(untold <= CANNOT_TELL_MAX);
}

int main(void)
{
    static struct CMUnitTest tests[CASES_MAX + 1];
    const char *only = getenv("CASE");
    unsigned n = 0;

    read_table();
    for (unsigned i = 0; i < row_count; i++)
        if (!only || !strcmp(only, rows[i].name))
            tests[n++] = (struct CMUnitTest){rows[i].name, test_case, NULL, NULL, rows[i].name};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_cannot_tell_is_no_habit);
    return _cmocka_run_group_tests("corpus of failures", tests, n, NULL, NULL);
}

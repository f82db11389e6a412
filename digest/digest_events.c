/*
 * digest/digest_events.c -- what happens now and then: state changes, gaps, ends of workers, sections.
 */
#include "digest/digest_int.h"

#include "base/err.h"
#include "digest/fingerprint.h"
#include "digest/plain.h"
#include "digest/section.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A table of max entries, made when the first comes. */
static int reserve(void **table, size_t size, uint32_t max)
{
    if (!*table) *table = calloc(max, size);
    return *table ? 0 : ERR_NOMEM;
}

static int copy_cut(const char *s, size_t len, char **ret)
{
    *ret = strndup(s, plain_cut(s, len, DIGEST_LINE_BYTES_MAX));
    return *ret ? 0 : ERR_NOMEM;
}

int digest__state_note(struct digest *d, const struct digest_record *r)
{
    struct digest_state *s;
    int err;

    if (d->state_count == DIGEST_STATES_MAX) return 0; /* a job walks fewer */
    err = reserve((void **)&d->states, sizeof *d->states, DIGEST_STATES_MAX);
    if (err < 0) return err;
    s = &d->states[d->state_count];
    *s = (struct digest_state){.at = r->at,
                               .state = r->view->state,
                               .rank = r->view->rank,
                               .has_exit_code = r->view->has_exit_code,
                               .exit_code = r->view->exit_code};
    err = copy_cut(r->line.text, r->line.len, &s->message);
    if (err >= 0) d->state_count++;
    return err;
}

int digest__gap_add(struct digest *d, const struct digest_gap *g, const char *reason, size_t len)
{
    int err;

    if (d->gap_count == DIGEST_GAPS_MAX) {
        d->gaps_omitted++;
        return 0;
    }
    err = reserve((void **)&d->gaps, sizeof *d->gaps, DIGEST_GAPS_MAX);
    if (err < 0) return err;
    d->gaps[d->gap_count] = *g;
    err = copy_cut(reason, len, &d->gaps[d->gap_count].reason);
    if (err >= 0) d->gap_count++;
    return err;
}

static uint64_t number_after(const char *s, size_t len, const char *key)
{
    const char *at = memmem(s, len, key, strlen(key)), *end = s + len;
    uint64_t v = 0;

    for (at = at ? at + strlen(key) : end;
         at < end && *at >= '0' && *at <= '9' && v < UINT64_MAX / 16; at++)
        v = v * 10 + (uint64_t)(*at - '0');
    return v;
}

#define GAP_START "{\"gap\":{\"from\":"

int digest__is_gap(const struct record_view *v)
{
    return v->fields_json_len > sizeof GAP_START &&
           memcmp(v->fields_json, GAP_START, sizeof GAP_START - 1) == 0;
}

int digest__gap_note(struct digest *d, const struct digest_record *r)
{
    const struct record_view *v = r->view;
    struct digest_gap g = {.at = r->at,
                           .rank = r->rank,
                           .from = number_after(v->fields_json, v->fields_json_len, "\"from\":"),
                           .to = number_after(v->fields_json, v->fields_json_len, "\"to\":")};

    return digest__gap_add(d, &g, r->line.text, r->line.len);
}

/* ---- ends of workers ---- */

/* What a launcher says of a global rank is known of that rank too. The first word counts. */
static int note_exit(struct digest *d, const struct digest_report *p)
{
    struct digest_rank *e = NULL;
    int err;

    if (p->rank < 0 || (p->launcher != DIGEST_TORCHRUN && p->launcher != DIGEST_MPIRUN)) return 0;
    err = digest__rank(d, p->rank, 0, &e);
    if (err < 0 || !e || !e->detail || e->detail->exit_at.seq) return err;
    e->detail->has_exit = p->has_exit_code;
    e->detail->exit_code = p->exit_code;
    e->detail->signal = p->signal;
    e->detail->exit_at = p->at;
    return 0;
}

int digest__report_note(struct digest *d, struct digest_record *r,
                        const struct digest_report *found, const char *title)
{
    struct digest_report *p;
    size_t len = title ? strlen(title) : r->line.len;
    int err;

    if (d->report_count == DIGEST_REPORTS_MAX) {
        d->reports_omitted++;
        return 0;
    }
    err = reserve((void **)&d->reports, sizeof *d->reports, DIGEST_REPORTS_MAX);
    if (err < 0) return err;
    p = &d->reports[d->report_count];
    *p = *found;
    p->at = r->at;
    p->from_rank = r->rank;
    p->from_replica = r->replica;
    err = copy_cut(title ? title : r->line.text, len, &p->title);
    if (err < 0) return err;
    d->report_count++;
    err = note_exit(d, p);
    return err < 0 ? err : digest__rank(d, r->rank, r->replica, &r->entry);
}

/* ---- sections ---- */

static struct digest_section *open_section(struct digest *d, const struct digest_record *r,
                                           uint32_t key)
{
    for (uint32_t i = d->section_count; i-- > 0;) {
        struct digest_section *s = &d->sections[i];
        if (!s->to.seq && s->rank == r->rank && s->replica == r->replica && s->key == key) return s;
    }
    return NULL;
}

static uint32_t key_of(const struct section *s)
{
    uint32_t h;

    if (!s->name_len) return s->mark == SECTION_NEXT;
    h = (uint32_t)fingerprint_bytes(FINGERPRINT_START, s->name, s->name_len);
    return h > 1 ? h : 2;
}

int digest__sections_note(struct digest *d, const struct digest_record *r, const char *text,
                          size_t len)
{
    struct section s;
    struct digest_section *old;
    uint32_t key;
    int err;

    if (!section_read(text, len, &s)) return 0;
    key = key_of(&s);
    if (s.mark != SECTION_BEGIN) {
        /* an end without a name may be that of a section that had no room */
        old = key > 1 || !d->sections_omitted ? open_section(d, r, key) : NULL;
        if (old) old->to = r->at;
        if (s.mark == SECTION_END) return 0;
    }
    if (d->section_count == DIGEST_SECTIONS_MAX) {
        d->sections_omitted++;
        return 0;
    }
    err = reserve((void **)&d->sections, sizeof *d->sections, DIGEST_SECTIONS_MAX);
    if (err < 0) return err;
    old = &d->sections[d->section_count++];
    *old =
        (struct digest_section){.key = key, .rank = r->rank, .replica = r->replica, .from = r->at};
    len = plain_cut(s.title, s.title_len, DIGEST_SECTION_BYTES_MAX);
    memcpy(old->name, s.title, len);
    return 0;
}

void digest__events_free(struct digest *d)
{
    for (uint32_t i = 0; i < d->state_count; i++) free(d->states[i].message);
    free(d->states);
    for (uint32_t i = 0; i < d->gap_count; i++) free(d->gaps[i].reason);
    free(d->gaps);
    for (uint32_t i = 0; i < d->report_count; i++) free(d->reports[i].title);
    free(d->reports);
    free(d->sections);
}

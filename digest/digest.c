/*
 * digest/digest.c -- one record after the other into the digest's parts.
 */
#include "digest/digest.h"

#include "base/check.h"
#include "base/err.h"
#include "digest/digest_int.h"
#include "digest/fingerprint.h"
#include "digest/plain.h"
#include "digest/prefix.h"

#include <stdlib.h>
#include <string.h>

#define LITERAL(s) s, sizeof(s) - 1

static const char *const kind_names[] = {
#define X(name, printed) printed,
    DIGEST_KIND_TABLE(X)
#undef X
};

const char *digest_kind_name(enum digest_kind k)
{
    CHECKF(k < DIGEST_KIND_COUNT, "kind=%d", (int)k);
    return kind_names[k];
}

int digest_new(const struct digest_classifier *c, struct digest **ret_digest)
{
    struct digest *d = calloc(1, sizeof *d);
    uint32_t none;
    int err;

    if (!d) return ERR_NOMEM;
    d->in = calloc(1, sizeof *d->in);
    if (!d->in) {
        free(d);
        return ERR_NOMEM;
    }
    d->in->classifier = c;
    d->in->replica_map = map_new();
    buf_init(&d->in->plain, 0);
    err = digest__replica(d, "", 0, &none);
    if (err < 0) {
        digest_free(&d);
        return err;
    }
    *ret_digest = d;
    return 0;
}

void digest_free(struct digest **dd)
{
    struct digest *d = *dd;

    *dd = NULL;
    if (!d) return;
    digest__ranks_free(d);
    digest__groups_free(d);
    digest__blocks_free(d->in);
    digest__events_free(d);
    digest__series_free(d);
    free(d->time.buckets);
    buf_release(&d->in->plain);
    buf_release(&d->in->extra);
    free(d->in);
    free(d);
}

int digest_lost(struct digest *d, uint64_t from, uint64_t to)
{
    struct digest_gap g = {
        .at = {.seq = from}, .from = from, .to = to, .rank = RECORD_RANK_NONE, .is_lost = 1};
    int err;

    CHECK(!d->in->is_settled);
    if (from != d->upto + 1 || to < from) return ERR_ORDER;
    err = digest__open_end_all(d);
    if (err < 0) return err;
    d->upto = to;
    return digest__gap_add(d, &g, "", 0);
}

/* ---- lines ---- */

/* A line by itself whose cause is known. */
static int note_evidence(struct digest *d, const struct digest_record *r)
{
    const struct digest_line *l = &r->line;
    struct digest_found f = {.kind = DIGEST_KIND_LINE,
                             .level = l->level,
                             .cause = r->cause,
                             .title = l->text,
                             .text = l->text,
                             .title_bytes = l->len,
                             .text_bytes = l->len,
                             .whole_bytes = l->len,
                             .at = r->at,
                             .end_seq = r->at.seq,
                             .rank = r->rank,
                             .replica = r->replica};

    f.fingerprint = fingerprint_end(fingerprint_text(FINGERPRINT_START, l->text, l->len));
    return digest__group_note(d, &f);
}

static int note_reports(struct digest *d, struct digest_record *r)
{
    struct digest_report found[REPORT_TASKS_MAX];
    uint32_t n = report_line(r->line.text, r->line.len, found);
    int err = 0;

    for (uint32_t i = 0; i < n && err >= 0; i++) err = digest__report_note(d, r, &found[i], NULL);
    return err;
}

/* One line of text of the record, in r->line. */
static int note_text(struct digest *d, struct digest_record *r, const struct digest_source *s)
{
    const struct digest_classifier *c = d->in->classifier;
    int taken, err = 0;

    r->cause = c && c->line ? c->line(&r->line) : 0;
    err = digest__blocks_note(d, r, s, &taken);
    if (err < 0 || taken) return err;
    if (r->cause) err = note_evidence(d, r);
    if (err >= 0 && report_may_be(r->line.text, r->line.len)) err = note_reports(d, r);
    if (err >= 0) err = digest__sections_note(d, r, r->line.text, r->line.len);
    return err < 0 ? err : digest__metrics_note(d, r);
}

/* Several lines in one record: what begins among them ends with it. */
static int note_lines(struct digest *d, struct digest_record *r, const struct digest_source *s,
                      const char *text, size_t len)
{
    struct digest_open *o;
    int err = 0;

    for (size_t at = 0; at <= len && err >= 0;) {
        const char *nl = memchr(text + at, '\n', len - at);
        size_t end = nl ? (size_t)(nl - text) : len;

        r->line.text = text + at;
        r->line.len = end - at;
        err = note_text(d, r, s);
        r->line.level = LEVEL_NONE; /* the record's level is that of its first line */
        at = end + 1;
    }
    o = err >= 0 ? digest__open_find(d, s) : NULL;
    return o ? digest__open_end(d, o) : err;
}

/* A traceback that a JSON logger put into a field of its own: lines behind the message. */
static int note_field(struct digest *d, struct digest_record *r, const struct digest_source *s)
{
    const struct record_view *v = r->view;
    const char *at =
        memmem(v->fields_json, v->fields_json_len, LITERAL("Traceback (most recent call last)"));
    const char *start = at, *end = v->fields_json + v->fields_json_len, *text;
    size_t len;
    int err;

    if (!at) return 0;
    while (start > v->fields_json && start[-1] != '"') start--;
    for (; at < end && *at != '"'; at++) at += *at == '\\';
    if (at >= end) return 0;
    err = plain_from_json(&d->in->extra, start, (size_t)(at - start), &text, &len);
    return err < 0 ? err : note_lines(d, r, s, text, len);
}

/* GitLab's marks lie behind a '\r': a redraw left them in the history. */
static int note_history(struct digest *d, struct digest_record *r)
{
    const char *p = r->view->fields_json, *end = p + r->view->fields_json_len;
    int err = 0;

    while (err >= 0 && (p = memmem(p, (size_t)(end - p), LITERAL("\"section_"))) != NULL) {
        const char *close = memchr(p + 1, '"', (size_t)(end - p - 1)), *esc;
        if (!close) break;
        esc = memchr(p + 1, '\\', (size_t)(close - p - 1));
        err = digest__sections_note(d, r, p + 1, (size_t)((esc ? esc : close) - p - 1));
        p = close;
    }
    return err;
}

static int note_line(struct digest *d, struct digest_record *r)
{
    const struct record_view *v = r->view;
    const char *text = r->line.text;
    size_t len = r->line.len;
    struct digest_source s;
    struct prefix p;
    int err;

    prefix_read(text, len, &p);
    if (r->rank == RECORD_RANK_NONE) r->rank = r->line.rank = p.rank;
    err = digest__rank(d, r->rank, r->replica, &r->entry);
    if (err < 0) return err;
    if (p.label != PREFIX_NONE && p.label == r->rank && r->entry &&
        r->entry->labelled == r->entry->lines) {
        r->entry->labelled++;
        if (!p.bytes) p.bytes = p.label_bytes;
    }
    r->line.text = text += p.bytes;
    r->line.len = len -= p.bytes;
    d->lines++;
    d->bytes += v->msg_json_len;
    d->levels[v->level]++;
    digest__rank_note(d, r);
    s = (struct digest_source){
        r->rank, r->replica,
        v->stream_len ? (uint32_t)fingerprint_bytes(0, v->stream, v->stream_len) : 0,
        r->rank == RECORD_RANK_NONE ? p.tag : 0};
    if (v->fields_json) err = note_history(d, r);
    if (err >= 0 && memchr(text, '\n', len)) return note_lines(d, r, &s, text, len);
    if (err >= 0) err = note_text(d, r, &s);
    if (err < 0 || !v->fields_json || v->level < LEVEL_ERROR) return err;
    return note_field(d, r, &s);
}

int digest_add_line(struct digest *d, const char *line, size_t len, int64_t recv_us)
{
    struct record_view v;
    struct digest_record r = {.view = &v};
    int err;

    CHECK(!d->in->is_settled);
    err = record_parse(line, len, &v);
    if (err < 0) return err;
    if (v.seq != d->upto + 1) return ERR_ORDER;
    err = plain_from_json(&d->in->plain, v.msg_json, v.msg_json_len, &r.line.text, &r.line.len);
    if (err < 0) return err;
    r.at = (struct digest_at){v.seq, v.ts_us, recv_us};
    r.time_us = digest__time_of(&v, recv_us);
    r.rank = r.line.rank = v.rank;
    r.line.level = v.level;
    err = digest__replica(d, v.replica ? v.replica : "", v.replica_len, &r.replica);
    if (err < 0) return err;
    d->upto = v.seq;
    if (!d->first.seq) d->first = r.at;
    d->last = r.at;
    if (v.is_state) return digest__state_note(d, &r);
    if (digest__is_gap(&v)) return digest__gap_note(d, &r);
    err = note_line(d, &r);
    /* only lines: a log that is brought in later has other times than the job's states */
    return err < 0 ? err : digest__time_note(d, &r);
}

/* When record seq was received; *run goes along. 0: not known. */
static int64_t recv_of(const struct frame *f, uint64_t seq, uint32_t *run)
{
    const struct frame_run *r = f->runs;

    if (!r) return f->recv_us > 0 ? f->recv_us + (int64_t)(seq - f->first_seq) / 1000 : 0;
    while (*run + 1 < f->run_count && r[*run + 1].seq <= seq) ++*run;
    return r[*run].recv_us > 0 ? r[*run].recv_us + (int64_t)(seq - r[*run].seq) / 1000 : 0;
}

int digest_add_frame(struct digest *d, const struct frame *f)
{
    uint64_t seq = f->first_seq;
    size_t pos = 0, len;
    const char *line;
    uint32_t run = 0;
    int err = 0;

    if (f->first_seq > d->upto + 1) return ERR_ORDER;
    if (f->is_lost)
        return frame_last_seq(f) > d->upto ? digest_lost(d, d->upto + 1, frame_last_seq(f)) : 0;
    for (; err >= 0 && frame_next_line(f, &pos, &line, &len); seq++) {
        if (seq > d->upto) err = digest_add_line(d, line, len, recv_of(f, seq, &run));
    }
    return err;
}

int digest_settle(struct digest *d)
{
    int err;

    if (d->in->is_settled) return 0;
    err = digest__open_end_all(d);
    if (err < 0) return err;
    d->in->is_settled = 1;
    err = digest__groups_sort(d);
    return err < 0 ? err : digest__ranks_sort(d);
}

size_t digest_bytes(const struct digest *d)
{
    return sizeof *d + sizeof *d->in + d->in->rank_cap * sizeof *d->ranks +
           d->in->detail_count * sizeof(struct digest_detail) +
           (d->groups ? DIGEST_GROUPS_MAX * sizeof *d->groups : 0) + d->in->text_bytes +
           (d->time.buckets ? DIGEST_BUCKETS_MAX * sizeof *d->time.buckets : 0);
}

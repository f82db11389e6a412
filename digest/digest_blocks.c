/*
 * digest/digest_blocks.c -- blocks of lines on their way to becoming an occurrence of a group.
 *
 * A line of level error waits too: the next line of its source says whether it goes on. Sources with nothing
 * open are not known here; most of the time that is all of them.
 */
#include "digest/digest_int.h"

#include "base/err.h"
#include "digest/fingerprint.h"
#include "digest/plain.h"

#include <stdlib.h>
#include <string.h>

#define LITERAL(s) s, sizeof(s) - 1

static uint32_t hash_of(const struct digest_source *s)
{
    uint64_t h = (uint64_t)(uint32_t)s->rank << 32 | s->replica;

    h = (h ^ ((uint64_t)s->stream << 16) ^ s->tag) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 54) & (DIGEST_OPEN_SLOTS - 1);
}

static int same(const struct digest_source *a, const struct digest_source *b)
{
    return a->rank == b->rank && a->replica == b->replica && a->stream == b->stream &&
           a->tag == b->tag;
}

struct digest_open *digest__open_find(const struct digest *d, const struct digest_source *s)
{
    struct digest_open *o;

    if (!d->in->open_count) return NULL;
    for (o = d->in->open_slots[hash_of(s)]; o && !same(&o->source, s); o = o->next) {
    }
    return o;
}

static void unlink_open(struct digest_inner *in, struct digest_open *o)
{
    struct digest_open **at = &in->open_slots[hash_of(&o->source)];

    while (*at != o) at = &(*at)->next;
    *at = o->next;
    in->open_count--;
}

static void free_open(struct digest_inner *in, struct digest_open *o)
{
    in->open_bytes -= o->text.len;
    if (in->spare || o->text.cap > 4 * DIGEST_TEXT_BYTES_MAX) {
        buf_release(&o->text);
        free(o);
        return;
    }
    in->spare = o; /* errors come in floods: one is kept */
}

/* ---- the end of a block ---- */

/* "terminate called after throwing an instance of 'X'" + "what():  m" -> "X: m"; "thread … panicked at p:" + "m" */
static void set_title(struct digest_open *o, const char *text, size_t len)
{
    static const char throwing[] = "terminate called after throwing an instance of '";
    size_t room, old = o->title_bytes;

    while (len && (*text == ' ' || *text == '|'))
        text++, len--; /* '|': an exception group is drawn */
    if (o->block.kind == DIGEST_KIND_CPP && len > 7 && memcmp(text, "what():", 7) == 0) {
        size_t skip = sizeof throwing - 1;
        for (text += 7, len -= 7; len && *text == ' '; text++, len--) {
        }
        if (old > skip && memcmp(o->title, throwing, skip) == 0 && o->title[old - 1] == '\'') {
            old -= skip + 1;
            memmove(o->title, o->title + skip, old);
            o->title[old++] = ':';
        }
    } else if (o->block.kind != DIGEST_KIND_RUST) {
        old = 0;
    }
    if (old && old < sizeof o->title) o->title[old++] = ' ';
    room = sizeof o->title - old;
    len = plain_cut(text, len, room);
    memcpy(o->title + old, text, len);
    o->title_bytes = (uint32_t)(old + len);
}

static int has(const struct digest_open *o, const char *what, size_t len)
{
    return memmem(o->title, o->title_bytes, what, len) != NULL;
}

/* A crash or a line whose title speaks of NCCL or CUDA is of that kind. */
static enum digest_kind kind_of(const struct digest_open *o)
{
    enum digest_kind k = (enum digest_kind)o->block.kind;

    if (k != DIGEST_KIND_CPP && k != DIGEST_KIND_LINE) return k;
    if (has(o, LITERAL("NCCL"))) return DIGEST_KIND_NCCL;
    if (has(o, LITERAL("CUDA error")) || has(o, LITERAL("c10::CUDAError"))) return DIGEST_KIND_CUDA;
    return k;
}

static int end_open(struct digest *d, struct digest_open *o)
{
    const struct digest_classifier *c = d->in->classifier;
    struct digest_found f = {.kind = kind_of(o),
                             .level = o->block.level,
                             .cause = o->cause,
                             .is_block = o->line_count > 1,
                             .title = o->title,
                             .title_bytes = o->title_bytes,
                             .text = buf_cstr(&o->text),
                             .text_bytes = o->text.len,
                             .whole_bytes = o->whole_bytes,
                             .at = o->at,
                             .end_seq = o->end_seq,
                             .rank = o->source.rank,
                             .replica = o->source.replica};
    struct digest_rank *e;
    char title[DIGEST_TITLE_BYTES_MAX + 1];
    uint64_t h;
    int err;

    if (o->block.kind == DIGEST_KIND_LINE)
        h = fingerprint_text(FINGERPRINT_START, o->title, o->title_bytes);
    else
        h = fingerprint_bytes(o->hash, digest_kind_name(f.kind), 2);
    f.fingerprint = fingerprint_end(h);
    memcpy(title, o->title, o->title_bytes);
    title[o->title_bytes] = '\0';
    if (c && c->block && f.is_block) {
        uint32_t cause = c->block(f.kind, title, f.text, f.text_bytes);
        if (cause) f.cause = cause;
    }
    if (f.level < LEVEL_WARN && !f.cause) return 0; /* a header that nothing followed */
    err = digest__rank(d, f.rank, f.replica, &e);
    if (err < 0) return err;
    if (e && e->detail && f.level >= LEVEL_ERROR) {
        struct digest_detail *x = e->detail;
        if (!x->first_error.seq || f.at.seq < x->first_error.seq) {
            x->first_error = f.at;
            x->first_error_fingerprint = f.fingerprint;
        }
        if (f.at.seq > x->last_error.seq) x->last_error = f.at;
    }
    return digest__group_note(d, &f);
}

int digest__open_end(struct digest *d, struct digest_open *o)
{
    int err = end_open(d, o);

    unlink_open(d->in, o);
    free_open(d->in, o);
    return err;
}

static struct digest_open *oldest(const struct digest_inner *in)
{
    struct digest_open *found = NULL;

    for (uint32_t s = 0; s < DIGEST_OPEN_SLOTS; s++) {
        for (struct digest_open *o = in->open_slots[s]; o; o = o->next) {
            if (!found || o->at.seq < found->at.seq) found = o;
        }
    }
    return found;
}

int digest__open_end_all(struct digest *d)
{
    struct digest_open *o;
    int err = 0;

    while (err >= 0 && d->in->open_count && (o = oldest(d->in)) != NULL)
        err = digest__open_end(d, o);
    return err;
}

/* ---- lines ---- */

struct digest_open *digest__open_add(struct digest_inner *in, const struct digest_source *s)
{
    struct digest_open *o = in->spare;
    uint32_t slot = hash_of(s);

    in->spare = NULL;
    if (o) {
        struct buf text = o->text;
        buf_clear(&text);
        memset(o, 0, sizeof *o);
        o->text = text;
    } else {
        o = calloc(1, sizeof *o);
        if (!o) return NULL;
    }
    o->source = *s;
    o->hash = FINGERPRINT_START;
    o->next = in->open_slots[slot];
    in->open_slots[slot] = o;
    in->open_count++;
    return o;
}

static int note_reports(struct digest *d, struct digest_open *o, struct digest_record *r)
{
    struct digest_report found[REPORT_TASKS_MAX];
    int err = 0;

    if (o->block.kind == DIGEST_KIND_PYTHON) {
        if (report_next(&o->report, r->line.text, r->line.len, &found[0]))
            err = digest__report_note(d, r, &found[0], o->report.title);
        return err;
    }
    for (uint32_t i = 0, n = report_line(r->line.text, r->line.len, found); i < n && err >= 0; i++)
        err = digest__report_note(d, r, &found[i], NULL);
    return err;
}

static int add_line(struct digest *d, struct digest_open *o, struct digest_record *r,
                    enum block_role role)
{
    const struct digest_line *l = &r->line;
    struct digest_inner *in = d->in;
    size_t room = DIGEST_TEXT_BYTES_MAX -
                  (o->text.len < DIGEST_TEXT_BYTES_MAX ? o->text.len : DIGEST_TEXT_BYTES_MAX);
    size_t len, before = o->text.len;
    int err = 0;

    if (role == BLOCK_TITLE || (role == BLOCK_HEAD && !o->title_bytes))
        set_title(o, l->text, l->len);
    if (role == BLOCK_FRAME ? o->frame_count++ < DIGEST_FRAMES_MAX : 1)
        o->hash = block_hash(o->hash, (enum digest_kind)o->block.kind, role, l->text, l->len);
    if (in->open_bytes > DIGEST_OPEN_BYTES_MAX && room > DIGEST_TEXT_BYTES_MIN)
        room = o->line_count ? 0 : DIGEST_TEXT_BYTES_MIN;
    if (o->line_count && room > 1) err = buf_addc(&o->text, '\n'), room--;
    len = plain_cut(l->text, l->len, room);
    if (err >= 0) err = buf_add(&o->text, l->text, len);
    in->open_bytes += o->text.len - before;
    o->whole_bytes += l->len + (o->line_count > 0);
    o->line_count++;
    o->end_seq = r->at.seq;
    if (!o->cause) o->cause = r->cause;
    if (l->level > o->block.level) o->block.level = l->level;
    return err < 0 ? err : note_reports(d, o, r);
}

int digest__blocks_note(struct digest *d, struct digest_record *r, const struct digest_source *s,
                        int *ret_taken)
{
    struct digest_inner *in = d->in;
    struct digest_open *o = digest__open_find(d, s);
    enum block_role role;
    struct block b;
    int err = 0;

    *ret_taken = 1;
    if (o && block_next(&o->block, r->line.text, r->line.len, &role))
        return add_line(d, o, r, role);
    if (o) err = digest__open_end(d, o);
    if (err < 0) return err;
    if (!block_begin(&b, r->line.text, r->line.len, r->line.level, &role)) {
        *ret_taken = 0;
        return 0;
    }
    if (in->open_count == DIGEST_OPEN_MAX) err = digest__open_end(d, oldest(in));
    if (err < 0) return err;
    o = digest__open_add(in, s);
    if (!o) return ERR_NOMEM;
    o->block = b;
    o->at = r->at;
    return add_line(d, o, r, role);
}

void digest__blocks_free(struct digest_inner *in)
{
    for (uint32_t s = 0; s < DIGEST_OPEN_SLOTS; s++) {
        while (in->open_slots[s]) {
            struct digest_open *o = in->open_slots[s];
            in->open_slots[s] = o->next;
            buf_release(&o->text);
            free(o);
        }
    }
    if (in->spare) buf_release(&in->spare->text);
    free(in->spare);
}

/*
 * storage/archive_place.c -- where in a job's segments a time of receipt lies, and when a record was received.
 *
 * Later records have later times, so everything is found by halving: which segment, which entry of it,
 * which run, which record of the run. Only indexes are read, about as many as the logarithm of the
 * number of segments.
 */
#include "base/err.h"
#include "storage/archive_int.h"
#include "storage/segment_int.h"

#include <stdlib.h>
#include <unistd.h>

struct place {
    const struct archive *archive;
    int job_fd;
    struct archive_file *files;
    uint32_t file_count;
};

static int place_open(struct place *p, const struct archive *a, const struct job_key *key)
{
    int err;

    *p = (struct place){.archive = a, .job_fd = archive__hold_job(a, key)};
    if (p->job_fd < 0) return p->job_fd == ERR_NOT_FOUND ? 0 : p->job_fd;
    err = archive_list(a, key, &p->files, &p->file_count);
    if (err < 0) {
        close(p->job_fd);
        p->job_fd = -1;
    }
    return err;
}

static void place_close(struct place *p)
{
    free(p->files);
    if (p->job_fd >= 0) close(p->job_fd);
}

/* When the last record of entry i was received. */
static int64_t last_ns(const struct segment *s, uint32_t i)
{
    const struct segment_entry *e = segment_entry(s, i);
    struct frame_run *runs = NULL;
    uint32_t count = 0;
    int64_t ns = e->sum.ts_max_us * 1000;

    if (segment_recv_runs(s, i, &runs, &count) >= 0 && count)
        ns = frame_runs_recv_ns(runs, count, e->last_seq);
    free(runs);
    return ns;
}

/* The first record of entry i received at recv_ns or later; the entry's last one is. */
static uint64_t find_record(const struct segment *s, uint32_t i, int64_t recv_ns)
{
    const struct segment_entry *e = segment_entry(s, i);
    uint64_t lo = e->first_seq, hi = e->last_seq;
    struct frame_run *runs = NULL;
    uint32_t count = 0;

    if (segment_recv_runs(s, i, &runs, &count) < 0 || !count) return lo;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;

        if (frame_runs_recv_ns(runs, count, mid) >= recv_ns) hi = mid;
        else lo = mid + 1;
    }
    free(runs);
    return lo;
}

/* 1: found in this segment; 0: all of it is earlier. */
static int find_in_segment(const struct segment *s, int64_t recv_ns, uint64_t *ret_seq)
{
    uint32_t lo = 0, hi = segment_entry_count(s);

    if (!hi || last_ns(s, hi - 1) < recv_ns) return 0;
    while (lo + 1 < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (last_ns(s, mid - 1) >= recv_ns) hi = mid;
        else lo = mid;
    }
    *ret_seq = find_record(s, lo, recv_ns);
    return 1;
}

/* As find_in_segment for file i; ERR_* when it cannot be opened. */
static int find_in_file(struct place *p, uint32_t i, int64_t recv_ns, uint64_t *ret_seq)
{
    struct segment *s = NULL;
    int err = archive__take_segment(p->archive, p->job_fd, p->files[i].name, &s);

    if (err < 0) return err;
    err = find_in_segment(s, recv_ns, ret_seq);
    archive__give_segment(p->archive, &s);
    return err;
}

int archive_find_recv(const struct archive *a, const struct job_key *key, int64_t recv_ns,
                      uint64_t *ret_seq)
{
    struct place p;
    uint32_t lo = 0, hi;
    int err = place_open(&p, a, key), found = 0;

    if (err < 0) return err;
    hi = p.file_count;
    while (lo < hi) { /* the first file whose last record is late enough */
        uint32_t mid = lo + (hi - lo) / 2;
        uint64_t seq;

        err = find_in_file(&p, mid, recv_ns, &seq);
        if (err == ERR_NOMEM || err == ERR_IO) break;
        if (err == 1) { /* a file that is no segment any more is passed over as too early */
            found = 1;
            *ret_seq = seq;
            hi = mid;
        } else {
            lo = mid + 1;
        }
        err = 0;
    }
    place_close(&p);
    return err < 0 ? err : found;
}

/* When record seq of an open segment was received; 0: not known. */
static int64_t recv_in_segment(const struct segment *s, uint64_t seq)
{
    uint32_t lo = 0, hi = segment_entry_count(s);
    struct frame_run *runs = NULL;
    uint32_t count = 0;
    int64_t ns = 0;

    while (lo + 1 < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (segment_entry(s, mid)->first_seq <= seq) lo = mid;
        else hi = mid;
    }
    if (lo >= hi || segment_entry(s, lo)->first_seq > seq || segment_entry(s, lo)->last_seq < seq) return 0;
    if (segment_recv_runs(s, lo, &runs, &count) >= 0 && count)
        ns = frame_runs_recv_ns(runs, count, seq);
    free(runs);
    return ns;
}

int archive_recv_ns(const struct archive *a, const struct job_key *key, uint64_t seq,
                    int64_t *ret_recv_ns)
{
    struct place p;
    int err = place_open(&p, a, key), found = 0;

    if (err < 0) return err;
    for (uint32_t i = 0; i < p.file_count && !found; i++) {
        struct segment *s = NULL;
        int64_t ns;

        if (p.files[i].first_seq > seq || p.files[i].last_seq < seq) continue;
        err = archive__take_segment(a, p.job_fd, p.files[i].name, &s);
        if (err < 0) continue;
        ns = recv_in_segment(s, seq);
        archive__give_segment(a, &s);
        if (ns) {
            *ret_recv_ns = ns;
            found = 1;
        }
    }
    place_close(&p);
    return err == ERR_NOMEM ? err : found;
}

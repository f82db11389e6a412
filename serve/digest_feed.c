/*
 * serve/digest_feed.c -- a job's digest from and to its file, and fed with archived records.
 */
#include "serve/digest_feed.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "digest/cause.h"

#include <inttypes.h>
#include <stdlib.h>

int digest_feed_load(const struct archive *a, const struct job_key *key, uint64_t epoch,
                     struct digest **ret_digest)
{
    struct digest *d = NULL;
    uint64_t of_epoch = 0;
    char *data = NULL;
    size_t len = 0;
    int err = archive_get_digest(a, key, &data, &len);

    if (err < 0)
        return err == ERR_NOMEM ? err : ERR_NOT_FOUND;
    err = digest_decode(data, len, &cause_classifier, &of_epoch, &d);
    free(data);
    if (err == ERR_CORRUPT)
        log_warn("digest", "a damaged digest is made anew", "project=%s job=%s bytes=%zu", key->project, key->job, len);
    if (err >= 0 && of_epoch != epoch) {
        digest_free(&d);
        err = ERR_NOT_FOUND;
    }
    if (err < 0)
        return err == ERR_NOMEM ? err : ERR_NOT_FOUND;
    *ret_digest = d;
    return 0;
}

int digest_feed_store(const struct archive *a, const struct job_key *key, const struct digest *d,
                      uint64_t epoch)
{
    struct buf file;
    int err;

    buf_init(&file, 0);
    err = digest_encode(d, epoch, &file);
    if (err >= 0)
        err = archive_put_digest(a, key, file.data, file.len);
    buf_release(&file);
    return err;
}

/* One answer of the walk into d. 1: go on; 0: the walk is over. */
static int feed_next(struct archive_walk *w, struct digest *d)
{
    struct frame *f = NULL;
    uint64_t from = 0, to = 0;
    int err = archive_walk_next(w, &f, &from, &to);

    if (err == 0 || err == ERR_NOMEM)
        return err;
    if (err < 0) /* lost */
        return to > d->upto ? digest_lost(d, d->upto + 1, to) < 0 ? ERR_NOMEM : 1 : 1;
    err = digest_add_frame(d, f);
    if (err == ERR_CORRUPT) /* lines that no release of ours wrote: nobody will read them better */
        err = d->upto < frame_last_seq(f) ? digest_lost(d, d->upto + 1, frame_last_seq(f)) : 0;
    frame_unref(&f);
    return err < 0 ? err : 1;
}

int digest_feed_archive(const struct archive *a, const struct job_key *key, struct digest *d,
                        uint64_t to)
{
    int64_t end_us = clock_mono_us() + DIGEST_FEED_STEP_US;
    struct archive_walk *w = NULL;
    int err;

    if (d->upto >= to)
        return 0;
    err = archive_walk_open(a, key, d->upto + 1, to, 0, NULL, NULL, 0, &w);
    if (err < 0)
        return err;
    archive_walk_with_times(w);
    do
        err = feed_next(w, d);
    while (err > 0 && clock_mono_us() < end_us);
    archive_walk_close(&w);
    return err > 0 ? d->upto < to : err;
}

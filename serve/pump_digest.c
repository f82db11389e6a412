/*
 * serve/pump_digest.c -- the digest of the job that the pump is archiving.
 */
#include "serve/pump_digest.h"

#include "base/err.h"
#include "base/log.h"
#include "digest/cause.h"

void pump_digest_drop(struct pump_digest *pd)
{
    digest_free(&pd->digest);
}

void pump_digest_begin(struct pump_digest *pd, const struct archive *a, const struct job_key *key,
                       uint64_t epoch, uint64_t pos)
{
    struct digest *d = NULL;
    int err;

    if (pd->is_tried)
        return;
    pd->is_tried = 1;
    err = digest_feed_load(a, key, epoch, &d);
    if (err == ERR_NOT_FOUND && pos == 0)
        err = digest_new(&cause_classifier, &d);
    if (err < 0)
        return;
    if (d->upto < pos && pos - d->upto > PUMP_DIGEST_BEHIND_MAX) {
        digest_free(&d);
        return;
    }
    while (d->upto < pos && err >= 0) {
        err = digest_feed_archive(a, key, d, pos);
        if (err == 0 && d->upto < pos)
            err = digest_lost(d, d->upto + 1, pos);
    }
    if (err < 0)
        digest_free(&d);
    pd->digest = d;
}

void pump_digest_add(struct pump_digest *pd, const struct frame *f)
{
    int err = 0;

    if (!pd->digest)
        return;
    if (f->first_seq > pd->digest->upto + 1)
        err = digest_lost(pd->digest, pd->digest->upto + 1, f->first_seq - 1);
    if (err >= 0)
        err = digest_add_frame(pd->digest, f);
    if (err < 0)
        pump_digest_drop(pd);
}

void pump_digest_store(struct pump_digest *pd, const struct archive *a, const struct job_key *key,
                       uint64_t epoch)
{
    int err;

    if (!pd->digest)
        return;
    err = digest_feed_store(a, key, pd->digest, epoch);
    if (err >= 0)
        return;
    log_debug("digest", "a digest was not written", "project=%s job=%s error=%s", key->project, key->job,
              err_name(err));
    pump_digest_drop(pd);
}

/*
 * tests/unit/serve/nomem_postmortem_test.c -- every allocation of judging a job and of writing its post-mortem fails once: the
 * same document as with all memory, an error, or the end of the process; never one that lacks a piece.
 */
#include "tests/unit/digest/corpus.h"

#include "tests/unit/nomem.h"

#include "digest/verdict.h"
#include "serve/postmortem_int.h"

#include <dirent.h>

static struct corpus recording;
static struct postmortem_tail tail;
static struct buf whole[3]; /* by form, with all memory */
static enum postmortem_form form;

static int make(struct buf *out)
{
    struct verdict v;
    struct postmortem p = {.info = recording.info,
                           .digest = recording.d,
                           .verdict = &v,
                           .now_us = recording.now_us,
                           .tails = &tail,
                           .tail_count = 1,
                           .computed_us = 1500,
                           .ranks_max = 1024,
                           .groups_max = 100};
    int err;

    verdict_make(&v, recording.d, recording.info, recording.now_us);
    err = form == POSTMORTEM_JSON ? postmortem__json(out, &p)
          : form == POSTMORTEM_MD ? postmortem__markdown(out, &p)
                                  : postmortem__html(out, &p);
    verdict_release(&v);
    return err;
}

static int write_document(void)
{
    struct buf out = BUF_INIT;
    int err = make(&out);

    if (err >= 0 && (out.len != whole[form].len || memcmp(out.data, whole[form].data, out.len) != 0)) _exit(70);
    buf_release(&out);
    return err;
}

static void sweep(const char *name)
{
    static char said[] = "nul\0 and `ticks`, <tags>";

    corpus_load(&recording, name);
    tail = (struct postmortem_tail){.rank = 0, .count = 2};
    for (int i = 0; i < 2; i++)
        tail.lines[i] = (struct postmortem_line){.seq = 1 + (uint64_t)i, .ts_us = recording.now_us, .text = said,
                                                 .len = sizeof said - 1};
    for (int f = 0; f < 3; f++) {
        form = (enum postmortem_form)f;
        assert_true(make(&whole[f]) >= 0);
        if (nomem_sweep(write_document, NULL) < 0) fail_msg("%s, form %d", name, f);
        buf_release(&whole[f]);
    }
    corpus_free(&recording);
}

static void test_every_recording(void **state)
{
    DIR *dir = opendir(CORPUS_DIR);
    unsigned count = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char name[256];
        char *dot = strrchr(e->d_name, '.');

        if (!dot || strcmp(dot, ".jsonl") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - e->d_name), e->d_name);
        sweep(name);
        count++;
    }
    closedir(dir);
    assert_true(count > 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_recording)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/bench/archive_make.c -- the segments of one long job, made by storage/ itself without a server in front.
 *
 *     archive_make DIR LINES CORPUS.ndjson WORD       DIR: ROOT/<project>/<job>, there already
 *
 * Records 1 … LINES are the lines of the corpus (canonical, without numbers), again and again; the one in the middle says
 * WORD. Record LINES + 1 is the state COMPLETED. Segments of SEGMENT_LINES, marked as settled so that nobody writes them anew.
 * As many processes as there are cores make every n-th segment each. job.json is the caller's.
 */
#include "base/err.h"
#include "job/frame.h"
#include "job/record.h"
#include "storage/segment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENT_LINES 1000000
#define BATCH_LINES 1000 /* received at one time */
#define FIRST_US INT64_C(1763931241000000)

struct corpus {
    const char *text;
    size_t len, at;
};

static void die(const char *what, int err)
{
    fprintf(stderr, "archive_make: %s: %s\n", what, err < 0 ? err_name(err) : "failed");
    exit(1);
}

/* count lines of the corpus, which begins again at its end. */
static void take_lines(struct corpus *c, uint64_t count, struct buf *out)
{
    while (count--) {
        const char *nl = memchr(c->text + c->at, '\n', c->len - c->at);

        buf_add(out, c->text + c->at, (size_t)(nl + 1 - c->text) - c->at);
        c->at = (size_t)(nl + 1 - c->text) % c->len;
    }
}

static void add(struct segment_writer *w, uint64_t first, uint32_t count, const struct buf *lines)
{
    struct frame_summary sum;
    struct frame *f = NULL;
    int err;

    frame_summary_init(&sum);
    sum.count = count;
    err = frame_number(first, FIRST_US + (int64_t)first, &sum, lines->data, lines->len, &f);
    if (err >= 0) err = segment_writer_add(w, f);
    if (err < 0) die("a batch", err);
    frame_unref(&f);
}

static void make_segment(const char *dir, uint64_t first, uint64_t last, uint64_t lines, struct corpus *c, const char *word)
{
    struct segment_writer *w = NULL;
    struct buf batch = BUF_INIT;
    char name[SEGMENT_NAME_BYTES];
    int err = segment_writer_open(dir, first, SEGMENT_LEVEL_DEFAULT, &w);

    if (err < 0) die("a segment", err);
    segment_writer_mark_settled(w, SEGMENT_LEVEL_DEFAULT);
    for (uint64_t seq = first; seq <= last && seq <= lines;) {
        uint64_t upto = seq + BATCH_LINES - 1, middle = lines / 2 + 1;

        if (upto > last) upto = last;
        if (upto > lines) upto = lines;
        if (seq < middle && upto >= middle) upto = middle - 1;
        buf_clear(&batch);
        if (seq == middle) {
            upto = seq;
            buf_addf(&batch, "{\"ts\":\"2025-11-23T20:54:01.000000Z\",\"msg\":\"only here: %s\"}\n", word);
        } else {
            take_lines(c, upto - seq + 1, &batch);
        }
        add(w, seq, (uint32_t)(upto - seq + 1), &batch);
        seq = upto + 1;
    }
    if (last > lines) {
        buf_clear(&batch);
        buf_adds(&batch, "{\"ts\":\"2025-12-23T20:54:01.000000Z\",\"state\":\"TRAINING_JOB_COMPLETED\",\"msg\":\"\"}\n");
        add(w, last, 1, &batch);
    }
    err = segment_writer_commit(&w, name);
    if (err < 0) die("commit", err);
    buf_release(&batch);
}

int main(int argc, char **argv)
{
    uint64_t lines = argc == 5 ? strtoull(argv[2], NULL, 10) : 0, segment = 0;
    int fd = lines ? open(argv[3], O_RDONLY) : -1, workers = (int)sysconf(_SC_NPROCESSORS_ONLN), status, failed = 0;
    struct stat st;
    struct corpus c = {0};

    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) {
        fprintf(stderr, "usage: archive_make DIR LINES CORPUS.ndjson WORD\n");
        return 2;
    }
    c.len = (size_t)st.st_size;
    c.text = mmap(NULL, c.len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (c.text == MAP_FAILED || c.text[c.len - 1] != '\n') die("the corpus", 0);
    for (int i = 0; i < workers; i++) {
        if (fork() != 0) continue;
        for (uint64_t first = 1; first <= lines + 1; first += SEGMENT_LINES, segment++) {
            uint64_t last = first + SEGMENT_LINES - 1;

            if (segment % (uint64_t)workers != (uint64_t)i) continue;
            make_segment(argv[1], first, last < lines + 1 ? last : lines + 1, lines, &c, argv[4]);
        }
        exit(0);
    }
    while (wait(&status) > 0) failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return failed;
}

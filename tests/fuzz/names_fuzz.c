/*
 * tests/fuzz/names_fuzz.c -- any names of folders and files in the directory of the archive, as its index is rebuilt from them.
 *
 * A line each: "d path" is a directory, "f path" a file, "l path" a link to a place outside. What is told of the archive is what
 * a walk of our own finds: every job with a valid name once and no other, its segments in order. Temp files go, and no others;
 * a job that is deleted goes whole, and nothing outside is touched. After a 'c' the bytes are ranges of segments, of which those
 * that are left in hold every record that all of them hold.
 * Covers  storage/archive_scan.c storage/archive_clean.c
 */
#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "storage/archive_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX 24
#define JOBS_MAX 64

static char top[64], root[80], outside[80], canary[96];

static int on_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)at;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

static void forget_all(void)
{
    nftw(top, on_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_dirs(void)
{
    if (!*top) {
        snprintf(top, sizeof top, "%s/joblog-names-fuzz-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
        snprintf(root, sizeof root, "%s/archive", top);
        snprintf(outside, sizeof outside, "%s/outside", top);
        snprintf(canary, sizeof canary, "%s/job.json", outside);
        CHECK(io_mkdirs(outside) == 0 && io_replace_file(canary, "{}", 2) == 0);
        atexit(forget_all);
    }
    CHECK(mkdir(root, 0700) == 0);
}

/* "d path": at most four names, none of them "." or "..". What cannot be made is left out. */
static void make_entry(const char *line, size_t len)
{
    char path[1024];
    size_t at = strlen(root), names = 1;

    if (len < 3 || at + len >= sizeof path || memchr(line, '\0', len))
        return;
    memcpy(path, root, at);
    path[at++] = '/';
    for (size_t i = 2; i < len; i++) {
        if (line[i] == '/' && (i == 2 || line[i - 1] == '/' || ++names > 4))
            return;
        if (line[i] == '.' && line[i - 1] != '/' && i > 2) {
            path[at++] = line[i];
            continue;
        }
        if (line[i] == '.' && (i + 1 == len || line[i + 1] == '/' || line[i + 1] == '.'))
            return;
        if (line[i] == '/') {
            path[at] = '\0';
            mkdir(path, 0700);
        }
        path[at++] = line[i];
    }
    path[at] = '\0';
    if (line[0] == 'd')
        mkdir(path, 0700);
    else if (line[0] == 'l' && symlink(outside, path) != 0)
        return;
    else if (line[0] == 'f') {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd >= 0)
            close(fd);
    }
}

/* ---- what is there, by a walk of our own ---- */

struct world {
    struct archive *archive;
    struct job_key jobs[JOBS_MAX];
    int seen[JOBS_MAX];
    unsigned count;
};

static int is_dir(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void find_jobs_of(struct world *w, const char *project)
{
    char path[512], job[1024];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof path, "%s/%s", root, project);
    if (!id_valid(project, strlen(project)) || !is_dir(path))
        return;
    CHECK((d = opendir(path)) != NULL);
    while ((e = readdir(d))) {
        snprintf(job, sizeof job, "%s/%s", path, e->d_name);
        if (!id_valid(e->d_name, strlen(e->d_name)) || !is_dir(job))
            continue;
        CHECK(w->count < JOBS_MAX);
        CHECK(job_key_make(&w->jobs[w->count++], project, strlen(project), e->d_name, strlen(e->d_name)) == 0);
    }
    closedir(d);
}

static void find_jobs(struct world *w)
{
    struct dirent *e;
    DIR *d = opendir(root);

    CHECK(d);
    while ((e = readdir(d)))
        find_jobs_of(w, e->d_name);
    closedir(d);
}

static unsigned place_of(const struct world *w, const struct job_key *key)
{
    unsigned i = 0;

    while (i < w->count && !job_key_equal(&w->jobs[i], key))
        i++;
    CHECKF(i < w->count, "%s/%s", key->project, key->job);
    return i;
}

/* ---- what the archive says ---- */

static int on_job(void *ctx, const struct job_key *key)
{
    struct world *w = ctx;

    CHECK(w->seen[place_of(w, key)]++ == 0);
    return 0;
}

static void check_files(struct world *w, const struct job_key *key, uint64_t last_seq)
{
    struct archive_file *files = NULL;
    uint32_t count = 0;
    uint64_t last = 0;
    char name[SEGMENT_NAME_BYTES];

    CHECK(archive_list(w->archive, key, &files, &count) == 0 && archive_last_seq(w->archive, key, &last) == 0);
    CHECK(last == last_seq);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%020" PRIu64 "-%020" PRIu64 ".jsonl.zst", files[i].first_seq, files[i].last_seq);
        CHECK(strcmp(name, files[i].name) == 0 && files[i].first_seq && files[i].first_seq <= files[i].last_seq);
        CHECK(!i || (files[i].first_seq > files[i - 1].first_seq && files[i].last_seq > files[i - 1].last_seq));
        CHECK(files[i].last_seq <= last);
    }
    free(files);
}

static void scan(struct world *w)
{
    struct archive_scan *s = NULL;
    struct archive_scanned out[3];
    uint32_t count = 0;
    int more;

    memset(w->seen, 0, sizeof w->seen);
    CHECK(archive_each_job(w->archive, on_job, w) == 0);
    for (unsigned i = 0; i < w->count; i++)
        CHECK(w->seen[i] == 1);
    memset(w->seen, 0, sizeof w->seen);
    CHECK(archive_scan_open(w->archive, 0, &s) == 0);
    do {
        more = archive_scan_next(s, out, 3, &count);
        CHECK(more >= 0 && count <= 3);
        for (uint32_t i = 0; i < count; i++) {
            w->seen[place_of(w, &out[i].key)]++;
            check_files(w, &out[i].key, out[i].last_seq);
        }
    } while (more > 0);
    archive_scan_close(&s);
    for (unsigned i = 0; i < w->count; i++) {
        struct job_key found;
        int err = archive_find_job(w->archive, w->jobs[i].job, &found);

        CHECK(w->seen[i] <= 1 && (err == 0 || err == ERR_NOT_FOUND || err == ERR_AMBIGUOUS));
        CHECK(err != 0 || strcmp(found.job, w->jobs[i].job) == 0);
        CHECK(err != ERR_NOT_FOUND || !w->seen[i]);
    }
}

/* Files of a job; how many of them are temp files. */
static unsigned count_files(const struct job_key *key, unsigned *ret_temp)
{
    char path[512];
    struct dirent *e;
    unsigned n = 0;
    DIR *d;

    snprintf(path, sizeof path, "%s/%s/%s", root, key->project, key->job);
    *ret_temp = 0;
    if (!(d = opendir(path)))
        return 0;
    while ((e = readdir(d))) {
        n++;
        *ret_temp += e->d_type == DT_REG && strstr(e->d_name, ARCHIVE_TEMP_MARK) != NULL;
    }
    closedir(d);
    return n;
}

static void clean(struct world *w)
{
    unsigned before[JOBS_MAX], temp[JOBS_MAX], left, all = 0;
    char *text = NULL;
    size_t len;

    for (unsigned i = 0; i < w->count; i++) {
        before[i] = count_files(&w->jobs[i], &temp[i]);
        all += temp[i];
    }
    CHECK(archive_sweep(w->archive, -1000000) == (int)all); /* whatever is older than a second ahead */
    for (unsigned i = 0; i < w->count; i++)
        CHECK(count_files(&w->jobs[i], &left) == before[i] - temp[i] && left == 0);
    for (unsigned i = 0; i < w->count; i++) {
        CHECK(archive_delete(w->archive, &w->jobs[i]) == 0);
        CHECK(count_files(&w->jobs[i], &left) == 0);
    }
    CHECK(io_read_file(canary, 10, &text, &len) == 0 && len == 2);
    free(text);
}

static void as_names(const char *text, size_t len)
{
    struct world w = {.count = 0};
    const char *at = text, *end = text + len;
    char why[200];

    make_dirs();
    for (int i = 0; at < end && i < LINES_MAX; i++) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((nl ? nl : end) - at);

        make_entry(at, n);
        at += n + 1;
    }
    CHECKF(archive_open(root, why, sizeof why, &w.archive) == 0, "%s", why);
    find_jobs(&w);
    scan(&w);
    clean(&w);
    archive_close(&w.archive);
    nftw(root, on_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- ranges that overlap ---- */

static int by_first(const void *x, const void *y)
{
    const struct archive_file *a = x, *b = y;

    if (a->first_seq != b->first_seq)
        return a->first_seq < b->first_seq ? -1 : 1;
    return a->last_seq > b->last_seq ? -1 : a->last_seq < b->last_seq;
}

static void mark(uint8_t *held, const struct archive_file *files, uint32_t count)
{
    memset(held, 0, 512);
    for (uint32_t i = 0; i < count; i++)
        for (uint64_t s = files[i].first_seq; s <= files[i].last_seq; s++)
            held[s] = 1;
}

static void as_ranges(const uint8_t *data, size_t size)
{
    struct archive_file files[64];
    uint8_t all[512], kept[512];
    uint32_t count = 0;

    memset(files, 0, sizeof files);
    for (size_t i = 0; i + 2 <= size && count < 64; i += 2, count++) {
        files[count].first_seq = 1 + data[i];
        files[count].last_seq = files[count].first_seq + data[i + 1];
    }
    if (!count)
        return;
    qsort(files, count, sizeof *files, by_first);
    mark(all, files, count);
    CHECK(archive__drop_covered(files, &count) == 0 && count);
    mark(kept, files, count);
    for (uint32_t i = 1; i < count; i++)
        CHECK(files[i].first_seq > files[i - 1].first_seq && files[i].last_seq > files[i - 1].last_seq);
    CHECK(memcmp(all, kept, sizeof all) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    if (size && data[0] == 'c')
        as_ranges(data + 1, size - 1);
    else
        as_names((const char *)data, size);
    return 0;
}

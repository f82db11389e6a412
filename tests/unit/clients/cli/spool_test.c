/* tests/unit/clients/cli/spool_test.c -- clients/cli/spool.c */
#include "clients/cli/spool.h"

#include "base/err.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static int make_dir(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/spool-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static void segment_names(char names[][32], int *ret_count)
{
    struct dirent *e;
    DIR *d = opendir(dir);

    *ret_count = 0;
    while (d && (e = readdir(d)))
        if (strstr(e->d_name, ".seg") && *ret_count < 64)
            snprintf(names[(*ret_count)++], 32, "%.31s", e->d_name);
    if (d)
        closedir(d);
}

static int drop_dir(void **state)
{
    char names[64][32], path[128];
    int count;

    segment_names(names, &count);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    return 0;
}

static struct spool *open_spool(const char *where, uint64_t bytes_max)
{
    struct spool *sp = NULL;

    assert_int_equal(spool_open(where, bytes_max, &sp), 0);
    return sp;
}

static void append(struct spool *sp, uint64_t n, size_t len)
{
    char *text = calloc(1, len + 32);

    memset(text, 'x', len);
    snprintf(text, 24, "%llu:", (unsigned long long)n);
    text[strlen(text)] = 'x';
    text[len] = '\n';
    assert_int_equal(spool_append(sp, text, len + 1), 0);
    free(text);
}

/* Records from..to come back, and nothing else. */
static void expect(struct spool *sp, uint64_t from, uint64_t to)
{
    struct buf out = BUF_INIT;

    for (uint64_t seq = from; seq <= to;) {
        uint32_t n;
        char *p;

        buf_clear(&out);
        n = spool_read(sp, seq, to - seq < 1000 ? (uint32_t)(to - seq + 1) : 1000, 64 * 1024, &out);
        assert_true(n > 0);
        p = out.data;
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(strtoull(p, NULL, 10), seq + i);
            p = strchr(p, '\n') + 1;
        }
        assert_ptr_equal(p, out.data + out.len);
        seq += n;
        assert_true(seq <= to + 1);
    }
    buf_release(&out);
}

static void what_was_appended_comes_back(void **state)
{
    /* Records are numbered from 1 and come back from any number on, from a file and from memory. */
    for (int in_memory = 0; in_memory < 2; in_memory++) {
        struct spool *sp = open_spool(in_memory ? NULL : dir, 64 << 20);
        struct buf out = BUF_INIT;

        assert_int_equal(spool_last(sp), 0);
        assert_int_equal(spool_next_held(sp, 1), 1);
        for (uint64_t i = 1; i <= 20000; i++)
            append(sp, i, 100 + i % 300);
        assert_int_equal(spool_last(sp), 20000);
        expect(sp, 1, 20000);
        expect(sp, 12345, 20000);
        expect(sp, 2, 20000);
        assert_int_equal(spool_read(sp, 20001, 10, 100, &out), 0);
        assert_int_equal(spool_read(sp, 7, 1, 1, &out),
                         1); /* at least one, however little is asked for */
        buf_release(&out);
        spool_remove(&sp);
        assert_null(sp);
    }
    assert_int_equal(mkdir(dir, 0700), 0); /* spool_remove has taken it */
}

static void survives_reopening(void **state)
{
    /* A spool opened again holds what was flushed, and goes on counting. */
    struct spool *sp = open_spool(dir, 8 << 20);

    for (uint64_t i = 1; i <= 5000; i++)
        append(sp, i, 400);
    spool_close(&sp);
    sp = open_spool(dir, 8 << 20);
    assert_int_equal(spool_last(sp), 5000);
    for (uint64_t i = 5001; i <= 6000; i++)
        append(sp, i, 400);
    expect(sp, 1, 6000);
    spool_close(&sp);
}

static void is_bounded(void **state)
{
    /* A full spool drops whole segments, oldest first, and says where records go on. */
    struct spool *sp = open_spool(dir, SPOOL_BYTES_MIN);
    uint64_t held;

    for (uint64_t i = 1; i <= 20000; i++) {
        append(sp, i, 200);
        if (i % 50 == 0)
            spool_flush(sp);
        assert_true(spool_bytes(sp) <= SPOOL_BYTES_MIN + 64 * 1024);
    }
    held = spool_next_held(sp, 1);
    assert_true(held > 10000 && held < 20000);
    assert_int_equal(spool_dropped(sp), held - 1);
    expect(sp, held, 20000);
    spool_close(&sp);
    sp = open_spool(dir, SPOOL_BYTES_MIN);
    assert_int_equal(spool_next_held(sp, 1), held);
    expect(sp, held, 20000);
    spool_close(&sp);
}

static void frees_what_is_safe(void **state)
{
    /* Segments that are wholly durable go, the others stay. */
    struct spool *sp = open_spool(dir, SPOOL_BYTES_MIN);
    uint64_t before, held;

    for (uint64_t i = 1; i <= 3000; i++)
        append(sp, i, 200);
    spool_flush(sp);
    before = spool_bytes(sp);
    spool_free_upto(sp, 1500);
    held = spool_next_held(sp, 1);
    assert_true(held > 1000 && held <= 1501 && spool_bytes(sp) < before * 2 / 3);
    expect(sp, held, 3000);
    spool_free_upto(sp, 3000);
    assert_true(spool_bytes(sp) < 128 * 1024);
    assert_int_equal(spool_dropped(sp), 0);
    spool_close(&sp);
}

static void torn_tails_are_cut(void **state)
{
    /* Cut at every length, the last segment gives back exactly its whole records. */
    char path[128], names[64][32];
    struct spool *sp = open_spool(dir, 8 << 20);
    struct stat st;
    int count;

    for (uint64_t i = 1; i <= 20; i++)
        append(sp, i, 30);
    spool_close(&sp);
    segment_names(names, &count);
    assert_int_equal(count, 1);
    snprintf(path, sizeof path, "%s/%s", dir, names[0]);
    assert_int_equal(stat(path, &st), 0);
    for (off_t len = st.st_size - 1; len >= 0; len -= 3) {
        uint64_t whole = len < 16 ? 0 : (uint64_t)(len - 16) / (8 + 31);

        assert_int_equal(truncate(path, len), 0);
        sp = open_spool(dir, 8 << 20);
        assert_int_equal(spool_last(sp), whole);
        if (whole)
            expect(sp, 1, whole);
        spool_close(&sp);
        if (!whole)
            break;
    }
}

static void damage_is_a_hole(void **state)
{
    /* One flipped byte never gives back a wrong record: what follows it in its segment is a hole. */
    char path[128], names[64][32];
    struct spool *sp = open_spool(dir, 8 << 20);
    struct stat st;
    int count, fd;

    for (uint64_t i = 1; i <= 10; i++)
        append(sp, i, 30);
    spool_close(&sp);
    segment_names(names, &count);
    snprintf(path, sizeof path, "%s/%s", dir, names[0]);
    assert_int_equal(stat(path, &st), 0);
    for (off_t at = 16; at < st.st_size; at++) {
        uint64_t whole = (uint64_t)(at - 16) / (8 + 31);
        char c;

        sp = open_spool(dir, 8 << 20); /* open, so the damage is found by reading */
        fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, &c, 1, at), 1);
        c ^= 0x20;
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
        if (whole)
            expect(sp, 1, whole);
        struct buf out = BUF_INIT;
        assert_int_equal(spool_read(sp, whole + 1, 100, 1 << 20, &out), 0);
        assert_int_equal(spool_next_held(sp, whole + 1), 11);
        assert_int_equal(spool_dropped(sp), 10 - whole);
        assert_non_null(spool_trouble(sp));
        append(sp, 11, 30); /* it goes on behind the hole */
        expect(sp, 11, 11);
        buf_release(&out);
        spool_free_upto(sp, 0);
        spool_close(&sp);
        c ^= 0x20;
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
        close(fd);
        segment_names(names, &count);
        for (int i = 0; i < count; i++) {
            char other[128];
            snprintf(other, sizeof other, "%s/%s", dir, names[i]);
            if (strcmp(other, path) != 0)
                unlink(other);
        }
        /* the first segment was removed when nothing of it was left: make it anew */
        if (stat(path, &st) < 0 || st.st_size != 16 + 10 * 39) {
            unlink(path);
            sp = open_spool(dir, 8 << 20);
            for (uint64_t i = 1; i <= 10; i++)
                append(sp, i, 30);
            spool_close(&sp);
            assert_int_equal(stat(path, &st), 0);
        }
    }
}

static void random_use_agrees_with_a_model(void **state)
{
    /* Under random appends, reads, frees and reopenings every held record is right and holes are only at the front. */
    unsigned seed = 12345;
    struct spool *sp = open_spool(dir, SPOOL_BYTES_MIN);
    uint64_t last = 0, freed = 0;

    for (int op = 0; op < 4000; op++) {
        uint64_t held;

        switch (rand_r(&seed) % 6) {
        case 0:
        case 1:
        case 2:
            for (int i = rand_r(&seed) % 60; i > 0; i--)
                append(sp, ++last, 24 + (size_t)rand_r(&seed) % 900);
            break;
        case 3:
            freed += rand_r(&seed) % (last - freed + 1);
            spool_free_upto(sp, freed);
            break;
        case 4:
            if (rand_r(&seed) % 10 == 0) {
                spool_close(&sp);
                sp = open_spool(dir, SPOOL_BYTES_MIN);
                last = spool_last(sp) > last ? spool_last(sp) : last;
            }
            break;
        default:
            held = spool_next_held(sp, 1 + (last ? rand_r(&seed) % last : 0));
            if (held <= last)
                expect(sp, held, held + 200 < last ? held + 200 : last);
        }
        if (spool_last(sp) != last)
            fail_msg("op %d: last %llu, not %llu", op, (unsigned long long)spool_last(sp),
                     (unsigned long long)last);
        held = spool_next_held(sp, 1);
        if (held <= last)
            assert_true(spool_next_held(sp, freed + 1) == (held > freed + 1 ? held : freed + 1) ||
                        freed == last);
    }
    spool_close(&sp);
}

static void a_full_disk_drops_and_goes_on(void **state)
{
    /* When the directory is gone nothing can be kept: records are counted as dropped, and nothing crashes. */
    struct spool *sp = open_spool(dir, SPOOL_BYTES_MIN);
    struct buf out = BUF_INIT;

    rmdir(dir);
    for (uint64_t i = 1; i <= 100; i++)
        append(sp, i, 100);
    spool_flush(sp);
    assert_int_equal(spool_last(sp), 100);
    assert_int_equal(spool_dropped(sp), 100);
    assert_int_equal(spool_next_held(sp, 1), 101);
    assert_int_equal(spool_read(sp, 1, 10, 1000, &out), 0);
    assert_non_null(spool_trouble(sp));
    mkdir(dir, 0700);
    append(sp, 101, 100);
    expect(sp, 101, 101);
    buf_release(&out);
    spool_close(&sp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_appended_comes_back, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(survives_reopening, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(is_bounded, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(frees_what_is_safe, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(torn_tails_are_cut, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(damage_is_a_hole, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(random_use_agrees_with_a_model, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(a_full_disk_drops_and_goes_on, make_dir, drop_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

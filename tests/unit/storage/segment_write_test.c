/*
 * tests/unit/storage/segment_write_test.c -- what a writer makes: readable by us and by any zstd
 * tool.
 */
#include "tests/unit/storage/model.h"

#include <errno.h>
#include <sys/mount.h>

static uint32_t get32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static void test_round_trip(void **state)
{
    /* What was added comes back, record for record, from every frame by itself. */
    struct model m;
    struct segment *s = NULL;
    char name[SEGMENT_NAME_BYTES], *dir = make_dir(), *path;
    uint64_t next = 5;

    (void)state;
    model_init(&m, 1);
    model_write(&m, dir, 5, 30000, 3, name);
    assert_string_equal(name, "00000000000000000005-00000000000000030000.jsonl.zst");
    path = join(dir, name);
    assert_int_equal(count_files(dir), 1);
    assert_int_equal(segment_verify(path, 5, 30000), 0);
    assert_int_equal(segment_verify(path, 5, 29999), ERR_CORRUPT);
    assert_int_equal(segment_open(path, &s), 0);
    assert_int_equal(segment_first_seq(s), 5);
    assert_int_equal(segment_last_seq(s), 30000);
    assert_true(segment_entry_count(s) > 4);
    for (uint32_t i = 0; i < segment_entry_count(s); i++) {
        const struct segment_entry *e = segment_entry(s, i);
        struct frame *f = NULL;

        assert_int_equal(e->first_seq, next);
        assert_true(e->raw_bytes <= SEGMENT_FRAME_BYTES);
        if (i + 1 < segment_entry_count(s)) assert_true(e->raw_bytes > SEGMENT_FRAME_BYTES - 4096);
        assert_int_equal(segment_read(s, i, &f), 0);
        model_check_frame(&m, f);
        assert_int_equal(f->recv_us, e->recv_min_us);
        next = frame_last_seq(f) + 1;
        frame_unref(&f);
    }
    assert_int_equal(next, 30001);
    segment_close(&s);
    model_release(&m);
    remove_dir(dir);
    free(path);
    free(dir);
}

static void test_recv_runs(void **state)
{
    /* The time each record was received comes back exactly, also where a run goes over two entries. */
    struct model m;
    struct segment *s = NULL;
    unsigned begun_before = 0;
    char name[SEGMENT_NAME_BYTES], *dir = make_dir(), *path;

    (void)state;
    model_init(&m, 2);
    model_write(&m, dir, 1, 12000, 3, name);
    path = join(dir, name);
    assert_int_equal(segment_open(path, &s), 0);
    for (uint32_t i = 0; i < segment_entry_count(s); i++) {
        const struct segment_entry *e = segment_entry(s, i);
        struct frame_run *runs = NULL;
        uint32_t count = 0;

        assert_int_equal(segment_recv_runs(s, i, &runs, &count), 0);
        for (uint64_t seq = e->first_seq; seq <= e->last_seq; seq++) {
            uint64_t begin = seq;

            while (begin > 1 && m.recv[begin - 2] == m.recv[seq - 1]) begin--;
            assert_int_equal(frame_runs_recv_ns(runs, count, seq),
                             m.recv[seq - 1] * 1000 + (int64_t)(seq - begin));
        }
        begun_before += runs[0].seq < e->first_seq;
        free(runs);
    }
    assert_true(begun_before > 0);
    segment_close(&s);
    model_release(&m);
    remove_dir(dir);
    free(path);
    free(dir);
}

static void run(const char *format, ...)
{
    char command[4 * PATH_MAX];
    va_list ap;

    va_start(ap, format);
    CHECK(vsnprintf(command, sizeof command, format, ap) < (int)sizeof command);
    va_end(ap);
    if (system(command) != 0) fail_msg("%s", command);
}

static void test_zstd_tool(void **state)
{
    /* The zstd tool tests, lists and unpacks every file, and joined files as one. */
    struct model m;
    struct buf raw = BUF_INIT;
    char a[SEGMENT_NAME_BYTES], b[SEGMENT_NAME_BYTES], *dir = make_dir(), *path;

    (void)state;
    model_init(&m, 3);
    model_write(&m, dir, 1, 9000, 3, a);
    model_write(&m, dir, 9001, 9003, 1, b);
    for (uint64_t i = 0; i < m.count; i++) {
        buf_adds(&raw, m.lines[i]);
        buf_addc(&raw, '\n');
    }
    path = join(dir, "raw");
    write_file(path, raw.data, raw.len);
    run("cd %s && zstd -q --test %s && zstd -q --test %s", dir, a, b);
    run("cd %s && zstd -lv %s | grep -q XXH64", dir, a);
    run("cd %s && zstd -l %s >/dev/null", dir, b);
    run("cd %s && cat %s %s > both.zst && zstd -q --test both.zst && zstd -dc both.zst | cmp - raw", dir, a, b);
    run("cd %s && zstd -l both.zst >/dev/null", dir);
    buf_release(&raw);
    model_release(&m);
    remove_dir(dir);
    free(path);
    free(dir);
}

static void test_seek_table(void **state)
{
    /* The seek table is zstd's format 0.1.0: its sizes add up to the file, its checksums are
     * XXH64's. */
    struct model m;
    char name[SEGMENT_NAME_BYTES], *dir = make_dir(), *path, *data;
    size_t len, at = 0, table;
    uint32_t count;

    (void)state;
    model_init(&m, 4);
    model_write(&m, dir, 1, 9000, 3, name);
    path = join(dir, name);
    data = read_file(path, &len);
    assert_int_equal(get32(data + len - 4), 0x8F92EAB1);
    assert_int_equal((unsigned char)data[len - 5], 0x80);
    count = get32(data + len - 9);
    table = len - 9 - 12 * (size_t)count - 8;
    assert_int_equal(get32(data + table), 0x184D2A5E);
    assert_int_equal(get32(data + table + 4), 12 * count + 9);
    for (uint32_t i = 0; i < count; i++) {
        const char *e = data + table + 8 + 12 * (size_t)i;
        uint32_t magic = get32(data + at);

        if (get32(e + 4)) {
            assert_int_equal(magic, 0xFD2FB528);
            /* A frame's content checksum is its last four bytes: the same 32 bits of the same
             * hash. */
            assert_int_equal(get32(e + 8), get32(data + at + get32(e) - 4));
        } else {
            assert_int_equal(magic & 0xfffffff0, 0x184D2A50);
            assert_int_equal(get32(data + at + 4) + 8, get32(e));
            assert_int_equal(get32(e + 8), 0x51D8E999); /* XXH64 of nothing, seed 0 */
        }
        at += get32(e);
    }
    assert_int_equal(at, table);
    free(data);
    model_release(&m);
    remove_dir(dir);
    free(path);
    free(dir);
}

static void test_order(void **state)
{
    /* A frame that does not follow is refused and the writer goes on as before. */
    struct model m;
    struct segment_writer *w = NULL;
    struct frame *f1, *f2, *f3;
    char name[SEGMENT_NAME_BYTES], *dir = make_dir();

    (void)state;
    model_init(&m, 5);
    for (int i = 0; i < 9; i++) model_add(&m, i);
    f1 = model_frame(&m, 1, 3);
    f2 = model_frame(&m, 4, 6);
    f3 = model_frame(&m, 7, 9);
    assert_int_equal(segment_writer_open(dir, 1, 3, &w), 0);
    assert_int_equal(segment_writer_add(w, f2), ERR_ORDER);
    assert_int_equal(segment_writer_add(w, f1), 0);
    assert_int_equal(segment_writer_add(w, f1), ERR_ORDER);
    assert_int_equal(segment_writer_add(w, f3), ERR_ORDER);
    assert_int_equal(segment_writer_add(w, f2), 0);
    assert_int_equal(segment_writer_raw_bytes(w), f1->text_bytes + f2->text_bytes);
    assert_int_equal(segment_writer_commit(&w, name), 0);
    assert_string_equal(name, "00000000000000000001-00000000000000000006.jsonl.zst");
    frame_unref(&f1);
    frame_unref(&f2);
    frame_unref(&f3);
    model_release(&m);
    remove_dir(dir);
    free(dir);
}

static void test_nothing_left(void **state)
{
    /* A writer given up, or committed without a record, leaves no file. */
    struct model m;
    struct segment_writer *w = NULL;
    struct frame *f;
    char name[SEGMENT_NAME_BYTES], *dir = make_dir();

    (void)state;
    model_init(&m, 6);
    model_add(&m, 1);
    assert_int_equal(segment_writer_open(dir, 1, 3, &w), 0);
    assert_int_equal(count_files(dir), 1);
    assert_int_equal(segment_writer_commit(&w, name), ERR_INVALID);
    assert_null(w);
    assert_int_equal(count_files(dir), 0);
    f = model_frame(&m, 1, 1);
    assert_int_equal(segment_writer_open(dir, 1, 3, &w), 0);
    assert_int_equal(segment_writer_add(w, f), 0);
    segment_writer_abort(&w);
    assert_null(w);
    segment_writer_abort(&w);
    assert_int_equal(count_files(dir), 0);
    assert_int_equal(segment_writer_open("/nonexistent/dir", 1, 3, &w), ERR_NOT_FOUND);
    assert_null(w);
    frame_unref(&f);
    model_release(&m);
    remove_dir(dir);
    free(dir);
}

static void test_huge_record(void **state)
{
    /* A record larger than a frame is a frame of its own and comes back whole. */
    struct buf text = BUF_INIT;
    struct record r = {.seq = 1, .ts_us = MODEL_START_US, .rank = 0, .level = LEVEL_INFO};
    struct segment_writer *w = NULL;
    struct segment *s = NULL;
    struct frame *f = NULL, *back = NULL;
    char name[SEGMENT_NAME_BYTES], *dir = make_dir(), *path, *msg = must_malloc(9000000), *stolen;
    size_t len;

    (void)state;
    for (size_t i = 0; i < 9000000; i++) msg[i] = (char)('a' + (i * i / 7 + i % 13) % 26);
    r.msg = "before";
    r.msg_len = 6;
    assert_true(record_write(&text, &r) >= 0);
    r.seq = 2;
    r.msg = msg;
    r.msg_len = 9000000;
    assert_true(record_write(&text, &r) >= 0);
    stolen = buf_steal(&text, &len);
    assert_int_equal(frame_from_text(1, 7, NULL, &stolen, len, &f), 0);
    assert_int_equal(segment_writer_open(dir, 1, 19, &w), 0);
    assert_int_equal(segment_writer_add(w, f), 0);
    assert_int_equal(segment_writer_commit(&w, name), 0);
    path = join(dir, name);
    assert_int_equal(segment_verify(path, 1, 2), 0);
    assert_int_equal(segment_open(path, &s), 0);
    assert_int_equal(segment_entry_count(s), 2);
    assert_int_equal(segment_read(s, 1, &back), 0);
    assert_memory_equal(back->text, f->text + f->text_bytes - back->text_bytes, back->text_bytes);
    run("zstd -q --test --memory=8MB %s", path);
    frame_unref(&f);
    frame_unref(&back);
    segment_close(&s);
    remove_dir(dir);
    free(path);
    free(dir);
    free(msg);
}

/* The tmpfs of the next test, until it is taken away: also when the test fails. */
static char *full_dir;

static int take_full_dir_away(void **state)
{
    (void)state;
    if (!full_dir) return 0;
    umount(full_dir);
    remove_dir(full_dir);
    free(full_dir);
    full_dir = NULL;
    return 0;
}

static void test_full_disk(void **state)
{
    /* A full disk is ERR_FULL, and leaves neither a segment nor a temp file. */
    struct model m;
    struct segment_writer *w = NULL;
    char name[SEGMENT_NAME_BYTES], *dir = full_dir = make_dir();
    int err = 0;

    (void)state;
    if (mount("tmpfs", dir, "tmpfs", 0, "size=256k") != 0) {
        print_message("           skipped: cannot mount a tmpfs (%s)\n", strerror(errno));
        skip();
    }
    model_init(&m, 8);
    assert_int_equal(segment_writer_open(dir, 1, 1, &w), 0);
    while (err >= 0 && m.count < 200000) {
        uint64_t first = m.count + 1;
        struct frame *f;

        for (int i = 0; i < 500; i++) model_add(&m, m.now_us);
        f = model_frame(&m, first, m.count);
        err = segment_writer_add(w, f);
        frame_unref(&f);
    }
    assert_int_equal(err, ERR_FULL);
    assert_int_equal(segment_writer_commit(&w, name), ERR_FULL);
    assert_null(w);
    assert_int_equal(count_files(dir), 0);
    model_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_recv_runs),
        cmocka_unit_test(test_zstd_tool),   cmocka_unit_test(test_seek_table),
        cmocka_unit_test(test_order),       cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_huge_record),
            cmocka_unit_test_teardown(test_full_disk, take_full_dir_away),
    };

    return cmocka_run_group_tests_name("storage/segment_write", tests, NULL, NULL);
}

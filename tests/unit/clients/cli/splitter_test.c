/* tests/unit/clients/cli/splitter_test.c -- clients/cli/splitter.c */
#include "clients/cli/splitter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Every record as "text" or "text fields", one a line. */
static int collect(void *user, const struct splitter_line *l)
{
    struct buf *out = user;

    buf_add(out, l->text, l->len);
    if (l->fields) {
        buf_addc(out, ' ');
        buf_add(out, l->fields, l->fields_len);
    }
    buf_addc(out, '\n');
    return 0;
}

/* Fed in pieces of step bytes, then flushed. */
static void split(struct buf *out, const char *text, size_t len, size_t step)
{
    struct splitter s;

    buf_clear(out);
    splitter_init(&s);
    for (size_t at = 0; at < len; at += step)
        assert_int_equal(
            splitter_feed(&s, text + at, len - at < step ? len - at : step, collect, out), 0);
    assert_int_equal(splitter_flush(&s, collect, out), 0);
    splitter_release(&s);
}

static void check(const char *text, const char *want)
{
    struct buf out = BUF_INIT;

    for (size_t step = 1; step <= strlen(text) + 1; step++) {
        split(&out, text, strlen(text), step);
        assert_string_equal(buf_cstr(&out), want);
    }
    buf_release(&out);
}

static void lines_are_split_however_they_arrive(void **state)
{
    /* Lines come out the same for every way the bytes are cut into pieces. */
    check("a\nbc\n\nd", "a\nbc\n\nd\n");
    check("", "");
    check("\n", "\n");
    check("no end", "no end\n");
    check("dos\r\nline\r\n", "dos\nline\n");
    check("cr cr\r\r\nnext", "cr cr\nnext\n");
}

static void redraws_become_one_record(void **state)
{
    /* A redrawn line is its last segment that shows something, with the earlier ones as history. */
    check("1%\r2%\r3%\n", "3% {\"redraws\":2,\"history\":[\"1%\",\"2%\"]}\n");
    check("\r1%\r2%\n", "2% {\"redraws\":1,\"history\":[\"1%\"]}\n");
    check("1%\r2%\r\x1b[K\n", "2% {\"redraws\":1,\"history\":[\"1%\"]}\n");
    check("1%\r   \r2%\r\n", "2% {\"redraws\":1,\"history\":[\"1%\"]}\n");
    check("only\r", "only\n");
    check("a\rb\nc\n", "b {\"redraws\":1,\"history\":[\"a\"]}\nc\n");
    check("\r\r\r", "");
}

static void history_is_thin_and_even(void **state)
{
    /* However often a line is redrawn, at most TRACK_HISTORY_MAX samples are kept, spread evenly. */
    for (int n = 1; n < 3000; n = n * 3 + 1) {
        struct buf in = BUF_INIT, out = BUF_INIT;
        const char *p;
        int samples = 0, last = -1, gap_max = 0;

        for (int i = 0; i <= n; i++)
            buf_addf(&in, "%ds\r", i);
        split(&out, in.data, in.len, 7);
        p = strstr(buf_cstr(&out), "\"history\":[");
        assert_non_null(p);
        for (p = strchr(p, '['); (p = strpbrk(p + 1, "0123456789")); p = strchr(p, 's')) {
            int v = atoi(p);
            assert_true(v > last);
            if (last >= 0 && v - last > gap_max)
                gap_max = v - last;
            last = v;
            samples++;
        }
        assert_in_range(samples, n < TRACK_HISTORY_MAX ? n : TRACK_HISTORY_MAX / 2,
                        TRACK_HISTORY_MAX);
        if (n >= TRACK_HISTORY_MAX)
            assert_true(gap_max <= 2 * n / (TRACK_HISTORY_MAX / 2));
        buf_release(&in);
        buf_release(&out);
    }
}

static int on_part(void *user, const struct splitter_line *l)
{
    struct buf *out = user;
    unsigned n = 0, of = 0;

    assert_true(l->len <= SPLITTER_PART_BYTES);
    if (l->fields)
        assert_int_equal(sscanf(l->fields, "{\"part\":{\"n\":%u,\"of\":%u}}", &n, &of), 2);
    buf_add(out, l->text, l->len);
    buf_addf(out, "<%u/%u>", n, of);
    return 0;
}

static void long_lines_are_marked_parts(void **state)
{
    /* A line over the limit comes in numbered parts that make it whole again, cut at characters. */
    size_t lens[] = {SPLITTER_PART_BYTES,     SPLITTER_PART_BYTES + 1,
                     3 * SPLITTER_PART_BYTES, SPLITTER_LINE_BYTES,
                     SPLITTER_LINE_BYTES + 5, 2 * SPLITTER_LINE_BYTES + SPLITTER_PART_BYTES};

    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct buf in = BUF_INIT, out = BUF_INIT, joined = BUF_INIT;
        struct splitter s;
        unsigned want = 1, n, of = 0;
        char *p;

        buf_addc(&in, 'x');
        while (in.len < lens[i])
            buf_adds(&in, "\xc3\xa9");
        splitter_init(&s);
        splitter_feed(&s, in.data, in.len, on_part, &out);
        splitter_feed(&s, "\n", 1, on_part, &out);
        for (p = out.data; p < out.data + out.len; want++) {
            char *mark = memchr(p, '<', (size_t)(out.data + out.len - p));

            assert_int_equal((mark - p) % 2, want == 1 && lens[i] ? 1 : 0);
            buf_add(&joined, p, (size_t)(mark - p));
            assert_int_equal(sscanf(mark, "<%u/%u>", &n, &of), 2);
            if (in.len > SPLITTER_PART_BYTES)
                assert_int_equal(n, want);
            if (strchr(mark, '>') + 1 < out.data + out.len)
                assert_true(n < of);
            p = strchr(mark, '>') + 1;
        }
        if (in.len > SPLITTER_PART_BYTES)
            assert_int_equal(of, want - 1);
        assert_int_equal(joined.len, in.len);
        assert_memory_equal(joined.data, in.data, in.len);
        splitter_release(&s);
        buf_release(&in);
        buf_release(&out);
        buf_release(&joined);
    }
}

static int join(void *user, const struct splitter_line *l)
{
    return buf_add(user, l->text, l->len);
}

static void secrets_go_before_a_line_is_cut(void **state)
{
    /* Wherever a secret lies in a line of any length, at the cuts of parts and pieces too, none of it is given out. */
    static const char secret[] = "AKIA" "IOSFODNN7EXAMPLE", header[] = "Authorization: Bearer 0123456789abcdefghij";
    const size_t ends[] = {SPLITTER_PART_BYTES, SPLITTER_LINE_BYTES - SPLITTER_PART_BYTES, SPLITTER_LINE_BYTES};
    struct redact *r = NULL;
    char why[100];

    assert_int_equal(redact_new(NULL, &r, why, sizeof why), 0);
    for (size_t i = 0; i < 3 * 45; i++) {
        struct buf in = BUF_INIT, out = BUF_INIT;
        struct redact_counts counts = {{0}};
        const char *text = i % 2 ? secret : header;
        struct splitter s;

        splitter_init(&s);
        splitter_redact(&s, r, 0, &counts);
        while (in.len < ends[i / 45] - i % 45 - 1)
            buf_adds(&in, "fill ");
        in.len = ends[i / 45] - i % 45 - 1;
        buf_addc(&in, ' ');
        buf_adds(&in, text);
        for (int n = 0; n < 1000; n++)
            buf_adds(&in, " more");
        buf_addc(&in, '\n');
        for (size_t at = 0; at < in.len; at += 60000)
            assert_int_equal(splitter_feed(&s, in.data + at, in.len - at < 60000 ? in.len - at : 60000, join, &out), 0);
        assert_int_equal(redact_total(&counts), 1);
        assert_null(memmem(out.data, out.len, i % 2 ? "EXAMPLE" : "cdefghij", i % 2 ? 7 : 8));
        assert_int_equal(out.len, in.len - 1 - (i % 2 ? 20 - 14 : 20 - 17));
        splitter_release(&s);
        buf_release(&in);
        buf_release(&out);
    }
    redact_free(&r);
}

static void secrets_of_redraws_go(void **state)
{
    /* What is live, kept of the history, or last on a redrawn line shows no secret. */
    static const char text[] = "hf_" "AbCdEfGhIjKlMnOpQrStUvWxYz01234567 1%\r2% AKIA" "IOSFODNN7EXAMPLE\r3% jlt_"
                               "0123456789012345678901234567890123456789012345678";
    struct buf out = BUF_INIT;
    struct redact_counts counts = {{0}};
    struct redact *r = NULL;
    struct splitter s;
    const char *live;
    size_t len;
    char why[100];

    assert_int_equal(redact_new(NULL, &r, why, sizeof why), 0);
    splitter_init(&s);
    splitter_redact(&s, r, 0, &counts);
    assert_int_equal(splitter_feed(&s, text, strlen(text), collect, &out), 0);
    assert_int_equal(splitter_live(&s, &live, &len), 1);
    assert_int_equal(len, strlen("3% [redacted:joblog]"));
    assert_memory_equal(live, "3% [redacted:joblog]", len);
    assert_int_equal(splitter_flush(&s, collect, &out), 0);
    assert_string_equal(buf_cstr(&out),
                        "3% [redacted:joblog] {\"redraws\":2,"
                        "\"history\":[\"[redacted:huggingface] 1%\",\"2% [redacted:aws]\"]}\n");
    splitter_release(&s);
    buf_release(&out);
    redact_free(&r);
}

static void live_text_is_what_the_screen_shows(void **state)
{
    /* While a line is redrawn its newest segment is live; a plain open line is not. */
    struct buf out = BUF_INIT;
    struct splitter s;
    const char *text;
    size_t len;

    splitter_init(&s);
    splitter_feed(&s, "plain", 5, collect, &out);
    assert_int_equal(splitter_live(&s, &text, &len), 0);
    splitter_feed(&s, "\r 10%", 5, collect, &out);
    assert_int_equal(splitter_live(&s, &text, &len), 1);
    assert_memory_equal(text, " 10%", len);
    splitter_feed(&s, "\r 20%\r", 6, collect, &out);
    assert_int_equal(splitter_live(&s, &text, &len), 1);
    assert_memory_equal(text, " 20%", len);
    splitter_feed(&s, "\n", 1, collect, &out);
    assert_int_equal(splitter_live(&s, &text, &len), 0);
    splitter_release(&s);
    buf_release(&out);
}

static void read_file(struct buf *out, const char *dir, const char *name, const char *suffix)
{
    char path[256], block[4096];
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix);
    f = fopen(path, "r");
    if (!f)
        fail_msg("%s cannot be opened", path);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(out, block, n);
    fclose(f);
}

static void rows_drawn_over_are_one_record_each(void **state)
{
    /* What tqdm, rich and docker wrote when they drew several bars at once: a record for each bar, with thinned history,
     * lines between and after them as lines; however the bytes arrive. */
    static const char *const names[] = {"tqdm-position", "tqdm-nested", "tqdm-nested-left", "tqdm-unnamed",
                                        "rich-progress", "rich-live",   "docker"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf raw = BUF_INIT, want = BUF_INIT, out = BUF_INIT;

        read_file(&raw, "tests/unit/clients/cli/bars", names[i], ".raw");
        read_file(&want, "tests/unit/clients/cli/bars", names[i], ".want");
        for (size_t step = 1; step < 64; step += step < 8 ? 1 : 11) {
            split(&out, raw.data, raw.len, step);
            assert_string_equal(buf_cstr(&out), buf_cstr(&want));
        }
        buf_release(&raw);
        buf_release(&want);
        buf_release(&out);
    }
}

static void bars_are_live_together(void **state)
{
    /* While several rows are drawn over all of them are live, from the top, with what the open row shows now. */
    struct buf out = BUF_INIT;
    struct splitter s;
    const char *text;
    size_t len;
#define FEED(bytes) splitter_feed(&s, bytes, sizeof(bytes) - 1, collect, &out)
#define LIVE(want)                                                                                 \
    assert_int_equal(splitter_live(&s, &text, &len), 1);                                           \
    assert_int_equal(len, sizeof(want) - 1);                                                       \
    assert_memory_equal(text, want, len)

    splitter_init(&s);
    FEED("\rA: 1%\n\rB: 1%\x1b[A");
    FEED("\rA: 2%");
    LIVE("B: 1%");
    FEED("\n\rB: 3%");
    LIVE("A: 2%\nB: 3%");
    FEED("\x1b[A\rA: 5%");
    LIVE("A: 5%\nB: 3%");
    FEED("\n\ndone\n");
    assert_int_equal(splitter_live(&s, &text, &len), 0);
    assert_string_equal(buf_cstr(&out), "A: 1%\n"
                                        "A: 5% {\"redraws\":1,\"history\":[\"A: 2%\"]}\n"
                                        "B: 3% {\"redraws\":1,\"history\":[\"B: 1%\"]}\ndone\n");
    splitter_release(&s);
    buf_release(&out);
}

static void nonsense_is_split_alike_however_it_arrives(void **state)
{
    /* Cursor moves, bars, text and line ends at random: nothing is lost that is no blank, and pieces make no difference. */
    static const char *const words[] = {"\r",      "\n",     "\n",      "\x1b[A",  "\x1b[3A", "\x1b[2B", "\x1b[999A",
                                        "\x1b[2K", "A: 5%", "B: 77%", " 12%|#", "text",  "\x1b[31m", "\x1b[",
                                        "\x1b",    "\r\n",  "a: ",    "\xe2\x94\x81", "\xe2\x94", " "};
    unsigned seed = 20261126;

    for (int round = 0; round < 3000; round++) {
        struct buf in = BUF_INIT, whole = BUF_INIT, pieces = BUF_INIT;

        for (int i = 0; i < 60; i++)
            buf_adds(&in, words[(unsigned)rand_r(&seed) % (sizeof words / sizeof *words)]);
        split(&whole, in.data, in.len, in.len);
        split(&pieces, in.data, in.len, 1 + (unsigned)rand_r(&seed) % 5);
        if (strcmp(buf_cstr(&whole), buf_cstr(&pieces)) != 0)
            fail_msg("round %d", round);
        buf_release(&in);
        buf_release(&whole);
        buf_release(&pieces);
    }
}

static void secrets_of_rows_go(void **state)
{
    /* Of several rows that are drawn over, too: live, in their history, at their end, and in lines between them. */
    static const char text[] = "\rA AKIA" "IOSFODNN7EXAMPLE 1%\n\rB: 1%\x1b[A"
                               "\rA: AKIA" "IOSFODNN7EXAMPLE 2%\n\rB: AKIA" "IOSFODNN7EXAMPLE";
    struct buf out = BUF_INIT;
    struct redact_counts counts = {{0}};
    struct redact *r = NULL;
    struct splitter s;
    const char *live, *after = "\n\rplain AKIA" "IOSFODNN7EXAMPLE\n";
    size_t len;
    char why[100];

    assert_int_equal(redact_new(NULL, &r, why, sizeof why), 0);
    splitter_init(&s);
    splitter_redact(&s, r, 0, &counts);
    assert_int_equal(splitter_feed(&s, text, strlen(text), collect, &out), 0);
    assert_int_equal(splitter_live(&s, &live, &len), 1);
    assert_null(memmem(live, len, "IOSF", 4));
    assert_int_equal(splitter_feed(&s, after, strlen(after), collect, &out), 0);
    assert_int_equal(splitter_flush(&s, collect, &out), 0);
    assert_null(strstr(buf_cstr(&out), "IOSF"));
    assert_non_null(strstr(buf_cstr(&out), "plain [redacted:aws]"));
    assert_int_equal(redact_total(&counts), 4);
    splitter_release(&s);
    redact_free(&r);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_split_however_they_arrive),
        cmocka_unit_test(secrets_go_before_a_line_is_cut), cmocka_unit_test(secrets_of_redraws_go),
        cmocka_unit_test(redraws_become_one_record),
        cmocka_unit_test(history_is_thin_and_even),
        cmocka_unit_test(long_lines_are_marked_parts),
        cmocka_unit_test(live_text_is_what_the_screen_shows),
        cmocka_unit_test(rows_drawn_over_are_one_record_each),
        cmocka_unit_test(secrets_of_rows_go),
        cmocka_unit_test(bars_are_live_together),
        cmocka_unit_test(nonsense_is_split_alike_however_it_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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
    /* However often a line is redrawn, at most SPLITTER_HISTORY_MAX samples are kept, spread evenly. */
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
        assert_in_range(samples, n < SPLITTER_HISTORY_MAX ? n : SPLITTER_HISTORY_MAX / 2,
                        SPLITTER_HISTORY_MAX);
        if (n >= SPLITTER_HISTORY_MAX)
            assert_true(gap_max <= 2 * n / (SPLITTER_HISTORY_MAX / 2));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_split_however_they_arrive),
        cmocka_unit_test(redraws_become_one_record),
        cmocka_unit_test(history_is_thin_and_even),
        cmocka_unit_test(long_lines_are_marked_parts),
        cmocka_unit_test(live_text_is_what_the_screen_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

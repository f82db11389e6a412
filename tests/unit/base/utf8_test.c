/*
 * tests/unit/base/utf8_test.c -- UTF-8 against a decoder that knows only code points.
 */
#include "base/utf8.h"
#include "tests/unit/base/unit.h"

/* Bytes of the well-formed sequence at s, 0 when there is none: by decoding and encoding again. */
static size_t oracle(const unsigned char *s, size_t len)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (!n || n > len) return 0;
    unsigned cp = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2) return 0;
        cp = cp << 6 | (s[i] & 63);
    }
    return cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000) ? 0 : n;
}

static void test_all_short(void **state)
{
    /* Every sequence of up to three bytes is judged as a decoder judges it. */
    unsigned char s[4] = {0, 0, 0, 0};
    for (unsigned v = 0; v < 1u << 24; v++) {
        s[0] = (unsigned char)(v >> 16);
        if (s[0] < 0xc0 && (v & 0xffff)) continue;
        s[1] = (unsigned char)(v >> 8);
        s[2] = (unsigned char)v;
        size_t want = 0, n;
        while (want < 3 && (n = oracle(s + want, 3 - want))) want += n;
        if (utf8_valid_prefix((char *)s, 3) != want) fail_msg("%02x %02x %02x", s[0], s[1], s[2]);
    }
}

static void test_random(void **state)
{
    /* Long mixed texts are judged the same, wherever the fault lies. */
    unit_seed();
    for (int i = 0; i < 50000; i++) {
        static const char *const pieces[] = {"a", "bcdefgh", "\xc3\xa9", "\xe2\x82\xac",
                                             "\xf0\x9f\x98\x80", "\x80", "\xf4\x90\x80\x80",
                                             "\xed\xa0\x80", "\xc0\xaf"};
        char text[120];
        size_t len = 0, want = 0, n;
        while (len < 90) {
            const char *p = pieces[unit_below(unit_below(4) ? 5 : 9)];
            memcpy(text + len, p, strlen(p));
            len += strlen(p);
        }
        len -= unit_below(3);
        while (want < len && (n = oracle((unsigned char *)text + want, len - want))) want += n;
        char *exact = malloc(len);
        memcpy(exact, text, len);
        assert_int_equal(utf8_valid_prefix(exact, len), want);
        free(exact);
    }
}

static void test_bad_run(void **state)
{
    /* One U+FFFD replaces a maximal subpart (Unicode 15, table 3-8). */
    static const struct {
        const char *s;
        size_t len, run;
    } samples[] = {
        {LITERAL("\x80"), 1},          {LITERAL("\xff"), 1},         {LITERAL("\xc3"), 1},
        {LITERAL("\xe2\x82"), 2},      {LITERAL("\xe2\x82x"), 2},    {LITERAL("\xf0\x9f\x98"), 3},
        {LITERAL("\xf0\x9fx"), 2},     {LITERAL("\xed\xa0\x80"), 1}, {LITERAL("\xe0\x80\x80"), 1},
        {LITERAL("\xf4\x90\x80\x80"), 1}, {LITERAL("\xc0\xaf"), 1},  {LITERAL("\xf5\x80"), 1},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_int_equal(utf8_bad_run(samples[i].s, samples[i].len), samples[i].run);
}

static void test_mend(void **state)
{
    /* What was cut becomes '?', the rest stays. */
    char cut[] = "caf\xc3: \xe2\x82\xac \xe2\x82", whole[] = "\xc3\xa9";
    utf8_mend(cut);
    assert_string_equal(cut, "caf?: \xe2\x82\xac ??");
    utf8_mend(whole);
    assert_string_equal(whole, "\xc3\xa9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_short),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_bad_run),
        cmocka_unit_test(test_mend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

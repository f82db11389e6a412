/*
 * tests/unit/base/log_test.c -- events on a captured stderr.
 */
#include "base/err.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "tests/unit/base/unit.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static char got[20000];
static int saved_stderr = -1;
static FILE *file;

static void capture(void)
{
    file = tmpfile();
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
}

static void captured(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    rewind(file);
    size_t n = fread(got, 1, sizeof got - 1, file);
    got[n] = '\0';
    fclose(file);
}

static int line_count(const char *s)
{
    int n = 0;
    for (; *s; s++) n += *s == '\n';
    return n;
}

static const char *member(const struct json_tree *t, const char *key)
{
    const char *s = NULL;
    json_tree_get_str(t, key, &s);
    return s ? s : "";
}

static void test_json(void **state)
{
    /* An event is one line of strict JSON with its pairs as members. */
    struct json_tree *t = NULL;
    int64_t upto = 0;
    log_setup(LOG_INFO, LOG_FORMAT_JSON);
    capture();
    log_warn("storage", "trim refused", "job=%s upto=%d why=" LOG_Q("%s") " last=x", "demo/j", 812,
             "no such \"thing\"");
    captured();
    assert_int_equal(line_count(got), 1);
    assert_int_equal(json_tree_parse(got, strlen(got), &t, NULL), 0);
    assert_string_equal(member(t, "level"), "warn");
    assert_string_equal(member(t, "room"), "storage");
    assert_string_equal(member(t, "msg"), "trim refused");
    assert_string_equal(member(t, "job"), "demo/j");
    assert_string_equal(member(t, "why"), "no such \"thing\"");
    assert_string_equal(member(t, "last"), "x");
    assert_int_equal(json_tree_get_i64(t, "upto", &upto), 1);
    assert_int_equal(upto, 812);
    assert_int_equal(strlen(member(t, "ts")), 27);
    json_tree_free(&t);
}

static void test_text(void **state)
{
    /* An event is one line of text. */
    log_setup(LOG_INFO, LOG_FORMAT_TEXT);
    capture();
    log_info("http", "listening", "on=%s why=" LOG_Q("%s"), "127.0.0.1:8000", "a b");
    log_error("http", "broken", NULL);
    captured();
    assert_non_null(strstr(got, " INFO  http: listening on=127.0.0.1:8000 why=\"a b\"\n"));
    assert_non_null(strstr(got, " ERROR http: broken\n"));
    assert_int_equal(line_count(got), 2);
}

static void test_forgery(void **state)
{
    /* No value makes a second event, a terminal escape or bad JSON. */
    static const char *const evil[] = {
        "a\nERROR x", "x b\nc=d", "\x1b]0;title\x07", "\x1b[2J", "\xff\xfe", "\xc2\x9b""31m",
        "\"}\n{\"level\":\"error\"", "\r", "a=b c=d", "\\", "\x01", "\x7f", "\xe2\x82",
    };
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
        for (int f = LOG_FORMAT_TEXT; f <= LOG_FORMAT_JSON; f++) {
            log_setup(LOG_INFO, (enum log_format)f);
            capture();
            log_info("http", evil[i], "id=%s why=" LOG_Q("%s"), evil[i], evil[i]);
            captured();
            assert_int_equal(line_count(got), 1);
            size_t len = strlen(got);
            assert_int_equal(got[len - 1], '\n');
            for (size_t k = 0; k < len - 1; k++) {
                unsigned char c = (unsigned char)got[k];
                if (c < 0x20 || c == 0x7f) fail_msg("control %02x for %zu", c, i);
                if (f == LOG_FORMAT_TEXT && c == 0xc2) assert_true((unsigned char)got[k + 1] >= 0xa0);
            }
            if (f == LOG_FORMAT_JSON) {
                struct json_tree *t = NULL;
                if (json_tree_parse(got, len, &t, NULL) < 0) fail_msg("not JSON: %s", got);
                assert_string_equal(member(t, "level"), "info");
                json_tree_free(&t);
            }
        }
    }
}

static void test_minimum(void **state)
{
    /* Events below the minimum are silent, and logging leaves errno alone. */
    log_setup(LOG_WARN, LOG_FORMAT_TEXT);
    capture();
    errno = 77;
    log_debug("a", "b", NULL);
    log_info("a", "b", NULL);
    log_warn("a", "b", NULL);
    int kept = errno;
    captured();
    assert_int_equal(kept, 77);
    assert_int_equal(line_count(got), 1);
}

static void test_long(void **state)
{
    /* A very long value is cut, the event stays whole. */
    static char text[30000];
    struct json_tree *t = NULL;
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = "\xe2\x82\xac"[i % 3];
    log_setup(LOG_INFO, LOG_FORMAT_JSON);
    capture();
    log_info("a", "b", "v=" LOG_Q("%s"), text);
    captured();
    assert_int_equal(line_count(got), 1);
    assert_int_equal(json_tree_parse(got, strlen(got), &t, NULL), 0);
    json_tree_free(&t);
}

static void test_names(void **state)
{
    /* Names of levels and formats are exact. */
    enum log_level l = LOG_DEBUG;
    enum log_format f = LOG_FORMAT_AUTO;
    assert_int_equal(log_level_parse("warn", &l), 0);
    assert_int_equal(l, LOG_WARN);
    assert_int_equal(log_level_parse("WARN", &l), ERR_INVALID);
    assert_int_equal(log_level_parse("", &l), ERR_INVALID);
    assert_int_equal(log_format_parse("json", &f), 0);
    assert_int_equal(f, LOG_FORMAT_JSON);
    assert_int_equal(log_format_parse("xml", &f), ERR_INVALID);
}

static void test_every(void **state)
{
    /* A repeated fault is said once a period, with how often it was silent. */
    struct log_every e = {0};
    uint64_t silent = 99;
    assert_true(log_every(&e, 3600000000, &silent));
    assert_int_equal(silent, 0);
    for (int i = 0; i < 5; i++) assert_false(log_every(&e, 3600000000, &silent));
    e.next_us = 0; /* the period is over */
    assert_true(log_every(&e, 3600000000, &silent));
    assert_int_equal(silent, 5);
    assert_false(log_every(&e, 3600000000, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),    cmocka_unit_test(test_text),
        cmocka_unit_test(test_forgery), cmocka_unit_test(test_minimum),
        cmocka_unit_test(test_long),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_every),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/base/config_test.c -- one table by flag, environment and file.
 */
#include "base/config.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

#include <stdio.h>
#include <unistd.h>

struct target {
    const char *data;
    const char *mode;
    int open;
    int64_t count, bytes, time_us;
    char **listen;
};

#define AT(member) offsetof(struct target, member)
static const struct config_option table[] = {
    {"data", CONFIG_STRING, AT(data), "dir", 0, 0, NULL, "DIR", "Where.", "First"},
    {"mode", CONFIG_STRING, AT(mode), "a", 0, 0, "a|bb|c", NULL, "Which.", "First"},
    {"open", CONFIG_BOOL, AT(open), "false", 0, 0, NULL, NULL,
     "A help text that is long enough to be wrapped at eighty columns, which takes a few more words "
     "than one would like to write.",
     "First"},
    {"test-count", CONFIG_COUNT, AT(count), "3", 1, 19, NULL, "N", "How many.", "Second"},
    {"test-bytes", CONFIG_BYTES, AT(bytes), "64KiB", 1024, 1 << 30, NULL, "BYTES", "How big.",
     "Second"},
    {"drain-time", CONFIG_DURATION, AT(time_us), "10s", 0, 3600000000, NULL, "DURATION", "How long.",
     "Second"},
    {"listen", CONFIG_LIST, AT(listen), "127.0.0.1:8000", 0, 0, NULL, "ADDRESS", "Where.", "Second"},
};
#define COUNT (sizeof table / sizeof *table)

static struct target target;
static char why[300], verb;
static char path[] = "/tmp/joblog-config-XXXXXX";

static int load(const char *a, const char *b, const char *c, const char *d)
{
    char *argv[] = {(char *)"joblogd", (char *)a, (char *)b, (char *)c, (char *)d, NULL};
    int argc = 1;
    while (argv[argc]) argc++;
    config_release(table, COUNT, &target);
    memset(&target, 0, sizeof target);
    memset(why, 0, sizeof why);
    verb = '?';
    return config_load(table, COUNT, argc, argv, &target, &verb, why, sizeof why);
}

static void refused(const char *flag, const char *value, const char *reason)
{
    assert_int_equal(load(flag, value, NULL, NULL), ERR_INVALID);
    if (!strstr(why, reason)) fail_msg("%s: want \"%s\"", why, reason);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static void test_defaults(void **state)
{
    /* With nothing given every option has its default. */
    assert_int_equal(load(NULL, NULL, NULL, NULL), 0);
    assert_int_equal(verb, 0);
    assert_string_equal(target.data, "dir");
    assert_string_equal(target.mode, "a");
    assert_int_equal(target.open, 0);
    assert_int_equal(target.count, 3);
    assert_int_equal(target.bytes, 65536);
    assert_int_equal(target.time_us, 10000000);
    assert_string_equal(target.listen[0], "127.0.0.1:8000");
    assert_null(target.listen[1]);
}

static void test_precedence(void **state)
{
    /* Flags beat the environment, which beats the file, which beats the default. */
    write_file("# a comment\n\n data = of file \r\ntest-count=4\nmode = c\nlisten = a:1, ,b:2,\n");
    setenv("JOBLOG_TEST_COUNT", "5", 1);
    setenv("JOBLOG_MODE", "bb", 1);
    assert_int_equal(load("--config", path, "--test-count=6", NULL), 0);
    assert_string_equal(target.data, "of file");
    assert_string_equal(target.mode, "bb");
    assert_int_equal(target.count, 6);
    assert_string_equal(target.listen[0], "a:1");
    assert_string_equal(target.listen[1], " ");
    assert_string_equal(target.listen[2], "b:2");
    setenv("JOBLOG_CONFIG", path, 1);
    assert_int_equal(load(NULL, NULL, NULL, NULL), 0);
    assert_int_equal(target.count, 5);
    assert_string_equal(target.data, "of file");
    unsetenv("JOBLOG_CONFIG");
    unsetenv("JOBLOG_TEST_COUNT");
    unsetenv("JOBLOG_MODE");
}

static void test_forms(void **state)
{
    /* --name value and --name=value are the same; a flag of yes or no stands alone; lists repeat. */
    assert_int_equal(load("--open", "--data", "x=y", "--drain-time=1h"), 0);
    assert_int_equal(target.open, 1);
    assert_string_equal(target.data, "x=y");
    assert_int_equal(target.time_us, 3600000000);
    assert_int_equal(load("--open=no", "--data=", "--test-bytes=1GiB", NULL), 0);
    assert_int_equal(target.open, 0);
    assert_string_equal(target.data, "");
    assert_int_equal(target.bytes, 1 << 30);
    assert_int_equal(load("--listen", ":1", "--listen=:2,:3", NULL), 0);
    assert_string_equal(target.listen[0], ":1");
    assert_string_equal(target.listen[1], ":2");
    assert_string_equal(target.listen[2], ":3");
    assert_null(target.listen[3]);
}

static void test_refused(void **state)
{
    /* What is not understood is refused with the place, the value and what is wanted. */
    refused("--nope", "1", "--nope");
    refused("stray", NULL, "stray");
    refused("-x", NULL, "-x");
    refused("--data", NULL, "--data: a value is missing");
    refused("--mode", "b", "--mode: \"b\": one of a|bb|c is wanted");
    refused("--test-count", "20", "--test-count: \"20\": a whole number from 1 to 19 is wanted");
    refused("--test-count", "3x", "3x");
    refused("--test-count", "", "whole number");
    refused("--test-count", "99999999999999999999", "whole number");
    refused("--test-bytes", "2GiB", "from 1KiB to 1GiB");
    refused("--test-bytes", "-1", "a size like");
    refused("--drain-time", "10 minutes", "a duration like");
    refused("--open=maybe", NULL, "true or false");
    refused("--open=", NULL, "true or false");
    refused("--config", "/nonexistent/x", "/nonexistent/x");
    setenv("JOBLOG_OPEN", "", 1); /* set, but to nothing: not a yes */
    refused(NULL, NULL, "JOBLOG_OPEN");
    unsetenv("JOBLOG_OPEN");
    write_file("data = x\nnope = 1\n");
    refused("--config", path, ":2: unknown option \"nope\"");
    write_file("\n\nmode = z\n");
    refused("--config", path, ":3: \"z\": one of");
    write_file("just words\n");
    refused("--config", path, ":1: `name = value`");
}

static void test_verbs(void **state)
{
    /* --help and --version are told to the caller, before anything is judged. */
    assert_int_equal(load("--help", "--nope", NULL, NULL), 0);
    assert_int_equal(verb, 'h');
    assert_int_equal(load("--open", "-V", NULL, NULL), 0);
    assert_int_equal(verb, 'v');
    assert_int_equal(load("--open", NULL, NULL, NULL), 0);
    assert_int_equal(verb, 0);
}

static void test_bytes(void **state)
{
    /* Sizes are powers of 1024 with or without iB. */
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},           {"65536", 65536},      {"64KiB", 65536},   {"64k", 65536},
                {"1M", 1 << 20},    {"2GiB", INT64_C(2) << 30}, {"1TiB", INT64_C(1) << 40},
                {"7B", 7}};
    static const char *const bad[] = {"", "x", "-1", "+1", " 1", "1.5K", "1KB", "1 K", "8388608T",
                                      "9223372036854775808", "K"};
    int64_t v;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(config_parse_bytes(good[i].text, &v), 0);
        assert_true(v == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (config_parse_bytes(bad[i], &v) != ERR_INVALID) fail_msg("taken: %s", bad[i]);
}

static void test_help(void **state)
{
    /* The help names every option with its default, within 80 columns; so does the man page. */
    char text[8000];
    FILE *f = tmpfile();
    config_print_help(f, table, COUNT);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    for (size_t i = 0; i < COUNT; i++) {
        char flag[40];
        snprintf(flag, sizeof flag, "  --%s", table[i].name);
        assert_non_null(strstr(text, flag));
    }
    assert_non_null(strstr(text, "First:\n"));
    assert_non_null(strstr(text, "\nSecond:\n"));
    assert_non_null(strstr(text, "[default 64KiB]"));
    assert_non_null(strstr(text, "One of a|bb|c"));
    for (char *line = text; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 81);
    f = tmpfile();
    config_print_man(f, table, COUNT);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    assert_non_null(strstr(text, ".SS Second\n"));
    assert_non_null(strstr(text, "\\-\\-drain\\-time"));
    assert_non_null(strstr(text, "JOBLOG_DRAIN_TIME"));
}

static int enter(void **state)
{
    int fd = mkstemp(path);
    if (fd >= 0) close(fd);
    return fd >= 0 ? 0 : -1;
}

static int leave(void **state)
{
    config_release(table, COUNT, &target);
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_forms),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_verbs),    cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}

/* tests/unit/clients/cli/args_test.c -- clients/cli/args.c */
#include "clients/cli/args.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct target {
    struct args_common common;
    int flag;
    const char *text, *choice, *way;
    struct args_list list;
    int64_t count, span, size;
};

static const struct args_option options[] = {
    {'f', "flag", ARGS_FLAG, offsetof(struct target, flag), NULL, "", NULL, 0, 0},
    {'t', "text", ARGS_TEXT, offsetof(struct target, text), "T", "", NULL, 0, 0},
    {0, "choice", ARGS_TEXT, offsetof(struct target, choice), "C", "", "one|two", 0, 0},
    {'l', "list", ARGS_LIST, offsetof(struct target, list), "L", "", NULL, 0, 0},
    {'n', "count", ARGS_COUNT, offsetof(struct target, count), "N", "", NULL, 1, 10},
    {0, "span", ARGS_DURATION, offsetof(struct target, span), "D", "", NULL, 0, 0},
    {'w', "way", ARGS_OPTIONAL, offsetof(struct target, way), "W", "", "this|that", 0, 0},
    {0, "size", ARGS_BYTES, offsetof(struct target, size), "S", "", NULL, 0, 0},
};

static struct args_command command = {.name = "c",
                                      .usage = "c",
                                      .options = options,
                                      .option_count = sizeof options / sizeof *options,
                                      .operands_min = 0,
                                      .operands_max = 3};
static char why[256], **operands;
static unsigned operand_count;

static int parse(struct target *t, const char *const *words)
{
    static char *argv[32];
    int argc = 0;

    memset(t, 0, sizeof *t);
    argv[argc++] = (char *)"c";
    for (; *words; words++)
        argv[argc++] = (char *)*words;
    argv[argc] = NULL;
    return args_parse(&command, argc, argv, t, &operands, &operand_count, why, sizeof why);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void every_spelling_is_understood(void **state)
{
    /* Short and long, joined and apart, clustered, operands in between, -- ends them. */
    struct target t;

    assert_int_equal(parse(&t, WORDS("a", "-fn5", "--text=x=y", "b", "-l", "1", "-l2", "--span",
                                     "1m", "--size", "2KiB", "--", "-f")),
                     0);
    assert_true(t.flag && t.count == 5 && !strcmp(t.text, "x=y") && t.list.count == 2 &&
                !strcmp(t.list.items[1], "2"));
    assert_true(t.span == 60000000 && t.size == 2048);
    assert_int_equal(operand_count, 3);
    assert_string_equal(operands[2], "-f");
    assert_int_equal(parse(&t, WORDS("-", "--url", "u")), 0);
    assert_string_equal(operands[0], "-");
    assert_string_equal(t.common.url, "u");
    assert_int_equal(parse(&t, WORDS("-f", "--help")), ARGS_HELP);
    assert_true(!parse(&t, WORDS("--way", "a")) && !strcmp(t.way, "this") && operand_count == 1);
    assert_true(!parse(&t, WORDS("-wf")) && !strcmp(t.way, "this") && t.flag);
    assert_true(!parse(&t, WORDS("--way=that")) && !strcmp(t.way, "that"));
}

static void mistakes_are_named(void **state)
{
    /* What is wrong is refused with a sentence that names it. */
    struct target t;
    const struct {
        const char *words[3], *said;
    } bad[] = {{{"--nope", NULL}, "--nope"},
               {{"-z", NULL}, "-z"},
               {{"-n", "11", NULL}, "11"},
               {{"-n", "x", NULL}, "x"},
               {{"--text", NULL}, "--text"},
               {{"--flag=1", NULL}, "--flag"},
               {{"--choice", "three", NULL}, "one|two"},
               {{"--way=other", NULL}, "other"},
               {{"--span", "soon", NULL}, "soon"},
               {{"--size", "big", NULL}, "big"}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(&t, bad[i].words), ERR_INVALID);
        if (!strstr(why, bad[i].said))
            fail_msg("%s: %s", bad[i].words[0], why);
    }
    assert_int_equal(parse(&t, WORDS("1", "2", "3", "4")), ERR_INVALID);
}

static void a_wrapped_command_keeps_its_options(void **state)
{
    /* After the first operand of a wrapping command nothing is ours. */
    struct target t;

    command.wraps = 1;
    assert_int_equal(parse(&t, WORDS("-f", "cmd", "-n", "--")), 0);
    assert_true(t.flag && !t.count && operand_count == 3 && !strcmp(operands[2], "--"));
    assert_int_equal(parse(&t, WORDS("--", "-x")), 0);
    assert_string_equal(operands[0], "-x");
    command.wraps = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_is_understood),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_wrapped_command_keeps_its_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

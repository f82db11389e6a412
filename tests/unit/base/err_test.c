/*
 * tests/unit/base/err_test.c -- the table of errors, and the last words of CHECK.
 */
#include "base/check.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_table(void **state)
{
    /* Every number and every wire code belongs to one error, and -1 to none. */
    static const struct {
        int number;
        const char *name, *code;
    } rows[] = {
#define X(name, number, code, text) {number, #name, code},
        ERR_TABLE(X)
#undef X
    };
    size_t count = sizeof rows / sizeof *rows;
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(err_name(rows[i].number), rows[i].name);
        assert_string_equal(err_code(rows[i].number), rows[i].code);
        assert_true(*err_text(rows[i].number));
        assert_true(rows[i].number < -1000);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(rows[i].number, rows[k].number);
            assert_string_not_equal(rows[i].code, rows[k].code);
        }
    }
    assert_string_equal(err_name(-1), "ERR_?");
    assert_string_equal(err_name(0), "ERR_?");
    assert_string_equal(err_code(-1), "internal");
}

/* What a child that fails a CHECK writes; it must die of SIGABRT. */
static void last_words(int how, char *out, size_t size)
{
    int fds[2], status;
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char big[3000];
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        memset(big, 'x', sizeof big - 1);
        big[sizeof big - 1] = '\0';
        if (how == 0) CHECK(how == 7);
        if (how == 1) CHECKF(how == 7, "seq=%d", 42);
        CHECKF(how == 7, "%s", big);
        _exit(0);
    }
    close(fds[1]);
    ssize_t n, len = 0;
    while ((n = read(fds[0], out + len, size - 1 - (size_t)len)) > 0) len += n;
    out[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void test_check(void **state)
{
    /* A failed CHECK says where, what and with which values, in one line, and aborts. */
    char out[4000];
    last_words(0, out, sizeof out);
    assert_non_null(strstr(out, "err_test.c:"));
    assert_non_null(strstr(out, "CHECK(how == 7) failed\n"));
    last_words(1, out, sizeof out);
    assert_non_null(strstr(out, "CHECK(how == 7) failed: seq=42\n"));
    last_words(2, out, sizeof out);
    assert_non_null(strstr(out, "failed: xxxx"));
    assert_int_equal(out[strlen(out) - 1], '\n');
    assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

static void test_must(void **state)
{
    /* Copies are whole and NUL-terminated. */
    char *a = must_strdup("abc"), *b = must_strndup("abcdef", 2), *c = must_strndup("ab", 9);
    unsigned char *zero = must_calloc(3, 5);
    assert_string_equal(a, "abc");
    assert_string_equal(b, "ab");
    assert_string_equal(c, "ab");
    for (int i = 0; i < 15; i++) assert_int_equal(zero[i], 0);
    a = must_realloc(a, 100);
    assert_string_equal(a, "abc");
    free(a);
    free(b);
    free(c);
    free(zero);
    free(must_malloc(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

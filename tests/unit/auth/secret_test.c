/*
 * tests/unit/auth/secret_test.c -- what tokens and tickets look like.
 */
#include "auth/secret.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

static int check(const char *text)
{
    return secret_check(SECRET_TOKEN, text, strlen(text));
}

static void test_shape(void **state)
{
    /* A token is jlt_ and 49 letters and digits, never the same twice; a ticket is no token. */
    char made[200][SECRET_BYTES + 1], ticket[SECRET_BYTES + 1];
    for (int i = 0; i < 200; i++) {
        secret_make(SECRET_TOKEN, made[i]);
        assert_int_equal(strlen(made[i]), SECRET_BYTES);
        assert_memory_equal(made[i], "jlt_", 4);
        assert_int_equal(strspn(made[i] + 4, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"), 49);
        assert_int_equal(check(made[i]), 0);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(made[i], made[k]);
    }
    secret_make(SECRET_TICKET, ticket);
    assert_int_equal(secret_check(SECRET_TICKET, ticket, SECRET_BYTES), 0);
    assert_int_equal(check(ticket), ERR_INVALID);
}

static void test_bits(void **state)
{
    /* All 256 bits count: over many tokens, every place of the random part takes most digits. */
    unsigned char seen[43][128] = {{0}};
    char text[SECRET_BYTES + 1];
    for (int i = 0; i < 3000; i++) {
        secret_make(SECRET_TOKEN, text);
        for (int k = 0; k < 43; k++)
            seen[k][(unsigned char)text[4 + k]] = 1;
    }
    for (int k = 0; k < 43; k++) {
        int kinds = 0;
        for (int c = 0; c < 128; c++)
            kinds += seen[k][c];
        assert_true(k == 0 ? kinds >= 55 : kinds >= 60); /* 2^256 / 62^42: the first takes most of 61 */
    }
}

static void test_typos(void **state)
{
    /* One wrong character anywhere, two that changed places, a cut and a doubled one are all noticed. */
    char text[SECRET_BYTES + 3], was[SECRET_BYTES + 3] = {0};
    secret_make(SECRET_TOKEN, was);
    for (size_t i = 4; i < SECRET_BYTES; i++) {
        memcpy(text, was, sizeof text);
        text[i] = text[i] == 'x' ? 'y' : 'x';
        assert_int_equal(check(text), ERR_CORRUPT);
        memcpy(text, was, sizeof text);
        if (i + 1 < SECRET_BYTES && text[i] != text[i + 1]) {
            char c = text[i];
            text[i] = text[i + 1];
            text[i + 1] = c;
            assert_int_equal(check(text), ERR_CORRUPT);
        }
        text[i] = ' ';
        assert_int_equal(check(text), ERR_INVALID);
    }
    for (size_t len = 0; len < SECRET_BYTES; len++)
        assert_int_equal(secret_check(SECRET_TOKEN, was, len), ERR_INVALID);
    memcpy(text, was, sizeof text);
    strcat(text, "0");
    assert_int_equal(check(text), ERR_INVALID);
    memcpy(text, was, sizeof text);
    text[10] = '\0';
    assert_int_equal(secret_check(SECRET_TOKEN, text, SECRET_BYTES), ERR_INVALID);
}

static void test_known(void **state)
{
    /* The format is fixed: a token written by the first version is good for ever. */
    assert_int_equal(check("jlt_Q6XxQmYHh4225DqXudbseJMvvLnmVbl2nmME8x7FHUI2nYP7J"), 0);
    assert_int_equal(check("jlt_Q6XxQmYHh4225DqXudbseJMvvLnmVbl2nmME8x7FHUI2nYP7K"), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_typos),
        cmocka_unit_test(test_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

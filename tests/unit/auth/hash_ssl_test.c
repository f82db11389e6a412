/*
 * tests/unit/auth/hash_ssl_test.c -- hashes, as the world writes them.
 */
#include "auth/hash.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

static void test_sha256(void **state)
{
    /* SHA-256 of "abc" is that of FIPS 180-2, appendix B.1, and is written in lower-case hex. */
    unsigned char hash[HASH_BYTES], back[HASH_BYTES];
    char hex[HASH_HEX_BYTES + 1];
    hash_sha256("abc", 3, hash);
    assert_string_equal(hash_hex(hash, hex), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(hash_parse(hex, back), 0);
    assert_true(hash_equal(hash, back));
    back[31] ^= 1;
    assert_false(hash_equal(hash, back));
}

static void test_parse_refuses(void **state)
{
    /* Nothing but 64 lower-case digits is a hash. */
    unsigned char out[HASH_BYTES];
    char hex[HASH_HEX_BYTES + 2];
    memset(hex, 'a', sizeof hex);
    hex[HASH_HEX_BYTES] = '\0';
    assert_int_equal(hash_parse(hex, out), 0);
    for (size_t i = 0; i < HASH_HEX_BYTES; i += 7) {
        for (const char *bad = "gA /:`\xff"; *bad; bad++) {
            hex[i] = *bad;
            assert_int_equal(hash_parse(hex, out), ERR_INVALID);
        }
        hex[i] = 'a';
    }
    hex[HASH_HEX_BYTES - 1] = '\0';
    assert_int_equal(hash_parse(hex, out), ERR_INVALID);
    memset(hex, 'a', HASH_HEX_BYTES + 1);
    hex[HASH_HEX_BYTES + 1] = '\0';
    assert_int_equal(hash_parse(hex, out), ERR_INVALID);
}

static void test_wipe(void **state)
{
    /* A wiped secret is gone. */
    char secret[] = "hunter2";
    hash_wipe(secret, sizeof secret);
    for (size_t i = 0; i < sizeof secret; i++)
        assert_int_equal(secret[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_wipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/alert/address_test.c -- only public addresses, in whatever dress, unless allowed by name. */
#include "alert/address.h"
#include "base/err.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static int may(const char *text, const struct address_list *allowed)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&s;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&s;
    char out[ADDRESS_TEXT_BYTES];

    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        s.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        s.ss_family = AF_INET6;
    }
    assert_string_equal(address_text((struct sockaddr *)&s, out), text);
    return address_may((struct sockaddr *)&s, allowed);
}

/* Every range that is not public is refused, at its edges and inside of IPv6. */
static void test_refused(void **state)
{
    static const char *const no[] = {"0.0.0.0",
                                     "0.255.255.255",
                                     "10.0.0.1",
                                     "10.255.255.255",
                                     "100.64.0.0",
                                     "100.127.255.255",
                                     "127.0.0.1",
                                     "127.255.255.255",
                                     "169.254.169.254",
                                     "172.16.0.0",
                                     "172.31.255.255",
                                     "192.0.0.8",
                                     "192.0.2.1",
                                     "192.168.0.1",
                                     "198.18.0.1",
                                     "198.19.255.255",
                                     "198.51.100.9",
                                     "203.0.113.1",
                                     "224.0.0.1",
                                     "239.1.1.1",
                                     "240.0.0.1",
                                     "255.255.255.255",
                                     "::",
                                     "::1",
                                     "::ffff:127.0.0.1",
                                     "::ffff:10.0.0.1",
                                     "::127.0.0.1",
                                     "64:ff9b::7f00:1",
                                     "64:ff9b:1::1",
                                     "2002:7f00:1::",
                                     "2002:a00:1::1",
                                     "2001::1",
                                     "2001:db8::1",
                                     "fc00::1",
                                     "fdff::1",
                                     "fe80::1",
                                     "fec0::1",
                                     "ff02::1",
                                     "100::1"};
    static const char *const yes[] = {
        "1.1.1.1",      "9.255.255.255",  "11.0.0.0",         "100.63.255.255",  "100.128.0.0",
        "126.0.0.1",    "128.0.0.1",      "172.15.255.255",   "172.32.0.0",      "192.167.0.1",
        "192.169.0.1",  "198.17.0.1",     "198.20.0.1",       "223.255.255.255", "2606:4700::1111",
        "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "2001:200::1"};
    struct sockaddr_un u = {.sun_family = AF_UNIX};

    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (may(no[i], NULL))
            fail_msg("%s may be connected to", no[i]);
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!may(yes[i], NULL))
            fail_msg("%s may not be connected to", yes[i]);
    assert_int_equal(address_may((struct sockaddr *)&u, NULL), 0);
}

/* What is allowed by name is let through, its neighbours are not; an allowed IPv4 net holds in IPv6 dress too. */
static void test_allowed(void **state)
{
    struct address_list l = {0};

    assert_int_equal(address_allow(&l, "10.1.0.0/16"), 0);
    assert_int_equal(address_allow(&l, "fd00:1::/32"), 0);
    assert_int_equal(address_allow(&l, "127.0.0.1"), 0);
    assert_true(may("10.1.255.255", &l) && may("::ffff:10.1.0.7", &l) && may("fd00:1::9", &l) &&
                may("127.0.0.1", &l));
    assert_false(may("10.0.255.255", &l) || may("10.2.0.0", &l) || may("fd00:2::9", &l) ||
                 may("127.0.0.2", &l) || may("::1", &l));
    assert_int_equal(address_allow(&l, "0.0.0.0/0"), 0);
    assert_true(may("192.168.1.1", &l));
    assert_false(may("::1", &l));
}

/* Nonsense is refused: no address, a prefix too long, bits behind the prefix. */
static void test_nonsense(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "::1/129",
        "fd00::1/8",
        "10.0.0/8",
        "10.0.0.0/8x",
        "10.0.0.0/-1",
        "localhost",
        "1111111111111111111111111111111111111111111111111111111111111111111"};
    struct address_list l = {0};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (address_allow(&l, bad[i]) != ERR_INVALID)
            fail_msg("'%s' was taken", bad[i]);
    for (int i = 0; i < ADDRESS_NETS_MAX; i++)
        assert_int_equal(address_allow(&l, "10.0.0.1"), 0);
    assert_int_equal(address_allow(&l, "10.0.0.1"), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_allowed),
                                       cmocka_unit_test(test_nonsense)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * alert/address.c -- addresses against ranges, all of them as IPv6.
 */
#include "alert/address.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* What nobody outside can mean. */
static const char *const refused[] = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
    "::/96",         "64:ff9b:1::/48",  "100::/64",       "2001::/23",      "2001:db8::/32",
    "3fff::/20",     "5f00::/16",       "fc00::/7",       "fe80::/10",      "fec0::/10",
    "ff00::/8",
};

static int read_net(const char *text, struct address_net *ret)
{
    const char *slash = strchr(text, '/');
    char host[ADDRESS_TEXT_BYTES], *end;
    struct in_addr v4;
    unsigned long bits = 128;
    int is_v4;

    if (strlen(text) >= sizeof host)
        return ERR_INVALID;
    snprintf(host, sizeof host, "%.*s", slash ? (int)(slash - text) : (int)strlen(text), text);
    is_v4 = inet_pton(AF_INET, host, &v4) == 1;
    if (is_v4) {
        memcpy(ret->bytes, mapped, sizeof mapped);
        memcpy(ret->bytes + sizeof mapped, &v4, sizeof v4);
    } else if (inet_pton(AF_INET6, host, ret->bytes) != 1) {
        return ERR_INVALID;
    }
    if (slash) {
        bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || bits > (is_v4 ? 32 : 128))
            return ERR_INVALID;
        bits += is_v4 ? 96 : 0;
    }
    ret->bits = (unsigned)bits;
    return 0;
}

static int holds(const struct address_net *n, const unsigned char a[16])
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;

    return memcmp(n->bytes, a, whole) == 0 &&
           (rest == 0 || (n->bytes[whole] ^ a[whole]) >> (8 - rest) == 0);
}

static int has_bits_behind(const struct address_net *n)
{
    for (unsigned i = n->bits; i < 128; i++)
        if (n->bytes[i / 8] & 0x80 >> i % 8)
            return 1;
    return 0;
}

int address_allow(struct address_list *l, const char *text)
{
    struct address_net n;

    if (read_net(text, &n) < 0 || has_bits_behind(&n))
        return ERR_INVALID;
    if (l->count == ADDRESS_NETS_MAX)
        return ERR_LIMIT;
    l->nets[l->count++] = n;
    return 0;
}

/* The 16 bytes of it. ERR_UNSUPPORTED: neither family. */
static int bytes_of(const struct sockaddr *a, unsigned char out[16])
{
    if (a->sa_family == AF_INET) {
        memcpy(out, mapped, sizeof mapped);
        memcpy(out + sizeof mapped, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
    } else if (a->sa_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, 16);
    } else {
        return ERR_UNSUPPORTED;
    }
    return 0;
}

/* The IPv4 address that an IPv6 one leads to: NAT64 (RFC 6052) and 6to4 (RFC 3056). 1: there is one. */
static int inner(const unsigned char a[16], unsigned char out[16])
{
    static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};
    const unsigned char *v4 = memcmp(a, nat64, sizeof nat64) == 0 ? a + 12
                              : a[0] == 0x20 && a[1] == 0x02      ? a + 2
                                                                  : NULL;

    if (!v4)
        return 0;
    memcpy(out, mapped, sizeof mapped);
    memcpy(out + sizeof mapped, v4, 4);
    return 1;
}

static int is_refused(const unsigned char a[16])
{
    struct address_net n;
    unsigned char v4[16];

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (read_net(refused[i], &n) == 0 && holds(&n, a))
            return 1;
    return inner(a, v4) && is_refused(v4);
}

int address_may(const struct sockaddr *a, const struct address_list *allowed)
{
    unsigned char bytes[16];

    if (bytes_of(a, bytes) < 0)
        return 0;
    for (unsigned i = 0; allowed && i < allowed->count; i++)
        if (holds(&allowed->nets[i], bytes))
            return 1;
    return !is_refused(bytes);
}

const char *address_text(const struct sockaddr *a, char out[ADDRESS_TEXT_BYTES])
{
    const void *at = a->sa_family == AF_INET
                         ? (const void *)&((const struct sockaddr_in *)(const void *)a)->sin_addr
                         : (const void *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;

    if ((a->sa_family != AF_INET && a->sa_family != AF_INET6) ||
        !inet_ntop(a->sa_family, at, out, ADDRESS_TEXT_BYTES))
        snprintf(out, ADDRESS_TEXT_BYTES, "an address of family %d", a->sa_family);
    return out;
}

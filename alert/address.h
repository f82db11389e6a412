/*
 * alert/address.h -- which addresses alerts may be sent to: public ones, and those that are allowed by name.
 *
 * A receiver's URL comes from whoever may write receivers; what it leads to is known when its name has been looked up. So
 * each address is checked at the moment it is connected to. Refused are loopback, private, link-local, shared (100.64/10),
 * multicast, documentation and reserved ranges of both families, also inside of IPv6 (mapped, NAT64, 6to4), by
 * IANA's registries of special-purpose addresses (RFC 6890); anything but IPv4 and IPv6 too.
 * Threads    Read by any number.
 */
#ifndef ALERT_ADDRESS_H
#define ALERT_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_BYTES 64
#define ADDRESS_NETS_MAX 64

struct address_net {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;           /* of the 128 */
};
struct address_list {
    struct address_net nets[ADDRESS_NETS_MAX];
    unsigned count;
};

/* "10.0.0.0/8", "fd00::/8", "127.0.0.1", one more. ERR_INVALID: it is none, or has bits behind its prefix; ERR_LIMIT. */
int address_allow(struct address_list *l, const char *text);
/* May it be connected to? allowed goes before what is refused. NULL: none is allowed by name. */
int address_may(const struct sockaddr *a, const struct address_list *allowed);
/* For people: "10.1.2.3". Returns out. */
const char *address_text(const struct sockaddr *a, char out[ADDRESS_TEXT_BYTES]);

#endif

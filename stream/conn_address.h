/*
 * stream/conn_address.h -- where a Redis is: a URL taken apart (conn_address.c).
 */
#ifndef STREAM_CONN_ADDRESS_H
#define STREAM_CONN_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

#define CONN_SECRET_BYTES 256
struct conn_address {
    int is_unix;
    char path[108]; /* unix */
    char host[256];
    int port;
    char user[CONN_SECRET_BYTES], pass[CONN_SECRET_BYTES];
    int db;
};
int conn_address_parse(const char *url, struct conn_address *ret, char *why, size_t why_size);

#endif

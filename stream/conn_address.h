/*
 * stream/conn_address.h -- where a Redis is: a URL taken apart (conn_address.c).
 *
 *     redis://[user:pass@]host[:6379][/db]
 *     unix:///path
 *     redis+sentinel://[user:pass@]host[:26379][,host[:26379]…]/name[/db][?sentinel_username=…&sentinel_password=…]
 *
 * user and pass are those of Redis itself, as everywhere; the sentinels are asked without a password unless they have
 * their own. The grammar is the one of Prefect, LangChain, RedisVL and redis-sentinel-url. Secrets may be percent-encoded.
 */
#ifndef STREAM_CONN_ADDRESS_H
#define STREAM_CONN_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#define CONN_URL_BYTES_MAX 4096
#define CONN_SENTINELS_MAX 16
#define CONN_HOST_BYTES 256
#define CONN_MASTER_BYTES 128
#define CONN_SECRET_BYTES 256

struct conn_endpoint {
    char host[CONN_HOST_BYTES];
    int port;
};
struct conn_address {
    int is_unix;
    char path[108];          /* unix */
    struct conn_endpoint at; /* with sentinels: empty, they tell it */
    char user[CONN_SECRET_BYTES], pass[CONN_SECRET_BYTES];
    int db;
    struct conn_endpoint sentinels[CONN_SENTINELS_MAX];
    uint32_t sentinel_count;        /* 0: none are asked */
    char master[CONN_MASTER_BYTES]; /* the name they know the master by */
    char sentinel_user[CONN_SECRET_BYTES], sentinel_pass[CONN_SECRET_BYTES];
};
/* ERR_INVALID: why says what is wrong, and where. No secret is ever in it. */
int conn_address_parse(const char *url, struct conn_address *ret, char *why, size_t why_size);

#endif

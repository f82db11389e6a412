/*
 * http/tls.h -- TLS of the hall: a certificate that can be exchanged, and sessions that do no I/O.
 *
 * A session is bytes in, bytes out: the connection (conn_lws.c) gives it what came from the peer, and gets the
 * decrypted bytes and what is to be sent through two callbacks. So nothing else in the room knows that a
 * connection is encrypted, and libwebsockets does not either: it moves bytes.
 *
 * Promises   TLS 1.2 and 1.3 only; no renegotiation, compression or early data; ALPN http/1.1. After a
 *            reload new connections get the new certificate, those that are open keep theirs; files that
 *            cannot be used change nothing.
 * Limits     The handshake has the deadline of the request's head (http_limits.header_us).
 * Memory     An idle session holds no record buffers: about 10 KB.
 * Threads    The loop thread.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include <stddef.h>
#include <stdint.h>

struct tls_server;
struct tls;

struct tls_options {
    const char *cert_file;      /* PEM: the certificate, then those between it and the root */
    const char *key_file;       /* PEM */
    const char *client_ca_file; /* PEM; NULL or "": clients need no certificate */
};
/* Strings are copied. ERR_INVALID, ERR_IO with one sentence in why. */
int tls_server_open(const struct tls_options *o, char *why, size_t why_size, struct tls_server **ret_server);
int tls_server_reload(struct tls_server *s, char *why, size_t why_size);
void tls_server_close(struct tls_server **s); /* open sessions live on */
/* When the certificate ends, seconds since 1970. */
int64_t tls_server_not_after(const struct tls_server *s);

/* Called from inside tls_input, tls_output and tls_goodbye only. */
struct tls_ops {
    void (*plain)(void *user, const char *data, size_t len);  /* from the peer */
    void (*cipher)(void *user, const char *data, size_t len); /* to the peer */
};
/* NULL: memory is exhausted. */
struct tls *tls_new(struct tls_server *s, const struct tls_ops *ops, void *user);
void tls_free(struct tls **t);
/* Does it begin like TLS? The first byte of a connection tells. */
int tls_is_hello(unsigned char first);
/* Bytes from the peer, all taken. 0; ERR_CLOSED: the peer has said goodbye, nothing more will come; ERR_PROTOCOL: the
 * session is broken, an alert may have been sent. After an error only tls_free(). */
int tls_input(struct tls *t, const void *data, size_t len);
int tls_is_established(const struct tls *t);
/* ERR_PROTOCOL: it is broken. */
int tls_output(struct tls *t, const void *data, size_t len);
/* Our goodbye (close_notify), once. */
void tls_goodbye(struct tls *t);

#endif

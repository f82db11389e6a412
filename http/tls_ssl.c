/*
 * http/tls_ssl.c -- the door to OpenSSL's TLS.
 *
 * A session's BIO is ours: reading it takes from the bytes that tls_input() was given, writing it adds to the
 * server's buffer, which goes to the connection when the call into OpenSSL has returned. OpenSSL takes all it is
 * given (a part of a record stays in its own buffer, freed when empty), so nothing is left over.
 */
#include "http/tls.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PLAIN_BYTES 16384            /* of one record */
#define OUT_KEEP_BYTES (128 * 1024)  /* of the buffer that gathers what is to be sent */

struct tls_server {
    char *cert_file, *key_file, *client_ca_file;
    SSL_CTX *ctx;
    int64_t not_after_s;
};

struct tls {
    SSL *ssl;
    const struct tls_ops *ops;
    void *user;
    const unsigned char *in; /* of tls_input(), not taken yet */
    size_t in_len;
    int said_goodbye, is_broken;
};

/* What one call into OpenSSL wrote: calls do not nest. */
static struct buf out;
static BIO_METHOD *method;

/* ---- the BIO ---- */

static int bio_read(BIO *b, char *data, int len)
{
    struct tls *t = BIO_get_data(b);
    size_t n = t->in_len < (size_t)len ? t->in_len : (size_t)len;

    BIO_clear_retry_flags(b);
    if (n == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(data, t->in, n);
    t->in += n;
    t->in_len -= n;
    return (int)n;
}

static int bio_write(BIO *b, const char *data, int len)
{
    BIO_clear_retry_flags(b);
    return buf_add(&out, data, (size_t)len) == 0 ? len : -1;
}

static long bio_ctrl(BIO *b, int cmd, long number, void *pointer)
{
    return cmd == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

static BIO *bio_new(struct tls *t)
{
    BIO *b;

    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "joblog connection");
        CHECK(method && BIO_meth_set_read(method, bio_read) && BIO_meth_set_write(method, bio_write) &&
              BIO_meth_set_ctrl(method, bio_ctrl) && BIO_meth_set_create(method, bio_create));
    }
    b = BIO_new(method);
    if (b)
        BIO_set_data(b, t);
    return b;
}

/* ---- the certificate ---- */

static int say_ssl(char *why, size_t why_size, const char *what, const char *file)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    snprintf(why, why_size, "%s %s: %s", what, file, reason ? reason : "it cannot be used");
    ERR_clear_error();
    return ERR_INVALID;
}

/* http/1.1 is all there is; who offers only others is told so (RFC 7301, 3.2). */
static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *offered,
                           unsigned offered_len, void *user)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, ret_len, ours, sizeof ours - 1, offered, offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A key with a passphrase is refused, not asked for on somebody's terminal. */
static int no_passphrase(char *text, int size, int writing, void *user)
{
    return -1;
}

static int require_clients(SSL_CTX *ctx, const char *file, char *why, size_t why_size)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);

    if (!names)
        return say_ssl(why, why_size, "the clients' CA", file);
    SSL_CTX_set_client_CA_list(ctx, names);
    if (SSL_CTX_load_verify_locations(ctx, file, NULL) != 1)
        return say_ssl(why, why_size, "the clients' CA", file);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return 0;
}

static int configure(SSL_CTX *ctx, const struct tls_server *s, char *why, size_t why_size)
{
    static const unsigned char session_context[] = "joblog";

    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only: nothing is kept here */
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, s->cert_file) != 1)
        return say_ssl(why, why_size, "the certificate", s->cert_file);
    if (SSL_CTX_use_PrivateKey_file(ctx, s->key_file, SSL_FILETYPE_PEM) != 1)
        return say_ssl(why, why_size, "the key", s->key_file);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return say_ssl(why, why_size, "the key does not belong to the certificate:", s->key_file);
    return s->client_ca_file ? require_clients(ctx, s->client_ca_file, why, why_size) : 0;
}

static int64_t not_after(const SSL_CTX *ctx)
{
    struct tm tm;
    const X509 *cert = SSL_CTX_get0_certificate(ctx);

    return cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int tls_server_reload(struct tls_server *s, char *why, size_t why_size)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int err = ctx ? configure(ctx, s, why, why_size) : ERR_NOMEM;

    if (err < 0) {
        if (!ctx)
            snprintf(why, why_size, "%s", err_text(err));
        SSL_CTX_free(ctx);
        return err;
    }
    SSL_CTX_free(s->ctx); /* sessions hold their own reference */
    s->ctx = ctx;
    s->not_after_s = not_after(ctx);
    return 0;
}

int tls_server_open(const struct tls_options *o, char *why, size_t why_size, struct tls_server **ret_server)
{
    struct tls_server *s = must_calloc(1, sizeof *s);
    int err;

    s->cert_file = must_strdup(o->cert_file);
    s->key_file = must_strdup(o->key_file);
    s->client_ca_file = o->client_ca_file && *o->client_ca_file ? must_strdup(o->client_ca_file) : NULL;
    err = tls_server_reload(s, why, why_size);
    if (err < 0) {
        tls_server_close(&s);
        return err;
    }
    *ret_server = s;
    return 0;
}

void tls_server_close(struct tls_server **sp)
{
    struct tls_server *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    SSL_CTX_free(s->ctx);
    free(s->cert_file);
    free(s->key_file);
    free(s->client_ca_file);
    free(s);
    buf_release(&out);
}

int64_t tls_server_not_after(const struct tls_server *s)
{
    return s->not_after_s;
}

/* ---- sessions ---- */

struct tls *tls_new(struct tls_server *s, const struct tls_ops *ops, void *user)
{
    struct tls *t = must_calloc(1, sizeof *t);
    BIO *b;

    t->ops = ops;
    t->user = user;
    t->ssl = SSL_new(s->ctx);
    b = t->ssl ? bio_new(t) : NULL;
    if (!b) {
        ERR_clear_error();
        tls_free(&t);
        return NULL;
    }
    SSL_set_bio(t->ssl, b, b);
    SSL_set_accept_state(t->ssl);
    return t;
}

void tls_free(struct tls **tp)
{
    struct tls *t = *tp;

    *tp = NULL;
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

int tls_is_hello(unsigned char first)
{
    return first == 0x16; /* RFC 8446, 5.1: handshake */
}

int tls_is_established(const struct tls *t)
{
    return SSL_is_init_finished(t->ssl);
}

/* What OpenSSL wants sent goes to the connection. */
static void send_out(struct tls *t)
{
    struct buf now = out;

    if (!now.len)
        return;
    out = (struct buf)BUF_INIT; /* whoever is called may come back */
    t->ops->cipher(t->user, now.data, now.len);
    if (out.data || now.cap > OUT_KEEP_BYTES) {
        buf_release(&now);
    } else {
        buf_clear(&now);
        out = now;
    }
}

/* The error of a call that returned r. 0: it only wants more bytes. */
static int judge(struct tls *t, int r)
{
    int code = SSL_get_error(t->ssl, r);

    ERR_clear_error();
    if (code == SSL_ERROR_WANT_READ)
        return 0;
    if (code == SSL_ERROR_ZERO_RETURN)
        return ERR_CLOSED;
    t->is_broken = 1;
    return ERR_PROTOCOL;
}

int tls_input(struct tls *t, const void *data, size_t len)
{
    char plain[PLAIN_BYTES];
    int err = 0, r;

    if (t->is_broken)
        return ERR_PROTOCOL;
    t->in = data;
    t->in_len = len;
    do {
        r = SSL_read(t->ssl, plain, sizeof plain);
        if (r <= 0)
            err = judge(t, r);
        send_out(t);
        if (r > 0)
            t->ops->plain(t->user, plain, (size_t)r);
    } while (r > 0 && !t->is_broken);
    t->in = NULL;
    t->in_len = 0;
    return t->is_broken ? ERR_PROTOCOL : err;
}

int tls_output(struct tls *t, const void *data, size_t len)
{
    int err = 0;

    if (t->is_broken || t->said_goodbye)
        return ERR_PROTOCOL;
    if (len) {
        int r = SSL_write(t->ssl, data, (int)len);

        if (r <= 0) { /* the BIO takes everything: only a broken session, or one not established, gets here */
            ERR_clear_error();
            t->is_broken = 1;
            err = ERR_PROTOCOL;
        }
    }
    send_out(t);
    return err;
}

void tls_goodbye(struct tls *t)
{
    if (t->is_broken || t->said_goodbye)
        return;
    t->said_goodbye = 1;
    if (SSL_is_init_finished(t->ssl))
        SSL_shutdown(t->ssl);
    ERR_clear_error();
    send_out(t);
}

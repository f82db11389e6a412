/*
 * tests/unit/http/tls_test.c -- the hall over TLS: its own tests again, and what only TLS can do wrong.
 */
#include "tests/unit/http/client.h"

#include <libgen.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#ifdef __SANITIZE_ADDRESS__ /* it keeps freed memory, and fills sockets slowly: sizes and ticks say nothing */
#define IS_SLOW 1
#else
#define IS_SLOW 0
#endif

static char dir[64];

/* A key and a certificate of its own making, into dir. days < 0: it has ended. */
static void make_certificate(const char *cert_name, const char *key_name, long days, int serial)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    char path[128];
    FILE *f;
    assert_non_null(key);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -864000);
    X509_gmtime_adj(X509_getm_notAfter(cert), days * 86400);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    snprintf(path, sizeof path, "%s/%s", dir, cert_name);
    f = fopen(path, "w");
    assert_int_equal(PEM_write_X509(f, cert), 1);
    fclose(f);
    snprintf(path, sizeof path, "%s/%s", dir, key_name);
    f = fopen(path, "w");
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* Run one test of another program of this folder with HALL_TLS set. */
static int run_over_tls(const char *program, const char *only)
{
    char path[4096], self[4096] = {0};
    int status = -1;
    pid_t pid;
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    snprintf(path, sizeof path, "%.4000s/%s", dirname(self), program);
    if (access(path, X_OK) != 0) {
        print_message("skipped: %s is not built\n", path);
        return 0;
    }
    pid = fork();
    if (pid == 0) {
        for (int i = 1; i < 32; i++) signal(i, SIG_DFL);
        signal(SIGPIPE, SIG_IGN); /* as joblogd has it: a client of the test outlives a server that has gone */
        setenv("HALL_TLS", dir, 1);
        setenv("HALL_ONLY", only, 1);
        if (strcmp(only, "test_slow_head_and_body") != 0) setenv("HALL_PATIENT", "1", 1); /* handshakes take a while */
        unsetenv("CMOCKA_MESSAGE_OUTPUT");
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void test_http_over_tls(void **state)
{
    /* Whatever holds of HTTP on a plain connection holds under TLS: order, limits, deadlines, backlog, half-closed ends. */
    static const char *const names[] = {"test_pipelined",     "test_many_pipelined",       "test_byte_by_byte", "test_http_1_0",
                                        "test_limits",        "test_early_refusal",        "test_large_bodies",
                                        "test_answer_during_upload", "test_slow_head_and_body"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        print_message("%s\n", names[i]);
        assert_int_equal(run_over_tls("server_test", names[i]), 0);
    }
    if (!IS_SLOW) assert_int_equal(run_over_tls("server_test", "test_slow_reader"), 0);
}

static void test_websockets_over_tls(void **state)
{
    /* Whatever holds of WebSockets on a plain connection holds under TLS: messages of 8 MiB, fragments, closing, slow and
     * vanished peers, a shutdown in every state. */
    static const char *const names[] = {"test_echo",  "test_frames_with_the_head", "test_big_messages", "test_broadcast",
                                        "test_close", "test_refused_messages",     "test_silence",      "test_shutdown"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        print_message("%s\n", names[i]);
        assert_int_equal(run_over_tls("ws_test", names[i]), 0);
    }
    if (!IS_SLOW) assert_int_equal(run_over_tls("ws_test", "test_slow_reader"), 0);
}

/* ---- the certificate ---- */

static int open_with(const char *cert, const char *key, const char *ca, char *why, size_t why_size)
{
    struct tls_server *s = NULL;
    char paths[3][128];
    struct tls_options o = {.cert_file = paths[0], .key_file = paths[1], .client_ca_file = ca ? paths[2] : NULL};
    snprintf(paths[0], sizeof paths[0], "%s/%s", dir, cert);
    snprintf(paths[1], sizeof paths[1], "%s/%s", dir, key);
    snprintf(paths[2], sizeof paths[2], "%s/%s", dir, ca ? ca : "");
    int err = tls_server_open(&o, why, why_size, &s);
    tls_server_close(&s);
    return err;
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_bad_files(void **state)
{
    /* A file that cannot be used is named, with the reason; a key of another certificate and one with a passphrase too. */
    char why[300] = "";
    make_certificate("other.pem", "other.key", 5, 2);
    write_file("empty.pem", "");
    write_file("junk.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char path[128];
    snprintf(path, sizeof path, "%s/locked.key", dir);
    FILE *f = fopen(path, "w");
    PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)"secret");
    fclose(f);
    EVP_PKEY_free(key);
    assert_int_equal(open_with("cert.pem", "key.pem", NULL, why, sizeof why), 0);
    assert_int_equal(open_with("cert.pem", "key.pem", "other.pem", why, sizeof why), 0);
    static const char *const rows[][4] = {
        {"none.pem", "key.pem", NULL, "none.pem"},  {"empty.pem", "key.pem", NULL, "empty.pem"},
        {"junk.pem", "key.pem", NULL, "junk.pem"},  {"cert.pem", "none.key", NULL, "none.key"},
        {"cert.pem", "empty.pem", NULL, "empty.pem"}, {"cert.pem", "other.key", NULL, "other.key"},
        {"cert.pem", "locked.key", NULL, "locked.key"}, {"cert.pem", "key.pem", "none.pem", "none.pem"},
        {"cert.pem", "key.pem", "junk.pem", "junk.pem"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        *why = '\0';
        assert_int_equal(open_with(rows[i][0], rows[i][1], rows[i][2], why, sizeof why), ERR_INVALID);
        if (!strstr(why, rows[i][3])) fail_msg("%zu: %s", i, why);
    }
}

/* ---- sessions, without a socket ---- */

struct ends {
    struct tls *server;
    SSL *client;
    BIO *to_client, *from_client;
    struct buf plain;
};

static void on_plain(void *user, const char *data, size_t len)
{
    struct ends *e = user;
    assert_int_equal(buf_add(&e->plain, data, len), 0);
}
static void on_cipher(void *user, const char *data, size_t len)
{
    struct ends *e = user;
    assert_int_equal(BIO_write(e->to_client, data, (int)len), (int)len);
}

static struct tls_server *open_server(void)
{
    struct tls_server *s = NULL;
    char why[300], cert[128], key[128];
    struct tls_options o = {.cert_file = cert, .key_file = key};
    snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    snprintf(key, sizeof key, "%s/key.pem", dir);
    assert_int_equal(tls_server_open(&o, why, sizeof why, &s), 0);
    return s;
}

static void ends_open(struct ends *e, struct tls_server *s, SSL_CTX *ctx)
{
    static const struct tls_ops ops = {on_plain, on_cipher};
    memset(e, 0, sizeof *e);
    e->server = tls_new(s, &ops, e);
    e->client = SSL_new(ctx);
    e->to_client = BIO_new(BIO_s_mem());
    e->from_client = BIO_new(BIO_s_mem());
    SSL_set_bio(e->client, e->to_client, e->from_client);
    SSL_set_connect_state(e->client);
}

static void ends_close(struct ends *e)
{
    tls_free(&e->server);
    SSL_free(e->client);
    buf_release(&e->plain);
}

/* What the client has written to the server, at most step bytes at a time. */
static int carry(struct ends *e, size_t step)
{
    char bytes[20000];
    int n, err = 0;
    if (step > sizeof bytes) step = sizeof bytes;
    while (err == 0 && (n = BIO_read(e->from_client, bytes, (int)step)) > 0) err = tls_input(e->server, bytes, (size_t)n);
    return err;
}

static void shake(struct ends *e, size_t step)
{
    for (int i = 0; i < 10 && !(SSL_is_init_finished(e->client) && tls_is_established(e->server)); i++) {
        SSL_do_handshake(e->client);
        assert_int_equal(carry(e, step), 0);
    }
    assert_true(SSL_is_init_finished(e->client) && tls_is_established(e->server));
}

static void test_any_segments(void **state)
{
    /* However the peer's bytes are cut, the same comes out; what goes back is read by the peer; a goodbye ends it. */
    struct tls_server *s = open_server();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    static char sent[50000], got[50000];
    for (size_t i = 0; i < sizeof sent; i++) sent[i] = (char)(i * 7);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        static const size_t steps[] = {1, 2, 5, 16, 1000, 16000, 20000};
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            struct ends e;
            size_t have = 0;
            SSL_CTX_set_min_proto_version(ctx, version);
            SSL_CTX_set_max_proto_version(ctx, version);
            ends_open(&e, s, ctx);
            shake(&e, steps[k]);
            assert_int_equal(SSL_write(e.client, sent, sizeof sent), sizeof sent);
            assert_int_equal(carry(&e, steps[k]), 0);
            assert_int_equal(e.plain.len, sizeof sent);
            assert_memory_equal(e.plain.data, sent, sizeof sent);
            assert_int_equal(tls_output(e.server, sent, sizeof sent), 0);
            while (have < sizeof got) {
                int n = SSL_read(e.client, got + have, (int)(sizeof got - have));
                assert_true(n > 0);
                have += (size_t)n;
            }
            assert_memory_equal(got, sent, sizeof sent);
            SSL_shutdown(e.client);
            assert_int_equal(carry(&e, steps[k]), ERR_CLOSED);
            tls_goodbye(e.server);
            tls_goodbye(e.server);
            assert_int_equal(SSL_read(e.client, got, 1), 0);
            assert_int_equal(SSL_get_error(e.client, 0), SSL_ERROR_ZERO_RETURN);
            assert_int_equal(tls_output(e.server, "x", 1), ERR_PROTOCOL);
            ends_close(&e);
        }
    }
    SSL_CTX_free(ctx);
    tls_server_close(&s);
}

static void test_damaged_bytes(void **state)
{
    /* A flipped bit anywhere in what the peer sends breaks the session or changes nothing: never a wrong byte. */
    struct tls_server *s = open_server();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    unsigned broken = 0, rounds = 0;
    for (size_t at = 0; at < 700; at += 3, rounds++) {
        struct ends e;
        size_t seen = 0;
        int err = 0;
        ends_open(&e, s, ctx);
        for (int i = 0; i < 6 && err == 0; i++) {
            unsigned char bytes[20000];
            int n;
            ERR_clear_error();
            if (SSL_is_init_finished(e.client) && i == 3) SSL_write(e.client, "hello", 5);
            else SSL_do_handshake(e.client);
            n = BIO_read(e.from_client, bytes, sizeof bytes);
            if (n <= 0) continue;
            if (at >= seen && at < seen + (size_t)n) bytes[at - seen] ^= 0x10;
            seen += (size_t)n;
            err = tls_input(e.server, bytes, (size_t)n);
        }
        assert_true(err == 0 || err == ERR_PROTOCOL || err == ERR_CLOSED);
        if (err == ERR_PROTOCOL) {
            broken++;
            assert_int_equal(tls_input(e.server, "x", 1), ERR_PROTOCOL);
            assert_int_equal(tls_output(e.server, "x", 1), ERR_PROTOCOL);
            tls_goodbye(e.server);
        }
        if (e.plain.len) assert_memory_equal(e.plain.data, "hello", e.plain.len);
        ends_close(&e);
    }
    assert_true(broken > rounds / 4);
    SSL_CTX_free(ctx);
    tls_server_close(&s);
}

static void test_renegotiation(void **state)
{
    /* A client that wants to renegotiate (TLS 1.2) is not served it, again and again. */
    struct tls_server *s = open_server();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct ends e;
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    ends_open(&e, s, ctx);
    shake(&e, 20000);
    assert_int_equal(SSL_renegotiate(e.client), 1);
    for (int i = 0; i < 5; i++) {
        SSL_do_handshake(e.client);
        carry(&e, 20000);
    }
    assert_int_equal(SSL_num_renegotiations(e.client), SSL_is_init_finished(e.client) ? 0 : 1);
    assert_false(SSL_is_init_finished(e.client));
    ends_close(&e);
    SSL_CTX_free(ctx);
    tls_server_close(&s);
}

static void test_reload(void **state)
{
    /* After a reload new sessions see the new certificate, open ones live on; bad files change nothing. */
    struct tls_server *s = open_server();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct ends old, fresh;
    char why[300] = "";
    int64_t before = tls_server_not_after(s);
    ends_open(&old, s, ctx);
    shake(&old, 20000);
    write_file("key.pem", "");
    assert_int_equal(tls_server_reload(s, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "key.pem"));
    assert_int_equal(tls_server_not_after(s), before);
    ends_open(&fresh, s, ctx);
    shake(&fresh, 20000);
    ends_close(&fresh);
    make_certificate("cert.pem", "key.pem", 20, 7);
    assert_int_equal(tls_server_reload(s, why, sizeof why), 0);
    assert_true(tls_server_not_after(s) > before);
    ends_open(&fresh, s, ctx);
    shake(&fresh, 20000);
    X509 *seen = SSL_get1_peer_certificate(fresh.client);
    assert_int_equal(ASN1_INTEGER_get(X509_get0_serialNumber(seen)), 7);
    X509_free(seen);
    tls_server_close(&s);
    SSL_write(old.client, "still", 5);
    assert_int_equal(carry(&old, 20000), 0);
    assert_string_equal(buf_cstr(&old.plain), "still");
    ends_close(&old);
    ends_close(&fresh);
    SSL_CTX_free(ctx);
}

static int make_dir(void **state)
{
    strcpy(dir, "/tmp/hall-tls-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    make_certificate("cert.pem", "key.pem", 10, 1);
    return 0;
}

static int remove_dir(void **state)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    return system(cmd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),     cmocka_unit_test(test_any_segments), cmocka_unit_test(test_damaged_bytes),
        cmocka_unit_test(test_renegotiation), cmocka_unit_test(test_reload),       cmocka_unit_test(test_http_over_tls),
        cmocka_unit_test(test_websockets_over_tls),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

/*
 * clients/cli/agent_lws.c -- libwebsockets as a client: connect, pump, connect again.
 *
 * Threads    Everything here runs on the link's thread but agent_link_start, agent_link_stop and
 *            on_wake (lws_cancel_service is the one call allowed from elsewhere).
 */
#include "clients/cli/agent_lws.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SUBPROTOCOL "joblog.ingest.v1"
#define RX_BYTES 4096
#define RX_MESSAGE_BYTES_MAX (1UL << 20)
#define TX_PACKET_BYTES 65536
#define PING_AFTER_S 10
#define HANGUP_AFTER_S 30
#define CONNECT_S 15
#define STOP_S 2
#define ANSWERED "HS:"   /* what lws' errors begin with when an HTTP answer has come, but no 101 */
#define CLOSE_TOKEN 4401 /* the token was revoked or has expired */
#define TICK_US 1000000 /* the longest sleep: a wake that came too early costs no more than this */

struct agent_link {
    struct agent_link_options o;
    pthread_t thread;
    struct lws_context *context;
    struct lws *wsi; /* from connect to close */
    int is_established, is_prepared;
    lws_sorted_usec_list_t timer;
    struct buf rx, tx, frame, path;
    int close_code;
    char address[300], host[300];
    atomic_int stop;
};

static const lws_retry_bo_t keepalive = {.secs_since_valid_ping = PING_AFTER_S,
                                         .secs_since_valid_hangup = HANGUP_AFTER_S};

static void on_timer(lws_sorted_usec_list_t *sul);

static void arm(struct agent_link *l, int64_t due_us)
{
    int64_t us = due_us == AGENT_NEVER ? TICK_US : due_us - clock_mono_us();

    if (us < 1)
        us = 1;
    if (us > TICK_US)
        us = TICK_US;
    lws_sul_schedule(l->context, 0, &l->timer, on_timer, us);
}

static void connect_now(struct agent_link *l)
{
    const struct http_server *s = l->o.server;
    struct lws_client_connect_info info;

    memset(&info, 0, sizeof info);
    info.context = l->context;
    info.address = l->address;
    info.port = s->port;
    info.path = buf_cstr(&l->path);
    info.host = l->host;
    info.protocol = SUBPROTOCOL;
    info.ssl_connection = s->is_tls ? LCCSCF_USE_SSL : 0;
    info.retry_and_idle_policy = &keepalive;
    info.pwsi = &l->wsi;
    info.userdata = l;
    l->is_established = 0;
    l->close_code = 0;
    buf_clear(&l->rx);
    if (!lws_client_connect_via_info(&info))
        l->wsi = NULL; /* CLIENT_CONNECTION_ERROR has told, or memory is gone */
}

static void try_connect(struct agent_link *l)
{
    char why[256] = "";
    int64_t now = clock_mono_us(), due = agent_connect_due(l->o.agent);

    if (now >= due && !l->is_prepared && l->o.prepare) {
        int err = l->o.prepare(l->o.prepare_user, why, sizeof why);

        now = clock_mono_us();
        if (err == ERR_INVALID)
            agent_on_refusal(l->o.agent, why, now);
        else if (err < 0)
            agent_on_close(l->o.agent, 0, why, now);
        else
            l->is_prepared = 1;
        due = agent_connect_due(l->o.agent);
    }
    if (now >= due && (l->is_prepared || !l->o.prepare)) {
        connect_now(l);
        if (!l->wsi && agent_connect_due(l->o.agent) == due)
            agent_on_close(l->o.agent, 0, "cannot connect", now);
        due = agent_connect_due(l->o.agent);
    }
    arm(l, due);
}

static void on_timer(lws_sorted_usec_list_t *sul)
{
    struct agent_link *l = lws_container_of(sul, struct agent_link, timer);

    if (l->is_established)
        lws_callback_on_writable(l->wsi);
    else if (!l->wsi)
        try_connect(l);
    else
        arm(l, AGENT_NEVER);
}

/* One message, if there is one. lws masks it in place, so it is copied behind the room for the header. */
static int write_next(struct agent_link *l)
{
    int64_t due;
    int binary;
    size_t len;

    if (lws_partial_buffered(l->wsi)) {
        lws_callback_on_writable(l->wsi);
        return 0;
    }
    if (!agent_next(l->o.agent, clock_mono_us(), &l->tx, &binary, &due)) {
        arm(l, due);
        return 0;
    }
    len = l->tx.len;
    buf_clear(&l->frame);
    if (buf_reserve(&l->frame, LWS_PRE + len) < 0)
        return -1;
    memcpy(l->frame.data + LWS_PRE, l->tx.data, len);
    if (lws_write(l->wsi, (unsigned char *)l->frame.data + LWS_PRE, len,
                  binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < 0)
        return -1;
    lws_callback_on_writable(l->wsi);
    return 0;
}

static int take_bytes(struct agent_link *l, const void *data, size_t len)
{
    int err = l->rx.len + len > RX_MESSAGE_BYTES_MAX ? ERR_TOO_BIG : buf_add(&l->rx, data, len);

    if (err >= 0 && lws_is_final_fragment(l->wsi) && !lws_remaining_packet_payload(l->wsi)) {
        err = agent_on_message(l->o.agent, buf_cstr(&l->rx), l->rx.len);
        buf_clear(&l->rx);
        lws_callback_on_writable(l->wsi);
    }
    return err < 0 ? -1 : 0;
}

static void gone(struct agent_link *l, const char *why)
{
    l->wsi = NULL;
    l->is_established = 0;
    agent_on_close(l->o.agent, l->close_code, why, clock_mono_us());
    if (!l->stop)
        arm(l, agent_connect_due(l->o.agent));
}

static int add_token(struct agent_link *l, struct lws *wsi, unsigned char **p, unsigned char *end)
{
    char value[1100];
    int n;

    if (!l->o.server->token)
        return 0;
    n = snprintf(value, sizeof value, "Bearer %s", l->o.server->token);
    if (n >= (int)sizeof value)
        return -1;
    return lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, (unsigned char *)value,
                                        n, p, end);
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    struct agent_link *l = lws_context_user(lws_get_context(wsi));
    char why[256];

    switch (reason) {
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        if (l->is_established && !l->stop)
            lws_callback_on_writable(l->wsi);
        return 0;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return add_token(l, wsi, in, *(unsigned char **)in + len) ? -1 : 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        l->is_established = 1;
        agent_on_open(l->o.agent);
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return take_bytes(l, in, len);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return l->is_established ? write_next(l) : 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        if (len >= 2)
            l->close_code = ((unsigned char *)in)[0] << 8 | ((unsigned char *)in)[1];
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        snprintf(why, sizeof why, "%.*s", in ? (int)(len < 200 ? len : 200) : 14,
                 in ? (const char *)in : "cannot connect");
        if (!strncmp(why, ANSWERED, strlen(ANSWERED)))
            l->is_prepared = 0; /* a server refuses: preparing again will tell why */
        gone(l, why);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        snprintf(why, sizeof why, "the connection was closed (%d)", l->close_code);
        if (l->close_code == CLOSE_TOKEN)
            l->is_prepared = 0;
        gone(l, l->close_code ? why : "the connection broke");
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = SUBPROTOCOL,
     .callback = on_lws,
     .rx_buffer_size = RX_BYTES,
     .tx_packet_size = TX_PACKET_BYTES},
    {.name = NULL},
};

static void on_wake(void *user)
{
    struct agent_link *l = user;

    lws_cancel_service(l->context);
}

static void *run(void *user)
{
    struct agent_link *l = user;

    arm(l, clock_mono_us());
    while (!l->stop && lws_service(l->context, 0) >= 0) {
    }
    http_forget();
    return NULL;
}

static struct lws_context *make_context(struct agent_link *l)
{
    struct lws_context_creation_info info;

    lws_set_log_level(0, NULL);
    memset(&info, 0, sizeof info);
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols;
    info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.user = l;
    info.pt_serv_buf_size = TX_PACKET_BYTES;
    info.timeout_secs = CONNECT_S;
    info.connect_timeout_secs = CONNECT_S;
    info.retry_and_idle_policy = &keepalive;
    info.gid = info.uid = (gid_t)-1;
    if (l->o.server->cacert)
        info.client_ssl_ca_filepath = l->o.server->cacert;
    info.client_ssl_cert_filepath = l->o.server->cert;
    info.client_ssl_private_key_filepath = l->o.server->key;
    return lws_create_context(&info);
}

int agent_link_start(const struct agent_link_options *o, struct agent_link **ret_link)
{
    struct agent_link *l = must_calloc(1, sizeof *l);
    const struct http_server *s = o->server;
    sigset_t all, old;
    int failed;

    l->o = *o;
    buf_addf(&l->path, "%s/v1/jobs/%s/ingest", s->prefix, o->job);
    if (s->project)
        http_arg(&l->path, "project", s->project);
    if (s->unix_path[0])
        snprintf(l->address, sizeof l->address, "+%s", s->unix_path);
    else
        snprintf(l->address, sizeof l->address, "%s", s->host);
    if (strchr(s->host, ':'))
        snprintf(l->host, sizeof l->host, "[%.250s]:%d", s->host, s->port);
    else
        snprintf(l->host, sizeof l->host, "%.250s:%d", s->host, s->port);
    l->context = make_context(l);
    if (!l->context) {
        agent_link_stop(&l);
        return ERR_NOMEM;
    }
    agent_set_wake(o->agent, on_wake, l);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = pthread_create(&l->thread, NULL, run, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        l->thread = 0;
        agent_link_stop(&l);
        return ERR_LIMIT;
    }
    *ret_link = l;
    return 0;
}

int agent_link_stop(struct agent_link **link)
{
    struct agent_link *l = *link;
    struct timespec until;

    if (!l)
        return 0;
    *link = NULL;
    agent_set_wake(l->o.agent, NULL, NULL);
    l->stop = 1;
    if (l->thread) {
        lws_cancel_service(l->context);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += STOP_S;
        if (pthread_timedjoin_np(l->thread, NULL, &until) != 0)
            return ERR_TIMEOUT;
    }
    if (l->context)
        lws_context_destroy(l->context);
    buf_release(&l->rx);
    buf_release(&l->tx);
    buf_release(&l->frame);
    buf_release(&l->path);
    free(l);
    return 0;
}

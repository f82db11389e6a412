/*
 * clients/cli/http_curl.c -- the door to libcurl.
 */
#include "clients/cli/http.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/cli.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define USER_AGENT "joblog/" JOBLOG_VERSION
#define ERROR_BODY_BYTES_MAX (256 * 1024)

/* Connections live in the multi handle: a thread keeps one, so that its requests, one after another, share a
 * connection. */
static _Thread_local struct {
    CURLM *multi;
    int in_use;
} kept;

struct exchange {
    CURL *curl;
    CURLM *multi;
    int is_kept;
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
    struct http_reply *reply;
    const struct http_stream *stream; /* NULL: a whole answer */
    int err;                          /* of on_data or of the body buffer */
    int64_t heard_us;                 /* when something came last */
    int heard;
};

void http_setup(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
}

static int parse_unix(struct http_server *s, const char *path, char *why, size_t why_size)
{
    if (path[0] != '/' || strlen(path) >= sizeof s->unix_path) {
        snprintf(why, why_size, "unix: wants an absolute path");
        return ERR_INVALID;
    }
    snprintf(s->unix_path, sizeof s->unix_path, "%s", path);
    snprintf(s->base, sizeof s->base, "http://localhost");
    snprintf(s->host, sizeof s->host, "localhost");
    s->port = 80;
    return 0;
}

/* "HOST", "HOST:PORT", "[V6]:PORT", whole. */
static int parse_place(struct http_server *s, const char *at, const char *end)
{
    int is_v6 = at < end && *at == '[';
    const char *host = at + is_v6, *stop = memchr(host, is_v6 ? ']' : ':', (size_t)(end - host));
    const char *port = stop ? stop + is_v6 : end;
    size_t len = (size_t)((stop ? stop : end) - host), digits = port < end ? strspn(port + 1, "0123456789") : 0;

    if (!len || len >= sizeof s->host || (is_v6 && !stop))
        return ERR_INVALID;
    if (port < end && (*port != ':' || !digits || digits > 5 || port + 1 + digits != end))
        return ERR_INVALID;
    snprintf(s->host, sizeof s->host, "%.*s", (int)len, host); /* an address without its brackets */
    s->port = port < end ? atoi(port + 1) : s->is_tls ? 443 : 80;
    return s->port > 0 && s->port <= 65535 ? 0 : ERR_INVALID;
}

int http_server_parse(struct http_server *s, const char *url, char *why, size_t why_size)
{
    size_t len = strlen(url);
    const char *rest, *end;

    while (len && url[len - 1] == '/')
        len--;
    if (len >= sizeof s->url) {
        snprintf(why, why_size, "longer than %d bytes", HTTP_URL_BYTES_MAX - 1);
        return ERR_INVALID;
    }
    snprintf(s->url, sizeof s->url, "%.*s", (int)len, url);
    if (!strncmp(s->url, "unix:", 5))
        return parse_unix(s, s->url + 5, why, why_size);
    s->is_tls = !strncasecmp(s->url, "https://", 8);
    if (!s->is_tls && strncasecmp(s->url, "http://", 7) != 0) {
        snprintf(why, why_size, "not a URL like http://HOST:PORT or unix:/path");
        return ERR_INVALID;
    }
    memcpy(s->base, s->url, sizeof s->base);
    rest = s->base + (s->is_tls ? 8 : 7);
    end = rest + strcspn(rest, "/");
    snprintf(s->prefix, sizeof s->prefix, "%s", end);
    if (parse_place(s, rest, end) < 0 || strlen(end) >= sizeof s->prefix || strpbrk(s->base, "?# @")) {
        snprintf(why, why_size, "not a URL like http://HOST:PORT");
        return ERR_INVALID;
    }
    return 0;
}

void http_arg(struct buf *path, const char *key, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";

    buf_addc(path, path->data && memchr(path->data, '?', path->len) ? '&' : '?');
    buf_adds(path, key);
    buf_addc(path, '=');
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
            strchr("-._~", *p)) {
            buf_addc(path, (char)*p);
        } else {
            char escaped[3] = {'%', hex[*p >> 4], hex[*p & 15]};
            buf_add(path, escaped, 3);
        }
    }
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct exchange *x = user;
    size_t len = size * count;
    long status = 0;

    x->heard = 1;
    x->heard_us = clock_mono_us();
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (x->stream && status == 200)
        x->err = x->stream->on_data(x->stream->user, data, len);
    else
        x->err = buf_add(&x->reply->body, data, len);
    return x->err < 0 ? 0 : len;
}

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    struct exchange *x = user;
    size_t len = size * count;

    x->heard = 1;
    x->heard_us = clock_mono_us();
    if (len > 12 && !strncasecmp(data, "retry-after:", 12)) {
        char seconds[16];

        snprintf(seconds, sizeof seconds, "%.*s", len - 12 < 15 ? (int)(len - 12) : 15, data + 12);
        x->reply->retry_after_us = (int64_t)atoi(seconds) * 1000000;
    }
    return len;
}

static void add_header(struct exchange *x, const char *name, const char *value)
{
    struct buf line = BUF_INIT;

    buf_addf(&line, "%s: %s", name, value);
    x->headers = curl_slist_append(x->headers, buf_cstr(&line));
    buf_release(&line);
}

static CURLM *take_multi(struct exchange *x)
{
    if (kept.in_use)
        return curl_multi_init();
    if (!kept.multi)
        kept.multi = curl_multi_init();
    kept.in_use = x->is_kept = kept.multi != NULL;
    return kept.multi;
}

static void give_back_multi(struct exchange *x)
{
    if (x->is_kept)
        kept.in_use = 0;
    else
        curl_multi_cleanup(x->multi);
}

void http_forget(void)
{
    CHECK(!kept.in_use);
    curl_multi_cleanup(kept.multi);
    kept.multi = NULL;
}

static int open_exchange(struct exchange *x, const struct http_server *s, const char *method,
                         const char *path, const char *body, const char *accept,
                         size_t body_bytes_max)
{
    struct buf url = BUF_INIT;

    x->multi = take_multi(x);
    x->curl = x->multi ? curl_easy_init() : NULL;
    if (!x->curl) {
        give_back_multi(x);
        return ERR_NOMEM;
    }
    buf_init(&x->reply->body, body_bytes_max);
    x->reply->status = 0;
    x->reply->error[0] = '\0';
    buf_addf(&url, "%s%s", s->base, path);
    curl_easy_setopt(x->curl, CURLOPT_URL, buf_cstr(&url));
    buf_release(&url);
    curl_easy_setopt(x->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(x->curl, CURLOPT_USERAGENT, USER_AGENT);
    curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, x->error);
    curl_easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(HTTP_CONNECT_US / 1000));
    curl_easy_setopt(x->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(x->curl, CURLOPT_TCP_KEEPIDLE, 20L);
    curl_easy_setopt(x->curl, CURLOPT_TCP_KEEPINTVL, 5L);
    curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(x->curl, CURLOPT_HEADERDATA, x);
    if (s->unix_path[0])
        curl_easy_setopt(x->curl, CURLOPT_UNIX_SOCKET_PATH, s->unix_path);
    if (s->cacert)
        curl_easy_setopt(x->curl, CURLOPT_CAINFO, s->cacert);
    if (s->cert)
        curl_easy_setopt(x->curl, CURLOPT_SSLCERT, s->cert);
    if (s->key)
        curl_easy_setopt(x->curl, CURLOPT_SSLKEY, s->key);
    if (body) {
        curl_easy_setopt(x->curl, CURLOPT_POSTFIELDS, body);
        add_header(x, "Content-Type", "application/json");
        add_header(x, "Expect", "");
    }
    if (accept)
        add_header(x, "Accept", accept);
    if (s->token) {
        struct buf bearer = BUF_INIT;

        buf_addf(&bearer, "Bearer %s", s->token);
        add_header(x, "Authorization", buf_cstr(&bearer));
        buf_release(&bearer);
    }
    curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers);
    return 0;
}

static int close_exchange(struct exchange *x, CURLcode code)
{
    int err = 0;

    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &x->reply->status);
    if (x->err < 0) {
        err = x->err;
    } else if (code != CURLE_OK) {
        err = code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE;
    }
    if (err < 0 && !x->reply->error[0])
        snprintf(x->reply->error, sizeof x->reply->error, "%s",
                 x->err < 0    ? err_text(err)
                 : x->error[0] ? x->error
                               : curl_easy_strerror(code));
    curl_easy_cleanup(x->curl);
    curl_slist_free_all(x->headers);
    give_back_multi(x);
    return err;
}

static CURLcode code_of(const struct exchange *x)
{
    CURLcode code = CURLE_OK;
    int left;

    for (CURLMsg *m; (m = curl_multi_info_read(x->multi, &left));)
        if (m->msg == CURLMSG_DONE && m->easy_handle == x->curl)
            code = m->data.result;
    return code;
}

int http_call(const struct http_server *s, const char *method, const char *path, const char *body,
              int64_t timeout_us, struct http_reply *ret)
{
    struct exchange x = {.reply = ret};
    int err = open_exchange(&x, s, method, path, body, "application/json", HTTP_REPLY_BYTES_MAX);
    int running = 1;
    CURLcode code;

    if (err < 0)
        return err;
    curl_easy_setopt(x.curl, CURLOPT_TIMEOUT_MS, (long)(timeout_us / 1000));
    curl_multi_add_handle(x.multi, x.curl);
    while (curl_multi_perform(x.multi, &running) == CURLM_OK && running)
        if (curl_multi_poll(x.multi, NULL, 0, 1000, NULL) != CURLM_OK)
            break;
    code = running ? CURLE_SEND_ERROR : code_of(&x);
    curl_multi_remove_handle(x.multi, x.curl);
    return close_exchange(&x, code);
}

void http_reply_release(struct http_reply *r)
{
    buf_release(&r->body);
}

/* How long the next wait may be, in ms. */
static int wait_ms(const struct http_stream *o, int64_t until_us, int64_t now_us)
{
    int64_t us = 1000000;

    if (o->tick_us && o->tick_us < us)
        us = o->tick_us;
    if (until_us && until_us - now_us < us)
        us = until_us - now_us;
    return us <= 0 ? 0 : (int)(us / 1000) + 1;
}

static int drive(struct exchange *x)
{
    const struct http_stream *o = x->stream;
    struct curl_waitfd wake = {.fd = o->wake_fd, .events = CURL_WAIT_POLLIN};
    int running = 1, err;

    x->heard_us = clock_mono_us();
    while (curl_multi_perform(x->multi, &running) == CURLM_OK && running) {
        int64_t now = clock_mono_us();
        int64_t silence = x->heard || !o->first_us ? o->silence_us : o->first_us;
        int64_t until = silence ? x->heard_us + silence : 0;

        if (cli_interrupted())
            return ERR_CANCELLED;
        if (until && now >= until)
            return ERR_TIMEOUT;
        if (o->on_tick && (err = o->on_tick(o->user)) < 0)
            return err;
        wake.revents = 0;
        if (curl_multi_poll(x->multi, &wake, o->wake_fd >= 0, wait_ms(o, until, now), NULL) !=
            CURLM_OK)
            return ERR_IO;
    }
    return 0;
}

int http_stream(const struct http_server *s, const char *path, const struct http_stream *o,
                struct http_reply *ret)
{
    struct exchange x = {.reply = ret, .stream = o};
    CURLcode code = CURLE_OK;
    int err = open_exchange(&x, s, "GET", path, NULL, o->accept, ERROR_BODY_BYTES_MAX);

    if (err < 0)
        return err;
    if (o->last_event_id && *o->last_event_id) {
        add_header(&x, "Last-Event-ID", o->last_event_id);
        curl_easy_setopt(x.curl, CURLOPT_HTTPHEADER, x.headers);
    }
    if (o->compressed)
        curl_easy_setopt(x.curl, CURLOPT_ACCEPT_ENCODING, "zstd, gzip");
    curl_multi_add_handle(x.multi, x.curl);
    err = drive(&x);
    if (!err)
        code = code_of(&x);
    curl_multi_remove_handle(x.multi, x.curl);
    if (err < 0 && !x.err) {
        x.err = err;
        if (err == ERR_TIMEOUT)
            snprintf(ret->error, sizeof ret->error, "the server fell silent");
    }
    return close_exchange(&x, code);
}

/*
 * alert/receiver.c -- a receiver from JSON and back, secrets kept in.
 */
#include "alert/receiver.h"

#include "alert/rule_int.h"
#include "base/check.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECRET_PREFIX "whsec_"
#define BODY_BYTES_MAX TEMPLATE_BYTES_MAX

static const char *const receiver_members[] = {
    "id",      "project",         "kind",    "url",  "enabled",    "default",    "send_resolved",
    "timeout", "secrets",         "headers", "body", "created_at", "updated_at", "revision",
    "source",  "disabled_reason", "retry_for", NULL};

const char *receiver_kind_name(enum receiver_kind k)
{
    static const char *const names[] = {"webhook", "alertmanager", "json"};

    CHECK((unsigned)k < 3);
    return names[k];
}

int receiver_takes(const struct receiver *r, const struct json_tree *receivers, const char *project)
{
    if (!r->enabled || (r->project[0] && strcmp(r->project, project) != 0))
        return 0;
    if (!receivers)
        return r->is_default;
    for (const struct json_tree *v = json_tree_first(receivers); v; v = json_tree_next(v))
        if (json_tree_str(v) && strcmp(json_tree_str(v), r->id) == 0)
            return 1;
    return 0;
}

void receiver_free(struct receiver **receiver)
{
    struct receiver *r = *receiver;

    *receiver = NULL;
    if (!r)
        return;
    free(r->url);
    free(r->disabled_why);
    free(r->body);
    template_free(&r->body_template);
    rule__free_pairs(r->headers, r->header_count);
    explicit_bzero(r->secrets, sizeof r->secrets);
    free(r);
}

/* ---- reading ---- */

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

int receiver_base64(const char *text, size_t len, unsigned char *out, size_t size)
{
    size_t n = 0;
    unsigned bits = 0, have = 0;

    if (len == 0 || len % 4 != 0)
        return ERR_INVALID;
    for (int pad = 0; pad < 2 && text[len - 1] == '='; pad++)
        len--;
    for (size_t i = 0; i < len; i++) {
        int d = base64_digit(text[i]);
        if (d < 0)
            return ERR_INVALID;
        bits = bits << 6 | (unsigned)d;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (n == size)
            return ERR_TOO_BIG;
        out[n++] = (unsigned char)(bits >> have);
    }
    return (int)n;
}

static int read_secrets(struct receiver *r, const struct fields *f)
{
    const struct json_tree *list = json_tree_get(f->v, "secrets");
    char at[32];
    int i = 0;

    if (!list || json_tree_is_null(list))
        return 0;
    if (!json_tree_is_arr(list))
        return fields_fail(f, "secrets", "a list like [\"whsec_…\"] is wanted");
    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v), i++) {
        const char *s = json_tree_str(v);
        struct receiver_secret *secret = &r->secrets[r->secret_count];
        int n = ERR_INVALID;
        snprintf(at, sizeof at, "secrets[%d]", i);
        if (i == RECEIVER_SECRETS_MAX)
            return fields_fail(f, at, "at most %d are taken", RECEIVER_SECRETS_MAX);
        if (s && strncmp(s, SECRET_PREFIX, sizeof SECRET_PREFIX - 1) == 0) {
            s += sizeof SECRET_PREFIX - 1;
            n = receiver_base64(s, strlen(s), secret->key, sizeof secret->key);
        }
        if (n < RECEIVER_SECRET_BYTES_MIN)
            return fields_fail(f, at, "\"whsec_\" and the base64 of %d to %d bytes is wanted",
                               RECEIVER_SECRET_BYTES_MIN, RECEIVER_SECRET_BYTES_MAX);
        secret->len = (size_t)n;
        r->secret_count++;
    }
    return 1;
}

/* Printable ASCII without what ends or splits an address. Where it may lead is checked at each connect. */
static int read_url(struct receiver *r, const struct fields *f)
{
    const char *s = NULL, *host;
    int n = fields_str(f, "url", RECEIVER_URL_BYTES_MAX, &s);

    if (n <= 0)
        return n < 0 ? n : fields_fail(f, "url", "it is missing");
    host = strncmp(s, "https://", 8) == 0 ? s + 8 : strncmp(s, "http://", 7) == 0 ? s + 7 : NULL;
    if (!host || strcspn(host, "/?#") == 0)
        return fields_fail(f, "url", "http://HOST/… or https://HOST/… is wanted");
    for (const char *c = s; *c; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("\"<>\\^`{|}", *c))
            return fields_fail(f, "url", "it holds a character that must be percent-encoded");
    if (memchr(host, '@', strcspn(host, "/?#")))
        return fields_fail(f, "url", "user and password in it are not taken: use headers");
    r->url = must_strdup(s);
    return 1;
}

static int read_headers(struct receiver *r, const struct fields *f)
{
    static const char *const ours[] = {"host",       "content-length",    "transfer-encoding",
                                       "connection", "content-type",      "expect",
                                       "webhook-id", "webhook-timestamp", "webhook-signature"};
    struct fields h = *f;
    char path[FIELDS_PATH_BYTES];

    if (rule__read_pairs(f, "headers", 0, RULE_VALUE_BYTES_MAX, r->headers, &r->header_count) < 0)
        return ERR_INVALID;
    snprintf(path, sizeof path, "%s.headers", f->path);
    h.path = path;
    for (uint32_t i = 0; i < r->header_count; i++) {
        const char *name = r->headers[i].name;
        for (const char *c = name; *c; c++)
            if (*c <= ' ' || *c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", *c))
                return fields_fail(&h, name, "this is no name of a header");
        if (strpbrk(r->headers[i].value, "\r\n\t"))
            return fields_fail(&h, name, "a value is one line");
        for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
            if (strcasecmp(name, ours[k]) == 0)
                return fields_fail(&h, name, "this header is joblog's own");
    }
    return 0;
}

static int knows_any(const void *user, const char *x)
{
    return *x != '\0';
}

static const char *sample_value(void *user, const char *name, size_t *ret_len)
{
    *ret_len = 3;
    return "a\"\n";
}

/* Filled in, it must still be JSON. */
static int check_body(const struct receiver *r, const struct fields *f)
{
    struct buf out = BUF_INIT;
    struct json_tree *root = NULL;
    int err = must_have(template_render(r->body_template, &out, 1, sample_value, NULL));

    if (err == 0)
        err = json_tree_parse_own(buf_cstr(&out), out.len, &root);
    json_tree_free(&root);
    buf_release(&out);
    return err < 0
               ? fields_fail(f, "body", "filled in it is not JSON: values belong inside of strings")
               : 0;
}

static int read_body(struct receiver *r, const struct fields *f)
{
    struct template_names names = {knows_any, knows_any, knows_any, NULL};
    const struct json_tree *v = json_tree_get(f->v, "body");
    char why[FIELDS_WHY_BYTES];
    struct buf text = BUF_INIT;
    struct json j;

    if (!v || json_tree_is_null(v))
        return r->kind == RECEIVER_JSON ? fields_fail(f, "body", "kind json wants a body") : 0;
    if (r->kind != RECEIVER_JSON)
        return fields_fail(f, "body", "only kind json has a body of its own");
    if (!json_tree_is_obj(v) && !json_tree_is_arr(v))
        return fields_fail(f, "body", "an object or an array is wanted");
    json_init(&j, &text);
    json_tree_print(&j, v);
    r->body = must_strdup(buf_cstr(&text));
    buf_release(&text);
    if (template_new(r->body, &names, &r->body_template, why, sizeof why) < 0)
        return fields_fail(f, "body", "%s", why);
    return check_body(r, f);
}

static int read_all(struct receiver *r, const struct fields *f)
{
    const char *s = NULL;
    int64_t revision = 0;
    int kind = RECEIVER_WEBHOOK, n;

    if (fields_check(f, receiver_members) < 0 || (n = fields_id(f, "id", &s)) < 0)
        return ERR_INVALID;
    if (!n)
        return fields_fail(f, "id", "it is missing");
    strcpy(r->id, s);
    if ((n = fields_id(f, "project", &s)) < 0)
        return n;
    if (n)
        strcpy(r->project, s);
    if (fields_choice(f, "kind", "webhook|alertmanager|json", &kind) < 0 || read_url(r, f) < 0)
        return ERR_INVALID;
    r->kind = (enum receiver_kind)kind;
    r->send_resolved = kind != RECEIVER_JSON;
    if (fields_bool(f, "enabled", &r->enabled) < 0 ||
        fields_bool(f, "default", &r->is_default) < 0 ||
        fields_bool(f, "send_resolved", &r->send_resolved) < 0 ||
        fields_span(f, "timeout", 100000, 60000000, &r->timeout_us) < 0 ||
        fields_span(f, "retry_for", 0, RULE_SPAN_US_MAX, &r->retry_for_us) < 0 ||
        read_secrets(r, f) < 0 ||
        read_headers(r, f) < 0 || read_body(r, f) < 0 ||
        fields_time(f, "created_at", &r->created_us) < 0 ||
        fields_time(f, "updated_at", &r->updated_us) < 0 ||
        fields_count(f, "revision", 0, INT64_C(1) << 52, &revision) < 0 ||
        (n = fields_str(f, "disabled_reason", FIELDS_WHY_BYTES, &s)) < 0)
        return ERR_INVALID;
    r->disabled_why = must_strdup(n && !r->enabled ? s : "");
    r->revision = (uint64_t)revision;
    if (r->kind == RECEIVER_WEBHOOK && r->secret_count == 0)
        return fields_fail(f, "secrets", "kind webhook is signed: at least one is wanted");
    return 0;
}

int receiver_read(const struct json_tree *v, struct receiver **ret_receiver, struct fields_why *why)
{
    struct fields f = {v, "$", why};
    struct receiver *r = must_calloc(1, sizeof *r);
    int err;

    r->enabled = r->is_default = 1;
    r->timeout_us = RECEIVER_TIMEOUT_US_DEFAULT;
    r->retry_for_us = RECEIVER_RETRY_FOR_US_DEFAULT;
    err = read_all(r, &f);
    if (err < 0)
        receiver_free(&r);
    else
        *ret_receiver = r;
    return err;
}

int receiver_parse(const char *text, size_t len, struct receiver **ret_receiver,
                   struct fields_why *why)
{
    struct fields f = {NULL, "$", why};
    struct json_tree *root = NULL;
    size_t at = 0;
    int err;

    if (len > RULE_BYTES_MAX)
        return fields_fail(&f, NULL, "a receiver has at most %d bytes", RULE_BYTES_MAX);
    err = must_have(json_tree_parse(text, len, &root, &at)); /* no mistake, for which a stored one would be left out */
    if (err < 0)
        return fields_fail(&f, NULL, "not JSON: it cannot be read from byte %zu on", at);
    err = receiver_read(root, ret_receiver, why);
    json_tree_free(&root);
    return err;
}

/* ---- writing ---- */

static void put_secret(struct json *j, const struct receiver_secret *s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[sizeof SECRET_PREFIX + (RECEIVER_SECRET_BYTES_MAX + 2) / 3 * 4];
    size_t n = sizeof SECRET_PREFIX - 1;

    memcpy(text, SECRET_PREFIX, n);
    for (size_t i = 0; i < s->len; i += 3) {
        unsigned v = (unsigned)s->key[i] << 16 |
                     (i + 1 < s->len ? (unsigned)s->key[i + 1] << 8 : 0) |
                     (i + 2 < s->len ? (unsigned)s->key[i + 2] : 0);
        text[n++] = digits[v >> 18];
        text[n++] = digits[v >> 12 & 63];
        text[n++] = i + 1 < s->len ? digits[v >> 6 & 63] : '=';
        text[n++] = i + 2 < s->len ? digits[v & 63] : '=';
    }
    json_strn(j, text, n);
    explicit_bzero(text, sizeof text);
}

static void put_secrets(struct json *j, const struct receiver *r, int with_secrets)
{
    if (!with_secrets) {
        json_ku64(j, "secrets", r->secret_count);
        json_key(j, "headers");
        json_arr(j);
        for (uint32_t i = 0; i < r->header_count; i++)
            json_str(j, r->headers[i].name);
        json_end(j);
        return;
    }
    json_key(j, "secrets");
    json_arr(j);
    for (uint32_t i = 0; i < r->secret_count; i++)
        put_secret(j, &r->secrets[i]);
    json_end(j);
    json_key(j, "headers");
    json_obj(j);
    for (uint32_t i = 0; i < r->header_count; i++)
        json_kstr(j, r->headers[i].name, r->headers[i].value);
    json_end(j);
}

int receiver_write(struct buf *out, const struct receiver *r, int with_secrets)
{
    struct buf shown = BUF_INIT;
    struct json j;

    json_init(&j, out);
    json_obj(&j);
    json_kstr(&j, "id", r->id);
    json_kstr(&j, "project", r->project[0] ? r->project : NULL);
    json_kstr(&j, "kind", receiver_kind_name(r->kind));
    if (with_secrets || r->kind == RECEIVER_ALERTMANAGER) {
        json_kstr(&j, "url", r->url);
    } else { /* the path of a hook is often its secret */
        size_t origin =
            strcspn(strstr(r->url, "//") + 2, "/?#") + (size_t)(strstr(r->url, "//") + 2 - r->url);
        buf_add(&shown, r->url, origin);
        if (r->url[origin] && strcmp(r->url + origin, "/") != 0)
            buf_adds(&shown, "/…");
        json_kstr(&j, "url", buf_cstr(&shown));
    }
    json_kbool(&j, "enabled", r->enabled);
    json_kbool(&j, "default", r->is_default);
    json_kbool(&j, "send_resolved", r->send_resolved);
    fields_put_span(&j, "timeout", r->timeout_us);
    fields_put_span(&j, "retry_for", r->retry_for_us);
    put_secrets(&j, r, with_secrets);
    if (r->body) {
        json_key(&j, "body");
        json_raw(&j, r->body, strlen(r->body));
    }
    if (*r->disabled_why)
        json_kstr(&j, "disabled_reason", r->disabled_why);
    fields_put_time(&j, "created_at", r->created_us);
    fields_put_time(&j, "updated_at", r->updated_us);
    json_ku64(&j, "revision", r->revision);
    json_kstr(&j, "source", source_name(r->source));
    json_end(&j);
    buf_release(&shown);
    return json_err(&j);
}

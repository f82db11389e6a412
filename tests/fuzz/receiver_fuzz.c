/*
 * tests/fuzz/receiver_fuzz.c -- any bytes as a receiver of alerts, as a rules file, as an event, as what waits in a lane, as
 * networks that receivers may lie in.
 *
 * A receiver that is taken is written with its secrets and read back as the same text; what an answer shows of it holds neither
 * secrets nor what stands behind the host of its URL. A set that is taken finds its own members. An event is made into what
 * each kind of receiver is sent, which is JSON, and taken out of its lane again. An address that is refused is allowed by none
 * but its own net.
 * Covers  alert/receiver.c alert/ruleset.c alert/event.c alert/address.c
 */
#include "alert/address.h"
#include "alert/event.h"
#include "alert/ruleset.h"
#include "base/check.h"
#include "base/err.h"
#include "base/utf8.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_why(const struct fields_why *why)
{
    CHECK(why->text[0] && strlen(why->text) < sizeof why->text && strlen(why->path) < sizeof why->path);
}

static void check_json(const char *text, size_t len)
{
    struct json_tree *root = NULL;

    CHECKF(json_tree_parse(text, len, &root, NULL) == 0, "%.*s", (int)len, text);
    json_tree_free(&root);
}

/* None of its secrets, header values or paths may be in what an answer shows. */
static void check_shown(const struct receiver *r)
{
    struct buf shown = BUF_INIT;
    const char *path = strpbrk(strstr(r->url, "//") + 2, "/?#");

    CHECK(receiver_write(&shown, r, 0) == 0);
    check_json(shown.data, shown.len);
    CHECK(r->body || !strstr(shown.data, "\"whsec_")); /* a body may hold the word */
    if (path && r->kind != RECEIVER_ALERTMANAGER && strlen(path) > 8 && !strstr(r->url, "\\") && !r->body)
        CHECKF(!memmem(shown.data, shown.len, path, strlen(path)), "%s", shown.data);
    buf_release(&shown);
}

static void check_receiver(const struct receiver *r)
{
    struct receiver *again = NULL;
    struct buf one = BUF_INIT, two = BUF_INIT;
    struct fields_why why;

    CHECK(r->secret_count <= RECEIVER_SECRETS_MAX && r->header_count <= RULE_PAIRS_MAX);
    CHECK(r->kind != RECEIVER_WEBHOOK || r->secret_count);
    CHECK((r->kind == RECEIVER_JSON) == (r->body_template != NULL));
    for (uint32_t i = 0; i < r->secret_count; i++)
        CHECK(r->secrets[i].len >= RECEIVER_SECRET_BYTES_MIN && r->secrets[i].len <= RECEIVER_SECRET_BYTES_MAX);
    for (uint32_t i = 0; i < r->header_count; i++)
        CHECK(!strpbrk(r->headers[i].name, "\r\n: ") && !strpbrk(r->headers[i].value, "\r\n"));
    CHECK(receiver_write(&one, r, 1) == 0);
    CHECKF(receiver_parse(one.data, one.len, &again, &why) == 0, "%s: %s: %s", why.path, why.text, one.data);
    again->source = r->source;
    CHECK(receiver_write(&two, again, 1) == 0);
    CHECKF(one.len == two.len && memcmp(one.data, two.data, one.len) == 0, "%s\n%s", one.data, two.data);
    check_shown(r);
    receiver_takes(r, NULL, "default");
    receiver_free(&again);
    buf_release(&one);
    buf_release(&two);
}

static void as_set(const char *text, size_t len)
{
    struct ruleset_draft d;
    struct ruleset *s;
    struct fields_why why;

    memset(&d, 0, sizeof d);
    memset(&why, 0, sizeof why);
    if (ruleset_parse(text, len, SOURCE_FILE, 1764000000000000, &d, &why) < 0) {
        check_why(&why);
        ruleset_draft_release(&d);
        return;
    }
    s = ruleset_make(&d);
    CHECK(s->rule_count <= RULES_MAX && s->receiver_count <= RECEIVERS_MAX && s->enabled_count <= s->rule_count);
    for (uint32_t i = 0; i < s->rule_count; i++)
        CHECK(ruleset_rule(s, s->rules[i]->project, s->rules[i]->id) == s->rules[i]);
    for (uint32_t i = 0; i < s->receiver_count; i++) {
        CHECK(ruleset_receiver(s, s->receivers[i]->project, s->receivers[i]->id) == s->receivers[i]);
        check_receiver(s->receivers[i]);
    }
    ruleset_unref(&s);
}

/* As it waits for r, and out of the lane again. */
static void deliver(const struct receiver *r, const struct json_tree *event, const struct buf *text)
{
    struct buf lane = BUF_INIT, body = BUF_INIT;
    struct event_parcel p;
    const char *id = json_tree_str(json_tree_get(event, "id"));

    if (event_delivery(&lane, r, event, text->data, text->len, 1764000000000000) == 0 && !strchr(id, ' ')) {
        CHECK(event_parcel_read(lane.data, lane.len, &p) == 0);
        CHECK(p.id_len == strlen(id) && memcmp(p.id, id, p.id_len) == 0 && p.queued_us == 1764000000000000);
        if (p.body_len < TEMPLATE_OUT_BYTES_MAX)
            check_json(p.body, p.body_len);
    }
    if (event_alertmanager(&body, event, 1764000000000000) == 0)
        check_json(body.data, body.len);
    buf_release(&body);
    buf_release(&lane);
}

static const struct ruleset *receivers(void)
{
    static const char text[] =
        "{\"rules\":[{\"id\":\"a\",\"line\":{\"contains\":\"x\"},\"annotations\":{\"summary\":\"{{job}} {{line}}\"},"
        "\"labels\":{\"team\":\"t\"}}],"
        "\"receivers\":[{\"id\":\"w\",\"url\":\"http://h/\",\"secrets\":[\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]},"
        "{\"id\":\"am\",\"kind\":\"alertmanager\",\"url\":\"http://h/\"},"
        "{\"id\":\"s\",\"kind\":\"json\",\"url\":\"http://h/\",\"body\":{\"t\":\"{{title}} {{rank}} {{line}} {{evidence}} "
        "{{value}} {{labels.team}} {{captures.x}} {{annotations.summary}} {{status}} {{url}} {{starts_at}}\"}}]}";
    static struct ruleset *s;
    struct ruleset_draft d;
    struct fields_why why;

    if (!s) {
        memset(&d, 0, sizeof d);
        CHECKF(ruleset_parse(text, sizeof text - 1, SOURCE_FILE, 0, &d, &why) == 0, "%s: %s", why.path, why.text);
        s = ruleset_make(&d);
    }
    return s;
}

static void as_event(const char *text, size_t len)
{
    static const char evidence[] = "{\"seq\":811,\"ts\":\"2026-11-23T20:54:01.000001Z\",\"rank\":3,\"msg\":\"before\"}\n"
                                   "{\"seq\":812,\"ts\":\"2026-11-23T20:54:01.000002Z\",\"level\":\"error\","
                                   "\"msg\":\"x \\\"y\\\"\"}\n";
    const struct ruleset *set = receivers();
    struct event_context c = {.set = set, .public_url = "https://logs.example.com/", .evidence = evidence,
                              .evidence_len = sizeof evidence - 1};
    struct json_tree *core = NULL, *event = NULL;
    struct buf out = BUF_INIT;

    if (json_tree_parse(text, len, &core, NULL) < 0)
        return;
    if (json_tree_is_obj(core) && event_alert(&out, core, &c) == 0) {
        CHECK(out.len <= EVENT_BYTES_MAX);
        CHECKF(json_tree_parse(out.data, out.len, &event, NULL) == 0, "%s", out.data);
        for (uint32_t i = 0; i < set->receiver_count; i++)
            deliver(set->receivers[i], event, &out);
    }
    json_tree_free(&event);
    json_tree_free(&core);
    buf_release(&out);
}

static void as_net(const char *text)
{
    struct address_list l = {.count = 0};
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a;
    char out[ADDRESS_TEXT_BYTES];

    memset(&a, 0, sizeof a);
    if (address_allow(&l, text) == 0) {
        CHECK(l.count == 1 && l.nets[0].bits <= 128);
        a.v6.sin6_family = AF_INET6;
        memcpy(&a.v6.sin6_addr, l.nets[0].bytes, 16);
        CHECK(address_may(&a.any, &l) == 1);
        address_may(&a.any, NULL);
        CHECK(*address_text(&a.any, out));
    }
    memset(&a, 0, sizeof a);
    if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        CHECK((ntohl(a.v4.sin_addr.s_addr) >> 24) != 127 || !address_may(&a.any, NULL));
        CHECK(strcmp(address_text(&a.any, out), text) == 0);
    }
    a.any.sa_family = AF_UNIX;
    CHECK(!address_may(&a.any, NULL) && *address_text(&a.any, out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct receiver *r = NULL;
    struct event_parcel p;
    struct fields_why why;
    unsigned char key[64];
    int n;

    memset(&why, 0, sizeof why);
    if (receiver_parse(text, size, &r, &why) < 0)
        check_why(&why);
    else
        check_receiver(r);
    receiver_free(&r);
    as_set(text, size);
    as_event(text, size);
    if (event_parcel_read(text, size, &p) == 0)
        CHECK(p.id_len <= size && p.body_len <= size && p.body + p.body_len == text + size);
    n = receiver_base64(text, size, key, sizeof key);
    CHECK(n <= (int)sizeof key);
    if (size < 64) {
        char *copy = must_strndup(text, size);

        as_net(copy);
        free(copy);
    }
    return 0;
}

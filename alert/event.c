/*
 * alert/event.c -- events written down, and their words filled in.
 */
#include "alert/event.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "digest/plain.h"
#include "job/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- evidence ---- */

static void put_line(struct json *j, const char *line, size_t len, struct buf *msg)
{
    struct record_view v;
    char ts[CLOCK_RFC3339_BYTES + 1];

    if (record_parse(line, len, &v) < 0)
        return;
    buf_clear(msg);
    if (record_msg(&v, msg) < 0)
        return;
    json_obj(j);
    json_ku64(j, "seq", v.seq);
    json_kstr(j, "ts", clock_rfc3339(v.ts_us, ts));
    if (v.rank != RECORD_RANK_NONE)
        json_ki64(j, "rank", v.rank);
    if (v.is_state)
        json_kstr(j, "state", state_name(v.state));
    else if (v.level != LEVEL_NONE)
        json_kstr(j, "level", level_name(v.level));
    json_kstrn(j, "msg", buf_cstr(msg), plain_cut(buf_cstr(msg), msg->len, EVENT_LINE_BYTES_MAX));
    json_end(j);
}

static void put_evidence(struct json *j, const struct event_context *c)
{
    const char *at = c->evidence, *end = c->evidence + c->evidence_len;
    struct buf msg = BUF_INIT;
    int n = 0;

    json_key(j, "evidence");
    json_arr(j);
    while (at < end && n++ < EVENT_LINES_BEFORE + 1 + EVENT_LINES_AFTER) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t len = nl ? (size_t)(nl - at) : (size_t)(end - at);
        put_line(j, at, len, &msg);
        at += len + 1;
    }
    json_end(j);
    buf_release(&msg);
}

/* ---- values for templates ---- */

struct values {
    const struct json_tree *event; /* or the core of one */
    const struct event_context *c; /* NULL: the event has all */
    struct buf text;
};

/* "[rank 3] text" a line. */
static void fill_evidence(struct values *v)
{
    const struct json_tree *list = json_tree_get(v->event, "evidence");
    struct json_tree *made = NULL;
    struct buf json = BUF_INIT;
    struct json j;

    if (!list && v->c) {
        json_init(&j, &json);
        json_obj(&j);
        put_evidence(&j, v->c);
        json_end(&j);
        if (json_tree_parse_own(buf_cstr(&json), json.len, &made) == 0)
            list = json_tree_get(made, "evidence");
    }
    for (const struct json_tree *l = json_tree_first(list); l; l = json_tree_next(l)) {
        int64_t rank;
        if (json_tree_get_i64(l, "rank", &rank) > 0)
            buf_addf(&v->text, "[rank %" PRId64 "] ", rank);
        buf_addf(&v->text, "%s\n", json_tree_str(json_tree_get(l, "msg")));
    }
    if (v->text.len)
        v->text.data[--v->text.len] = '\0';
    json_tree_free(&made);
    buf_release(&json);
}

/* "" when there are no links. */
static void add_url(struct buf *url, const char *public_url, const struct json_tree *core)
{
    const char *project = json_tree_str(json_tree_get(core, "project")),
               *job = json_tree_str(json_tree_get(core, "job"));
    int64_t seq = 0;

    if (!public_url || !*public_url || !project || !job)
        return;
    json_tree_get_i64(core, "seq", &seq);
    buf_addf(url, "%s/jobs/%s/%s", public_url, project, job);
    if (seq > 0)
        buf_addf(url, "#L%" PRId64, seq);
}

static const struct json_tree *find_value(const struct values *v, const char *name)
{
    const char *dot = strchr(name, '.');
    char group[16];

    if (!dot)
        return json_tree_get(v->event, name);
    snprintf(group, sizeof group, "%.*s", (int)(dot - name), name);
    return json_tree_get(json_tree_get(v->event, group), dot + 1);
}

static const char *value_of(void *user, const char *name, size_t *ret_len)
{
    struct values *v = user;
    const struct json_tree *found;
    int64_t whole;

    buf_clear(&v->text);
    if (strcmp(name, "evidence") == 0) {
        fill_evidence(v);
    } else if (strcmp(name, "postmortem") == 0) {
        const struct json_tree *p = v->c ? v->c->postmortem : json_tree_get(v->event, "postmortem");
        const char *sentence = json_tree_str(json_tree_get(p, "sentence"));
        buf_adds(&v->text, sentence ? sentence : "");
    } else if (strcmp(name, "url") == 0 && v->c) {
        add_url(&v->text, v->c->public_url, v->event);
    } else if ((found = find_value(v, name)) == NULL) {
        return NULL;
    } else if (json_tree_str(found)) {
        buf_adds(&v->text, json_tree_str(found));
    } else if (json_tree_is_num(found)) {
        if (json_tree_i64(found, &whole) == 0)
            buf_addf(&v->text, "%" PRId64, whole);
        else
            buf_addf(&v->text, "%.6g", json_tree_double(found));
    } else {
        return NULL;
    }
    *ret_len = v->text.len;
    return buf_cstr(&v->text);
}

/* ---- alerts ---- */

/* "*" + "/id" or "project/id". */
static const struct rule *rule_of(const struct ruleset *s, const struct json_tree *core)
{
    const char *key = json_tree_str(json_tree_get(core, "rule_key")),
               *slash = key ? strchr(key, '/') : NULL;
    char project[ID_BYTES_MAX + 1];

    if (!slash || (size_t)(slash - key) >= sizeof project)
        return NULL;
    snprintf(project, sizeof project, "%.*s", (int)(slash - key), key);
    return ruleset_rule(s, strcmp(project, "*") == 0 ? "" : project, slash + 1);
}

static void put_annotations(struct json *j, const struct json_tree *core,
                            const struct event_context *c)
{
    const struct rule *r = rule_of(c->set, core);
    struct values v = {.event = core, .c = c};
    struct buf text = BUF_INIT;

    json_key(j, "annotations");
    json_obj(j);
    for (uint32_t i = 0; r && i < r->annotation_count; i++) {
        buf_clear(&text);
        if (template_render(r->templates[i], &text, 0, value_of, &v) == 0 && text.len)
            json_kstrn(j, r->annotations[i].name, text.data,
                       plain_cut(text.data, text.len, EVENT_ANNOTATION_BYTES_MAX));
    }
    json_end(j);
    buf_release(&text);
    buf_release(&v.text);
}

int event_alert(struct buf *out, const struct json_tree *core, const struct event_context *c)
{
    const char *project = json_tree_str(json_tree_get(core, "project")),
               *job = json_tree_str(json_tree_get(core, "job"));
    size_t start = out->len;
    struct buf url = BUF_INIT;
    struct json j;

    if (!project || !job || !json_tree_str(json_tree_get(core, "id")) ||
        !json_tree_str(json_tree_get(core, "status")))
        return ERR_INVALID;
    json_init(&j, out);
    json_obj(&j);
    json_kstr(&j, "type", "alert");
    for (const struct json_tree *v = json_tree_first(core); v; v = json_tree_next(v)) {
        if (strcmp(json_tree_key(v), "receivers") == 0 ||
            strcmp(json_tree_key(v), "max_per_hour") == 0)
            continue;
        json_key(&j, json_tree_key(v));
        json_tree_print(&j, v);
    }
    put_annotations(&j, core, c);
    put_evidence(&j, c);
    json_key(&j, "postmortem");
    c->postmortem ? json_tree_print(&j, c->postmortem) : json_null(&j);
    add_url(&url, c->public_url, core);
    if (url.len)
        json_kstr(&j, "url", url.data);
    buf_release(&url);
    json_end(&j);
    if (json_err(&j) == 0 && out->len - start > EVENT_BYTES_MAX)
        return ERR_TOO_BIG;
    return json_err(&j);
}

/* ---- states ---- */

int event_state(struct buf *out, const struct job_info *info, uint32_t i)
{
    const struct job_history *h =
        &info->history[i < info->history_count ? i : info->history_count - 1];
    int is_end = i == info->history_count;
    struct json j;

    json_init(&j, out);
    json_obj(&j);
    json_kstr(&j, "type", is_end ? "end" : "state");
    json_kstr(&j, "project", info->key.project);
    json_kstr(&j, "job", info->key.job);
    json_kstr(&j, "name", info->name);
    json_key(&j, "job_labels");
    json_raw(&j, info->labels_json ? info->labels_json : "{}",
             strlen(info->labels_json ? info->labels_json : "{}"));
    json_kstr(&j, "state", state_name(h->state));
    if (!is_end)
        json_kstr(&j, "from", i ? state_name(info->history[i - 1].state) : NULL);
    fields_put_time(&j, "at", is_end ? info->sealed_us : h->at_us);
    json_ku64(&j, "seq", is_end ? info->sealed_seq : h->seq);
    json_ku64(&j, "epoch", info->epoch);
    if (h->has_exit_code)
        json_ki64(&j, "exit_code", h->exit_code);
    if (h->rank != RECORD_RANK_NONE)
        json_ki64(&j, "rank", h->rank);
    if (h->message && *h->message)
        json_kstrn(&j, "message", h->message,
                   plain_cut(h->message, strlen(h->message), EVENT_ANNOTATION_BYTES_MAX));
    if (is_end) {
        json_ku64(&j, "lines", info->lines);
        json_ku64(&j, "bytes", info->bytes);
        json_kbool(&j, "complete", info->complete);
    }
    json_end(&j);
    return json_err(&j);
}

/* ---- what receivers get ---- */

int event_delivery(struct buf *out, const struct receiver *r, const struct json_tree *event,
                   const char *event_text, size_t event_len, int64_t now_us)
{
    const char *id = json_tree_str(json_tree_get(event, "id")),
               *status = json_tree_str(json_tree_get(event, "status"));
    char time[CLOCK_RFC3339_BYTES + 1];
    struct values v = {.event = event};
    int err;

    if (!id || !status || status[strspn(status, "abcdefghijklmnopqrstuvwxyz_")])
        return ERR_INVALID; /* it becomes part of a name */
    err = buf_addf(out, "%s %" PRId64 " ", id, now_us);
    if (err == 0 && r->kind == RECEIVER_JSON) {
        err = template_render(r->body_template, out, 1, value_of, &v);
        buf_release(&v.text);
    } else if (err == 0 && r->kind == RECEIVER_ALERTMANAGER) {
        err = buf_add(out, event_text, event_len);
    } else if (err == 0) {
        err = buf_addf(out, "{\"type\":\"alert.%s\",\"timestamp\":\"%s\",\"data\":", status,
                       clock_rfc3339(now_us, time));
        if (err == 0)
            err = buf_add(out, event_text, event_len);
        if (err == 0)
            err = buf_addc(out, '}');
    }
    return err;
}

int event_parcel_read(const char *text, size_t len, struct event_parcel *ret)
{
    const char *space = memchr(text, ' ', len),
               *second = space ? memchr(space + 1, ' ', len - (size_t)(space + 1 - text)) : NULL;
    char number[24];

    if (!second || second - space > 20)
        return ERR_CORRUPT;
    ret->id = text;
    ret->id_len = (size_t)(space - text);
    snprintf(number, sizeof number, "%.*s", (int)(second - space - 1), space + 1);
    ret->queued_us = strtoll(number, NULL, 10);
    ret->body = second + 1;
    ret->body_len = len - (size_t)(second + 1 - text);
    return 0;
}

static int64_t time_of(const struct json_tree *event, const char *key)
{
    const char *s = json_tree_str(json_tree_get(event, key));
    int64_t us = 0;

    return s && clock_parse_rfc3339(s, strlen(s), &us) == 0 ? us : 0;
}

static void put_strings(struct json *j, const struct json_tree *object)
{
    for (const struct json_tree *v = json_tree_first(object); v; v = json_tree_next(v))
        if (json_tree_str(v) && *json_tree_str(v))
            json_kstr(j, json_tree_key(v), json_tree_str(v));
}

/* Labels are the alert's identity there: nothing that differs between its firing and its end may be among them. */
static void put_labels(struct json *j, const struct json_tree *event)
{
    static const char *const own[] = {"project", "job", "severity"};
    const char *rule = json_tree_str(json_tree_get(event, "rule")),
               *fingerprint = json_tree_str(json_tree_get(event, "fingerprint"));
    int64_t rank;
    char text[24];

    json_key(j, "labels");
    json_obj(j);
    json_kstr(j, "alertname", rule ? rule : "joblog");
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (json_tree_str(json_tree_get(event, own[i])))
            json_kstr(j, own[i], json_tree_str(json_tree_get(event, own[i])));
    if (json_tree_get_i64(event, "rank", &rank) > 0) {
        snprintf(text, sizeof text, "%" PRId64, rank);
        json_kstr(j, "rank", text);
    }
    if (fingerprint)
        json_kstr(j, "group", fingerprint);
    for (const struct json_tree *v = json_tree_first(json_tree_get(event, "labels")); v;
         v = json_tree_next(v)) {
        const char *key = json_tree_key(v), *value = json_tree_str(v);
        if (value && *value && strcmp(key, "alertname") && strcmp(key, "project") &&
            strcmp(key, "job") && strcmp(key, "severity") && strcmp(key, "rank") &&
            strcmp(key, "group"))
            json_kstr(j, key, value);
    }
    json_end(j);
}

int event_alertmanager(struct buf *out, const struct json_tree *event, int64_t now_us)
{
    const char *status = json_tree_str(json_tree_get(event, "status")),
               *url = json_tree_str(json_tree_get(event, "url"));
    int64_t starts = time_of(event, "starts_at"), ends = time_of(event, "ends_at");
    int is_resolved = status && strcmp(status, "resolved") == 0;
    struct json j;

    if (!is_resolved && ends < now_us + EVENT_ALERTMANAGER_US)
        ends = now_us + EVENT_ALERTMANAGER_US;
    if (is_resolved && (ends == 0 || ends > now_us))
        ends = now_us;
    if (starts > ends)
        starts = ends;
    json_init(&j, out);
    json_arr(&j);
    json_obj(&j);
    put_labels(&j, event);
    json_key(&j, "annotations");
    json_obj(&j);
    put_strings(&j, json_tree_get(event, "annotations"));
    json_end(&j);
    fields_put_time(&j, "startsAt", starts);
    fields_put_time(&j, "endsAt", ends);
    if (url)
        json_kstr(&j, "generatorURL", url);
    json_end(&j);
    json_end(&j);
    return json_err(&j);
}

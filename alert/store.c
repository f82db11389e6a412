/*
 * alert/store.c -- rules and receivers where all nodes find them, and the ruleset made of them.
 *
 * Redis holds "revision json" under "scope/id" in two hashes and counts versions. A bell tells of a new
 * version, a look every STORE_LOOK_US is the safety net. What cannot be read (written by a newer joblog) is left
 * out and logged. Until Redis has answered for the first time there is no ruleset at all: nothing is evaluated with half
 * of the rules.
 */
#include "alert/alert_int.h"
#include "alert/receiver.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STORE_LOOK_US 5000000
#define STORE_VERSION_BYTES 24
#define STORE_FILE_BYTES_MAX (1024 * 1024)

struct store {
    struct alert *a;
    char *path;      /* the rules file; NULL: none */
    char *file_text; /* as it was good last; NULL: none */
    int64_t file_us; /* when that was written */
    struct ruleset *set;
    char version[STORE_VERSION_BYTES]; /* of Redis, "-" before the first answer */
    struct reply_pair {
        char *key, *value;
    } * rules, *receivers; /* as Redis gave them last */
    uint32_t rule_count, receiver_count;
    int looking, again;
    int64_t next_look_us;
};

/* ---- making the ruleset ---- */

static void free_pairs(struct reply_pair **pairs, uint32_t *count)
{
    for (uint32_t i = 0; i < *count; i++) {
        free((*pairs)[i].key);
        free((*pairs)[i].value);
    }
    free(*pairs);
    *pairs = NULL;
    *count = 0;
}

static void take_pairs(struct reply_pair **pairs, uint32_t *count, const struct reply *hash)
{
    free_pairs(pairs, count);
    *pairs = must_calloc(hash->count / 2 + 1, sizeof **pairs);
    for (uint32_t i = 0; i + 1 < hash->count; i += 2) {
        const struct reply *k = reply_at(hash, i), *v = reply_at(hash, i + 1);
        (*pairs)[*count].key = must_strndup(k->str, k->len);
        (*pairs)[(*count)++].value = must_strndup(v->str, v->len);
    }
}

/* "12 {…}" */
static const char *split_value(const char *value, uint64_t *ret_revision)
{
    char *end;

    *ret_revision = strtoull(value, &end, 10);
    return *end == ' ' ? end + 1 : NULL;
}

static void add_stored(struct store *s, struct ruleset_draft *d)
{
    struct fields_why why = {"", ""};
    uint64_t revision;

    for (uint32_t i = 0; i < s->rule_count; i++) {
        const char *json = split_value(s->rules[i].value, &revision);
        struct rule *r = NULL;
        if (!json || rule_parse(json, strlen(json), &r, &why) < 0) {
            log_error("alert", "a stored rule cannot be read: it is left out",
                      "rule=%s at=%s why=" LOG_Q("%s"), s->rules[i].key, why.path, why.text);
            continue;
        }
        r->revision = revision;
        ruleset_draft_rule(d, &r);
    }
    for (uint32_t i = 0; i < s->receiver_count; i++) {
        const char *json = split_value(s->receivers[i].value, &revision);
        struct receiver *r = NULL;
        if (!json || receiver_parse(json, strlen(json), &r, &why) < 0) {
            log_error("alert", "a stored receiver cannot be read: it is left out",
                      "receiver=%s at=%s why=" LOG_Q("%s"), s->receivers[i].key, why.path,
                      why.text);
            continue;
        }
        r->revision = revision;
        ruleset_draft_receiver(d, &r);
    }
}

static void make_set(struct store *s)
{
    struct ruleset_draft d = {0};
    struct fields_why why;
    int err;

    if (s->file_text) {
        err = ruleset_parse(s->file_text, strlen(s->file_text), SOURCE_FILE, s->file_us, &d, &why);
        CHECKF(err == 0, "it was good when it was read: %s", why.text);
    }
    add_stored(s, &d);
    err = ruleset_parse(ruleset_starter, strlen(ruleset_starter), SOURCE_STARTER, 1, &d, &why);
    CHECKF(err == 0, "%s: %s", why.path, why.text);
    ruleset_unref(&s->set);
    s->set = ruleset_make(&d);
    alert__ruleset_changed(s->a);
}

struct ruleset *store_ruleset(const struct alert *a)
{
    return a->store->set;
}

/* ---- the file ---- */

static int read_file(struct store *s, char **ret_text, int64_t *ret_us, char *why, size_t why_size)
{
    struct ruleset_draft d = {0};
    struct fields_why w;
    struct stat st;
    size_t len;
    int err = io_read_file(s->path, STORE_FILE_BYTES_MAX, ret_text, &len);

    if (err < 0 || stat(s->path, &st) < 0) {
        snprintf(why, why_size, "%s: %s", s->path, err_text(err < 0 ? err : ERR_IO));
        return ERR_INVALID;
    }
    *ret_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    err = strlen(*ret_text) != len ? ERR_INVALID
                                   : ruleset_parse(*ret_text, len, SOURCE_FILE, *ret_us, &d, &w);
    if (err < 0) {
        snprintf(why, why_size, "%s: %s: %s", s->path, strlen(*ret_text) != len ? "$" : w.path,
                 strlen(*ret_text) != len ? "it holds a NUL byte" : w.text);
        free(*ret_text);
        *ret_text = NULL;
    }
    ruleset_draft_release(&d);
    return err;
}

int store_reload(struct alert *a, char *why, size_t why_size)
{
    struct store *s = a->store;
    char *text = NULL;
    int64_t us;

    if (!s->path)
        return 0;
    if (read_file(s, &text, &us, why, why_size) < 0)
        return ERR_INVALID;
    free(s->file_text);
    s->file_text = text;
    s->file_us = us;
    if (s->set)
        make_set(s);
    return 0;
}

/* ---- Redis ---- */

static void on_loaded(void *user, int err, const struct reply *reply)
{
    struct store *s = user;

    s->looking = 0;
    if (err == ERR_CANCELLED)
        return;
    s->next_look_us = clock_mono_us() + STORE_LOOK_US;
    if (err == 0 && reply_i64(reply_at(reply, 4))) {
        snprintf(s->version, sizeof s->version, "%s", reply_at(reply, 1)->str);
        s->next_look_us = clock_mono_us() + STORE_LOOK_US;
        take_pairs(&s->rules, &s->rule_count, reply_at(reply, 2));
        take_pairs(&s->receivers, &s->receiver_count, reply_at(reply, 3));
        make_set(s);
    }
    if (s->again) {
        s->again = 0;
        store_look(s->a, 0);
    }
}

static void look(struct store *s, const char *known)
{
    struct conn_request *r = conn_request_new(0);

    s->looking = 1;
    alert__script_begin(s->a, r, ALERT_RULES_KEY, "load", 1);
    conn_request_str(r, known);
    conn_send(s->a->cmd, &r, CONN_IDEMPOTENT, 0, on_loaded, s);
}

void store_look(struct alert *a, int fresh)
{
    struct store *s = a->store;

    if (fresh)
        strcpy(s->version, "-");
    if (a->closing || !a->cmd || !conn_is_open(a->cmd))
        return;
    if (s->looking)
        s->again = 1;
    else
        look(s, s->version);
}

void store_tick(struct alert *a)
{
    struct store *s = a->store;

    if (!s->looking && clock_mono_us() >= s->next_look_us)
        store_look(a, 0);
}

/* ---- changes ---- */

struct put {
    struct store *s;
    alert_put_fn *done;
    void *user;
    uint64_t revision;
    int err;
};

static void on_put_seen(void *user, int err, const struct reply *reply)
{
    struct put *p = user;

    if (err != ERR_CANCELLED)
        on_loaded(p->s, err, reply);
    p->done(p->user, p->err, p->revision);
    free(p);
}

static int put_err(const struct reply *reply)
{
    static const struct {
        const char *word;
        int err;
    } words[] = {{"EXISTS", ERR_EXISTS},
                 {"GONE", ERR_NOT_FOUND},
                 {"CHANGED", ERR_ORDER},
                 {"LIMIT", ERR_LIMIT}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(reply_at(reply, 0)->str, words[i].word) == 0)
            return words[i].err;
    return 0;
}

/* Done only when this node's ruleset holds the change: the next request sees it. */
static void on_put(void *user, int err, const struct reply *reply)
{
    struct put *p = user;
    struct conn_request *r;

    p->err = err < 0 ? err : put_err(reply);
    p->revision = err < 0 ? 0 : reply_u64(reply_at(reply, 1));
    if (p->err < 0) {
        p->done(p->user, p->err, p->revision);
        free(p);
        return;
    }
    r = conn_request_new(0);
    alert__script_begin(p->s->a, r, ALERT_RULES_KEY, "load", 1);
    conn_request_str(r, p->s->version);
    conn_send(p->s->a->cmd, &r, CONN_IDEMPOTENT, 0, on_put_seen, p);
}

static struct put *put_new(struct alert *a, alert_put_fn *done, void *user)
{
    struct put *p = must_calloc(1, sizeof *p);

    p->s = a->store;
    p->done = done;
    p->user = user;
    return p;
}

static void put_json(struct alert *a, const char *hash, const char *key, uint64_t expected,
                     const struct buf *json, int max, struct put *p)
{
    struct conn_request *r = conn_request_new(json->len + 256);

    alert__script_begin(a, r, ALERT_RULES_KEY, "put", 5);
    conn_request_str(r, hash);
    conn_request_str(r, key);
    if (expected == ALERT_ANY)
        conn_request_str(r, "-");
    else
        conn_request_u64(r, expected);
    conn_request_arg(r, json->data, json->len);
    conn_request_i64(r, max);
    conn_send(a->cmd, &r, expected == ALERT_ANY ? CONN_IDEMPOTENT : 0, 0, on_put, p);
}

void alert_put_rule(struct alert *a, struct rule **rule, uint64_t expected, alert_put_fn *done,
                    void *user)
{
    struct rule *r = *rule;
    const struct rule *old = a->store->set ? ruleset_rule(a->store->set, r->project, r->id) : NULL;
    int64_t now = clock_wall_us();
    char key[RULE_KEY_BYTES];
    struct buf json = BUF_INIT;

    *rule = NULL;
    if (old && old->source == SOURCE_STARTER)
        old = NULL;
    r->source = SOURCE_API;
    r->created_us = old && old->created_us ? old->created_us : now;
    r->updated_us = now;
    r->enabled_us = old && old->enabled && rule_condition_hash(old) == rule_condition_hash(r)
                        ? old->enabled_us
                        : now;
    rule_write(&json, r);
    put_json(a, "rules", rule_key(r->project, r->id, key), expected, &json, RULES_MAX,
             put_new(a, done, user));
    buf_release(&json);
    rule_free(&r);
}

void alert_put_receiver(struct alert *a, struct receiver **receiver, uint64_t expected,
                        alert_put_fn *done, void *user)
{
    struct receiver *r = *receiver;
    const struct receiver *old =
        a->store->set ? ruleset_receiver(a->store->set, r->project, r->id) : NULL;
    int64_t now = clock_wall_us();
    char key[RULE_KEY_BYTES];
    struct buf json = BUF_INIT;

    *receiver = NULL;
    r->source = SOURCE_API;
    r->created_us = old && old->created_us ? old->created_us : now;
    r->updated_us = now;
    receiver_write(&json, r, 1);
    put_json(a, "receivers", rule_key(r->project, r->id, key), expected, &json, RECEIVERS_MAX,
             put_new(a, done, user));
    explicit_bzero(json.data, json.len);
    buf_release(&json);
    receiver_free(&r);
}

static void delete_key(struct alert *a, const char *hash, const char *project, const char *id,
                       alert_put_fn *done, void *user)
{
    struct conn_request *r = conn_request_new(0);
    char key[RULE_KEY_BYTES];

    alert__script_begin(a, r, ALERT_RULES_KEY, "del", 2);
    conn_request_str(r, hash);
    conn_request_str(r, rule_key(project, id, key));
    conn_send(a->cmd, &r, CONN_IDEMPOTENT, 0, on_put, put_new(a, done, user));
}

void alert_delete_rule(struct alert *a, const char *project, const char *id, alert_put_fn *done,
                       void *user)
{
    delete_key(a, "rules", project, id, done, user);
}

void alert_delete_receiver(struct alert *a, const char *project, const char *id, alert_put_fn *done,
                           void *user)
{
    delete_key(a, "receivers", project, id, done, user);
}

/* ---- patches ---- */

/* old with the members of patch; of the seven conditions the patch's own replaces the old one. */
static void merge(struct buf *out, const struct json_tree *old, const struct json_tree *patch)
{
    int has_condition = 0;
    struct json j;

    for (int k = 0; k < RULE_KIND_COUNT; k++)
        has_condition |= json_tree_get(patch, rule_kind_name((enum rule_kind)k)) != NULL;
    json_init(&j, out);
    json_obj(&j);
    for (const struct json_tree *v = json_tree_first(old); v; v = json_tree_next(v)) {
        const char *key = json_tree_key(v);
        int is_condition = 0;
        for (int k = 0; k < RULE_KIND_COUNT; k++)
            is_condition |= strcmp(key, rule_kind_name((enum rule_kind)k)) == 0;
        if (json_tree_get(patch, key) || (is_condition && has_condition))
            continue;
        json_key(&j, key);
        json_tree_print(&j, v);
    }
    for (const struct json_tree *v = json_tree_first(patch); v; v = json_tree_next(v)) {
        json_key(&j, json_tree_key(v));
        json_tree_print(&j, v);
    }
    json_end(&j);
}

/* What becomes of the text written in *text when patched. ERR_INVALID when the patch is no object. */
static int patch_text(struct buf *text, const struct json_tree *patch, struct fields_why *why)
{
    struct fields f = {patch, "$", why};
    struct json_tree *old = NULL;
    struct buf merged = BUF_INIT;

    if (!json_tree_is_obj(patch))
        return fields_fail(&f, NULL, "an object is wanted");
    CHECK(json_tree_parse_own(buf_cstr(text), text->len, &old) == 0);
    merge(&merged, old, patch);
    json_tree_free(&old);
    explicit_bzero(text->data, text->len);
    buf_release(text);
    *text = merged;
    return 0;
}

int rule_patch(const struct rule *r, const struct json_tree *patch, struct rule **ret_rule,
               struct fields_why *why)
{
    struct buf text = BUF_INIT;
    int err;

    rule_write(&text, r);
    err = patch_text(&text, patch, why);
    if (err == 0)
        err = rule_parse(buf_cstr(&text), text.len, ret_rule, why);
    buf_release(&text);
    return err;
}

int receiver_patch(const struct receiver *r, const struct json_tree *patch,
                   struct receiver **ret_receiver, struct fields_why *why)
{
    struct buf text = BUF_INIT;
    int err;

    receiver_write(&text, r, 1);
    err = patch_text(&text, patch, why);
    if (err == 0)
        err = receiver_parse(buf_cstr(&text), text.len, ret_receiver, why);
    explicit_bzero(text.data, text.len);
    buf_release(&text);
    return err;
}

/* ---- life ---- */

int store_open(struct alert *a, const char *rules_file, char *why, size_t why_size)
{
    struct store *s = must_calloc(1, sizeof *s);

    s->a = a;
    a->store = s;
    strcpy(s->version, "-");
    if (!rules_file || !*rules_file)
        return 0;
    s->path = must_strdup(rules_file);
    if (read_file(s, &s->file_text, &s->file_us, why, why_size) == 0)
        return 0;
    store_close(a);
    return ERR_INVALID;
}

void store_close(struct alert *a)
{
    struct store *s = a->store;

    a->store = NULL;
    free(s->path);
    free(s->file_text);
    free_pairs(&s->rules, &s->rule_count);
    free_pairs(&s->receivers, &s->receiver_count);
    ruleset_unref(&s->set);
    free(s);
}

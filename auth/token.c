/*
 * auth/token.c -- one token: made, counted, written and read.
 */
#include "auth/token.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned bit;
} scopes[] = {
#define X(name, word, bit) {#word, bit},
    SCOPE_TABLE(X)
#undef X
};
#define SCOPE_COUNT (sizeof scopes / sizeof *scopes)

struct token *token_new(void)
{
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* 32, none looks like another */
    struct token *t = must_calloc(1, sizeof *t);
    unsigned char random[TOKEN_ID_BYTES];

    hash_random(random, sizeof random);
    for (int i = 0; i < TOKEN_ID_BYTES; i++)
        t->id[i] = alphabet[random[i] % 32];
    t->refs = 1;
    return t;
}

struct token *token_ref(struct token *t)
{
    t->refs++;
    return t;
}

void token_unref(struct token **tp)
{
    struct token *t = *tp;

    *tp = NULL;
    if (!t)
        return;
    CHECK(t->refs > 0);
    if (--t->refs == 0)
        free(t);
}

enum token_state token_state(const struct token *t, int64_t now_us)
{
    if (t->revoked_us)
        return TOKEN_REVOKED;
    return t->expires_us && t->expires_us <= now_us ? TOKEN_EXPIRED : TOKEN_LIVE;
}

static unsigned scope_bit(const char *word, size_t len)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (strlen(scopes[i].name) == len && memcmp(scopes[i].name, word, len) == 0)
            return scopes[i].bit;
    return 0;
}

int scopes_parse(const char *text, unsigned *ret)
{
    unsigned all = 0;

    for (text += strspn(text, ", "); *text; text += strspn(text, ", ")) {
        size_t len = strcspn(text, ", ");
        unsigned bit = scope_bit(text, len);

        if (!bit)
            return ERR_INVALID;
        all |= bit;
        text += len;
    }
    if (!all)
        return ERR_INVALID;
    *ret = all & SCOPE_ADMIN ? SCOPE_ALL : all;
    return 0;
}

const char *scopes_text(unsigned set, char out[TOKEN_SCOPES_BYTES])
{
    out[0] = '\0';
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (set & scopes[i].bit)
            snprintf(out + strlen(out), TOKEN_SCOPES_BYTES - strlen(out), "%s%s", *out ? "," : "",
                     scopes[i].name);
    return out;
}

void scopes_json(struct json *j, unsigned set)
{
    json_arr(j);
    for (size_t i = 0; i < SCOPE_COUNT; i++)
        if (set & scopes[i].bit)
            json_str(j, scopes[i].name);
    json_end(j);
}

int token_name_valid(const char *name)
{
    size_t len = strlen(name);

    if (!len || len > TOKEN_NAME_BYTES_MAX || utf8_valid_prefix(name, len) != len)
        return 0;
    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) /* C0, DEL, C1 */
            return 0;
    return 1;
}

/* ---- JSON ---- */

static void write_time(struct json *j, const char *key, int64_t us)
{
    char text[CLOCK_RFC3339_BYTES + 1];

    json_kstr(j, key, us ? clock_rfc3339(us, text) : NULL);
}

void token_write_members(struct json *j, const struct token *t)
{
    json_kstr(j, "id", t->id);
    json_kstr(j, "name", t->name);
    json_kstr(j, "project", *t->project ? t->project : NULL);
    json_key(j, "scopes");
    scopes_json(j, t->scopes);
    write_time(j, "created_at", t->created_us);
    write_time(j, "expires_at", t->expires_us);
    write_time(j, "revoked_at", t->revoked_us);
    json_key(j, "quotas");
    quotas_write(j, &t->quotas);
}

void token_write(struct json *j, const struct token *t)
{
    char hex[HASH_HEX_BYTES + 1];

    json_obj(j);
    token_write_members(j, t);
    json_kstr(j, "sha256", hash_hex(t->hash, hex));
    json_end(j);
}

/* A time that may be null. */
static int read_time(const struct json_tree *v, const char *key, int64_t *ret)
{
    const char *text;
    int got = json_tree_get_str(v, key, &text);

    if (got <= 0)
        return got;
    return clock_parse_rfc3339(text, strlen(text), ret);
}

static int read_scopes(const struct json_tree *list, unsigned *ret)
{
    unsigned all = 0;

    for (const struct json_tree *i = json_tree_first(list); i; i = json_tree_next(i)) {
        const char *word = json_tree_str(i);
        unsigned bit = word ? scope_bit(word, strlen(word)) : 0;

        if (!bit)
            return ERR_INVALID;
        all |= bit;
    }
    *ret = all;
    return all ? 0 : ERR_INVALID;
}

int token_read(const struct json_tree *v, struct token **ret_token)
{
    const char *id, *name, *hex, *project = NULL;
    struct token t = {.refs = 1};

    if (json_tree_get_str(v, "id", &id) != 1 || strlen(id) != TOKEN_ID_BYTES ||
        !id_valid(id, TOKEN_ID_BYTES) || json_tree_get_str(v, "name", &name) != 1 ||
        !token_name_valid(name) || json_tree_get_str(v, "sha256", &hex) != 1 ||
        hash_parse(hex, t.hash) < 0 || json_tree_get_str(v, "project", &project) < 0 ||
        (project && !id_valid(project, strlen(project))) ||
        read_scopes(json_tree_get(v, "scopes"), &t.scopes) < 0 ||
        read_time(v, "created_at", &t.created_us) < 0 ||
        read_time(v, "expires_at", &t.expires_us) < 0 ||
        read_time(v, "revoked_at", &t.revoked_us) < 0 ||
        (json_tree_get(v, "quotas") && quotas_read(&t.quotas, json_tree_get(v, "quotas"), NULL) < 0))
        return ERR_INVALID;
    memcpy(t.id, id, sizeof t.id);
    snprintf(t.name, sizeof t.name, "%s", name);
    snprintf(t.project, sizeof t.project, "%s", project ? project : "");
    *ret_token = must_malloc(sizeof t);
    **ret_token = t;
    return 0;
}

int token_parse(const char *text, size_t len, struct token **ret_token)
{
    struct json_tree *v = NULL;
    int err = len > TOKEN_LINE_BYTES_MAX ? ERR_TOO_BIG : json_tree_parse(text, len, &v, NULL);

    if (err == 0)
        err = token_read(v, ret_token);
    json_tree_free(&v);
    return err;
}

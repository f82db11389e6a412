/*
 * clients/cli/cmd_token.c -- joblog token: make, list and revoke tokens.
 *
 * A fresh token goes to stdout and nothing else does, so that a script can keep it; what it is, is said
 * on stderr. `generate` asks no server: it prints what a file for joblogd --admin-token-file wants.
 */
#include "auth/secret.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "base/json.h"
#include "clients/cli/cli.h"
#include "clients/cli/term.h"
#include "job/id.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TOKENS_PATH "/v1/tokens"
#define NAME_COLUMNS 20
#define PROJECT_COLUMNS 14

struct token_options {
    struct args_common common;
    const char *name, *scope, *expires, *output;
    struct args_list quotas;
};

static const struct args_option options[] = {
    {0, "scope", ARGS_TEXT, offsetof(struct token_options, scope), "SCOPES",
     "create: read, ingest, admin (default read,ingest)", NULL, 0, 0},
    {0, "name", ARGS_TEXT, offsetof(struct token_options, name), "TEXT", "create: what it is for", NULL, 0, 0},
    {0, "expires", ARGS_TEXT, offsetof(struct token_options, expires), "WHEN",
     "create: 30d, 12h or 2027-01-31T00:00:00Z", NULL, 0, 0},
    {0, "quota", ARGS_LIST, offsetof(struct token_options, quotas), "NAME=N",
     "create: lines_per_second, bytes_per_second, live_jobs, tailers, stored_bytes", NULL, 0, 0},
    {'o', "output", ARGS_TEXT, offsetof(struct token_options, output), "FORM", "text, name (ids) or json",
     "text|name|json", 0, 0},
};

static int call(const struct http_server *s, const char *method, const char *path, const char *body, long want,
                struct json_tree **ret_root, struct http_reply *r)
{
    int err = http_call(s, method, path, body, CLI_CALL_US, r);
    struct json_tree *root = NULL;
    const char *message = NULL;
    int code;

    if (err < 0 || r->status == 401 || r->status == 403 || r->status >= 500)
        return cli_complain(s, NULL, err, r);
    if (r->status == want && (!ret_root || json_tree_parse_own(buf_cstr(&r->body), r->body.len, ret_root) == 0))
        return CLI_EXIT_OK;
    if (json_tree_parse_own(buf_cstr(&r->body), r->body.len, &root) == 0)
        json_tree_get_str(root, "message", &message);
    cli_say("%s", message ? message : "the server's answer is not understood");
    code = r->status == 400 ? CLI_EXIT_USAGE : CLI_EXIT_FAILED;
    json_tree_free(&root);
    return code;
}

static int print(const char *text, size_t len)
{
    return cli_print(text, len) < 0 ? CLI_EXIT_CANNOT : CLI_EXIT_OK;
}

/* ---- create ---- */

/* "2027-…" is a time, the rest a duration, which the server's clock counts. */
static void add_expiry(struct json *j, const char *expires)
{
    int64_t us;

    json_kstr(j, clock_parse_rfc3339(expires, strlen(expires), &us) == 0 ? "expires_at" : "expires_in", expires);
}

/* --quota stored_bytes=10GiB; may be repeated. Which names there are, the server knows. */
static int add_quotas(struct json *j, const struct args_list *list)
{
    if (!list->count)
        return 0;
    json_key(j, "quotas");
    json_obj(j);
    for (unsigned i = 0; i < list->count; i++) {
        const char *text = list->items[i], *eq = strchr(text, '=');
        char name[32];
        int64_t value;

        if (!eq || eq == text || (size_t)(eq - text) >= sizeof name || config_parse_bytes(eq + 1, &value) < 0) {
            cli_say("--quota %s: NAME=NUMBER is wanted, like lines_per_second=1000 or stored_bytes=10GiB", text);
            return ERR_INVALID;
        }
        snprintf(name, sizeof name, "%.*s", (int)(eq - text), text);
        json_ki64(j, name, value);
    }
    json_end(j);
    return 0;
}

static void describe(const struct json_tree *t)
{
    const char *id = "", *name = "", *project = NULL, *expires = NULL;
    struct buf scopes = BUF_INIT;

    json_tree_get_str(t, "id", &id);
    json_tree_get_str(t, "name", &name);
    json_tree_get_str(t, "project", &project);
    json_tree_get_str(t, "expires_at", &expires);
    for (const struct json_tree *i = json_tree_first(json_tree_get(t, "scopes")); i; i = json_tree_next(i))
        buf_addf(&scopes, "%s%s", scopes.len ? "," : "", json_tree_str(i) ? json_tree_str(i) : "?");
    cli_say("token %s (%s): %s on %s%s, %s%s. It is shown this once.", id, name, buf_cstr(&scopes),
            project ? "project " : "all projects", project ? project : "", expires ? "expires " : "does not expire",
            expires ? expires : "");
    buf_release(&scopes);
}

static int create(const struct token_options *o, const struct http_server *s)
{
    struct http_reply r = {0};
    struct json_tree *root = NULL;
    struct buf body = BUF_INIT;
    const char *token = NULL;
    struct json j;
    int code;

    json_init(&j, &body);
    json_obj(&j);
    json_kstr(&j, "scopes", o->scope ? o->scope : "read,ingest");
    if (o->name)
        json_kstr(&j, "name", o->name);
    if (o->common.project)
        json_kstr(&j, "project", o->common.project);
    if (o->expires)
        add_expiry(&j, o->expires);
    if (add_quotas(&j, &o->quotas) < 0) {
        buf_release(&body);
        return CLI_EXIT_USAGE;
    }
    json_end(&j);
    code = call(s, "POST", TOKENS_PATH, buf_cstr(&body), 201, &root, &r);
    if (code == CLI_EXIT_OK && !strcmp(o->output, "json")) {
        code = print(r.body.data, r.body.len);
    } else if (code == CLI_EXIT_OK && json_tree_get_str(root, "token", &token) == 1) {
        buf_clear(&body);
        buf_addf(&body, "%s\n", token);
        describe(root);
        code = print(body.data, body.len);
    }
    json_tree_free(&root);
    buf_release(&body);
    http_reply_release(&r);
    return code;
}

/* ---- list ---- */

static const char *text_of(const struct json_tree *t, const char *key, const char *fallback)
{
    const char *v = NULL;

    json_tree_get_str(t, key, &v);
    return v ? v : fallback;
}

static void add_row(struct buf *out, const struct json_tree *t)
{
    struct buf scopes = BUF_INIT, name = BUF_INIT;
    const char *until = text_of(t, "expires_at", "never");

    for (const struct json_tree *i = json_tree_first(json_tree_get(t, "scopes")); i; i = json_tree_next(i))
        buf_addf(&scopes, "%s%s", scopes.len ? "," : "", json_tree_str(i) ? json_tree_str(i) : "?");
    term_clean_row(&name, text_of(t, "name", ""), strlen(text_of(t, "name", "")), NAME_COLUMNS);
    buf_addf(out, "%-12s  %-*s  %-*s  %-17s  %-7s  %.16s\n", text_of(t, "id", "?"), NAME_COLUMNS, buf_cstr(&name),
             PROJECT_COLUMNS, text_of(t, "project", "(all)"), buf_cstr(&scopes), text_of(t, "state", "?"), until);
    buf_release(&scopes);
    buf_release(&name);
}

static int list(const struct token_options *o, const struct http_server *s)
{
    struct http_reply r = {0};
    struct json_tree *root = NULL;
    struct buf out = BUF_INIT;
    int code = call(s, "GET", TOKENS_PATH, NULL, 200, &root, &r);

    if (code == CLI_EXIT_OK && !strcmp(o->output, "json"))
        buf_add(&out, r.body.data, r.body.len);
    else if (code == CLI_EXIT_OK && !strcmp(o->output, "text"))
        buf_addf(&out, "%-12s  %-*s  %-*s  %-17s  %-7s  %s\n", "ID", NAME_COLUMNS, "NAME", PROJECT_COLUMNS, "PROJECT",
                 "SCOPES", "STATE", "EXPIRES (UTC)");
    if (code == CLI_EXIT_OK && strcmp(o->output, "json") != 0)
        for (const struct json_tree *t = json_tree_first(json_tree_get(root, "tokens")); t; t = json_tree_next(t)) {
            if (!strcmp(o->output, "name"))
                buf_addf(&out, "%s\n", text_of(t, "id", "?"));
            else
                add_row(&out, t);
        }
    if (code == CLI_EXIT_OK)
        code = print(out.data ? out.data : "", out.len);
    json_tree_free(&root);
    buf_release(&out);
    http_reply_release(&r);
    return code;
}

/* ---- revoke, generate ---- */

static int revoke_token(const struct http_server *s, const char *id)
{
    struct http_reply r = {0};
    struct buf path = BUF_INIT;
    int code;

    if (!id_valid(id, strlen(id))) {
        cli_say("%s is no token id; joblog token list shows them", id);
        return CLI_EXIT_USAGE;
    }
    buf_addf(&path, TOKENS_PATH "/%s", id);
    code = call(s, "DELETE", buf_cstr(&path), NULL, 204, NULL, &r);
    buf_release(&path);
    http_reply_release(&r);
    return code;
}

static int generate(void)
{
    char text[SECRET_BYTES + 2];

    secret_make(SECRET_TOKEN, text);
    text[SECRET_BYTES] = '\n';
    return print(text, SECRET_BYTES + 1);
}

static int main_token(int argc, char **argv)
{
    struct token_options o = {.output = "text"};
    struct http_server s;
    char **operands;
    const char *verb;
    unsigned count;
    int code;

    if (args_begin(&cli_token, argc, argv, &o, &operands, &count, &code))
        return code;
    verb = operands[0];
    if ((strcmp(verb, "revoke") == 0) != (count == 2)) {
        cli_say(count == 2 ? "token %s takes no operand" : "token %s: an id is wanted; joblog token list shows them", verb);
        return CLI_EXIT_USAGE;
    }
    if (!strcmp(verb, "generate"))
        return generate();
    if (cli_server(&o.common, &s) < 0)
        return CLI_EXIT_USAGE;
    cli_catch_signals();
    if (!strcmp(verb, "create"))
        return create(&o, &s);
    if (!strcmp(verb, "list"))
        return list(&o, &s);
    if (!strcmp(verb, "revoke"))
        return revoke_token(&s, operands[1]);
    cli_say("there is no token %s: create, list, revoke, generate", verb);
    return CLI_EXIT_USAGE;
}

const struct args_command cli_token = {
    .name = "token",
    .usage = "token create|list|revoke ID|generate [options]",
    .summary = "Make, list and revoke tokens. From the first one on, requests need one.",
    .example = "  joblog token create --scope admin --name root > root.token\n"
               "  joblog token create --scope ingest --project vision --expires 30d\n"
               "  joblog token revoke 7h2k9q4m1x0c",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 2,
    .main = main_token,
};

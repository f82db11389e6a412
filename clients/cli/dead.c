/*
 * clients/cli/dead.c -- the deliveries of a server, for people.
 */
#include "clients/cli/dead.h"

#include "base/err.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "clients/cli/cli.h"
#include "clients/cli/term.h"
#include "job/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE "200"

static const char *text_of(const struct json_tree *v, const char *key)
{
    const char *s = NULL;

    json_tree_get_str(v, key, &s);
    return s ? s : "-";
}

static long long number_of(const struct json_tree *v, const char *key)
{
    int64_t n = 0;

    json_tree_get_i64(v, key, &n);
    return (long long)n;
}

static int write_out(struct buf *out)
{
    if (cli_print(out->data ? out->data : "", out->len) == ERR_CLOSED)
        cli_die_of_pipe();
    buf_release(out);
    return CLI_EXIT_OK;
}

/* The answer of 2xx as a tree in *ret; else it was said and the exit code is returned. */
static int ask(const struct http_server *s, const char *method, const char *path, const char *body,
               struct http_reply *r, struct json_tree **ret)
{
    int err = http_call(s, method, path, body, CLI_CALL_US, r);

    if (err < 0 || r->status >= 300)
        return cli_complain(s, NULL, err, r);
    if (json_tree_parse_max(buf_cstr(&r->body), r->body.len, 128UL << 20, ret, NULL) == 0)
        return CLI_EXIT_OK;
    cli_say("%s answered something that is no JSON", s->url);
    return CLI_EXIT_CANNOT;
}

/* ---- what waits ---- */

int dead_waiting(const struct http_server *s, const char *output)
{
    struct http_reply r = {0};
    struct json_tree *root = NULL;
    struct buf out = BUF_INIT;
    int code = ask(s, "GET", "/v1/deliveries", NULL, &r, &root);

    if (!code && !strcmp(output, "json")) {
        buf_add(&out, r.body.data, r.body.len);
    } else if (!code) {
        buf_addf(&out, "%-16s %-10s %-4s %8s %12s  %s\n", "RECEIVER", "PROJECT", "ON", "WAITING",
                 "BYTES", "NEXT TRY");
        for (const struct json_tree *v = json_tree_first(json_tree_get(root, "receivers")); v;
             v = json_tree_next(v))
            buf_addf(&out, "%-16s %-10s %-4s %8lld %12lld  %s\n", text_of(v, "receiver"),
                     text_of(v, "project"),
                     json_tree_true(json_tree_get(v, "enabled")) ? "yes" : "no",
                     number_of(v, "queued"), number_of(v, "queued_bytes"), text_of(v, "next_at"));
    }
    write_out(&out);
    if (!code && number_of(root, "dead") > 0)
        cli_say("%lld were given up: joblog receivers dead", number_of(root, "dead"));
    json_tree_free(&root);
    http_reply_release(&r);
    return code;
}

/* ---- what was given up ---- */

static void add_row(struct buf *out, const struct json_tree *v, const char *output)
{
    struct json j;

    if (!strcmp(output, "json")) {
        json_init(&j, out);
        json_tree_print(&j, v);
        buf_addc(out, '\n');
        return;
    }
    if (!strcmp(output, "name")) {
        buf_addf(out, "%s\n", text_of(v, "id"));
        return;
    }
    buf_addf(out, "%-20s %-20.19s %-14s %s/%s %s: %lld attempts, ", text_of(v, "id"),
             text_of(v, "at"), text_of(v, "receiver"), text_of(v, "job_project"), text_of(v, "job"),
             text_of(v, "rule"), number_of(v, "attempts"));
    term_clean(out, text_of(v, "why"), strlen(text_of(v, "why")), TERM_COLOR_DROP, NULL);
    buf_addc(out, '\n');
}

int dead_list(const struct http_server *s, const char *receiver, const char *output)
{
    char after[64] = "";
    struct buf out = BUF_INIT;
    int code, is_first = 1;

    do {
        struct buf path = BUF_INIT;
        struct http_reply r = {0};
        struct json_tree *root = NULL;

        buf_adds(&path, "/v1/deliveries/dead");
        http_arg(&path, "limit", PAGE);
        if (receiver)
            http_arg(&path, "receiver", receiver);
        if (*after)
            http_arg(&path, "after", after);
        code = ask(s, "GET", buf_cstr(&path), NULL, &r, &root);
        *after = '\0';
        if (!code) {
            const struct json_tree *v = json_tree_first(json_tree_get(root, "dead"));
            if (is_first && v && !strcmp(output, "table"))
                buf_addf(&out, "%-20s %-20s %-14s %s\n", "DEAD LETTER", "GIVEN UP", "RECEIVER",
                         "JOB RULE: WHY");
            for (; v; v = json_tree_next(v))
                add_row(&out, v, output);
            if (json_tree_str(json_tree_get(root, "next")))
                snprintf(after, sizeof after, "%s", json_tree_str(json_tree_get(root, "next")));
        }
        is_first = 0;
        json_tree_free(&root);
        http_reply_release(&r);
        buf_release(&path);
        write_out(&out);
        buf_init(&out, 0);
    } while (!code && *after);
    return code;
}

/* ---- moving ---- */

static int is_letter(const char *word)
{
    size_t a = strspn(word, "0123456789"),
           b = word[a] == '-' ? strspn(word + a + 1, "0123456789") : 0;

    return a && b && word[a + 1 + b] == '\0';
}

/* ERR_INVALID: it was said why. */
static int body_of(struct buf *body, char **words, unsigned count, int all)
{
    struct json j;

    json_init(&j, body);
    json_obj(&j);
    if (count == 0 && all) {
        json_kbool(&j, "all", 1);
    } else if (count == 1 && !all && !is_letter(words[0]) && id_valid(words[0], strlen(words[0]))) {
        json_kstr(&j, "receiver", words[0]);
    } else if (count && !all) {
        json_key(&j, "ids");
        json_arr(&j);
        for (unsigned i = 0; i < count; i++) {
            if (!is_letter(words[i])) {
                cli_say("%s is no dead letter: joblog receivers dead lists them", words[i]);
                return ERR_INVALID;
            }
            json_str(&j, words[i]);
        }
        json_end(&j);
    } else {
        cli_say("dead letters, one receiver, or --all is wanted");
        return ERR_INVALID;
    }
    json_end(&j);
    return 0;
}

int dead_move(const struct http_server *s, const char *verb, char **words, unsigned count, int all)
{
    int is_replay = !strcmp(verb, "replay"), code = CLI_EXIT_USAGE;
    struct buf body = BUF_INIT;
    struct http_reply r = {0};
    struct json_tree *root = NULL;
    long long moved;

    if (body_of(&body, words, count, all) < 0)
        goto out;
    code = ask(s, "POST", is_replay ? "/v1/deliveries/replay" : "/v1/deliveries/drop",
               buf_cstr(&body), &r, &root);
    if (code)
        goto out;
    moved = number_of(root, is_replay ? "replayed" : "dropped");
    cli_say("%lld %s", moved, is_replay ? "sent again" : "thrown away");
    if (!moved)
        code = CLI_EXIT_FAILED;
out:
    json_tree_free(&root);
    http_reply_release(&r);
    buf_release(&body);
    return code;
}

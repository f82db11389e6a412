/*
 * clients/cli/cmd_rules.c -- joblog rules and joblog receivers: alert rules, and where alerts are sent.
 *
 * Both lists know the same verbs; the server checks what is written and names the place of a mistake.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "clients/cli/cli.h"
#include "clients/cli/dead.h"
#include "clients/cli/term.h"
#include "job/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1024 * 1024)
#define TEST_US INT64_C(600000000) /* a long log is read whole */

struct rules_options {
    struct args_common common;
    const char *output;
    int replace, all;
};

static const struct args_option options[] = {
    {'o', "output", ARGS_TEXT, offsetof(struct rules_options, output), "FORM",
     "list: table, name or json", "table|name|json", 0, 0},
    {0, "replace", ARGS_FLAG, offsetof(struct rules_options, replace), NULL,
     "add: in place of what is there", NULL, 0, 0},
    {0, "all", ARGS_FLAG, offsetof(struct rules_options, all), NULL,
     "receivers replay, drop: every dead letter (1000 at a time)", NULL, 0, 0},
};

/* One invocation. */
struct rules {
    const struct rules_options *o;
    struct http_server server;
    const char *list, *word; /* "rules", "rule" */
};

/* ---- requests ---- */

static void add_path(struct buf *path, const struct rules *c, const char *id, const char *verb)
{
    buf_addf(path, "/v1/%s", c->list);
    if (id)
        buf_addf(path, "/%s", id);
    if (verb)
        buf_addf(path, "/%s", verb);
    if (c->server.project)
        http_arg(path, "project", c->server.project);
}

static int check_id(const struct rules *c, const char *id)
{
    if (id_valid(id, strlen(id)))
        return 0;
    cli_say("%s is no id of a %s: letters, digits, '.', '_', '-', at most %d", id, c->word,
            ID_BYTES_MAX);
    return ERR_INVALID;
}

static int complain(const struct rules *c, const char *id, int err, const struct http_reply *r)
{
    if (err >= 0 && r->status == 404 && id) {
        cli_say("there is no %s %s%s%s on %s", c->word, id, c->server.project ? " in project " : "",
                c->server.project ? c->server.project : "", c->server.url);
        return CLI_EXIT_FAILED;
    }
    return cli_complain(&c->server, NULL, err, r);
}

/* An answer of 2xx in ret; else it was said and the exit code is returned. */
static int call(const struct rules *c, const char *method, const char *id, const char *verb,
                const char *body, struct http_reply *ret)
{
    struct buf path = BUF_INIT;
    int err, code = CLI_EXIT_OK;

    add_path(&path, c, id, verb);
    err = http_call(&c->server, method, buf_cstr(&path), body, CLI_CALL_US, ret);
    if (err < 0 || ret->status >= 300)
        code = complain(c, id, err, ret);
    buf_release(&path);
    return code;
}

/* Titles, lines and labels are other people's: on a terminal only text passes. */
static int write_out(const char *data, size_t len)
{
    if (cli_print(data, len) == ERR_CLOSED)
        cli_die_of_pipe();
    return CLI_EXIT_OK;
}

/* ---- list and show ---- */

static const char *text_of(const struct json_tree *v, const char *key)
{
    const char *s = NULL;

    json_tree_get_str(v, key, &s);
    return s ? s : "-";
}

/* "line", "silence" …: the member that holds the condition; of a receiver its kind. */
static const char *kind_of(const struct json_tree *v)
{
    static const char *const kinds[] = {"state", "line",  "silence", "absence",
                                        "rate",  "stall", "metric"};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (json_tree_is_obj(json_tree_get(v, kinds[i])))
            return kinds[i];
    return text_of(v, "kind");
}

static const char *status_of(const struct json_tree *v)
{
    int64_t until;
    const char *muted = NULL;

    if (!json_tree_true(json_tree_get(v, "enabled")))
        return "off";
    if (json_tree_get_str(v, "muted_until", &muted) > 0 &&
        clock_parse_rfc3339(muted, strlen(muted), &until) == 0 && until > clock_wall_us())
        return "muted";
    return "on";
}

static void add_table(struct buf *out, const struct rules *c, const struct json_tree *list)
{
    int width = 12, is_rules = strcmp(c->list, "rules") == 0;

    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v))
        if ((int)strlen(text_of(v, "id")) > width)
            width = (int)strlen(text_of(v, "id"));
    buf_addf(out, "%-*s  %-7s %-8s %-10s %-9s %s\n", width, is_rules ? "RULE" : "RECEIVER",
             "STATUS", "SOURCE", "PROJECT", is_rules ? "SEVERITY" : "KIND",
             is_rules ? "CONDITION, TITLE" : "URL");
    for (const struct json_tree *v = json_tree_first(list); v; v = json_tree_next(v)) {
        buf_addf(out, "%-*s  %-7s %-8s %-10s ", width, text_of(v, "id"), status_of(v),
                 text_of(v, "source"), text_of(v, "project"));
        if (is_rules)
            buf_addf(out, "%-9s %s: %s\n", text_of(v, "severity"), kind_of(v), text_of(v, "title"));
        else
            buf_addf(out, "%-12s %s\n", kind_of(v), text_of(v, "url"));
    }
}

static int list(const struct rules *c)
{
    struct http_reply r = {0};
    struct json_tree *root = NULL;
    struct buf out = BUF_INIT;
    int code = call(c, "GET", NULL, NULL, NULL, &r);

    if (code)
        goto out;
    if (!strcmp(c->o->output, "json")) {
        code = write_out(r.body.data, r.body.len);
    } else if (json_tree_parse_own(buf_cstr(&r.body), r.body.len, &root) < 0) {
        cli_say("%s answered something that is no JSON", c->server.url);
        code = CLI_EXIT_CANNOT;
    } else {
        const struct json_tree *all = json_tree_get(root, c->list);
        if (!strcmp(c->o->output, "table"))
            add_table(&out, c, all);
        else
            for (const struct json_tree *v = json_tree_first(all); v; v = json_tree_next(v))
                buf_addf(&out, "%s\n", text_of(v, "id"));
        code = write_out(out.data, out.len);
    }
out:
    json_tree_free(&root);
    http_reply_release(&r);
    buf_release(&out);
    return code;
}

static int show(const struct rules *c, const char *id)
{
    struct http_reply r = {0};
    int code = call(c, "GET", id, NULL, NULL, &r);

    if (!code)
        code = write_out(r.body.data, r.body.len);
    http_reply_release(&r);
    return code;
}

/* ---- changes ---- */

static int patch(const struct rules *c, const char *id, const char *body)
{
    struct http_reply r = {0};
    int code = call(c, "PATCH", id, NULL, body, &r);

    http_reply_release(&r);
    return code;
}

/* until NULL: an hour is the least surprising; "off" ends it. */
static int mute(const struct rules *c, const char *id, const char *span)
{
    char time[CLOCK_RFC3339_BYTES + 1], body[80];
    int64_t us = INT64_C(3600000000);

    if (span && !strcmp(span, "off"))
        return patch(c, id, "{\"muted_until\":null}");
    if (span && (clock_parse_duration(span, strlen(span), &us) < 0 || us <= 0)) {
        cli_say("%s is no time: 30m, 2h, 1d or off", span);
        return CLI_EXIT_USAGE;
    }
    snprintf(body, sizeof body, "{\"muted_until\":\"%s\"}",
             clock_rfc3339(clock_wall_us() + us, time));
    return patch(c, id, body);
}

static int remove_one(const struct rules *c, const char *id)
{
    struct http_reply r = {0};
    int code = call(c, "DELETE", id, NULL, NULL, &r);

    http_reply_release(&r);
    return code;
}

/* ---- add ---- */

/* path "-": stdin. */
static int read_input(const char *path, struct buf *out)
{
    char *data = NULL, chunk[16384];
    size_t len = 0;
    ssize_t n;
    int err = 0;

    buf_init(out, FILE_BYTES_MAX);
    if (strcmp(path, "-") == 0) {
        while ((n = read(STDIN_FILENO, chunk, sizeof chunk)) > 0 && err == 0)
            err = buf_add(out, chunk, (size_t)n);
    } else if ((err = io_read_file(path, FILE_BYTES_MAX, &data, &len)) == 0) {
        err = buf_add(out, data, len);
    }
    free(data);
    if (err < 0)
        cli_say("%s: %s", path, err_text(err));
    return err;
}

static int add_one(const struct rules *c, const struct json_tree *v)
{
    struct http_reply r = {0};
    struct buf body = BUF_INIT;
    struct json j;
    const char *id = text_of(v, "id");
    int code, by_id = c->o->replace && id_valid(id, strlen(id));

    json_init(&j, &body);
    json_tree_print(&j, v);
    code = call(c, by_id ? "PUT" : "POST", by_id ? id : NULL, NULL, buf_cstr(&body), &r);
    if (code)
        cli_say("%s %s was not added", c->word, id);
    http_reply_release(&r);
    buf_release(&body);
    return code;
}

/* One object, a list, or {"rules":[…]} as the server keeps its file. Stops at the first that is refused. */
static int add(const struct rules *c, const char *path)
{
    struct buf text = BUF_INIT;
    struct json_tree *root = NULL;
    const struct json_tree *all;
    size_t at = 0;
    int code = CLI_EXIT_OK;

    if (read_input(path, &text) < 0) {
        code = CLI_EXIT_USAGE;
    } else if (json_tree_parse(buf_cstr(&text), text.len, &root, &at) < 0) {
        cli_say("%s is not JSON: it cannot be read from byte %zu on", path, at);
        code = CLI_EXIT_USAGE;
    } else {
        all = json_tree_is_arr(root) ? root : json_tree_get(root, c->list);
        if (!json_tree_is_arr(all))
            code = add_one(c, root);
        else
            for (const struct json_tree *v = json_tree_first(all); v && !code;
                 v = json_tree_next(v))
                code = add_one(c, v);
    }
    json_tree_free(&root);
    buf_release(&text);
    return code;
}

/* ---- test ---- */

/* The rule's own text: of a file, or as the server has it. */
static int find_rule(const struct rules *c, const char *what, struct buf *out)
{
    struct http_reply r = {0};
    int code;

    if (strcmp(what, "-") == 0 || access(what, R_OK) == 0 || !id_valid(what, strlen(what)))
        return read_input(what, out) < 0 ? CLI_EXIT_USAGE : CLI_EXIT_OK;
    code = call(c, "GET", what, NULL, NULL, &r);
    if (!code)
        buf_add(out, r.body.data, r.body.len);
    http_reply_release(&r);
    return code;
}

static int print_test(const struct rules *c, const struct http_reply *r)
{
    const char *at = r->body.data ? r->body.data : "", *end = at + r->body.len;
    int code = CLI_EXIT_CANNOT;
    struct term term;
    struct buf out = BUF_INIT;

    term_init(&term, STDOUT_FILENO, "auto");
    while (at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        struct json_tree *v = NULL;
        int64_t records = 0, firing = 0, lost = 0;
        size_t len = nl ? (size_t)(nl - at) : (size_t)(end - at);
        if (json_tree_parse_own(at, len, &v) == 0 && !strcmp(text_of(v, "type"), "done")) {
            code = CLI_EXIT_OK;
            json_tree_get_i64(v, "records", &records);
            json_tree_get_i64(v, "firing", &firing);
            if (json_tree_get_i64(v, "lost", &lost) > 0)
                code = CLI_EXIT_CANNOT;
            cli_say("%lld records read%s: it would have fired %lld time%s", (long long)records,
                    lost ? ", some are lost" : "", (long long)firing, firing == 1 ? "" : "s");
        } else if (!strcmp(c->o->output, "json")) {
            buf_add(&out, at, len);
            buf_addc(&out, '\n');
        } else if (v) {
            cli_alert_row(&out, &term, v);
        }
        json_tree_free(&v);
        at += len + 1;
    }
    if (code == CLI_EXIT_CANNOT)
        cli_say("the answer is not complete");
    write_out(out.data ? out.data : "", out.len);
    buf_release(&out);
    return code;
}

static int test(const struct rules *c, const char *what, const char *job)
{
    struct buf body = BUF_INIT, path = BUF_INIT;
    struct http_reply r = {0};
    int code = find_rule(c, what, &body), err;

    if (code == CLI_EXIT_OK && cli_check_job(job) < 0)
        code = CLI_EXIT_USAGE;
    if (code == CLI_EXIT_OK) {
        buf_adds(&path, "/v1/rules/test");
        http_arg(&path, "job", job);
        if (c->server.project)
            http_arg(&path, "project", c->server.project);
        err = http_call(&c->server, "POST", buf_cstr(&path), buf_cstr(&body), TEST_US, &r);
        code =
            err < 0 || r.status != 200 ? cli_complain(&c->server, job, err, &r) : print_test(c, &r);
    }
    http_reply_release(&r);
    buf_release(&body);
    buf_release(&path);
    return code;
}

/* ---- the verbs ---- */

static int each(const struct rules *c, char **ids, unsigned count, const char *verb)
{
    int code = CLI_EXIT_OK;

    for (unsigned i = 0; i < count; i++) {
        int one;
        if (check_id(c, ids[i]) < 0)
            return CLI_EXIT_USAGE;
        if (!strcmp(verb, "show"))
            one = show(c, ids[i]);
        else if (!strcmp(verb, "rm"))
            one = remove_one(c, ids[i]);
        else
            one = patch(c, ids[i],
                        !strcmp(verb, "enable") ? "{\"enabled\":true}" : "{\"enabled\":false}");
        if (one)
            code = one;
    }
    return code;
}

static int usage(const struct args_command *command)
{
    cli_say("usage: joblog %s", command->usage);
    return CLI_EXIT_USAGE;
}

static int run_deliveries(const struct rules *c, const struct args_command *command,
                          const char *verb, char **rest, unsigned count)
{
    if (!strcmp(verb, "waiting") && count == 0)
        return dead_waiting(&c->server, c->o->output);
    if (!strcmp(verb, "dead") && count <= 1)
        return count && check_id(c, rest[0]) < 0
                   ? CLI_EXIT_USAGE
                   : dead_list(&c->server, count ? rest[0] : NULL, c->o->output);
    if (!strcmp(verb, "replay") || !strcmp(verb, "drop"))
        return dead_move(&c->server, verb, rest, count, c->o->all);
    return usage(command);
}

static int run_verb(const struct rules *c, const struct args_command *command, const char *verb,
                    char **rest, unsigned count)
{
    if (!strcmp(verb, "list") && count == 0)
        return list(c);
    if (!strcmp(verb, "add") && count == 1)
        return add(c, rest[0]);
    if ((!strcmp(verb, "show") || !strcmp(verb, "rm") || !strcmp(verb, "enable") ||
         !strcmp(verb, "disable")) &&
        count >= 1)
        return each(c, rest, count, verb);
    if (!strcmp(verb, "mute") && !strcmp(c->list, "rules") && (count == 1 || count == 2))
        return check_id(c, rest[0]) < 0 ? CLI_EXIT_USAGE
                                        : mute(c, rest[0], count == 2 ? rest[1] : NULL);
    if (!strcmp(verb, "test") && !strcmp(c->list, "rules") && count == 2)
        return test(c, rest[0], rest[1]);
    if (!strcmp(c->list, "receivers"))
        return run_deliveries(c, command, verb, rest, count);
    return usage(command);
}

static int run(const struct args_command *command, const char *list_name, const char *word,
               int argc, char **argv)
{
    struct rules_options o = {.output = "table"};
    struct rules c = {.o = &o, .list = list_name, .word = word};
    char **operands;
    unsigned count;
    int code;

    if (args_begin(command, argc, argv, &o, &operands, &count, &code))
        return code;
    if (cli_server(&o.common, &c.server) < 0)
        return CLI_EXIT_USAGE;
    return run_verb(&c, command, count ? operands[0] : "list", operands + 1, count ? count - 1 : 0);
}

static int main_rules(int argc, char **argv)
{
    return run(&cli_rules, "rules", "rule", argc, argv);
}

static int main_receivers(int argc, char **argv)
{
    return run(&cli_receivers, "receivers", "receiver", argc, argv);
}

const struct args_command cli_rules = {
    .name = "rules",
    .usage = "rules [list] | show|rm|enable|disable RULE… | add FILE|-\n"
             "       joblog rules mute RULE [TIME|off] | test RULE|FILE JOB",
    .summary = "Alert rules: list, show, add, remove, switch, mute them; test one on a job.",
    .example = "  joblog rules enable cuda-oom job-failed\n"
               "  joblog rules test nccl-timeout demo\n"
               "  joblog rules add rules.json --replace\n"
               "  joblog rules mute job-hung 2h",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_max = ARGS_ANY,
    .main = main_rules,
};

const struct args_command cli_receivers = {
    .name = "receivers",
    .usage = "receivers [list] | show|rm|enable|disable RECEIVER… | add FILE|-\n"
             "       joblog receivers waiting | dead [RECEIVER]\n"
             "       joblog receivers replay|drop LETTER…|RECEIVER|--all",
    .summary = "Where alerts are sent: list, show, add, remove and switch receivers.\n"
               "See what waits for them, send what was given up again.",
    .example = "  joblog receivers add pager.json\n"
               "  joblog receivers disable pager\n"
               "  joblog receivers dead\n"
               "  joblog receivers replay pager",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_max = ARGS_ANY,
    .main = main_receivers,
};

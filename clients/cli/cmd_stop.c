/*
 * clients/cli/cmd_stop.c -- joblog stop: a person ends a job, and with it the commands of its ranks.
 */
#include "base/err.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "clients/cli/cli.h"

#include <string.h>

struct stop_options {
    struct args_common common;
    const char *message;
};

static const struct args_option options[] = {
    {'m', "message", ARGS_TEXT, offsetof(struct stop_options, message), "TEXT",
     "why, for the log and for people", NULL, 0, 0},
};

/* 409: it has ended otherwise. The state it is in, or NULL. */
static const char *ended_as(const struct http_reply *r, struct json_tree **root)
{
    const char *state = NULL;

    if (r->status != 409 || json_tree_parse_own(r->body.data, r->body.len, root) < 0 ||
        json_tree_get_str(*root, "state", &state) <= 0)
        return NULL;
    return state;
}

static int stop(const struct stop_options *o, const struct http_server *s, const char *job)
{
    struct http_reply r = {0};
    struct json_tree *root = NULL;
    struct buf path = BUF_INIT, body = BUF_INIT;
    struct json j;
    const char *state;
    int err, code = CLI_EXIT_OK;

    cli_job_path(&path, s, job, "/stop");
    json_init(&j, &body);
    json_obj(&j);
    if (o->message)
        json_kstr(&j, "message", o->message);
    json_end(&j);
    err = http_call(s, "POST", buf_cstr(&path), buf_cstr(&body), CLI_CALL_US, &r);
    state = err >= 0 ? ended_as(&r, &root) : NULL;
    if (state) {
        cli_say("%s has ended already: it is %s", job, cli_short_state(state));
        code = CLI_EXIT_FAILED;
    } else if (err < 0 || r.status >= 300) {
        code = cli_complain(s, job, err, &r);
    }
    json_tree_free(&root);
    buf_release(&path);
    buf_release(&body);
    http_reply_release(&r);
    return code;
}

static int main_stop(int argc, char **argv)
{
    struct stop_options o = {.message = NULL};
    struct http_server s;
    char **operands;
    unsigned count;
    int code;

    if (args_begin(&cli_stop, argc, argv, &o, &operands, &count, &code))
        return code;
    if (cli_check_job(operands[0]) < 0 || cli_server(&o.common, &s) < 0)
        return CLI_EXIT_USAGE;
    return stop(&o, &s, operands[0]);
}

const struct args_command cli_stop = {
    .name = "stop",
    .usage = "stop JOB [-m TEXT]",
    .summary = "Stop a job: it is STOPPED, and joblog run ends the commands of its ranks.",
    .example = "  joblog stop demo -m 'wrong learning rate'",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
    .main = main_stop,
};

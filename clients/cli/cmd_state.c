/*
 * clients/cli/cmd_state.c -- joblog state and joblog rm: change a job by hand.
 */
#include "base/err.h"
#include "base/json.h"
#include "clients/cli/cli.h"
#include "job/record.h"
#include "job/state.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_CODE_MAX 1000000

struct state_options {
    struct args_common common;
    const char *message;
    int64_t exit_code, rank;
};

static const struct args_option state_options[] = {
    {'m', "message", ARGS_TEXT, offsetof(struct state_options, message), "TEXT",
     "why, for the log and for people", NULL, 0, 0},
    {0, "exit-code", ARGS_COUNT, offsetof(struct state_options, exit_code), "N",
     "the job's exit code", NULL, 0, EXIT_CODE_MAX},
    {0, "rank", ARGS_COUNT, offsetof(struct state_options, rank), "N", "the rank it comes from",
     NULL, 0, RECORD_RANK_MAX},
};

static int change(const struct state_options *o, const struct http_server *s, const char *job,
                  enum job_state to)
{
    struct http_reply r = {0};
    struct json_tree *root = NULL;
    struct buf path = BUF_INIT, body = BUF_INIT;
    struct json j;
    const char *from = NULL;
    int err, code = CLI_EXIT_OK;

    cli_job_path(&path, s, job, "/events");
    json_init(&j, &body);
    json_obj(&j);
    json_kstr(&j, "state", state_name(to));
    if (o->message)
        json_kstr(&j, "message", o->message);
    if (o->exit_code >= 0)
        json_ki64(&j, "exit_code", o->exit_code);
    if (o->rank >= 0)
        json_ki64(&j, "rank", o->rank);
    json_end(&j);
    err = http_call(s, "POST", buf_cstr(&path), buf_cstr(&body), CLI_CALL_US, &r);
    if (err >= 0 && r.status == 409 &&
        json_tree_parse_own(buf_cstr(&r.body), r.body.len, &root) == 0 &&
        json_tree_get_str(root, "state", &from) > 0) {
        cli_say("%s is %s and cannot become %s", job, cli_short_state(from), state_short(to));
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

static int main_state(int argc, char **argv)
{
    struct state_options o = {.exit_code = -1, .rank = -1};
    struct http_server s;
    enum job_state to;
    char **operands;
    unsigned count;
    int code;

    if (args_begin(&cli_state, argc, argv, &o, &operands, &count, &code))
        return code;
    if (cli_check_job(operands[0]) < 0 || cli_server(&o.common, &s) < 0)
        return CLI_EXIT_USAGE;
    if (state_parse(operands[1], strlen(operands[1]), &to) < 0) {
        cli_say("%s is no state; there are CREATED PENDING QUEUED DEPLOYING RUNNING COMPLETED "
                "FAILED STOPPED "
                "DEPLOY_FAILED",
                operands[1]);
        return CLI_EXIT_USAGE;
    }
    return change(&o, &s, operands[0], to);
}

const struct args_command cli_state = {
    .name = "state",
    .usage = "state JOB STATE [options]",
    .summary = "Move a job to a state. Exit code 1 when its state does not allow it.",
    .example = "  joblog state demo FAILED -m 'node lost' --exit-code 1",
    .options = state_options,
    .option_count = sizeof state_options / sizeof *state_options,
    .operands_min = 2,
    .operands_max = 2,
    .main = main_state,
};

struct rm_options {
    struct args_common common;
    int yes;
};

static const struct args_option rm_options[] = {
    {'y', "yes", ARGS_FLAG, offsetof(struct rm_options, yes), NULL, "do not ask", NULL, 0, 0},
};

/* Ask on the terminal; without one only -y will do. */
static int is_sure(const char *job)
{
    char answer[16];

    if (!isatty(STDIN_FILENO)) {
        cli_say("rm deletes the log of %s for ever: say -y", job);
        return 0;
    }
    fprintf(stderr, "Delete the log of %s for ever? [y/N] ", job);
    if (!fgets(answer, sizeof answer, stdin))
        return 0;
    return answer[0] == 'y' || answer[0] == 'Y';
}

static int main_rm(int argc, char **argv)
{
    struct rm_options o = {.yes = 0};
    struct http_reply r = {0};
    struct http_server s;
    struct buf path = BUF_INIT;
    char **operands;
    unsigned count;
    int code, err;

    if (args_begin(&cli_rm, argc, argv, &o, &operands, &count, &code))
        return code;
    if (cli_check_job(operands[0]) < 0 || cli_server(&o.common, &s) < 0)
        return CLI_EXIT_USAGE;
    if (!o.yes && !is_sure(operands[0]))
        return CLI_EXIT_FAILED;
    cli_job_path(&path, &s, operands[0], "");
    err = http_call(&s, "DELETE", buf_cstr(&path), NULL, CLI_CALL_US, &r);
    code = err >= 0 && r.status < 300 ? CLI_EXIT_OK : cli_complain(&s, operands[0], err, &r);
    buf_release(&path);
    http_reply_release(&r);
    return code;
}

const struct args_command cli_rm = {
    .name = "rm",
    .usage = "rm JOB [-y]",
    .summary = "Delete a job: its stream, archive and index. Those who follow it are told.",
    .example = "  joblog rm demo -y",
    .options = rm_options,
    .option_count = sizeof rm_options / sizeof *rm_options,
    .operands_min = 1,
    .operands_max = 1,
    .main = main_rm,
};

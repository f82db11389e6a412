/*
 * clients/cli/cmd_ping.c -- joblog ping: is the server there, and ready to keep lines? Needs no token.
 */
#include "base/err.h"
#include "clients/cli/cli.h"

#define PING_CALL_US 3000000

struct ping_options {
    struct args_common common;
};

static int main_ping(int argc, char **argv)
{
    struct ping_options o = {.common = {0}};
    struct http_reply r = {0};
    struct http_server s;
    char **operands;
    unsigned count;
    int code, err;

    if (args_begin(&cli_ping, argc, argv, &o, &operands, &count, &code))
        return code;
    if (cli_server(&o.common, &s) < 0)
        return CLI_EXIT_USAGE;
    err = http_call(&s, "GET", "/readyz", NULL, PING_CALL_US, &r);
    code = err >= 0 && r.status == 200 ? CLI_EXIT_OK : cli_complain(&s, NULL, err, &r);
    http_reply_release(&r);
    return code;
}

const struct args_command cli_ping = {
    .name = "ping",
    .usage = "ping",
    .summary = "Ask whether the server is ready to keep lines. Exit code 0 or 5.",
    .example = "  until joblog ping; do sleep 1; done",
    .main = main_ping,
};

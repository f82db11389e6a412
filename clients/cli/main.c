/*
 * clients/cli/main.c -- the joblog command: finds the subcommand and hands over.
 */
#include "clients/cli/cli.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct args_command *const cli_commands[] = {
    &cli_run,       &cli_ship,  &cli_tail,  &cli_logs,       &cli_jobs,  &cli_top,
    &cli_show,      &cli_why,   &cli_state, &cli_stop,       &cli_rm,    &cli_rules,
    &cli_receivers, &cli_events, &cli_token, &cli_ping,  &cli_completion, NULL,
};

/* Fits a screen of 24 x 80. */
static void print_help(FILE *f)
{
    fputs("usage: joblog COMMAND [options], as in: joblog run --job demo -- python train.py\n\n", f);
    for (const struct args_command *const *c = cli_commands; *c; c++)
        fprintf(f, "  %-11s %.*s\n", (*c)->name, (int)strcspn((*c)->summary, ".\n"), (*c)->summary);
    fputs("  help        More about a command: joblog help tail\n\n"
          "  JOBLOG_URL      http://HOST:PORT, https://…, unix:/path (" CLI_URL_DEFAULT ")\n"
          "  JOBLOG_TOKEN    who you are; JOBLOG_PROJECT: the project of jobs\n"
          "  JOBLOG_CACERT   a CA file for https; NO_COLOR: no colours\n",
          f);
}

static const struct args_command *find(const char *name)
{
    for (const struct args_command *const *c = cli_commands; *c; c++)
        if (!strcmp((*c)->name, name))
            return *c;
    return NULL;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    const struct args_command *c;
    int code;

    setlocale(LC_CTYPE, "C.UTF-8");
    if (!name) {
        print_help(stderr);
        return CLI_EXIT_USAGE;
    }
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
        puts("joblog " JOBLOG_VERSION);
        return CLI_EXIT_OK;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || (!strcmp(name, "help") && argc < 3)) {
        print_help(stdout);
        return CLI_EXIT_OK;
    }
    c = find(!strcmp(name, "help") ? argv[2] : name);
    if (!c) {
        cli_say("there is no command %s; joblog --help lists them",
                !strcmp(name, "help") ? argv[2] : name);
        return CLI_EXIT_USAGE;
    }
    if (!strcmp(name, "help")) {
        args_print_help(stdout, c);
        return CLI_EXIT_OK;
    }
    http_setup();
    code = c->main(argc - 1, argv + 1);
    if (cli_exit_at_once) {
        fflush(NULL);
        _exit(code);
    }
    http_forget();
    return code;
}

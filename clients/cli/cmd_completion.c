/*
 * clients/cli/cmd_completion.c -- joblog completion: scripts for bash, zsh and fish, made from the option tables.
 *
 * Job ids are asked of the server (joblog jobs -o name) when a command wants one.
 */
#include "clients/cli/cli.h"

#include <stdio.h>
#include <string.h>

#define JOBS_CALL "joblog jobs -n 200 -o name 2>/dev/null"

static void print_commands(const char *sep)
{
    for (const struct args_command *const *c = cli_commands; *c; c++)
        printf("%s%s", (*c)->name, c[1] ? sep : "");
}

static void print_bash(void)
{
    fputs("# joblog completion bash: source <(joblog completion bash)\n"
          "_joblog() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} cmd=${COMP_WORDS[1]} options\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W '",
          stdout);
    print_commands(" ");
    fputs(" help --help --version' -- \"$cur\"))\n        return\n    fi\n    case $cmd in\n",
          stdout);
    for (const struct args_command *const *c = cli_commands; *c; c++) {
        printf("    %s) options='", (*c)->name);
        args_print_names(stdout, *c);
        fputs("' ;;\n", stdout);
    }
    fputs("    esac\n"
          "    if [[ $cur == -* ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
          "        return\n"
          "    fi\n"
          "    case $cmd in\n"
          "    tail|logs|show|why|state|stop|rm) COMPREPLY=($(compgen -W \"$(" JOBS_CALL
          ")\" -- \"$cur\"))\n"
          "        [ \"$cmd\" = state ] && [ \"$COMP_CWORD\" -gt 2 ] &&\n"
          "            COMPREPLY=($(compgen -W 'RUNNING COMPLETED FAILED STOPPED DEPLOY_FAILED' -- "
          "\"$cur\")) ;;\n"
          "    ship) if [ \"$COMP_CWORD\" -eq 2 ]; then COMPREPLY=($(compgen -W \"$(" JOBS_CALL
          ")\" -- \"$cur\"));\n"
          "        else COMPREPLY=($(compgen -f -- \"$cur\")); fi ;;\n"
          "    run) COMPREPLY=($(compgen -c -f -- \"$cur\")) ;;\n"
          "    token) COMPREPLY=($(compgen -W 'create list revoke generate' -- \"$cur\")) ;;\n"
          "    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$cur\")) ;;\n"
          "    help) COMPREPLY=($(compgen -W '",
          stdout);
    print_commands(" ");
    fputs("' -- \"$cur\")) ;;\n    esac\n}\ncomplete -F _joblog joblog\n", stdout);
}

static void print_zsh(void)
{
    puts("#compdef joblog\n# joblog completion zsh > ~/.zfunc/_joblog (a directory of $fpath)\n"
         "autoload -U +X bashcompinit && bashcompinit");
    print_bash();
}

static void print_fish_options(const struct args_command *c)
{
    for (size_t i = 0; i < c->option_count; i++) {
        const struct args_option *o = &c->options[i];

        printf("complete -c joblog -n '__fish_seen_subcommand_from %s' -l %s%s", c->name, o->name,
               o->kind == ARGS_FLAG || o->kind == ARGS_OPTIONAL ? "" : " -r");
        if (o->letter)
            printf(" -%c %c", 's', o->letter);
        if (o->choices) {
            fputs(" -f -a '", stdout);
            for (const char *h = o->choices; *h; h++)
                putchar(*h == '|' ? ' ' : *h);
            putchar('\'');
        }
        fputs(" -d '", stdout);
        for (const char *h = o->help ? o->help : ""; *h; h++)
            putchar(*h == '\'' ? '"' : *h);
        puts("'");
    }
}

static void print_fish(void)
{
    puts("# joblog completion fish | source\ncomplete -c joblog -f");
    for (const struct args_command *const *c = cli_commands; *c; c++) {
        size_t first = strcspn((*c)->summary, ".\n");

        printf("complete -c joblog -n __fish_use_subcommand -a %s -d '%.*s'\n", (*c)->name,
               (int)first, (*c)->summary);
        print_fish_options(*c);
    }
    puts("complete -c joblog -n '__fish_seen_subcommand_from tail logs show why state stop rm ship' -a "
         "'(" JOBS_CALL ")'\n"
         "complete -c joblog -n '__fish_seen_subcommand_from run ship' -F\n"
         "complete -c joblog -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'");
}

static int main_completion(int argc, char **argv)
{
    struct args_common o = {NULL};
    char **operands;
    unsigned count;
    int code;

    if (args_begin(&cli_completion, argc, argv, &o, &operands, &count, &code))
        return code;
    if (!strcmp(operands[0], "bash")) {
        print_bash();
    } else if (!strcmp(operands[0], "zsh")) {
        print_zsh();
    } else if (!strcmp(operands[0], "fish")) {
        print_fish();
    } else {
        cli_say("%s is neither bash, zsh nor fish", operands[0]);
        return CLI_EXIT_USAGE;
    }
    return CLI_EXIT_OK;
}

const struct args_command cli_completion = {
    .name = "completion",
    .usage = "completion bash|zsh|fish",
    .summary = "Print a completion script: commands, options and the ids of jobs.",
    .example = "  source <(joblog completion bash)",
    .operands_min = 1,
    .operands_max = 1,
    .main = main_completion,
};

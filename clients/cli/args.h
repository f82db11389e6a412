/*
 * clients/cli/args.h -- command lines: one table per command gives the parser, the help and the completion.
 *
 * Short and long options (`-n 5`, `-n5`, `--tail 5`, `--tail=5`), operands anywhere between them, `--`
 * ends options. A command that wraps another one (run) stops at its first operand.
 * Every options struct begins with struct args_common.
 */
#ifndef CLIENTS_CLI_ARGS_H
#define CLIENTS_CLI_ARGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ARGS_LIST_MAX 64
#define ARGS_OPTIONAL_BYTES 32 /* of a first choice */
#define ARGS_ANY 1000000 /* operands_max of commands that take any number */

enum args_kind {
    ARGS_FLAG,     /* int */
    ARGS_TEXT,     /* const char *, with choices "a|b|c" or NULL */
    ARGS_OPTIONAL, /* const char *, one of choices: `--name` alone means the first of them */
    ARGS_LIST,     /* struct args_list: may be repeated */
    ARGS_COUNT,    /* int64_t, min..max */
    ARGS_DURATION, /* int64_t microseconds */
    ARGS_BYTES,    /* int64_t: 64KiB, 256MiB */
};

struct args_list {
    const char *items[ARGS_LIST_MAX];
    unsigned count;
};

struct args_common {
    const char *url;
    const char *project;
    const char *cacert;
};

struct args_option {
    char letter;      /* 0: none */
    const char *name; /* without dashes */
    enum args_kind kind;
    size_t offset;
    const char *meta; /* value in the help; NULL for flags */
    const char *help; /* NULL: the option before speaks for it, too: "-A, -B, -C N" */
    const char *choices;
    int64_t min, max; /* COUNT */
};

struct args_command {
    const char *name;
    const char *usage;   /* after "joblog " */
    const char *summary; /* one sentence */
    const char *example; /* lines */
    const char *notes;   /* lines below the options; NULL: none */
    const struct args_option *options;
    size_t option_count;
    unsigned operands_min, operands_max;
    int wraps; /* stop at the first operand */
    int (*main)(int argc, char **argv);
};

#define ARGS_HELP 1

/* Fills target (its defaults set by the caller). Operands are gathered at the front of argv[1..]:
 * *ret_operands points into argv. 0; ARGS_HELP when --help was asked for; ERR_INVALID with why. */
int args_parse(const struct args_command *c, int argc, char **argv, void *target,
               char ***ret_operands, unsigned *ret_count, char *why, size_t why_size);
/* Fits a screen of 24 x 80: commands with many options get two columns of them. */
void args_print_help(FILE *f, const struct args_command *c);
/* args_parse for main functions: prints help or the mistake. 0: go on; else *ret_exit is the exit code. */
int args_begin(const struct args_command *c, int argc, char **argv, void *target,
               char ***ret_operands, unsigned *ret_count, int *ret_exit);
/* "--name" lines and "-x" of a command, for completion scripts: space separated. */
void args_print_names(FILE *f, const struct args_command *c);

#endif

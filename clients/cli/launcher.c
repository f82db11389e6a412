/*
 * clients/cli/launcher.c -- names and arguments of launchers.
 */
#include "clients/cli/launcher.h"

#include <stdlib.h>
#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* --NAME=VALUE, --NAME VALUE, with '-' or '_' between words (argparse's own and torchrun's habit); NULL: not given. Arguments
 * up to the first that is no option and no option's value belong to the launcher, but nothing says which options have values:
 * all up to the end are looked at, the first counts. */
static const char *value_of(char *const *argv, const char *name)
{
    size_t n = strlen(name);

    for (; *argv; argv++) {
        const char *a = *argv;
        size_t i = 0;

        if (a[0] != '-' || a[1] != '-')
            continue;
        while (i < n && (a[2 + i] == name[i] || (name[i] == '_' && a[2 + i] == '-')))
            i++;
        if (i != n)
            continue;
        if (a[2 + n] == '=')
            return a + 3 + n;
        if (!a[2 + n])
            return argv[1];
    }
    return NULL;
}

static int has_flag(char *const *argv, const char *flag)
{
    for (; *argv; argv++)
        if (!strcmp(*argv, flag))
            return 1;
    return 0;
}

/* "2", "1:4" (at least, at most); 0: something else. */
static int count_of(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (*end == ':') {
        long most = strtol(end + 1, &end, 10);
        if (most > n)
            n = most;
    }
    return end != text && !*end && n > 0 && n < 1000000 ? (int)n : 0;
}

enum kind { NONE, TORCHRUN, ACCELERATE, DEEPSPEED };

/* The launcher itself, or python with it as a module or script; *ret_args: what stands behind it. */
static enum kind kind_of(char *const *argv, char *const **ret_args)
{
    const char *name = base_name(argv[0]);

    if (!strncmp(name, "python", 6)) {
        argv++;
        while (*argv && (*argv)[0] == '-' && strcmp(*argv, "-m") != 0)
            argv++;
        if (!*argv)
            return NONE;
        if (!strcmp(*argv, "-m")) {
            if (!*++argv)
                return NONE;
            *ret_args = argv + 1;
            return !strcmp(*argv, "torch.distributed.run") || !strcmp(*argv, "torch.distributed.launch") ? TORCHRUN
                   : !strcmp(*argv, "accelerate.commands.launch")                                         ? ACCELERATE
                   : !strcmp(*argv, "deepspeed.launcher.runner")                                          ? DEEPSPEED
                                                                                                          : NONE;
        }
        name = base_name(*argv);
    }
    *ret_args = argv + 1;
    if (!strcmp(name, "torchrun"))
        return TORCHRUN;
    if (!strcmp(name, "accelerate") && argv[1] && !strcmp(argv[1], "launch"))
        return ACCELERATE;
    return !strcmp(name, "deepspeed") ? DEEPSPEED : NONE;
}

void launcher_read(char *const *argv, struct launcher *ret)
{
    char *const *args;
    const char *value;
    enum kind kind;

    *ret = (struct launcher){0};
    if (!argv || !argv[0])
        return;
    kind = kind_of(argv, &args);
    if (kind == NONE)
        return;
    ret->starts_ranks = 1;
    value = value_of(args, kind == TORCHRUN ? "nnodes" : kind == ACCELERATE ? "num_machines" : "num_nodes");
    if (value)
        ret->nodes = count_of(value);
    else if (kind == TORCHRUN)
        ret->nodes = 1; /* its default */
    if (kind == TORCHRUN && has_flag(args, "--standalone"))
        ret->nodes = 1;
}

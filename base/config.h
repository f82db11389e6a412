/*
 * base/config.h -- options by flag, environment and file, the same names in all three.
 *
 * One table describes every option of a program: name "drain-time" is flag --drain-time, variable
 * JOBLOG_DRAIN_TIME and file line `drain-time = 10s`. Flags beat environment beats file beats
 * default. Unknown options and bad values are refused with the reason and the place.
 * The help text and the man page are printed from the same table.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_kind {
    CONFIG_STRING,   /* const char * */
    CONFIG_BOOL,     /* int: flag alone, or true/false/1/0/yes/no */
    CONFIG_COUNT,    /* int64_t, with min and max */
    CONFIG_BYTES,    /* int64_t: 65536, 64KiB, 1MiB, 2GiB (also K M G) */
    CONFIG_DURATION, /* int64_t microseconds: 250ms, 10s, 5m, 1h, 2d */
    CONFIG_LIST,     /* char **, NULL-terminated: the flag may be repeated; comma separated elsewhere */
};

struct config_option {
    const char *name;        /* "drain-time" */
    enum config_kind kind;
    size_t offset;           /* offsetof the target struct */
    const char *fallback;    /* the default, as text; "" for none */
    int64_t min, max;        /* for COUNT, BYTES, DURATION (us); both 0: unchecked */
    const char *choices;     /* "a|b|c" for STRING, or NULL */
    const char *meta;        /* "HOST:PORT" in the help, or NULL */
    const char *help;        /* one or two sentences: what, unit, default is added */
    const char *group;       /* heading in help and man page */
};

/* Fill target (zeroed by the caller) from argv, the environment ("JOBLOG_" + NAME with '-' as '_')
 * and, if given by --config/JOBLOG_CONFIG, a file of `name = value` lines ('#' comments).
 * Returns 0, or ERR_INVALID with one sentence in why naming flag/variable/file:line and value.
 * Strings are owned by the config and live until config_release. --help and --version are the
 * caller's: they come back as *ret_verb = 'h' or 'v' (0 otherwise). */
int config_load(const struct config_option *table, size_t count, int argc, char **argv, void *target,
                char *ret_verb, char *why, size_t why_size);
void config_release(const struct config_option *table, size_t count, void *target);
/* The option list for --help, wrapped at 80 columns, grouped. */
void config_print_help(FILE *f, const struct config_option *table, size_t count);
/* The OPTIONS section of the man page in mdoc/man macros. */
void config_print_man(FILE *f, const struct config_option *table, size_t count);

/* "64KiB" -> 65536. ERR_INVALID. */
int config_parse_bytes(const char *s, int64_t *ret);

#endif

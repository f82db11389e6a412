/*
 * clients/cli/args.c -- the option parser and the help pages.
 */
#include "clients/cli/args.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "clients/cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 26
#define HELP_COLUMNS 80
#define HELP_ROWS 14 /* more options than this go into two columns */
#define HELP_HEAD 23
#define HELP_CELL 40

static const struct args_option common_options[] = {
    {0, "url", ARGS_TEXT, offsetof(struct args_common, url), "URL", "the server", NULL, 0, 0},
    {0, "project", ARGS_TEXT, offsetof(struct args_common, project), "P", "the job's project", NULL,
     0, 0},
    {0, "cacert", ARGS_TEXT, offsetof(struct args_common, cacert), "FILE", "CA for https", NULL, 0,
     0},
};
#define COMMON_COUNT (sizeof common_options / sizeof *common_options)

static const struct args_option *option_at(const struct args_command *c, size_t i)
{
    if (i < c->option_count)
        return &c->options[i];
    i -= c->option_count;
    return i < COMMON_COUNT ? &common_options[i] : NULL;
}

static const struct args_option *find_letter(const struct args_command *c, char letter)
{
    const struct args_option *o;

    for (size_t i = 0; (o = option_at(c, i)); i++)
        if (o->letter == letter)
            return o;
    return NULL;
}

static const struct args_option *find_name(const struct args_command *c, const char *name,
                                           size_t len)
{
    const struct args_option *o;

    for (size_t i = 0; (o = option_at(c, i)); i++)
        if (strlen(o->name) == len && !memcmp(o->name, name, len))
            return o;
    return NULL;
}

static int is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);

    for (const char *c = choices; *c; c += strcspn(c, "|"), c += *c == '|')
        if (strcspn(c, "|") == len && !strncmp(c, value, len))
            return 1;
    return 0;
}

static int parse_count(const struct args_option *o, const char *value, int64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoll(value, &end, 10);
    if (errno || end == value || *end || value[0] == ' ' || value[0] == '+')
        return ERR_INVALID;
    return *ret < o->min || *ret > o->max ? ERR_INVALID : 0;
}

/* What an OPTIONAL means that stands alone. Kept for the life of the process; the same choice, the same place. */
static const char *first_choice(const struct args_option *o)
{
    static char pool[8][ARGS_OPTIONAL_BYTES];
    size_t len = strcspn(o->choices, "|");

    CHECK(len < ARGS_OPTIONAL_BYTES);
    for (size_t i = 0; i < sizeof pool / sizeof *pool; i++) {
        if (!pool[i][0])
            memcpy(pool[i], o->choices, len);
        if (strlen(pool[i]) == len && !memcmp(pool[i], o->choices, len))
            return pool[i];
    }
    CHECK(!"more kinds of ARGS_OPTIONAL than the pool holds");
    return "";
}

static int set_value(const struct args_option *o, void *target, const char *value, char *why,
                     size_t why_size)
{
    void *at = (char *)target + o->offset;
    struct args_list *list = at;

    switch (o->kind) {
    case ARGS_FLAG:
        *(int *)at = 1;
        return 0;
    case ARGS_TEXT:
    case ARGS_OPTIONAL:
        if (o->choices && !is_choice(o->choices, value)) {
            snprintf(why, why_size, "--%s: %s is none of %s", o->name, value, o->choices);
            return ERR_INVALID;
        }
        *(const char **)at = value;
        return 0;
    case ARGS_LIST:
        if (list->count == ARGS_LIST_MAX) {
            snprintf(why, why_size, "--%s: given more than %d times", o->name, ARGS_LIST_MAX);
            return ERR_INVALID;
        }
        list->items[list->count++] = value;
        return 0;
    case ARGS_COUNT:
        if (!parse_count(o, value, at))
            return 0;
        snprintf(why, why_size, "--%s: %s is no number from %lld to %lld", o->name, value,
                 (long long)o->min, (long long)o->max);
        return ERR_INVALID;
    case ARGS_DURATION:
        if (!clock_parse_duration(value, strlen(value), at))
            return 0;
        snprintf(why, why_size, "--%s: %s is no duration like 30s, 5m or 1h", o->name, value);
        return ERR_INVALID;
    case ARGS_BYTES:
        if (!config_parse_bytes(value, at))
            return 0;
        snprintf(why, why_size, "--%s: %s is no size like 64MiB", o->name, value);
        return ERR_INVALID;
    }
    return ERR_INVALID;
}

/* One long option at argv[*at]; *at moves over its value. */
static int take_long(const struct args_command *c, int argc, char **argv, int *at, void *target,
                     char *why, size_t why_size)
{
    const char *text = argv[*at] + 2, *value = strchr(text, '=');
    size_t len = value ? (size_t)(value - text) : strlen(text);
    const struct args_option *o = find_name(c, text, len);

    if (len == 4 && !memcmp(text, "help", 4))
        return ARGS_HELP;
    if (!o) {
        snprintf(why, why_size, "there is no option --%.*s", (int)len, text);
        return ERR_INVALID;
    }
    if (o->kind == ARGS_FLAG) {
        if (!value)
            return set_value(o, target, NULL, why, why_size);
        snprintf(why, why_size, "--%s takes no value", o->name);
        return ERR_INVALID;
    }
    if (value)
        return set_value(o, target, value + 1, why, why_size);
    if (o->kind == ARGS_OPTIONAL)
        return set_value(o, target, first_choice(o), why, why_size);
    if (*at + 1 >= argc) {
        snprintf(why, why_size, "--%s wants a value: %s", o->name, o->meta);
        return ERR_INVALID;
    }
    return set_value(o, target, argv[++*at], why, why_size);
}

/* A cluster of short options at argv[*at]: -i, -n5, -in 5. */
static int take_short(const struct args_command *c, int argc, char **argv, int *at, void *target,
                      char *why, size_t why_size)
{
    for (const char *p = argv[*at] + 1; *p; p++) {
        const struct args_option *o = find_letter(c, *p);
        int err;

        if (*p == 'h' && !o)
            return ARGS_HELP;
        if (!o) {
            snprintf(why, why_size, "there is no option -%c", *p);
            return ERR_INVALID;
        }
        if (o->kind == ARGS_FLAG || o->kind == ARGS_OPTIONAL) {
            err = set_value(o, target, o->kind == ARGS_FLAG ? NULL : first_choice(o), why,
                            why_size);
            if (err < 0)
                return err;
            continue;
        }
        if (p[1])
            return set_value(o, target, p + 1, why, why_size);
        if (*at + 1 < argc)
            return set_value(o, target, argv[++*at], why, why_size);
        snprintf(why, why_size, "-%c wants a value: %s", *p, o->meta);
        return ERR_INVALID;
    }
    return 0;
}

int args_parse(const struct args_command *c, int argc, char **argv, void *target,
               char ***ret_operands, unsigned *ret_count, char *why, size_t why_size)
{
    unsigned count = 0;
    int only_operands = 0;

    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
        int err = 0;

        if (only_operands || a[0] != '-' || !a[1]) {
            argv[1 + count++] = a;
            only_operands |= c->wraps;
        } else if (!strcmp(a, "--")) {
            only_operands = 1;
        } else if (a[1] == '-') {
            err = take_long(c, argc, argv, &i, target, why, why_size);
        } else {
            err = take_short(c, argc, argv, &i, target, why, why_size);
        }
        if (err)
            return err;
    }
    *ret_operands = argv + 1;
    *ret_count = count;
    if (count < c->operands_min) {
        snprintf(why, why_size, "usage: joblog %s", c->usage);
        return ERR_INVALID;
    }
    if (count > c->operands_max) {
        snprintf(why, why_size, "%s is one too many; usage: joblog %s", argv[1 + c->operands_max],
                 c->usage);
        return ERR_INVALID;
    }
    return 0;
}

/* text from column HELP_COLUMN, wrapped. */
static void print_wrapped(FILE *f, int column, const char *text)
{
    while (*text) {
        size_t len = strlen(text), room = HELP_COLUMNS - 1 - HELP_COLUMN;

        if (len > room) {
            for (len = room; len && text[len] != ' '; len--) {
            }
            if (!len)
                len = room;
        }
        fprintf(f, "%*s%.*s\n", column < HELP_COLUMN ? HELP_COLUMN - column : 1, "", (int)len,
                text);
        text += len;
        while (*text == ' ')
            text++;
        column = 0;
    }
}

/* Options after o that have no help of their own: "-A, -B, -C N" is one row. */
static size_t followers(const struct args_command *c, const struct args_option *o)
{
    size_t n = 0;

    while (o + n + 1 < c->options + c->option_count && !o[n + 1].help)
        n++;
    return n;
}

/* "-n, --name META"; indent stands where a letter would. Returns its length. */
static int make_head(char *out, size_t size, const struct args_command *c,
                     const struct args_option *o, const char *indent)
{
    size_t more = followers(c, o);
    const char *meta = o->meta ? o->meta : "";
    const char *open = !o->meta ? "" : o->kind == ARGS_OPTIONAL ? "[=" : " ";
    const char *close = o->kind == ARGS_OPTIONAL ? "]" : "";
    int n = 0;

    if (!more)
        return o->letter ? snprintf(out, size, "-%c, --%s%s%s%s", o->letter, o->name, open, meta,
                                    close)
                         : snprintf(out, size, "%s--%s%s%s%s", indent, o->name, open, meta, close);
    for (size_t i = 0; i <= more; i++)
        n += snprintf(out + n, size - (size_t)n, "-%c%s", o[i].letter, i < more ? ", " : "");
    return n + snprintf(out + n, size - (size_t)n, "%s%s%s", open, meta, close);
}

static void print_rows(FILE *f, const struct args_command *c)
{
    for (size_t i = 0; i < c->option_count; i++) {
        const struct args_option *o = &c->options[i];
        char head[64];
        int n;

        if (!o->help)
            continue;
        n = 2 + make_head(head, sizeof head, c, o, "    ");
        fprintf(f, "  %s", head);
        if (n >= HELP_COLUMN - 1) {
            fputc('\n', f);
            n = 0;
        }
        print_wrapped(f, n, o->help);
    }
}

/* One option in HELP_CELL columns. Returns its columns; what is too long is for the tests to find. */
static int print_cell(FILE *f, const struct args_command *c, const struct args_option *o)
{
    char head[64];

    make_head(head, sizeof head, c, o, "");
    return fprintf(f, "  %-*s %s", HELP_HEAD - 3, head, o->help);
}

static void print_cells(FILE *f, const struct args_command *c)
{
    const struct args_option *shown[ARGS_LIST_MAX];
    size_t count = 0, rows;

    for (size_t i = 0; i < c->option_count && count < ARGS_LIST_MAX; i++)
        if (c->options[i].help)
            shown[count++] = &c->options[i];
    rows = (count + 1) / 2;
    for (size_t i = 0; i < rows; i++) {
        int n = print_cell(f, c, shown[i]);

        if (i + rows < count) {
            fprintf(f, "%*s", n < HELP_CELL ? HELP_CELL - n : 0, "");
            print_cell(f, c, shown[i + rows]);
        }
        fputc('\n', f);
    }
}

void args_print_help(FILE *f, const struct args_command *c)
{
    size_t count = 0;

    for (size_t i = 0; i < c->option_count; i++)
        count += c->options[i].help != NULL;
    fprintf(f, "usage: joblog %s\n%s\n", c->usage, c->summary);
    if (count > HELP_ROWS)
        print_cells(f, c);
    else
        print_rows(f, c);
    fprintf(f, "%s--url URL, --project P, --cacert FILE  the server (see joblog --help)\n",
            count > HELP_ROWS ? "  " : "      ");
    if (c->notes)
        fprintf(f, "%s\n", c->notes);
    fprintf(f, "example:\n%s\n", c->example);
}

int args_begin(const struct args_command *c, int argc, char **argv, void *target,
               char ***ret_operands, unsigned *ret_count, int *ret_exit)
{
    char why[512] = "";
    int err = args_parse(c, argc, argv, target, ret_operands, ret_count, why, sizeof why);

    if (!err)
        return 0;
    if (err == ARGS_HELP) {
        args_print_help(stdout, c);
        *ret_exit = 0;
    } else {
        cli_say("%s", why);
        if (strncmp(why, "usage:", 6))
            cli_say("joblog help %s shows what there is", c->name);
        *ret_exit = CLI_EXIT_USAGE;
    }
    return 1;
}

void args_print_names(FILE *f, const struct args_command *c)
{
    const struct args_option *o;

    for (size_t i = 0; (o = option_at(c, i)); i++) {
        if (o->letter)
            fprintf(f, "-%c ", o->letter);
        fprintf(f, "--%s ", o->name);
    }
    fputs("--help", f);
}

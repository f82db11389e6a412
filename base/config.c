/*
 * base/config.c -- options by flag, environment and file from one table.
 *
 * Read in the order of weight: defaults, the file, the environment, the flags; each overwrites. The
 * flags are gone through twice, because --config names the file that comes before them.
 */
#include "base/config_int.h"

#include "base/check.h"
#include "base/err.h"
#include "base/io.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_FILE_BYTES_MAX (256 * 1024)
#define CONFIG_OPTIONS_MAX 256
#define CONFIG_WANT_BYTES 256

struct loading {
    const struct config_option *table;
    size_t count;
    void *target; /* NULL while only --config, --help and --version are looked for */
    const char *file;
    char verb;
    char *why;
    size_t why_size;
    unsigned char given[CONFIG_OPTIONS_MAX]; /* by a flag */
};

static const struct config_option config_flag = {.name = "config", .kind = CONFIG_STRING};

__attribute__((format(printf, 2, 3))) static int refuse(struct loading *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(l->why, l->why_size, fmt, ap);
    va_end(ap);
    return ERR_INVALID;
}

static const struct config_option *find(const struct loading *l, const char *name, size_t len)
{
    for (size_t i = 0; i < l->count; i++) {
        const char *own = l->table[i].name;
        if (strlen(own) == len && memcmp(own, name, len) == 0) return &l->table[i];
    }
    return NULL;
}

/* origin is a flag, a variable, or a file and line. */
static int set(struct loading *l, const struct config_option *o, const char *value, int append,
               const char *origin)
{
    char want[CONFIG_WANT_BYTES];
    if (config__set(o, l->target, value, append, want, sizeof want) >= 0) return 0;
    return refuse(l, "%s: \"%s\": %s", origin, value, want);
}

const char *config__variable(const char *name, char out[CONFIG_VARIABLE_BYTES])
{
    size_t len = strlen(name);
    CHECKF(len <= CONFIG_NAME_BYTES_MAX, "%s", name);
    memcpy(out, "JOBLOG_", 7);
    for (size_t i = 0; i <= len; i++)
        out[7 + i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
    return out;
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s)) s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1])) s[--n] = '\0';
    return s;
}

static int load_line(struct loading *l, char *line, int line_no)
{
    char origin[512], *name = trim(line);
    if (*name == '\0' || *name == '#') return 0;
    snprintf(origin, sizeof origin, "%s:%d", l->file, line_no);
    char *value = strchr(name, '=');
    if (!value) return refuse(l, "%s: `name = value` is wanted, not \"%s\"", origin, name);
    *value++ = '\0';
    name = trim(name);
    const struct config_option *o = find(l, name, strlen(name));
    if (!o) return refuse(l, "%s: unknown option \"%s\"", origin, name);
    return set(l, o, trim(value), 0, origin);
}

static int load_file(struct loading *l)
{
    char *data = NULL, *line, *rest;
    size_t len;
    int line_no = 0;
    int rc = io_read_file(l->file, CONFIG_FILE_BYTES_MAX, &data, &len);
    if (rc < 0) return refuse(l, "--config %s: %s", l->file, err_text(rc));
    if (strlen(data) != len) rc = refuse(l, "--config %s: holds a NUL byte", l->file);
    for (rest = data; rc >= 0 && (line = strsep(&rest, "\n"));) rc = load_line(l, line, ++line_no);
    free(data);
    return rc;
}

static int load_environment(struct loading *l)
{
    char name[CONFIG_VARIABLE_BYTES];
    for (size_t i = 0; i < l->count; i++) {
        const char *value = getenv(config__variable(l->table[i].name, name));
        if (!value) continue;
        int rc = set(l, &l->table[i], value, 0, name);
        if (rc < 0) return rc;
    }
    return 0;
}

/* The option of argv[*i] and its value; *i moves over a value of its own. */
static int read_flag(struct loading *l, int argc, char **argv, int *i,
                     const struct config_option **ret, const char **ret_value)
{
    const char *arg = argv[*i];
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0')
        return refuse(l, "unexpected argument \"%s\"; options start with --", arg);
    size_t len = strcspn(arg + 2, "=");
    const struct config_option *o = find(l, arg + 2, len);
    if (!o && len == strlen(config_flag.name) && memcmp(arg + 2, config_flag.name, len) == 0)
        o = &config_flag;
    if (!o) return refuse(l, "unknown option \"--%.*s\"; --help lists them", (int)len, arg + 2);
    *ret = o;
    if (arg[2 + len] == '=') {
        *ret_value = arg + 2 + len + 1;
    } else if (o->kind == CONFIG_BOOL) {
        *ret_value = "true";
    } else {
        if (*i + 1 >= argc) return refuse(l, "--%s: a value is missing", o->name);
        *ret_value = argv[++*i];
    }
    return 0;
}

static int load_flags(struct loading *l, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const struct config_option *o = NULL;
        const char *value = NULL;
        char origin[CONFIG_NAME_BYTES_MAX + 3];
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) l->verb = 'h';
        else if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) l->verb = 'v';
        if (l->verb) return 0;
        int rc = read_flag(l, argc, argv, &i, &o, &value);
        if (rc < 0) return rc;
        if (o == &config_flag) {
            l->file = value;
            continue;
        }
        if (!l->target) continue;
        snprintf(origin, sizeof origin, "--%s", o->name);
        rc = set(l, o, value, l->given[o - l->table], origin);
        if (rc < 0) return rc;
        l->given[o - l->table] = 1;
    }
    return 0;
}

int config_load(const struct config_option *table, size_t count, int argc, char **argv,
                void *target, char *ret_verb, char *why, size_t why_size)
{
    struct loading l = {.table = table, .count = count, .why = why, .why_size = why_size};
    char want[CONFIG_WANT_BYTES];
    CHECK(count <= CONFIG_OPTIONS_MAX);
    l.file = getenv("JOBLOG_CONFIG");
    int rc = load_flags(&l, argc, argv);
    *ret_verb = l.verb;
    if (rc < 0 || l.verb) return rc;
    l.target = target;
    for (size_t i = 0; i < count; i++) {
        const char *value = table[i].fallback;
        int set_rc = config__set(&table[i], target, value, 0, want, sizeof want);
        CHECKF(set_rc >= 0 || !*value, "default of --%s: \"%s\"", table[i].name, value);
    }
    if (l.file && *l.file) rc = load_file(&l);
    if (rc >= 0) rc = load_environment(&l);
    if (rc >= 0) rc = load_flags(&l, argc, argv);
    return rc;
}

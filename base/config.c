/*
 * base/config.c -- options by flag, environment and file from one table.
 */
#include "base/config.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_FILE_BYTES_MAX (256 * 1024)
#define CONFIG_LIST_MAX 64
#define CONFIG_NAME_BYTES 64

static const struct config_option *find(const struct config_option *t, size_t n, const char *name, size_t len) {
    for (size_t i = 0; i < n; i++)
        if (strlen(t[i].name) == len && memcmp(t[i].name, name, len) == 0) return &t[i];
    return NULL;
}

int config_parse_bytes(const char *s, int64_t *ret) {
    static const struct { const char *unit; int shift; } units[] = {
        {"", 0}, {"B", 0}, {"K", 10}, {"KiB", 10}, {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}, {"T", 40}, {"TiB", 40}};
    char *end;
    if (!isdigit((unsigned char)*s)) return ERR_INVALID;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(end, units[i].unit) != 0) continue;
        if (errno || v > (INT64_MAX >> units[i].shift)) return ERR_INVALID;
        *ret = (int64_t)v << units[i].shift;
        return 0;
    }
    return ERR_INVALID;
}

static int parse_bool(const char *s, int *ret) {
    static const char *const yes[] = {"", "1", "true", "yes", "on"}, *const no[] = {"0", "false", "no", "off"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (strcasecmp(s, yes[i]) == 0) return *ret = 1, 0;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (strcasecmp(s, no[i]) == 0) return *ret = 0, 0;
    return ERR_INVALID;
}

static int is_choice(const char *choices, const char *value) {
    size_t len = strlen(value);
    for (const char *c = choices; *c; c += strcspn(c, "|"), c += *c == '|')
        if (strcspn(c, "|") == len && strncmp(c, value, len) == 0) return 1;
    return 0;
}

static void list_free(char **list) {
    for (size_t i = 0; list && list[i]; i++) free(list[i]);
    free(list);
}

static int list_add(char ***list, const char *value, size_t len) {
    size_t n = 0;
    while (*list && (*list)[n]) n++;
    if (n == CONFIG_LIST_MAX) return ERR_LIMIT;
    *list = must_realloc(*list, (n + 2) * sizeof **list);
    (*list)[n] = must_strndup(value, len);
    (*list)[n + 1] = NULL;
    return 0;
}

static int list_set(char ***list, const char *value) {
    list_free(*list);
    *list = NULL;
    for (const char *p = value; *p; p += *p == ',') {
        size_t n = strcspn(p, ",");
        if (n && list_add(list, p, n) != 0) return ERR_LIMIT;
        p += n;
    }
    return 0;
}

static int set_number(const struct config_option *o, const char *value, int64_t *ret) {
    char *end;
    int err = 0;
    if (o->kind == CONFIG_BYTES) {
        err = config_parse_bytes(value, ret);
    } else if (o->kind == CONFIG_DURATION) {
        err = clock_parse_duration(value, strlen(value), ret);
    } else {
        errno = 0;
        *ret = strtoll(value, &end, 10);
        if (errno || end == value || *end || isspace((unsigned char)*value)) err = ERR_INVALID;
    }
    if (err == 0 && (o->min || o->max) && (*ret < o->min || *ret > o->max)) err = ERR_LIMIT;
    return err;
}

static void print_number(const struct config_option *o, int64_t v, char *out, size_t size) {
    char text[32];
    if (o->kind == CONFIG_DURATION)
        snprintf(out, size, "%s", clock_format_duration(v, text));
    else if (o->kind == CONFIG_BYTES && v >= 1024 && v % 1024 == 0)
        snprintf(out, size, v % (1 << 20) ? "%lldKiB" : "%lldMiB", (long long)(v % (1 << 20) ? v >> 10 : v >> 20));
    else
        snprintf(out, size, "%lld", (long long)v);
}

static const char *wanted(const struct config_option *o, char *out, size_t size) {
    char lo[40], hi[40];
    if (o->kind == CONFIG_BOOL) return "true or false is wanted";
    if (o->kind == CONFIG_STRING || o->kind == CONFIG_LIST) {
        snprintf(out, size, o->choices ? "one of %s is wanted" : "at most %s values", o->choices ? o->choices : "64");
        return out;
    }
    const char *what = o->kind == CONFIG_BYTES ? "a size like 64KiB or 2GiB"
                       : o->kind == CONFIG_DURATION ? "a duration like 250ms, 10s or 5m" : "a whole number";
    print_number(o, o->min, lo, sizeof lo);
    print_number(o, o->max, hi, sizeof hi);
    if (o->min || o->max)
        snprintf(out, size, "%s from %s to %s is wanted", what, lo, hi);
    else
        snprintf(out, size, "%s is wanted", what);
    return out;
}

/* Put value into the target; append: a repeated list flag. */
static int set(const struct config_option *o, void *target, const char *value, int append, const char *origin, char *why,
               size_t why_size) {
    char *at = (char *)target + o->offset, text[160];
    int err = 0;
    switch (o->kind) {
    case CONFIG_STRING:
        if (o->choices && !is_choice(o->choices, value)) {
            err = ERR_INVALID;
            break;
        }
        free(*(char **)at);
        *(char **)at = must_strdup(value);
        break;
    case CONFIG_BOOL: err = parse_bool(value, (int *)at); break;
    case CONFIG_LIST: err = append ? list_add((char ***)at, value, strlen(value)) : list_set((char ***)at, value); break;
    default: err = set_number(o, value, (int64_t *)at);
    }
    if (!err) return 0;
    snprintf(why, why_size, "%s: \"%s\": %s", origin, value, wanted(o, text, sizeof text));
    return ERR_INVALID;
}

static void variable_name(const char *name, char out[CONFIG_NAME_BYTES + 8]) {
    size_t i;
    strcpy(out, "JOBLOG_");
    for (i = 0; name[i] && i < CONFIG_NAME_BYTES - 1; i++)
        out[7 + i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
    out[7 + i] = '\0';
}

static char *trim(char *s) {
    while (isspace((unsigned char)*s)) s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1])) s[--n] = '\0';
    return s;
}

static int load_file(const struct config_option *t, size_t n, const char *path, void *target, char *why, size_t why_size) {
    char *data = NULL, *next, origin[300];
    size_t len;
    int err = io_read_file(path, CONFIG_FILE_BYTES_MAX, &data, &len), line_no = 0;
    if (err) {
        snprintf(why, why_size, "--config %s: %s", path, err_text(err));
        return ERR_INVALID;
    }
    for (char *line = data; line; line = next) {
        if ((next = strchr(line, '\n'))) *next++ = '\0';
        line_no++;
        char *name = trim(line), *value = strchr(name, '=');
        if (*name == '\0' || *name == '#') continue;
        snprintf(origin, sizeof origin, "%s:%d", path, line_no);
        err = ERR_INVALID;
        if (!value) {
            snprintf(why, why_size, "%s: `name = value` is wanted", origin);
            goto out;
        }
        *value++ = '\0';
        name = trim(name);
        const struct config_option *o = find(t, n, name, strlen(name));
        if (!o) {
            snprintf(why, why_size, "%s: unknown option \"%s\"", origin, name);
            goto out;
        }
        if ((err = set(o, target, trim(value), 0, origin, why, why_size))) goto out;
    }
    err = 0;
out:
    free(data);
    return err;
}

/* The option of argv[*i] and its value; *i moves over a separate value. */
static int read_flag(const struct config_option *t, size_t n, int argc, char **argv, int *i, const struct config_option **ret,
                     const char **ret_value, char *why, size_t why_size) {
    const char *arg = argv[*i];
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') {
        snprintf(why, why_size, "unexpected argument \"%s\"; options start with --", arg);
        return ERR_INVALID;
    }
    size_t len = strcspn(arg + 2, "=");
    static const struct config_option config_flag = {.name = "config", .kind = CONFIG_STRING};
    const struct config_option *o =
        len == 6 && strncmp(arg + 2, "config", 6) == 0 ? &config_flag : find(t, n, arg + 2, len);
    if (!o) {
        snprintf(why, why_size, "unknown option \"--%.*s\"; --help lists them", (int)len, arg + 2);
        return ERR_INVALID;
    }
    *ret = o;
    *ret_value = arg[2 + len] == '=' ? arg + 3 + len : NULL;
    if (*ret_value || o->kind == CONFIG_BOOL) {
        if (!*ret_value) *ret_value = "true";
        return 0;
    }
    if (*i + 1 >= argc) {
        snprintf(why, why_size, "--%s: a value is missing", o->name);
        return ERR_INVALID;
    }
    *ret_value = argv[++*i];
    return 0;
}

static int load_flags(const struct config_option *t, size_t n, int argc, char **argv, void *target, const char **ret_config,
                      char *ret_verb, char *why, size_t why_size) {
    unsigned char seen[256] = {0};
    CHECK(n <= sizeof seen);
    for (int i = 1; i < argc; i++) {
        const struct config_option *o;
        const char *value;
        char origin[CONFIG_NAME_BYTES + 4];
        int err;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return *ret_verb = 'h', 0;
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) return *ret_verb = 'v', 0;
        if ((err = read_flag(t, n, argc, argv, &i, &o, &value, why, why_size))) return err;
        if (strcmp(o->name, "config") == 0) {
            *ret_config = value;
            continue;
        }
        if (!target) continue; /* the first pass only looks for --config */
        snprintf(origin, sizeof origin, "--%s", o->name);
        int append = o->kind == CONFIG_LIST && seen[o - t];
        if (o->kind == CONFIG_LIST && !append) list_set((char ***)((char *)target + o->offset), "");
        if ((err = set(o, target, value, o->kind == CONFIG_LIST, origin, why, why_size))) return err;
        seen[o - t] = 1;
    }
    return 0;
}

int config_load(const struct config_option *t, size_t n, int argc, char **argv, void *target, char *ret_verb, char *why,
                size_t why_size) {
    const char *config = getenv("JOBLOG_CONFIG"), *value;
    char name[CONFIG_NAME_BYTES + 8];
    int err;
    *ret_verb = 0;
    if ((err = load_flags(t, n, argc, argv, NULL, &config, ret_verb, why, why_size)) || *ret_verb) return err;
    for (size_t i = 0; i < n; i++)
        CHECKF(set(&t[i], target, t[i].fallback, 0, "default", why, why_size) == 0 || !*t[i].fallback, "%s", t[i].name);
    if (config && *config && (err = load_file(t, n, config, target, why, why_size))) return err;
    for (size_t i = 0; i < n; i++) {
        variable_name(t[i].name, name);
        if ((value = getenv(name)) && (err = set(&t[i], target, value, 0, name, why, why_size))) return err;
    }
    return load_flags(t, n, argc, argv, target, &config, ret_verb, why, why_size);
}

void config_release(const struct config_option *t, size_t n, void *target) {
    for (size_t i = 0; i < n; i++) {
        char *at = (char *)target + t[i].offset;
        if (t[i].kind == CONFIG_LIST) list_free(*(char ***)at);
        if (t[i].kind == CONFIG_STRING) free(*(char **)at);
        if (t[i].kind == CONFIG_LIST || t[i].kind == CONFIG_STRING) *(void **)at = NULL;
    }
}

/* ---- help and man page ---- */

static void print_wrapped(FILE *f, const char *text, int indent, int width) {
    int column = 0;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (column && column + 1 + n > width - indent) column = (fputc('\n', f), 0);
        if (column == 0)
            fprintf(f, "%*s", indent, "");
        else
            column += (fputc(' ', f), 1);
        fprintf(f, "%.*s", n, text);
        column += n;
        text += n + (text[n] == ' ');
    }
    fputc('\n', f);
}

void config_print_help(FILE *f, const struct config_option *t, size_t n) {
    const char *group = "";
    char variable[CONFIG_NAME_BYTES + 8], text[1024];
    for (size_t i = 0; i < n; i++) {
        if (strcmp(group, t[i].group) != 0) fprintf(f, "%s%s:\n", i ? "\n" : "", group = t[i].group);
        fprintf(f, "  --%s%s%s\n", t[i].name, t[i].meta ? " " : "", t[i].meta ? t[i].meta : "");
        variable_name(t[i].name, variable);
        snprintf(text, sizeof text, "%s%s%s%s [%s%s]", t[i].help, t[i].choices ? " One of " : "",
                 t[i].choices ? t[i].choices : "", t[i].choices ? "." : "", *t[i].fallback ? "default " : "no default",
                 t[i].fallback);
        print_wrapped(f, text, 6, 80);
    }
}

void config_print_man(FILE *f, const struct config_option *t, size_t n) {
    const char *group = "";
    char variable[CONFIG_NAME_BYTES + 8];
    for (size_t i = 0; i < n; i++) {
        if (strcmp(group, t[i].group) != 0) fprintf(f, ".SS %s\n", group = t[i].group);
        variable_name(t[i].name, variable);
        fprintf(f, ".TP\n.B \\-\\-%s%s%s\n%s%s%s\nVariable\n.BR %s ,\n%s%s.\n", t[i].name, t[i].meta ? " " : "",
                t[i].meta ? t[i].meta : "", t[i].help, t[i].choices ? "\nOne of " : "", t[i].choices ? t[i].choices : "",
                variable, *t[i].fallback ? "default " : "no default", t[i].fallback);
    }
}

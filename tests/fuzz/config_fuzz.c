/*
 * tests/fuzz/config_fuzz.c -- any bytes as joblogd's configuration file, and as one option's value.
 *
 * After a 'v' the bytes are "name=value", given by flag, by variable and by file: all three say the same, or all refuse. Else
 * they are the file. What is refused names its place; what is taken keeps the table's limits, and a file that is written of it
 * is taken, too, and says the same. A rule of retention that is taken names a project and has a limit.
 * Covers  base/config.c base/config_value.c base/clock_span.c
 */
#include "base/buf.h"
#include "base/check.h"
#include "base/config.h"
#include "base/err.h"
#include "base/io.h"
#include "job/id.h"
#include "joblogd_settings.h"
#include "serve/retention.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static void forget_file(void)
{
    unlink(path);
}

static void write_file(const char *text, size_t len)
{
    if (!*path) {
        const char *in = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

        snprintf(path, sizeof path, "%s/joblog-config-fuzz-%d", in, (int)getpid());
        atexit(forget_file);
    }
    CHECK(io_replace_file(path, text, len) == 0);
}

/* argv[1], argv[2] may be NULL. The place that a refusal names is one of ours. */
static int load(const char *one, const char *two, struct settings *s)
{
    char *argv[] = {(char *)"joblogd", (char *)(uintptr_t)one, (char *)(uintptr_t)two, NULL}, verb = 0, why[256] = "";
    int err;

    memset(s, 0, sizeof *s);
    err = config_load(settings_table, settings_count, one ? two ? 3 : 2 : 1, argv, s, &verb, why, sizeof why);
    CHECK(!verb);
    CHECKF(err == 0 ? !*why : strstr(why, path) || strstr(why, "--") || strstr(why, "JOBLOG_"), "%s", why);
    return err;
}

static void release(struct settings *s)
{
    config_release(settings_table, settings_count, s);
}

static const void *value_of(const struct config_option *o, const struct settings *s)
{
    return (const char *)s + o->offset;
}

static void add_value(struct buf *out, const struct config_option *o, const struct settings *s)
{
    const void *at = value_of(o, s);

    switch (o->kind) {
    case CONFIG_STRING: buf_adds(out, *(char *const *)at); break;
    case CONFIG_BOOL: buf_addf(out, "%s", *(const int *)at ? "yes" : "no"); break;
    case CONFIG_DURATION: buf_addf(out, "%" PRId64 "us", *(const int64_t *)at); break;
    case CONFIG_LIST:
        for (char *const *l = *(char **const *)at; l && *l; l++)
            buf_addf(out, "%s,", *l);
        break;
    default: buf_addf(out, "%" PRId64, *(const int64_t *)at);
    }
}

static void add_file(struct buf *out, const struct settings *s)
{
    for (size_t i = 0; i < settings_count; i++) {
        buf_addf(out, "%s=", settings_table[i].name);
        add_value(out, &settings_table[i], s);
        buf_addc(out, '\n');
    }
}

static int is_number(const struct config_option *o)
{
    return o->kind == CONFIG_COUNT || o->kind == CONFIG_BYTES || o->kind == CONFIG_DURATION;
}

static void check_limits(const struct settings *s)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct config_option *o = &settings_table[i];
        const void *at = value_of(o, s);

        if (is_number(o) && (o->min || o->max))
            CHECKF(*(const int64_t *)at >= o->min && *(const int64_t *)at <= o->max, "%s", o->name);
        if (o->kind == CONFIG_STRING && o->choices)
            CHECKF(strstr(o->choices, *(char *const *)at) && !strchr(*(char *const *)at, '|'), "%s", o->name);
        if (o->kind == CONFIG_BOOL)
            CHECK(*(const int *)at == 0 || *(const int *)at == 1);
    }
    for (char *const *l = s->retention; l && *l; l++) {
        struct retention_rule r;

        if (retention_parse(*l, &r) < 0)
            continue;
        CHECKF(r.age_us >= 0 && r.bytes >= 0 && (r.age_us || r.bytes), "%s", *l);
        CHECK(strcmp(r.project, "*") == 0 || id_valid(r.project, strlen(r.project)));
    }
}

static void check_same(const struct settings *a, const struct settings *b)
{
    struct buf one = BUF_INIT, two = BUF_INIT;

    add_file(&one, a);
    add_file(&two, b);
    CHECKF(one.len == two.len && memcmp(one.data, two.data, one.len) == 0, "%s\n%s", one.data, two.data);
    buf_release(&one);
    buf_release(&two);
}

static void as_file(const char *text, size_t len)
{
    struct settings s, again;
    struct buf b = BUF_INIT;

    write_file(text, len);
    if (load("--config", path, &s) == 0) {
        check_limits(&s);
        add_file(&b, &s);
        write_file(b.data, b.len);
        CHECKF(load("--config", path, &again) == 0, "%s", b.data);
        check_same(&s, &again);
        release(&again);
    }
    release(&s);
    buf_release(&b);
}

/* "name=value" of one line, without blanks around the value: three ways to say it. */
static void as_value(const char *text, size_t len)
{
    struct buf flag = BUF_INIT, line = BUF_INIT, variable = BUF_INIT;
    struct settings by_flag, by_file, by_variable;
    const char *equals = memchr(text, '=', len);
    size_t name = equals ? (size_t)(equals - text) : 0;
    int err, known = 0;

    for (size_t i = 0; i < settings_count; i++)
        known |= name && strlen(settings_table[i].name) == name && memcmp(settings_table[i].name, text, name) == 0;
    if (!known || memchr(text, '\n', len) || memchr(text, '\0', len) || isspace((unsigned char)text[len - 1]) ||
        isspace((unsigned char)text[name + 1 < len ? name + 1 : 0]))
        return;
    CHECK(buf_adds(&flag, "--") == 0 && buf_add(&flag, text, len) == 0 && buf_add(&line, text, len) == 0);
    CHECK(buf_adds(&variable, "JOBLOG_") == 0);
    for (size_t i = 0; i < name; i++)
        CHECK(buf_addc(&variable, text[i] == '-' ? '_' : (char)toupper((unsigned char)text[i])) == 0);
    write_file(line.data, line.len);
    err = load(flag.data, NULL, &by_flag);
    CHECKF(load("--config", path, &by_file) == err, "%s", line.data);
    CHECK(setenv(variable.data, line.data + name + 1, 1) == 0);
    CHECKF(load(NULL, NULL, &by_variable) == err, "%s", line.data);
    CHECK(unsetenv(variable.data) == 0);
    if (err == 0) {
        check_limits(&by_flag);
        check_same(&by_flag, &by_file);
        check_same(&by_flag, &by_variable);
    }
    release(&by_flag);
    release(&by_file);
    release(&by_variable);
    buf_release(&flag);
    buf_release(&line);
    buf_release(&variable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;

    if (!*path)
        write_file("", 0);
    if (size && *text == 'v')
        as_value(text + 1, size - 1);
    else
        as_file(text, size);
    return 0;
}

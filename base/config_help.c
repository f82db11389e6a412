/*
 * base/config_help.c -- the option table as help text and as man page.
 */
#include "base/config_int.h"

#include <string.h>

#define HELP_COLUMNS 80
#define HELP_INDENT 6

struct wrap {
    FILE *f;
    int column; /* 0: at the start of a line */
};

static void wrap_word(struct wrap *w, const char *word, int len)
{
    if (w->column && w->column + 1 + len > HELP_COLUMNS) {
        fputc('\n', w->f);
        w->column = 0;
    }
    if (!w->column) w->column = fprintf(w->f, "%*s", HELP_INDENT, "");
    else w->column += fputc(' ', w->f) != EOF;
    fprintf(w->f, "%.*s", len, word);
    w->column += len;
}

static void wrap_text(struct wrap *w, const char *text)
{
    while (*text) {
        int len = (int)strcspn(text, " ");
        if (len) wrap_word(w, text, len);
        text += len + (text[len] == ' ');
    }
}

void config_print_help(FILE *f, const struct config_option *table, size_t count)
{
    const char *group = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct config_option *o = &table[i];
        struct wrap w = {f, 0};
        if (!group || strcmp(group, o->group) != 0) {
            fprintf(f, "%s%s:\n", group ? "\n" : "", o->group);
            group = o->group;
        }
        fprintf(f, "  --%s%s%s\n", o->name, o->meta ? " " : "", o->meta ? o->meta : "");
        wrap_text(&w, o->help);
        if (o->choices) {
            wrap_text(&w, "One of");
            wrap_text(&w, o->choices);
        }
        if (*o->fallback) {
            wrap_text(&w, "[default");
            wrap_text(&w, o->fallback);
            fputc(']', f);
        }
        fputc('\n', f);
    }
}

/* A backslash, and a '-' that must be one, are troff's. */
static void man_text(FILE *f, const char *s)
{
    if (*s == '.' || *s == '\'') fputs("\\&", f);
    for (; *s; s++) {
        if (*s == '\\') fputs("\\e", f);
        else if (*s == '-') fputs("\\-", f);
        else fputc(*s, f);
    }
}

void config_print_man(FILE *f, const struct config_option *table, size_t count)
{
    const char *group = "";
    char variable[CONFIG_VARIABLE_BYTES];
    for (size_t i = 0; i < count; i++) {
        const struct config_option *o = &table[i];
        if (strcmp(group, o->group) != 0) fprintf(f, ".SS %s\n", group = o->group);
        fputs(".TP\n.B \\-\\-", f);
        man_text(f, o->name);
        if (o->meta) fprintf(f, " \\fI%s\\fP", o->meta);
        fputc('\n', f);
        man_text(f, o->help);
        if (o->choices) {
            fputs("\nOne of ", f);
            man_text(f, o->choices);
            fputc('.', f);
        }
        fprintf(f, "\nVariable \\fB%s\\fP", config__variable(o->name, variable));
        if (*o->fallback) {
            fputs(", default ", f);
            man_text(f, o->fallback);
        }
        fputs(".\n", f);
    }
}

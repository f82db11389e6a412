/*
 * base/err.c -- the table of errors, as names, wire codes and sentences.
 */
#include "base/err.h"

struct err_row {
    int number;
    const char *name, *code, *text;
};

static const struct err_row err_rows[] = {
#define X(name, number, code, text) {number, #name, code, text},
    ERR_TABLE(X)
#undef X
};

static const struct err_row err_unknown = {0, "ERR_?", "internal", "an error without a name"};

static const struct err_row *err_row(int err)
{
    for (unsigned i = 0; i < sizeof err_rows / sizeof *err_rows; i++)
        if (err_rows[i].number == err) return &err_rows[i];
    return &err_unknown;
}

const char *err_name(int err)
{
    return err_row(err)->name;
}

const char *err_code(int err)
{
    return err_row(err)->code;
}

const char *err_text(int err)
{
    return err_row(err)->text;
}

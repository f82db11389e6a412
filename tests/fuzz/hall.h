/*
 * tests/fuzz/hall.h -- the front hall as a reader of requests sees it, without a connection.
 *
 * An exchange is made of a head that head__parse() has taken; the answer to it is counted, and its status kept. What a
 * reader may call of http/ is defined here and goes before http/'s own (mk/fuzz.mk: HALL); the rest of http/ is linked because
 * other functions of the same files name it, and never called. Include it once.
 */
#ifndef TESTS_FUZZ_HALL_H
#define TESTS_FUZZ_HALL_H

#include "base/check.h"
#include "base/utf8.h"
#include "http/head.h"
#include "http/ws.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct http {
    struct head head;
    void *guest;
};

static int hall_answers, hall_status;

const char *http_method(const struct http *x)
{
    return x->head.method;
}
const char *http_path(const struct http *x)
{
    return x->head.path;
}
const char *http_arg(const struct http *x, const char *name)
{
    for (unsigned i = 0; i < x->head.arg_count; i++)
        if (strcmp(x->head.args[i].name, name) == 0)
            return x->head.args[i].value;
    return NULL;
}
int http_arg_at(const struct http *x, unsigned i, const char **ret_name, const char **ret_value)
{
    if (i >= x->head.arg_count)
        return 0;
    *ret_name = x->head.args[i].name;
    *ret_value = x->head.args[i].value;
    return 1;
}
const char *http_header(const struct http *x, const char *name)
{
    return head__field(&x->head, name);
}
void *http_guest(const struct http *x)
{
    return x->guest;
}
void http_set_header(struct http *x, const char *name, const char *value)
{
    CHECK(!strpbrk(name, "\r\n: ") && !strpbrk(value, "\r\n"));
}
void http_reply(struct http *x, int status, const char *type, const void *body, size_t len)
{
    hall_answers++;
    hall_status = status;
}
void http_reply_error(struct http *x, int status, const char *code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    CHECK(vsnprintf(text, sizeof text, fmt, ap) > 0 && *code);
    va_end(ap);
    utf8_mend(text); /* as http/response.c does */
    CHECKF(utf8_valid_prefix(text, strlen(text)) == strlen(text), "%s", text);
    http_reply(x, status, NULL, text, strlen(text));
}

#endif

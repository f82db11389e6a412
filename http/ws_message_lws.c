/*
 * http/ws_message_lws.c -- a message built once and sent to many.
 */
#include "http/ws_message_lws.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "http/ws.h"

struct ws_message *ws_message_new(const void *data, size_t len, int is_binary)
{
    struct ws_message *m = malloc(sizeof(*m) + LWS_PRE + len);
    if (!m) return NULL;
    m->refs = 1;
    m->is_binary = is_binary;
    m->len = len;
    if (len) memcpy(m->bytes + LWS_PRE, data, len);
    return m;
}

struct ws_message *ws_message_ref(struct ws_message *m)
{
    m->refs++;
    return m;
}

void ws_message_unref(struct ws_message **mp)
{
    struct ws_message *m = *mp;
    *mp = NULL;
    if (!m) return;
    CHECK(m->refs > 0);
    if (--m->refs == 0) free(m);
}

size_t ws_message_bytes(const struct ws_message *m)
{
    return m->len;
}

/*
 * clients/cli/ndjson.c -- cutting a stream of bytes into lines.
 */
#include "clients/cli/ndjson.h"

#include "base/err.h"
#include "clients/cli/cli.h"

#include <string.h>

#define SILENCE_US 120000000 /* a rare word in a large archive takes a while */

struct cut {
    const struct ndjson *n;
    struct buf rest; /* a line that is not whole yet */
    int enough;
};

static int take(struct cut *c, const char *line, size_t len)
{
    int err = len ? c->n->on_line(c->n->user, line, len) : 0;

    if (err > 0) {
        c->enough = 1;
        return ERR_CANCELLED;
    }
    return err;
}

static int on_data(void *user, const char *data, size_t len)
{
    struct cut *c = user;
    int err = 0;

    while (len && err >= 0) {
        const char *nl = memchr(data, '\n', len);
        size_t n = nl ? (size_t)(nl - data) : len;

        if (!nl || c->rest.len)
            err = buf_add(&c->rest, data, n);
        if (nl && err >= 0) {
            err = c->rest.len ? take(c, c->rest.data, c->rest.len) : take(c, data, n);
            buf_clear(&c->rest);
            n++;
        }
        data += n;
        len -= n;
    }
    if (c->n->on_piece && (err >= 0 || c->enough)) {
        int flushed = c->n->on_piece(c->n->user);

        err = flushed < 0 ? flushed : err;
    }
    return err;
}

int ndjson_read(const struct http_server *s, const char *path, const struct ndjson *n,
                struct http_reply *ret)
{
    struct cut c = {.n = n};
    struct http_stream o = {.accept = "application/x-ndjson",
                            .compressed = 1,
                            .silence_us = SILENCE_US,
                            .wake_fd = cli_wake_fd(),
                            .on_data = on_data,
                            .user = &c};
    int err = http_stream(s, path, &o, ret);

    buf_release(&c.rest);
    return c.enough && err == ERR_CANCELLED && !cli_interrupted() ? 1 : err;
}

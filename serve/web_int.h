/*
 * serve/web_int.h -- the page's files as they are built in: made by scripts/embed_web.py.
 */
#ifndef SERVE_WEB_INT_H
#define SERVE_WEB_INT_H

#include <stddef.h>

struct web_asset {
    const char *name; /* "main.js" */
    const char *type;
    const char *tag; /* of its content, hexadecimal: what the ETag is made of */
    const char *data;
    size_t len;
    const char *gzip; /* NULL: packing does not make it smaller */
    size_t gzip_len;
};

extern const struct web_asset web_assets[];
extern const unsigned web_asset_count;

#endif

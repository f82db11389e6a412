/*
 * http/conn_lws.h -- the callbacks libwebsockets is given, between the *_lws.c files.
 */
#ifndef HTTP_CONN_LWS_H
#define HTTP_CONN_LWS_H

#include <libwebsockets.h>

#include "http/http_int.h"

int conn__raw_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t len);
int ws__callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

#endif

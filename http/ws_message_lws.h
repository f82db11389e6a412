/*
 * http/ws_message_lws.h -- the layout of a message that many WebSockets share.
 *
 *     bytes  [ LWS_PRE of headroom | payload ]
 *
 * libwebsockets writes the frame header backwards into the headroom, the same bytes every time.
 */
#ifndef HTTP_WS_MESSAGE_LWS_H
#define HTTP_WS_MESSAGE_LWS_H

#include <libwebsockets.h>

struct ws_message {
    unsigned refs;
    int is_binary;
    size_t len;
    unsigned char bytes[]; /* LWS_PRE of headroom, then the payload */
};

#endif

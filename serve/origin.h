/*
 * serve/origin.h -- pages of other sites: which may ask, and what their browsers are told (CORS).
 *
 * An Origin is this service's own when its authority is the Host of the request, or is named by
 * --origin, exactly (scheme, host, port). For those the answer says so; all others get no CORS
 * header, so that their browsers keep the answer from them. Credentials are never allowed: there are no
 * cookies here.
 */
#ifndef SERVE_ORIGIN_H
#define SERVE_ORIGIN_H

#include "http/http.h"

/* "https://logs.example.com[:8443]", lower case, nothing behind it. */
int origin_valid(const char *origin);
/* No Origin, the own one, or one of the list (NULL-terminated, may be NULL). */
int origin_allowed(const struct http *x, char *const *list);
/* The headers of an answer to an Origin of the list; nothing for others. */
void origin_set_headers(struct http *x, char *const *list);
/* Can the Host be trusted to be meant: localhost, an address, a name without a dot? Any other name may have
 * been pointed here by its owner (DNS rebinding). */
int origin_host_is_local(const struct http *x);

#endif

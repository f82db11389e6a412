/*
 * alert/receiver.h -- where alerts are sent: one webhook, Alertmanager or JSON endpoint.
 *
 *     {"id":"pager","project":null,"kind":"webhook","url":"https://…","enabled":true,"default":true,
 *      "send_resolved":true,"timeout":"15s","retry_for":"3d","secrets":["whsec_…"],"headers":{"Authorization":"…"},
 *      "body":{"text":"{{title}}: {{line}}"}}                        <- kind json only
 *
 *     webhook       Standard Webhooks 1.0: signed with each secret, body is the event
 *     alertmanager  url is the base; POST /api/v2/alerts
 *     json          body is the template given: Slack, PagerDuty, Teams …
 *
 * Secrets and header values are written, never read back: an answer has "secrets":2 and the names of headers.
 */
#ifndef ALERT_RECEIVER_H
#define ALERT_RECEIVER_H

#include "alert/rule.h"

#define RECEIVERS_MAX 100
#define RECEIVER_URL_BYTES_MAX 2048
#define RECEIVER_SECRETS_MAX 4
#define RECEIVER_SECRET_BYTES_MIN 24 /* of the key, decoded */
#define RECEIVER_SECRET_BYTES_MAX 64
#define RECEIVER_TIMEOUT_US_DEFAULT 15000000
#define RECEIVER_RETRY_FOR_US_DEFAULT (INT64_C(3) * 86400 * 1000000)

enum receiver_kind { RECEIVER_WEBHOOK, RECEIVER_ALERTMANAGER, RECEIVER_JSON };

struct receiver_secret {
    unsigned char key[RECEIVER_SECRET_BYTES_MAX];
    size_t len;
};

struct receiver {
    char id[ID_BYTES_MAX + 1];
    char project[ID_BYTES_MAX + 1]; /* "": of all projects */
    enum receiver_kind kind;
    char *url;
    int enabled, is_default /* takes what rules without receivers say */, send_resolved;
    enum rule_source source;
    char *disabled_why; /* "" unless joblog itself disabled it */
    int64_t timeout_us, created_us, updated_us;
    int64_t retry_for_us; /* 0: for ever */
    uint64_t revision;
    struct receiver_secret secrets[RECEIVER_SECRETS_MAX];
    uint32_t secret_count;
    struct rule_pair headers[RULE_PAIRS_MAX];
    uint32_t header_count;
    char *body; /* template of kind json; NULL */
    struct template *body_template;
};

int receiver_read(const struct json_tree *v, struct receiver **ret_receiver,
                  struct fields_why *why);
int receiver_parse(const char *text, size_t len, struct receiver **ret_receiver,
                   struct fields_why *why);
void receiver_free(struct receiver **r);
/* with_secrets: as the store keeps it; else as an answer shows it. */
int receiver_write(struct buf *out, const struct receiver *r, int with_secrets);
const char *receiver_kind_name(enum receiver_kind k);
/* Does it take an alert of this project? receivers: the ids that the rule names, a list; NULL: it names none. */
int receiver_takes(const struct receiver *r, const struct json_tree *receivers,
                   const char *project);

/* Standard base64 (RFC 4648), padding wanted. Bytes written, or ERR_INVALID, ERR_TOO_BIG. */
int receiver_base64(const char *text, size_t len, unsigned char *out, size_t size);

#endif

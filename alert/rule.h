/*
 * alert/rule.h -- one alert rule: what to look for, in which jobs, and how to speak of it.
 *
 * A rule is read from JSON (rule_read.c), checked whole, and never changes afterwards. Its JSON form is
 * documented in docs/alerting.md; the writer gives back what was read in canonical order.
 *
 *     {"id":"cuda-oom","project":null,"title":"…","enabled":true,
 *      "line":{"contains":"CUDA out of memory"},          <- exactly one of the seven conditions
 *      "jobs":"train-*","job_labels":{"team":"vision"},
 *      "for":"0s","group_by":["fingerprint"],"dedup":"10m","keep_firing_for":"1h","max_per_hour":20,
 *      "severity":"critical","labels":{…},"annotations":{"summary":"{{job}}: …"},"receivers":["pager"],
 *      "muted_until":null}
 *
 * Instantaneous conditions (line; state without `for`) say that something happened: they fire and end by
 * themselves after keep_firing_for. Lasting ones (silence, absence, rate, stall, metric; state with `for`)
 * hold for a time: they fire and are resolved.
 */
#ifndef ALERT_RULE_H
#define ALERT_RULE_H

#include "alert/fields.h"
#include "alert/template.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "base/pattern.h"
#include "job/filter.h"
#include "job/id.h"
#include "job/state.h"

#define RULES_MAX 1000
#define RULE_BYTES_MAX (32 * 1024) /* of its JSON */
#define RULE_TITLE_BYTES_MAX 200
#define RULE_PAIRS_MAX 16         /* labels; annotations; job labels; captures */
#define RULE_NAME_BYTES_MAX 63    /* of a label, an annotation, a capture */
#define RULE_VALUE_BYTES_MAX 1024 /* of a label */
#define RULE_RECEIVERS_MAX 16
#define RULE_GROUP_MAX 8
#define RULE_WINDOW_COUNT_MAX 256 /* matches a rate may ask for */
#define RULE_SPAN_US_MIN 100000
#define RULE_SPAN_US_MAX (INT64_C(30) * 86400 * 1000000)

/* X(name, word): the member of the JSON that holds the condition. */
#define RULE_KIND_TABLE(X)                                                                         \
    X(STATE, state)                                                                                \
    X(LINE, line)                                                                                  \
    X(SILENCE, silence)                                                                            \
    X(ABSENCE, absence)                                                                            \
    X(RATE, rate)                                                                                  \
    X(STALL, stall)                                                                                \
    X(METRIC, metric)
enum rule_kind {
#define X(name, word) RULE_##name,
    RULE_KIND_TABLE(X)
#undef X
        RULE_KIND_COUNT
};

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_CRITICAL };
enum silence_of { SILENCE_OF_JOB, SILENCE_OF_RANK, SILENCE_OF_PEERS };
enum metric_test { METRIC_NAN, METRIC_ABOVE, METRIC_BELOW, METRIC_BELOW_MEDIAN };
enum group_by { GROUP_RANK, GROUP_REPLICA, GROUP_FINGERPRINT, GROUP_CAPTURE };

enum rule_source {
    SOURCE_API,     /* in Redis */
    SOURCE_FILE,    /* --rules: read-only */
    SOURCE_STARTER, /* shipped: off, and replaced by the first change of it */
};

struct rule_pair {
    char name[RULE_NAME_BYTES_MAX + 1];
    char *value;
};

/* Which lines: of kind line, absence and rate. */
struct rule_lines {
    struct filter filter; /* level, rank, replica, stream, contains (q), pattern (matcher) */
    char *contains, *pattern_text; /* NULL: none */
    char *rank_text;
    int ignore_case;
    struct pattern *pattern; /* of pattern_text */
    int is_set;              /* there is something to look for: else any line */
};

struct rule_group {
    enum group_by by;
    char capture[RULE_NAME_BYTES_MAX + 1];
};

struct rule {
    char id[ID_BYTES_MAX + 1];
    char project[ID_BYTES_MAX + 1]; /* "": jobs of all projects */
    char *title;                    /* "" when none */
    enum rule_kind kind;
    int enabled;
    enum rule_source source;
    int64_t muted_until_us;
    int64_t created_us, updated_us,
        enabled_us;    /* enabled_us: lines received before are not looked at */
    uint64_t revision; /* grows with every change of it */
    /* scope */
    char *jobs; /* "" all; else an id with '*' for any run of characters */
    struct rule_pair job_labels[RULE_PAIRS_MAX];
    uint32_t job_label_count;
    /* the condition */
    uint32_t state_mask;
    struct rule_lines lines;
    int64_t span_us; /* silence quiet, absence within, rate per, stall after */
    enum silence_of silence_of;
    uint32_t rate_count;
    char metric_name[RULE_NAME_BYTES_MAX + 1];
    enum metric_test metric_test;
    double metric_value;
    /* firing */
    int64_t for_us, dedup_us, keep_us;
    uint32_t max_per_hour; /* 0: no limit */
    struct rule_group groups[RULE_GROUP_MAX];
    uint32_t group_count;
    enum severity severity;
    struct rule_pair labels[RULE_PAIRS_MAX];
    uint32_t label_count;
    struct rule_pair annotations[RULE_PAIRS_MAX]; /* values are templates */
    struct template *templates[RULE_PAIRS_MAX];
    uint32_t annotation_count;
    char receivers[RULE_RECEIVERS_MAX][ID_BYTES_MAX + 1];
    uint32_t receiver_count;
    int has_receivers; /* 0: those that take everything */
};

/* From the JSON of an API body, of the store or of the rules file: the same checks. ERR_INVALID with why. */
int rule_read(const struct json_tree *v, struct rule **ret_rule, struct fields_why *why);
/* The same from text; a syntax error names its byte. */
int rule_parse(const char *text, size_t len, struct rule **ret_rule, struct fields_why *why);
void rule_free(struct rule **r);
/* One whole object. */
int rule_write(struct buf *out, const struct rule *r);

const char *rule_kind_name(enum rule_kind k);
const char *severity_name(enum severity s);
const char *source_name(enum rule_source s);
/* Alerts of it are resolved, not just over. */
int rule_is_lasting(const struct rule *r);
/* Is the job in its scope? labels_json: the job's labels, an object. */
int rule_covers(const struct rule *r, const struct job_key *key, const struct json_tree *labels);
int rule_is_muted(const struct rule *r, int64_t now_us);
/* Of what it looks for and how it groups: a state kept under the same hash is good for it. */
uint64_t rule_condition_hash(const struct rule *r);
/* "scope/id", scope '*' for all projects: unique in a service. */
#define RULE_KEY_BYTES (2 * ID_BYTES_MAX + 2)
const char *rule_key(const char *project, const char *id, char out[RULE_KEY_BYTES]);

#endif

/*
 * digest/verdict_names.h -- the words of a verdict that programs read: kinds, confidence, roles, statuses.
 */
#ifndef DIGEST_VERDICT_NAMES_H
#define DIGEST_VERDICT_NAMES_H

/* X(NAME, "on the wire") */
#define VERDICT_KIND_TABLE(X)                                                                      \
    X(FAILED, "failed")                                                                            \
    X(DEPLOY_FAILED, "deploy_failed")                                                              \
    X(HUNG, "hung")                                                                                \
    X(STOPPED, "stopped")                                                                          \
    X(COMPLETED, "completed")                                                                      \
    X(RUNNING, "running")                                                                          \
    X(CANNOT_TELL, "cannot_tell")
#define VERDICT_CONFIDENCE_TABLE(X)                                                                \
    X(NONE, "none") X(UNSURE, "unsure") X(LIKELY, "likely") X(CERTAIN, "certain")
#define VERDICT_ROLE_TABLE(X) X(OTHER, "other") X(PRIMARY, "primary") X(CASCADE, "cascade")
#define VERDICT_STATUS_TABLE(X)                                                                    \
    X(RUNNING, "running")                                                                          \
    X(OK, "ok")                                                                                    \
    X(FAILED_FIRST, "failed_first")                                                                \
    X(FAILED, "failed")                                                                            \
    X(CASCADE, "cascade")                                                                          \
    X(KILLED, "killed")                                                                            \
    X(SILENT, "silent")                                                                            \
    X(NEVER_STARTED, "never_started")
#define VERDICT_HUNG_TABLE(X)                                                                      \
    X(NOT, "")                                                                                     \
    X(ONE_SILENT, "one_silent")                                                                    \
    X(SOME_SILENT, "some_silent")                                                                  \
    X(ALL_SILENT, "all_silent")                                                                    \
    X(NEVER_STARTED, "never_started")
#define VERDICT_EVENT_TABLE(X)                                                                     \
    X(STATE, "state")                                                                              \
    X(ERROR, "error") X(SILENCE, "silence") X(RESUME, "resume") X(GAP, "gap") X(END, "end")

enum verdict_kind {
#define X(name, wire) VERDICT_KIND_##name,
    VERDICT_KIND_TABLE(X)
#undef X
};
enum verdict_confidence {
#define X(name, wire) VERDICT_##name,
    VERDICT_CONFIDENCE_TABLE(X)
#undef X
};
enum verdict_role {
#define X(name, wire) VERDICT_ROLE_##name,
    VERDICT_ROLE_TABLE(X)
#undef X
};
enum verdict_status {
#define X(name, wire) VERDICT_STATUS_##name,
    VERDICT_STATUS_TABLE(X)
#undef X
};
enum verdict_hung_kind {
#define X(name, wire) VERDICT_HUNG_##name,
    VERDICT_HUNG_TABLE(X)
#undef X
};
enum verdict_event_what {
#define X(name, wire) VERDICT_EVENT_##name,
    VERDICT_EVENT_TABLE(X)
#undef X
};

const char *verdict_kind_name(enum verdict_kind k);
const char *verdict_confidence_name(enum verdict_confidence c);
const char *verdict_role_name(enum verdict_role r);
const char *verdict_status_name(enum verdict_status s);
const char *verdict_hung_name(enum verdict_hung_kind k);
const char *verdict_event_name(enum verdict_event_what w);

#endif

/*
 * job/level.c -- the names of levels. Reading one from a line's text: job/level_text.c.
 */
#include "job/level.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    enum level level;
} names[] = {
    /* the canonical ones first, in order */
    {"trace", LEVEL_TRACE},
    {"debug", LEVEL_DEBUG},
    {"info", LEVEL_INFO},
    {"warn", LEVEL_WARN},
    {"error", LEVEL_ERROR},
    {"fatal", LEVEL_FATAL},
    {"warning", LEVEL_WARN},
    {"err", LEVEL_ERROR},
    {"critical", LEVEL_FATAL},
    {"crit", LEVEL_FATAL},
    {"panic", LEVEL_FATAL},
    {"emerg", LEVEL_FATAL},
    {"emergency", LEVEL_FATAL},
    {"alert", LEVEL_FATAL},
    {"notice", LEVEL_INFO},
    {"information", LEVEL_INFO},
    {"verbose", LEVEL_DEBUG},
    {"dbg", LEVEL_DEBUG},
    {"exception", LEVEL_ERROR},
    /* syslog */
    {"0", LEVEL_FATAL},
    {"1", LEVEL_FATAL},
    {"2", LEVEL_FATAL},
    {"3", LEVEL_ERROR},
    {"4", LEVEL_WARN},
    {"5", LEVEL_INFO},
    {"6", LEVEL_INFO},
    {"7", LEVEL_DEBUG},
    /* Python's logging */
    {"10", LEVEL_DEBUG},
    {"20", LEVEL_INFO},
    {"30", LEVEL_WARN},
    {"40", LEVEL_ERROR},
    {"50", LEVEL_FATAL},
};

const char *level_name(enum level l)
{
    return l <= LEVEL_NONE || l >= LEVEL_COUNT ? "" : names[l - 1].name;
}

enum level level_parse(const char *s, size_t len)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == len && strncasecmp(names[i].name, s, len) == 0)
            return names[i].level;
    return LEVEL_NONE;
}

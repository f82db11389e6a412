/*
 * digest/cause_table.h -- the rules by which text tells its cause.
 */
#ifndef DIGEST_CAUSE_TABLE_H
#define DIGEST_CAUSE_TABLE_H

#include "digest/cause.h"

#define CAUSE_LITERALS_MAX 3

enum cause_rule_use {
    CAUSE_ANY = 0,   /* in any line: nobody says this who is well */
    CAUSE_ERROR = 1, /* only in a line of level error or a block */
    CAUSE_START = 2, /* the first literal begins the line */
    CAUSE_PYTHON =
        4, /* the first literal is the name of the exception: begins the line, perhaps after
                        * "package.module.", and ':' or the end of the line follows */
    CAUSE_WHOLE = 8, /* the first literal is the line */
};

struct cause_rule {
    enum cause cause;
    unsigned use;
    const char *literals[CAUSE_LITERALS_MAX]; /* all of them, in one text */
};

extern const struct cause_rule cause__rules[];
extern const unsigned cause__rule_count;

#endif

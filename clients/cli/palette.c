/*
 * clients/cli/palette.c -- two tables of colours and the choice between them.
 */
#include "clients/cli/palette.h"

#include "clients/cli/cli.h"

#include <stdlib.h>
#include <string.h>

/* Reds and oranges are left to levels. */
static const char *const ranks_256[PALETTE_RANKS] = {
    "38;5;32", "38;5;28", "38;5;133", "38;5;100", "38;5;63",  "38;5;30",
    "38;5;162", "38;5;64", "38;5;99", "38;5;66",  "38;5;131", "38;5;27"};
static const char *const ranks_8[PALETTE_RANKS] = {"36", "32", "35", "34",   "36;1", "32;1",
                                                   "35;1", "34;1", "36", "32", "35",   "34"};

int palette_is_basic(const char *term)
{
    static const char *const basic[] = {"linux", "vt", "ansi", "cons", "dumb"};
    size_t len = term ? strlen(term) : 0;

    for (size_t i = 0; i < sizeof basic / sizeof *basic; i++)
        if (term && !strncmp(term, basic[i], strlen(basic[i])))
            return 1;
    return len > 8 && !strcmp(term + len - 8, "-16color");
}

static int is_basic(void)
{
    static int known = -1;

    if (known < 0)
        known = palette_is_basic(getenv("TERM"));
    return known;
}

const char *palette_level(enum level l)
{
    switch (l) {
    case LEVEL_FATAL:
        return "1;31";
    case LEVEL_ERROR:
        return "31";
    case LEVEL_WARN:
        return is_basic() ? "33" : "38;5;130";
    case LEVEL_DEBUG:
    case LEVEL_TRACE:
        return palette_faint();
    default:
        return "";
    }
}

const char *palette_rank(int32_t rank)
{
    if (rank < 0)
        return palette_faint();
    return (is_basic() ? ranks_8 : ranks_256)[rank % PALETTE_RANKS];
}

const char *palette_state(const char *state)
{
    switch (cli_exit_of_state(state)) {
    case CLI_EXIT_OK:
        return "32";
    case CLI_EXIT_FAILED:
    case CLI_EXIT_DEPLOY_FAILED:
        return "31";
    case CLI_EXIT_STOPPED:
        return palette_level(LEVEL_WARN);
    default:
        return "36";
    }
}

const char *palette_faint(void)
{
    return is_basic() ? "2" : "38;5;244";
}

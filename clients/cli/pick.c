/*
 * clients/cli/pick.c -- the shared options of tail and logs, on their way into a request.
 */
#include "clients/cli/pick.h"

#include "base/err.h"
#include "clients/cli/cli.h"

#include <string.h>

void pick_init(struct pick *p)
{
    memset(p, 0, sizeof *p);
    p->output = "text";
    p->color = "auto";
}

int pick_check(const struct pick *p)
{
    if (p->count && strcmp(p->count, "all") != 0 &&
        (!*p->count || strspn(p->count, "0123456789") != strlen(p->count))) {
        cli_say("-n: %s is neither a number nor all", p->count);
        return ERR_INVALID;
    }
    return 0;
}

void pick_args(struct buf *path, const struct pick *p)
{
    const struct {
        const char *name, *value;
    } all[] = {{"since", p->since}, {"until", p->until},  {"re", p->grep},
               {"q", p->q},         {"rank", p->rank},    {"replica", p->replica},
               {"level", p->level}, {"stream", p->stream}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].value)
            http_arg(path, all[i].name, all[i].value);
    if (p->ignore_case)
        http_arg(path, "case", "insensitive");
}

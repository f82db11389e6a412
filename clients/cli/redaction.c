/*
 * clients/cli/redaction.c -- the rules of an agent, from flags and environment, and the word about them.
 */
#include "clients/cli/redaction.h"

#include "clients/cli/cli.h"

#include <stdlib.h>
#include <string.h>

int redaction_open(struct redaction *r, int is_wanted, const char *patterns_file)
{
    const char *env = getenv("JOBLOG_REDACT");
    char why[300];
    int err;

    memset(r, 0, sizeof *r);
    if (!patterns_file)
        patterns_file = getenv("JOBLOG_REDACT_PATTERNS");
    if (!is_wanted && !(patterns_file && *patterns_file) && !(env && *env && strcmp(env, "0") != 0 && strcmp(env, "false") != 0))
        return 0;
    err = redact_new_file(patterns_file, &r->rules, why, sizeof why);
    if (err < 0)
        cli_say("--redact-patterns %s: %s", patterns_file, why);
    return err;
}

void redaction_release(struct redaction *r)
{
    redact_free(&r->rules);
}

void redaction_tell(const struct redaction *r)
{
    uint64_t total = redact_total(&r->counts);
    struct buf list = BUF_INIT;
    char number[32];

    if (!total)
        return;
    for (int i = 0; i < REDACT_KIND_COUNT; i++)
        if (r->counts.of[i])
            buf_addf(&list, "%s%s %llu", list.len ? ", " : "", redact_word(i), (unsigned long long)r->counts.of[i]);
    cli_say("%s %s taken out of the log: %s", cli_thousands(total, number), total == 1 ? "secret was" : "secrets were",
            buf_cstr(&list));
    buf_release(&list);
}

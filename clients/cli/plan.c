/*
 * clients/cli/plan.c -- reading the launcher's environment, telling the end.
 */
#include "clients/cli/plan.h"

#include "base/err.h"
#include "clients/cli/cli.h"
#include "clients/cli/launcher.h"
#include "job/record.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

void plan_id(char out[ID_BYTES_MAX + 1], const char *text)
{
    size_t n = 0;

    for (; *text && n < ID_BYTES_MAX; text++) {
        char c = *text;
        int alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (alnum || (n && (c == '.' || c == '_')))
            out[n++] = c;
        else if (n)
            out[n++] = '-';
    }
    out[n] = '\0';
    if (!n)
        snprintf(out, ID_BYTES_MAX + 1, "x");
}

/* A number from the first variable that is set; fallback when none is. ERR_INVALID with why. */
static int env_number(const char *const *names, const char *(*getenv_fn)(const char *), int64_t max,
                      int64_t *ret, char *why, size_t why_size)
{
    for (; *names; names++) {
        const char *v = getenv_fn(*names);
        char *end;

        if (!v || !*v)
            continue;
        errno = 0;
        *ret = strtoll(v, &end, 10);
        if (!errno && end != v && !*end && *ret >= 0 && *ret <= max)
            return 1;
        snprintf(why, why_size, "%s=%.60s is no number from 0 to %lld", *names, v, (long long)max);
        return ERR_INVALID;
    }
    return 0;
}

static const char *env_first(const char *const *names, const char *(*getenv_fn)(const char *))
{
    for (; *names; names++) {
        const char *v = getenv_fn(*names);

        if (v && *v)
            return v;
    }
    return NULL;
}

static int plan_job(struct plan *p, const struct plan_options *o,
                    const char *(*getenv_fn)(const char *), char *why, size_t why_size)
{
    static const char *const names[] = {"JOBLOG_JOB", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", NULL};
    const char *job = o->job ? o->job : env_first(names, getenv_fn);

    if (job && !o->job && !strcmp(job, "none"))
        job = NULL; /* torchrun's default run id */
    if (!job && p->agent.ranks > 1) {
        snprintf(why, why_size, "%lld ranks need one job id: --job or JOBLOG_JOB",
                 (long long)p->agent.ranks);
        return ERR_INVALID;
    }
    if (!job) {
        id_make(p->job);
        p->job_is_fresh = 1;
        return 0;
    }
    if (!id_valid(job, strlen(job))) {
        snprintf(why, why_size, "%.140s is no job id: letters, digits, '.', '_', '-', at most %d",
                 job, ID_BYTES_MAX);
        return ERR_INVALID;
    }
    snprintf(p->job, sizeof p->job, "%s", job);
    return 0;
}

/* Has the job one node? */
static int is_one_node(const struct launcher *l, int64_t ranks, const char *(*getenv_fn)(const char *))
{
    static const char *const names[] = {"SLURM_JOB_NUM_NODES", "SLURM_NNODES", NULL};
    const char *nodes = env_first(names, getenv_fn);

    if (nodes)
        return !strcmp(nodes, "1") && ranks <= 1;
    if (getenv_fn("PET_NNODES")) /* torchrun reads its arguments there, too */
        return 0;
    return l->nodes == 1 && ranks <= 1;
}

int plan_make(struct plan *p, const struct plan_options *o, const char *(*getenv_fn)(const char *),
              const char *host, int64_t pid, int64_t now_us, char *why, size_t why_size)
{
    static const char *const rank_names[] = {
        "RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK", NULL};
    static const char *const size_names[] = {"WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE",
                                             "PMI_SIZE", NULL};
    static const char *const restart_names[] = {"TORCHELASTIC_RESTART_COUNT", NULL};
    static const char *const max_names[] = {"TORCHELASTIC_MAX_RESTARTS", NULL};
    int64_t rank = RECORD_RANK_NONE, ranks = 0, restarts = 0, restarts_max = 0;
    char place[ID_BYTES_MAX + 32];
    struct launcher launcher;
    int64_t node = RECORD_RANK_NONE;
    int err;

    memset(p, 0, sizeof *p);
    launcher_read(o->command, &launcher);
    if (o->rank >= 0)
        rank = o->rank;
    else if ((err = env_number(rank_names, getenv_fn, RECORD_RANK_MAX, &rank, why, why_size)) < 0)
        return err;
    if (o->ranks >= 0)
        ranks = o->ranks;
    else if ((err = env_number(size_names, getenv_fn, PLAN_RANKS_MAX, &ranks, why, why_size)) < 0)
        return err;
    if (env_number(restart_names, getenv_fn, INT32_MAX, &restarts, why, why_size) < 0)
        restarts = 0;
    if (env_number(max_names, getenv_fn, INT32_MAX, &restarts_max, why, why_size) < 0)
        restarts_max = 0;
    if (ranks > 0 && rank >= ranks) {
        snprintf(why, why_size, "rank %lld is not below the number of ranks, %lld", (long long)rank,
                 (long long)ranks);
        return ERR_INVALID;
    }
    if (launcher.starts_ranks && o->rank < 0) {
        node = rank;
        rank = RECORD_RANK_NONE;
    }
    p->agent.is_one_node = is_one_node(&launcher, ranks, getenv_fn);
    p->agent.rank = (int32_t)rank;
    p->agent.ranks = ranks;
    p->agent.announce_running = 1;
    p->agent.stop_grace_us = o->stop_grace_us;
    p->agent.epoch = (uint64_t)(now_us / 1000) << 8 | (uint64_t)(restarts > 255 ? 255 : restarts);
    p->will_restart = restarts < restarts_max;
    err = plan_job(p, o, getenv_fn, why, why_size);
    if (err < 0)
        return err;
    plan_id(p->agent.replica, host);
    if (o->producer) {
        if (!id_valid(o->producer, strlen(o->producer))) {
            snprintf(why, why_size,
                     "%.140s is no producer id: letters, digits, '.', '_', '-', at most %d",
                     o->producer, ID_BYTES_MAX);
            return ERR_INVALID;
        }
        snprintf(p->agent.producer, sizeof p->agent.producer, "%s", o->producer);
    } else if (rank != RECORD_RANK_NONE) {
        snprintf(p->agent.producer, sizeof p->agent.producer, "rank-%lld", (long long)rank);
    } else if (node != RECORD_RANK_NONE) {
        snprintf(p->agent.producer, sizeof p->agent.producer, "node-%lld", (long long)node);
    } else {
        snprintf(place, sizeof place, "%.100s-%lld", p->agent.replica, (long long)pid);
        plan_id(p->agent.producer, place);
    }
    return 0;
}

/* "rank 3 " or "the command ", then how it ended. */
static void say_end(const struct plan *p, char *out, size_t size, const char *how)
{
    if (p->agent.rank == RECORD_RANK_NONE)
        snprintf(out, size, "%s", how);
    else
        snprintf(out, size, "rank %d %s", (int)p->agent.rank, how);
}

int plan_end(const struct plan *p, int wait_status, int exec_errno, int is_stopped, struct agent_end *e)
{
    char how[128];
    int code;

    memset(e, 0, sizeof *e);
    if (exec_errno) {
        code = exec_errno == ENOENT ? CLI_EXIT_NO_COMMAND : CLI_EXIT_CANNOT_EXEC;
        snprintf(how, sizeof how, "could not start the command: %s", strerror(exec_errno));
    } else if (WIFSIGNALED(wait_status)) {
        const char *name = sigabbrev_np(WTERMSIG(wait_status));

        code = 128 + WTERMSIG(wait_status);
        e->signal = WTERMSIG(wait_status);
        snprintf(how, sizeof how, "killed by SIG%s", name ? name : "?");
    } else {
        code = WEXITSTATUS(wait_status);
        snprintf(how, sizeof how, "exited with code %d", code);
    }
    say_end(p, e->message, sizeof e->message, how);
    e->fin = 1;
    e->has_exit_code = 1;
    e->exit_code = code;
    if (is_stopped)
        return code;
    if (code && p->will_restart) {
        e->fin = 0;
    } else if (code) {
        e->has_state = 1;
        e->state = STATE_FAILED;
    } else if (p->agent.ranks <= 1) {
        e->has_state = 1;
        e->state = STATE_COMPLETED;
        e->message[0] = '\0';
    } /* else: the last rank to finish says COMPLETED */
    return code;
}

/* tests/unit/clients/cli/plan_test.c -- clients/cli/plan.c */
#include "clients/cli/plan.h"

#include "base/err.h"
#include "clients/cli/cli.h"
#include "job/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const *environment; /* name, value, …, NULL */

static const char *get(const char *name)
{
    for (const char *const *e = environment; e && *e; e += 2)
        if (!strcmp(*e, name))
            return e[1];
    return NULL;
}

static const struct plan_options none = {.rank = -1, .ranks = -1};
static char why[512];

static int make(struct plan *p, const struct plan_options *o, const char *const *env)
{
    environment = env;
    return plan_make(p, o, get, "host.local", 77, 1764000000000000, why, sizeof why);
}

#define ENV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void finds_job_rank_and_producer(void **state)
{
    /* Options beat the environment, RANK beats SLURM beats OpenMPI beats PMI beats LOCAL_RANK. */
    struct plan_options o = {.job = "mine", .rank = 5, .ranks = 6};
    struct plan p;

    assert_int_equal(make(&p, &none, NULL), 0);
    assert_true(p.job_is_fresh && !strncmp(p.job, "job-", 4));
    assert_int_equal(p.agent.rank, RECORD_RANK_NONE);
    assert_string_equal(p.agent.producer, "host.local-77");
    assert_int_equal(
        make(&p, &none,
             ENV("SLURM_JOB_ID", "9", "SLURM_PROCID", "3", "SLURM_NTASKS", "4", "LOCAL_RANK", "1")),
        0);
    assert_string_equal(p.job, "9");
    assert_string_equal(p.agent.producer, "rank-3");
    assert_int_equal(p.agent.rank, 3);
    assert_int_equal(p.agent.ranks, 4);
    assert_int_equal(
        make(&p, &none,
             ENV("JOBLOG_JOB", "j", "SLURM_JOB_ID", "9", "RANK", "1", "SLURM_PROCID", "3")),
        0);
    assert_string_equal(p.job, "j");
    assert_int_equal(p.agent.rank, 1);
    assert_int_equal(
        make(&p, &none, ENV("JOBLOG_JOB", "j", "PMI_RANK", "2", "PMI_SIZE", "4", "LOCAL_RANK", "1")), 0);
    assert_true(p.agent.rank == 2 && p.agent.ranks == 4);
    assert_int_equal(make(&p, &o, ENV("JOBLOG_JOB", "j", "RANK", "1")), 0);
    assert_string_equal(p.job, "mine");
    assert_int_equal(p.agent.rank, 5);
}

static void refuses_what_cannot_be(void **state)
{
    /* Several ranks without an id, a rank beyond the world, words for numbers and bad ids are refused with a reason. */
    struct plan_options bad = {.job = "a/b", .rank = -1, .ranks = -1};
    struct plan p;

    assert_int_equal(make(&p, &none, ENV("WORLD_SIZE", "2", "RANK", "0")), ERR_INVALID);
    assert_non_null(strstr(why, "--job"));
    assert_int_equal(make(&p, &none, ENV("JOBLOG_JOB", "j", "WORLD_SIZE", "2", "RANK", "2")),
                     ERR_INVALID);
    assert_int_equal(make(&p, &none, ENV("JOBLOG_JOB", "j", "RANK", "two")), ERR_INVALID);
    assert_non_null(strstr(why, "RANK=two"));
    assert_int_equal(make(&p, &bad, NULL), ERR_INVALID);
}

static void epochs_grow(void **state)
{
    /* A later start has a larger epoch, and so has a restart in the same millisecond. */
    struct plan a, b, c;

    assert_int_equal(make(&a, &none, NULL), 0);
    assert_int_equal(make(&b, &none, ENV("TORCHELASTIC_RESTART_COUNT", "1")), 0);
    assert_int_equal(plan_make(&c, &none, get, "h", 1, 1764000000001000, why, sizeof why), 0);
    assert_true(a.agent.epoch < b.agent.epoch && b.agent.epoch < c.agent.epoch &&
                c.agent.epoch < UINT64_C(1) << 53);
}

static void tells_the_end(void **state)
{
    /* Exit codes and signals become states, messages and our own exit code. */
    struct agent_end e;
    struct plan p;

    make(&p, &none, ENV("JOBLOG_JOB", "j", "RANK", "3", "WORLD_SIZE", "4"));
    assert_int_equal(plan_end(&p, 1 << 8, 0, 0, &e), 1);
    assert_true(e.has_state && e.state == STATE_FAILED && e.fin);
    assert_string_equal(e.message, "rank 3 exited with code 1");
    assert_int_equal(plan_end(&p, 9, 0, 0, &e), 137);
    assert_string_equal(e.message, "rank 3 killed by SIGKILL");
    assert_int_equal(e.signal, 9);
    assert_int_equal(plan_end(&p, 0, 0, 0, &e), 0);
    assert_true(!e.has_state && e.fin); /* the last one says COMPLETED */
    assert_int_equal(plan_end(&p, 0, ENOENT, 0, &e), CLI_EXIT_NO_COMMAND);
    assert_int_equal(plan_end(&p, 0, EACCES, 0, &e), CLI_EXIT_CANNOT_EXEC);
    assert_int_equal(plan_end(&p, 15, 0, 1, &e), 143); /* stopped: its state is known */
    assert_true(!e.has_state && e.fin && e.exit_code == 143);
    make(&p, &none, ENV("JOBLOG_JOB", "j"));
    assert_int_equal(plan_end(&p, 0, 0, 0, &e), 0);
    assert_true(e.has_state && e.state == STATE_COMPLETED);
    make(&p, &none,
         ENV("JOBLOG_JOB", "j", "TORCHELASTIC_RESTART_COUNT", "0", "TORCHELASTIC_MAX_RESTARTS",
             "3"));
    assert_int_equal(plan_end(&p, 1 << 8, 0, 0, &e), 1);
    assert_true(!e.has_state && !e.fin);
    assert_int_equal(plan_end(&p, 1 << 8, 0, 1, &e), 1); /* nobody starts a stopped one again */
    assert_true(!e.has_state && e.fin);
}

static void a_launchers_number_is_its_nodes(void **state)
{
    /* Below srun torchrun starts the ranks: the agent has none, and is named after its node; one node is told where sure. */
    static char *const torchrun[] = {"/opt/bin/torchrun", "--nproc_per_node", "8", "train.py", NULL};
    static char *const two[] = {"torchrun", "--nnodes=2", "train.py", NULL};
    static char *const module[] = {"python3.11", "-u", "-m", "torch.distributed.run", "--nnodes", "1:4", "train.py", NULL};
    static char *const alone[] = {"torchrun", "--standalone", "--nnodes=2", "train.py", NULL};
    static char *const plain[] = {"python", "train.py", "--nnodes=1", NULL};
    static char *const accelerate[] = {"accelerate", "launch", "--num-machines", "1", "x.py", NULL};
    static char *const deepspeed[] = {"deepspeed", "x.py", NULL};
    struct plan_options o = none;
    struct plan p;
#define SRUN(n) "SLURM_JOB_ID", "9", "SLURM_PROCID", "1", "SLURM_NTASKS", n, "SLURM_JOB_NUM_NODES", n

    o.command = torchrun;
    assert_int_equal(make(&p, &o, ENV(SRUN("2"))), 0);
    assert_string_equal(p.agent.producer, "node-1");
    assert_true(p.agent.rank == RECORD_RANK_NONE && p.agent.ranks == 2 && !p.agent.is_one_node);
    assert_int_equal(make(&p, &o, ENV("JOBLOG_JOB", "j", "SLURM_PROCID", "0", "SLURM_JOB_NUM_NODES", "1")), 0);
    assert_true(p.agent.rank == RECORD_RANK_NONE && p.agent.is_one_node);
    assert_int_equal(make(&p, &o, NULL), 0);
    assert_true(p.agent.is_one_node);
    assert_int_equal(make(&p, &o, ENV("PET_NNODES", "2")), 0);
    assert_false(p.agent.is_one_node);
    o.rank = 5;
    assert_int_equal(make(&p, &o, NULL), 0);
    assert_true(p.agent.rank == 5 && !strcmp(p.agent.producer, "rank-5"));
    o.rank = -1;
    for (int i = 0; i < 6; i++) {
        static const struct {
            char *const *command;
            int is_launcher, is_one_node;
        } rows[] = {{two, 1, 0}, {module, 1, 0}, {alone, 1, 1}, {plain, 0, 0}, {accelerate, 1, 1}, {deepspeed, 1, 0}};

        o.command = rows[i].command;
        assert_int_equal(make(&p, &o, ENV("JOBLOG_JOB", "j", "SLURM_PROCID", "1")), 0);
        assert_int_equal(p.agent.rank == RECORD_RANK_NONE, rows[i].is_launcher);
        assert_int_equal(p.agent.is_one_node, rows[i].is_one_node);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_job_rank_and_producer),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(epochs_grow),
        cmocka_unit_test(a_launchers_number_is_its_nodes),
        cmocka_unit_test(tells_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * clients/cli/sampler.h -- how busy this node is, sampled now and then while a command runs.
 *
 * A thread of its own measures cores used, memory and disk (usage.h) and, where nvidia-smi is, GPUs (gpus.h),
 * and hands the sample to the agent. Of several ranks of a job on one node only one samples: the one that
 * holds a lock file under /tmp; when it ends, another takes over. A container is a node of its own.
 */
#ifndef CLIENTS_CLI_SAMPLER_H
#define CLIENTS_CLI_SAMPLER_H

#include "clients/cli/agent.h"

#define SAMPLER_INTERVAL_US 10000000
#define SAMPLER_INTERVAL_US_MIN 100000

struct sampler;

/* job: a name for the lock (project and job). agent is borrowed until sampler_stop. ERR_LIMIT: no thread. */
int sampler_start(struct agent *agent, const char *job, int64_t interval_us, struct sampler **ret_sampler);
/* Ends the thread, within half a second. Takes and NULLs; NULL is fine. */
void sampler_stop(struct sampler **s);

#endif

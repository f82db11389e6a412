/*
 * digest/report.h -- what launchers say of how their workers ended.
 *
 *     torchrun's closing report (torch/distributed/elastic/multiprocessing/errors, ChildFailedError):
 *         ============================            <- ruler
 *         train.py FAILED
 *         ----------------------------
 *         Failures:
 *         [1]:
 *           time      : 2026-01-02_03:04:05
 *           host      : node-1
 *           rank      : 5 (local_rank: 1)
 *           exitcode  : -9 (pid: 777) [(SIGKILL)]
 *           error_file: <N/A>
 *           traceback : Signal 9 (SIGKILL) received by PID 777
 *         ----------------------------
 *         Root Cause (first observed failure):
 *         [0]:
 *           …
 *     its agent          "… failed (exitcode: -9) local_rank: 4 (pid: 777) of binary: /usr/bin/python3"
 *     DeepSpeed          "[…] [ERROR] [launch.py:325:sigkill_handler] ['/usr/bin/python3', '-u', 'train.py', '--local_rank=3']
 *                        exits with return code = -9", as torchrun's agent
 *     srun               "srun: error: node-1: task 3: Exited with exit code 1", "…: tasks 0-2,5: Killed"
 *     Open MPI 4         "mpirun noticed that process rank 3 with PID 777 on node n1 exited on signal 9 (Killed)."
 *
 * Several tasks of srun on one line are one entry for each, at most REPORT_TASKS_MAX.
 */
#ifndef DIGEST_REPORT_H
#define DIGEST_REPORT_H

#include "digest/digest_parts.h"

#define REPORT_TASKS_MAX 64

/* Where a source is in torchrun's report; zeroed before its first ruler. */
struct report {
    uint8_t is_open, is_root;
    int64_t failed_us;
    int32_t rank, local_rank;
    char host[DIGEST_NAME_BYTES_MAX + 1];
    char title[DIGEST_NAME_BYTES_MAX + 1];
};

/* A line of a torchrun report. 1: it ended an entry (its exit code was read), in *ret; title is not set, see r->title. */
int report_next(struct report *r, const char *text, size_t len, struct digest_report *ret);
/* A line that tells an end by itself; how many entries (0: it is none such), in ret[REPORT_TASKS_MAX]. */
uint32_t report_line(const char *text, size_t len, struct digest_report *ret);
/* May report_line() find something? By its first bytes. */
static inline int report_may_be(const char *text, size_t len)
{
    return len > 16 && ((text[0] == 's' && text[1] == 'r') || (text[0] == 'm' && text[1] == 'p'));
}

#endif

/*
 * digest/cause.h -- what an error of a log means: the known causes, and which text tells which.
 *
 * A table of literals (cause_table.c) is looked for in one pass over a line or block; the first rule
 * whose literals are all there names the cause. No pattern matching, no state: the same text is
 * always the same cause.
 *
 * The nature of a cause says how far it explains a failure by itself:
 *     PRIMARY   it is a reason: out of memory, a missing file
 *     GENERIC   it is an error, but its name says nothing: a Python exception, an abort
 *     CASCADE   processes say it when another one has gone: a collective's timeout, a reset connection. It
 *               is believed to be a reason only when nothing else is there
 *     NOTICE    a launcher or scheduler tells that somebody else ended
 *
 * Where the words come from, for each: beside its rules in cause_table.c.
 * Limits     CAUSE_TEXT_BYTES_MAX of a text are looked at: its beginning and its end.
 * Threads    Any; the search table is made once.
 */
#ifndef DIGEST_CAUSE_H
#define DIGEST_CAUSE_H

#include "digest/digest.h"

/* Of rules or causes: digests with another version are made anew. */
#define CAUSE_VERSION 1
#define CAUSE_TEXT_BYTES_MAX 16384

enum cause_nature { CAUSE_PRIMARY, CAUSE_GENERIC, CAUSE_CASCADE, CAUSE_NOTICE };

/* X(NAME, "id on the wire", nature, "title for people") */
#define CAUSE_TABLE(X)                                                                             \
    X(CUDA_OOM, "cuda_oom", PRIMARY, "CUDA out of memory")                                         \
    X(ECC, "ecc", PRIMARY, "uncorrectable GPU memory error (ECC)")                                 \
    X(XID, "xid", PRIMARY, "GPU fault reported by the driver (Xid)")                               \
    X(NVLINK, "nvlink", PRIMARY, "NVLink error")                                                   \
    X(CUDA_ASSERT, "cuda_assert", PRIMARY, "CUDA device-side assert")                              \
    X(CUDA_ERROR, "cuda_error", PRIMARY, "CUDA error")                                             \
    X(NO_GPU, "no_gpu", PRIMARY, "no usable GPU or driver")                                        \
    X(NCCL_TIMEOUT, "nccl_timeout", CASCADE, "NCCL collective timed out")                          \
    X(NCCL_REMOTE, "nccl_remote", CASCADE, "NCCL lost its peer")                                   \
    X(NCCL_ERROR, "nccl_error", GENERIC, "NCCL error")                                             \
    X(NAN_LOSS, "nan_loss", PRIMARY, "loss is not a number")                                       \
    X(DISK_FULL, "disk_full", PRIMARY, "disk full")                                                \
    X(SHARED_MEMORY, "shared_memory", PRIMARY, "shared memory (/dev/shm) exhausted")               \
    X(OOM_KILLED, "oom_killed", PRIMARY, "killed for lack of host memory")                         \
    X(HOST_OOM, "host_oom", PRIMARY, "host memory exhausted")                                      \
    X(SIGKILL, "sigkill", GENERIC, "killed (SIGKILL), often for lack of memory")                   \
    X(IMPORT_ERROR, "import_error", PRIMARY, "import error")                                       \
    X(DATALOADER_WORKER, "dataloader_worker", PRIMARY, "data loader worker died")                  \
    X(BAD_IMAGE, "bad_image", PRIMARY, "image cannot be pulled or run")                            \
    X(DEPLOY_FAILED, "deploy_failed", PRIMARY, "deployment failed")                                \
    X(SEGFAULT, "segfault", PRIMARY, "segmentation fault")                                         \
    X(BUS_ERROR, "bus_error", PRIMARY, "bus error")                                                \
    X(HEAP_CORRUPTION, "heap_corruption", PRIMARY, "memory corruption found by the C library")     \
    X(ASSERTION, "assertion", PRIMARY, "failed assertion")                                         \
    X(FILE_NOT_FOUND, "file_not_found", PRIMARY, "file not found")                                 \
    X(PERMISSION, "permission", PRIMARY, "permission denied")                                      \
    X(CREDENTIALS, "credentials", PRIMARY, "credentials refused")                                  \
    X(NAME_RESOLUTION, "name_resolution", PRIMARY, "host name not found")                          \
    X(PORT_IN_USE, "port_in_use", PRIMARY, "port in use")                                          \
    X(CHECKPOINT, "checkpoint", PRIMARY, "checkpoint cannot be loaded")                            \
    X(CONFIG, "config", PRIMARY, "wrong arguments or configuration")                               \
    X(TENSOR, "tensor", PRIMARY, "tensors do not fit")                                             \
    X(SYSTEM_LIMIT, "system_limit", PRIMARY, "a limit of the system: open files or processes")     \
    X(TIME_LIMIT, "time_limit", PRIMARY, "time limit reached")                                     \
    X(PREEMPTED, "preempted", PRIMARY, "preempted")                                                \
    X(COMMAND, "command", PRIMARY, "command cannot be started")                                    \
    X(PYTHON_EXCEPTION, "python_exception", GENERIC, "Python exception")                           \
    X(CPP_EXCEPTION, "cpp_exception", GENERIC, "uncaught C++ exception")                           \
    X(GO_PANIC, "go_panic", GENERIC, "Go panic")                                                   \
    X(RUST_PANIC, "rust_panic", GENERIC, "Rust panic")                                             \
    X(JAVA_EXCEPTION, "java_exception", GENERIC, "Java exception")                                 \
    X(ABORT, "abort", GENERIC, "aborted (SIGABRT)")                                                \
    X(SIGNAL, "signal", GENERIC, "ended by a signal")                                              \
    X(EXIT_CODE, "exit_code", GENERIC, "ended with an exit code and no error text")                \
    X(LOST, "lost", GENERIC, "gone without a word: its node or agent was lost")                    \
    X(STUCK, "stuck", GENERIC, "stuck")                                                            \
    X(CONNECTION, "connection", CASCADE, "connection to a peer lost")                              \
    X(STORE, "store", CASCADE, "rendezvous or store timed out")                                    \
    X(INTERRUPTED, "interrupted", CASCADE, "interrupted (SIGINT)")                                 \
    X(TERMINATED, "terminated", CASCADE, "told to end (SIGTERM)")                                  \
    X(CHILD_FAILED, "child_failed", NOTICE, "launcher's report")

enum cause {
    CAUSE_NONE,
#define X(name, id, nature, title) CAUSE_##name,
    CAUSE_TABLE(X)
#undef X
        CAUSE_COUNT
};

/* "cuda_oom"; NULL for CAUSE_NONE and what is no cause. */
const char *cause_id(enum cause c);
const char *cause_title(enum cause c);
enum cause_nature cause_nature(enum cause c);

/* From one line, without colours and launcher prefix. in_error: it is of level error or fatal, or stands in a
 * block: words that a healthy log may hold too are believed then. */
enum cause cause_of_line(const char *text, size_t len, int in_error);
/* From a block: its title (the line that names it) counts before the rest; of the rest only what is said, not the
 * source lines a traceback quotes. A block of a kind is its kind's generic cause at least. */
enum cause cause_of_block(enum digest_kind kind, const char *title, const char *text, size_t len);
/* From how a process ended: an exit code, or a signal (0: none). CAUSE_NONE: in order. */
enum cause cause_of_exit(int exit_code, int signal);

/* For digest_new(). */
extern const struct digest_classifier cause_classifier;

#endif

/*
 * tests/unit/digest/cause_test.c -- text to cause: every rule can be reached, real lines mean what they mean, a
 * healthy log means nothing.
 */
#include "corpus.h"

#include "digest/cause_table.h"

#include <signal.h>
#include <time.h>

#define LINE(cause, text)                                                                          \
    {                                                                                              \
        CAUSE_##cause, text                                                                        \
    }

static const struct {
    enum cause cause;
    const char *text;
} lines[] = {
    /* PyTorch and CUDA */
    LINE(CUDA_OOM, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 "
                   "has a total capacity of 23.69 GiB"),
    LINE(CUDA_OOM, "RuntimeError: CUDA out of memory. Tried to allocate 2.50 GiB (GPU 3; 79.15 GiB "
                   "total capacity)"),
    LINE(
        CUDA_OOM,
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    LINE(CUDA_OOM, "RuntimeError: CUDA error: out of memory"),
    LINE(CUDA_OOM, "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while "
                   "trying to allocate 1024 bytes."),
    LINE(ECC, "RuntimeError: CUDA error: uncorrectable ECC error encountered"),
    LINE(ECC, "[12.3] NVRM: Xid (PCI:0000:3b:00): 48, pid=1234, An uncorrectable double bit error "
              "(DBE) has been detected on GPU"),
    LINE(ECC, "[12.3] NVRM: Xid (PCI:0000:3b:00): 95, pid='<unknown>', name=<unknown>, Uncontained "
              "ECC error"),
    LINE(XID, "NVRM: Xid (PCI:0000:10:1c): 63, pid=1896, Row Remapper: New row marked for "
              "remapping, reset gpu to activate."),
    LINE(XID, "[1187.12] NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus."),
    LINE(NVLINK, "[12.3] NVRM: Xid (PCI:0000:3b:00): 74, pid=1, NVLink: fatal error detected on "
                 "link 6(0x10000, 0x0)"),
    LINE(NVLINK,
         "RuntimeError: CUDA error: uncorrectable NVLink error detected during the execution"),
    LINE(CUDA_ASSERT, "RuntimeError: CUDA error: device-side assert triggered"),
    LINE(CUDA_ASSERT, "../aten/src/ATen/native/cuda/Loss.cu:250: f: block: [0,0,0], thread: "
                      "[1,0,0] Assertion `t >= 0` failed."),
    LINE(CUDA_ERROR, "RuntimeError: CUDA error: an illegal memory access was encountered"),
    LINE(CUDA_ERROR, "RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    LINE(NO_GPU, "RuntimeError: No CUDA GPUs are available"),
    LINE(NO_GPU, "AssertionError: Torch not compiled with CUDA enabled"),
    LINE(NCCL_TIMEOUT, "[rank1]:[E1123 20:54:01.1 ProcessGroupNCCL.cpp:629] [Rank 1] Watchdog "
                       "caught collective operation timeout: WorkNCCL(SeqNum=1)"),
    LINE(NCCL_TIMEOUT, "RuntimeError: NCCL communicator was aborted on rank 1. Original reason for "
                       "failure was: [Rank 1] Watchdog"),
    LINE(NCCL_TIMEOUT, "RuntimeError: [x/unbound_buffer.cc:78] Timed out waiting 4000ms for recv "
                       "operation to complete"),
    LINE(NCCL_REMOTE, "ncclRemoteError: A call failed possibly due to a network error or a remote "
                      "process exiting prematurely."),
    LINE(NCCL_REMOTE, "torch.distributed.DistBackendError: NCCL error in: x.cpp:3690, remote "
                      "process exited or there was a network error"),
    LINE(NCCL_REMOTE, "node-1:77:99 [3] misc/socket.cc:514 NCCL WARN socketProgress: Connection "
                      "closed by remote peer node-2<40010>"),
    LINE(NCCL_ERROR, "torch.distributed.DistBackendError: NCCL error in: "
                     "ProcessGroupNCCL.cpp:1691, unhandled system error"),
    /* memory, disks */
    LINE(OOM_KILLED,
         "[ 99.1] Out of memory: Killed process 4711 (python3) total-vm:1234kB, anon-rss:1234kB"),
    LINE(OOM_KILLED, "Memory cgroup out of memory: Killed process 12 (python)"),
    LINE(OOM_KILLED, "slurmstepd: error: Detected 1 oom_kill event in StepId=1.0. Some of the step "
                     "tasks have been OOM Killed."),
    LINE(SHARED_MEMORY, "ERROR: Unexpected bus error encountered in worker. This might be caused "
                        "by insufficient shared memory (shm)."),
    LINE(SHARED_MEMORY, "RuntimeError: unable to open shared memory object </torch_1_2_3> in "
                        "read-write mode: Too many open files (24)"),
    LINE(DISK_FULL, "OSError: [Errno 28] No space left on device: '/ckpt/step-100.pt'"),
    LINE(DISK_FULL, "OSError: [Errno 122] Disk quota exceeded"),
    LINE(HOST_OOM, "MemoryError"),
    LINE(HOST_OOM, "numpy.exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array "
                   "with shape (1000000000,)"),
    LINE(HOST_OOM, "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. "
                   "DefaultCPUAllocator: can't allocate memory: you tried to"),
    LINE(HOST_OOM, "OSError: [Errno 12] Cannot allocate memory"),
    LINE(SYSTEM_LIMIT, "OSError: [Errno 24] Too many open files: 'x'"),
    LINE(SYSTEM_LIMIT, "RuntimeError: can't start new thread"),
    /* data, numbers */
    LINE(DATALOADER_WORKER,
         "RuntimeError: DataLoader worker (pid 77) is killed by signal: Killed. "),
    LINE(DATALOADER_WORKER, "RuntimeError: DataLoader worker (pid(s) 77, 78) exited unexpectedly"),
    LINE(DATALOADER_WORKER, "KeyError: Caught KeyError in DataLoader worker process 0."),
    LINE(NAN_LOSS, "Exception: Current loss scale already at minimum - cannot decrease scale "
                   "anymore. Exiting run."),
    LINE(NAN_LOSS, "RuntimeError: Function 'MulBackward0' returned nan values in its 0th output."),
    LINE(NAN_LOSS, "AssertionError: Loss is nan, stopping training"),
    LINE(CHECKPOINT, "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding "
                     "central directory"),
    LINE(CHECKPOINT, "_pickle.UnpicklingError: invalid load key, '<'."),
    LINE(CHECKPOINT, "zipfile.BadZipFile: File is not a zip file"),
    LINE(CHECKPOINT,
         "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge"),
    LINE(TENSOR, "RuntimeError: The size of tensor a (513) must match the size of tensor b (512) "
                 "at non-singleton dimension 1"),
    LINE(TENSOR, "RuntimeError: Expected all tensors to be on the same device, but found at least "
                 "two devices, cuda:0 and cpu!"),
    /* images, schedulers, launchers */
    LINE(BAD_IMAGE, "Back-off pulling image \"registry.example.com/train:1\""),
    LINE(BAD_IMAGE, "exec /opt/train: exec format error"),
    LINE(TIME_LIMIT, "slurmstepd: error: *** JOB 123 ON node-1 CANCELLED AT 2026-11-23T20:54:01 "
                     "DUE TO TIME LIMIT ***"),
    LINE(PREEMPTED, "slurmstepd: error: *** JOB 123 ON node-1 CANCELLED AT 2026-11-23T20:54:01 DUE "
                    "TO PREEMPTION ***"),
    LINE(TERMINATED,
         "slurmstepd: error: *** STEP 4711.0 ON node-1 CANCELLED AT 2026-11-23T20:54:01 ***"),
    LINE(
        TERMINATED,
        "torch.distributed.elastic.multiprocessing.api.SignalException: Process 77 got signal: 15"),
    LINE(TERMINATED, "W1125 22:14:38.8 1 torch/distributed/elastic/multiprocessing/api.py:900] "
                     "Sending process 7 closing signal SIGTERM"),
    LINE(CHILD_FAILED, "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: "),
    LINE(CHILD_FAILED, "srun: error: node-1: task 3: Exited with exit code 1"),
    LINE(CHILD_FAILED, "[2026-01-02 03:04:05,678] [ERROR] [launch.py:325:sigkill_handler] ['/usr/bin/python3', '-u', "
                       "'train.py', '--local_rank=3'] exits with return code = 1"),
    LINE(CHILD_FAILED,
         "mpirun noticed that process rank 2 with PID 0 on node vm exited on signal 9 (Killed)."),
    /* peers */
    LINE(PORT_IN_USE, "OSError: [Errno 98] Address already in use"),
    LINE(PORT_IN_USE, "RuntimeError: The server socket has failed to listen on any local network "
                      "address. port: 29500, useIpv6: false, "
                      "code: -98, name: EADDRINUSE, message: address already in use"),
    LINE(NAME_RESOLUTION, "socket.gaierror: [Errno -2] Name or service not known"),
    LINE(CONNECTION, "ConnectionResetError: [Errno 104] Connection reset by peer"),
    LINE(CONNECTION, "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:534] "
                     "Connection closed by peer [127.0.0.1]:1234"),
    LINE(CONNECTION, "BrokenPipeError: [Errno 32] Broken pipe"),
    LINE(STORE, "torch.distributed.DistStoreError: Timed out after 61 seconds waiting for clients. "
                "3/4 clients joined."),
    LINE(STORE, "torch.distributed.DistStoreError: wait timeout after 30000ms, keys: "
                "/default_pg/0//cpu//0/1"),
    /* programs */
    LINE(IMPORT_ERROR, "ModuleNotFoundError: No module named 'flash_attn'"),
    LINE(IMPORT_ERROR,
         "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory"),
    LINE(IMPORT_ERROR, "/opt/train: error while loading shared libraries: libnccl.so.2: cannot "
                       "open shared object file"),
    LINE(CREDENTIALS, "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: "
                      "https://example.com/x"),
    LINE(COMMAND, "python3: can't open file '/work/train.py': [Errno 2] No such file or directory"),
    LINE(COMMAND, "/bin/sh: 1: deepspeed: command not found"),
    LINE(FILE_NOT_FOUND, "FileNotFoundError: [Errno 2] No such file or directory: '/data/x.bin'"),
    LINE(PERMISSION, "PermissionError: [Errno 13] Permission denied: '/root/x'"),
    LINE(CONFIG, "train.py: error: unrecognized arguments: --lrr 1"),
    LINE(SEGFAULT, "Fatal Python error: Segmentation fault"),
    LINE(SEGFAULT, "Segmentation fault (core dumped)"),
    LINE(HEAP_CORRUPTION, "double free or corruption (!prev)"),
    LINE(HEAP_CORRUPTION, "free(): invalid pointer"),
    LINE(ASSERTION, "train: kernels.c:20: main: Assertion `n > 0' failed."),
    LINE(ASSERTION, "AssertionError: batch of 8 rows where 16 are wanted"),
    LINE(INTERRUPTED, "KeyboardInterrupt"),
    LINE(CPP_EXCEPTION, "terminate called after throwing an instance of 'std::runtime_error'"),
    LINE(SIGKILL, "Killed"),
    LINE(JAVA_EXCEPTION, "Exception in thread \"main\" java.lang.IllegalStateException: closed"),
    /* names alone: not of any known cause */
    LINE(NONE, "ValueError: expected input of shape (8, 512), got (8, 513)"),
    LINE(NONE, "KeyError: 'labels'"),
    LINE(NONE, "MyMemoryErrorHandler: MemoryErrors are counted"),
};

static void test_lines_of_errors(void **state)
{
    (void)state; /* Real error lines, as their writers print them, mean what the table says. */
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        enum cause c = cause_of_line(lines[i].text, strlen(lines[i].text), 1);
        if (c != lines[i].cause)
            fail_msg("%s is taken for %s", lines[i].text, c ? cause_id(c) : "nothing");
    }
}

static void test_every_rule_is_reached(void **state)
{
    (void)
        state; /* No rule is hidden by an earlier one that means something else, unless that is more particular. */
    unsigned hidden = 0;

    for (unsigned r = 0; r < cause__rule_count; r++) {
        const struct cause_rule *rule = &cause__rules[r];
        struct buf text = BUF_INIT;
        for (unsigned k = 0; k < CAUSE_LITERALS_MAX && rule->literals[k]; k++)
            buf_addf(&text, "%s%s%s", k ? " x " : "",
                     rule->use & CAUSE_PYTHON && k == 1 ? "\n" : "", rule->literals[k]);
        if (rule->use & CAUSE_PYTHON && !rule->literals[1])
            buf_adds(&text, ": x");
        if (rule->use & CAUSE_PYTHON && rule->literals[1]) {
            buf_clear(&text);
            buf_addf(&text, "%s: %s", rule->literals[0], rule->literals[1]);
        }
        enum cause c = cause_of_line(text.data, text.len, 1);
        if (c != rule->cause) {
            print_message("  %s is taken for %s\n", text.data, c ? cause_id(c) : "nothing");
            hidden++;
        }
        buf_release(&text);
    }
    assert_int_equal(hidden, 0);
}

static const char *const healthy[] = {
    "step=40 loss=0.7421 lr=1.51e-04 tokens/s=41873 grad_norm=0.912",
    "WARNING:root:dataloader worker 3 waited 212 ms for the next batch",
    "INFO: 0 errors, 0 failures; no space problems found",
    "Epoch 3: 100%|##########| 400/400 [00:12<00:00, 32.1it/s, loss=nan_ok]",
    "node-1:4000:4100 [0] NCCL INFO comm 0x55d0 rank 0 nranks 8 - Init COMPLETE",
    "reconnecting: Connection refused, will retry in 2 s",
    "Killed 3 stale workers",
    "Terminated early by the schedule",
    "loading MemoryError handlers from FileNotFoundError.md",
    "Downloading shard 12/120: model-00012.safetensors",
    "checkpoint saved to /ckpt/step-400 (No such file or directory is fine here)",
    "eval: exact match 0.33, assertion accuracy 0.91",
    "free() is called 12 times",
    "malloc stats: 12 MiB",
    "Aborting the search early: enough found",
};

static void test_healthy_lines(void **state)
{
    (void)state; /* What a healthy job prints, and what merely holds such words, has no cause. */
    struct corpus c;

    for (size_t i = 0; i < sizeof healthy / sizeof *healthy; i++) {
        enum cause found = cause_of_line(healthy[i], strlen(healthy[i]), 0);
        if (found)
            fail_msg("%s is taken for %s", healthy[i], cause_id(found));
    }
    corpus_load(&c, "healthy");
    assert_int_equal(c.d->group_count, 0);
    corpus_free(&c);
}

static void test_blocks(void **state)
{
    (void)
        state; /* The title decides, what a traceback quotes does not; an earlier exception explains a nameless one. */
    static const char quoting[] =
        "Traceback (most recent call last):\n  File \"train.py\", line 12, in main\n"
        "    raise ValueError(x)  # CUDA out of memory is retried above\nValueError: 3\n";
    static const char chain[] =
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    open(p)\n"
        "FileNotFoundError: [Errno 2] No such file or directory: 'x'\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        "Traceback (most recent call last):\n  File \"a.py\", line 3, in g\n    h()\nRuntimeError: "
        "no data\n";
    static const char peer[] = "Traceback (most recent call last):\n  File "
                               "\"/usr/lib/python3.11/multiprocessing/connection.py\", line "
                               "382, in _recv\n    raise EOFError\nEOFError\n";
    static const char watchdog[] =
        "terminate called after throwing an instance of 'c10::DistBackendError'\n"
        "  what():  [Rank 1] Process group watchdog thread terminated with exception: [Rank 1] "
        "Watchdog caught collective operation timeout: x\n";

    assert_int_equal(
        cause_of_block(DIGEST_KIND_PYTHON, "ValueError: 3", quoting, sizeof quoting - 1),
        CAUSE_PYTHON_EXCEPTION);
    assert_int_equal(
        cause_of_block(DIGEST_KIND_PYTHON, "RuntimeError: no data", chain, sizeof chain - 1),
        CAUSE_FILE_NOT_FOUND);
    assert_int_equal(cause_of_block(DIGEST_KIND_PYTHON, "EOFError", peer, sizeof peer - 1),
                     CAUSE_CONNECTION);
    assert_int_equal(
        cause_of_block(DIGEST_KIND_CPP,
                       "terminate called after throwing an instance of 'c10::DistBackendError'",
                       watchdog, sizeof watchdog - 1),
        CAUSE_NCCL_TIMEOUT);
    assert_int_equal(cause_of_block(DIGEST_KIND_GO, "panic: x", "panic: x\n", 9), CAUSE_GO_PANIC);
    assert_int_equal(cause_of_block(DIGEST_KIND_LINE, "well", "well\n", 5), CAUSE_NONE);
    assert_int_equal(cause_of_block(DIGEST_KIND_PYTHON, NULL, "", 0), CAUSE_PYTHON_EXCEPTION);
}

static void test_hostile_lengths(void **state)
{
    (void)
        state; /* A text of any length and content is looked at in bounds; its end in the middle of a literal is none. */
    size_t len = 3 * CAUSE_TEXT_BYTES_MAX;
    char *text = malloc(len);

    memset(text, 'C', len);
    for (size_t n = 0; n < 64; n++)
        cause_of_line(text + len - n, n, 1);
    assert_int_equal(cause_of_block(DIGEST_KIND_PYTHON, "x", text, len), CAUSE_PYTHON_EXCEPTION);
    memset(text, '\n', len);
    assert_int_equal(cause_of_block(DIGEST_KIND_LINE, "x", text, len), CAUSE_NONE);
    memcpy(text + len - 18, "CUDA out of memory", 18);
    assert_int_equal(cause_of_line(text + len - 18, 17, 1), CAUSE_NONE);
    assert_int_equal(cause_of_line(text + len - 18, 18, 1), CAUSE_CUDA_OOM);
    free(text);
}

static void test_exits(void **state)
{
    (void)state; /* An exit in order has no cause; signals and the shell's 128 + n mean the same. */
    assert_int_equal(cause_of_exit(0, 0), CAUSE_NONE);
    assert_int_equal(cause_of_exit(3, 0), CAUSE_EXIT_CODE);
    assert_int_equal(cause_of_exit(137, 0), CAUSE_SIGKILL);
    assert_int_equal(cause_of_exit(137, SIGKILL), CAUSE_SIGKILL);
    assert_int_equal(cause_of_exit(139, 0), CAUSE_SEGFAULT);
    assert_int_equal(cause_of_exit(127, 0), CAUSE_COMMAND);
    assert_int_equal(cause_of_exit(143, SIGTERM), CAUSE_TERMINATED);
    assert_int_equal(cause_of_exit(-1, SIGXCPU), CAUSE_SIGNAL);
}

static void test_names(void **state)
{
    (void)
        state; /* Every cause has an id of small letters, a title and a nature; no two have one id. */
    for (int i = 1; i < CAUSE_COUNT; i++) {
        assert_non_null(cause_title((enum cause)i));
        assert_int_equal(strspn(cause_id((enum cause)i), "abcdefghijklmnopqrstuvwxyz_"),
                         strlen(cause_id((enum cause)i)));
        for (int k = 1; k < i; k++)
            assert_string_not_equal(cause_id((enum cause)i), cause_id((enum cause)k));
    }
    assert_null(cause_id(CAUSE_NONE));
    assert_null(cause_id((enum cause)9999));
    assert_true(CAUSE_COUNT <= 64); /* the digest keeps groups for so many */
}

static void test_cheap(void **state)
{
    (void)
        state; /* A line of a healthy log costs less than two microseconds, sanitizers and a busy machine included. */
    enum { ROUNDS = 20000 };
    struct timespec from, to;
    unsigned found = 0;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (int i = 0; i < ROUNDS; i++)
        found += cause_of_line(healthy[i % 5], strlen(healthy[i % 5]), 0) != CAUSE_NONE;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
#ifdef __SANITIZE_THREAD__
    const int is_slow = 1;
#else
    const int is_slow = getenv("TEST_VALGRIND") != NULL;
#endif
    if (is_slow) {
        puts("skipped: valgrind and ThreadSanitizer make it up to a hundred times slower");
        skip();
    }
    double ns =
        ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / ROUNDS;
    print_message("  %.0f ns a line\n", ns);
    assert_int_equal(found, 0);
    assert_true(ns < 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_errors), cmocka_unit_test(test_every_rule_is_reached),
        cmocka_unit_test(test_healthy_lines),   cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_hostile_lengths), cmocka_unit_test(test_exits),
        cmocka_unit_test(test_names),           cmocka_unit_test(test_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * tests/unit/job/level_text_test.c -- levels read from real lines.
 */
#include "job/level.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct sample {
    const char *line;
    enum level level;
};

static void check_all(const struct sample *s, size_t count)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        enum level got = level_from_text(s[i].line, strlen(s[i].line));
        if (got == s[i].level) continue;
        print_error("want \"%s\", got \"%s\": %s\n", level_name(s[i].level), level_name(got),
                    s[i].line);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}
#define CHECK_ALL(samples) check_all(samples, sizeof samples / sizeof *samples)

static void test_loggers(void **state)
{
    /* The level is read where a logger puts it. */
    static const struct sample samples[] = {
        {"WARNING:root:disk is slow", LEVEL_WARN},
        {"ERROR:torch.distributed.elastic:failed", LEVEL_ERROR},
        {"DEBUG:asyncio:Using selector: EpollSelector", LEVEL_DEBUG},
        {"CRITICAL:root:giving up", LEVEL_FATAL},
        {"INFO:     Uvicorn running on http://0.0.0.0:8000", LEVEL_INFO},
        {"WARNING: All log messages before absl::InitializeLog()", LEVEL_WARN},
        {"ERROR: Could not find a version", LEVEL_ERROR},
        {"ERROR 2026-11-23 20:54:01,123 launcher x", LEVEL_ERROR},
        {"INFO  2026-11-23T20:54:01Z start", LEVEL_INFO},
        {"INFO 11-23 20:54:01 engine.py:12] vLLM", LEVEL_INFO},
        {"ERROR - main - broke", LEVEL_ERROR},
        {"WARN [main] o.a.spark: x", LEVEL_WARN},
        {"[WARNING] low memory", LEVEL_WARN},
        {"[ERROR]", LEVEL_ERROR},
        {"[ INFO ] build", LEVEL_INFO},
        {"[INFO|trainer.py:2128] 2026-11-23 20:54:01,123 >> ***** Running *****", LEVEL_INFO},
        {"[WARNING|modeling_utils.py:88] 2026-11-23 >> x", LEVEL_WARN},
        {"[2026-11-23 20:54:01,123] [INFO] [comm.py:637:init_distributed] cdb=None", LEVEL_INFO},
        {"[2026-11-23 20:54:01,123] ERROR in app: x", LEVEL_ERROR},
        {"[2026-11-23 20:54:01,123][accelerate.utils][ERROR] - x", LEVEL_ERROR},
        {"[2026-11-23T20:54:01Z ERROR my_crate::net] no route", LEVEL_ERROR},
        {"2026-11-23 20:54:01,123 - root - ERROR - x", LEVEL_ERROR},
        {"2026-11-23 20:54:01,123 - WARNING - x", LEVEL_WARN},
        {"2026-11-23 20:54:01,123 ERROR x", LEVEL_ERROR},
        {"2026-11-23 20:54:01,123 root CRITICAL x", LEVEL_FATAL},
        {"2026-11-23 20:54:01,123:ERROR:x", LEVEL_ERROR},
        {"2026-11-23 20:54:01.123 | ERROR    | mod:func:12 - broke", LEVEL_ERROR},
        {"2026-11-23 20:54:01.123  INFO 4711 --- [main] c.e.App : up", LEVEL_INFO},
        {"2026-11-23 20:54:01.123 [main] WARN  c.e.App - slow", LEVEL_WARN},
        {"2026/11/23 20:54:01 [error] 12#12: *1 connect() failed", LEVEL_ERROR},
        {"[warn] deprecated", LEVEL_WARN},
        {"root - ERROR - x", LEVEL_ERROR},
        {"my.module:WARNING:x", LEVEL_WARN},
        {"12:00:01 DEBUG x", LEVEL_DEBUG},
        {"time=2026-11-23T20:54:01Z level=warn msg=\"x\"", LEVEL_WARN},
        {"level=\"ERROR\" msg=x", LEVEL_ERROR},
        {"2026-11-23 20:54:01.123456: E tensorflow/stream_executor/cuda/cuda_driver.cc:271] f",
         LEVEL_ERROR},
        {"/opt/x/site-packages/torch/nn.py:12: UserWarning: deprecated", LEVEL_WARN},
        {"FutureWarning: x will change", LEVEL_WARN},
    };
    CHECK_ALL(samples);
}

static void test_machines(void **state)
{
    /* glog, NCCL, tracebacks and crashes are known by their shape. */
    static const struct sample samples[] = {
        {"E1123 20:54:01.123456 1234 file.cc:12] bad", LEVEL_ERROR},
        {"W1123 20:54:01.123456 1234 file.cc:12] hm", LEVEL_WARN},
        {"I1123 20:54:01.123456 1234 file.cc:12] ok", LEVEL_INFO},
        {"F1123 20:54:01.123456 1234 file.cc:12] Check failed", LEVEL_FATAL},
        {"[rank3]:[E1123 20:54:01.123 ProcessGroupNCCL.cpp:616] [Rank 3] Watchdog", LEVEL_ERROR},
        {"[E ProcessGroupNCCL.cpp:616] x", LEVEL_NONE},
        {"[rank0]:W1123 20:54:01.123000 140 torch/distributed/run.py:793] *", LEVEL_WARN},
        {"node-1:123:456 [0] NCCL INFO Bootstrap : Using eth0", LEVEL_INFO},
        {"node:12:34 [3] NCCL WARN Cuda failure 'out of memory'", LEVEL_WARN},
        {"[2026-11-23 20:54:01] node:12:34 [3] misc/socket.cc:12 NCCL WARN x", LEVEL_WARN},
        {"Traceback (most recent call last):", LEVEL_ERROR},
        {"[rank3]: Traceback (most recent call last):", LEVEL_ERROR},
        {"  Traceback (most recent call last):", LEVEL_ERROR},
        {"3: Traceback (most recent call last):", LEVEL_ERROR},
        {"(RayTrainWorker pid=123, ip=10.0.0.1) ValueError: x", LEVEL_ERROR},
        {"[default0]:RuntimeError: x", LEVEL_ERROR},
        {"RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", LEVEL_ERROR},
        {"torch.cuda.OutOfMemoryError: CUDA out of memory.", LEVEL_ERROR},
        {"[rank12]: torch.distributed.DistBackendError: NCCL error in: x", LEVEL_ERROR},
        {"requests.exceptions.ConnectionError: HTTPSConnectionPool", LEVEL_ERROR},
        {"subprocess.MyException: x", LEVEL_ERROR},
        {"AssertionError", LEVEL_ERROR},
        {"CUDA error: device-side assert triggered", LEVEL_ERROR},
        {"terminate called after throwing an instance of 'c10::Error'", LEVEL_FATAL},
        {"Segmentation fault (core dumped)", LEVEL_FATAL},
        {"Fatal Python error: Segmentation fault", LEVEL_FATAL},
        {"thread 'main' panicked at src/main.rs:2:5:", LEVEL_FATAL},
        {"panic: runtime error: index out of range", LEVEL_FATAL},
        {"srun: error: node-1: task 3: Exited with exit code 1", LEVEL_ERROR},
        {"slurmstepd: error: *** JOB 12 ON node CANCELLED ***", LEVEL_ERROR},
    };
    CHECK_ALL(samples);
}

static void test_colour(void **state)
{
    /* Colour does not hide a level. */
    static const struct sample samples[] = {
        {"\x1b[31mERROR\x1b[0m: x", LEVEL_ERROR},
        {"\x1b[33m[WARNING]\x1b[0m x", LEVEL_WARN},
        {"\x1b[32m2026-11-23 20:54:01.123\x1b[0m | \x1b[1mINFO    \x1b[0m | m:f:1 - x", LEVEL_INFO},
        {"\x1b[1;31mRuntimeError\x1b[0m: x", LEVEL_ERROR},
        {"2026-11-23 20:54:01 \x1b[31mERROR\x1b[39m x", LEVEL_ERROR},
        {"\x1b[36m(Worker pid=7)\x1b[0m \x1b[31mERROR: x\x1b[0m", LEVEL_ERROR},
        {"\x1b[", LEVEL_NONE},
        {"\x1b", LEVEL_NONE},
        {"\x1b[31m", LEVEL_NONE},
    };
    CHECK_ALL(samples);
}

static void test_prose(void **state)
{
    /* A level word inside prose is no level. */
    static const struct sample samples[] = {
        {"", LEVEL_NONE},
        {" ", LEVEL_NONE},
        {"0 errors found", LEVEL_NONE},
        {"loss: 0.312, error: 0.02", LEVEL_NONE},
        {"step 12 ERROR rate 0.3", LEVEL_NONE},
        {"epoch 3 - ERROR rate 0.3", LEVEL_NONE},
        {"no ERROR here", LEVEL_NONE},
        {"ERROR handling is hard", LEVEL_NONE},
        {"ERRORS: 0", LEVEL_NONE},
        {"INFORMATION: x", LEVEL_NONE},
        {"the [ERROR handling] chapter", LEVEL_NONE},
        {"see NCCL WARN in the manual", LEVEL_NONE},
        {"set NCCL_DEBUG=INFO to see more", LEVEL_NONE},
        {"export LOGLEVEL=DEBUG", LEVEL_NONE},
        {"| Name  | ERROR | 3 |", LEVEL_NONE},
        {" 45%|████▌     | 450/1000 [01:23<01:42,  5.36it/s, loss=0.3]", LEVEL_NONE},
        {"Epoch 1/3: 100%|██████████| 10/10 [00:01<00:00,  9.1it/s]", LEVEL_NONE},
        {"E1123 is a part number", LEVEL_NONE},
        {"KeyboardInterrupt", LEVEL_NONE},
        {"  File \"/x/y.py\", line 12, in <module>", LEVEL_NONE},
        {"    raise RuntimeError(\"x\")", LEVEL_NONE},
        {"MyError:12 is a place", LEVEL_NONE},
        {"level=5 reached", LEVEL_NONE},
        {"sealevel=error", LEVEL_NONE},
        {"we warn you: warnings follow", LEVEL_NONE},
        {"A fatal mistake", LEVEL_NONE},
        {"I0 is zero", LEVEL_NONE},
        {"Warnings: 3", LEVEL_NONE},
        {"3: hello", LEVEL_NONE},
        {"10:22 lunch", LEVEL_NONE},
    };
    CHECK_ALL(samples);
}

static void test_bounds(void **state)
{
    /* No cut of any line is read past its end (sanitizers look), and far words are not looked at. */
    static const char *const lines[] = {
        "[rank3]:[E1123 20:54:01.123 P.cpp:616] \x1b[31m", "node:12:34 [3] NCCL WARN Cuda",
        "2026-11-23 20:54:01,123 - root - ERROR - x",      "level=\"ERROR\"",
        "(Worker pid=1) [ ERROR ]",                         "/x.py:1: UserWarning: y",
        "2026-11-23 20:54:01.1: E tensorflow/x y",          "torch.cuda.OutOfMemoryError: x",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        for (size_t len = 0; len <= strlen(lines[i]); len++) {
            char *exact = malloc(len + !len);
            memcpy(exact, lines[i], len);
            (void)level_from_text(exact, len);
            free(exact);
        }
    }
    char far[600];
    memset(far, 'x', sizeof far);
    memcpy(far + 300, " [ERROR] ", 9);
    assert_int_equal(level_from_text(far, sizeof far), LEVEL_NONE);
    memcpy(far + 100, " [ERROR] ", 9);
    assert_int_equal(level_from_text(far, sizeof far), LEVEL_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loggers), cmocka_unit_test(test_machines),
        cmocka_unit_test(test_colour),  cmocka_unit_test(test_prose),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

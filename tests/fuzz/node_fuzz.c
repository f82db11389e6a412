/*
 * tests/fuzz/node_fuzz.c -- what an agent reads of its machine: nvidia-smi's output, files of the kernel, the environment.
 *
 * After a 'g' the bytes are nvidia-smi's; after an 'e' lines "NAME=value" of the environment and, without '=', words of the
 * command; else files of /proc and the control groups, each behind a line "/name". What is told of a node keeps its limits and
 * can be written as a sample that is read back; a plan that is made has valid ids.
 * Covers  clients/cli/launcher.c clients/cli/plan.c clients/cli/usage.c
 */
#include "base/check.h"
#include "base/err.h"
#include "base/io.h"
#include "clients/cli/gpus.h"
#include "clients/cli/launcher.h"
#include "clients/cli/plan.h"
#include "clients/cli/usage.h"
#include "job/record.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 32

static char top[64];

static int on_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)at;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

static void forget_all(void)
{
    nftw(top, on_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Values are known and in bounds, or not known. */
static void check_told(const struct node_about *about, const struct node_sample *s)
{
    struct node_sample copy = *s, again;
    struct buf text = BUF_INIT;

    CHECK(about->gpu_count == s->gpu_count && s->gpu_count <= NODE_GPUS_MAX);
    for (uint32_t i = 0; i < s->gpu_count; i++) {
        CHECK(s->gpus[i].permille >= NODE_UNKNOWN && s->gpus[i].permille <= 1000);
        CHECK(s->gpus[i].memory_bytes >= NODE_UNKNOWN && s->gpus[i].memory_bytes <= NODE_BYTES_MAX);
        CHECK(about->gpus[i].memory_bytes >= NODE_UNKNOWN && about->gpus[i].name[NODE_GPU_NAME_BYTES_MAX] == '\0');
    }
    CHECKF(s->cpu_milli >= NODE_UNKNOWN && s->memory_bytes >= NODE_UNKNOWN, "%lld", (long long)s->cpu_milli);
    CHECKF(about->cpu_milli >= NODE_UNKNOWN && about->memory_bytes >= NODE_UNKNOWN, "%lld", (long long)about->memory_bytes);
    copy.at_us = 1764000000000000;
    CHECK(node_sample_write(&text, &copy) == 0);
    CHECKF(node_sample_read(&again, text.data, text.len) == 0, "%s", text.data);
    buf_release(&text);
}

static void as_gpus(const char *text)
{
    struct node_about about = {.cpu_milli = 1000};
    struct node_sample sample = {.cpu_milli = 10};

    gpus_read(text, &about, &sample);
    check_told(&about, &sample);
}

/* ---- the kernel's files ---- */

static void write_file(const char *name, size_t name_len, const char *text, size_t len)
{
    static const char *const names[] = {
        "proc/stat",              "proc/meminfo",           "proc/self/cgroup",
        "cgroup/cpu.max",         "cgroup/memory.max",      "cgroup/memory.current",
        "cgroup/memory.stat",     "cgroup/cpu.stat",        "cgroup/a/cpu.max",
        "cgroup/a/memory.max",    "cgroup/a/memory.current", "cgroup/a/memory.stat",
        "cgroup/a/cpu.stat",      "cgroup/memory/memory.limit_in_bytes",
        "cgroup/memory/memory.usage_in_bytes",              "cgroup/memory/memory.stat",
        "cgroup/cpu/cpu.cfs_quota_us",                      "cgroup/cpu/cpu.cfs_period_us",
        "cgroup/cpuacct/cpuacct.usage"};
    char path[160];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) != name_len || memcmp(names[i], name, name_len) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", top, names[i]);
        *strrchr(path, '/') = '\0';
        CHECK(io_mkdirs(path) == 0);
        snprintf(path, sizeof path, "%s/%s", top, names[i]);
        FILE *f = fopen(path, "w");
        CHECK(f && fwrite(text, 1, len, f) == len && fclose(f) == 0);
    }
}

static void as_files(const char *at, const char *end)
{
    struct node_about about = {.gpu_count = 0};
    struct node_sample sample = {.gpu_count = 0};
    char proc[80], cgroup[80];
    struct usage u;

    if (!*top)
        snprintf(top, sizeof top, "%s/joblog-node-fuzz-%d", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (int)getpid());
    while (at < end && *at == '/') {
        const char *nl = memchr(at, '\n', (size_t)(end - at)), *text = nl ? nl + 1 : end, *next = text;

        while (next < end && *next != '/')
            next = (nl = memchr(next, '\n', (size_t)(end - next))) ? nl + 1 : end;
        write_file(at + 1, (size_t)((text > at + 1 ? text - 1 : text) - (at + 1)), text, (size_t)(next - text));
        at = next;
    }
    snprintf(proc, sizeof proc, "%s/proc", top);
    snprintf(cgroup, sizeof cgroup, "%s/cgroup", top);
    usage_init(&u);
    u.proc = proc;
    u.cgroup = cgroup;
    usage_take(&u, 1000000, &about, &sample);
    check_told(&about, &sample);
    u.cpu_us = u.cpu_us > 0 ? u.cpu_us / 2 : u.cpu_us;
    usage_take(&u, 2000000, &about, &sample);
    check_told(&about, &sample);
    forget_all();
}

/* ---- the environment ---- */

static char *words[WORDS_MAX + 1];
static unsigned word_count;

static const char *environment(const char *name)
{
    size_t n = strlen(name);

    for (unsigned i = 0; i < word_count; i++)
        if (!strncmp(words[i], name, n) && words[i][n] == '=')
            return words[i] + n + 1;
    return NULL;
}

static void as_environment(char *text)
{
    char *command[WORDS_MAX + 1] = {NULL}, why[300] = "", *save = NULL;
    struct plan_options o = {.rank = -1, .ranks = -1, .command = command};
    unsigned commands = 0;
    const char *host;
    struct plan p;
    struct agent_end e;

    word_count = 0;
    for (char *w = strtok_r(text, "\n", &save); w && word_count < WORDS_MAX; w = strtok_r(NULL, "\n", &save)) {
        if (strchr(w, '=') && *w != '-')
            words[word_count++] = w;
        else if (commands < WORDS_MAX)
            command[commands++] = w;
    }
    o.job = environment("--job");
    o.producer = environment("--producer");
    host = environment("HOST") ? environment("HOST") : "host";
    if (plan_make(&p, &o, environment, host, 777, 1764000000000000, why, sizeof why) < 0) {
        CHECK(*why && strlen(why) < sizeof why);
        return;
    }
    CHECKF(id_valid(p.job, strlen(p.job)), "%s", p.job);
    CHECKF(id_valid(p.agent.producer, strlen(p.agent.producer)), "%s", p.agent.producer);
    CHECKF(id_valid(p.agent.replica, strlen(p.agent.replica)), "%s", p.agent.replica);
    CHECK(p.agent.rank >= RECORD_RANK_NONE && p.agent.rank <= RECORD_RANK_MAX && p.agent.epoch < UINT64_C(1) << 53);
    CHECK(p.agent.ranks <= 0 || p.agent.rank < p.agent.ranks || p.agent.rank == RECORD_RANK_NONE);
    for (int status = 0; status < 512; status += 37)
        CHECK(plan_end(&p, status, 0, 0, &e) >= 0 && e.exit_code >= 0 && strlen(e.message) < sizeof e.message);
    CHECK(plan_end(&p, 0, 2, 0, &e) == 127 && plan_end(&p, 256, 0, 1, &e) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    CHECK(text);
    memcpy(text, data, size);
    text[size] = '\0';
    if (*text == 'g')
        as_gpus(text + 1);
    else if (*text == 'e')
        as_environment(text + 1);
    else
        as_files(text, text + size);
    free(text);
    return 0;
}

/*
 * clients/cli/usage.c -- reading /proc, control groups and the file system.
 */
#include "clients/cli/usage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TEXT_BYTES 16384

/* What is used of it, and how much there is; NODE_UNKNOWN. */
struct part {
    int64_t used, total;
};

void usage_init(struct usage *u)
{
    *u = (struct usage){.proc = "/proc", .cgroup = "/sys/fs/cgroup", .disk = "."};
}

/* ---- small files ---- */

/* 1 when the file was read into text (NUL-terminated, cut at its size). */
static int read_text(const char *dir, const char *name, char text[TEXT_BYTES])
{
    char path[PATH_MAX];
    size_t len = 0;
    ssize_t n;
    int fd;

    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    while (len < TEXT_BYTES - 1 && (n = read(fd, text + len, TEXT_BYTES - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    text[len] = '\0';
    return len > 0;
}

/* A whole number at the start of text; NODE_UNKNOWN ("max", "-1", words). */
static int64_t number(const char *text)
{
    char *end;
    long long v = strtoll(text, &end, 10);

    return end == text || v < 0 ? NODE_UNKNOWN : (int64_t)v;
}

/* The number after "key" at the start of a line. */
static int64_t keyed(const char *text, const char *key)
{
    size_t len = strlen(key);

    for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (!strncmp(p, key, len) && strchr(" :\t", p[len]))
            return number(p + len + strspn(p + len, " :\t"));
    return NODE_UNKNOWN;
}

static int64_t file_number(const char *dir, const char *name)
{
    char text[TEXT_BYTES];

    return read_text(dir, name, text) ? number(text) : NODE_UNKNOWN;
}

static int64_t file_keyed(const char *dir, const char *name, const char *key)
{
    char text[TEXT_BYTES];

    return read_text(dir, name, text) ? keyed(text, key) : NODE_UNKNOWN;
}

/* ---- the machine ---- */

static int64_t cores_of_machine(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (int64_t)CPU_COUNT(&set) * 1000;
    return (int64_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000;
}

/* All cores of /proc/stat, busy since boot. */
static int64_t machine_cpu_us(const struct usage *u)
{
    char text[TEXT_BYTES];
    uint64_t v[8] = {0};
    long ticks = sysconf(_SC_CLK_TCK);

    if (!read_text(u->proc, "stat", text) ||
        sscanf(text, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &v[0],
               &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) < 4)
        return NODE_UNKNOWN;
    v[0] += v[1] + v[2] + v[5] + v[6] + v[7]; /* user nice system idle iowait irq softirq steal */
    return v[0] > INT64_MAX / 1000000 ? NODE_UNKNOWN : (int64_t)(v[0] * 1000000 / (uint64_t)(ticks > 0 ? ticks : 100));
}

static int64_t cores_in_stat(const struct usage *u)
{
    char text[TEXT_BYTES];
    int64_t count = 0;

    if (!read_text(u->proc, "stat", text))
        return cores_of_machine();
    for (const char *p = text; (p = strstr(p, "\ncpu")); p++)
        count++;
    return count ? count * 1000 : cores_of_machine();
}

static struct part machine_memory(const struct usage *u)
{
    char text[TEXT_BYTES];
    struct part m = {NODE_UNKNOWN, NODE_UNKNOWN};
    int64_t total, available;

    if (!read_text(u->proc, "meminfo", text))
        return m;
    total = keyed(text, "MemTotal");
    available = keyed(text, "MemAvailable");
    if (total > INT64_MAX / 1024)
        total = NODE_UNKNOWN;
    if (total >= 0)
        m.total = total * 1024;
    if (total >= 0 && available >= 0 && available <= total)
        m.used = (total - available) * 1024;
    return m;
}

/* ---- control groups ---- */

/* The group of this process below a hierarchy: "0::" (version 2) or of a controller (version 1). 0: none. */
static int group_path(const struct usage *u, const char *controller, char out[PATH_MAX])
{
    char text[TEXT_BYTES];

    if (!read_text(u->proc, "self/cgroup", text))
        return 0;
    for (char *line = text, *next; line && *line; line = next) {
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;

        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (!path)
            continue;
        *path++ = '\0';
        names++;
        if (controller ? strstr(names, controller) != NULL : *names == '\0')
            return snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
    }
    return 0;
}

/* dir becomes the group of path below root: what does not exist there, as in a container that sees itself as the
 * root, is the root. */
static void group_dir(char dir[PATH_MAX], const char *root, const char *path)
{
    if (strstr(path, "..") || snprintf(dir, PATH_MAX, "%s%s", root, path) >= PATH_MAX || access(dir, F_OK) != 0)
        snprintf(dir, PATH_MAX, "%s", root);
}

/* To the group above; 0: root was reached before. */
static int go_up(char dir[PATH_MAX], const char *root)
{
    char *slash = strrchr(dir, '/');

    if (strlen(dir) <= strlen(root) || !slash)
        return 0;
    *slash = '\0';
    return strlen(dir) >= strlen(root);
}

static int64_t quota_milli(const char *dir, int is_v2)
{
    char text[TEXT_BYTES];
    int64_t quota, period;

    if (is_v2) {
        if (!read_text(dir, "cpu.max", text))
            return NODE_UNKNOWN;
        quota = number(text);
        period = strchr(text, ' ') ? number(strchr(text, ' ') + 1) : NODE_UNKNOWN;
    } else {
        quota = file_number(dir, "cpu.cfs_quota_us");
        period = file_number(dir, "cpu.cfs_period_us");
    }
    return quota > 0 && quota <= INT64_MAX / 1000 && period > 0 ? quota * 1000 / period : NODE_UNKNOWN;
}

/* The nearest group with a limit below the machine's. 0: there is none. */
static int limited_memory(const char *root, const char *path, int is_v2, int64_t machine, struct part *ret)
{
    const char *limit_file = is_v2 ? "memory.max" : "memory.limit_in_bytes";
    const char *used_file = is_v2 ? "memory.current" : "memory.usage_in_bytes";
    const char *cache_key = is_v2 ? "inactive_file" : "total_inactive_file";
    char dir[PATH_MAX];

    group_dir(dir, root, path);
    do {
        int64_t limit = file_number(dir, limit_file), used, cache;

        if (limit < 0 || (machine >= 0 && limit >= machine))
            continue;
        used = file_number(dir, used_file);
        cache = file_keyed(dir, "memory.stat", cache_key);
        *ret = (struct part){used >= 0 && cache > 0 && cache <= used ? used - cache : used, limit};
        return 1;
    } while (go_up(dir, root));
    return 0;
}

/* The same of cores; of a group whose memory alone is limited the usage counts too: it is a container. */
static int limited_cpu(const char *root, const char *usage_root, const char *path, int is_v2, int by_memory, struct part *ret)
{
    char dir[PATH_MAX], usage[PATH_MAX];
    int64_t milli, used;

    group_dir(dir, root, path);
    group_dir(usage, usage_root, path);
    for (;;) {
        milli = quota_milli(dir, is_v2);
        if (milli > 0 || (by_memory && is_v2 && file_number(dir, "memory.max") >= 0))
            break;
        if (!go_up(dir, root) || !go_up(usage, usage_root))
            break;
    }
    if (milli <= 0 && !by_memory)
        return 0;
    used = is_v2 ? file_keyed(dir, "cpu.stat", "usage_usec") : file_number(usage, "cpuacct.usage");
    if (used < 0)
        return 0;
    *ret = (struct part){is_v2 ? used : used / 1000, milli > 0 ? milli : cores_of_machine()};
    return 1;
}

static void take_groups(const struct usage *u, struct part *memory, struct part *cpu)
{
    char path[PATH_MAX], root[PATH_MAX], usage_root[PATH_MAX];
    int64_t machine = memory->total;
    int found;

    if (group_path(u, NULL, path)) {
        found = limited_memory(u->cgroup, path, 1, machine, memory);
        if (limited_cpu(u->cgroup, u->cgroup, path, 1, found, cpu) || found)
            return;
    }
    found = 0;
    if (group_path(u, "memory", path)) {
        snprintf(root, sizeof root, "%.4000s/memory", u->cgroup);
        found = limited_memory(root, path, 0, machine, memory);
    }
    if (!group_path(u, "cpuacct", path))
        return;
    snprintf(root, sizeof root, "%.4000s/cpu", u->cgroup);
    snprintf(usage_root, sizeof usage_root, "%.4000s/cpuacct", u->cgroup);
    limited_cpu(root, usage_root, path, 0, found, cpu);
}

/* ---- together ---- */

static struct part disk(const struct usage *u)
{
    struct statvfs fs;

    if (statvfs(u->disk, &fs) != 0 || !fs.f_blocks)
        return (struct part){NODE_UNKNOWN, NODE_UNKNOWN};
    return (struct part){(int64_t)((fs.f_blocks - fs.f_bfree) * fs.f_frsize), (int64_t)(fs.f_blocks * fs.f_frsize)};
}

/* What no node can have is not known: a server would refuse the sample. */
static int64_t known(int64_t v, int64_t max)
{
    return v < 0 || v > max ? NODE_UNKNOWN : v;
}

void usage_take(struct usage *u, int64_t now_us, struct node_about *about, struct node_sample *sample)
{
    struct part memory = machine_memory(u), cpu = {machine_cpu_us(u), cores_in_stat(u)}, d = disk(u);

    take_groups(u, &memory, &cpu);
    about->cpu_milli = known(cpu.total, NODE_CPU_MILLI_MAX);
    about->memory_bytes = known(memory.total, NODE_BYTES_MAX);
    about->disk_bytes = known(d.total, NODE_BYTES_MAX);
    sample->memory_bytes = known(memory.used, NODE_BYTES_MAX);
    sample->disk_bytes = known(d.used, NODE_BYTES_MAX);
    sample->cpu_milli = NODE_UNKNOWN;
    if (cpu.used >= 0 && u->cpu_us >= 0 && u->at_us && now_us > u->at_us && cpu.used >= u->cpu_us &&
        cpu.used - u->cpu_us <= INT64_MAX / 1000)
        sample->cpu_milli = known((cpu.used - u->cpu_us) * 1000 / (now_us - u->at_us), NODE_CPU_MILLI_MAX);
    u->cpu_us = cpu.used;
    u->at_us = now_us;
}

/*
 * digest/report.c -- what launchers say of how their workers ended.
 */
#include "digest/report.h"

#include "job/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LITERAL(s) s, sizeof(s) - 1

static int starts(const char *s, size_t n, const char *what, size_t len)
{
    return n >= len && memcmp(s, what, len) == 0;
}

/* The number behind key in s; 0 when there is none. */
static int number(const char *s, size_t n, const char *key, long long *ret)
{
    const char *at = memmem(s, n, key, strlen(key)), *end = s + n;
    int negative = 0;
    long long v = 0;

    if (!at) return 0;
    at += strlen(key);
    while (at < end && *at == ' ') at++;
    if (at < end && *at == '-') negative = 1, at++;
    if (at == end || *at < '0' || *at > '9') return 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (v > (1LL << 50)) return 0;
        v = v * 10 + (*at - '0');
    }
    *ret = negative ? -v : v;
    return 1;
}

static void clear(struct digest_report *e)
{
    memset(e, 0, sizeof *e);
    e->rank = e->from_rank = RECORD_RANK_NONE;
    e->local_rank = -1;
}

static void set_exit(struct digest_report *e, long long code)
{
    e->has_exit_code = 1;
    e->exit_code = code < -255 || code > 255 ? 255 : (int)code;
    if (code < 0 && code >= -64) e->signal = (int)-code;
    if (code > 128 && code <= 128 + 64) e->signal = (int)code - 128;
}

static void copy_text(char *to, size_t size, const char *s, size_t n)
{
    if (n >= size) n = size - 1;
    memcpy(to, s, n);
    to[n] = '\0';
}

/* "  rank      : 5 (local_rank: 1)": the value of a named row. */
static int row(const char *s, size_t n, const char *name, const char **ret, size_t *ret_len)
{
    size_t len = strlen(name), i = 0;

    while (i < n && s[i] == ' ') i++;
    if (!i || n - i < len || memcmp(s + i, name, len) != 0) return 0;
    i += len;
    while (i < n && s[i] == ' ') i++;
    if (i == n || s[i] != ':') return 0;
    i++;
    while (i < n && s[i] == ' ') i++;
    *ret = s + i;
    *ret_len = n - i;
    return 1;
}

/* "2026-01-02_03:04:05" */
static int64_t read_time(const char *s, size_t n)
{
    struct tm tm = {0};
    char text[20];

    if (n < 19) return 0;
    copy_text(text, sizeof text, s, 19);
    if (sscanf(text, "%4d-%2d-%2d_%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec) != 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (int64_t)timegm(&tm) * 1000000;
}

static int read_exit(struct report *r, const char *v, size_t n, struct digest_report *ret)
{
    long long x;

    if (!number(v, n, "", &x)) return 0;
    clear(ret);
    ret->launcher = DIGEST_TORCHRUN;
    set_exit(ret, x);
    ret->is_root = r->is_root;
    ret->rank = r->rank;
    ret->local_rank = r->local_rank;
    ret->failed_us = r->failed_us;
    memcpy(ret->host, r->host, sizeof ret->host);
    if (number(v, n, "(pid:", &x)) ret->pid = x;
    return 1;
}

int report_next(struct report *r, const char *s, size_t n, struct digest_report *ret)
{
    const char *v;
    size_t len;
    long long x;

    if (starts(s, n, LITERAL("====="))) {
        uint8_t is_open = !r->is_open;
        memset(r, 0, sizeof *r);
        r->is_open = is_open;
        r->rank = RECORD_RANK_NONE;
        r->local_rank = -1;
        return 0;
    }
    if (!r->is_open || !n) return 0;
    if (s[0] == 'R' && starts(s, n, LITERAL("Root Cause (first observed failure)"))) r->is_root = 1;
    if (n > 7 && memcmp(s + n - 7, " FAILED", 7) == 0) copy_text(r->title, sizeof r->title, s, n);
    if (s[0] == '[') {
        r->rank = RECORD_RANK_NONE;
        r->local_rank = -1;
        r->failed_us = 0;
        r->host[0] = '\0';
    }
    if (s[0] != ' ') return 0;
    if (row(s, n, "time", &v, &len)) r->failed_us = read_time(v, len);
    if (row(s, n, "host", &v, &len)) copy_text(r->host, sizeof r->host, v, len);
    if (row(s, n, "rank", &v, &len)) {
        if (number(v, len, "", &x) && x >= 0 && x <= RECORD_RANK_MAX) r->rank = (int32_t)x;
        if (number(v, len, "(local_rank:", &x) && x >= 0 && x <= RECORD_RANK_MAX)
            r->local_rank = (int32_t)x;
    }
    return row(s, n, "exitcode", &v, &len) ? read_exit(r, v, len, ret) : 0;
}

static const struct {
    const char *name;
    int number;
} signals[] = {{"Killed", 9},
               {"Terminated", 15},
               {"Aborted", 6},
               {"Segmentation fault", 11},
               {"Bus error", 7},
               {"Out Of Memory", 9},
               {"Floating point exception", 8},
               {"Illegal instruction", 4}};

/* "node-1: tasks 0-2,5: Killed" */
static uint32_t read_srun(const char *s, size_t n, struct digest_report *ret)
{
    const char *colon = memchr(s, ':', n), *p, *end = s + n;
    struct digest_report e;
    long long x;
    uint32_t count = 0;

    if (!colon) return 0;
    p = colon + 1;
    if (!starts(p, (size_t)(end - p), LITERAL(" task"))) return 0;
    p += 5;
    if (p < end && *p == 's') p++;
    if (p == end || *p != ' ') return 0;
    clear(&e);
    e.launcher = DIGEST_SRUN;
    copy_text(e.host, sizeof e.host, s, (size_t)(colon - s));
    if (number(s, n, "Exited with exit code", &x)) set_exit(&e, x);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (memmem(p, (size_t)(end - p), signals[i].name, strlen(signals[i].name)))
            e.signal = signals[i].number;
    }
    if (!e.has_exit_code && !e.signal) return 0;
    while (p < end && (*p == ' ' || *p == ',') && count < REPORT_TASKS_MAX) {
        char *stop;
        long from, to;

        if (p + 1 == end || p[1] < '0' || p[1] > '9') break;
        from = to = strtol(p + 1, &stop, 10);
        if (stop < end && *stop == '-') to = strtol(stop + 1, &stop, 10);
        for (long k = from; k <= to && k <= RECORD_RANK_MAX && count < REPORT_TASKS_MAX; k++) {
            e.rank = (int32_t)k;
            ret[count++] = e;
        }
        p = stop;
    }
    return count;
}

uint32_t report_line(const char *s, size_t n, struct digest_report *ret)
{
    long long x;
    const char *at;
    char copy[512];

    if (starts(s, n, LITERAL("srun: error: "))) {
        copy_text(copy, sizeof copy, s + 13, n - 13); /* strtol() needs an end */
        return read_srun(copy, strlen(copy), ret);
    }
    clear(&ret[0]);
    if ((at = memmem(s, n, LITERAL("failed (exitcode: "))) != NULL) {
        if (!number(s, n, "failed (exitcode:", &x)) return 0;
        set_exit(&ret[0], x);
        ret[0].launcher = DIGEST_TORCHRUN_AGENT;
        if (!number(s, n, "local_rank:", &x) || x < 0 || x > RECORD_RANK_MAX) return 0;
        ret[0].local_rank = (int32_t)x;
        if (number(s, n, "(pid:", &x)) ret[0].pid = x;
        return 1;
    }
    if (memmem(s, n, LITERAL("exits with return code = ")) != NULL && memmem(s, n, LITERAL("[launch.py:")) != NULL) {
        if (!number(s, n, "exits with return code =", &x)) return 0;
        set_exit(&ret[0], x);
        ret[0].launcher = DIGEST_TORCHRUN_AGENT;
        if (number(s, n, "--local_rank=", &x) && x >= 0 && x <= RECORD_RANK_MAX) ret[0].local_rank = (int32_t)x;
        return 1;
    }
    if (memmem(s, n, LITERAL(" noticed that process rank ")) != NULL) {
        if (!number(s, n, "process rank", &x) || x < 0 || x > RECORD_RANK_MAX) return 0;
        ret[0].launcher = DIGEST_MPIRUN;
        ret[0].rank = (int32_t)x;
        if (number(s, n, "with PID", &x)) ret[0].pid = x;
        if (number(s, n, "exited on signal", &x) && x > 0 && x <= 64)
            ret[0].signal = (int)x;
        else if (number(s, n, "exit code", &x) || number(s, n, "exit status", &x))
            set_exit(&ret[0], x);
        at = memmem(s, n, LITERAL(" on node "));
        if (at) {
            const char *from = at + 9, *to = memchr(from, ' ', n - (size_t)(from - s));
            copy_text(ret[0].host, sizeof ret[0].host, from,
                      to ? (size_t)(to - from) : n - (size_t)(from - s));
        }
        return ret[0].signal || ret[0].has_exit_code;
    }
    return 0;
}

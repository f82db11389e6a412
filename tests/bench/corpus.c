/*
 * tests/bench/corpus.c -- the log every bench row works on: deterministic, of 8 ranks, realistic.
 *
 *     corpus LINES text|ndjson >file        corpus 2000000 ndjson >corpus.ndjson
 *
 * Steps with losses, data loading, NCCL, checkpoints, progress, warnings, tracebacks; RARE_WORD occurs
 * RARE_COUNT times whatever LINES is. The same LINES gives the same bytes on every machine.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANKS 8
#define RARE_WORD "zyzzyva-quorum"
#define RARE_COUNT 7
#define EPOCH_S INT64_C(1763931241) /* 2025-11-23T20:54:01Z */
#define LINE_BYTES 1024

static uint64_t random_state = 0x6a09e667f3bcc909;

static uint64_t next_random(void) /* splitmix64, Steele et al. 2014 */
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned below(unsigned n)
{
    return (unsigned)((next_random() >> 32) * n >> 32);
}

static double between(double lo, double hi)
{
    return lo + (hi - lo) * (double)(next_random() >> 11) / 9007199254740992.0;
}

struct clock_text {
    int64_t us; /* since EPOCH_S */
    unsigned day, hour, minute, second, micro;
};

static void read_clock(struct clock_text *c)
{
    int64_t s = EPOCH_S + c->us / 1000000;
    c->micro = (unsigned)(c->us % 1000000);
    c->second = (unsigned)(s % 60), c->minute = (unsigned)(s / 60 % 60),
    c->hour = (unsigned)(s / 3600 % 24);
    c->day = 23 + (unsigned)(s / 86400 - EPOCH_S / 86400); /* at most a week: stays in November */
}

struct rank {
    uint64_t step;
    double loss;
    int trace; /* lines of a traceback still to come; 0: none */
};

static const char *const trace_lines[] = {
    "RuntimeError: DataLoader worker is retried after an unexpected end of file",
    "    raise RuntimeError(\\\"DataLoader worker is retried after an unexpected end of file\\\")",
    "  File \\\"/opt/train/data/reader.py\\\", line 218, in read_shard",
    "    batch = self.read_shard(index)",
    "  File \\\"/opt/train/data/loader.py\\\", line 97, in __next__",
    "    for batch in loader:",
    "  File \\\"/opt/train/train.py\\\", line 412, in run_epoch",
    "Traceback (most recent call last):",
};
#define TRACE_LINES ((int)(sizeof trace_lines / sizeof *trace_lines))

static const char *level = "info";

static void write_step(char *out, const struct clock_text *c, struct rank *r, unsigned rank)
{
    r->step++;
    r->loss = r->loss * 0.99999 + between(-0.02, 0.02);
    if (r->loss < 1.2)
        r->loss = 1.2;
    snprintf(out, LINE_BYTES,
             "2025-11-%02u %02u:%02u:%02u,%03u - INFO - train - step %" PRIu64
             "/250000 | loss %.4f | lr %.3e | grad_norm %.3f | tokens/s %u | mem %.1fGB | step "
             "time %.3fs",
             c->day, c->hour, c->minute, c->second, c->micro / 1000, r->step, r->loss,
             3e-4 * (1.0 - (double)r->step / 260000.0), between(0.4, 1.9), 40800 + below(1600),
             between(60.8, 62.9), between(0.38, 0.47));
}

static void write_other(char *out, const struct clock_text *c, struct rank *r, unsigned rank)
{
    unsigned kind = below(100);
    level = "info";
    if (kind < 30) {
        level = "debug";
        snprintf(out, LINE_BYTES,
                 "[rank%u] DEBUG data.loader: shard fineweb-%05u-of-02410.bin offset %u batch %u "
                 "prefetch %u in %.1f ms",
                 rank, below(2410), below(1u << 30), below(100000), below(16), between(0.4, 35.0));
    } else if (kind < 48) {
        snprintf(
            out, LINE_BYTES,
            "gpu-node-%u:%u:%u [%u] NCCL INFO Channel %02u/0 : %u[%x] -> %u[%x] via P2P/IPC/read",
            rank / 4, 4100 + rank, 4300 + rank, rank, below(24), rank, 0x1000 * rank + 0x7000,
            (rank + 1) % RANKS, 0x1000 * ((rank + 1) % RANKS) + 0x7000);
    } else if (kind < 62) {
        snprintf(out, LINE_BYTES,
                 "Epoch %" PRIu64
                 ": %3u%%|%.*s%.*s| %u/12500 [%02u:%02u<%02u:%02u, %.2fit/s, loss=%.3f]",
                 r->step / 12500, (unsigned)(r->step % 12500 / 125), (int)(r->step % 12500 / 1250),
                 "##########", 10 - (int)(r->step % 12500 / 1250), "          ",
                 (unsigned)(r->step % 12500), below(60), below(60), below(60), below(60),
                 between(2.1, 2.6), r->loss);
    } else if (kind < 80) {
        snprintf(out, LINE_BYTES,
                 "2025-11-%02u %02u:%02u:%02u,%03u - INFO - optim - param_group %u exp_avg %.6e "
                 "exp_avg_sq %.6e clip %.2f",
                 c->day, c->hour, c->minute, c->second, c->micro / 1000, below(8),
                 between(-1e-3, 1e-3), between(0, 1e-6), between(0.5, 1.0));
    } else if (kind < 90) {
        snprintf(out, LINE_BYTES,
                 "2025-11-%02u %02u:%02u:%02u,%03u - INFO - checkpoint - saved shard %u/%u of step "
                 "%" PRIu64 " to /ckpt/run-8f31/step-%08" PRIu64
                 "/shard-%05u.pt (%u bytes) in %.2fs",
                 c->day, c->hour, c->minute, c->second, c->micro / 1000, rank, RANKS, r->step,
                 r->step, rank, 1u << 30, between(1.2, 3.9));
    } else if (kind < 97) {
        level = "warn";
        snprintf(
            out, LINE_BYTES,
            "2025-11-%02u %02u:%02u:%02u,%03u - WARNING - amp - gradient overflow at step %" PRIu64
            ", loss scale reduced to %u",
            c->day, c->hour, c->minute, c->second, c->micro / 1000, r->step, 1u << below(17));
    } else if (kind < 99) {
        level = "info";
        snprintf(out, LINE_BYTES, "eval: step %" PRIu64 " ppl %.3f acc %.4f bleu %.2f samples %u",
                 r->step, between(8, 19), between(0.4, 0.7), between(18, 32), 1024 + below(4096));
    } else if (below(8) == 0) {
        r->trace = TRACE_LINES;
        level = "error";
        snprintf(out, LINE_BYTES,
                 "2025-11-%02u %02u:%02u:%02u,%03u - ERROR - data - worker %u failed, retrying",
                 c->day, c->hour, c->minute, c->second, c->micro / 1000, below(16));
    } else {
        snprintf(out, LINE_BYTES,
                 "sample %u: the quick brown fox of prompt %u jumps over %u lazy tokens and says "
                 "\\\"%x-%x\\\"",
                 below(100000), below(100000), below(4096), below(1u << 30), below(1u << 30));
    }
}

/* msg is made with JSON's escapes in it; text wants them undone. */
static void put_text(const char *msg)
{
    for (const char *p = msg; *p; p++)
        if (*p != '\\')
            putchar_unlocked(*p);
    putchar_unlocked('\n');
}

int main(int argc, char **argv)
{
    static char buffer[1 << 20];
    struct rank ranks[RANKS];
    struct clock_text c = {0};
    char msg[LINE_BYTES];
    uint64_t lines = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
    int text = argc == 3 && strcmp(argv[2], "text") == 0;
    if (lines == 0 || (!text && strcmp(argv[2], "ndjson") != 0)) {
        fprintf(stderr, "usage: corpus LINES text|ndjson\n");
        return 2;
    }
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    for (unsigned i = 0; i < RANKS; i++)
        ranks[i] = (struct rank){.loss = 9.7};
    for (uint64_t n = 0; n < lines; n++) {
        unsigned rank = below(RANKS);
        struct rank *r = &ranks[rank];
        c.us += 1 + below(30000);
        read_clock(&c);
        if (r->trace > 0) {
            level = "error";
            snprintf(msg, sizeof msg, "%s", trace_lines[--r->trace]);
        } else if (below(100) < 46) {
            level = "info";
            write_step(msg, &c, r, rank);
        } else {
            write_other(msg, &c, r, rank);
        }
        if (lines >= RARE_COUNT && n % (lines / RARE_COUNT) == lines / RARE_COUNT / 2 &&
            n / (lines / RARE_COUNT) < RARE_COUNT)
            snprintf(msg, sizeof msg, "elected " RARE_WORD " as coordinator of step %" PRIu64,
                     r->step);
        if (text)
            put_text(msg);
        else
            printf("{\"ts\":\"2025-11-%02uT%02u:%02u:%02u.%06uZ\",\"rank\":%u,\"level\":\"%s\","
                   "\"msg\":\"%s\"}\n",
                   c.day, c.hour, c.minute, c.second, c.micro, rank, level, msg);
    }
    return fflush(stdout) != 0 || ferror(stdout);
}

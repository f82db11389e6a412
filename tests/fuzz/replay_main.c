/*
 * tests/fuzz/replay_main.c -- feed the files named on the command line to a fuzz target, without libFuzzer.
 *
 * Once each; with FUZZ_S=N in the environment then so many seconds changed ones: bits turned, bytes taken out, put in,
 * doubled and overwritten, ends cut off, two inputs joined. FUZZ_SEED (1) is where the changes begin: the same seed makes the
 * same inputs of the same files, in the same order. All of it happens in a child, so that whatever ends that, the input under
 * which it ended is written to FUZZ_SAVE (the name of the program and ".crash", in the working directory) and named on stderr.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INPUT_BYTES_MAX (1u << 20)
#define GROWN_BYTES_MAX 16384u /* of a changed input; a larger one is not made larger */
#define HANG_S 300             /* beyond FUZZ_S */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const char *name;
    uint8_t *data;
    size_t size;
};

/* What parent and child share: the input under work. */
static struct work {
    uint64_t runs; /* of changed inputs, begun */
    const char *name;
    size_t size;
    uint8_t data[INPUT_BYTES_MAX];
} *work;

static uint64_t seed;

/* xorshift64*, below n. */
static uint32_t pick(size_t n)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return n ? (uint32_t)(seed * UINT64_C(2685821657736338717) >> 32) % (uint32_t)n : 0;
}

static void read_input(const char *path, struct input *in)
{
    FILE *f = fopen(path, "rb");

    *in = (struct input){.name = path, .data = malloc(INPUT_BYTES_MAX)};
    if (!f || !in->data || (in->size = fread(in->data, 1, INPUT_BYTES_MAX, f), ferror(f))) {
        perror(path);
        exit(2);
    }
    fclose(f);
}

/* The target sees a block of exactly that size, so that ASan sees who reads behind it. */
static void run(void)
{
    uint8_t *copy = malloc(work->size ? work->size : 1);

    if (!copy)
        abort();
    memcpy(copy, work->data, work->size);
    LLVMFuzzerTestOneInput(copy, work->size);
    free(copy);
}

/* n bytes of from go in at `at`, in place of `cut` bytes there. */
static void put(size_t at, size_t cut, const uint8_t *from, size_t n)
{
    uint8_t piece[256];

    if (n > sizeof piece || work->size - cut + n > (work->size > GROWN_BYTES_MAX ? work->size : GROWN_BYTES_MAX))
        return;
    memcpy(piece, from, n); /* it may lie where it goes */
    memmove(work->data + at + n, work->data + at + cut, work->size - at - cut);
    memcpy(work->data + at, piece, n);
    work->size += n - cut;
}

/* One change; what is put in may come from another input. */
static void change(const struct input *other)
{
    static const char *const words[] = {"-1", "0", "9223372036854775807", "18446744073709551616", "1e999", "\\u0000", "\n", "\"",
                                        "{",  "[", "null"};
    size_t at = pick(work->size + 1), left = work->size - at, cut = pick(left < 64 ? left + 1 : 64), from = pick(other->size + 1);
    size_t n = pick(other->size - from < 256 ? other->size - from + 1 : 257);
    const char *word = words[pick(sizeof words / sizeof *words)];
    uint8_t byte = (uint8_t)pick(256);

    switch (pick(8)) {
    case 0:
        if (left)
            work->data[at] ^= (uint8_t)(1 << byte % 8);
        break;
    case 1: put(at, left != 0, &byte, 1); break;
    case 2: put(at, 0, &byte, 1); break;
    case 3: put(at, cut, &byte, 0); break;
    case 4: put(at, 0, work->data + at, cut); break;
    case 5: put(at, byte % 2 ? cut : 0, (const uint8_t *)word, strlen(word)); break;
    case 6: put(at, byte % 2 ? cut : 0, other->data + from, n); break;
    default:
        if (byte % 4 == 0)
            work->size = at;
    }
}

static int child(const struct input *in, size_t count, int seconds)
{
    struct timespec now, end;

    for (size_t i = 0; i < count; i++) {
        work->name = in[i].name;
        memcpy(work->data, in[i].data, work->size = in[i].size);
        run();
    }
    alarm((unsigned)seconds + HANG_S);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    while (seconds && (clock_gettime(CLOCK_MONOTONIC, &now), now.tv_sec < end.tv_sec ||
                       (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec))) {
        const struct input *one = &in[pick(count)];

        work->runs++;
        work->name = one->name;
        memcpy(work->data, one->data, work->size = one->size);
        for (uint32_t n = 1 + pick(4); n; n--)
            change(&in[pick(count)]);
        run();
    }
    return 0;
}

static void save(const char *program)
{
    const char *path = getenv("FUZZ_SAVE"), *base = strrchr(program, '/');
    char own[256];
    FILE *f;

    snprintf(own, sizeof own, "%s.crash", base ? base + 1 : program);
    f = fopen(path ? path : own, "wb");
    if (f)
        fwrite(work->data, 1, work->size, f);
    fprintf(stderr, "ended under %s%s (changed input %llu), which is in %s\n", work->runs ? "a changed " : "",
            work->name ? work->name : "nothing", (unsigned long long)work->runs,
            !f || fclose(f) ? "no file: it could not be written" : path ? path : own);
}

int main(int argc, char **argv)
{
    const char *seconds = getenv("FUZZ_S"), *first = getenv("FUZZ_SEED");
    static struct input *in;
    int status = 1;
    pid_t pid;

    in = calloc((size_t)argc, sizeof *in);
    work = mmap(NULL, sizeof *work, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!in || work == MAP_FAILED || argc < 2)
        return 2;
    for (int i = 1; i < argc; i++)
        read_input(argv[i], &in[i - 1]);
    seed = first ? strtoull(first, NULL, 10) : 1;
    fprintf(stderr, "%d files, FUZZ_S=%s FUZZ_SEED=%llu\n", argc - 1, seconds ? seconds : "0", (unsigned long long)seed);
    seed = seed ? seed : 1;
    pid = fork();
    if (pid == 0)
        exit(child(in, (size_t)argc - 1, seconds ? atoi(seconds) : 0));
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0 || status)
        save(argv[0]);
    fprintf(stderr, "%llu changed inputs\n", (unsigned long long)work->runs);
    fflush(stderr);
    _exit(status ? 1 : 0); /* nothing of the child's is the parent's to tell: leaks, lines reached */
}

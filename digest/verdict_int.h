/*
 * digest/verdict_int.h -- what the verdict_*.c files share: signs, ends of processes, clocks.
 */
#ifndef DIGEST_VERDICT_INT_H
#define DIGEST_VERDICT_INT_H

#include "digest/verdict.h"

#define SECOND_US INT64_C(1000000)
#define CLOCK_SHARED_US 250000 /* ranks of a replica whose clocks differ less share one */
#define CLOCK_STEP_US                                                                              \
    20000 /* a line's time is when its agent read it: not exact to this on a busy machine */
#define CLOCK_GATHER_US                                                                            \
    25000 /* agents gather lines so long: the way is not shorter for everybody */
#define CLOCK_SERVER_US                                                                            \
    50000                /* lines the server stamped: nobody knows how long they waited before */
#define SURVIVED_STEPS 3 /* so many steps after an error: it was survived */
#define SURVIVED_US (2 * SECOND_US)
#define SURVIVED_LINES 30 /* the same for ranks that count no steps … */
#define SURVIVED_LINES_US (10 * SECOND_US)
#define EXIT_LATE_US (5 * SECOND_US) /* an end is reported at most so long after it came */
#define UPGRADE_US (5 * SECOND_US)   /* a traceback may follow the line that says that it failed */
#define LOST_SHARE 8 /* more than this part of the ranks is not lost but was not waited for */
#define STUCK_US                                                                                   \
    SECOND_US /* a rank that was silent so long before its peers' collectives gave up */

/* How the process of a rank ended. */
struct ending {
    int32_t rank;
    int is_known; /* an exit code or signal was told; else only that it went */
    int exit_code, signal;
    int64_t when_us; /* when that became known; 0: not known */
    uint64_t seq;    /* of a record that tells it; 0: none */
    int is_lost;     /* the job was sealed without its fin */
};

/* Something that tells that a rank failed. */
struct sign {
    int32_t rank;
    uint32_t replica;
    enum cause cause;
    enum cause_nature nature;
    int is_weak;                      /* a line of level error without a known cause */
    const struct digest_group *group; /* NULL: the end of the process */
    struct digest_at at;
    int64_t when_us;  /* on the one clock */
    int64_t error_us; /* of when_us */
};

/* How far a source's clock is from ours. */
struct clock_of {
    int32_t rank;
    uint32_t replica;
    int64_t offset_us, error_us;
    int is_shared; /* with others of its replica */
};

struct scene {
    struct verdict *v;
    const struct digest *d;
    const struct job_info *info;
    int64_t now_us, end_us;
    int is_over;             /* a terminal state is there */
    struct clock_of *clocks; /* of d->ranks, same places */
    int64_t skew_middle_us;  /* ranks' skew_min_us, the middle one */
    struct ending *endings;  /* by rank */
    uint32_t ending_count, lost_count;
    uint32_t *ending_at; /* rank + 1 -> 1 + place in endings */
    struct sign *signs;  /* one for each rank that has any: its representative; by when_us */
    uint32_t sign_count;
    uint32_t *sign_at, *nameless_at, nameless_count; /* while signs are gathered */
    uint32_t world; /* ranks the job has: declared or seen; 0: lines have no ranks */
    int has_ranks;  /* lines or producers name theirs */
    int64_t step_max;
    int32_t root_rank; /* a launcher's first observed failure; RECORD_RANK_NONE */
    uint64_t root_seq;
    int root_is_alone; /* it saw no other failure but those it ended itself */
    int root_exit_code, root_signal;
    int has_launcher_exit;               /* the command that all ranks ran under ended badly */
    const struct digest_group *launcher; /* its report */
};

/* verdict_clock.c */
void scene__clocks(struct scene *s);
const struct clock_of *scene__clock(const struct scene *s, int32_t rank, uint32_t replica);
int64_t scene__when(const struct scene *s, int32_t rank, uint32_t replica,
                    const struct digest_at *at);
/* What may be wrong about the order of a and b. */
int64_t scene__pair_error(const struct scene *s, const struct sign *a, const struct sign *b);
int64_t scene__skew(const struct scene *s, const struct digest_rank *r);

/* verdict_signs.c */
void scene__endings(struct scene *s);
const struct ending *scene__ending(const struct scene *s, int32_t rank);
void scene__signs(struct scene *s);
/* A reason of its own, no consequence by its nature. */
static inline int sign_is_own(const struct sign *x)
{
    return x->nature == CAUSE_PRIMARY || x->nature == CAUSE_GENERIC;
}

/* verdict_first.c: who failed first */
void scene__first(struct scene *s);
/* verdict_hung.c: is it hung? 1: yes, and told */
int scene__hung(struct scene *s);
/* verdict_table.c: roles of groups, causes, rows of ranks, events */
void scene__tables(struct scene *s);

/* verdict_words.c */
void words__set(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Appended to the sentence, cut at a character. */
void words__say(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void words__evidence(struct verdict *v, uint64_t seq, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "ranks 0-2,4" of a set of numbers; "rank 3" of one. */
void words__ranks(struct buf *out, const int32_t *ranks, uint32_t count);
/* "2.0 s", "14 ms", "3 min 20 s" */
const char *words__time(int64_t us, char out[32]);
/* What happened, with its own line where that says more: "disk full (OSError: [Errno 28] …)". */
const char *words__what(enum cause c, const struct digest_group *g, char *out, size_t size);
const char *words__signal(int sig, char out[24]);

#endif

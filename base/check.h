/*
 * base/check.h -- invariants that execute.
 *
 * CHECK is for our own bugs only: always compiled in, prints the expression, place and the values
 * given, then aborts. The world's failures (disk, Redis, memory) are returned, a peer's mistakes
 * are answered; neither is ever CHECKed.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            check_failed(__FILE__, __LINE__, __func__, #cond, "%s", "");                           \
    } while (0)

/* CHECKF(cond, "seq=%llu", seq): with the object dumped. */
#define CHECKF(cond, ...)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            check_failed(__FILE__, __LINE__, __func__, #cond, __VA_ARGS__);                        \
    } while (0)

_Noreturn void check_failed(const char *file, int line, const char *func, const char *cond,
                            const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* malloc family for small bookkeeping objects: abort with a sentence when memory is gone. Never
 * for sizes a peer chooses: those use malloc and return ERR_NOMEM. */
void *must_malloc(unsigned long bytes);
void *must_calloc(unsigned long count, unsigned long bytes);
void *must_realloc(void *p, unsigned long bytes);
/* err, unless it is ERR_NOMEM: the end, as by must_malloc. For small texts of which nobody could do without. */
int must_have(int err);
char *must_strdup(const char *s);
char *must_strndup(const char *s, unsigned long n);

#endif

/*
 * alert/automaton.h -- words looked for all at once, upper and lower case alike (Aho-Corasick, 1975).
 *
 * A table of states × classes of bytes. A state's value is its place in the table, so a step is one addition and
 * one load; its top bit says that some word ends here.
 * Limits     AUTOMATON_STATES_MAX; a word that does not fit is refused.
 */
#ifndef ALERT_AUTOMATON_H
#define ALERT_AUTOMATON_H

#include <stddef.h>
#include <stdint.h>

#define AUTOMATON_STATES_MAX 65536
#define AUTOMATON_HIT UINT32_C(0x80000000)
#define AUTOMATON_AT UINT32_C(0x7fffffff)

struct automaton {
    uint8_t class_of[256];
    uint32_t *next; /* [state + class]: the next state, with AUTOMATON_HIT */
    uint32_t *word; /* by state >> shift: a word that ends here + 1; 0: none */
    uint32_t *
        also; /* by state >> shift: the next state (>> shift) on the way to the root with a word; 0: none */
    uint32_t *next_word; /* by word: another word of the same text + 1; 0: none */
    uint32_t states, words;
    unsigned shift;
};

/* words: ASCII, lower case, 1 byte at least. fits[i] is 0 for those left out (too many states). */
void automaton_init(struct automaton *a, const char *const *words, const size_t *lens,
                    uint32_t count, uint8_t *fits);
void automaton_release(struct automaton *a);
/* Every word in text, once per place: found(user, word). */
void automaton_find(const struct automaton *a, const char *text, size_t len,
                    void (*found)(void *user, uint32_t word), void *user);

static inline uint32_t automaton_step(const struct automaton *a, uint32_t state, unsigned char c)
{
    return a->next[(state & AUTOMATON_AT) + a->class_of[c]];
}

#endif

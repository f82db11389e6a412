/*
 * alert/automaton.c -- building the table, and the plain walk over it.
 */
#include "alert/automaton.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* While building: rows of numbers without bits; 0 is the root and "nowhere yet". */
struct builder {
    struct automaton *a;
    uint32_t *go; /* states × stride */
    uint32_t cap;
    unsigned stride;
};

static void make_classes(struct automaton *a, const char *const *words, const size_t *lens,
                         uint32_t count)
{
    unsigned classes = 1;

    for (uint32_t i = 0; i < count; i++)
        for (size_t k = 0; k < lens[i]; k++) {
            unsigned char c = (unsigned char)words[i][k];
            if (!a->class_of[c])
                a->class_of[c] = (uint8_t)classes++;
        }
    for (int c = 'a'; c <= 'z'; c++)
        a->class_of[c - 'a' + 'A'] = a->class_of[c];
    while ((1u << a->shift) < classes)
        a->shift++;
}

static uint32_t new_state(struct builder *b)
{
    struct automaton *a = b->a;

    if (a->states == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 256;
        b->go = must_realloc(b->go, (unsigned long)b->cap * b->stride * sizeof *b->go);
        a->word = must_realloc(a->word, b->cap * sizeof *a->word);
    }
    memset(b->go + (size_t)a->states * b->stride, 0, b->stride * sizeof *b->go);
    a->word[a->states] = 0;
    return a->states++;
}

static int add_word(struct builder *b, uint32_t number, const char *word, size_t len)
{
    struct automaton *a = b->a;
    uint32_t s = 0;

    if (a->states + len > AUTOMATON_STATES_MAX)
        return 0;
    for (size_t i = 0; i < len; i++) {
        size_t at = (size_t)s * b->stride + a->class_of[(unsigned char)word[i]];
        uint32_t to = b->go[at];
        if (!to) {
            to = new_state(b);
            b->go[at] = to;
        }
        s = to;
    }
    a->next_word[number] = a->word[s];
    a->word[s] = number + 1;
    return 1;
}

/* Breadth first: where a state has no way on, it goes on as the longest proper suffix that has one. */
static void link_states(struct builder *b)
{
    struct automaton *a = b->a;
    uint32_t *queue = must_malloc(a->states * sizeof *queue),
             *fail = must_calloc(a->states, sizeof *fail);
    uint32_t from = 0, to = 0;

    for (unsigned c = 0; c < b->stride; c++)
        if (b->go[c])
            queue[to++] = b->go[c];
    while (from < to) {
        uint32_t s = queue[from++];
        uint32_t f = fail[s];
        a->also[s] = a->word[f] ? f : a->also[f];
        for (unsigned c = 0; c < b->stride; c++) {
            uint32_t *on = &b->go[(size_t)s * b->stride + c],
                     back = b->go[(size_t)f * b->stride + c];
            if (*on) {
                fail[*on] = back;
                queue[to++] = *on;
            } else {
                *on = back;
            }
        }
    }
    free(queue);
    free(fail);
}

void automaton_init(struct automaton *a, const char *const *words, const size_t *lens,
                    uint32_t count, uint8_t *fits)
{
    struct builder b = {a, NULL, 0, 0};

    memset(a, 0, sizeof *a);
    make_classes(a, words, lens, count);
    b.stride = 1u << a->shift;
    a->words = count;
    a->next_word = must_calloc(count ? count : 1, sizeof *a->next_word);
    new_state(&b);
    for (uint32_t i = 0; i < count; i++)
        fits[i] = (uint8_t)add_word(&b, i, words[i], lens[i]);
    a->also = must_calloc(a->states, sizeof *a->also);
    link_states(&b);
    for (size_t i = 0; i < (size_t)a->states * b.stride; i++) {
        uint32_t s = b.go[i];
        b.go[i] = s << a->shift | (a->word[s] || a->also[s] ? AUTOMATON_HIT : 0);
    }
    a->next = b.go;
}

void automaton_release(struct automaton *a)
{
    free(a->next);
    free(a->word);
    free(a->also);
    free(a->next_word);
    memset(a, 0, sizeof *a);
}

void automaton_find(const struct automaton *a, const char *text, size_t len,
                    void (*found)(void *user, uint32_t word), void *user)
{
    uint32_t s = 0;

    for (size_t i = 0; i < len; i++) {
        s = automaton_step(a, s, (unsigned char)text[i]);
        if (!(s & AUTOMATON_HIT))
            continue;
        for (uint32_t at = (s & AUTOMATON_AT) >> a->shift; at; at = a->also[at])
            for (uint32_t w = a->word[at]; w; w = a->next_word[w - 1])
                found(user, w - 1);
    }
}

/*
 * serve/link.h -- a place in a circular list, embedded in what is listed.
 *
 * A head is a link of its own; a link that is in no list points at itself.
 */
#ifndef SERVE_LINK_H
#define SERVE_LINK_H

#include <stddef.h>

struct link {
    struct link *prev, *next;
};

static inline void link_init(struct link *l)
{
    l->prev = l->next = l;
}
static inline int link_alone(const struct link *l)
{
    return l->next == l;
}
static inline void link_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    link_init(l);
}
/* At the end of head's list; l leaves the list it was in. */
static inline void link_append(struct link *head, struct link *l)
{
    link_remove(l);
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}
#define LINK_OF(l, type, member) ((type *)(void *)((char *)(l)-offsetof(type, member)))

#endif

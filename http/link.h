/*
 * http/link.h -- intrusive doubly-linked lists.
 */
#ifndef HTTP_LINK_H
#define HTTP_LINK_H

#include <stddef.h>

struct link {
    struct link *prev, *next; /* a head points at itself; a free link holds NULLs */
};
static inline void link_head(struct link *l)
{
    l->prev = l->next = l;
}
static inline int link_in(const struct link *l)
{
    return l->next != NULL;
}
static inline void link_add(struct link *head, struct link *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}
static inline void link_del(struct link *l)
{
    if (!l->next) return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}
#define link_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif

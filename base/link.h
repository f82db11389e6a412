/*
 * base/link.h -- lists threaded through their members.
 *
 * A list is a struct link of its own, empty when it points at itself; so is a member in no list. A member
 * leaves without knowing which list it is in, and a whole list moves in one step.
 */
#ifndef BASE_LINK_H
#define BASE_LINK_H

#include <stddef.h>

struct link {
    struct link *prev, *next;
};

static inline void link_init(struct link *l) { l->prev = l->next = l; }
static inline int link_empty(const struct link *l) { return l->next == l; }
static inline void link_del(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    link_init(l);
}
static inline void link_add_tail(struct link *list, struct link *l)
{
    l->prev = list->prev;
    l->next = list;
    list->prev->next = l;
    list->prev = l;
}
/* The same, out of the list it was in. */
static inline void link_move_tail(struct link *list, struct link *l)
{
    link_del(l);
    link_add_tail(list, l);
}
/* All of from to the tail of to. */
static inline void link_splice(struct link *to, struct link *from)
{
    if (link_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    link_init(from);
}
#define LINK_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif

/*
 * digest/wire.h -- values to bytes and back by one walk: the same calls write and read.
 *
 * LEB128 varints (signed ones zigzag), places of the log as differences to the place before.
 * Reading never passes the end and keeps every value within the bound that its call states; the first error sticks
 * and everything read after it is 0.
 */
#ifndef DIGEST_WIRE_H
#define DIGEST_WIRE_H

#include "base/buf.h"
#include "digest/digest_parts.h"

struct wire {
    struct buf *out; /* writing; NULL: reading */
    const unsigned char *p, *end;
    struct digest_at last;
    int err;
};

static inline int wire_reads(const struct wire *w) { return w->out == NULL; }
void wire_fail(struct wire *w, int err);
void wire_u64(struct wire *w, uint64_t *v);
/* 0 … max, else ERR_CORRUPT. */
void wire_u32(struct wire *w, uint32_t *v, uint32_t max);
void wire_int(struct wire *w, int *v, int min, int max);
void wire_i64(struct wire *w, int64_t *v);
void wire_i32(struct wire *w, int32_t *v, int32_t min, int32_t max);
void wire_double(struct wire *w, double *v);
void wire_at(struct wire *w, struct digest_at *at);
/* Bytes of a known number. */
void wire_bytes(struct wire *w, void *data, size_t len);
/* malloc'd and NUL-terminated when read. */
void wire_text(struct wire *w, char **text, size_t *len, size_t max);
/* Into an array of size bytes with its NUL. */
void wire_name(struct wire *w, char *name, size_t size);
/* Room for the entries of a table when reading, zeroed: for all max of them, or only for those that come. *count is set
 * to 0 on an error. 1: there are entries to walk over. */
enum wire_room { WIRE_ROOM_MAX, WIRE_ROOM_COUNT };
int wire_table(struct wire *w, void **table, uint32_t *count, size_t size, uint32_t max, enum wire_room room);

#endif

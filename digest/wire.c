/*
 * digest/wire.c -- values to bytes and back by one walk.
 */
#include "digest/wire.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

void wire_fail(struct wire *w, int err)
{
    if (!w->err) w->err = err;
}

void wire_bytes(struct wire *w, void *data, size_t len)
{
    if (w->err) {
        if (wire_reads(w)) memset(data, 0, len);
    } else if (!wire_reads(w)) {
        int err = buf_add(w->out, data, len);
        if (err < 0) wire_fail(w, err);
    } else if ((size_t)(w->end - w->p) < len) {
        wire_fail(w, ERR_CORRUPT);
        memset(data, 0, len);
    } else {
        memcpy(data, w->p, len);
        w->p += len;
    }
}

static void write_varint(struct wire *w, uint64_t v)
{
    unsigned char b[10];
    size_t n = 0;

    for (; v >= 0x80; v >>= 7) b[n++] = (unsigned char)(v | 0x80);
    b[n++] = (unsigned char)v;
    wire_bytes(w, b, n);
}

static uint64_t read_varint(struct wire *w)
{
    uint64_t v = 0;

    for (int shift = 0; shift < 64 && w->p < w->end && !w->err; shift += 7) {
        unsigned char c = *w->p++;
        if (shift == 63 && c > 1) break;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) return v;
    }
    wire_fail(w, ERR_CORRUPT);
    return 0;
}

void wire_u64(struct wire *w, uint64_t *v)
{
    if (wire_reads(w))
        *v = read_varint(w);
    else
        write_varint(w, *v);
}

void wire_i64(struct wire *w, int64_t *v)
{
    uint64_t z = (uint64_t)*v << 1 ^ (uint64_t)(*v >> 63);

    wire_u64(w, &z);
    if (wire_reads(w)) *v = (int64_t)(z >> 1 ^ (~(z & 1) + 1));
}

void wire_u32(struct wire *w, uint32_t *v, uint32_t max)
{
    uint64_t x = *v;

    wire_u64(w, &x);
    if (!wire_reads(w)) return;
    if (x > max) wire_fail(w, ERR_CORRUPT);
    *v = x > max ? 0 : (uint32_t)x;
}

void wire_i32(struct wire *w, int32_t *v, int32_t min, int32_t max)
{
    int64_t x = *v;

    wire_i64(w, &x);
    if (!wire_reads(w)) return;
    if (x < min || x > max) {
        wire_fail(w, ERR_CORRUPT);
        x = min;
    }
    *v = (int32_t)x;
}

void wire_int(struct wire *w, int *v, int min, int max)
{
    int32_t x = *v;

    wire_i32(w, &x, min, max);
    *v = x;
}

void wire_double(struct wire *w, double *v)
{
    uint64_t x;
    unsigned char b[8];

    memcpy(&x, v, sizeof x);
    for (int i = 0; i < 8; i++) b[i] = (unsigned char)(x >> 8 * i);
    wire_bytes(w, b, sizeof b);
    if (!wire_reads(w)) return;
    x = 0;
    for (int i = 0; i < 8; i++) x |= (uint64_t)b[i] << 8 * i;
    memcpy(v, &x, sizeof x);
}

/* Differences wrap: whatever is written comes back. */
static void difference(struct wire *w, uint64_t *v, uint64_t base)
{
    int64_t delta = (int64_t)(*v - base);

    wire_i64(w, &delta);
    if (wire_reads(w)) *v = base + (uint64_t)delta;
}

void wire_at(struct wire *w, struct digest_at *at)
{
    uint64_t ts = (uint64_t)at->ts_us, recv = (uint64_t)at->recv_us;

    difference(w, &at->seq, w->last.seq);
    difference(w, &ts, (uint64_t)w->last.ts_us);
    difference(w, &recv, ts);
    at->ts_us = (int64_t)ts;
    at->recv_us = (int64_t)recv;
    if (w->err && wire_reads(w)) memset(at, 0, sizeof *at);
    if (at->seq) w->last = *at;
}

void wire_text(struct wire *w, char **text, size_t *len, size_t max)
{
    uint64_t n = *len;

    wire_u64(w, &n);
    if (!wire_reads(w)) {
        wire_bytes(w, *text, *len);
        return;
    }
    *len = 0;
    if (n > max || n > (uint64_t)(w->end - w->p)) wire_fail(w, ERR_CORRUPT);
    if (w->err) return;
    *text = malloc(n + 1);
    if (!*text) {
        wire_fail(w, ERR_NOMEM);
        return;
    }
    wire_bytes(w, *text, n);
    (*text)[n] = '\0';
    *len = n;
}

void wire_name(struct wire *w, char *name, size_t size)
{
    uint32_t n = wire_reads(w) ? 0 : (uint32_t)strlen(name);

    wire_u32(w, &n, (uint32_t)size - 1);
    wire_bytes(w, name, n);
    if (wire_reads(w)) name[n] = '\0';
}

int wire_table(struct wire *w, void **table, uint32_t *count, size_t size, uint32_t max,
               enum wire_room room)
{
    uint32_t n = *count;

    wire_u32(w, &n, max);
    if (!wire_reads(w)) return n && !w->err;
    *count = 0;
    if (w->err || !n) return 0;
    if (n > (uint64_t)(w->end - w->p)) { /* an entry has a byte at least */
        wire_fail(w, ERR_CORRUPT);
        return 0;
    }
    *table = calloc(room == WIRE_ROOM_MAX ? max : n, size);
    if (!*table) {
        wire_fail(w, ERR_NOMEM);
        return 0;
    }
    *count = n;
    return 1;
}

/*
 * digest/fingerprint.h -- what makes two errors the same one: a hash of their text without what varies.
 *
 * Left out: numbers (with their sign, point, exponent, unit of bytes; dates, times, addresses and versions are
 * runs of numbers), hexadecimal words of six and more with a digit in them (ids, hashes), 0x…, UUIDs, the
 * directories of paths, space. So rank 3's "[Errno 2] … '/mnt/n3/ckpt-0012/rank_3.pt'" is rank 5's.
 * Incremental: fingerprint_text() in pieces that end between words is the same as at once, up to its joints.
 * 64 bits of a multiply-xor hash: not for what an enemy may collide with gain.
 */
#ifndef DIGEST_FINGERPRINT_H
#define DIGEST_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

#define FINGERPRINT_START UINT64_C(0xcbf29ce484222325)
#define FINGERPRINT_BYTES_MAX 1024 /* of a text are read; the rest does not tell errors apart */

/* Go on from h with these bytes as they are. */
uint64_t fingerprint_bytes(uint64_t h, const char *s, size_t len);
/* Go on from h with the normalised text. */
uint64_t fingerprint_text(uint64_t h, const char *s, size_t len);
/* The last step: bits mixed, never 0. */
uint64_t fingerprint_end(uint64_t h);
/* The normalised text itself, for tests and for people: NUL-terminated, cut to size. Returns its length. */
size_t fingerprint_normal(const char *s, size_t len, char *out, size_t size);

#endif

/*
 * auth/secret.h -- what a token or a ticket looks like: prefix, 256 random bits, checksum.
 *
 *     jlt_ 0Q3w…(43 × [0-9A-Za-z])… k2VbX9      a token, 53 characters
 *     jlk_ …                                    a ticket: the same with another prefix
 *          256 bits in base 62 ^      ^ CRC-32 of all before it, in base 62 (6 characters)
 *
 * The prefix is for scanners of secrets (`jl[tk]_[0-9A-Za-z]{49}`), the checksum for typos: a secret
 * that was cut or mistyped is told apart from one that is not known. Neither is a secret by itself.
 */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include <stddef.h>

#define SECRET_TOKEN "jlt_"
#define SECRET_TICKET "jlk_"
#define SECRET_PREFIX_BYTES 4
#define SECRET_BYTES 53 /* without NUL */

/* A fresh one with this prefix. */
void secret_make(const char *prefix, char out[SECRET_BYTES + 1]);
/* 0: written as secret_make() writes them. ERR_INVALID: another prefix, length or alphabet;
 * ERR_CORRUPT: only the checksum is wrong. */
int secret_check(const char *prefix, const char *text, size_t len);

#endif

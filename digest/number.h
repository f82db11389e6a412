/*
 * digest/number.h -- a number in a line of text, read without locale and without a NUL.
 */
#ifndef DIGEST_NUMBER_H
#define DIGEST_NUMBER_H

#include <stddef.h>

/* [+-]digits[.digits][e[+-]digits], thousands separated by ',' when grouped by three; "nan", "inf", "infinity" in any
 * case. Bytes used, 0 when there is no number. At most 15 digits count exactly; what follows moves the point only. */
size_t number_read(const char *s, size_t n, double *ret);
/* Digits only: bytes used, 0 when there are none or more than 18. */
size_t number_whole(const char *s, size_t n, long long *ret);

#endif

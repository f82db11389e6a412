/*
 * digest/number.c -- a number in a line of text.
 */
#include "digest/number.h"

#include <math.h>
#include <strings.h>

#define DIGITS_MAX 15

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static double power_of_ten(int e)
{
    static const double small[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

    return e <= 22 ? small[e] : pow(10, e);
}

static double scale(double v, int exponent)
{
    if (!exponent || v == 0) return v;
    if (exponent > 330) return INFINITY;
    if (exponent < -345) return 0;
    if (exponent < -300) return v / power_of_ten(300) / power_of_ten(-exponent - 300);
    return exponent > 0 ? v * power_of_ten(exponent) : v / power_of_ten(-exponent);
}

/* "nan", "inf", "infinity" that end there. */
static size_t read_word(const char *s, size_t n, double *ret)
{
    size_t len = 0;

    if (n >= 3 && strncasecmp(s, "nan", 3) == 0) {
        *ret = NAN;
        len = 3;
    } else if (n >= 8 && strncasecmp(s, "infinity", 8) == 0) {
        *ret = INFINITY;
        len = 8;
    } else if (n >= 3 && strncasecmp(s, "inf", 3) == 0) {
        *ret = INFINITY;
        len = 3;
    }
    if (len && len < n && ((s[len] | 32) >= 'a' && (s[len] | 32) <= 'z')) return 0;
    return len;
}

static size_t read_exponent(const char *s, size_t n, int *ret)
{
    size_t i = 1, from;
    int negative = 0, e = 0;

    if (n < 2 || (*s | 32) != 'e') return 0;
    if (s[i] == '+' || s[i] == '-') negative = s[i++] == '-';
    from = i;
    for (; i < n && is_digit(s[i]); i++) e = e < 10000 ? e * 10 + (s[i] - '0') : e;
    if (i == from) return 0;
    *ret = negative ? -e : e;
    return i;
}

size_t number_read(const char *s, size_t n, double *ret)
{
    size_t i = 0, digits = 0, start;
    int negative = 0, exponent = 0, e = 0;
    unsigned long long v = 0;

    if (i < n && (s[i] == '-' || s[i] == '+')) negative = s[i++] == '-';
    start = i;
    if (i < n && !is_digit(s[i]) && s[i] != '.') {
        size_t word = read_word(s + i, n - i, ret);
        if (word && negative) *ret = -*ret;
        return word ? i + word : 0;
    }
    for (; i < n; i++) {
        if (s[i] == ',' && i > start && i - start <= 3 + 4 * (digits / 3) && n - i > 3 &&
            is_digit(s[i + 1]) && is_digit(s[i + 2]) && is_digit(s[i + 3]) &&
            (n - i == 4 || !is_digit(s[i + 4])))
            continue;
        if (!is_digit(s[i])) break;
        if (digits < DIGITS_MAX)
            v = v * 10 + (unsigned)(s[i] - '0');
        else
            exponent++;
        digits += digits < DIGITS_MAX && v > 0;
    }
    if (i == start && !(i + 1 < n && s[i] == '.' && is_digit(s[i + 1]))) return 0;
    if (i < n && s[i] == '.') {
        size_t point = i++;
        for (; i < n && is_digit(s[i]); i++) {
            if (digits >= DIGITS_MAX) continue;
            v = v * 10 + (unsigned)(s[i] - '0');
            digits += v > 0;
            exponent--;
        }
        if (i == point + 1 && point == start) return 0;
    }
    i += read_exponent(s + i, n - i, &e);
    *ret = scale((double)v, exponent + e);
    if (negative) *ret = -*ret;
    return i;
}

size_t number_whole(const char *s, size_t n, long long *ret)
{
    size_t i = 0;
    long long v = 0;

    while (i < n && i < 18 && is_digit(s[i])) v = v * 10 + (s[i++] - '0');
    if (i < n && is_digit(s[i])) return 0;
    *ret = v;
    return i;
}

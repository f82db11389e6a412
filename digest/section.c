/*
 * digest/section.c -- marks of CI systems that fold a part of a log.
 */
#include "digest/section.h"

#include "digest/number.h"

#include <string.h>

#define LITERAL(s) s, sizeof(s) - 1

static int starts(const char *s, size_t n, const char *what, size_t len)
{
    return n >= len && memcmp(s, what, len) == 0;
}

static void trim(const char **s, size_t *n)
{
    while (*n && (**s == ' ' || **s == '\r' || **s == '\t')) (*s)++, (*n)--;
    while (*n && ((*s)[*n - 1] == ' ' || (*s)[*n - 1] == '\r' || (*s)[*n - 1] == '\t')) (*n)--;
}

static int mark(struct section *ret, enum section_mark m, const char *title, size_t len)
{
    *ret = (struct section){.mark = m, .title = title, .title_len = len};
    trim(&ret->title, &ret->title_len);
    return 1;
}

/* "section_start:1764000000:name[options]" and what stands behind. */
static int gitlab(const char *s, size_t n, int is_end, struct section *ret)
{
    size_t i = is_end ? sizeof "section_end:" - 1 : sizeof "section_start:" - 1, digits, from;
    long long at;

    digits = number_whole(s + i, n - i, &at);
    if (!digits || i + digits >= n || s[i + digits] != ':') return 0;
    i += digits + 1;
    from = i;
    while (i < n && s[i] != '[' && s[i] != '\r' && s[i] != ' ') i++;
    if (i == from) return 0;
    mark(ret, is_end ? SECTION_END : SECTION_BEGIN, s + i, n - i);
    ret->name = s + from;
    ret->name_len = i - from;
    ret->at_us = at > 0 && at < 100000000000 ? at * 1000000 : 0;
    if (ret->title_len && *ret->title == '[') {
        const char *close = memchr(ret->title, ']', ret->title_len);
        size_t skip = close ? (size_t)(close - ret->title) + 1 : ret->title_len;
        ret->title += skip;
        ret->title_len -= skip;
        trim(&ret->title, &ret->title_len);
    }
    if (!ret->title_len) {
        ret->title = ret->name;
        ret->title_len = ret->name_len;
    }
    return 1;
}

int section_read(const char *s, size_t n, struct section *ret)
{
    size_t i;

    switch (n ? *s : '\0') {
    case ':':
        if (starts(s, n, LITERAL("::group::"))) return mark(ret, SECTION_BEGIN, s + 9, n - 9);
        return starts(s, n, LITERAL("::endgroup::")) && mark(ret, SECTION_END, "", 0);
    case '#':
        if (starts(s, n, LITERAL("##[group]"))) return mark(ret, SECTION_BEGIN, s + 9, n - 9);
        return starts(s, n, LITERAL("##[endgroup]")) && mark(ret, SECTION_END, "", 0);
    case 's':
        if (starts(s, n, LITERAL("section_start:"))) return gitlab(s, n, 0, ret);
        return starts(s, n, LITERAL("section_end:")) && gitlab(s, n, 1, ret);
    case '-':
    case '+':
    case '~':
        for (i = 1; i < n && s[i] == *s; i++) {
        }
        if (i != 3 || i + 1 >= n || s[i] != ' ') return 0;
        mark(ret, SECTION_NEXT, s + 4, n - 4);
        /* a diff's "--- a/x" and "+++ b/x", a ruler with a number of marks in it */
        if (starts(s + 4, n - 4, LITERAL("a/")) || starts(s + 4, n - 4, LITERAL("b/")) ||
            starts(s + 4, n - 4, LITERAL("/dev/null")))
            return 0;
        return ret->title_len > 0 && ret->title[ret->title_len - 1] != *s;
    }
    return 0;
}

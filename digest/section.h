/*
 * digest/section.h -- marks of CI systems that fold a part of a log.
 *
 *     GitHub Actions   "::group::Install"  …  "::endgroup::"                    (also behind a stamp and "##[group]")
 *     GitLab           "section_start:1764000000:install[collapsed=true]\r\e[0KInstall"  …
 *                      "section_end:1764000060:install\r\e[0K"
 *     Buildkite        "--- Install", "+++ Test", "~~~ Setup": each ends the one before
 * The \r of GitLab's splits the line for a terminal; both the raw form and the pieces that a redraw leaves
 * are read ("section_start:…" alone has the name, the text behind it is the title).
 */
#ifndef DIGEST_SECTION_H
#define DIGEST_SECTION_H

#include <stddef.h>
#include <stdint.h>

enum section_mark {
    SECTION_NO,
    SECTION_BEGIN,      /* name, title; may lie in another */
    SECTION_END,        /* of the innermost open one; GitLab: of the one with that name */
    SECTION_NEXT,       /* Buildkite: ends the last of its kind and begins */
};

struct section {
    enum section_mark mark;
    const char *name; /* what GitLab pairs by; len 0 for the others */
    size_t name_len;
    const char *title;
    size_t title_len;
    int64_t at_us;    /* GitLab's own time; 0: not said */
};

/* text without colours ("\e[0K" is gone then; a '\r' may be there). 1 with *ret when it is a mark. */
int section_read(const char *text, size_t len, struct section *ret);

#endif

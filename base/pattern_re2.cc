/*
 * base/pattern_re2.cc -- RE2 behind a C face; no exception crosses it (RE2 throws none, allocation
 * failure ends the process as must_malloc does).
 */
#include "base/pattern.h"

#include "base/err.h"

#include <re2/re2.h>

#include <cstdio>
#include <cstring>
#include <string>

#define PATTERN_MEMORY_BYTES (4 << 20)

struct pattern {
    RE2 re;
    std::string literal;
    pattern(re2::StringPiece text, const RE2::Options &options) : re(text, options) {}
};

static void take_if_longer(std::string &best, std::string &run)
{
    if (run.size() > best.size()) best = run;
    run.clear();
}

/* The last character of run may be absent. */
static void drop_last(std::string &run)
{
    while (!run.empty() && (run.back() & 0xc0) == 0x80) run.pop_back();
    if (!run.empty()) run.pop_back();
}

/* The longest run of plain characters that every match must contain. Conservative: alternatives,
 * groups and flags anywhere mean none is known; a class, an escape or a counted repeat ends the
 * hunt with what was found before it. */
static std::string required_literal(const std::string &re)
{
    std::string best, run;
    if (re.find_first_of("|(") != std::string::npos) return best;
    for (char c : re) {
        if (c == '\0' || c == '\\' || c == '[') break;
        if (c == '?' || c == '*' || c == '{') {
            drop_last(run);
            if (c == '{') break;
            take_if_longer(best, run);
        } else if (strchr(".^$+])}", c)) {
            take_if_longer(best, run);
        } else {
            run += c;
        }
    }
    take_if_longer(best, run);
    return best;
}

extern "C" int pattern_new(const char *re, size_t len, int ignore_case,
                           struct pattern **ret_pattern, char *why, size_t why_size)
{
    if (len > PATTERN_BYTES_MAX) {
        snprintf(why, why_size, "a pattern has at most %d bytes", PATTERN_BYTES_MAX);
        return ERR_TOO_BIG;
    }
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(PATTERN_MEMORY_BYTES);
    options.set_case_sensitive(!ignore_case);
    pattern *p = new pattern(re2::StringPiece(re, len), options);
    if (!p->re.ok()) {
        snprintf(why, why_size, "%s", p->re.error().c_str());
        delete p;
        return ERR_INVALID;
    }
    if (!ignore_case) p->literal = required_literal(std::string(re, len));
    *ret_pattern = p;
    return 0;
}

extern "C" void pattern_free(struct pattern **p)
{
    delete *p;
    *p = nullptr;
}

extern "C" int pattern_match(const struct pattern *p, const char *text, size_t len)
{
    return p->re.Match(re2::StringPiece(text, len), 0, len, RE2::UNANCHORED, nullptr, 0);
}

extern "C" const char *pattern_literal(const struct pattern *p)
{
    return p->literal.c_str();
}

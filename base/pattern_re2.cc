/*
 * base/pattern_re2.cc -- RE2 behind a C face; no exception crosses it (RE2 throws none, allocation
 * failure aborts in operator new as must_malloc does).
 */
#include "base/pattern.h"

extern "C" {
#include "base/err.h"
}

#include <re2/re2.h>

#include <cstdio>
#include <cstring>
#include <string>

#define PATTERN_MEMORY_BYTES (4 << 20)

struct pattern {
    RE2 *re;
    std::string literal;
};

/* The longest run of plain characters at the top level that every match must contain. Conservative:
 * any alternation, group, class, escape or flag ends the hunt with what is safe. */
static std::string required_literal(const std::string &re) {
    std::string best, run;
    if (re.find_first_of("|(") != std::string::npos) return "";
    for (size_t i = 0; i < re.size(); i++) {
        char c = re[i];
        if (strchr("?*{", c)) { /* the character before is optional */
            if (!run.empty()) run.pop_back();
            while (!run.empty() && (run.back() & 0x80)) run.pop_back();
            if (c == '{') return best.size() >= run.size() ? best : run;
        } else if (strchr("\\[", c)) {
            return best.size() >= run.size() ? best : run;
        } else if (!strchr(".^$+])}", c)) {
            run += c;
            continue;
        }
        if (run.size() > best.size()) best = run;
        run.clear();
    }
    return run.size() > best.size() ? run : best;
}

extern "C" int pattern_new(const char *re, size_t len, int ignore_case, struct pattern **ret_pattern, char *why,
                           size_t why_size) {
    if (len > PATTERN_BYTES_MAX) {
        snprintf(why, why_size, "a pattern has at most %d bytes", PATTERN_BYTES_MAX);
        return ERR_TOO_BIG;
    }
    RE2::Options opts;
    opts.set_log_errors(false);
    opts.set_max_mem(PATTERN_MEMORY_BYTES);
    opts.set_case_sensitive(!ignore_case);
    RE2 *compiled = new RE2(re2::StringPiece(re, len), opts);
    if (!compiled->ok()) {
        snprintf(why, why_size, "%s", compiled->error().c_str());
        delete compiled;
        return ERR_INVALID;
    }
    *ret_pattern = new pattern{compiled, ignore_case ? std::string() : required_literal(std::string(re, len))};
    return 0;
}

extern "C" void pattern_free(struct pattern **p) {
    if (!*p) return;
    delete (*p)->re;
    delete *p;
    *p = nullptr;
}

extern "C" int pattern_match(const struct pattern *p, const char *text, size_t len) {
    return RE2::PartialMatch(re2::StringPiece(text, len), *p->re);
}

extern "C" const char *pattern_literal(const struct pattern *p) { return p->literal.c_str(); }

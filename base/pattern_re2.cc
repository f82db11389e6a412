/*
 * base/pattern_re2.cc -- RE2 behind a C face; no exception crosses it (RE2 throws none, allocation
 * failure ends the process as must_malloc does).
 */
#include "base/pattern.h"

#include "base/err.h"

#include <re2/filtered_re2.h>
#include <re2/re2.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#define PATTERN_MEMORY_BYTES (4 << 20)

struct pattern {
    RE2 re;
    std::string literal;
    std::vector<std::pair<int, std::string>> groups; /* number and name, in order */
    std::unique_ptr<re2::FilteredRE2> pieces;        /* which pieces a match needs; nullptr: not known */
    std::vector<std::string> piece;
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

static void find_pieces(pattern *p, re2::StringPiece text, const RE2::Options &options)
{
    auto f = std::make_unique<re2::FilteredRE2>(PATTERN_PIECE_BYTES_MIN);
    int id;
    if (f->Add(text, options, &id) != RE2::NoError) return;
    f->Compile(&p->piece);
    if (!p->piece.empty()) p->pieces = std::move(f);
}

/* Its lower case is not only that of ASCII letters. */
static bool is_wide(const std::string &piece)
{
    for (char c : piece)
        if (c & 0x80) return true;
    return false;
}

extern "C" int pattern_may_match(const struct pattern *p, pattern_has_fn *has, void *user)
{
    std::vector<int> there, matches;
    if (!p->pieces) return 1;
    for (size_t i = 0; i < p->piece.size(); i++) {
        const std::string &piece = p->piece[i];
        if (piece.size() < PATTERN_PIECE_BYTES_MIN || is_wide(piece) || has(user, piece.data(), piece.size()))
            there.push_back((int)i);
    }
    p->pieces->AllPotentials(there, &matches);
    return !matches.empty();
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
    for (const auto &g : p->re.CapturingGroupNames())
        if (p->groups.size() < PATTERN_GROUPS_MAX) p->groups.push_back(g);
    find_pieces(p, re2::StringPiece(re, len), options);
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

extern "C" int pattern_find(const struct pattern *p, const char *text, size_t len, size_t from,
                            size_t *ret_from, size_t *ret_to)
{
    re2::StringPiece found;
    if (from > len ||
        !p->re.Match(re2::StringPiece(text, len), from, len, RE2::UNANCHORED, &found, 1))
        return 0;
    *ret_from = static_cast<size_t>(found.data() - text);
    *ret_to = *ret_from + found.size();
    return 1;
}

extern "C" const char *pattern_literal(const struct pattern *p)
{
    return p->literal.c_str();
}

extern "C" unsigned pattern_group_count(const struct pattern *p)
{
    return (unsigned)p->groups.size();
}

extern "C" const char *pattern_group_name(const struct pattern *p, unsigned i)
{
    return p->groups[i].second.c_str();
}

extern "C" int pattern_groups(const struct pattern *p, const char *text, size_t len,
                              struct pattern_span *ret_spans)
{
    int last = p->groups.empty() ? 0 : p->groups.back().first;
    std::vector<re2::StringPiece> sub((size_t)last + 1);
    if (!p->re.Match(re2::StringPiece(text, len), 0, len, RE2::UNANCHORED, sub.data(), last + 1)) return 0;
    for (size_t i = 0; i < p->groups.size(); i++) {
        const re2::StringPiece &s = sub[(size_t)p->groups[i].first];
        ret_spans[i].text = s.data();
        ret_spans[i].len = s.size();
    }
    return 1;
}

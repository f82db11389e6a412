/*
 * base/pattern_set_re2.cc -- RE2's FilteredRE2 behind a C face.
 */
#include "base/pattern_set.h"

#include "base/err.h"

#include <re2/filtered_re2.h>
#include <re2/re2.h>

#include <algorithm>
#include <string>
#include <vector>

#define PATTERN_MEMORY_BYTES (4 << 20)

struct pattern_set {
    re2::FilteredRE2 filter;
    std::vector<std::string> atoms;
    std::vector<bool> wild;
    unsigned count;
    pattern_set() : filter(PATTERN_SET_ATOM_BYTES_MIN), count(0) {}
};

extern "C" struct pattern_set *pattern_set_new(void)
{
    return new pattern_set();
}

extern "C" void pattern_set_free(struct pattern_set **s)
{
    delete *s;
    *s = nullptr;
}

extern "C" int pattern_set_add(struct pattern_set *s, const char *re, size_t len, int is_literal,
                               int ignore_case)
{
    RE2::Options options;
    int id = -1;
    options.set_log_errors(false);
    options.set_max_mem(PATTERN_MEMORY_BYTES);
    options.set_case_sensitive(!ignore_case);
    options.set_literal(is_literal != 0);
    if (s->filter.Add(re2::StringPiece(re, len), options, &id) != RE2::NoError) return ERR_INVALID;
    s->count++;
    return id;
}

extern "C" void pattern_set_compile(struct pattern_set *s)
{
    std::vector<int> found;
    if (s->count == 0) return;
    s->filter.Compile(&s->atoms);
    s->wild.assign(s->count, false);
    s->filter.AllPotentials(std::vector<int>(), &found);
    for (int id : found) s->wild[(size_t)id] = true;
}

extern "C" unsigned pattern_set_atom_count(const struct pattern_set *s)
{
    return (unsigned)s->atoms.size();
}

extern "C" const char *pattern_set_atom(const struct pattern_set *s, unsigned i)
{
    return s->atoms[i].c_str();
}

extern "C" int pattern_set_is_wild(const struct pattern_set *s, unsigned pattern)
{
    return s->wild[pattern];
}

extern "C" unsigned pattern_set_candidates(const struct pattern_set *s, const unsigned *atoms,
                                           unsigned count, unsigned *ret, unsigned max)
{
    std::vector<int> have(atoms, atoms + count), found;
    if (s->count == 0) return 0;
    s->filter.AllPotentials(have, &found);
    std::sort(found.begin(), found.end());
    for (size_t i = 0; i < found.size() && i < max; i++) ret[i] = (unsigned)found[i];
    return (unsigned)found.size();
}

// crash.cc -- an exception nobody catches.
#include <cstdio>
#include <stdexcept>

static void load(const char *path)
{
    throw std::runtime_error(std::string("cannot map tokenizer ") + path + ": bad magic");
}

int main()
{
    std::puts("loading tokenizer");
    std::fflush(stdout);
    load("/data/tokenizer.model");
}

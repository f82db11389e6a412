// A failed assertion.
#include <cassert>
#include <cstdio>
static int width(int n)
{
    assert(n > 0 && "width must be positive");
    return n;
}
int main(int argc, char **argv)
{
    std::puts("step 1 loss 2.31");
    std::fflush(stdout);
    return width(argc - 1);
}

// glibc notices a second free.
#include <cstdio>
#include <cstdlib>
int main()
{
    std::puts("step 1 loss 2.31");
    std::fflush(stdout);
    char *p = (char *)std::malloc(64);
    std::free(p);
    std::free(p);
    return 0;
}

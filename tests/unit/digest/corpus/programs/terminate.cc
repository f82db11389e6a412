// An exception that nobody catches.
#include <stdexcept>
#include <cstdio>
int main()
{
    std::puts("step 1 loss 2.31");
    std::fflush(stdout);
    throw std::runtime_error("cannot map 4096 bytes of /dev/shm/ring-17");
}

// Behind the end of an array, built with AddressSanitizer.
#include <cstdio>
#include <cstdlib>
static int sum(const int *a, int n)
{
    int s = 0;
    for (int i = 0; i <= n; i++) s += a[i];
    return s;
}
int main()
{
    int *a = new int[8]();
    std::puts("step 1 loss 2.31");
    std::fflush(stdout);
    return sum(a, 8);
}

/* What library.py checks before it uses this library. */

#include "kernels.h"

/* The version of the functions and structs: library.py must agree. */
EXPORT int version(void) { return 3; }

/* What this was compiled for, in words. */
EXPORT const char *features(void) { return INSTRUCTIONS; }

/* Whether the kernels run on the threads that torch has: those of GCC's OpenMP. Two sets of threads would
 * wait for each other's cores. */
EXPORT int shares_threads(void) {
#if defined(_OPENMP) && defined(__linux__) && !defined(__clang__)
    return 1;
#else
    return 0;
#endif
}

/* Whether this processor has the instructions that the rest was compiled for. */
#if defined(__AMX_BF16__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* AMX-TILE and AMX-BF16, and AVX512-BF16, which compilers do not all know by name. Linux gives the tiles to
 * a process that asks: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA). */
__attribute__((target("no-avx")))
static int tiles_usable(void) {
    unsigned a, b, c, d;
    const int tiles = __get_cpuid_count(7, 0, &a, &b, &c, &d) && d >> 22 & 1 && d >> 24 & 1;
    const int rounding = __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 5 & 1;
    return tiles && rounding && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}
#else
#define tiles_usable() 1
#endif

#if defined(__AVX512F__)
__attribute__((target("no-avx")))
EXPORT int usable(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && tiles_usable();
}
#elif defined(__AVX2__)
__attribute__((target("no-avx")))
EXPORT int usable(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
EXPORT int usable(void) { return 1; }
#endif

/* Muon's iteration on its blocks, by the tiles of AMX (see tfcli/training/optimizers.py):
 *
 *   G = X X^T        P = a I + b G + c G G        X <- P X
 */

#include "kernels.h"

#ifdef __AMX_BF16__

#include "tiles.h"

/* Floats of memory that a thread needs. */
EXPORT size_t muon_memory(int N, int M) { return (size_t)N * M / 2 * 3 + (size_t)N * N * 3; }

/* blocks: (count, N, M), of bfloat16, in place; N and M are multiples of 32; memory: of all threads. */
EXPORT void muon_iterate(int count, int N, int M, uint16_t *blocks, float a, float b, float c, int iterations,
                         float *memory, int threads) {
    const size_t size = (size_t)N * M, square = (size_t)N * N;
    #pragma omp parallel num_threads(threads)
    {
        float *x = memory + thread_number() * muon_memory(N, M), *gram = x + size, *gram_squared = gram + square;
        Pair *pairs = (Pair *)(gram_squared + square), *small_pairs = pairs + size / 2;
        Half *small = (Half *)(small_pairs + square / 2);
        begin_products();
        #pragma omp for schedule(static)
        for (int block = 0; block < count; block++) {
            Half *own = blocks + block * size;
            for (size_t i = 0; i < size; i++) x[i] = from_bfloat16(own[i]);
            for (int iteration = 0; iteration < iterations; iteration++) {
                transpose(N, M / 2, own, M / 2, pairs, N);
                multiply(N, N, M, own, M, pairs, N, gram, N, 0);
                to_bfloat16s((int)square, gram, small);
                to_pairs(N, N, gram, small_pairs);
                multiply(N, N, N, small, N, small_pairs, N, gram_squared, N, 0);
                for (size_t i = 0; i < square; i++) gram[i] = b * gram[i] + c * gram_squared[i];
                for (int i = 0; i < N; i++) gram[(size_t)i * (N + 1)] += a;
                to_bfloat16s((int)square, gram, small);
                to_pairs(N, M, x, pairs);
                multiply(N, M, N, small, N, pairs, M, x, M, 0);
                to_bfloat16s((int)size, x, own);
            }
        }
        end_products();
    }
}

#else

EXPORT size_t muon_memory(int N, int M) { return 0 * N * M; }  /* it is torch's */

EXPORT void muon_iterate(int count, int N, int M, uint16_t *blocks, float a, float b, float c, int iterations,
                         float *memory, int threads) {
    (void)count, (void)N, (void)M, (void)blocks, (void)a, (void)b, (void)c, (void)iterations, (void)memory, (void)threads;
}

#endif

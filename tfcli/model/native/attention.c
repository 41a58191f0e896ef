/* Attention: the work of each thread, and the number format of its products. */

#include "attention.h"

#ifdef __AMX_BF16__
#define PRODUCTS(function, at) ((at)->type == BFLOAT16 ? function##_amx : function##_float32)
#else
#define PRODUCTS(function, at) function##_float32
#endif

/* How many floats of memory a thread needs. */
EXPORT size_t attention_memory(const Attention *at) { return PRODUCTS(memory, at)(at); }

/* out: (B, T, H D); normalizers: (B, H, T), log(sum(e^score)) of each query, for the gradient; memory:
 * `attention_memory` for each thread. */
EXPORT void attention(const Attention *at, void *out, float *normalizers, float *memory, int threads) {
    const int K = at->num_kv_heads;
    const size_t size = attention_memory(at);
    #pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int unit = 0; unit < at->rows * K; unit++)
        PRODUCTS(forward, at)(at, unit / K, unit % K, out, normalizers, memory + thread_number() * size);
}

/* out, normalizers: results of `attention`; to_out: (B, T, H D); to_qkv: like qkv; partial: (B K, 2 D);
 * to_weights: (2, D), of the norms of queries and keys; memory as above. */
EXPORT void attention_backward(const Attention *at, const void *out, const float *normalizers,
                               const void *to_out, void *to_qkv, float *partial, float *to_weights,
                               float *memory, int threads) {
    const int K = at->num_kv_heads, width = 2 * at->head_dim;
    const size_t size = attention_memory(at);
    #pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int unit = 0; unit < at->rows * K; unit++) {
        float *own = partial + (size_t)unit * width;
        memset(own, 0, width * sizeof(float));
        PRODUCTS(backward, at)(at, unit / K, unit % K, out, normalizers, to_out, to_qkv, own,
                               memory + thread_number() * size);
    }
    memset(to_weights, 0, width * sizeof(float));
    for (int unit = 0; unit < at->rows * K; unit++)
        for (int i = 0; i < width; i++) to_weights[i] += partial[(size_t)unit * width + i];
}

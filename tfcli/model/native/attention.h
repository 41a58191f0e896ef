/* Causal attention with QK-norm and RoPE, from the projected queries, keys and values to what the heads
 * take, in one pass, and its gradient:
 *
 *   q = rotate(norm(query)) / sqrt(D),  k = rotate(norm(key))
 *   P = softmax(q k^T), lower triangle          out = P value
 *
 * One key-value head of one row of text, with the query heads that share it, is the work of one thread: a
 * unit. Its keys and values fit into the nearest caches; the scores are made for a block of queries at a
 * time, and made again for the gradient (Dao et al., "FlashAttention", 2022).
 *
 *   B rows of text        T positions        H query heads        K key-value heads        D head_dim
 */

#ifndef ATTENTION_H
#define ATTENTION_H

#include "kernels.h"

typedef struct {  /* functions.py has the same */
    int type, rows, length, num_heads, num_kv_heads, head_dim;  /* B, T, H, K, D */
    const void *qkv;  /* (B, T, (H + 2 K) D): queries, keys, values */
    const float *query_weight, *key_weight;  /* (D,), of the QK-norm; NULL: none */
    float epsilon;
    const float *cosines, *sines;  /* (T, D), whose halves are equal; NULL: no RoPE */
} Attention;

/* Two ways to compute a unit: with products in float32, and for tensors in bfloat16 with AMX. Memory is in
 * floats. */
size_t memory_float32(const Attention *at);
void forward_float32(const Attention *at, int row, int kv_head, void *out, float *normalizers, float *memory);
void backward_float32(const Attention *at, int row, int kv_head, const void *out, const float *normalizers,
                      const void *to_out, void *to_qkv, float *to_weights, float *memory);
#ifdef __AMX_BF16__
size_t memory_amx(const Attention *at);
void forward_amx(const Attention *at, int row, int kv_head, void *out, float *normalizers, float *memory);
void backward_amx(const Attention *at, int row, int kv_head, const void *out, const float *normalizers,
                       const void *to_out, void *to_qkv, float *to_weights, float *memory);
#endif

/* --- one head at one position ------------------------------------------------------------------------ */

INLINE void copy(float *to, const float *from, int n) {
    for (int i = 0; i < n; i++) to[i] = from[i];
}

INLINE size_t row_size(const Attention *at) {
    return (size_t)(at->num_heads + 2 * at->num_kv_heads) * at->head_dim;
}

/* norm, rotation, scaling of x: (D,), which is overwritten. */
INLINE void prepare_head(const Attention *at, const int D, const float *weight, int position, float scale,
                         float *x) {
    const int half = D / 2;
    if (weight) {
        const float factor = inverse_rms(x, D, at->epsilon);
        for (int i = 0; i < D; i++) x[i] *= factor * weight[i];
    }
    if (at->cosines) {  /* pairs (i, i + D/2) */
        const float *cosine = at->cosines + (size_t)position * D, *sine = at->sines + (size_t)position * D;
        for (int i = 0; i < half; i++) {
            const float first = x[i], second = x[i + half];
            x[i] = first * cosine[i] - second * sine[i];
            x[i + half] = second * cosine[i] + first * sine[i];
        }
    }
    for (int i = 0; i < D; i++) x[i] *= scale;
}

/* The gradient of that: rotated back, and through the norm. x: its input; g: the gradient of its result,
 * overwritten; to_x: (D,); to_weight: (D,), added to. */
INLINE void prepare_head_backward(const Attention *at, const int D, const float *weight, int position, float scale,
                                  const float *x, float *g, float *to_x, float *to_weight) {
    const int half = D / 2;
    for (int i = 0; i < D; i++) g[i] *= scale;
    if (at->cosines) {
        const float *cosine = at->cosines + (size_t)position * D, *sine = at->sines + (size_t)position * D;
        for (int i = 0; i < half; i++) {
            const float first = g[i], second = g[i + half];
            g[i] = first * cosine[i] + second * sine[i];
            g[i + half] = second * cosine[i] - first * sine[i];
        }
    }
    if (weight) norm_backward(x, weight, g, D, at->epsilon, to_x, to_weight);
    else copy(to_x, g, D);
}

/* Both, compiled apart for the usual size. */
static inline void prepare(const Attention *at, const float *weight, int position, float scale, float *x) {
    if (at->head_dim == 64) prepare_head(at, 64, weight, position, scale, x);
    else prepare_head(at, at->head_dim, weight, position, scale, x);
}

static inline void prepare_backward(const Attention *at, const float *weight, int position, float scale, const float *x,
                             float *g, float *to_x, float *to_weight) {
    if (at->head_dim == 64) prepare_head_backward(at, 64, weight, position, scale, x, g, to_x, to_weight);
    else prepare_head_backward(at, at->head_dim, weight, position, scale, x, g, to_x, to_weight);
}

#endif

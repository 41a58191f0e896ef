/* What the kernels share: the number formats of tensors, vectors, and the exponential.
 *
 * A kernel computes in float32. Its tensors are contiguous, of float32 or bfloat16: a row is read as
 * floats, from where it lies or converted into `room`, and written the same way. Each sum is made by one
 * thread in an order that depends on the shapes alone, so neither timing nor the number of threads changes
 * a bit of the result.
 */

#ifndef KERNELS_H
#define KERNELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#define thread_number() omp_get_thread_num()
#else
#define thread_number() 0
#endif

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

enum { FLOAT32, BFLOAT16 };  /* functions.py has the same numbers */

/* --- vectors ----------------------------------------------------------------------------------------- */

#if defined(__AVX512F__)
#define LANES 16  /* floats in a register */
#ifdef __AMX_BF16__
#define INSTRUCTIONS "AMX"
#else
#define INSTRUCTIONS "AVX-512"
#endif
#elif defined(__AVX2__)
#define LANES 8
#define INSTRUCTIONS "AVX2"
#else
#define LANES 4
#define INSTRUCTIONS "128-bit vectors"
#endif

typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* Before a short loop over a constant range, whose arrays are then in registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_16 UNROLL
#else
#define UNROLL _Pragma("GCC unroll 8")
#define UNROLL_16 _Pragma("GCC unroll 16")
#endif

/* The next multiple of the vector width. */
INLINE size_t padded(size_t n) { return (n + LANES - 1) / LANES * LANES; }

/* --- number formats ---------------------------------------------------------------------------------- */

/* bfloat16 is the upper half of a float. */
INLINE float from_bfloat16(uint16_t half) {
    union { uint32_t i; float f; } bits = {(uint32_t)half << 16};
    return bits.f;
}

/* Rounded to the nearest, in the middle to the even one; NaN stays NaN. */
INLINE uint16_t to_bfloat16(float x) {
    union { float f; uint32_t i; } bits = {x};
    const uint32_t rounded = (bits.i + 0x7fff + (bits.i >> 16 & 1)) >> 16;
    return (bits.i & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (uint16_t)rounded;
}

INLINE void to_bfloat16s(int n, const float *from, uint16_t *to) {
    int i = 0;
#ifdef __AVX512BF16__  /* the same, but that numbers below 1e-38 become 0 */
    for (; i + 32 <= n; i += 32) {
        const __m512 low = _mm512_loadu_ps(from + i), high = _mm512_loadu_ps(from + i + 16);
        _mm512_storeu_si512(to + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
#endif
    for (; i < n; i++) to[i] = to_bfloat16(from[i]);
}

/* n elements of a tensor from an offset on, as floats. */
INLINE const float *read_row(int type, const void *tensor, size_t offset, int n, float *room) {
    if (type == FLOAT32) return (const float *)tensor + offset;
    const uint16_t *halves = (const uint16_t *)tensor + offset;
    for (int i = 0; i < n; i++) room[i] = from_bfloat16(halves[i]);
    return room;
}

/* Where to write floats that `finish_row` then converts, if they have to be. */
INLINE float *begin_row(int type, void *tensor, size_t offset, float *room) {
    return type == FLOAT32 ? (float *)tensor + offset : room;
}

INLINE void finish_row(int type, void *tensor, size_t offset, int n, const float *room) {
    if (type == BFLOAT16) to_bfloat16s(n, room, (uint16_t *)tensor + offset);
}

/* --- arithmetic -------------------------------------------------------------------------------------- */

/* e^x as 2^(whole part) times a polynomial in the rest, to about 1e-7; about 0 below -87. */
INLINE float fast_exp(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float whole = floorf(x * 1.44269504f + 0.5f);
    const float r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    float p = 1.9875691e-4f;
    p = p * r + 1.3981999e-3f;
    p = p * r + 8.3334519e-3f;
    p = p * r + 4.1665796e-2f;
    p = p * r + 1.6666665e-1f;
    p = p * r + 5.0000001e-1f;
    p = p * r * r + r + 1.0f;
    union { int32_t i; float f; } power = {((int32_t)whole + 127) << 23};
    return p * power.f;
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }

INLINE float dot(const float *a, const float *b, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* The largest of x and `least`. Without the pragma the compiler compares one by one, lest NaN be lost. */
INLINE float maximum(const float *x, int n, float least) {
    #pragma omp simd reduction(max : least)
    for (int i = 0; i < n; i++) least = x[i] > least ? x[i] : least;
    return least;
}

/* 1 / sqrt(mean(x^2) + epsilon) */
INLINE float inverse_rms(const float *x, int n, float epsilon) {
    return 1.0f / sqrtf(dot(x, x, n) / n + epsilon);
}

/* The gradient of y = n w, n = s x, s = inverse_rms(x). With h = g w,
 *
 *   dx = s (h - n mean(h n))        dw += g n
 */
INLINE void norm_backward(const float *x, const float *weight, const float *g, int n, float epsilon, float *to_x,
                          float *to_weight) {
    const float scale = inverse_rms(x, n, epsilon);
    float sum = 0;
    for (int i = 0; i < n; i++) {
        const float normed = x[i] * scale;
        sum += g[i] * weight[i] * normed;
        to_weight[i] += g[i] * normed;
    }
    const float mean = sum / n;
    for (int i = 0; i < n; i++) to_x[i] = scale * (g[i] * weight[i] - x[i] * scale * mean);
}

#endif

/* Weights in the number format in which a file has them, and their products with a few vectors.
 *
 * The weights are read where they lie, converted in registers, and multiplied in float32; those in int8 are
 * multiplied in integers.
 *
 * A sum over the inputs is made as LANES running sums, input i in number i mod LANES, which are then added
 * as a tree: neighbors, pairs, and so on. Both ways to compute a product, for few tokens (here) and for many
 * (products.c), add in this order, so the result for a token does not depend on the tokens beside it, nor on
 * the number of threads.
 */

#ifndef PRODUCTS_H
#define PRODUCTS_H

#include "../../model/native/kernels.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define ROWS 4  /* of a matrix that are multiplied at once with few tokens */

/* A tile of a product with many tokens: its sums are in registers. AVX2 has 16 of them, others 32. */
#define TILE (LANES == 16 ? 8 : 6)         /* tokens */
#define TILE_VECTORS (LANES == 4 ? 4 : 2)  /* vectors of outputs */
#define PANEL (TILE_VECTORS * LANES)       /* outputs */

enum { FLOAT16 = BFLOAT16 + 1, INT8 };  /* native.py has the same numbers */

typedef struct {
    const void *weight;   /* (rows, in) */
    const float *scales;  /* (rows,): factors of the rows in INT8 */
    int rows, format;
} Part;

/* Matrices with the same input; their outputs lie one behind the other. */
typedef struct {
    Part parts[3];      /* those that are not needed have no rows; all are INT8, or none is */
    const float *bias;  /* (out,) or NULL */
    int in, out;
} Linear;

/* Memory for the inputs of products. */
typedef struct {
    float *packed;       /* `packed_size` floats */
    int16_t *quantized;  /* (N, `quantized_size`) */
    float *scales;       /* (N,): factors of the quantized inputs */
    float *panel;        /* `panel_size` floats, of this thread alone */
} ProductRoom;

size_t packed_size(int in, int N);
size_t quantized_size(int in);
size_t panel_size(int in);

/* y = x W^T + b, or y += that: (N, in) -> (N, out). All threads call it together. */
void linear(const Linear *m, const float *x, int N, const ProductRoom *room, float *y, int add);

/* The products of rows of floats, (count, in), with N vectors: y (N, count), up to PANEL - 1 more in each, rows
 * of y `stride` floats apart. For one thread; memory: panel_size(in) + packed_size(in, N) floats. */
void multiply_rows(const float *rows, int count, int in, const float *x, int N, float *memory, float *y,
                   size_t stride);

/* --- vectors ----------------------------------------------------------------------------------------- */

typedef int32_t Ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef int16_t Shorts __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
typedef int8_t Bytes __attribute__((vector_size(2 * LANES), aligned(1), may_alias));
typedef float Float4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float Float8 __attribute__((vector_size(32), aligned(4), may_alias));

/* Eight of the sixteen floats of a and b, by index. gcc has clang's builtin only since version 12. */
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t Indices __attribute__((vector_size(32)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (Indices){__VA_ARGS__})
#endif

/* float16 has five bits of exponent: moved to their place in a float, they are too small by 2^112. */
INLINE float from_float16(uint16_t half) {
    union { uint32_t i; float f; } bits = {(uint32_t)(half & 0x7fff) << 13};
    bits.f *= 0x1p112f;
    if ((half & 0x7c00) == 0x7c00) bits.i |= 0x7f800000;  /* infinite, or NaN */
    bits.i |= (uint32_t)(half & 0x8000) << 16;
    return bits.f;
}

/* LANES items of a row of weights, from item i on. An item is a weight as a float; with INT8 it is two
 * weights, as two int16_t. */
INLINE Vector load(const int format, const void *row, int i) {
    const uint16_t *halves = (const uint16_t *)row + i;
    const int8_t *bytes = (const int8_t *)row + 2 * i;
#if LANES == 16
    if (format == BFLOAT16) return (Vector)((Ints)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)halves)) << 16);
    if (format == FLOAT16) return (Vector)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)halves));
    if (format == INT8) return (Vector)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)bytes));
#elif LANES == 8
    if (format == BFLOAT16) return (Vector)((Ints)_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)halves)) << 16);
    if (format == FLOAT16) return (Vector)_mm256_cvtph_ps(_mm_loadu_si128((const void *)halves));
    if (format == INT8) return (Vector)_mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)bytes));
#else
    if (format == BFLOAT16) return (Vector)(__builtin_convertvector(*(const Halves *)halves, Words) << 16);
    if (format == FLOAT16)
        return (Vector){from_float16(halves[0]), from_float16(halves[1]), from_float16(halves[2]),
                        from_float16(halves[3])};
    if (format == INT8) return (Vector)__builtin_convertvector(*(const Bytes *)bytes, Shorts);
#endif
    return *(const Vector *)((const float *)row + i);
}

/* The same where a row of `in` weights ends: zeros follow it. */
INLINE Vector load_end(const int format, const void *row, int i, int in) {
    const int weights = format == INT8 ? 2 : 1, size = format == FLOAT32 ? 4 : format == INT8 ? 1 : 2;
    const int left = in - i * weights, most = LANES * weights;
    char room[4 * LANES] = {0};
    if (left > 0)
        memcpy(room, (const char *)row + (size_t)i * weights * size, (size_t)(left < most ? left : most) * size);
    return load(format, room, 0);
}

/* sum + a b; of pairs of int16_t, sum + a1 b1 + a2 b2. */
INLINE Vector multiply_add(const int integers, Vector sum, Vector a, Vector b) {
#if LANES == 16
    if (!integers) return (Vector)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)sum);
    return (Vector)((Ints)sum + (Ints)_mm512_madd_epi16((__m512i)a, (__m512i)b));
#elif LANES == 8
    if (!integers) return (Vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)sum);
    return (Vector)((Ints)sum + (Ints)_mm256_madd_epi16((__m256i)a, (__m256i)b));
#else
#ifdef __ARM_NEON
    if (!integers) return (Vector)vfmaq_f32((float32x4_t)sum, (float32x4_t)a, (float32x4_t)b);
#else
    if (!integers) return sum + a * b;
#endif
    const Ints x = (Ints)a, y = (Ints)b;
    return (Vector)((Ints)sum + (x << 16 >> 16) * (y << 16 >> 16) + (x >> 16) * (y >> 16));
#endif
}

/* Vectors in a row of `in` weights, the last one perhaps not full. */
INLINE int count_steps(const int format, int in) {
    const int items = format == INT8 ? (in + 1) / 2 : in;
    return (items + LANES - 1) / LANES;
}

/* --- sums over the elements of four vectors ------------------------------------------------------------ */

typedef int32_t Int4 __attribute__((vector_size(16)));
typedef int32_t Int8s __attribute__((vector_size(32)));

INLINE Float8 add(const int integers, Float8 a, Float8 b) {
    if (integers) return (Float8)((Int8s)a + (Int8s)b);
    return a + b;
}

INLINE Float4 sums_of_eight(const int integers, Float8 a, Float8 b, Float8 c, Float8 d) {
    const Float8 ab = add(integers, SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14), SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15));
    const Float8 cd = add(integers, SHUFFLE(c, d, 0, 8, 2, 10, 4, 12, 6, 14), SHUFFLE(c, d, 1, 9, 3, 11, 5, 13, 7, 15));
    const Float8 all = add(integers, SHUFFLE(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13),
                           SHUFFLE(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15));
    const Float4 low = {all[0], all[1], all[2], all[3]}, high = {all[4], all[5], all[6], all[7]};
    if (integers) return (Float4)((Int4)low + (Int4)high);
    return low + high;
}

/* Eight elements of a vector; `half` is 0 or, of sixteen, 1. */
#if LANES == 16
#define EIGHT(v, half) ((Float8)_mm512_extractf32x8_ps((__m512)(v), half))
#elif LANES == 8
#define EIGHT(v, half) (v)
#endif

/* The sums, as floats. */
INLINE Float4 horizontal_sums(const int integers, const Vector v[ROWS]) {
#if LANES == 4
    Float4 sums;
    for (int r = 0; r < ROWS; r++) {
        const Ints ints = (Ints)v[r];
        if (integers) sums[r] = (float)(ints[0] + ints[1] + ints[2] + ints[3]);
        else sums[r] = (v[r][0] + v[r][1]) + (v[r][2] + v[r][3]);
    }
    return sums;
#else
    Float4 sums = sums_of_eight(integers, EIGHT(v[0], 0), EIGHT(v[1], 0), EIGHT(v[2], 0), EIGHT(v[3], 0));
#if LANES == 16
    const Float4 rest = sums_of_eight(integers, EIGHT(v[0], 1), EIGHT(v[1], 1), EIGHT(v[2], 1), EIGHT(v[3], 1));
    if (integers) sums = (Float4)((Int4)sums + (Int4)rest);
    else sums += rest;
#endif
    if (integers) sums = (Float4)__builtin_convertvector((Int4)sums, Float4);
    return sums;
#endif
}

INLINE float sum_of(Vector v) {
    const Vector sums[ROWS] = {v};
    return horizontal_sums(0, sums)[0];
}

/* The dot product of two vectors of n floats. */
INLINE float dot_floats(const float *a, const float *b, int n) {
    Vector sums = {0};
    int i = 0;
    for (; i + LANES <= n; i += LANES) sums = multiply_add(0, sums, load(FLOAT32, a, i), load(FLOAT32, b, i));
    if (i < n) sums = multiply_add(0, sums, load_end(FLOAT32, a, i, n), load_end(FLOAT32, b, i, n));
    return sum_of(sums);
}

INLINE Vector broadcast(float x) {
    const Vector zero = {0};
    return x - zero;
}

INLINE Vector larger(Vector a, Vector b) {
    const Ints where = a > b;
    return (Vector)(((Ints)a & where) | ((Ints)b & ~where));
}

/* --- the product of few tokens ------------------------------------------------------------------------- */

/* The items from i on: added to the running sums. */
INLINE void dot_step(const int format, const void *const rows[ROWS], const float *x, size_t stride, int i,
                     const int tokens, Vector running[3][ROWS]) {
    Vector v[3];
    UNROLL
    for (int t = 0; t < tokens; t++) v[t] = load(FLOAT32, x + t * stride, i);
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        const Vector weights = load(format, rows[r], i);
        UNROLL
        for (int t = 0; t < tokens; t++)
            running[t][r] = multiply_add(format == INT8, running[t][r], weights, v[t]);
    }
}

/* Four rows of `in` weights times `tokens` vectors x, `stride` floats apart; those for INT8 are pairs too,
 * and padded. With three vectors there are twelve running sums, as many as there are registers for.
 * The rows that are read next are asked for early: alone, the processor
 * begins anew with each row. `format` and `tokens` are constants in every caller, so that the loops over them
 * are unrolled. */
INLINE void dot_rows(const int format, const void *const rows[ROWS], const float *x, size_t stride, int in,
                     const int tokens, Float4 *sums) {
    const int integers = format == INT8, end = count_steps(format, in) * LANES;
    const int whole = (integers ? in / 2 : in) / LANES * LANES;
    const int weight_size = format == FLOAT32 ? 4 : integers ? 1 : 2, item_size = integers ? 2 : weight_size;
    const int line = 64 / item_size;  /* items in a line of the cache */
    Vector running[3][ROWS] = {{{0}}};
    int i = 0;
    for (; i + line <= whole; i += line) {
        UNROLL
        for (int r = 0; r < ROWS; r++)
            __builtin_prefetch((const char *)rows[r] + (size_t)ROWS * in * weight_size + (size_t)i * item_size);
        UNROLL
        for (int k = 0; k < line; k += LANES) dot_step(format, rows, x, stride, i + k, tokens, running);
    }
    for (; i < whole; i += LANES) dot_step(format, rows, x, stride, i, tokens, running);
    if (whole < end)
        for (int t = 0; t < tokens; t++) {
            const Vector v = load_end(FLOAT32, x + t * stride, whole, integers ? end : in);
            for (int r = 0; r < ROWS; r++)
                running[t][r] = multiply_add(integers, running[t][r], load_end(format, rows[r], whole, in), v);
        }
    UNROLL
    for (int t = 0; t < tokens; t++) sums[t] = horizontal_sums(integers, running[t]);
}

#endif

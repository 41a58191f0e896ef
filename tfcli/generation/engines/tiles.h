/* Products of weights in bfloat16 by AMX, which multiplies tiles of matrices: Intel's Xeon since 2023. */

#ifndef TILES_H
#define TILES_H

#include "products.h"

/* Whether this processor has what this was compiled for, and its system lends this process the registers. */
int tiles_usable(void);

#ifdef __AMX_BF16__

#define SIDE 16          /* rows of a tile, and 32-bit columns */
#define STEP (2 * SIDE)  /* inputs of a tile, in bfloat16 */

typedef uint16_t Half;

/* Before tiles are loaded: gcc does not know that this reads memory. */
#define WRITTEN() __asm__ volatile("" ::: "memory")

/* For this thread: registers 0 to 3 are sums, (rows, columns); 4 and 5 left factors, (rows, 32); 6 and 7 right
 * factors, (16 pairs, columns, 2). */
void configure_tiles(int rows, int columns);

/* Each of 32 numbers, of which `left` are there, as the nearest one in bfloat16 and the nearest to the rest. */
INLINE void split(const float *x, int left, __m512i *near, __m512i *rest) {
    const __mmask16 low = left < SIDE ? (__mmask16)((1 << left) - 1) : 0xffff;
    const __mmask16 high = left < SIDE ? 0 : left < STEP ? (__mmask16)((1 << (left - SIDE)) - 1) : 0xffff;
    const __m512 a = _mm512_maskz_loadu_ps(low, x), b = _mm512_maskz_loadu_ps(high, x + SIDE);
    *near = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    const __m512 near_a = (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(*near)), 16);
    const __m512 near_b = (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(*near, 1)), 16);
    *rest = (__m512i)_mm512_cvtne2ps_pbh(_mm512_sub_ps(b, near_b), _mm512_sub_ps(a, near_a));
}

/* Whether all parts are in the format of the tiles. */
int fits_tiles(const Linear *m);

/* See `panel_size` and `linear`. */
size_t tile_panel_size(int in);
void tile_linear(const Linear *m, const float *x, int N, const ProductRoom *room, float *y, int add);

#endif
#endif

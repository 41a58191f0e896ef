/* Products in bfloat16 with sums in float32, by the tiles of AMX.
 *
 * In a product A B, A lies in memory by rows, and B by pairs: element (j, c) of its pairs is B[2 j][c] and
 * B[2 j + 1][c]. So the pairs of a matrix, transposed, are the rows of the transposed matrix, and the other
 * way round.
 */

#include "kernels.h"

#define BLOCK 32  /* every size is a multiple of it */

typedef uint16_t Half;  /* of bfloat16 */
typedef uint32_t Pair;

/* --- products ---------------------------------------------------------------------------------------- */

/* Before and after `multiply`: eight tiles of 16 rows of 64 bytes. */
INLINE void begin_products(void) {
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&config);
}

INLINE void end_products(void) { _tile_release(); }

/* C = A B, or C += A B, for BLOCK rows and columns of C. */
INLINE void multiply_block(int k, const Half *a, size_t a_row, const Pair *b, size_t b_row, float *c, size_t c_row,
                           int add) {
    __asm__ volatile("" ::: "memory");  /* gcc does not know that a tile is loaded from memory */
    const size_t a_bytes = a_row * sizeof(Half), b_bytes = b_row * sizeof(Pair), c_bytes = c_row * sizeof(float);
    if (add) {
        _tile_loadd(0, c, c_bytes);
        _tile_loadd(1, c + 16, c_bytes);
        _tile_loadd(2, c + 16 * c_row, c_bytes);
        _tile_loadd(3, c + 16 * c_row + 16, c_bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (; k > 0; k -= 32, a += 32, b += 16 * b_row) {
        _tile_loadd(4, a, a_bytes);
        _tile_loadd(5, a + 16 * a_row, a_bytes);
        _tile_loadd(6, b, b_bytes);
        _tile_loadd(7, b + 16, b_bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, c_bytes);
    _tile_stored(1, c + 16, c_bytes);
    _tile_stored(2, c + 16 * c_row, c_bytes);
    _tile_stored(3, c + 16 * c_row + 16, c_bytes);
}

/* The same for A (m, k) and B (k, n). */
static void multiply(int m, int n, int k, const Half *a, size_t a_row, const Pair *b, size_t b_row, float *c,
                     size_t c_row, int add) {
    for (int row = 0; row < m; row += BLOCK)
        for (int column = 0; column < n; column += BLOCK)
            multiply_block(k, a + row * a_row, a_row, b + column, b_row, c + row * c_row + column, c_row, add);
}

/* --- operands ---------------------------------------------------------------------------------------- */

/* (rows, width) -> (rows / 2, width) */
INLINE void to_pairs(int rows, size_t width, const float *from, Pair *to) {
    uint16_t order[32];
    for (int i = 0; i < 32; i++) order[i] = i / 2 + i % 2 * 16;
    const __m512i interleaved = _mm512_loadu_si512(order);
    for (int row = 0; row < rows; row += 2, from += 2 * width, to += width)
        for (size_t i = 0; i < width; i += 16) {
            const __m512 even = _mm512_loadu_ps(from + i), odd = _mm512_loadu_ps(from + width + i);
            const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
            _mm512_storeu_si512(to + i, _mm512_permutexvar_epi16(interleaved, both));
        }
}

/* 16 x 16 pairs or floats: in four steps, the second half of row i and the first of row i + step change
 * places, halves being of 2 step elements. */
INLINE void transpose_square(const Pair *from, size_t from_row, Pair *to, size_t to_row) {
    __m512i rows[16];
    UNROLL_16
    for (int i = 0; i < 16; i++) rows[i] = _mm512_loadu_si512(from + i * from_row);
    UNROLL_16
    for (int step = 1; step < 16; step *= 2) {
        int32_t lower[16], upper[16];  /* of one row, or from 16 on of the other */
        for (int i = 0; i < 16; i++) {
            lower[i] = i & step ? 16 + i - step : i;
            upper[i] = i & step ? 16 + i : i + step;
        }
        const __m512i first = _mm512_loadu_si512(lower), second = _mm512_loadu_si512(upper);
        UNROLL_16
        for (int i = 0; i < 16; i++)
            if (!(i & step)) {
                const __m512i row = rows[i];
                rows[i] = _mm512_permutex2var_epi32(row, first, rows[i + step]);
                rows[i + step] = _mm512_permutex2var_epi32(row, second, rows[i + step]);
            }
    }
    UNROLL_16
    for (int i = 0; i < 16; i++) _mm512_storeu_si512(to + i * to_row, rows[i]);
}

/* (rows, columns) -> (columns, rows), of pairs or floats */
static void transpose(int rows, int columns, const void *from, size_t from_row, void *to, size_t to_row) {
    for (int row = 0; row < rows; row += 16)
        for (int column = 0; column < columns; column += 16)
            transpose_square((const Pair *)from + row * from_row + column, from_row,
                             (Pair *)to + column * to_row + row, to_row);
}

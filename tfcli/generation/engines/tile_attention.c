/* Attention by AMX, for models whose weights are in bfloat16: see tiles.h and attention.c.
 *
 * Keys and values are stored as the two numbers in bfloat16 that `split` makes of each, in the memory of one
 * float, and lie in the cache as the tiles that are multiplied:
 *
 *   keys:   (blocks of 16 positions, D / 32, 2, 16 pairs of dimensions, 16 positions, 2)
 *   values: (blocks of 32 positions, D / 16, 2, 16 pairs of positions, 16 dimensions, 2)
 *
 * Queries and the exponentials of their scores are the rows of the other tiles. Of the four products of two
 * numbers with two, that of both rests is left out: it is 2^-18 of the whole. Positions to which a query does
 * not attend have exponentials of 0, and change no bit of its sums.
 */

#include "decoder.h"
#include "tiles.h"

#ifdef __AMX_BF16__

#define HALVES (SIDE * STEP)  /* in a tile */
#define COLUMNS 4             /* tiles of dimensions at once */

int attends_in_tiles(const Model *model, int layer) {
    return model->head_dim % STEP == 0 && fits_tiles(&model->layers[layer].qkv);
}

/* --- the cache ----------------------------------------------------------------------------------------- */

void tile_store_kv(const float *key, const float *value, int position, int D, float *keys, float *values) {
    const __m512i rows = _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                            _mm512_set1_epi32(SIDE));
    float *to_key = keys + (size_t)(position / SIDE) * SIDE * D + position % SIDE;
    Half *to_value = (Half *)(values + (size_t)(position / STEP) * STEP * D);
    to_value += position % STEP / 2 * STEP + position % 2;
    for (int i = 0; i < D; i += STEP) {
        __m512i parts[2];
        split(key + i, STEP, parts, parts + 1);
        for (int p = 0; p < 2; p++, to_key += HALVES / 2) _mm512_i32scatter_epi32(to_key, rows, parts[p], 4);
        split(value + i, STEP, parts, parts + 1);
        for (int tile = 0; tile < 2; tile++)
            for (int p = 0; p < 2; p++, to_value += HALVES)
                for (int k = 0; k < SIDE; k++) to_value[2 * k] = ((const Half *)(parts + p))[tile * SIDE + k];
    }
}

/* --- scores -------------------------------------------------------------------------------------------- */

/* One or two tiles of queries, (tiles, D / 32, 2, 16, 32), times a block of keys: (16, 16) each. */
INLINE void score_block(const int tiles, const Half *queries, const Half *keys, int D, float *scores, size_t size) {
    WRITTEN();
    _tile_zero(0);
    if (tiles == 2) _tile_zero(1);
    for (int step = 0; step < D / STEP; step++, queries += 2 * HALVES, keys += 2 * HALVES) {
        _tile_loadd(6, keys, 2 * STEP);
        _tile_loadd(7, keys + HALVES, 2 * STEP);
        _tile_loadd(4, queries, 2 * STEP);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(0, 4, 7);
        _tile_loadd(5, queries + HALVES, 2 * STEP);
        _tile_dpbf16ps(0, 5, 6);
        if (tiles == 1) continue;
        _tile_loadd(4, queries + SIDE * 2 * D, 2 * STEP);
        _tile_dpbf16ps(1, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, queries + SIDE * 2 * D + HALVES, 2 * STEP);
        _tile_dpbf16ps(1, 5, 6);
    }
    _tile_stored(0, scores, size * sizeof(float));
    if (tiles == 2) _tile_stored(1, scores + SIDE * size, size * sizeof(float));
}

void tile_score(const float *queries, int count, const float *keys, int first, int end, int D, float *memory,
                float *scores, size_t size) {
    const int rows = count < SIDE ? count : SIDE;
    Half *packed = (Half *)memory;
    for (int q = 0; q < count; q++)
        for (int i = 0; i < D; i += STEP) {
            Half *row = packed + (size_t)q / SIDE * SIDE * 2 * D + i / STEP * 2 * HALVES + q % SIDE * STEP;
            split(queries + (size_t)q * D + i, STEP, (__m512i *)row, (__m512i *)(row + HALVES));
        }
    configure_tiles(rows, SIDE);
    for (int tile = 0; tile * SIDE < count; tile += 2)
        for (int s = first; s < end; s += SIDE) {
            const Half *own = packed + (size_t)tile * SIDE * 2 * D, *block = (const Half *)(keys + (size_t)s * D);
            float *to = scores + tile * SIDE * size + s;
            if (count - tile * SIDE > SIDE) score_block(2, own, block, D, to, size);
            else score_block(1, own, block, D, to, size);
        }
}

/* --- scores V ------------------------------------------------------------------------------------------ */

/* A tile of queries, from the position `first` on: COLUMNS tiles of dimensions, or two. */
INLINE void weigh_tiles(const int columns, const float *scores, size_t size, int first, int end, const Half *values,
                        int D, float *sums) {
    WRITTEN();
    _tile_zero(0);
    _tile_zero(1);
    if (columns == COLUMNS) _tile_zero(2);
    if (columns == COLUMNS) _tile_zero(3);
    for (int s = first; s < end; s += STEP) {
        const Half *block = values + (size_t)s * 2 * D;
        _tile_loadd(4, scores + s, size * sizeof(float));
        _tile_loadd(5, scores + s + SIDE, size * sizeof(float));
#define WEIGH(column) \
        _tile_loadd(6, block + column * 2 * HALVES, 2 * STEP); \
        _tile_loadd(7, block + column * 2 * HALVES + HALVES, 2 * STEP); \
        _tile_dpbf16ps(column, 4, 6); \
        _tile_dpbf16ps(column, 4, 7); \
        _tile_dpbf16ps(column, 5, 6);
        WEIGH(0)
        WEIGH(1)
        if (columns < COLUMNS) continue;
        WEIGH(2)
        WEIGH(3)
    }
    const size_t row = COLUMNS * SIDE * sizeof(float);
    _tile_stored(0, sums, row);
    _tile_stored(1, sums + SIDE, row);
    if (columns == COLUMNS) _tile_stored(2, sums + 2 * SIDE, row);
    if (columns == COLUMNS) _tile_stored(3, sums + 3 * SIDE, row);
}

void tile_weigh(int count, float *scores, size_t size, int first, int end, const float *values, int D,
                const float *factors, float *const *out) {
    float sums[SIDE * COLUMNS * SIDE] __attribute__((aligned(64)));
    for (int q = 0; q < count; q++)
        for (int s = first; s < end; s += STEP) {
            float *from = scores + q * size + s;
            split(from, STEP, (__m512i *)from, (__m512i *)(from + SIDE));
        }
    for (int tile = 0; tile < count; tile += SIDE)
        for (int column = 0; column < D; column += COLUMNS * SIDE) {
            const int width = D - column < COLUMNS * SIDE ? D - column : COLUMNS * SIDE;
            const Half *from = (const Half *)values + column / SIDE * 2 * HALVES;
            if (width < COLUMNS * SIDE) weigh_tiles(2, scores + tile * size, size, first, end, from, D, sums);
            else weigh_tiles(COLUMNS, scores + tile * size, size, first, end, from, D, sums);
            for (int q = tile; q < count && q < tile + SIDE; q++)
                for (int i = 0; i < width; i++)
                    out[q][column + i] = sums[(q - tile) * COLUMNS * SIDE + i] * factors[q];
        }
    _tile_release();
}

#endif

/* See products.h. With many tokens, a panel of a matrix is packed by one thread, its weights converted and
 * transposed, and multiplied with a tile of tokens at a time (Goto, van de Geijn, "Anatomy of
 * High-Performance Matrix Multiplication", 2008).
 *
 * Items are packed by their number mod LANES first, so that the sums of a tile over one such number are the
 * running sums of `dot_rows`. Packed are
 *
 *   tokens: (tiles, LANES, steps, TILE)        a panel: (LANES, steps, PANEL)
 */

#include "blocks.h"
#include "tiles.h"

#define FEW 6  /* tokens below which packing a matrix takes longer than it gains */

/* Enough for tiles.c too, whose tiles are of 16 tokens, or fewer if there are not as many, and of 32 inputs. */
size_t packed_size(int in, int N) {
    return (size_t)(N + 2 * TILE - 1) / TILE * TILE * (padded(in) + LANES);
}
size_t quantized_size(int in) { return (size_t)count_steps(INT8, in) * LANES * 2; }
size_t panel_size(int in) {
    const size_t size = PANEL * padded(in);
#ifdef __AMX_BF16__
    if (size < tile_panel_size(in)) return tile_panel_size(in);
#endif
    return size;
}

/* The outputs of a block for a token, from their sums. scale: of the quantized token. */
INLINE void store_outputs(const Linear *m, const Block *block, const float *sums, float scale, float *y, int add) {
    y += block->output;
    const float *bias = m->bias ? m->bias + block->output : NULL;
    const float *scales = block->part->format == INT8 ? block->part->scales + block->first : NULL;
    for (int i = 0; i < block->count; i++) {
        const float sum = scales ? sums[i] * (scale * scales[i]) : sums[i];
        y[i] = (add ? y[i] : 0) + (bias ? sum + bias[i] : sum);
    }
}

/* --- few tokens ---------------------------------------------------------------------------------------- */

static void few_tokens(const Linear *m, const float *x, size_t stride, int N, const float *scales, float *y,
                       int add) {
    const int in = m->in, blocks = count_blocks(m, ROWS);
    #pragma omp for schedule(static)
    for (int number = 0; number < blocks; number++) {
        const Block block = find_block(m, number, ROWS);
        const void *rows[ROWS];
        for (int r = 0; r < ROWS; r++)
            rows[r] = row_of(block.part, block.first + (r < block.count ? r : 0), in);
        for (int token = 0; token < N;) {
            const float *v = x + token * stride;
            const int tokens = N - token < 3 ? 1 : 3;
            Float4 sums[3];
#define DOT_ROWS(format) \
    if (tokens == 3) dot_rows(format, rows, v, stride, in, 3, sums); \
    else dot_rows(format, rows, v, stride, in, 1, sums)
            switch (block.part->format) {
                case BFLOAT16: DOT_ROWS(BFLOAT16); break;
                case FLOAT16: DOT_ROWS(FLOAT16); break;
                case INT8: DOT_ROWS(INT8); break;
                default: DOT_ROWS(FLOAT32); break;
            }
            for (int t = 0; t < tokens; t++, token++)
                store_outputs(m, &block, (const float *)&sums[t], scales[token], y + (size_t)token * m->out, add);
        }
    }
}

/* --- many tokens --------------------------------------------------------------------------------------- */

static void pack_tokens(const float *x, size_t stride, int items, int steps, int tokens, float *tile) {
    for (int lane = 0; lane < LANES; lane++)
        for (int step = 0; step < steps; step++, tile += TILE)
            for (int t = 0; t < TILE; t++) {
                const int item = step * LANES + lane;
                tile[t] = t < tokens && item < items ? x[t * stride + item] : 0;
            }
}

/* Eight vectors of eight, transposed. */
INLINE void transpose(Float8 v[8]) {
    Float8 w[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        w[i] = SHUFFLE(v[i], v[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        w[i + 1] = SHUFFLE(v[i], v[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4)
        UNROLL
        for (int k = 0; k < 2; k++) {
            v[i + 2 * k] = SHUFFLE(w[i + k], w[i + k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            v[i + 2 * k + 1] = SHUFFLE(w[i + k], w[i + k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    UNROLL
    for (int i = 0; i < 4; i++) {
        w[i] = SHUFFLE(v[i], v[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        w[i + 4] = SHUFFLE(v[i], v[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    UNROLL
    for (int i = 0; i < 8; i++) v[i] = w[i];
}

/* Eight rows of weights, as the columns from `panel` on. */
INLINE void pack_rows(const int format, const void *const rows[8], int in, int steps, float *panel) {
    const int whole = (format == INT8 ? in / 2 : in) / LANES;
    const size_t size = format == FLOAT32 ? 4 : format == INT8 ? 1 : 2, items = format == INT8 ? 2 * LANES : LANES;
    for (int step = 0; step < steps; step++) {
        UNROLL
        for (int r = 0; r < 8; r++)  /* of the rows that come next, as in `dot_rows` */
            __builtin_prefetch((const char *)rows[r] + (8 * (size_t)in + step * items) * size);
        Vector v[8];
        UNROLL
        for (int r = 0; r < 8; r++)
            v[r] = step < whole ? load(format, rows[r], step * LANES) : load_end(format, rows[r], step * LANES, in);
#if LANES == 4
        for (int r = 0; r < 8; r++)
            for (int lane = 0; lane < LANES; lane++) panel[((size_t)lane * steps + step) * PANEL + r] = v[r][lane];
#else
#define PACK_HALF(half) do { \
        Float8 w[8]; \
        UNROLL \
        for (int r = 0; r < 8; r++) w[r] = EIGHT(v[r], half); \
        transpose(w); \
        UNROLL \
        for (int k = 0; k < 8; k++) *(Float8 *)(panel + ((size_t)(8 * half + k) * steps + step) * PANEL) = w[k]; \
    } while (0)
        PACK_HALF(0);
#if LANES == 16
        PACK_HALF(1);
#endif
#endif
    }
}

/* Rows of a block that are missing are taken to be the first one; nobody reads their outputs. */
static void pack_panel(const Block *block, int in, int steps, float *panel) {
    for (int first = 0; first < PANEL && first < block->count; first += 8, panel += 8) {
        const void *rows[8];
        for (int r = 0; r < 8; r++)
            rows[r] = row_of(block->part, block->first + (first + r < block->count ? first + r : 0), in);
        switch (block->part->format) {
            case BFLOAT16: pack_rows(BFLOAT16, rows, in, steps, panel); break;
            case FLOAT16: pack_rows(FLOAT16, rows, in, steps, panel); break;
            case INT8: pack_rows(INT8, rows, in, steps, panel); break;
            default: pack_rows(FLOAT32, rows, in, steps, panel); break;
        }
    }
}

/* A tile of tokens times a panel: (tokens, PANEL) sums, integers as floats. The sums of each lane are added
 * as a tree: levels[l] waits for its neighbor, and is the sum over 2^l lanes. */
INLINE void multiply_tile(const int integers, const int tokens, int steps, const float *tile, const float *panel,
                          Vector result[TILE][TILE_VECTORS]) {
    Vector levels[4][TILE][TILE_VECTORS];
    for (int lane = 0; lane < LANES; lane++) {
        Vector sums[TILE][TILE_VECTORS] = {{{0}}};
        for (int step = 0; step < steps; step++, tile += TILE, panel += PANEL) {
            Vector columns[TILE_VECTORS];
            UNROLL
            for (int v = 0; v < TILE_VECTORS; v++) columns[v] = *(const Vector *)(panel + v * LANES);
            UNROLL
            for (int t = 0; t < tokens; t++) {
                const Vector factor = broadcast(tile[t]);
                UNROLL
                for (int v = 0; v < TILE_VECTORS; v++)
                    sums[t][v] = multiply_add(integers, sums[t][v], factor, columns[v]);
            }
        }
        int level = 0;
        for (; lane >> level & 1; level++)
            UNROLL
            for (int t = 0; t < tokens; t++)
                UNROLL
                for (int v = 0; v < TILE_VECTORS; v++)
                    if (integers) sums[t][v] = (Vector)((Ints)levels[level][t][v] + (Ints)sums[t][v]);
                    else sums[t][v] = levels[level][t][v] + sums[t][v];
        Vector (*to)[TILE_VECTORS] = lane + 1 < LANES ? levels[level] : result;
        UNROLL
        for (int t = 0; t < tokens; t++)
            UNROLL
            for (int v = 0; v < TILE_VECTORS; v++) to[t][v] = sums[t][v];
    }
    if (integers)
        for (int t = 0; t < tokens; t++)
            for (int v = 0; v < TILE_VECTORS; v++)
                result[t][v] = __builtin_convertvector((Ints)result[t][v], Vector);
}

static void many_tokens(const Linear *m, const float *x, size_t stride, int N, const ProductRoom *room, float *y,
                        int add) {
    const int format = m->parts[0].format, in = m->in, steps = count_steps(format, in);
    const int tiles = (N + TILE - 1) / TILE, panels = count_blocks(m, PANEL);
    const size_t size = (size_t)steps * LANES * TILE;
    #pragma omp for schedule(static)
    for (int tile = 0; tile < tiles; tile++) {
        const int first = tile * TILE, left = N - first;
        pack_tokens(x + first * stride, stride, (int)stride, steps, left < TILE ? left : TILE,
                    room->packed + tile * size);
    }
    #pragma omp for schedule(dynamic, 1)
    for (int number = 0; number < panels; number++) {
        const Block block = find_block(m, number, PANEL);
        pack_panel(&block, in, steps, room->panel);
        for (int first = 0; first < N; first += TILE) {
            const float *tile = room->packed + first / TILE * size;
            const int tokens = N - first < TILE ? N - first : TILE;
            Vector sums[TILE][TILE_VECTORS];
            if (format == INT8) multiply_tile(1, TILE, steps, tile, room->panel, sums);
            else if (tokens > TILE / 2) multiply_tile(0, TILE, steps, tile, room->panel, sums);
            else multiply_tile(0, TILE / 2, steps, tile, room->panel, sums);
            for (int t = 0; t < tokens; t++)
                store_outputs(m, &block, (const float *)sums[t], room->scales[first + t],
                              y + (size_t)(first + t) * m->out, add);
        }
    }
}

void multiply_rows(const float *rows, int count, int in, const float *x, int N, float *memory, float *y,
                   size_t stride) {
    const Linear m = {.parts = {{rows, NULL, count, FLOAT32}}, .in = in, .out = count};
    const int steps = count_steps(FLOAT32, in), panels = count_blocks(&m, PANEL);
    const size_t size = (size_t)steps * LANES * TILE;
    float *packed = memory + panel_size(in);
    for (int first = 0; first < N; first += TILE)
        pack_tokens(x + (size_t)first * in, in, in, steps, N - first < TILE ? N - first : TILE,
                    packed + first / TILE * size);
    for (int number = 0; number < panels; number++) {
        const Block block = find_block(&m, number, PANEL);
        pack_panel(&block, in, steps, memory);
        for (int first = 0; first < N; first += TILE) {
            Vector sums[TILE][TILE_VECTORS];
            multiply_tile(0, TILE, steps, packed + first / TILE * size, memory, sums);
            for (int t = 0; t < TILE && first + t < N; t++)
                memcpy(y + (first + t) * stride + block.first, sums[t], sizeof sums[t]);
        }
    }
}

/* --- any ----------------------------------------------------------------------------------------------- */

/* To as many bits as leave room for the sum of the products with int8 in 32; zeros follow. */
static float quantize(const float *x, int in, int16_t *quantized) {
    const int most = 2147483647 / 127 / in, largest = most < 32767 ? most : 32767;
    Vector most_of = {0};
    for (int i = 0; i < in; i += LANES) {
        const Ints magnitude = (Ints)(i + LANES <= in ? load(FLOAT32, x, i) : load_end(FLOAT32, x, i, in)) & 0x7fffffff;
        most_of = larger((Vector)magnitude, most_of);
    }
    float maximum = 1e-30f;
    for (int l = 0; l < LANES; l++) maximum = most_of[l] > maximum ? most_of[l] : maximum;
    const float scale = maximum / largest, factor = largest / maximum;
    for (int i = 0; i < in; i++) quantized[i] = (int16_t)lrintf(x[i] * factor);
    for (size_t i = in; i < quantized_size(in); i++) quantized[i] = 0;
    return scale;
}

void linear(const Linear *m, const float *x, int N, const ProductRoom *room, float *y, int add) {
#ifdef __AMX_BF16__
    if (N && fits_tiles(m)) {
        tile_linear(m, x, N, room, y, add);
        return;
    }
#endif
    size_t stride = m->in;
    if (m->parts[0].format == INT8) {
        const size_t size = quantized_size(m->in);
        #pragma omp for schedule(static)
        for (int token = 0; token < N; token++)
            room->scales[token] = quantize(x + token * stride, m->in, room->quantized + token * size);
        x = (const float *)room->quantized;
        stride = size / 2;
    }
    if (N < FEW) few_tokens(m, x, stride, N, room->scales, y, add);
    else many_tokens(m, x, stride, N, room, y, add);
}

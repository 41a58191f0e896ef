/* See tiles.h. A tile is 16 rows of 64 bytes, in one of eight registers. One instruction multiplies 16 rows of
 * weights, 32 inputs of each, with those of up to 16 tokens, and adds the products to 16 x 16 sums in float32
 * (Intel, "Instruction Set Extensions Programming Reference", TDPBF16PS).
 *
 * Weights are loaded as they lie. An activation x is the sum of two numbers in bfloat16, the nearest to x and
 * the nearest to what is left, 2^-17 of x apart from it; both are multiplied. They are packed as
 *
 *   tokens: (tiles, steps, 2, 16 pairs of inputs, tokens of a tile, 2)
 *
 * One token is multiplied by the same instructions as many, so the sums are made in the same order: step by
 * step, of each the near part and then the rest. What other columns of a tile hold does not matter.
 */

#include "tiles.h"

#ifdef __AMX_BF16__

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blocks.h"

#define OUTPUTS (2 * SIDE)    /* multiplied at once */
#define STEPS_AHEAD 2         /* between asking for weights and using them */
#define FEW_TILES 4           /* of tokens, for which packing weights takes longer than it gains */
#define GROUP 8               /* blocks that are multiplied together, at most */
#define NEAR_BYTES (1 << 20)  /* of weights, which stay in the second cache */
#define NEAR_STEPS 6          /* of two tiles of tokens, which stay in the first, with those of a block */

/* --- the processor ------------------------------------------------------------------------------------- */

int tiles_usable(void) {
    const unsigned amx = 1u << 22 | 1u << 24, avx512_bf16 = 1u << 5;
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & amx) != amx) return 0;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & avx512_bf16)) return 0;
    /* ARCH_REQ_XCOMP_PERM for the registers of the tiles: Linux saves them only for who asks */
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

#define LEFT(i) ((i) == 4 || (i) == 5)

void configure_tiles(int rows, int columns) {
    struct {
        uint8_t palette, first_row, unused[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } layout = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        layout.rows[i] = (uint8_t)(i < 6 ? rows : SIDE);
        layout.bytes[i] = (uint16_t)(4 * (LEFT(i) ? SIDE : columns));
    }
    __asm__ volatile("" : : "r"(&layout) : "memory");  /* gcc takes it to read eight bytes */
    _tile_loadconfig(&layout);
}

/* --- packing ------------------------------------------------------------------------------------------- */

static int count_tile_steps(int in) { return (in + STEP - 1) / STEP; }

/* Sixteen vectors of sixteen, transposed. */
INLINE void transpose16(__m512i v[SIDE]) {
    __m512i w[SIDE];
    UNROLL
    for (int i = 0; i < SIDE; i += 2) {
        w[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        w[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL
    for (int i = 0; i < SIDE; i += 4)
        UNROLL
        for (int k = 0; k < 2; k++) {
            v[i + 2 * k] = _mm512_unpacklo_epi64(w[i + k], w[i + k + 2]);
            v[i + 2 * k + 1] = _mm512_unpackhi_epi64(w[i + k], w[i + k + 2]);
        }
    UNROLL
    for (int k = 0; k < 4; k++)
        UNROLL
        for (int i = 0; i < SIDE; i += 8) {
            w[i + k] = _mm512_shuffle_i32x4(v[i + k], v[i + k + 4], 0x88);
            w[i + k + 4] = _mm512_shuffle_i32x4(v[i + k], v[i + k + 4], 0xdd);
        }
    UNROLL
    for (int i = 0; i < 8; i++) {
        v[i] = _mm512_shuffle_i32x4(w[i], w[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(w[i], w[i + 8], 0xdd);
    }
}

/* A step of up to `tokens` inputs, of which `there` are; zeros take the place of the others. */
static void pack_step(const float *x, int in, int left, int tokens, int there, __m512i *packed) {
    __m512i near[SIDE], rest[SIDE];
    if (tokens == 1) {
        split(x, left, packed, packed + 1);
        return;
    }
    for (int t = 0; t < SIDE; t++)
        if (t < there) split(x + (size_t)t * in, left, near + t, rest + t);
        else near[t] = rest[t] = _mm512_setzero_si512();
    transpose16(near);
    transpose16(rest);
    const __mmask16 columns = (__mmask16)((1 << tokens) - 1);
    int *to = (int *)packed;
    for (int pair = 0; pair < SIDE; pair++) {
        _mm512_mask_storeu_epi32(to + pair * tokens, columns, near[pair]);
        _mm512_mask_storeu_epi32(to + (SIDE + pair) * tokens, columns, rest[pair]);
    }
}

/* Weights of a block as tiles: two of 16 rows for each step. */
typedef struct {
    const char *first;
    size_t row, tile, step;  /* bytes from one to the next */
} Weights;

static size_t block_size(int in) { return (size_t)OUTPUTS * STEP * count_tile_steps(in) * sizeof(Half); }

static Weights lying_weights(const Block *block, int in) {
    const size_t row = in * sizeof(Half);
    return (Weights){row_of(block->part, block->first, in), row, SIDE * row, STEP * sizeof(Half)};
}

/* Copied step by step, with zeros for what is missing of the last rows and inputs. */
static Weights packed_weights(const Block *block, int in, char *packed) {
    const Weights weights = {packed, STEP * sizeof(Half), SIDE * STEP * sizeof(Half), OUTPUTS * STEP * sizeof(Half)};
    for (int r = 0; r < OUTPUTS; r++) {
        const Half *row = row_of(block->part, block->first + (r < block->count ? r : 0), in);
        for (int i = 0; i < in; i += STEP, packed += weights.step) {
            const __mmask32 own = r >= block->count ? 0 : in - i < STEP ? (1u << (in - i)) - 1 : ~0u;
            _mm512_store_si512(packed, _mm512_maskz_loadu_epi16(own, row + i));
        }
        packed += weights.row - weights.step * count_tile_steps(in);
    }
    return weights;
}

/* --- multiplying --------------------------------------------------------------------------------------- */

/* Two tiles of weights times one or two of tokens, for some steps: sums (tiles of tokens, 32, tokens), to
 * which the products are added unless they are the first. packed: of the first step; part: bytes of the near
 * numbers of a step; tile: bytes from one tile of tokens to the next. far: whether the weights are far away, and
 * are asked for a little before they are needed, like those of the next block. */
INLINE void multiply_tiles(const int tiles, Weights weights, const char *packed, size_t part, size_t tile, int steps,
                           int far, int first, float *sums) {
    const size_t row = part / SIDE;
    char *to = (char *)sums;
    WRITTEN();
    if (first) {
        _tile_zero(0);
        _tile_zero(1);
        if (tiles == 2) _tile_zero(2);
        if (tiles == 2) _tile_zero(3);
    } else {
        _tile_loadd(0, to, row);
        _tile_loadd(1, to + part, row);
        if (tiles == 2) _tile_loadd(2, to + 2 * part, row);
        if (tiles == 2) _tile_loadd(3, to + 3 * part, row);
    }
    for (int s = 0; s < steps; s++, weights.first += weights.step, packed += 2 * part) {
        if (far) {
            const size_t next = s + STEPS_AHEAD < steps ? 0 : OUTPUTS * weights.row - steps * weights.step;
            for (int r = 0; r < OUTPUTS; r++)
                __builtin_prefetch(weights.first + STEPS_AHEAD * weights.step + next + r * weights.row);
        }
        _tile_loadd(4, weights.first, weights.row);
        _tile_loadd(5, weights.first + weights.tile, weights.row);
#define MULTIPLY(offset) \
        _tile_loadd(6, packed + offset, row); \
        _tile_dpbf16ps(0, 4, 6); \
        _tile_dpbf16ps(1, 5, 6); \
        if (tiles == 2) { \
            _tile_loadd(7, packed + tile + offset, row); \
            _tile_dpbf16ps(2, 4, 7); \
            _tile_dpbf16ps(3, 5, 7); \
        }
        MULTIPLY(0)
        MULTIPLY(part)
    }
    _tile_stored(0, to, row);
    _tile_stored(1, to + part, row);
    if (tiles == 2) _tile_stored(2, to + 2 * part, row);
    if (tiles == 2) _tile_stored(3, to + 3 * part, row);
}

/* The sums of a tile of tokens, (32, tokens), to the outputs of those that are `there`. */
static void store_tile(const Linear *m, const Block *block, const float *sums, int tokens, int there, float *y,
                       int add) {
    for (int first = 0; first < block->count; first += SIDE, sums += SIDE * tokens) {
        const int left = block->count - first, output = block->output + first;
        const __mmask16 own = left < SIDE ? (__mmask16)((1 << left) - 1) : 0xffff;
        const __m512 bias = m->bias ? _mm512_maskz_loadu_ps(own, m->bias + output) : _mm512_setzero_ps();
        const __mmask16 columns = (__mmask16)((1 << tokens) - 1);
        __m512i v[SIDE];
        if (tokens == 1) v[0] = _mm512_loadu_si512(sums);
        else {
            for (int r = 0; r < SIDE; r++) v[r] = _mm512_maskz_loadu_epi32(columns, sums + r * tokens);
            transpose16(v);
        }
        for (int t = 0; t < there; t++) {
            float *to = y + (size_t)t * m->out + output;
            __m512 sum = m->bias ? _mm512_add_ps((__m512)v[t], bias) : (__m512)v[t];
            if (add) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(own, to), sum);
            _mm512_mask_storeu_ps(to, own, sum);
        }
    }
}

/* What a product needs of its tokens, which are packed. */
typedef struct {
    int N, tokens, tiles, steps;  /* tokens: of a tile */
    size_t part, tile;            /* see `multiply_tiles` */
    const char *packed;
} Tokens;

/* Tiles first to first + tiles, of tokens, for some steps of a block. */
static void multiply_steps(const Tokens *x, Weights weights, int first, int tiles, int step, int steps,
                           int far, float *sums) {
    const char *packed = x->packed + first * x->tile + step * 2 * x->part;
    weights.first += step * weights.step;
    if (tiles == 2) multiply_tiles(2, weights, packed, x->part, x->tile, steps, far, step == 0, sums);
    else multiply_tiles(1, weights, packed, x->part, x->tile, steps, far, step == 0, sums);
}

static void store_tiles(const Linear *m, const Block *block, const Tokens *x, int first, int tiles, const float *sums,
                        float *y, int add) {
    for (int k = 0; k < tiles; k++) {
        const int token = (first + k) * SIDE, left = x->N - token;
        store_tile(m, block, sums + k * OUTPUTS * x->tokens, x->tokens, left < SIDE ? left : SIDE,
                   y + (size_t)token * m->out, add);
    }
}

/* A block for all tokens, its weights where they lie, if they fill their tiles. */
static void multiply_block(const Linear *m, int number, const Tokens *x, char *panel, float *y, int add) {
    const Block block = find_block(m, number, OUTPUTS);
    const int whole = block.count == OUTPUTS && m->in % STEP == 0;
    const Weights weights = whole ? lying_weights(&block, m->in) : packed_weights(&block, m->in, panel);
    float sums[2 * OUTPUTS * SIDE] __attribute__((aligned(64)));
    for (int first = 0; first < x->tiles; first += 2) {
        const int tiles = x->tiles - first < 2 ? 1 : 2;
        multiply_steps(x, weights, first, tiles, 0, x->steps, whole && !first, sums);
        store_tiles(m, &block, x, first, tiles, sums, y, add);
    }
}

/* Some blocks for all tokens. Their weights are packed, into the second cache; tokens and steps are taken in
 * portions that stay in the first while all blocks are multiplied with them. */
static void multiply_blocks(const Linear *m, int begin, int count, const Tokens *x, char *panel, float *y, int add) {
    float sums[GROUP][2 * OUTPUTS * SIDE] __attribute__((aligned(64)));
    Weights weights[GROUP];
    Block blocks[GROUP];
    for (int b = 0; b < count; b++) {
        blocks[b] = find_block(m, begin + b, OUTPUTS);
        weights[b] = packed_weights(blocks + b, m->in, panel + b * block_size(m->in));
    }
    for (int first = 0; first < x->tiles; first += 2) {
        const int tiles = x->tiles - first < 2 ? 1 : 2;
        for (int step = 0; step < x->steps; step += NEAR_STEPS) {
            const int left = x->steps - step, steps = left < NEAR_STEPS ? left : NEAR_STEPS;
            for (int b = 0; b < count; b++)
                multiply_steps(x, weights[b], first, tiles, step, steps, 0, sums[b]);
        }
        for (int b = 0; b < count; b++) store_tiles(m, blocks + b, x, first, tiles, sums[b], y, add);
    }
}

/* --- both ---------------------------------------------------------------------------------------------- */

int fits_tiles(const Linear *m) {
    for (int p = 0; p < 3; p++)
        if (m->parts[p].rows && m->parts[p].format != BFLOAT16) return 0;
    return 1;
}

/* Blocks that are multiplied together: as many as the second cache holds. */
static int group_size(int in) {
    const int near = (int)(NEAR_BYTES / block_size(in));
    return near < 1 ? 1 : near < GROUP ? near : GROUP;
}

size_t tile_panel_size(int in) { return group_size(in) * block_size(in) / sizeof(float); }

void tile_linear(const Linear *m, const float *x, int N, const ProductRoom *room, float *y, int add) {
    const int in = m->in, steps = count_tile_steps(in), blocks = count_blocks(m, OUTPUTS);
    const int tokens = N < SIDE ? N : SIDE, tiles = (N + SIDE - 1) / SIDE, group = group_size(in);
    const size_t part = (size_t)SIDE * tokens * 2 * sizeof(Half);
    const Tokens own = {N, tokens, tiles, steps, part, steps * 2 * part, (const char *)room->packed};
    char *panel = (char *)room->panel;
    #pragma omp for schedule(static) collapse(2)
    for (int tile = 0; tile < tiles; tile++)
        for (int s = 0; s < steps; s++) {
            const int first = tile * SIDE, left = N - first;
            pack_step(x + (size_t)first * in + s * STEP, in, in - s * STEP, tokens, left < SIDE ? left : SIDE,
                      (__m512i *)(own.packed + tile * own.tile + s * 2 * part));
        }
    configure_tiles(SIDE, tokens);
    if (tiles <= FEW_TILES) {
        #pragma omp for schedule(static)
        for (int number = 0; number < blocks; number++) multiply_block(m, number, &own, panel, y, add);
    } else {
        #pragma omp for schedule(dynamic, 1)
        for (int number = 0; number < blocks; number += group)
            multiply_blocks(m, number, blocks - number < group ? blocks - number : group, &own, panel, y, add);
    }
    _tile_release();
}

#else

int tiles_usable(void) { return 1; }

#endif

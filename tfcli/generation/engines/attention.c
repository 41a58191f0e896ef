/* Attention over the KV cache, for the newest token of a text as for those of a prompt. The queries of
 * several tokens and heads share the keys and values that they read.
 *
 * The sums for a query are made in an order that depends on its positions alone: what attends beside it
 * changes no bit.
 */

#include "decoder.h"
#include "tiles.h"

/* Where the cache of a layer keeps a key-value head, in floats. */
static size_t cache_offset(const Model *model, const RowCache *cache, int layer, int kv_head) {
    return ((size_t)layer * model->num_kv_heads + kv_head) * cache->capacity * model->head_dim;
}

/* QK-norm and RoPE on one head of a query or key, in place. */
static void rotate_head(const Model *model, float *head, const float *scale, int position, float *buffer) {
    const int D = model->head_dim, half = D / 2;
    const float factor = model->qk_norm ? 1 / sqrtf(dot_floats(head, head, D) / D + model->epsilon) : 1;
    for (int i = 0; i < D; i++) head[i] *= factor * scale[i];
    if (!model->cosines) return;
    const float *cosines = model->cosines + (size_t)position * D;
    const float *sines = model->sines + (size_t)position * D;
    for (int i = 0; i < half; i++) {
        buffer[i] = head[i + half] * sines[i];
        buffer[i + half] = head[i] * sines[i + half];
    }
    for (int i = 0; i < D; i++) head[i] = head[i] * cosines[i] + buffer[i];
}

void store_kv(const Model *model, int layer, float *qkv, int h, const RowCache *cache, int position,
              float *buffer) {
    const int H = model->num_heads, K = model->num_kv_heads, D = model->head_dim;
    float *head = qkv + (size_t)h * D;
    rotate_head(model, head, model->layers[layer].qk_scale + (size_t)h * D, position, buffer);
    if (h < H) return;
#ifdef __AMX_BF16__
    if (attends_in_tiles(model, layer)) {
        const size_t offset = cache_offset(model, cache, layer, h - H);
        tile_store_kv(head, head + (size_t)K * D, position, D, cache->keys + offset, cache->values + offset);
        return;
    }
#endif
    const size_t offset = cache_offset(model, cache, layer, h - H) + (size_t)position * D;
    memcpy(cache->keys + offset, head, D * sizeof(float));
    memcpy(cache->values + offset, head + (size_t)K * D, D * sizeof(float));
}

/* --- scores -------------------------------------------------------------------------------------------- */

/* Scores of the queries (count, D) for the keys first to end, and some more: (count, size). */
static void score(const float *queries, int count, const float *keys, int first, int end, int D, float *memory,
                  float *scores, size_t size) {
    if (count >= TILE) {
        multiply_rows(keys + (size_t)first * D, end - first, D, queries, count, memory, scores + first, size);
        return;
    }
    for (int s = first; s < end; s += ROWS) {
        const void *rows[ROWS];
        for (int r = 0; r < ROWS; r++) rows[r] = keys + (size_t)(s + r < end ? s + r : s) * D;
        for (int q = 0; q < count;) {
            const int together = count - q < 3 ? 1 : 3;
            Float4 sums[3];
            if (together == 3) dot_rows(FLOAT32, rows, queries + (size_t)q * D, D, D, 3, sums);
            else dot_rows(FLOAT32, rows, queries + (size_t)q * D, D, D, 1, sums);
            for (int t = 0; t < together; t++, q++) *(Float4 *)(scores + q * size + s) = sums[t];
        }
    }
}

/* Scores become e^(score - the largest), 0 outside of start to end; returns their sum. Both limits are
 * multiples of LANES, with zeros up to them. */
static float exponentials(float *scores, int first_limit, int start, int end, int last_limit) {
    const float lowest = scores[start];
    for (int s = first_limit; s < start; s++) scores[s] = lowest;
    for (int s = end; s < last_limit; s++) scores[s] = lowest;
    Vector largest = load(FLOAT32, scores, first_limit);
    for (int s = first_limit; s < last_limit; s += LANES) largest = larger(load(FLOAT32, scores, s), largest);
    float maximum = largest[0];
    for (int l = 1; l < LANES; l++) maximum = largest[l] > maximum ? largest[l] : maximum;
    for (int s = first_limit; s < last_limit; s++) scores[s] = fast_exp(scores[s] - maximum);
    for (int s = first_limit; s < start; s++) scores[s] = 0;
    for (int s = end; s < last_limit; s++) scores[s] = 0;
    Vector sums = {0};
    for (int s = first_limit; s < last_limit; s += LANES) sums += load(FLOAT32, scores, s);
    return sum_of(sums);
}

/* --- scores V ------------------------------------------------------------------------------------------ */

/* Some vectors of columns, from the position `first` on: their sums stay in registers. */
INLINE void weigh_vectors(const int queries, const int vectors, const float *scores, size_t size, int first,
                          int end, const float *values, int D, const float *factors, float *const *out, int column) {
    Vector sums[TILE][8] = {{{0}}};
    for (int s = first; s < end; s++) {
        Vector v[8];
        UNROLL
        for (int k = 0; k < vectors; k++) v[k] = *(const Vector *)(values + (size_t)s * D + column + k * LANES);
        UNROLL
        for (int q = 0; q < queries; q++) {
            const Vector weight = broadcast(scores[q * size + s]);
            UNROLL
            for (int k = 0; k < vectors; k++) sums[q][k] = multiply_add(0, sums[q][k], weight, v[k]);
        }
    }
    UNROLL
    for (int q = 0; q < queries; q++)
        UNROLL
        for (int k = 0; k < vectors; k++) *(Vector *)(out[q] + column + k * LANES) = sums[q][k] * factors[q];
}

/* The last columns, fewer than a vector has. */
INLINE void weigh_end(const int queries, const float *scores, size_t size, int first, int end,
                      const float *values, int D, const float *factors, float *const *out, int column) {
    for (int q = 0; q < queries; q++) {
        Vector sums = {0};
        for (int s = first; s < end; s++)
            sums = multiply_add(0, sums, broadcast(scores[q * size + s]),
                                load_end(FLOAT32, values + (size_t)s * D, column, D));
        for (int i = column; i < D; i++) out[q][i] = sums[i - column] * factors[q];
    }
}

INLINE void weigh(const int queries, const int vectors, const float *scores, size_t size, int first, int end,
                  const float *values, int D, const float *factors, float *const *out) {
    int column = 0;
    for (; column + vectors * LANES <= D; column += vectors * LANES)
        weigh_vectors(queries, vectors, scores, size, first, end, values, D, factors, out, column);
    for (; column + LANES <= D; column += LANES)
        weigh_vectors(queries, 1, scores, size, first, end, values, D, factors, out, column);
    if (column < D) weigh_end(queries, scores, size, first, end, values, D, factors, out, column);
}

/* --- both ---------------------------------------------------------------------------------------------- */

static size_t scores_size(int S) { return padded(S) + PANEL; }

size_t attend_size(const Model *model, int S) {
    const int D = model->head_dim;
    return QUERIES * (D + scores_size(S)) + panel_size(D) + packed_size(D, QUERIES);
}

void attend(const Model *model, int layer, const Queries *own, const float *qkv, const RowCache *cache,
            int position, float *memory, float *attended) {
    const int H = model->num_heads, K = model->num_kv_heads, D = model->head_dim;
    const int count = own->tokens * own->heads, end = position + own->tokens;
    const size_t offset = cache_offset(model, cache, layer, own->first_head / (H / K));
    const float *keys = cache->keys + offset, *values = cache->values + offset;
    const int window = model->window ? model->window : end;
#ifdef __AMX_BF16__
    const int tiles = attends_in_tiles(model, layer), unit = tiles ? STEP : LANES;
#else
    const int unit = LANES;
#endif
    const int first = (position >= window ? position + 1 - window : 0) / unit * unit;
    const int last = first + (end - first + unit - 1) / unit * unit;
    const size_t size = scores_size(end - first);
    float *queries = memory, *scores = memory + (size_t)QUERIES * D;
    float *room = scores + QUERIES * size;
    scores -= first;  /* scores[s] for position s */
    float factors[QUERIES], *out[QUERIES];
    for (int q = 0; q < count; q++) {
        const int token = own->first_token + q / own->heads, head = own->first_head + q % own->heads;
        memcpy(queries + (size_t)q * D, qkv + ((size_t)token * (H + 2 * K) + head) * D, D * sizeof(float));
        out[q] = attended + ((size_t)token * H + head) * D;
    }
#ifdef __AMX_BF16__
    if (tiles) tile_score(queries, count, keys, first, end, D, room, scores, size);
    else
#endif
        score(queries, count, keys, first, end, D, room, scores, size);
    for (int q = 0; q < count; q++) {
        const int own_end = position + q / own->heads + 1, start = own_end > window ? own_end - window : 0;
        factors[q] = 1 / exponentials(scores + q * size, first, start, own_end, last);
    }
#ifdef __AMX_BF16__
    if (tiles) {
        tile_weigh(count, scores, size, first, end, values, D, factors, out);
        return;
    }
#endif
    int q = 0;
    for (; q + TILE <= count; q += TILE)
        weigh(TILE, TILE_VECTORS, scores + q * size, size, first, end, values, D, factors + q, out + q);
    for (; q + 3 <= count; q += 3) weigh(3, 4, scores + q * size, size, first, end, values, D, factors + q, out + q);
    for (; q < count; q++) weigh(1, 8, scores + q * size, size, first, end, values, D, factors + q, out + q);
}

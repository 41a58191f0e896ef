/* A unit of attention with products in float32, on every processor. */

#include "attention.h"

#define TILE 6           /* rows of a product whose sums are in registers, with */
#define TILE_VECTORS (LANES == 8 ? 2 : 4)  /* so many vectors of columns: AVX2 has 16 registers, others 32 */
#define QUERIES (4 * TILE)  /* in a block */
#define GAP 16           /* floats between rows in memory, so that a column's do not share a cache set */

/* --- products ---------------------------------------------------------------------------------------- */

/* C = A B, or C += A B, for one tile: (rows, vectors LANES). Row i of A at a + i a_row, its elements
 * a_column apart, so that it may be a transposed matrix. */
INLINE void multiply_tile(const int rows, const int vectors, int k, const float *a, size_t a_row,
                          size_t a_column, const float *b, size_t b_row, float *c, size_t c_row, int add) {
    Vector sums[TILE][TILE_VECTORS];
    UNROLL
    for (int i = 0; i < rows; i++)
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const Vector zero = {0};
            sums[i][v] = add ? *(const Vector *)(c + i * c_row + v * LANES) : zero;
        }
    for (int p = 0; p < k; p++) {
        Vector columns[TILE_VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++) columns[v] = *(const Vector *)(b + p * b_row + v * LANES);
        UNROLL
        for (int i = 0; i < rows; i++) {
            const float factor = a[i * a_row + p * a_column];
            UNROLL
            for (int v = 0; v < vectors; v++) sums[i][v] += factor * columns[v];
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++)
        UNROLL
        for (int v = 0; v < vectors; v++) *(Vector *)(c + i * c_row + v * LANES) = sums[i][v];
}

INLINE void multiply_rows(const int vectors, int m, int k, const float *a, size_t a_row, size_t a_column,
                          const float *b, size_t b_row, float *c, size_t c_row, int add) {
    for (; m >= TILE; m -= TILE, a += TILE * a_row, c += TILE * c_row)
        multiply_tile(TILE, vectors, k, a, a_row, a_column, b, b_row, c, c_row, add);
    switch (m) {
        case 5: multiply_tile(5, vectors, k, a, a_row, a_column, b, b_row, c, c_row, add); break;
        case 4: multiply_tile(4, vectors, k, a, a_row, a_column, b, b_row, c, c_row, add); break;
        case 3: multiply_tile(3, vectors, k, a, a_row, a_column, b, b_row, c, c_row, add); break;
        case 2: multiply_tile(2, vectors, k, a, a_row, a_column, b, b_row, c, c_row, add); break;
        case 1: multiply_tile(1, vectors, k, a, a_row, a_column, b, b_row, c, c_row, add); break;
    }
}

/* The same for whole matrices, A (m, k) and B (k, n), n rounded up to the vector width. */
static void multiply(int m, int n, int k, const float *a, size_t a_row, size_t a_column, const float *b,
                     size_t b_row, float *c, size_t c_row, int add) {
    int column = 0;
    for (; column + TILE_VECTORS * LANES <= (int)padded(n); column += TILE_VECTORS * LANES)
        multiply_rows(TILE_VECTORS, m, k, a, a_row, a_column, b + column, b_row, c + column, c_row, add);
    for (; column < n; column += LANES)
        multiply_rows(1, m, k, a, a_row, a_column, b + column, b_row, c + column, c_row, add);
}

/* --- memory of a thread ------------------------------------------------------------------------------ */

/* Matrices of positions have T rows of `wide` floats, transposed ones D rows of `tall`. */
typedef struct {
    size_t wide, tall;
    float *keys, *values, *keys_t, *values_t, *to_keys, *to_values;
    float *queries, *out, *to_out, *to_queries;  /* of a block */
    float *scores, *to_scores;  /* (QUERIES, tall) */
} Memory;

static size_t divide(const Attention *at, float *memory, Memory *parts) {
    const size_t T = at->length, D = at->head_dim;
    parts->wide = padded(D) + GAP;
    parts->tall = padded(T) + GAP;
    const size_t positions = T * parts->wide, transposed = D * parts->tall;
    const size_t block = QUERIES * parts->wide, scores = QUERIES * parts->tall;
    float **const names[] = {
        &parts->keys, &parts->values, &parts->to_keys, &parts->to_values, &parts->keys_t, &parts->values_t,
        &parts->queries, &parts->out, &parts->to_out, &parts->to_queries, &parts->scores, &parts->to_scores,
    };
    const size_t sizes[] = {positions, positions, positions, positions, transposed, transposed,
                            block, block, block, block, scores, scores};
    size_t used = 0;
    for (int i = 0; i < 12; i++) {
        *names[i] = memory + used;
        used += (sizes[i] + 15) / 16 * 16;
    }
    return used;
}

size_t memory_float32(const Attention *at) {
    Memory parts;
    return divide(at, NULL, &parts);
}

/* Reads the keys and values of a head, and prepares them. */
static void read_keys_values(const Attention *at, int row, int head, const Memory *m) {
    const int T = at->length, D = at->head_dim, H = at->num_heads, K = at->num_kv_heads;
    for (int t = 0; t < T; t++) {
        const size_t place = ((size_t)row * T + t) * row_size(at);
        float room[D], *key = m->keys + t * m->wide, *value = m->values + t * m->wide;
        for (size_t i = D; i < padded(D); i++) key[i] = value[i] = 0;
        copy(key, read_row(at->type, at->qkv, place + (H + head) * D, D, room), D);
        copy(value, read_row(at->type, at->qkv, place + (H + K + head) * D, D, room), D);
        prepare(at, at->key_weight, t, 1.0f, key);
    }
}

/* (T, D) -> (D, T), with zeros in the padding. */
static void transpose(const Attention *at, const Memory *m, const float *matrix, float *result) {
    const int T = at->length, D = at->head_dim;
    memset(result, 0, D * m->tall * sizeof(float));
    for (int first = 0; first < T; first += 16)
        for (int i = 0; i < D; i++)
            for (int t = first; t < T && t < first + 16; t++) result[i * m->tall + t] = matrix[t * m->wide + i];
}

/* Reads the queries of a head in a block of positions, and prepares them. */
static void read_queries(const Attention *at, int row, int head, int first, int count, const Memory *m) {
    const int T = at->length, D = at->head_dim;
    for (int i = 0; i < count; i++) {
        const size_t place = ((size_t)row * T + first + i) * row_size(at) + head * D;
        float room[D], *query = m->queries + i * m->wide;
        copy(query, read_row(at->type, at->qkv, place, D, room), D);
        prepare(at, at->query_weight, first + i, 1.0f / sqrtf(D), query);
    }
}

/* --- forward ----------------------------------------------------------------------------------------- */

/* The softmax of a block of scores, but for the division by their sum, `totals`. */
static void softmax(const Memory *m, int first, int count, float *totals, float *normalizers) {
    for (int i = 0; i < count; i++) {
        const int end = first + i + 1;
        float *scores = m->scores + i * m->tall, total = 0;
        const float largest = maximum(scores, end, -INFINITY);
        for (int t = 0; t < end; t++) {
            scores[t] = fast_exp(scores[t] - largest);
            total += scores[t];
        }
        for (int t = end; t < first + count; t++) scores[t] = 0;
        totals[i] = total;
        normalizers[first + i] = largest + logf(total);
    }
}

void forward_float32(const Attention *at, int row, int kv_head, void *out, float *normalizers, float *memory) {
    const int T = at->length, D = at->head_dim, H = at->num_heads, shared = H / at->num_kv_heads;
    Memory m;
    divide(at, memory, &m);
    read_keys_values(at, row, kv_head, &m);
    transpose(at, &m, m.keys, m.keys_t);
    for (int head = kv_head * shared; head < (kv_head + 1) * shared; head++)
        for (int first = 0; first < T; first += QUERIES) {
            const int count = T - first < QUERIES ? T - first : QUERIES, seen = first + count;
            float totals[QUERIES];
            read_queries(at, row, head, first, count, &m);
            multiply(count, seen, D, m.queries, m.wide, 1, m.keys_t, m.tall, m.scores, m.tall, 0);
            softmax(&m, first, count, totals, normalizers + ((size_t)row * H + head) * T);
            multiply(count, D, seen, m.scores, m.tall, 1, m.values, m.wide, m.out, m.wide, 0);
            for (int i = 0; i < count; i++) {
                const size_t place = (((size_t)row * T + first + i) * H + head) * D;
                float room[D], *result = begin_row(at->type, out, place, room);
                for (int d = 0; d < D; d++) result[d] = m.out[i * m.wide + d] / totals[i];
                finish_row(at->type, out, place, D, result);
            }
        }
}

/* --- backward ---------------------------------------------------------------------------------------- */

/* The gradient of the scores of a block of queries, from S = q k^T in m->scores, which becomes P, and
 * dP = dout value^T in m->to_scores, which becomes dS:
 *
 *   dS = P (dP - delta), delta = sum over d of dout out
 */
static void scores_backward(const Memory *m, const float *normalizers, const float *deltas, int first, int count) {
    const int seen = first + count;
    for (int i = 0; i < count; i++) {
        float *scores = m->scores + i * m->tall, *to_scores = m->to_scores + i * m->tall;
        const float normalizer = normalizers[first + i], delta = deltas[i];
        const int end = first + i + 1;
        for (int t = 0; t < end; t++) {
            scores[t] = fast_exp(scores[t] - normalizer);
            to_scores[t] = scores[t] * (to_scores[t] - delta);
        }
        for (int t = end; t < seen; t++) scores[t] = to_scores[t] = 0;
    }
}

/* The gradients of a block of queries of one head: of the queries, written; of keys and values, added up. */
static void block_backward(const Attention *at, int row, int head, int first, const void *out, const void *to_out,
                           const float *normalizers, const Memory *m, void *to_qkv, float *to_query_weight) {
    const int T = at->length, D = at->head_dim, H = at->num_heads;
    const int count = T - first < QUERIES ? T - first : QUERIES, seen = first + count;
    const size_t wide = m->wide, tall = m->tall;
    float deltas[QUERIES];
    read_queries(at, row, head, first, count, m);
    for (int i = 0; i < count; i++) {
        const size_t place = (((size_t)row * T + first + i) * H + head) * D;
        float room[D], *gradient = m->to_out + i * wide;
        copy(gradient, read_row(at->type, to_out, place, D, room), D);
        for (size_t d = D; d < padded(D); d++) gradient[d] = 0;
        deltas[i] = dot(gradient, read_row(at->type, out, place, D, room), D);
    }
    multiply(count, seen, D, m->queries, wide, 1, m->keys_t, tall, m->scores, tall, 0);
    multiply(count, seen, D, m->to_out, wide, 1, m->values_t, tall, m->to_scores, tall, 0);
    scores_backward(m, normalizers + ((size_t)row * H + head) * T, deltas, first, count);
    multiply(seen, D, count, m->scores, 1, tall, m->to_out, wide, m->to_values, wide, 1);
    multiply(seen, D, count, m->to_scores, 1, tall, m->queries, wide, m->to_keys, wide, 1);
    multiply(count, D, seen, m->to_scores, tall, 1, m->keys, wide, m->to_queries, wide, 0);
    for (int i = 0; i < count; i++) {
        const size_t place = ((size_t)row * T + first + i) * row_size(at) + head * D;
        float room_x[D], room_to_x[D];
        const float *query = read_row(at->type, at->qkv, place, D, room_x);
        float *to_query = begin_row(at->type, to_qkv, place, room_to_x);
        prepare_backward(at, at->query_weight, first + i, 1.0f / sqrtf(D), query, m->to_queries + i * wide,
                         to_query, to_query_weight);
        finish_row(at->type, to_qkv, place, D, to_query);
    }
}

/* The gradients of keys and values, once all blocks have added to them. */
static void write_to_keys_values(const Attention *at, int row, int head, const Memory *m, void *to_qkv,
                                 float *to_key_weight) {
    const int T = at->length, D = at->head_dim, H = at->num_heads, K = at->num_kv_heads;
    for (int t = 0; t < T; t++) {
        const size_t place = ((size_t)row * T + t) * row_size(at) + (H + head) * D, place_v = place + K * D;
        float room_x[D], room_key[D], room_value[D];
        const float *key = read_row(at->type, at->qkv, place, D, room_x);
        float *to_key = begin_row(at->type, to_qkv, place, room_key);
        prepare_backward(at, at->key_weight, t, 1.0f, key, m->to_keys + t * m->wide, to_key, to_key_weight);
        finish_row(at->type, to_qkv, place, D, to_key);
        float *to_value = begin_row(at->type, to_qkv, place_v, room_value);
        copy(to_value, m->to_values + t * m->wide, D);
        finish_row(at->type, to_qkv, place_v, D, to_value);
    }
}

/* to_weights: (2, D), added to. */
void backward_float32(const Attention *at, int row, int kv_head, const void *out, const float *normalizers,
                      const void *to_out, void *to_qkv, float *to_weights, float *memory) {
    const int T = at->length, D = at->head_dim, shared = at->num_heads / at->num_kv_heads;
    Memory m;
    divide(at, memory, &m);
    memset(m.to_keys, 0, T * m.wide * sizeof(float));
    memset(m.to_values, 0, T * m.wide * sizeof(float));
    read_keys_values(at, row, kv_head, &m);
    transpose(at, &m, m.keys, m.keys_t);
    transpose(at, &m, m.values, m.values_t);
    for (int head = kv_head * shared; head < (kv_head + 1) * shared; head++)
        for (int first = 0; first < T; first += QUERIES)
            block_backward(at, row, head, first, out, to_out, normalizers, &m, to_qkv, to_weights);
    write_to_keys_values(at, row, kv_head, &m, to_qkv, to_weights + D);
}

/* A unit of attention with products in bfloat16 and sums in float32. Scores are transposed: a row for each key, a column
 * for each query of a block, of BLOCK queries.
 */

#include "attention.h"

#ifdef __AMX_BF16__

#include "tiles.h"

/* --- memory of a thread ------------------------------------------------------------------------------ */

/* T and D are rounded up to blocks. */
typedef struct {
    int depth;                /* D */
    size_t tall;              /* elements between rows of length T */
    Half *keys, *values;      /* (T, D) */
    Half *keys_t, *values_t;  /* (D, T) */
    float *to_keys, *to_values;  /* (T, D) */
    Pair *queries, *to_out;      /* (BLOCK / 2, D) */
    Pair *queries_t, *to_out_t;  /* (D / 2, BLOCK) */
    float *scores, *to_scores;   /* (T, BLOCK) */
    Half *halves, *to_halves;    /* the same, rounded; the first and the next also (BLOCK, D) on its way */
    Pair *pairs;                 /* (T / 2, BLOCK) */
    float *rows, *rows_t;        /* (BLOCK, D), (D, BLOCK): of whatever is read or written */
} Memory;

/* What scores are multiplied by. */
INLINE float score_scale(const Attention *at) { return 1.0f / sqrtf(at->head_dim); }

INLINE size_t in_blocks(size_t n) { return (n + BLOCK - 1) / BLOCK * BLOCK; }

static size_t divide(const Attention *at, float *memory, Memory *m) {
    const size_t T = in_blocks(at->length), D = in_blocks(at->head_dim), longer = T > D ? T : D;
    m->depth = D;
    m->tall = T + 32;  /* so that the rows of a tile do not share a cache set */
    struct { void *name; size_t floats; } const parts[] = {
        {&m->keys, T * D / 2}, {&m->values, T * D / 2}, {&m->keys_t, D * m->tall / 2},
        {&m->values_t, D * m->tall / 2}, {&m->to_keys, T * D}, {&m->to_values, T * D},
        {&m->queries, BLOCK * D / 2}, {&m->to_out, BLOCK * D / 2}, {&m->queries_t, BLOCK * D / 2},
        {&m->to_out_t, BLOCK * D / 2}, {&m->scores, T * BLOCK}, {&m->to_scores, T * BLOCK},
        {&m->halves, longer * BLOCK / 2}, {&m->to_halves, T * BLOCK / 2}, {&m->pairs, longer * BLOCK / 2},
        {&m->rows, BLOCK * D}, {&m->rows_t, BLOCK * D},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        float *const start = memory + used;
        memcpy(parts[i].name, &start, sizeof start);
        used += parts[i].floats;
    }
    return used;
}

size_t memory_amx(const Attention *at) {
    Memory parts;
    return divide(at, NULL, &parts);
}

/* --- heads at the positions of a block --------------------------------------------------------------- */

INLINE int count_from(const Attention *at, int first) {
    return at->length - first < BLOCK ? at->length - first : BLOCK;
}

/* Where head number `head` of the projections begins at a position. */
INLINE size_t place_in_qkv(const Attention *at, int row, int position, int head) {
    return ((size_t)row * at->length + position) * row_size(at) + (size_t)head * at->head_dim;
}

INLINE size_t place_in_out(const Attention *at, int row, int position, int head) {
    return (((size_t)row * at->length + position) * at->num_heads + head) * at->head_dim;
}

/* Reads (BLOCK, D) into m->rows: rows of a tensor that begin at `place` and are `stride` apart. */
static void read_block(const Attention *at, const void *tensor, size_t place, size_t stride, int count,
                       const Memory *m) {
    const int D = at->head_dim;
    if (count < BLOCK || D < m->depth) memset(m->rows, 0, BLOCK * m->depth * sizeof(float));
    for (int i = 0; i < count; i++) read_row(BFLOAT16, tensor, place + i * stride, D, m->rows + i * m->depth);
}

/* The same for a head of the projections, prepared but not scaled: the scores are, in float32, because a scale that is
 * no power of two would make bfloat16 round each element once more.
 */
static void read_heads(const Attention *at, int row, int first, int head, const float *weight, const Memory *m) {
    const int count = count_from(at, first);
    read_block(at, at->qkv, place_in_qkv(at, row, first, head), row_size(at), count, m);
    for (int i = 0; i < count; i++) prepare(at, weight, first + i, 1.0f, m->rows + i * m->depth);
}

/* From m->rows, (BLOCK, D), into the columns from `first` on of (D, T). */
static void write_transposed(const Memory *m, int first, Half *to) {
    to_pairs(BLOCK, m->depth, m->rows, m->pairs);
    transpose(BLOCK / 2, m->depth, m->pairs, m->depth, to + first, m->tall / 2);
}

/* From m->rows, (BLOCK, D), as pairs of the transposed matrix, (D / 2, BLOCK). */
static void write_transposed_pairs(const Memory *m, Pair *to) {
    to_bfloat16s(BLOCK * m->depth, m->rows, m->halves);
    transpose(BLOCK, m->depth / 2, m->halves, m->depth / 2, to, BLOCK);
}

static void read_queries(const Attention *at, int row, int first, int head, const Memory *m) {
    read_heads(at, row, first, head, at->query_weight, m);
    write_transposed_pairs(m, m->queries_t);
}

static void read_keys_values(const Attention *at, int row, int kv_head, int backward, const Memory *m) {
    const int H = at->num_heads, K = at->num_kv_heads;
    for (int first = 0; first < at->length; first += BLOCK) {
        read_heads(at, row, first, H + kv_head, at->key_weight, m);
        to_bfloat16s(BLOCK * m->depth, m->rows, m->keys + first * m->depth);
        if (backward) write_transposed(m, first, m->keys_t);
        const size_t place = place_in_qkv(at, row, first, H + K + kv_head);
        read_block(at, at->qkv, place, row_size(at), count_from(at, first), m);
        if (backward) to_bfloat16s(BLOCK * m->depth, m->rows, m->values + first * m->depth);
        else write_transposed(m, first, m->values_t);
    }
}

/* --- forward ----------------------------------------------------------------------------------------- */

/* What queries of a block have to do with a later key becomes `value`: (BLOCK,), of key t. */
INLINE void hide_later(int first, int t, float value, float *scores) {
    for (int q = 0; q < t - first; q++) scores[q] = value;
}

/* The softmax of the scores of a block, but for the division by their sums, `totals`. */
static void softmax(const Memory *m, int first, float scale, float *totals, float *normalizers) {
    const int seen = first + BLOCK;
    float *scores = m->scores, largest[BLOCK];
    for (int q = 0; q < BLOCK; q++) {
        largest[q] = -INFINITY;
        totals[q] = 0;
    }
    for (int t = first; t < seen; t++) hide_later(first, t, -INFINITY, scores + t * BLOCK);
    for (int t = 0; t < seen; t++)
        for (int q = 0; q < BLOCK; q++) largest[q] = scores[t * BLOCK + q] > largest[q] ? scores[t * BLOCK + q] : largest[q];
    for (int t = 0; t < seen; t += 2) {
        float shares[2][BLOCK];
        for (int i = 0; i < 2; i++) {
            for (int q = 0; q < BLOCK; q++) shares[i][q] = fast_exp(scale * (scores[(t + i) * BLOCK + q] - largest[q]));
            hide_later(first, t + i, 0, shares[i]);
            for (int q = 0; q < BLOCK; q++) totals[q] += shares[i][q];
        }
        to_pairs(2, BLOCK, shares[0], m->pairs + t / 2 * BLOCK);
    }
    for (int q = 0; q < BLOCK; q++) normalizers[q] = scale * largest[q] + logf(totals[q]);
}

void forward_amx(const Attention *at, int row, int kv_head, void *out, float *normalizers, float *memory) {
    const int T = at->length, D = at->head_dim, H = at->num_heads, shared = H / at->num_kv_heads;
    Memory m;
    divide(at, memory, &m);
    begin_products();
    read_keys_values(at, row, kv_head, 0, &m);
    for (int head = kv_head * shared; head < (kv_head + 1) * shared; head++)
        for (int first = 0; first < T; first += BLOCK) {
            const int seen = first + BLOCK, count = count_from(at, first);
            float totals[BLOCK], logs[BLOCK];
            read_queries(at, row, first, head, &m);
            multiply(seen, BLOCK, m.depth, m.keys, m.depth, m.queries_t, BLOCK, m.scores, BLOCK, 0);
            softmax(&m, first, score_scale(at), totals, logs);
            copy(normalizers + ((size_t)row * H + head) * T + first, logs, count);
            multiply(m.depth, BLOCK, seen, m.values_t, m.tall, m.pairs, BLOCK, m.rows_t, BLOCK, 0);
            transpose(m.depth, BLOCK, m.rows_t, BLOCK, m.rows, m.depth);
            for (int i = 0; i < count; i++) {
                float *result = m.rows + i * m.depth, inverse = 1.0f / totals[i];
                for (int d = 0; d < D; d++) result[d] *= inverse;
                finish_row(BFLOAT16, out, place_in_out(at, row, first + i, head), D, result);
            }
        }
    end_products();
}

/* --- backward ---------------------------------------------------------------------------------------- */

/* Reads the gradient of what a block of queries takes; delta = sum over d of dout out. */
static void read_to_out(const Attention *at, int row, int first, int head, const void *out, const void *to_out,
                        float *deltas, const Memory *m) {
    const int D = at->head_dim, count = count_from(at, first);
    const size_t place = place_in_out(at, row, first, head), stride = (size_t)at->num_heads * D;
    read_block(at, to_out, place, stride, count, m);
    for (int i = 0; i < BLOCK; i++) {
        float room[D];
        deltas[i] = i < count ? dot(m->rows + i * m->depth, read_row(BFLOAT16, out, place + i * stride, D, room), D)
                              : 0;
    }
    write_transposed_pairs(m, m->to_out_t);
    to_pairs(BLOCK, m->depth, m->rows, m->to_out);
}

/* From products S of queries and keys, and the gradient dP of the softmax:
 *
 *   P = e^(scale S - normalizer)        dS / scale = P (dP - delta)
 */
static void scores_backward(const Memory *m, int first, float scale, const float *normalizers, const float *deltas) {
    for (int t = 0; t < first + BLOCK; t += 2) {
        float shares[2][BLOCK], gradients[2][BLOCK];
        for (int i = 0; i < 2; i++) {
            const float *scores = m->scores + (t + i) * BLOCK, *to_shares = m->to_scores + (t + i) * BLOCK;
            for (int q = 0; q < BLOCK; q++) {
                shares[i][q] = fast_exp(scale * scores[q] - normalizers[q]);
                gradients[i][q] = shares[i][q] * (to_shares[q] - deltas[q]);
            }
            hide_later(first, t + i, 0, shares[i]);
            hide_later(first, t + i, 0, gradients[i]);
        }
        to_bfloat16s(2 * BLOCK, shares[0], m->halves + t * BLOCK);
        to_bfloat16s(2 * BLOCK, gradients[0], m->to_halves + t * BLOCK);
        to_pairs(2, BLOCK, gradients[0], m->pairs + t / 2 * BLOCK);
    }
}

/* Gradients of prepared heads over the scale, (BLOCK, D), back through the preparation and into the projections'. */
INLINE void write_to_heads_of(const int D, const Attention *at, int row, int first, int head, const float *weight,
                              const float *gradients, void *to_qkv, float *to_weight, const Memory *m) {
    const int count = count_from(at, first);
    for (int i = 0; i < count; i++) {
        const size_t place = place_in_qkv(at, row, first + i, head);
        float x[D], g[D], to_x[D];
        read_row(BFLOAT16, at->qkv, place, D, x);
        copy(g, gradients + i * m->depth, D);
        prepare_head_backward(at, D, weight, first + i, score_scale(at), x, g, to_x, to_weight);
        finish_row(BFLOAT16, to_qkv, place, D, to_x);
    }
}

static void write_to_heads(const Attention *at, int row, int first, int head, const float *weight,
                           const float *gradients, void *to_qkv, float *to_weight, const Memory *m) {
    if (at->head_dim == 64)
        write_to_heads_of(64, at, row, first, head, weight, gradients, to_qkv, to_weight, m);
    else
        write_to_heads_of(at->head_dim, at, row, first, head, weight, gradients, to_qkv, to_weight, m);
}

/* The gradients of a block of queries of one head: of the queries, written; of keys and values, added up. */
static void block_backward(const Attention *at, int row, int first, int head, const void *out,
                           const float *normalizers, const void *to_out, void *to_qkv, float *to_weight,
                           const Memory *m) {
    const int seen = first + BLOCK, depth = m->depth;
    float deltas[BLOCK], logs[BLOCK] = {0};
    copy(logs, normalizers + ((size_t)row * at->num_heads + head) * at->length + first, count_from(at, first));
    read_queries(at, row, first, head, m);
    to_pairs(BLOCK, depth, m->rows, m->queries);
    read_to_out(at, row, first, head, out, to_out, deltas, m);
    multiply(seen, BLOCK, depth, m->keys, depth, m->queries_t, BLOCK, m->scores, BLOCK, 0);
    multiply(seen, BLOCK, depth, m->values, depth, m->to_out_t, BLOCK, m->to_scores, BLOCK, 0);
    scores_backward(m, first, score_scale(at), logs, deltas);
    multiply(seen, depth, BLOCK, m->halves, BLOCK, m->to_out, depth, m->to_values, depth, 1);
    multiply(seen, depth, BLOCK, m->to_halves, BLOCK, m->queries, depth, m->to_keys, depth, 1);
    multiply(depth, BLOCK, seen, m->keys_t, m->tall, m->pairs, BLOCK, m->rows_t, BLOCK, 0);
    transpose(depth, BLOCK, m->rows_t, BLOCK, m->rows, depth);
    write_to_heads(at, row, first, head, at->query_weight, m->rows, to_qkv, to_weight, m);
}

/* to_weights: (2, D), added to. */
void backward_amx(const Attention *at, int row, int kv_head, const void *out, const float *normalizers,
                       const void *to_out, void *to_qkv, float *to_weights, float *memory) {
    const int T = at->length, D = at->head_dim, H = at->num_heads, K = at->num_kv_heads, shared = H / K;
    Memory m;
    divide(at, memory, &m);
    begin_products();
    memset(m.to_keys, 0, in_blocks(T) * m.depth * sizeof(float));
    memset(m.to_values, 0, in_blocks(T) * m.depth * sizeof(float));
    read_keys_values(at, row, kv_head, 1, &m);
    for (int head = kv_head * shared; head < (kv_head + 1) * shared; head++)
        for (int first = 0; first < T; first += BLOCK)
            block_backward(at, row, first, head, out, normalizers, to_out, to_qkv, to_weights, &m);
    end_products();
    for (int first = 0; first < T; first += BLOCK)
        write_to_heads(at, row, first, H + kv_head, at->key_weight, m.to_keys + first * m.depth, to_qkv,
                       to_weights + D, &m);
    for (int t = 0; t < T; t++)
        finish_row(BFLOAT16, to_qkv, place_in_qkv(at, row, t, H + K + kv_head), D, m.to_values + t * m.depth);
}

#endif

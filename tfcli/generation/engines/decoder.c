/* The forward pass of numpy_engine.py in one call: without the hundreds of calls from Python that take
 * longer than the arithmetic of a small model, and at the speed at which memory delivers the weights of a
 * large one. It decodes one token of one row, the newest tokens of a batch, or prefills whole prompts:
 * each token knows its row and position, and attends to the earlier positions in its row's KV cache.
 *
 * Shapes are those of tfcli/model/transformer.py:
 *
 *   N tokens                  H query heads            D head_dim          S positions attended to
 *   E hidden size (d_model)   K key and value heads    F d_ff              V vocab_size
 *
 * All threads run through `forward` together. They share the rows of each matrix product and the tokens
 * and heads of everything else, and meet at the end of every `omp for`. Each sum is made by one thread in
 * one order, so the result does not depend on the number of threads.
 */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_thread_num(void) { return 0; }
#endif

#define BLOCK 64  /* floats: eight AVX registers, a whole head of the usual size */

typedef struct {
    const void *weight;   /* (out, in), float or int8_t */
    const float *scales;  /* (out,): factors of the int8_t rows; NULL if the weight is float */
    const float *bias;    /* (out,) or NULL */
    int in, out;
} Linear;

typedef struct {
    Linear qkv;             /* E -> (H + 2 K) D: queries, keys, values; the norm's weight folded in */
    Linear out_proj;        /* H D -> E */
    Linear up;              /* E -> 2 F (gate, then up) or F; the norm's weight folded in */
    Linear down;            /* F -> E */
    const float *qk_scale;  /* (H + K, D): weights of the QK-norm, times 1 / sqrt(D) for the queries */
} Layer;

typedef struct {
    int num_layers, d_model, num_heads, num_kv_heads, head_dim, d_ff;
    int window;        /* positions that a token attends to, itself included; 0: all */
    int layer_norm;    /* else RMSNorm */
    int qk_norm;
    int feed_forward;  /* 0 SwiGLU, 1 GELU, 2 ReLU */
    float epsilon;
    const float *cosines, *sines;  /* (context, D), the first half of the sines negated; NULL: no RoPE */
    const float *final_weight, *final_bias;  /* (E,); the bias may be NULL */
    Linear head;                             /* E -> V */
    const Layer *layers;
} Model;

/* The KV cache of one row. */
typedef struct {
    float *keys, *values;  /* (layers, K, capacity, D) */
    size_t capacity;       /* positions */
} RowCache;

/* --- arithmetic that the compiler vectorizes --------------------------------------------------------- */

/* e^x as 2^(whole part) times a polynomial in the rest, to about 1e-7; 0 below -87. */
static inline float fast_exp(float x) {
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    float t = x * 1.44269504f;
    float whole = floorf(t + 0.5f);
    float r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
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

static inline float dot(const float *a, const float *b, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* Vectors of eight and of four floats. */
typedef float Float8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float Float4 __attribute__((vector_size(16), aligned(4), may_alias));

/* Eight of the sixteen floats of a and b, by index. gcc has clang's builtin only since version 12. */
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t Indices __attribute__((vector_size(32)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (Indices){__VA_ARGS__})
#endif

/* The sums over the elements of four vectors: of neighbors first, then of pairs, then of halves. */
static inline Float4 horizontal_sums(Float8 a, Float8 b, Float8 c, Float8 d) {
    const Float8 ab = SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14) + SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
    const Float8 cd = SHUFFLE(c, d, 0, 8, 2, 10, 4, 12, 6, 14) + SHUFFLE(c, d, 1, 9, 3, 11, 5, 13, 7, 15);
    const Float8 all = SHUFFLE(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) + SHUFFLE(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
    return (Float4){all[0], all[1], all[2], all[3]} + (Float4){all[4], all[5], all[6], all[7]};
}

#define LOAD8(p, i) (*(const Float8 *)((p) + (i)))

/* Four rows of a matrix, `stride` floats apart, times `tokens` consecutive vectors x: (tokens, 4). With
 * three vectors there are twelve running sums, as many as there are registers for. `tokens` is a constant
 * in every caller, so that the loops over it are unrolled. */
static inline __attribute__((always_inline)) void dot_rows(const float *rows, size_t stride, const float *x,
                                                           int n, const int tokens, Float4 *sums) {
    const float *a = rows, *b = a + stride, *c = b + stride, *d = c + stride;
    Float8 sa[3] = {{0}}, sb[3] = {{0}}, sc[3] = {{0}}, sd[3] = {{0}};
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        Float8 v[3];  /* with twelve sums and one row these fill all sixteen registers */
        for (int t = 0; t < tokens; t++) v[t] = LOAD8(x + (size_t)t * n, i);
        for (int t = 0; t < tokens; t++) sa[t] += LOAD8(a, i) * v[t];
        for (int t = 0; t < tokens; t++) sb[t] += LOAD8(b, i) * v[t];
        for (int t = 0; t < tokens; t++) sc[t] += LOAD8(c, i) * v[t];
        for (int t = 0; t < tokens; t++) sd[t] += LOAD8(d, i) * v[t];
    }
    for (int t = 0; t < tokens; t++) sums[t] = horizontal_sums(sa[t], sb[t], sc[t], sd[t]);
    for (; i < n; i++)
        for (int t = 0; t < tokens; t++) sums[t] += (Float4){a[i], b[i], c[i], d[i]} * x[(size_t)t * n + i];
}

/* One output of a linear layer into y, (N, out), or added to what is there. */
static inline void store_output(const Linear *m, float *y, int token, int row, float sum, int add) {
    float *output = y + (size_t)token * m->out + row;
    *output = (add ? *output : 0) + sum + (m->bias ? m->bias[row] : 0);
}

/* y = x W^T + b, or y += that: (N, in) -> (N, out). */
static void linear_float(const Linear *m, const float *x, int N, float *y, int add) {
    const float *weight = m->weight;
    const int in = m->in, blocks = m->out / 4;
    #pragma omp for schedule(static) nowait
    for (int block = 0; block < blocks; block++) {
        const float *rows = weight + (size_t)block * 4 * in;
        const Float4 zero = {0}, bias = m->bias ? *(const Float4 *)(m->bias + 4 * block) : zero;
        for (int token = 0; token < N;) {
            const int tokens = N - token < 3 ? 1 : 3;
            Float4 sums[3];
            if (tokens == 3) dot_rows(rows, in, x + (size_t)token * in, in, 3, sums);
            else dot_rows(rows, in, x + (size_t)token * in, in, 1, sums);
            for (int t = 0; t < tokens; t++, token++) {
                Float4 *output = (Float4 *)(y + (size_t)token * m->out + 4 * block);
                *output = (add ? *output : zero) + sums[t] + bias;
            }
        }
    }
    #pragma omp for schedule(static)
    for (int row = 4 * blocks; row < m->out; row++)
        for (int token = 0; token < N; token++)
            store_output(m, y, token, row, dot(weight + (size_t)row * in, x + (size_t)token * in, in), add);
}

/* The same with int8 weights: x is quantized to as many bits as leave room for the sum in 32. */
static void linear_int8(const Linear *m, const float *x, int N, int16_t *quantized, float *scales, float *y,
                        int add) {
    const int8_t *weight = m->weight;
    const int in = m->in;
    const int largest = 2147483647 / 127 / in < 32767 ? 2147483647 / 127 / in : 32767;
    #pragma omp for schedule(static)
    for (int token = 0; token < N; token++) {
        const float *v = x + (size_t)token * in;
        float maximum = 1e-30f;
        for (int i = 0; i < in; i++) maximum = fabsf(v[i]) > maximum ? fabsf(v[i]) : maximum;
        scales[token] = maximum / largest;
        for (int i = 0; i < in; i++) quantized[(size_t)token * in + i] = (int16_t)lrintf(v[i] / scales[token]);
    }
    #pragma omp for schedule(static)
    for (int row = 0; row < m->out; row++) {
        const int8_t *w = weight + (size_t)row * in;
        for (int token = 0; token < N; token++) {
            const int16_t *v = quantized + (size_t)token * in;
            int32_t sum = 0;
            for (int i = 0; i < in; i++) sum += (int16_t)w[i] * v[i];
            store_output(m, y, token, row, (float)sum * (scales[token] * m->scales[row]), add);
        }
    }
}

/* The activation of the feed-forward, for elements first to end: up (2 F or F) -> activated (F). */
static void activate(const Model *model, const float *up, int first, int end, float *activated) {
    if (model->feed_forward == 0) {
        const float *gate = up;
        up += model->d_ff;
        for (int i = first; i < end; i++) activated[i] = gate[i] / (1 + fast_exp(-gate[i])) * up[i];
    } else if (model->feed_forward == 1) {
        for (int i = first; i < end; i++) {
            const float u = up[i], inner = 0.7978845608f * (u + 0.044715f * u * u * u);
            activated[i] = u - u / (fast_exp(2 * inner) + 1);
        }
    } else {
        for (int i = first; i < end; i++) activated[i] = up[i] > 0 ? up[i] : 0;
    }
}

/* RMSNorm or LayerNorm without weight and bias: (E) -> (E). */
static void normalize(const Model *model, const float *x, float *y) {
    const int n = model->d_model;
    float mean = 0;
    if (model->layer_norm) {
        for (int i = 0; i < n; i++) mean += x[i];
        mean /= n;
    }
    float squares = 0;
    for (int i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    const float scale = 1 / sqrtf(squares / n + model->epsilon);
    for (int i = 0; i < n; i++) y[i] = (x[i] - mean) * scale;
}

/* --- attention -------------------------------------------------------------------------------------- */

/* QK-norm and RoPE on one head of a query or key, in place. buffer: (D). */
static void rotate_head(const Model *model, float *head, const float *scale, int position, float *buffer) {
    const int D = model->head_dim, half = D / 2;
    float factor = 1;
    if (model->qk_norm) factor = 1 / sqrtf(dot(head, head, D) / D + model->epsilon);
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

/* Where the cache of a layer keeps a position of a key-value head, in floats. */
static inline size_t cache_offset(const Model *model, const RowCache *cache, int layer, int kv_head,
                                  int position) {
    return (((size_t)layer * model->num_kv_heads + kv_head) * cache->capacity + position) * model->head_dim;
}

/* Head h of the queries and keys of a new token: rotated, and a key stored in the cache with its value. */
static void store_kv(const Model *model, int layer, float *qkv, int h, const RowCache *cache, int position,
                     float *buffer) {
    const int H = model->num_heads, K = model->num_kv_heads, D = model->head_dim;
    float *head = qkv + (size_t)h * D;
    rotate_head(model, head, model->layers[layer].qk_scale + (size_t)h * D, position, buffer);
    if (h < H) return;
    const size_t offset = cache_offset(model, cache, layer, h - H, position);
    const float *value = head + (size_t)K * D;
    for (int i = 0; i < D; i++) {
        cache->keys[offset + i] = head[i];
        cache->values[offset + i] = value[i];
    }
}

/* `width` columns of scores V: their sums stay in registers. */
static inline void weighted_values(const float *scores, const float *values, int S, int D, const int width,
                                   float total, float *out) {
    float sums[BLOCK] = {0};
    const int quarter = S / 4;
    const size_t stride = (size_t)quarter * D;
    for (int s = 0; s < quarter; s++) {
        const float *a = values + (size_t)s * D, *b = a + stride, *c = b + stride, *d = c + stride;
        const float sa = scores[s], sb = scores[s + quarter];
        const float sc = scores[s + 2 * quarter], sd = scores[s + 3 * quarter];
        for (int i = 0; i < width; i++) sums[i] += sa * a[i] + sb * b[i] + sc * c[i] + sd * d[i];
    }
    for (int s = 4 * quarter; s < S; s++)
        for (int i = 0; i < width; i++) sums[i] += scores[s] * values[(size_t)s * D + i];
    for (int i = 0; i < width; i++) out[i] = sums[i] / total;
}

/* softmax(q K^T) V of one query head over its window of a row. scores: room for S. */
static void attend(const Model *model, int layer, const float *qkv, int h, const RowCache *cache, int position,
                   float *scores, float *out) {
    const int H = model->num_heads, K = model->num_kv_heads, D = model->head_dim;
    const int start = model->window && position >= model->window ? position + 1 - model->window : 0;
    const int S = position + 1 - start;
    const size_t offset = cache_offset(model, cache, layer, h / (H / K), start);
    const float *keys = cache->keys + offset, *values = cache->values + offset;
    const float *query = qkv + (size_t)h * D;
    const int quarter = S / 4;  /* read as four streams: memory serves several at once */
    int s = 0;
    for (; s < quarter; s++) {
        Float4 four;
        dot_rows(keys + (size_t)s * D, (size_t)quarter * D, query, D, 1, &four);
        for (int k = 0; k < 4; k++) scores[s + k * quarter] = four[k];
    }
    for (s = 4 * quarter; s < S; s++) scores[s] = dot(query, keys + (size_t)s * D, D);
    float maximum = scores[0], total = 0;
    for (s = 1; s < S; s++) maximum = scores[s] > maximum ? scores[s] : maximum;
    for (s = 0; s < S; s++) {
        scores[s] = fast_exp(scores[s] - maximum);
        total += scores[s];
    }
    int i = 0;
    for (; i + BLOCK <= D; i += BLOCK) weighted_values(scores, values + i, S, D, BLOCK, total, out + i);
    for (; i + BLOCK / 4 <= D; i += BLOCK / 4)
        weighted_values(scores, values + i, S, D, BLOCK / 4, total, out + i);
    for (; i < D; i++) weighted_values(scores, values + i, S, D, 1, total, out + i);
}

/* --- the model -------------------------------------------------------------------------------------- */

/* Intermediate results for N tokens, one after the other in memory. */
typedef struct {
    float *normed;       /* (N, E) */
    float *qkv;          /* (N, (H + 2 K) D) */
    float *attended;     /* (N, H D) */
    float *up;           /* (N, 2 F) */
    float *activated;    /* (N, F) */
    int16_t *quantized;  /* (N, the largest of E, F, H D) */
    float *scales;       /* (N,), of the quantized inputs */
    float *per_thread;   /* (threads, S + D): scores, and a head */
} Scratch;

static size_t widest_input(const Model *model) {
    const int attended = model->num_heads * model->head_dim;
    const int wider = model->d_model > model->d_ff ? model->d_model : model->d_ff;
    return attended > wider ? attended : wider;
}

/* Divides the memory; returns its size in floats. Parts whose size is no multiple of a cache line, like those
 * of S, come last, so that vector loads from the others stay aligned. */
static size_t divide_scratch(const Model *model, int N, int S, int threads, float *memory, Scratch *parts) {
    const size_t H = model->num_heads, K = model->num_kv_heads, D = model->head_dim, F = model->d_ff;
    parts->normed = memory;
    parts->qkv = parts->normed + (size_t)N * model->d_model;
    parts->attended = parts->qkv + (size_t)N * (H + 2 * K) * D;
    parts->up = parts->attended + (size_t)N * H * D;
    parts->activated = parts->up + (size_t)N * 2 * F;
    parts->quantized = (int16_t *)(parts->activated + (size_t)N * F);
    parts->scales = (float *)parts->quantized + (N * widest_input(model) + 1) / 2;
    parts->per_thread = parts->scales + N;
    return (size_t)(parts->per_thread - memory) + (size_t)threads * (S + D);
}

/* How many floats of scratch memory `forward` needs for N tokens at positions below S. */
size_t scratch_size(const Model *model, int N, int S, int threads) {
    Scratch parts;
    return divide_scratch(model, N, S, threads, NULL, &parts);
}

static void linear(const Linear *m, const float *x, int N, const Scratch *scratch, float *y, int add) {
    if (m->scales) linear_int8(m, x, N, scratch->quantized, scratch->scales, y, add);
    else linear_float(m, x, N, y, add);
}

/* N tokens through all layers, and the logits after `count` of them.
 *
 * x: (N, E), their embeddings, overwritten; caches: of all rows; rows, positions: (N,), of each token,
 * those of one row in order and below S; wanted: (count,), indices of the tokens after which logits are
 * wanted, ascending; memory: `scratch_size` floats; logits: (count, V).
 */
void forward(const Model *model, float *x, int N, const RowCache *caches, const int64_t *rows,
             const int64_t *positions, int S, const int64_t *wanted, int count, float *memory, int threads,
             float *logits) {
    const int E = model->d_model, H = model->num_heads, K = model->num_kv_heads, D = model->head_dim;
    const int F = model->d_ff, gated = model->feed_forward == 0;
    Scratch parts;
    divide_scratch(model, N, S, threads, memory, &parts);
    const Scratch *scratch = &parts;

    #pragma omp parallel num_threads(threads)
    {
        float *scores = scratch->per_thread + (size_t)omp_get_thread_num() * (S + D), *buffer = scores + S;

        for (int l = 0; l < model->num_layers; l++) {
            const Layer *layer = model->layers + l;

            #pragma omp for schedule(static)
            for (int n = 0; n < N; n++) normalize(model, x + (size_t)n * E, scratch->normed + (size_t)n * E);
            linear(&layer->qkv, scratch->normed, N, scratch, scratch->qkv, 0);
            #pragma omp for schedule(static) collapse(2)
            for (int n = 0; n < N; n++)
                for (int h = 0; h < H + K; h++)
                    store_kv(model, l, scratch->qkv + (size_t)n * (H + 2 * K) * D, h, caches + rows[n],
                             (int)positions[n], buffer);
            #pragma omp for schedule(dynamic, 1) collapse(2)
            for (int n = 0; n < N; n++)
                for (int h = 0; h < H; h++)
                    attend(model, l, scratch->qkv + (size_t)n * (H + 2 * K) * D, h, caches + rows[n],
                           (int)positions[n], scores, scratch->attended + ((size_t)n * H + h) * D);
            linear(&layer->out_proj, scratch->attended, N, scratch, x, 1);

            #pragma omp for schedule(static)
            for (int n = 0; n < N; n++) normalize(model, x + (size_t)n * E, scratch->normed + (size_t)n * E);
            linear(&layer->up, scratch->normed, N, scratch, scratch->up, 0);
            #pragma omp for schedule(static) collapse(2)
            for (int n = 0; n < N; n++)
                for (int first = 0; first < F; first += BLOCK)
                    activate(model, scratch->up + (size_t)n * (gated ? 2 * F : F), first,
                             first + BLOCK < F ? first + BLOCK : F, scratch->activated + (size_t)n * F);
            linear(&layer->down, scratch->activated, N, scratch, x, 1);
        }

        #pragma omp for schedule(static)
        for (int k = 0; k < count; k++) {
            float *normed = scratch->normed + (size_t)k * E;
            normalize(model, x + (size_t)wanted[k] * E, normed);
            for (int i = 0; i < E; i++)
                normed[i] = normed[i] * model->final_weight[i] + (model->final_bias ? model->final_bias[i] : 0);
        }
        linear(&model->head, scratch->normed, count, scratch, logits, 0);
    }
}

/* --- what the caller checks before it uses the library ----------------------------------------------- */

/* The sizes of the structs, and the version of these functions: native.py must agree. */
size_t layout(void) { return sizeof(Model) << 32 | sizeof(Layer) << 16 | 6; }

/* What this was compiled for, in words. */
#if defined(__AVX2__)
#define INSTRUCTIONS "AVX2"
#elif defined(__ARM_NEON)
#define INSTRUCTIONS "NEON"
#else
#define INSTRUCTIONS "no vector instructions"
#endif
#ifdef _OPENMP
const char *features(void) { return INSTRUCTIONS ", OpenMP"; }
#else
const char *features(void) { return INSTRUCTIONS ", no OpenMP"; }
#endif

/* Whether this processor has the instructions that the rest was compiled for. */
#if defined(__AVX2__) && defined(__GNUC__)
__attribute__((target("no-avx")))
int usable(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
int usable(void) { return 1; }
#endif

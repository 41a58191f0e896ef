/* Tokens through the model, in one call: what numpy_engine.py does, without the hundreds of calls from
 * Python that take longer than the arithmetic of a small model, and with a large model's weights read as
 * fast as the memory gives them. One token of one text, the newest tokens of many, or a whole prompt:
 * each token knows its row and its position, and sees what stands before it in its row's cache.
 *
 * Shapes are those of tfcli/model/transformer.py:
 *
 *   N tokens                 H query heads            D width of a head     S positions there is room for
 *   E width of the stream    K key and value heads    F width inside        V size of the vocabulary
 *
 * All threads run through `read_tokens` together. They share the rows of each matrix product and the
 * tokens and heads of the rest, and wait for each other at the end of every `omp for`. Each sum is made
 * by one thread in one order, so the result does not depend on their number.
 */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_thread_num(void) { return 0; }
#endif

#define STRIP 64  /* floats: eight registers of AVX, a whole head of the usual width */

typedef struct {
    const void *weights;  /* (out, in), float or int8_t */
    const float *scales;  /* (out,): what the int8_t of a row are multiplied by; NULL: they are floats */
    const float *bias;    /* (out,) or NULL */
    int in, out;
} Matrix;

typedef struct {
    Matrix inward;            /* E -> (H + 2 K) D: queries, keys, values; the norm's weight folded in */
    Matrix outward;           /* H D -> E */
    Matrix up;                /* E -> 2 F (gate, then up) or F; the norm's weight folded in */
    Matrix down;              /* F -> E */
    const float *head_scale;  /* (H + K, D): the QK-norm's weights, and 1 / sqrt(D) for the queries */
    float *keys, *values;     /* (rows, K, S, D): the cache */
} Layer;

typedef struct {
    int layers, width, heads, kv_heads, head_dim, hidden, context;
    int window;        /* positions that attention looks back on, the newest among them; 0: all */
    int centred;       /* LayerNorm, else RMSNorm */
    int qk_norm;
    int feed_forward;  /* 0 SwiGLU, 1 GELU, 2 ReLU */
    float epsilon;
    const float *cosines, *sines;  /* (S, D), the sines of the first half negative; NULL: no rotation */
    const float *final_weight, *final_bias;  /* (E,); the bias may be NULL */
    Matrix head;                             /* E -> V */
    const Layer *layer;
} Model;

/* --- arithmetic that the compiler can do eight at a time ------------------------------------------- */

/* e^x by 2^(whole part) times a polynomial on the rest, to about 1e-7; 0 below -87. */
static inline float exponential(float x) {
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

/* Eight and four floats that are added, or multiplied, at once. */
typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));

/* Eight of the sixteen floats of a and b, by index. gcc knows clang's builtin only since version 12. */
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t Indices __attribute__((vector_size(32)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (Indices){__VA_ARGS__})
#endif

/* The sums of four times eight floats: neighbours first, then pairs, then halves. */
static inline Four totals(Eight a, Eight b, Eight c, Eight d) {
    const Eight ab = SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14) + SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
    const Eight cd = SHUFFLE(c, d, 0, 8, 2, 10, 4, 12, 6, 14) + SHUFFLE(c, d, 1, 9, 3, 11, 5, 13, 7, 15);
    const Eight all = SHUFFLE(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) + SHUFFLE(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
    return (Four){all[0], all[1], all[2], all[3]} + (Four){all[4], all[5], all[6], all[7]};
}

#define AT(p, i) (*(const Eight *)((p) + (i)))

/* Four rows, so far from each other in memory, times `tokens` vectors x, one after the other: with three of
 * them twelve sums, as many as there are registers for. sums: (tokens, 4). `tokens` is known when this is
 * compiled, so that its loops are unrolled. */
static inline __attribute__((always_inline)) void dots(const float *rows, size_t apart, const float *x, int n,
                                                       const int tokens, Four *sums) {
    const float *a = rows, *b = a + apart, *c = b + apart, *d = c + apart;
    Eight sa[3] = {{0}}, sb[3] = {{0}}, sc[3] = {{0}}, sd[3] = {{0}};
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        Eight own[3];  /* with the twelve sums and a row sixteen, which is all the registers there are */
        for (int t = 0; t < tokens; t++) own[t] = AT(x + (size_t)t * n, i);
        for (int t = 0; t < tokens; t++) sa[t] += AT(a, i) * own[t];
        for (int t = 0; t < tokens; t++) sb[t] += AT(b, i) * own[t];
        for (int t = 0; t < tokens; t++) sc[t] += AT(c, i) * own[t];
        for (int t = 0; t < tokens; t++) sd[t] += AT(d, i) * own[t];
    }
    for (int t = 0; t < tokens; t++) sums[t] = totals(sa[t], sb[t], sc[t], sd[t]);
    for (; i < n; i++)
        for (int t = 0; t < tokens; t++) sums[t] += (Four){a[i], b[i], c[i], d[i]} * x[(size_t)t * n + i];
}

/* Where a product puts a sum: y is (N, out). */
static inline void put(const Matrix *m, float *y, int token, int row, float sum, int add) {
    float *place = y + (size_t)token * m->out + row;
    *place = (add ? *place : 0) + sum + (m->bias ? m->bias[row] : 0);
}

/* y = x W^T + b, or y += that: (N, in) -> (N, out). */
static void product_float(const Matrix *m, const float *x, int N, float *y, int add) {
    const float *weights = m->weights;
    const int in = m->in, blocks = m->out / 4;
    #pragma omp for schedule(static) nowait
    for (int block = 0; block < blocks; block++) {
        const float *rows = weights + (size_t)block * 4 * in;
        const Four none = {0}, bias = m->bias ? *(const Four *)(m->bias + 4 * block) : none;
        for (int token = 0; token < N;) {
            const int some = N - token < 3 ? 1 : 3;
            Four sums[3];
            if (some == 3) dots(rows, in, x + (size_t)token * in, in, 3, sums);
            else dots(rows, in, x + (size_t)token * in, in, 1, sums);
            for (int t = 0; t < some; t++, token++) {
                Four *place = (Four *)(y + (size_t)token * m->out + 4 * block);
                *place = (add ? *place : none) + sums[t] + bias;
            }
        }
    }
    #pragma omp for schedule(static)
    for (int row = 4 * blocks; row < m->out; row++)
        for (int token = 0; token < N; token++)
            put(m, y, token, row, dot(weights + (size_t)row * in, x + (size_t)token * in, in), add);
}

/* The same with whole numbers: x is rounded to as many bits as leave room for the sum in 32. */
static void product_int8(const Matrix *m, const float *x, int N, int16_t *rounded, float *steps, float *y,
                         int add) {
    const int8_t *weights = m->weights;
    const int in = m->in;
    const int most = 2147483647 / 127 / in < 32767 ? 2147483647 / 127 / in : 32767;
    #pragma omp for schedule(static)
    for (int token = 0; token < N; token++) {
        const float *own = x + (size_t)token * in;
        float highest = 1e-30f;
        for (int i = 0; i < in; i++) highest = fabsf(own[i]) > highest ? fabsf(own[i]) : highest;
        steps[token] = highest / most;
        for (int i = 0; i < in; i++) rounded[(size_t)token * in + i] = (int16_t)lrintf(own[i] / steps[token]);
    }
    #pragma omp for schedule(static)
    for (int row = 0; row < m->out; row++) {
        const int8_t *w = weights + (size_t)row * in;
        for (int token = 0; token < N; token++) {
            const int16_t *own = rounded + (size_t)token * in;
            int32_t sum = 0;
            for (int i = 0; i < in; i++) sum += (int16_t)w[i] * own[i];
            put(m, y, token, row, (float)sum * (steps[token] * m->scales[row]), add);
        }
    }
}

/* Some places of what the activation makes of the F or 2 F numbers inside a feed-forward. */
static void activate(const Model *model, const float *inside, int first, int end, float *active) {
    const float *up = inside + model->hidden;
    if (model->feed_forward == 0) {
        for (int i = first; i < end; i++) active[i] = inside[i] / (1 + exponential(-inside[i])) * up[i];
    } else if (model->feed_forward == 1) {
        for (int i = first; i < end; i++) {
            const float u = inside[i], inner = 0.7978845608f * (u + 0.044715f * u * u * u);
            active[i] = u - u / (exponential(2 * inner) + 1);
        }
    } else {
        for (int i = first; i < end; i++) active[i] = inside[i] > 0 ? inside[i] : 0;
    }
}

/* x over its root mean square, after its mean is taken off where the norm is LayerNorm. */
static void normalise(const Model *model, const float *x, float *y) {
    const int n = model->width;
    float mean = 0;
    if (model->centred) {
        for (int i = 0; i < n; i++) mean += x[i];
        mean /= n;
    }
    float squares = 0;
    for (int i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    const float scale = 1 / sqrtf(squares / n + model->epsilon);
    for (int i = 0; i < n; i++) y[i] = (x[i] - mean) * scale;
}

/* --- attention -------------------------------------------------------------------------------------- */

/* QK-norm, its weight, the rotation: one head of a query or key in place. */
static void turn(const Model *model, float *head, const float *scale, int position, float *spare) {
    const int D = model->head_dim, half = D / 2;
    float factor = 1;
    if (model->qk_norm) factor = 1 / sqrtf(dot(head, head, D) / D + model->epsilon);
    for (int i = 0; i < D; i++) head[i] *= factor * scale[i];
    if (!model->cosines) return;
    const float *cosines = model->cosines + (size_t)position * D;
    const float *sines = model->sines + (size_t)position * D;
    for (int i = 0; i < half; i++) {
        spare[i] = head[i + half] * sines[i];
        spare[i + half] = head[i] * sines[i + half];
    }
    for (int i = 0; i < D; i++) head[i] = head[i] * cosines[i] + spare[i];
}

/* A head of the queries or keys of a new token: turned, and a key with its value kept in the cache. */
static void take_in(const Model *model, int number, float *together, int h, int row, int position,
                    float *spare) {
    const Layer *layer = model->layer + number;
    const int H = model->heads, K = model->kv_heads, D = model->head_dim;
    float *head = together + (size_t)h * D;
    turn(model, head, layer->head_scale + (size_t)h * D, position, spare);
    if (h < H) return;
    const size_t place = (((size_t)row * K + h - H) * model->context + position) * D;
    const float *value = head + (size_t)K * D;
    for (int i = 0; i < D; i++) {
        layer->keys[place + i] = head[i];
        layer->values[place + i] = value[i];
    }
}

/* Some columns of the values, each row with its share: they stay in registers meanwhile. */
static inline void gather_strip(const float *scores, const float *values, int seen, int D, const int width,
                                float sum, float *out) {
    float strip[STRIP] = {0};
    const int quarter = seen / 4;
    const size_t apart = (size_t)quarter * D;
    for (int s = 0; s < quarter; s++) {
        const float *a = values + (size_t)s * D, *b = a + apart, *c = b + apart, *d = c + apart;
        const float sa = scores[s], sb = scores[s + quarter];
        const float sc = scores[s + 2 * quarter], sd = scores[s + 3 * quarter];
        for (int i = 0; i < width; i++) strip[i] += sa * a[i] + sb * b[i] + sc * c[i] + sd * d[i];
    }
    for (int s = 4 * quarter; s < seen; s++)
        for (int i = 0; i < width; i++) strip[i] += scores[s] * values[(size_t)s * D + i];
    for (int i = 0; i < width; i++) out[i] = strip[i] / sum;
}

/* softmax(q K^T) V of one query head over the positions of a row up to its newest. */
static void gather(const Model *model, int number, const float *together, int h, int row, int position,
                   float *scores, float *out) {
    const int H = model->heads, K = model->kv_heads, D = model->head_dim;
    const int unseen = model->window && position >= model->window ? position + 1 - model->window : 0;
    const int seen = position + 1 - unseen;
    const size_t first_seen = (((size_t)row * K + h / (H / K)) * model->context + unseen) * D;
    const float *keys = model->layer[number].keys + first_seen;
    const float *values = model->layer[number].values + first_seen;
    const float *query = together + (size_t)h * D;
    const int quarter = seen / 4;  /* read as four streams: the memory answers several at once */
    int s = 0;
    for (; s < quarter; s++) {
        Four four;
        dots(keys + (size_t)s * D, (size_t)quarter * D, query, D, 1, &four);
        for (int k = 0; k < 4; k++) scores[s + k * quarter] = four[k];
    }
    for (s = 4 * quarter; s < seen; s++) scores[s] = dot(query, keys + (size_t)s * D, D);
    float highest = scores[0], sum = 0;
    for (s = 1; s < seen; s++) highest = scores[s] > highest ? scores[s] : highest;
    for (s = 0; s < seen; s++) {
        scores[s] = exponential(scores[s] - highest);
        sum += scores[s];
    }
    int first = 0;
    for (; first + STRIP <= D; first += STRIP) gather_strip(scores, values + first, seen, D, STRIP, sum, out + first);
    for (; first + STRIP / 4 <= D; first += STRIP / 4)
        gather_strip(scores, values + first, seen, D, STRIP / 4, sum, out + first);
    for (; first < D; first++) gather_strip(scores, values + first, seen, D, 1, sum, out + first);
}

/* --- the model -------------------------------------------------------------------------------------- */

/* Working space for N tokens, each part with what follows it in memory. */
typedef struct {
    float *normed;    /* (N, E) */
    float *together;  /* (N, (H + 2 K) D) */
    float *gathered;  /* (N, H D) */
    float *inside;    /* (N, 2 F) */
    float *active;    /* (N, F) */
    float *steps;     /* (N,) */
    float *each;      /* (threads, S + D) */
    int16_t *rounded; /* (N, the widest of E, F, H D) */
} Space;

static size_t widest(const Model *model) {
    const int gathered = model->heads * model->head_dim;
    const int wider = model->width > model->hidden ? model->width : model->hidden;
    return gathered > wider ? gathered : wider;
}

/* Cuts the space; returns its size in floats. */
static size_t cut(const Model *model, int N, int threads, float *space, Space *parts) {
    const size_t H = model->heads, K = model->kv_heads, D = model->head_dim, F = model->hidden;
    parts->normed = space;
    parts->together = parts->normed + (size_t)N * model->width;
    parts->gathered = parts->together + (size_t)N * (H + 2 * K) * D;
    parts->inside = parts->gathered + (size_t)N * H * D;
    parts->active = parts->inside + (size_t)N * 2 * F;
    parts->steps = parts->active + (size_t)N * F;
    parts->each = parts->steps + N;
    parts->rounded = (int16_t *)(parts->each + (size_t)threads * (model->context + D));
    return (size_t)((float *)parts->rounded - space) + (size_t)N * (widest(model) + 1) / 2 + 1;
}

/* How many floats of working space `read_tokens` needs. */
size_t working_space(const Model *model, int N, int threads) {
    Space parts;
    return cut(model, N, threads, NULL, &parts);
}

static void product(const Matrix *m, const float *x, int N, const Space *space, float *y, int add) {
    if (m->scales) product_int8(m, x, N, space->rounded, space->steps, y, add);
    else product_float(m, x, N, y, add);
}

/* N tokens through all blocks, and the logits after `count` of them.
 *
 * x: (N, E), their embeddings, used up; rows, positions: (N,), where each stands, those of a row in
 * order; wanted: (count,), the places in x of those after which logits are wanted, ascending;
 * logits: (count, V).
 */
void read_tokens(const Model *model, float *x, int N, const int64_t *rows, const int64_t *positions,
                 const int64_t *wanted, int count, float *space, int threads, float *logits) {
    const int E = model->width, H = model->heads, K = model->kv_heads, D = model->head_dim;
    const int F = model->hidden, S = model->context, gated = model->feed_forward == 0;
    Space parts;
    cut(model, N, threads, space, &parts);
    const Space *in = &parts;

    #pragma omp parallel num_threads(threads)
    {
        float *scores = in->each + (size_t)omp_get_thread_num() * (S + D), *spare = scores + S;

        for (int l = 0; l < model->layers; l++) {
            const Layer *layer = model->layer + l;

            #pragma omp for schedule(static)
            for (int n = 0; n < N; n++) normalise(model, x + (size_t)n * E, in->normed + (size_t)n * E);
            product(&layer->inward, in->normed, N, in, in->together, 0);
            #pragma omp for schedule(static) collapse(2)
            for (int n = 0; n < N; n++)
                for (int h = 0; h < H + K; h++)
                    take_in(model, l, in->together + (size_t)n * (H + 2 * K) * D, h, (int)rows[n],
                            (int)positions[n], spare);
            #pragma omp for schedule(dynamic, 1) collapse(2)
            for (int n = 0; n < N; n++)
                for (int h = 0; h < H; h++)
                    gather(model, l, in->together + (size_t)n * (H + 2 * K) * D, h, (int)rows[n],
                           (int)positions[n], scores, in->gathered + ((size_t)n * H + h) * D);
            product(&layer->outward, in->gathered, N, in, x, 1);

            #pragma omp for schedule(static)
            for (int n = 0; n < N; n++) normalise(model, x + (size_t)n * E, in->normed + (size_t)n * E);
            product(&layer->up, in->normed, N, in, in->inside, 0);
            #pragma omp for schedule(static) collapse(2)
            for (int n = 0; n < N; n++)
                for (int first = 0; first < F; first += STRIP)
                    activate(model, in->inside + (size_t)n * (gated ? 2 * F : F), first,
                             first + STRIP < F ? first + STRIP : F, in->active + (size_t)n * F);
            product(&layer->down, in->active, N, in, x, 1);
        }

        #pragma omp for schedule(static)
        for (int k = 0; k < count; k++) {
            float *normed = in->normed + (size_t)k * E;
            normalise(model, x + (size_t)wanted[k] * E, normed);
            for (int i = 0; i < E; i++)
                normed[i] = normed[i] * model->final_weight[i] + (model->final_bias ? model->final_bias[i] : 0);
        }
        product(&model->head, in->normed, count, in, logits, 0);
    }
}

/* What the caller has to know alike: the sizes of the records, and the version of these functions. */
size_t layout(void) { return sizeof(Model) << 32 | sizeof(Layer) << 16 | 5; }

/* What this was compiled for, for people to read. */
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

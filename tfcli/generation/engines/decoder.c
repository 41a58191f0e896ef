/* The forward pass of numpy_engine.py in one call: without the hundreds of calls from Python that take
 * longer than the arithmetic of a small model, and at the speed at which memory delivers the weights of a
 * large one. It decodes one token of one row, the newest tokens of a batch, or prefills whole prompts:
 * each token knows its row and position, and attends to the earlier positions in its row's KV cache.
 *
 * Shapes are those of tfcli/model/transformer.py; decoder.h lists the letters.
 *
 * All threads run through `forward` together. They share the rows of each matrix product and the tokens
 * and heads of everything else, and meet at the end of every `omp for`. Each sum is made by one thread in
 * one order, so the result does not depend on the number of threads.
 */

#include "decoder.h"
#include "tiles.h"

#define BLOCK 64  /* activations that are the work of one thread */
#define LINE 16   /* floats in a line of the cache */

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

/* RMSNorm or LayerNorm: (E) -> (E). */
static void normalize(const Model *model, const Norm *norm, const float *x, float *y) {
    const int n = model->d_model;
    float mean = 0;
    if (model->layer_norm) {
        Vector sums = {0};
        for (int i = 0; i < n; i += LANES)
            sums += i + LANES <= n ? load(FLOAT32, x, i) : load_end(FLOAT32, x, i, n);
        mean = sum_of(sums) / n;
    }
    for (int i = 0; i < n; i++) y[i] = x[i] - mean;
    const float scale = 1 / sqrtf(dot_floats(y, y, n) / n + model->epsilon);
    for (int i = 0; i < n; i++) y[i] *= scale * norm->weight[i];
    if (norm->bias)
        for (int i = 0; i < n; i++) y[i] += norm->bias[i];
}

/* --- the model -------------------------------------------------------------------------------------- */

/* Intermediate results for N tokens, one after the other in memory. */
typedef struct {
    float *normed;      /* (N, E) */
    float *qkv;         /* (N, (H + 2 K) D) */
    float *attended;    /* (N, H D) */
    float *up;          /* (N, 2 F) */
    float *activated;   /* (N, F) */
    ProductRoom room;   /* but for the panels */
    int *blocks;        /* (N + 1,), the first token of each block of tokens; see `divide_tokens` */
    size_t own;         /* floats of each thread: */
    float *per_thread;  /* (threads, own) */
} Scratch;

static int widest_input(const Model *model) {
    const int attended = model->num_heads * model->head_dim;
    const int wider = model->d_model > model->d_ff ? model->d_model : model->d_ff;
    return attended > wider ? attended : wider;
}

/* Whole lines of the cache, so that vectors and tiles do not lie across two. */
static size_t aligned(size_t size) { return (size + LINE - 1) / LINE * LINE; }

static size_t divide_scratch(const Model *model, int N, int S, int threads, float *memory, Scratch *parts) {
    const size_t H = model->num_heads, K = model->num_kv_heads, D = model->head_dim, F = model->d_ff;
    const int widest = widest_input(model);
    float *free = memory + (-(uintptr_t)memory & (LINE * sizeof(float) - 1)) / sizeof(float);
#define TAKE(size) (free += aligned(size), free - aligned(size))
    parts->normed = TAKE((size_t)N * model->d_model);
    parts->qkv = TAKE(N * (H + 2 * K) * D);
    parts->attended = TAKE(N * H * D);
    parts->up = TAKE(N * 2 * F);
    parts->activated = TAKE(N * F);
    parts->room.packed = TAKE(packed_size(widest, N));
    parts->room.quantized = (int16_t *)TAKE(N * quantized_size(widest) / 2);
    parts->room.scales = TAKE((size_t)N);
    parts->blocks = (int *)TAKE((size_t)N + 1);
    parts->own = aligned(panel_size(widest) + attend_size(model, S) + D);
    parts->per_thread = TAKE(threads * parts->own);
#undef TAKE
    return (size_t)(free - memory);
}

/* How many floats of scratch memory `forward` needs for N tokens at positions below S. */
EXPORT size_t scratch_size(const Model *model, int N, int S, int threads) {
    Scratch parts;
    return divide_scratch(model, N, S, threads, NULL, &parts) + LINE;
}

/* Divides the tokens into blocks, each of at most `most` consecutive tokens of one row; returns how many. */
static int divide_tokens(const int64_t *rows, int N, int most, int *blocks) {
    int count = 0;
    for (int n = 0; n < N; n++)
        if (n == 0 || rows[n] != rows[n - 1] || n - blocks[count - 1] == most) blocks[count++] = n;
    blocks[count] = N;
    return count;
}

/* N tokens through all layers, and the logits after `count` of them.
 *
 * x: (N, E), their embeddings, overwritten; caches: of all rows; rows, positions: (N,), of each token,
 * those of one row in order and below S; wanted: (count,), indices of the tokens after which logits are
 * wanted, ascending; memory: `scratch_size` floats; logits: (count, V).
 */
EXPORT void forward(const Model *model, float *x, int N, const RowCache *caches, const int64_t *rows,
                    const int64_t *positions, int S, const int64_t *wanted, int count, float *memory, int threads,
                    float *logits) {
    const int E = model->d_model, H = model->num_heads, K = model->num_kv_heads, D = model->head_dim;
    const int F = model->d_ff, gated = model->feed_forward == 0, group = H / K;
    Scratch parts;
    divide_scratch(model, N, S, threads, memory, &parts);
    const Scratch *scratch = &parts;
    /* query heads that attend together: those that share keys, unless threads would be idle */
    const int heads = N * K < 2 * threads ? 1 : group < QUERIES ? group : QUERIES;
    const int shares = (group + heads - 1) / heads;
    const int blocks = divide_tokens(rows, N, QUERIES / heads, parts.blocks);

    #pragma omp parallel num_threads(threads)
    {
        float *own = scratch->per_thread + thread_number() * scratch->own;
        ProductRoom room = scratch->room;
        room.panel = own;
        float *attending = own + panel_size(widest_input(model)), *buffer = attending + attend_size(model, S);

        for (int l = 0; l < model->num_layers; l++) {
            const Layer *layer = model->layers + l;

            #pragma omp for schedule(static)
            for (int n = 0; n < N; n++)
                normalize(model, &layer->attention_norm, x + (size_t)n * E, scratch->normed + (size_t)n * E);
            linear(&layer->qkv, scratch->normed, N, &room, scratch->qkv, 0);
            #pragma omp for schedule(static) collapse(2)
            for (int n = 0; n < N; n++)
                for (int h = 0; h < H + K; h++)
                    store_kv(model, l, scratch->qkv + (size_t)n * (H + 2 * K) * D, h, caches + rows[n],
                             (int)positions[n], buffer);
            #pragma omp for schedule(dynamic, 1) collapse(2)
            for (int block = 0; block < blocks; block++)
                for (int share = 0; share < K * shares; share++) {
                    const int n = scratch->blocks[block], first = share % shares * heads;
                    const Queries queries = {n, scratch->blocks[block + 1] - n, share / shares * group + first,
                                             group - first < heads ? group - first : heads};
                    attend(model, l, &queries, scratch->qkv, caches + rows[n], (int)positions[n], attending,
                           scratch->attended);
                }
            linear(&layer->out_proj, scratch->attended, N, &room, x, 1);

            #pragma omp for schedule(static)
            for (int n = 0; n < N; n++)
                normalize(model, &layer->feed_forward_norm, x + (size_t)n * E, scratch->normed + (size_t)n * E);
            linear(&layer->up, scratch->normed, N, &room, scratch->up, 0);
            #pragma omp for schedule(static) collapse(2)
            for (int n = 0; n < N; n++)
                for (int first = 0; first < F; first += BLOCK)
                    activate(model, scratch->up + (size_t)n * (gated ? 2 * F : F), first,
                             first + BLOCK < F ? first + BLOCK : F, scratch->activated + (size_t)n * F);
            linear(&layer->down, scratch->activated, N, &room, x, 1);
        }

        #pragma omp for schedule(static)
        for (int k = 0; k < count; k++)
            normalize(model, &model->final_norm, x + (size_t)wanted[k] * E, scratch->normed + (size_t)k * E);
        linear(&model->head, scratch->normed, count, &room, logits, 0);
    }
}

/* --- what the caller checks before it uses the library ----------------------------------------------- */

/* The sizes of the structs, and the version of these functions: native.py must agree. */
EXPORT size_t layout(void) { return sizeof(Model) << 32 | sizeof(Layer) << 16 | 7; }

/* What this was compiled for, in words. */
#ifdef _OPENMP
EXPORT const char *features(void) { return INSTRUCTIONS ", OpenMP"; }
#else
EXPORT const char *features(void) { return INSTRUCTIONS ", no OpenMP"; }
#endif

/* Whether this processor has the instructions that the rest was compiled for. Each one that has AVX2 has
 * F16C too, which not every compiler knows how to ask for. */
#if defined(__AVX512F__)
__attribute__((target("no-avx")))
EXPORT int usable(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && tiles_usable();
}
#elif defined(__AVX2__)
__attribute__((target("no-avx")))
EXPORT int usable(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
EXPORT int usable(void) { return 1; }
#endif

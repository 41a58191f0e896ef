/* What a memory adds to each token that is generated, in two calls: the n-grams that continue a context, as
 * tfcli/text/kneser_ney.py counts them, and their mixture with the model's logits, as generation/mixing.py
 * defines it. Both explain the formulas; here they are without the calls of numpy, of which each takes longer
 * than a few tokens.
 *
 *   T contexts        V vocab_size        L tokens in the longest context
 */

#include "../../model/native/kernels.h"

#define FEATURES 4

typedef struct {
    const uint64_t *contexts;  /* (places,), ascending */
    const void *followers;     /* (places,), uint32_t if wide, else uint16_t */
    const uint8_t *marks;      /* (places,) */
    size_t places;
    int wide, vocab_size, token_bits, longest;
    const double *discounts;   /* (L + 1, 4) */
} Index;

/* What is known of one context before the n-grams longer than two are counted. */
typedef struct {
    uint64_t key;           /* its tokens, the nearest in the highest bits */
    const double *chances;  /* (V,): p(w | nearest) */
    const float *bigrams;   /* (V,): their logarithms */
    int length;             /* how many tokens there are */
    float left;             /* the logarithm of left(h) after the nearest alone */
} Context;

/* --- arithmetic that the compiler vectorizes --------------------------------------------------------- */

static float largest(const float *x, int n) {
    float found = x[0];
    for (int i = 1; i < n; i++) found = x[i] > found ? x[i] : found;
    return found;
}

/* --- n-grams ---------------------------------------------------------------------------------------- */

/* The first place from `begin` on whose context is not below a key. */
static size_t first_from(const Index *index, size_t begin, size_t end, uint64_t key) {
    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2;
        if (index->contexts[middle] < key) begin = middle + 1;
        else end = middle;
    }
    return begin;
}

static inline uint32_t follower(const Index *index, size_t place) {
    return index->wide ? ((const uint32_t *)index->followers)[place] : ((const uint16_t *)index->followers)[place];
}

/* How often each token follows the contexts of a slice: counts (V,), zero before; the tokens into `found`. */
static int tally(const Index *index, int length, size_t begin, size_t end, int32_t *counts, int32_t *found) {
    int n = 0;
    for (size_t place = begin; place < end; place++) {
        /* all places of the longest n-grams count, and of the others one for each different token before */
        if (length < index->longest && !(index->marks[place] >> length & 1)) continue;
        const uint32_t token = follower(index, place);
        if (!counts[token]++) found[n++] = (int32_t)token;
    }
    return n;
}

/* The log-probabilities of all tokens after each of T contexts, into rows (T, V), and into left (T,) the
 * logarithm of what all n-grams of a context leave to the unigrams.
 *
 * counts: (V,), zeros, and zeros again afterwards. found: (L, V). chances: (L, V). */
void next_tokens(const Index *index, int T, const Context *contexts, int32_t *counts, int32_t *found,
                 double *chances, float *rows, float *left) {
    const size_t V = (size_t)index->vocab_size;
    for (int t = 0; t < T; t++) {
        const Context *context = contexts + t;
        size_t begin = 0, end = index->places;
        int sizes[64], levels = 0;
        double lefts[64];
        for (int length = 1; length <= context->length; length++) {
            const uint64_t open = length * index->token_bits < 64 ? UINT64_MAX >> length * index->token_bits : 0;
            begin = first_from(index, begin, end, context->key & ~open);
            if ((context->key | open) != UINT64_MAX) end = first_from(index, begin, end, (context->key | open) + 1);
            if (begin == end) break;  /* neither was a longer one seen */
            if (length == 1) continue;  /* the bigrams are known */
            int32_t *own = found + levels * V;
            double *share = chances + levels * V;
            /* what follows a context has followed the shorter one, whose chances are those of its tokens */
            const double *shorter = levels ? share - V : context->chances;
            const int n = sizes[levels] = tally(index, length, begin, end, counts, own);
            const double *discounts = index->discounts + 4 * length;
            double total = 0, discounted = 0;
            for (int i = 0; i < n; i++) {
                const int count = counts[own[i]];
                total += count;
                discounted += discounts[count < 3 ? count : 3];
            }
            lefts[levels] = discounted / total;
            for (int i = 0; i < n; i++) {
                const int32_t token = own[i], count = counts[token];
                counts[token] = 0;
                share[token] = (count - discounts[count < 3 ? count : 3]) / total + lefts[levels] * shorter[token];
            }
            levels++;
        }
        float *row = rows + t * V;
        double constant = 0;  /* what the longer contexts leave to the shorter */
        for (int level = 0; level < levels; level++) constant += log(lefts[level]);
        left[t] = context->left + (float)constant;
        for (size_t i = 0; i < V; i++) row[i] = context->bigrams[i] + (float)constant;
        for (int level = 0; level < levels; level++) {
            constant -= log(lefts[level]);
            for (int i = 0; i < sizes[level]; i++) {
                const int32_t token = found[level * V + i];
                row[token] = (float)(log(chances[level * V + token]) + constant);
            }
        }
    }
}

/* --- the mixture ------------------------------------------------------------------------------------ */

/* logits (T, V) become those of the mixture. ngrams: (T, V); left: (T,); weights: (3, FEATURES). */
void mix(int T, int V, const Context *contexts, const float *ngrams, const float *left, const float *weights,
         float *logits) {
    for (int t = 0; t < T; t++) {
        const float *own = ngrams + (size_t)t * V, *bigrams = contexts[t].bigrams;
        float *row = logits + (size_t)t * V;
        const float highest = largest(row, V);
        float total = 0;
        #pragma omp simd reduction(+ : total)
        for (int i = 0; i < V; i++) total += fast_exp(row[i] - highest);
        const float features[FEATURES] = {1, -logf(total), largest(own, V), left[t]};
        float factors[3] = {0};
        for (int expert = 0; expert < 3; expert++)
            for (int i = 0; i < FEATURES; i++) factors[expert] += weights[expert * FEATURES + i] * features[i];
        const float a = factors[0], b = factors[1], c = factors[2];
        for (int i = 0; i < V; i++) row[i] = a * row[i] + b * own[i] + c * bigrams[i];
    }
}

/* The sizes of the structs: native_memory.py must agree. */
size_t memory_layout(void) { return sizeof(Index) << 32 | sizeof(Context); }

/* A model as decoder.c sees it; native.py has the same structs.
 *
 *   N tokens                  H query heads            D head_dim          S positions attended to
 *   E hidden size (d_model)   K key and value heads    F d_ff              V vocab_size
 */

#include "products.h"

typedef struct {
    const float *weight, *bias;  /* (E,); the bias may be NULL */
} Norm;

typedef struct {
    Norm attention_norm, feed_forward_norm;
    Linear qkv;             /* E -> (H + 2 K) D: queries, keys, values */
    Linear out_proj;        /* H D -> E */
    Linear up;              /* E -> 2 F (gate, then up) or F */
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
    const float *cosines, *sines;  /* (positions, D), the first half of the sines negated; NULL: no RoPE */
    Norm final_norm;
    Linear head;  /* E -> V */
    const Layer *layers;
} Model;

/* The KV cache of one row. */
typedef struct {
    float *keys, *values;  /* (layers, K, capacity, D) */
    size_t capacity;       /* positions */
} RowCache;

/* --- attention.c --------------------------------------------------------------------------------------- */

#define QUERIES (4 * TILE)  /* heads of tokens that attend at once, at most */

/* Consecutive tokens of one row, and query heads that share a key-value head. */
typedef struct {
    int first_token, tokens, first_head, heads;  /* tokens x heads <= QUERIES */
} Queries;

/* How many floats of memory `attend` needs at positions below S. */
size_t attend_size(const Model *model, int S);

/* QK-norm and RoPE on head h of the queries or keys of a token, in place; a key is stored in the cache, with
 * its value. qkv: of the token, ((H + 2 K) D,); buffer: (D,). */
void store_kv(const Model *model, int layer, float *qkv, int h, const RowCache *cache, int position, float *buffer);

/* softmax(q K^T) V over the window of each token. qkv: (N, (H + 2 K) D); position: of the first token;
 * attended: (N, H D). */
void attend(const Model *model, int layer, const Queries *own, const float *qkv, const RowCache *cache,
            int position, float *memory, float *attended);

/* --- tile_attention.c ---------------------------------------------------------------------------------- */

/* Whether a layer attends with AMX, and its keys and values lie in the cache as tile_attention.c says. */
int attends_in_tiles(const Model *model, int layer);

/* key, value: of one head of a token, (D,); keys, values: those of the head in the cache. */
void tile_store_kv(const float *key, const float *value, int position, int D, float *keys, float *values);

/* As `score` in attention.c, but `first` is a multiple of 32; memory: (count, D). */
void tile_score(const float *queries, int count, const float *keys, int first, int end, int D, float *memory,
                float *scores, size_t size);

/* The sums of the values, times the factor of each query: out. scores: the exponentials, overwritten. */
void tile_weigh(int count, float *scores, size_t size, int first, int end, const float *values, int D,
                const float *factors, float *const *out);

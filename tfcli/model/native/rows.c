/* Everything in a training step that works on the rows of a matrix one by one: RMSNorm with the residual
 * connection and dropout before it, SwiGLU, cross-entropy. */

#include "kernels.h"

#define CHUNK 32   /* rows that share a sum of the weight's gradient */
#define BLOCK 512  /* columns that are converted at once */

/* --- residual connection, dropout, RMSNorm ----------------------------------------------------------- */

/* sum = x + f mask branch          y = sum / sqrt(mean(sum^2) + epsilon) weight
 *
 * x, branch, sum, y: (rows, width); mask: bytes of 0 and 1, or NULL; without a branch, sum is x itself and
 * not written.
 */
EXPORT void add_norm(int type, int rows, int width, const void *x, const void *branch, const uint8_t *mask,
                     float factor, const float *weight, float epsilon, void *sum, void *y, int threads) {
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (int row = 0; row < rows; row++) {
        const size_t place = (size_t)row * width;
        float room_x[width], room_branch[width], room_sum[width], room_y[width];
        const float *stream = read_row(type, x, place, width, room_x);
        if (branch) {
            const float *added = read_row(type, branch, place, width, room_branch);
            float *total = begin_row(type, sum, place, room_sum);
            if (mask)
                for (int i = 0; i < width; i++) total[i] = stream[i] + added[i] * (mask[place + i] * factor);
            else
                for (int i = 0; i < width; i++) total[i] = stream[i] + added[i];
            finish_row(type, sum, place, width, total);
            stream = total;
        }
        const float scale = inverse_rms(stream, width, epsilon);
        float *normed = begin_row(type, y, place, room_y);
        for (int i = 0; i < width; i++) normed[i] = stream[i] * scale * weight[i];
        finish_row(type, y, place, width, normed);
    }
}

/* The gradients: of sum, from what else it went into (to_sum, or NULL) and from y; and so of x, branch and
 * the weight.
 *
 *   dx = dsum + norm_backward(dy)        dbranch = f mask dx, or if there is no mask the same as dx
 *
 * sum: the norm's input; to_x: (rows, width); to_branch: the same, or NULL; partial: floats, (chunks, width);
 * to_weight: (width,).
 */
EXPORT void add_norm_backward(int type, int rows, int width, const void *sum, const uint8_t *mask, float factor,
                              const float *weight, float epsilon, const void *to_sum, const void *to_y,
                              void *to_x, void *to_branch, float *partial, float *to_weight, int threads) {
    const int chunks = (rows + CHUNK - 1) / CHUNK;
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (int chunk = 0; chunk < chunks; chunk++) {
        float *own = partial + (size_t)chunk * width;
        memset(own, 0, width * sizeof(float));
        const int end = (chunk + 1) * CHUNK < rows ? (chunk + 1) * CHUNK : rows;
        for (int row = chunk * CHUNK; row < end; row++) {
            const size_t place = (size_t)row * width;
            float room_sum[width], room_g[width], room_x[width], room_other[width];
            const float *stream = read_row(type, sum, place, width, room_sum);
            const float *g = read_row(type, to_y, place, width, room_g);
            float *gradient = begin_row(type, to_x, place, room_x);
            norm_backward(stream, weight, g, width, epsilon, gradient, own);
            if (to_sum) {
                const float *other = read_row(type, to_sum, place, width, room_other);
                for (int i = 0; i < width; i++) gradient[i] += other[i];
            }
            finish_row(type, to_x, place, width, gradient);
            if (to_branch) {
                float *masked = begin_row(type, to_branch, place, room_other);
                for (int i = 0; i < width; i++) masked[i] = gradient[i] * (mask[place + i] * factor);
                finish_row(type, to_branch, place, width, masked);
            }
        }
    }
    memset(to_weight, 0, width * sizeof(float));
    for (int chunk = 0; chunk < chunks; chunk++)
        for (int i = 0; i < width; i++) to_weight[i] += partial[(size_t)chunk * width + i];
}

/* How many chunks there are of so many rows. */
EXPORT int num_chunks(int rows) { return (rows + CHUNK - 1) / CHUNK; }

/* --- SwiGLU ------------------------------------------------------------------------------------------ */

/* y = silu(gate) up, silu(z) = z sigmoid(z)
 *
 * x: (rows, 2 width), gate and then up; y: (rows, width). */
EXPORT void swiglu(int type, int rows, int width, const void *x, void *y, int threads) {
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (int row = 0; row < rows; row++)
        for (int first = 0; first < width; first += BLOCK) {
            const int n = width - first < BLOCK ? width - first : BLOCK;
            const size_t place = (size_t)row * 2 * width + first, place_y = (size_t)row * width + first;
            float room_gate[BLOCK], room_up[BLOCK], room_y[BLOCK];
            const float *gate = read_row(type, x, place, n, room_gate);
            const float *up = read_row(type, x, place + width, n, room_up);
            float *out = begin_row(type, y, place_y, room_y);
            for (int i = 0; i < n; i++) out[i] = gate[i] * sigmoid(gate[i]) * up[i];
            finish_row(type, y, place_y, n, out);
        }
}

/* dgate = g up s (1 + gate (1 - s)), s = sigmoid(gate)        dup = g gate s */
EXPORT void swiglu_backward(int type, int rows, int width, const void *x, const void *to_y, void *to_x,
                            int threads) {
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (int row = 0; row < rows; row++)
        for (int first = 0; first < width; first += BLOCK) {
            const int n = width - first < BLOCK ? width - first : BLOCK;
            const size_t place = (size_t)row * 2 * width + first, place_y = (size_t)row * width + first;
            float room_gate[BLOCK], room_up[BLOCK], room_g[BLOCK], room_to_gate[BLOCK], room_to_up[BLOCK];
            const float *gate = read_row(type, x, place, n, room_gate);
            const float *up = read_row(type, x, place + width, n, room_up);
            const float *g = read_row(type, to_y, place_y, n, room_g);
            float *to_gate = begin_row(type, to_x, place, room_to_gate);
            float *to_up = begin_row(type, to_x, place + width, room_to_up);
            for (int i = 0; i < n; i++) {
                const float s = sigmoid(gate[i]);
                to_gate[i] = g[i] * up[i] * s * (1.0f + gate[i] * (1.0f - s));
                to_up[i] = g[i] * gate[i] * s;
            }
            finish_row(type, to_x, place, n, to_gate);
            finish_row(type, to_x, place + width, n, to_up);
        }
}

/* --- cross-entropy ----------------------------------------------------------------------------------- */

/* The loss of each row, or 0 where the target is `ignored`; and their sum. With m = max(z),
 *
 *   -log softmax(z)[target] = log(sum(e^(z - m))) - (z[target] - m)
 *
 * logits: (rows, width); targets: (rows,); maxima, sums: (rows,), m and the sum, for the gradient;
 * losses: (rows,); total: of all rows, one float.
 */
EXPORT void cross_entropy(int type, int rows, int width, const void *logits, const int64_t *targets,
                          int64_t ignored, float *maxima, float *sums, float *losses, float *total, int threads) {
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (int row = 0; row < rows; row++) {
        const size_t place = (size_t)row * width;
        float room[BLOCK], largest = -INFINITY, sum = 0;
        for (int first = 0; first < width; first += BLOCK) {
            const int n = width - first < BLOCK ? width - first : BLOCK;
            const float *z = read_row(type, logits, place + first, n, room);
            largest = maximum(z, n, largest);
        }
        for (int first = 0; first < width; first += BLOCK) {
            const int n = width - first < BLOCK ? width - first : BLOCK;
            const float *z = read_row(type, logits, place + first, n, room);
            for (int i = 0; i < n; i++) sum += fast_exp(z[i] - largest);
        }
        maxima[row] = largest;
        sums[row] = sum;
        if (targets[row] == ignored) {
            losses[row] = 0;
            continue;
        }
        const float *z = read_row(type, logits, place + targets[row], 1, room);
        losses[row] = (float)(log(sum) - ((double)*z - largest));  /* double, since both may be large */
    }
    double sum = 0;
    for (int row = 0; row < rows; row++) sum += losses[row];
    *total = (float)sum;
}

/* dz = g (softmax(z) - 1 at the target), g: the gradient of the total */
EXPORT void cross_entropy_backward(int type, int rows, int width, const void *logits, const int64_t *targets,
                                   int64_t ignored, const float *maxima, const float *sums, const float *g,
                                   void *to_logits, int threads) {
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (int row = 0; row < rows; row++) {
        const size_t place = (size_t)row * width;
        const float factor = targets[row] == ignored ? 0 : *g, largest = maxima[row], share = factor / sums[row];
        for (int first = 0; first < width; first += BLOCK) {
            const int n = width - first < BLOCK ? width - first : BLOCK;
            const int64_t target = targets[row] - first;
            float room[BLOCK], room_out[BLOCK];
            const float *z = read_row(type, logits, place + first, n, room);
            float *out = begin_row(type, to_logits, place + first, room_out);
            for (int i = 0; i < n; i++) out[i] = share * fast_exp(z[i] - largest);
            if (target >= 0 && target < n) out[target] -= factor;
            finish_row(type, to_logits, place + first, n, out);
        }
    }
}

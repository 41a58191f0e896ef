/* What Muon does to each element, before and after the products that make its updates orthogonal (see
 * tfcli/training/optimizers.py).
 *
 * n matrices of one shape, (rows, columns), are split along their longer side into `count` blocks of `height`
 * vectors. In memory the blocks are (n, count, height, length): a matrix that is wider than high is transposed.
 */

#include "kernels.h"

typedef struct {
    int wide;            /* whether the vectors of a block are columns */
    int count, height, length;
} Split;

static Split split(int rows, int columns, int count) {
    const int wide = columns > rows;
    return (Split){wide, count, (wide ? columns : rows) / count, wide ? rows : columns};
}

/* The lines of a matrix that a block lies in, each of so many elements, from an offset on. */
typedef struct {
    int lines, width;
    size_t first, stride;
} Place;

static Place place_of(const Split *s, int block) {
    if (!s->wide) return (Place){s->height, s->length, (size_t)block * s->height * s->length, s->length};
    return (Place){s->length, s->height, (size_t)block * s->height, (size_t)s->count * s->height};
}

/* m <- b m + (1 - b) g,  d = b m + (1 - b) g; and blocks = d / (the norm of d in the block + 1e-7)
 *
 * gradients: n matrices; momenta: (n, rows, columns); blocks: of `type`.
 */
EXPORT void muon_direction(int type, int n, int rows, int columns, int count, const float *const *gradients,
                           float *momenta, float b, void *blocks, int threads) {
    const Split s = split(rows, columns, count);
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (int number = 0; number < n * count; number++) {
        const Place at = place_of(&s, number % count);
        const float *gradient = gradients[number / count] + at.first;
        float *momentum = momenta + (size_t)(number / count) * rows * columns + at.first;
        double squares = 0;
        for (int line = 0; line < at.lines; line++) {
            const float *g = gradient + line * at.stride;
            float *m = momentum + line * at.stride, sum = 0;
            for (int i = 0; i < at.width; i++) {
                m[i] += (1 - b) * (g[i] - m[i]);
                const float d = g[i] + b * (m[i] - g[i]);
                sum += d * d;
            }
            squares += sum;
        }
        const float scale = 1.0f / ((float)sqrt(squares) + 1e-7f);
        const size_t first = (size_t)number * s.height * s.length;
        for (int line = 0; line < at.lines; line++) {
            const float *g = gradient + line * at.stride, *m = momentum + line * at.stride;
            float room[at.width];
            for (int i = 0; i < at.width; i++) room[i] = scale * (g[i] + b * (m[i] - g[i]));
            const size_t to = first + (s.wide ? line : (size_t)line * s.length), step = s.wide ? s.length : 1;
            if (type == FLOAT32)
                for (int i = 0; i < at.width; i++) ((float *)blocks)[to + i * step] = room[i];
            else
                for (int i = 0; i < at.width; i++) ((uint16_t *)blocks)[to + i * step] = to_bfloat16(room[i]);
        }
    }
}

/* w <- keep w - rate u, u being blocks as above. */
EXPORT void muon_update(int type, int n, int rows, int columns, int count, const void *blocks, float keep,
                        float rate, float *const *weights, int threads) {
    const Split s = split(rows, columns, count);
    #pragma omp parallel for schedule(static) num_threads(threads)
    for (int number = 0; number < n * count; number++) {
        const Place at = place_of(&s, number % count);
        const size_t first = (size_t)number * s.height * s.length;
        for (int line = 0; line < at.lines; line++) {
            float *w = weights[number / count] + at.first + line * at.stride;
            const size_t from = first + (s.wide ? line : (size_t)line * s.length), step = s.wide ? s.length : 1;
            float room[at.width];
            if (type == FLOAT32)
                for (int i = 0; i < at.width; i++) room[i] = ((const float *)blocks)[from + i * step];
            else
                for (int i = 0; i < at.width; i++) room[i] = from_bfloat16(((const uint16_t *)blocks)[from + i * step]);
            for (int i = 0; i < at.width; i++) w[i] = keep * w[i] - rate * room[i];
        }
    }
}

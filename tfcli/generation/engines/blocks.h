/* The rows of matrices with the same input, in blocks that are multiplied at once. */

#ifndef BLOCKS_H
#define BLOCKS_H

#include "products.h"

/* Some of the rows of a part, and where their outputs are. */
typedef struct {
    const Part *part;
    int first, count, output;
} Block;

INLINE int count_blocks(const Linear *m, int size) {
    int blocks = 0;
    for (int p = 0; p < 3; p++) blocks += (m->parts[p].rows + size - 1) / size;
    return blocks;
}

INLINE Block find_block(const Linear *m, int block, int size) {
    const Part *part = m->parts;
    int output = 0;
    for (;; part++) {
        const int own = (part->rows + size - 1) / size;
        if (block < own) break;
        block -= own;
        output += part->rows;
    }
    const int first = block * size, left = part->rows - first;
    return (Block){part, first, left < size ? left : size, output + first};
}

INLINE const void *row_of(const Part *part, int row, int in) {
    const int size = part->format == FLOAT32 ? 4 : part->format == INT8 ? 1 : 2;
    return (const char *)part->weight + (size_t)row * in * size;
}

#endif

/* Products of weights in bfloat16 by AMX, which multiplies tiles of matrices: Intel's Xeon since 2023. */

#ifndef TILES_H
#define TILES_H

#include "products.h"

/* Whether this processor has what this was compiled for, and its system lends this process the registers. */
int tiles_usable(void);

#ifdef __AMX_BF16__


/* Whether all parts are in the format of the tiles. */
int fits_tiles(const Linear *m);

/* See `panel_size` and `linear`. */
size_t tile_panel_size(int in);
void tile_linear(const Linear *m, const float *x, int N, const ProductRoom *room, float *y, int add);

#endif
#endif

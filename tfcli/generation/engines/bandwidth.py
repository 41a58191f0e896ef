"""How fast the memory is read: what bounds the speed of writing with a large model."""

from __future__ import annotations

import time

import numpy as np

SIZE = (4096, 8192)  # 128 MB in float32, more than the caches hold
TRIALS = 5


def memory_bandwidth() -> float:
    """Bytes a second that a product of a large matrix and a vector reads, the best of a few."""
    matrix = np.ones(SIZE, np.float32)
    vector = np.ones(SIZE[1], np.float32)
    best = 0.0
    for _ in range(TRIALS):
        began = time.perf_counter()
        matrix @ vector
        best = max(best, matrix.nbytes / (time.perf_counter() - began))
    return best

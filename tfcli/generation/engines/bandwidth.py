"""Memory bandwidth: what bounds the speed of decoding with a large model."""

from __future__ import annotations

import time

import numpy as np

SHAPE = (4096, 8192)  # 128 MiB in float32, more than the CPU's caches hold
TRIALS = 5


def memory_bandwidth() -> float:
    """Bytes per second read by a matrix-vector product, the best of a few trials."""
    matrix = np.ones(SHAPE, np.float32)
    vector = np.ones(SHAPE[1], np.float32)
    best = 0.0
    for _ in range(TRIALS):
        started = time.perf_counter()
        matrix @ vector
        best = max(best, matrix.nbytes / (time.perf_counter() - started))
    return best

"""The scaling of RoPE in a GGUF file, which describes it in its own way.

Linear scaling is a factor in the metadata. That of Llama 3 is a tensor of what each frequency is
divided by, `rope_freqs.weight`; the numbers it was computed from are found again here, so that the
model can be exported to other formats. `dynamic` scaling has no place there, and changes nothing
within the context that the file states.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError
from tfcli.model.config import RopeScaling
from tfcli.model.rope import scaled

if TYPE_CHECKING:
    import numpy as np

    from tfcli.model.config import ModelConfig

    Array = np.ndarray[Any, Any]

ROPE_FACTORS = "rope_freqs.weight"
TOLERANCE = 1e-4
# What Llama 3.1 has, where a head is too small to tell it from its factors.
LLAMA_31 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_context": 8192}


def to_rope_factors(config: ModelConfig) -> Array | None:
    """What each frequency is divided by, (D/2,); None where the file needs no such tensor."""
    import numpy as np

    scaling = config.rope_scaling
    if scaling is None or scaling.kind != "llama3":
        return None
    frequencies = _frequencies(config.rope_theta, config.head_dim)
    factors: Array = frequencies / scaled(frequencies, scaling)
    return factors.astype(np.float32)


def from_rope_factors(factors: Array, theta: float) -> RopeScaling | None:
    """The reverse: the scaling that has these factors.

    The share of a frequency that is kept is (context x frequency / 2 pi - low) / (high - low), a
    straight line. The same line belongs to many triples; the one with low = 1 is taken.

    Raises:
        DataError: it is not that of Llama 3, nor the same for all.

    """
    import numpy as np

    factors = factors.astype(np.float64)
    factor = float(factors.max())
    if not np.isfinite(factors).all() or factors.min() < 1 - TOLERANCE:
        raise _unknown()
    if factor - factors.min() < TOLERANCE:
        return RopeScaling(kind="linear", factor=round(factor, 6)) if factor > 1.001 else None
    frequencies = _frequencies(theta, 2 * len(factors))
    kept = (1 / factors - 1 / factor) / (1 - 1 / factor)
    between = (kept > TOLERANCE) & (kept < 1 - TOLERANCE)
    candidates: list[dict[str, Any]] = [LLAMA_31]
    if between.sum() > 1:
        slope, start = np.polyfit(frequencies[between], kept[between], 1).tolist()
        width = -1 / start  # high - low
        high, context = round(1 + width, 3), round(slope * 2 * math.pi * width)
        candidates.append(
            {"low_freq_factor": 1.0, "high_freq_factor": high, "original_context": context}
        )
    for candidate in candidates:
        scaling = RopeScaling(kind="llama3", factor=round(factor, 6), **candidate)
        if not scaling.faults():
            expected = frequencies / scaled(frequencies, scaling)
            if np.allclose(expected, factors, rtol=TOLERANCE):
                return scaling
    raise _unknown()


def _frequencies(theta: float, head_dim: int) -> Array:
    import numpy as np

    frequencies: Array = theta ** -(np.arange(0, head_dim, 2) / head_dim)
    return frequencies


def _unknown() -> DataError:
    return DataError(
        "the RoPE of this model is not supported",
        why=f"the tensor {ROPE_FACTORS} is not that of Llama 3",
    )

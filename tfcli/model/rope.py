"""RoPE: how fast each pair of channels rotates, and what `config.json` says of it.

The tables of torch (`model.positions`) and of numpy (`generation.engines`), import and export all
come through here. Without torch and numpy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tfcli.model.config import RopeScaling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfcli.model.config import ModelConfig

DEFAULT_THETA = 10_000.0


def rope_frequencies(config: ModelConfig, exponents: Any) -> Any:
    """Radians per position of each pair of channels (i, i + D/2): theta^(-2i/D), or slower.

    The first pairs rotate fast, the last slowly, like the hands of a clock (Su et al., "RoFormer",
    2021, section 3.2.2).

    Args:
        exponents: 2i/D for each pair, (D/2,), float32: a tensor of torch or an array of numpy. The
            result is of the same library, since their powers differ in the last bit.

    """
    frequencies = config.rope_theta**-exponents
    return frequencies if config.rope_scaling is None else scaled(frequencies, config.rope_scaling)


def scaled(frequencies: Any, scaling: RopeScaling) -> Any:
    """The frequencies of a model that was made for a longer context later.

    linear: every one divided by the factor, so that position p looks like p / factor (Chen et al.,
    "Extending Context Window of Large Language Models via Position Interpolation", 2023).
    llama3: that for pairs that turn less than `low_freq_factor` times in the original context, and
    nothing for those that turn more than `high_freq_factor` times; in between, a mean of both
    (transformers' `modeling_rope_utils`). dynamic: nothing within the model's context.
    """
    if scaling.kind == "dynamic":
        return frequencies
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    low, high, context = (
        scaling.low_freq_factor, scaling.high_freq_factor, scaling.original_context
    )  # fmt: skip
    assert low is not None and high is not None and context is not None
    turns = frequencies * (context / (2 * math.pi))
    kept = ((turns - low) / (high - low)).clip(0, 1)  # 1: as fast as before
    return (1 - kept) * frequencies / scaling.factor + kept * frequencies


# --- config.json --------------------------------------------------------------------------------

# The fields of `RopeScaling` as `config.json` calls them.
SCALING_KEYS = {
    "factor": "factor",
    "low_freq_factor": "low_freq_factor",
    "high_freq_factor": "high_freq_factor",
    "original_context": "original_max_position_embeddings",
}


def to_rope_parameters(config: ModelConfig) -> dict[str, Any]:
    """The `rope_parameters` of `config.json`."""
    scaling = config.rope_scaling
    if scaling is None:
        return {"rope_type": "default", "rope_theta": config.rope_theta}
    values = {key: getattr(scaling, name) for name, key in SCALING_KEYS.items()}
    values = {key: value for key, value in values.items() if value is not None}
    return {"rope_type": scaling.kind, "rope_theta": config.rope_theta, **values}


def from_rope_parameters(rope: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse: the fields of `ModelConfig`.

    Args:
        rope: `rope_parameters` or, before transformers 5, `rope_scaling` and `rope_theta`.

    Raises:
        ValueError: RoPE is scaled in a way that is not computed here, or a value is invalid.

    """
    if rope.get("partial_rotary_factor") not in (None, 1):
        raise ValueError(f"partial_rotary_factor {str(rope['partial_rotary_factor'])[:40]!r}")
    theta = rope.get("rope_theta")
    return {
        "rope_theta": _float("rope_theta", DEFAULT_THETA if theta is None else theta),
        "rope_scaling": _scaling(rope),
    }


def _scaling(rope: Mapping[str, Any]) -> RopeScaling | None:
    kind: Any = rope.get("rope_type") or rope.get("type") or "default"  # `type` before 2024
    if kind == "default":
        return None
    if kind not in ("linear", "llama3", "dynamic"):
        raise ValueError(
            f"rope_type {str(kind)[:40]!r}; supported are 'default', 'linear', 'llama3', 'dynamic'"
        )
    if kind != "llama3":
        return RopeScaling(kind=kind, factor=_float("factor", rope.get("factor")))
    context = rope.get("original_max_position_embeddings")
    if type(context) is not int:
        raise ValueError(f"original_max_position_embeddings {str(context)[:40]!r}")
    factors = ("factor", "low_freq_factor", "high_freq_factor")
    values = {name: _float(name, rope.get(name)) for name in factors}
    return RopeScaling(kind=kind, original_context=context, **values)


def _float(name: str, value: Any) -> float:
    if type(value) not in {int, float}:
        raise ValueError(f"{name} {str(value)[:40]!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is too large") from None

"""RoPE: how fast each pair of channels rotates, and what `config.json` says of it.

A scaling of RoPE for longer contexts is a field of `ModelConfig` and a change to this file: the
tables of torch (`model.positions`) and of numpy (`generation.engines`), import and export all come
through here. Without torch and numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfcli.model.config import ModelConfig

DEFAULT_THETA = 10_000.0


def rope_frequencies(config: ModelConfig, exponents: Any) -> Any:
    """Radians per position of each pair of channels (i, i + D/2): theta^(-2i/D).

    The first pairs rotate fast, the last slowly, like the hands of a clock (Su et al., "RoFormer",
    2021, section 3.2.2).

    Args:
        exponents: 2i/D for each pair, (D/2,), float32: a tensor of torch or an array of numpy. The
            result is of the same library, since their powers differ in the last bit.

    """
    return config.rope_theta**-exponents


def to_rope_parameters(config: ModelConfig) -> dict[str, Any]:
    """The `rope_parameters` of `config.json`."""
    return {"rope_type": "default", "rope_theta": config.rope_theta}


def from_rope_parameters(rope: Mapping[str, Any]) -> dict[str, float]:
    """The reverse: the fields of `ModelConfig`.

    Args:
        rope: `rope_parameters` or, before transformers 5, `rope_scaling` and `rope_theta`.

    Raises:
        ValueError: RoPE is scaled in a way that is not computed here, or a value is invalid.

    """
    for key in ("rope_type", "type"):  # its name before 2024
        if rope.get(key) not in (None, "default"):
            raise ValueError(f"{key} {str(rope[key])[:40]!r}; only 'default' is supported")
    if rope.get("partial_rotary_factor") not in (None, 1):
        raise ValueError(f"partial_rotary_factor {str(rope['partial_rotary_factor'])[:40]!r}")
    theta = rope.get("rope_theta")
    theta = DEFAULT_THETA if theta is None else theta
    if type(theta) not in {int, float}:
        raise ValueError(f"rope_theta {str(theta)[:40]!r}")
    try:
        return {"rope_theta": float(theta)}
    except OverflowError:
        raise ValueError("rope_theta is too large") from None

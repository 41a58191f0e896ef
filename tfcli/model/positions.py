"""Computed positions: RoPE, and the sinusoids of the first Transformer.

The third kind, learned position embeddings, is a table like the token embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tfcli.model.rope import rope_frequencies

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig


def rotary_table(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines of RoPE's angles, each of shape (context_length, head_dim).

    Position p rotates the pair (i, i + D/2) of a head by p times the frequency of that pair. The
    dot product of a query and a key then depends on their distance alone. Su et al., "RoFormer",
    2021, equation 34.
    """
    exponents = _arange(0, config.head_dim, 2) / config.head_dim
    angles = torch.outer(_arange(config.context_length), rope_frequencies(config, exponents))
    angles = torch.cat((angles, angles), dim=-1)  # (T, D)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotates each pair (i, i + D/2) of x (B, H, T, D) by the angle of its position."""
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat((-second, first), dim=-1) * sines


def sinusoidal_table(length: int, width: int) -> Tensor:
    """A fixed vector for each position, (length, width): alternating sines and cosines.

    PE(p, 2i) = sin(p / 10000^(2i/E)), PE(p, 2i+1) = cos(p / 10000^(2i/E)).
    Vaswani et al., "Attention Is All You Need", 2017, section 3.5.
    """
    exponents = _arange(0, width, 2) / width
    angles = torch.outer(_arange(length), 10_000.0**-exponents)
    table = torch.empty(length, width, device="cpu")
    table[:, 0::2] = angles.sin()
    table[:, 1::2] = angles.cos()[:, : width // 2]
    return table


def _arange(*range: int) -> Tensor:
    # on the CPU even if a model is built on the meta device, whose weights are filled in later
    return torch.arange(*range, dtype=torch.float32, device="cpu")

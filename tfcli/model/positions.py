"""How a model knows the order of the tokens: rotary angles, or a fixed vector for each position.

The third way, learned vectors, is a table like that of the tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_table(length: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, each of shape (length, head_dim).

    Position p turns the pair (i, i + D/2) of a head by the angle p / theta^(2i/D): near pairs
    fast, far pairs slowly, like the hands of a clock. The product of a query and a key then
    depends on their distance alone. Su et al., "RoFormer", 2021, equation 34.
    """
    frequencies = theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    angles = torch.cat((angles, angles), dim=-1)  # (T, D)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turns each pair (i, i + D/2) of x, shape (B, H, T, D), by the angle of its position."""
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat((-second, first), dim=-1) * sines


def sinusoidal_table(length: int, width: int) -> Tensor:
    """One fixed vector a position, shape (length, width): sines and cosines, alternating.

    PE(p, 2i) = sin(p / 10000^(2i/E)), PE(p, 2i+1) = cos(p / 10000^(2i/E)).
    Vaswani et al., "Attention Is All You Need", 2017, section 3.5.
    """
    exponents = torch.arange(0, width, 2, dtype=torch.float32) / width
    angles = torch.outer(torch.arange(length, dtype=torch.float32), 10_000.0**-exponents)
    table = torch.empty(length, width)
    table[:, 0::2] = angles.sin()
    table[:, 1::2] = angles.cos()[:, : width // 2]
    return table

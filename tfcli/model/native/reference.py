"""What the kernels compute, in torch: used where they are not, and tested against."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tfcli.model.positions import rotate


class Heads(NamedTuple):
    """How many heads for queries, for keys and values, and their size: H, K, D."""

    num_heads: int
    num_kv_heads: int
    head_dim: int


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """RMSNorm over the last dimension."""
    return F.rms_norm(x, weight.shape, weight.to(x.dtype), epsilon)


def add_norm(
    x: Tensor, branch: Tensor, mask: Tensor | None, factor: float, weight: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """The sum of x and the branch, which dropout masks and scales; and its norm."""
    total = x + (branch if mask is None else branch * (mask.to(x.dtype) * factor))
    return total, rms_norm(total, weight, epsilon)


def swiglu(x: Tensor) -> Tensor:
    """silu(gate) * up, of both side by side: (..., 2 F) -> (..., F)."""
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up


def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int) -> Tensor:
    """The summed loss: logits (N, V), targets (N,)."""
    # softmax needs full precision
    return F.cross_entropy(logits.float(), targets, ignore_index=ignore_index, reduction="sum")


def causal_attention(
    qkv: Tensor,
    query_weight: Tensor | None = None,
    key_weight: Tensor | None = None,
    *,
    rotary: tuple[Tensor, Tensor] | None,
    heads: Heads,
    epsilon: float,
) -> Tensor:
    """Attention with QK-norm and RoPE: (B, T, (H + 2 K) D) -> (B, T, H D)."""
    H, K, D = heads
    split = torch.split(qkv, [H * D, K * D, K * D], dim=-1)
    queries, keys, values = (part.view(*part.shape[:2], -1, D) for part in split)
    if query_weight is not None and key_weight is not None:
        queries = rms_norm(queries, query_weight, epsilon)
        keys = rms_norm(keys, key_weight, epsilon)
    queries, keys, values = (part.transpose(1, 2) for part in (queries, keys, values))
    if rotary is not None:
        cosines, sines = (table.to(qkv.dtype) for table in rotary)
        queries, keys = rotate(queries, cosines, sines), rotate(keys, cosines, sines)
    # the kernel of scaled_dot_product_attention has no second derivative
    scores = (queries / D**0.5) @ keys.repeat_interleave(H // K, dim=1).mT
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=qkv.device).triu(1)
    shares = scores.masked_fill(later, float("-inf")).softmax(-1)
    attended: Tensor = shares @ values.repeat_interleave(H // K, dim=1)
    return attended.transpose(1, 2).flatten(2)

"""Two functions that torch is slow at on a CPU; `docs/lab-notes.md` has what that cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Divides x (..., width) by its root mean square over the last dimension.

    y = x / sqrt(mean(x^2) + epsilon) * weight. On a CPU torch puts this together from a dozen small
    operations and their derivatives; there it is done as in `_OnCPU`.
    """
    if _is_plain_cpu(x) and torch.is_grad_enabled():
        return _OnCPU.apply(x, weight, epsilon)  # type: ignore[no-any-return,no-untyped-call]
    return F.rms_norm(x, weight.shape, weight.to(x.dtype), epsilon)  # one type: the fused kernel


def dropout(x: Tensor, share: float, training: bool, dropout_mask: Tensor | None = None) -> Tensor:
    """Sets a random share of x to zero and scales the rest up, so that the mean stays.

    Srivastava et al., "Dropout", 2014.

    Args:
        dropout_mask: from `draw_dropout_mask`; None leaves the drawing to torch.

    """
    if dropout_mask is None or not training:
        return F.dropout(x, share, training)
    return x * (dropout_mask.to(x.dtype) * (256 / (256 - _dropped(share))))


def draw_dropout_mask(shape: Sequence[int], share: float, seed: Sequence[int]) -> Tensor:
    """Draws what dropout keeps, for a CPU: a byte for each number, of which torch draws floats.

    The share is rounded to a multiple of 1/256.
    """
    random = np.random.Generator(np.random.SFC64(list(seed)))
    count = math.prod(shape)
    words = random.integers(0, 2**64, -(-count // 8), np.uint64)
    return torch.from_numpy(words.view(np.uint8)[:count] >= _dropped(share)).view(*shape)


def _dropped(share: float) -> int:
    return min(255, max(1, round(256 * share)))


def _is_plain_cpu(x: Tensor) -> bool:
    # compiled code has its own, fused with what stands around them
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


class _OnCPU(torch.autograd.Function):
    """RMSNorm whose gradient comes from the kernel of LayerNorm.

    With s = 1 / sqrt(mean(x^2) + epsilon), n = s x and h = gradient * weight,

        RMSNorm:    dx = s (h - n mean(h n))
        LayerNorm:  dx = s (h - mean(h) - n mean(h n)),  told that the mean of x is 0

    so the kernel's result and s mean(h) make up ours. The gradient of the weight is the same.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        width = x.shape[-1]
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        # as a matrix product, since that is faster than a mean
        mean = torch.mv((wide * wide).reshape(-1, width), wide.new_full((width,), 1 / width))
        scale = mean.add_(epsilon).rsqrt_().view(*x.shape[:-1], 1)
        ctx.save_for_backward(x, weight, scale)
        return (wide * scale).mul_(weight).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None]:
        x, weight, scale = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        width, wide = x.shape[-1], weight.to(scale.dtype)
        to_x, to_weight, _ = torch.ops.aten.native_layer_norm_backward(
            gradient, x.contiguous(), (width,), torch.zeros_like(scale), scale, wide, None,
            [True, True, False],
        )  # fmt: skip
        rows = gradient.view(-1, width)
        mean = torch.mv(rows, weight.to(rows.dtype)).view(scale.shape).to(scale.dtype)
        to_x += mean.mul_(scale / width)
        return to_x, to_weight.to(weight.dtype), None

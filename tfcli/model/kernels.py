"""Two functions that took a third of a training step on a CPU, where torch is slow at them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Y = x / sqrt(mean(x^2) + epsilon) * weight, over the last dimension of x (..., width).

    On a CPU torch puts RMSNorm together from a dozen small operations and their derivatives, which
    took a quarter of a training step of small models. There it is done as in `_OnCPU`.
    """
    if _is_plain_cpu(x) and torch.is_grad_enabled():
        return _OnCPU.apply(x, weight, epsilon)  # type: ignore[no-any-return,no-untyped-call]
    return F.rms_norm(x, weight.shape, weight.to(x.dtype), epsilon)  # one type: the fused kernel


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Sets a random share of x to zero and scales the rest up, so that the mean stays.

    Srivastava et al., "Dropout", 2014. On a CPU the share is rounded to a multiple of 1/256: there
    drawing a byte for each number is many times faster than drawing a float.
    """
    if not training or share == 0 or not _is_plain_cpu(x):
        return F.dropout(x, share, training)
    dropped = min(255, max(1, round(256 * share)))
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
    return x * kept.to(x.dtype).mul_(256 / (256 - dropped))


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

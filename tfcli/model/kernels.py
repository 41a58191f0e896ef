"""RMSNorm and dropout, which torch computes slowly on a CPU; measured in `docs/lab-notes.md`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tfcli.model.native import functions, reference
from tfcli.model.native.library import library_for

if TYPE_CHECKING:
    from collections.abc import Sequence


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """RMSNorm over the last dimension of x, (..., width).

    y = x / sqrt(mean(x^2) + epsilon) * weight. On a CPU our kernel computes it. Where that was not
    compiled, training uses `CPURMSNorm`, since torch builds this from a dozen small operations and
    their derivatives.
    """
    if library_for(x, weight):
        return functions.rms_norm(x, weight, epsilon)
    if _is_eager_cpu(x) and torch.is_grad_enabled():
        return CPURMSNorm.apply(x, weight, epsilon)  # type: ignore[no-any-return,no-untyped-call]
    return reference.rms_norm(x, weight, epsilon)


def add_rms_norm(
    x: Tensor, branch: Tensor, dropout: Dropout, weight: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """The sum x + dropout(branch), and its RMSNorm; (..., width) each."""
    by_mask = not dropout.p or dropout.mask is not None
    if by_mask and branch.dtype == x.dtype and library_for(x, weight):
        factor = _kept_factor(dropout.p) if dropout.p else 1.0
        mask = dropout.mask if dropout.p else None
        return functions.add_norm(x, branch, mask, factor, weight, epsilon)
    x = x + dropout(branch)
    return x, rms_norm(x, weight, epsilon)


def cross_entropy(
    logits: Tensor, targets: Tensor, ignore_index: int, weights: Tensor | None = None
) -> Tensor:
    """The summed cross-entropy in nats: logits (N, V), targets (N,), and weights (N,) of these."""
    if weights is not None:
        each = F.cross_entropy(logits.float(), targets, ignore_index=ignore_index, reduction="none")
        return (each * weights).sum()
    if library_for(logits):
        return functions.cross_entropy(logits, targets, ignore_index)
    return reference.cross_entropy(logits, targets, ignore_index)


def dropout(x: Tensor, p: float, training: bool, dropout_mask: Tensor | None = None) -> Tensor:
    """Zeroes each element of x with probability `p` and scales the rest up, which keeps the mean.

    Srivastava et al., "Dropout", 2014.

    Args:
        dropout_mask: from `draw_dropout_mask`; None lets torch draw it.

    """
    if dropout_mask is None or not training:
        return F.dropout(x, p, training)
    return x * (dropout_mask.to(x.dtype) * _kept_factor(p))


class Dropout(NamedTuple):
    """The dropout of a forward pass.

    Attributes:
        p: probability of being zeroed; 0 outside training.
        mask: from `draw_dropout_mask`, of all sites or of one; None: torch draws it.

    """

    p: float
    mask: Tensor | None

    def site(self, index: int) -> Dropout:
        """Dropout at one of the places in the model."""
        return self._replace(mask=None if self.mask is None else self.mask[index])

    def __call__(self, x: Tensor) -> Tensor:
        """Applies it."""
        return dropout(x, self.p, bool(self.p), self.mask)


def draw_dropout_mask(shape: Sequence[int], p: float, seed: Sequence[int]) -> Tensor:
    """True where dropout keeps an element; draws a byte per element, where torch draws a float.

    For the CPU. `p` is rounded to a multiple of 1/256.
    """
    random = np.random.Generator(np.random.SFC64(list(seed)))
    count = math.prod(shape)
    words = random.integers(0, 2**64, -(-count // 8), np.uint64)
    return torch.from_numpy(words.view(np.uint8)[:count] >= _dropped_of_256(p)).view(*shape)


def _kept_factor(p: float) -> float:
    """What dropout scales the rest by."""
    return 256 / (256 - _dropped_of_256(p))


def _dropped_of_256(p: float) -> int:
    return min(255, max(1, round(256 * p)))


def _is_eager_cpu(x: Tensor) -> bool:
    # torch.compile fuses its own with the operations around them
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


class CPURMSNorm(torch.autograd.Function):
    """RMSNorm whose gradient comes from the LayerNorm kernel.

    With s = 1 / sqrt(mean(x^2) + epsilon), n = s x and h = gradient * weight,

        RMSNorm:    dx = s (h - n mean(h n))
        LayerNorm:  dx = s (h - mean(h) - n mean(h n)),  given 0 as the mean of x

    so ours is the kernel's result plus s mean(h). The gradient of the weight is the same.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        width = x.shape[-1]
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        # a matrix product, which is faster than a mean
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

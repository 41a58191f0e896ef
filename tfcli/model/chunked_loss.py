"""Head and loss together, chunk by chunk: the logits of all positions are never in memory at once.

With a vocabulary of 151,936, the logits of a thousand positions take 600 MB, and their gradients
as much again. Here no more than a chunk of them exists at any time: its loss, then its gradients,

    logits = x W^T        g = softmax(logits) - onehot(targets)        dx = g W        dW += g^T x

which are computed in the forward pass already, so that no logits are computed twice. Shapes are
those of `tfcli.model.transformer`, with the positions of all rows in one dimension.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tfcli.model.cost import chunk_tokens
from tfcli.model.kernels import cross_entropy


def chunked_cross_entropy(
    x: Tensor, table: Tensor, targets: Tensor, ignore_index: int, weights: Tensor | None = None
) -> Tensor:
    """The summed cross-entropy in nats of the logits x W^T.

    Args:
        x: (B T, E), hidden states.
        table: W, (V, E), of the head.
        targets: (B T,); those equal to `ignore_index` are not counted.
        weights: (B T,), how much each target counts; None: 1 each.

    """
    return ChunkedCrossEntropy.apply(x, table, targets, ignore_index, weights)  # type: ignore[no-any-return,no-untyped-call]


class ChunkedCrossEntropy(torch.autograd.Function):
    """See `chunked_cross_entropy`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        table: Tensor,
        targets: Tensor,
        ignore_index: int,
        weights: Tensor | None,
    ) -> Tensor:
        weight = table.to(x.dtype)
        size = chunk_tokens(len(table))
        to_x, to_table = torch.empty_like(x), torch.zeros_like(table)
        total = torch.zeros((), device=x.device)
        chunks = [torch.split(tensor, size) for tensor in (x, targets, to_x)]
        counting = [None] * len(chunks[0]) if weights is None else torch.split(weights, size)
        for states, expected, to_states, own in zip(*chunks, counting, strict=True):
            with torch.enable_grad():
                logits = F.linear(states, weight).detach().requires_grad_()
                loss = cross_entropy(logits, expected, ignore_index, own)
            (gradient,) = torch.autograd.grad(loss, logits)
            total += loss.detach()
            torch.mm(gradient, weight, out=to_states)
            _add_product(to_table, gradient, states)
        ctx.save_for_backward(to_x, to_table)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None, None, None]:
        to_x, to_table = ctx.saved_tensors
        # in place: nothing else knows these two, and a copy of the second may not fit
        return to_x.mul_(gradients[0]), to_table.mul_(gradients[0]), None, None, None


def _add_product(total: Tensor, gradient: Tensor, states: Tensor) -> None:
    """Adds g^T x, (V, E), to a total in float32."""
    if states.dtype == total.dtype:
        total.addmm_(gradient.T, states)
    else:
        total += gradient.T @ states

"""Compiling a model for one shape of batch with `torch.compile`, and whether that is faster."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tfcli.model.transformer import Transformer
    from tfcli.training.batches import Batch
    from tfcli.training.distillation import Teacher

    Loss = Callable[..., Tensor]

TRIALS = 4  # the first one compiles and warms up


def compile_loss(
    model: Transformer, batch: Batch, teacher: Teacher | None = None, *, only_if_faster: bool
) -> tuple[Loss, str] | tuple[None, str]:
    """Compiles `model.loss` and tries it.

    Args:
        batch: a micro-batch as all of them will be; another shape would be compiled again.

    Returns:
        The compiled loss; or None and why there is none.

    """
    compiled = torch.compile(model.loss, dynamic=False)
    try:
        took = _pass_seconds(model, compiled, batch, teacher)
        if only_if_faster and took > _pass_seconds(model, model.loss, batch, teacher):
            return None, "compiled code is not faster"
    except Exception as error:  # the compiler raises errors of many kinds
        return None, f"{type(error).__name__}: {error}"[:200]
    finally:
        for parameter in model.parameters():
            parameter.grad = None
    return compiled, ""


def _pass_seconds(model: Transformer, loss: Loss, batch: Batch, teacher: Teacher | None) -> float:
    """How long forward and backward take, the fastest of a few trials."""
    arguments = batch.loss_arguments(model.embedding.weight.device)
    if teacher:
        arguments["soft_targets"] = teacher.soft_targets(batch)
    fastest = math.inf
    for _ in range(TRIALS):
        dropout_mask = model.draw_dropout(range(len(batch.inputs)), (0,))
        began = time.perf_counter()
        nats = loss(**arguments, dropout_mask=dropout_mask)
        nats.backward()  # type: ignore[no-untyped-call]
        nats.item()  # waits for the GPU
        fastest = min(fastest, time.perf_counter() - began)
    return fastest

"""Code made for one model and one shape of batch, by `torch.compile`, and whether it is of use."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tfcli.model.transformer import Transformer

    Loss = Callable[..., Tensor]

TRIALS = 4  # of each code; the first prepares


def compile_loss(
    model: Transformer, rows: int, *, only_if_faster: bool
) -> tuple[Loss, str] | tuple[None, str]:
    """Compiles `model.loss` for batches of so many whole rows, and tries it.

    Returns:
        The compiled loss; or None and why there is none.

    """
    compiled = torch.compile(model.loss, dynamic=False)
    try:
        took = _pass_seconds(model, compiled, rows)
        if only_if_faster and took > _pass_seconds(model, model.loss, rows):
            return None, "what was made is no faster"
    except Exception as error:  # of many kinds: the compiler is a world of its own
        return None, f"{type(error).__name__}: {error}"[:200]
    finally:
        for parameter in model.parameters():
            parameter.grad = None
    return compiled, ""


def _pass_seconds(model: Transformer, loss: Loss, rows: int) -> float:
    """What forward and backward of a batch of zeros take, the quickest of a few."""
    shape = (rows, model.config.context_length)
    ids = torch.zeros(shape, dtype=torch.int64, device=model.embedding.weight.device)
    fastest = math.inf
    for _ in range(TRIALS):
        dropout_mask = model.draw_dropout(range(rows), (0,))
        began = time.perf_counter()
        nats = loss(ids, ids, dropout_mask)
        nats.backward()  # type: ignore[no-untyped-call]
        nats.item()  # on a GPU this waits for all that was asked of it
        fastest = min(fastest, time.perf_counter() - began)
    return fastest

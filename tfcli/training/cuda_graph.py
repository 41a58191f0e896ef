"""Forward and backward pass of a small model on a GPU: recorded once as a CUDA graph, and replayed.

A small model is hundreds of kernels of some microseconds, and Python takes longer to launch them
than the GPU to run them. A graph launches all of them at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tfcli.model.cost import training_flops_per_token
from tfcli.runtime.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from tfcli.model.transformer import Transformer

    Arguments = Mapping[str, Any]  # of `Transformer.loss`

# Floating-point operations of a pass from which launching is hidden behind computing: some ten
# milliseconds of a fast GPU. A graph keeps the memory of a whole pass, so larger ones get none.
MAX_FLOPS = 5e12
WARM_UP = 3  # passes; what the first of them set up must not be in the recording


def record_loss(
    model: Transformer, loss: Callable[..., Tensor], arguments: Arguments
) -> GraphedLoss | None:
    """Records the passes of a model for micro-batches of one shape, where that pays.

    Args:
        loss: `model.loss`, or what was compiled of it.
        arguments: of `loss`, on the model's device, like those of the micro-batches to come.

    Returns:
        None where it does not pay, or where this version of torch cannot record it.

    """
    ids: Tensor = arguments["ids"]
    flops = training_flops_per_token(model.config) * ids.numel()
    if ids.device.type != "cuda" or model.checkpointing or flops > MAX_FLOPS:
        return None
    try:
        with torch.random.fork_rng(devices=[ids.device]):  # recording draws dropout, too
            return GraphedLoss(model, loss, arguments)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        model.zero_grad()
        return None


class GraphedLoss:
    """The loss and its gradients from a CUDA graph; see `record_loss`."""

    def __init__(
        self, model: Transformer, loss: Callable[..., Tensor], arguments: Arguments
    ) -> None:
        self._loss = loss
        self._parameters = list(model.parameters())
        self._arguments = {
            name: value.clone() if isinstance(value, torch.Tensor) else value
            for name, value in arguments.items()
        }
        self._factor = arguments["ids"].new_ones((), dtype=torch.float32)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._pass()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        self._clear_gradients()  # so that the recording allocates them, in its own memory
        with torch.cuda.graph(self._graph):
            self._scaled = self._pass()
        self._gradients = [parameter.grad for parameter in self._parameters]
        self._clear_gradients()

    def _pass(self) -> Tensor:
        self._clear_gradients()
        scaled: Tensor = self._loss(**self._arguments, dropout_mask=None) * self._factor
        scaled.backward()  # type: ignore[no-untyped-call]
        return scaled.detach()

    def _clear_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def fits(self, arguments: Arguments) -> bool:
        """Whether these have the shapes, and the other values, that were recorded."""
        recorded = self._arguments
        return arguments.keys() == recorded.keys() and all(
            recorded[name].shape == value.shape
            if isinstance(value, torch.Tensor) and isinstance(recorded[name], torch.Tensor)
            else value is recorded[name]
            for name, value in arguments.items()
        )

    def backward(self, arguments: Arguments, factor: float) -> Tensor:
        """The loss times `factor`, after its gradients have become those of the parameters.

        Both are in the memory of the graph: the next call overwrites them.
        """
        for name, value in arguments.items():
            if isinstance(value, torch.Tensor):
                self._arguments[name].copy_(value, non_blocking=True)
        self._factor.fill_(factor)
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._scaled

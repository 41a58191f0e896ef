"""How fast this machine trains, measured on real steps, for plans made from a time budget."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from tfcli.model.native.library import load_library
from tfcli.model.transformer import Transformer
from tfcli.runtime.memory import is_out_of_memory
from tfcli.training.optimizers import Optimizer, OptimizerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tfcli.model.config import ModelConfig
    from tfcli.runtime.dtype import DType
    from tfcli.training.micro_batch import MicroBatch
    from tfcli.training.options import OptimizerKind

TRIALS = 2
DROPOUT = 0.1  # as nearly all have that train for minutes; its masks take time, too
DEEP, SHALLOW = 11, (1, 3)  # layers
LONG_TRIAL = 1.0  # seconds, after which one is enough
# The square matrices that the peak is measured with: from the smallest to the largest of a device,
# until a product takes long enough. Where a format is emulated, the largest would take seconds.
MIN_SIDE = 256
MAX_SIDE = {"cpu": 1024, "mps": 2048, "cuda": 8192}
ENOUGH_SECONDS = 0.02


class Probe:
    """Times pieces of training on a device, a fraction of a second each."""

    def __init__(self, device: torch.device, optimizer: OptimizerKind = "muon") -> None:
        self.device = device
        self._optimizer = OptimizerConfig(kind=optimizer)

    def step_seconds(self, config: ModelConfig, micro_batch: MicroBatch, dtype: DType) -> float:
        """How long a step takes without compiling; infinite where the memory is too small.

        Of a deep model, two shallower ones are timed, and each further block is taken to cost as
        much as those by which they differ.
        """
        if config.num_layers <= DEEP:
            return self._measured(config, micro_batch, dtype)
        fewer, more = (
            self._measured(replace(config, num_layers=layers), micro_batch, dtype)
            for layers in SHALLOW
        )
        each = max(0.0, more - fewer) / (SHALLOW[1] - SHALLOW[0])
        return more + (config.num_layers - SHALLOW[1]) * each

    def _measured(self, config: ModelConfig, micro_batch: MicroBatch, dtype: DType) -> float:
        try:
            model = Transformer(
                config, DROPOUT, getattr(torch, dtype), checkpointing=micro_batch.checkpointing
            )
            model.init_weights(0)
            model.to(self.device)
            optimizer = Optimizer(model, self._optimizer, getattr(torch, dtype))
            return self.time_step(model, model.loss, optimizer, micro_batch.size)
        except RuntimeError as error:
            if is_out_of_memory(error):
                return math.inf
            raise

    def time_step(
        self, model: Transformer, loss: Callable[..., Tensor], optimizer: Optimizer, rows: int
    ) -> float:
        """How long a model takes for forward, backward and optimizer step.

        Args:
            loss: `model.loss`, or what was compiled of it.

        """
        shape = (rows, model.config.context_length)
        ids = torch.randint(model.config.vocab_size, shape, device=self.device)

        # without the CUDA graph of a small model: what it saves, the rest of the loop takes
        def step() -> None:
            dropout_mask = model.draw_dropout(range(rows), (0,))
            loss(ids, ids, dropout_mask).backward()  # type: ignore[no-untyped-call]
            optimizer.step(0.0)

        return self._fastest(step)

    def peak(self, dtype: DType) -> float:
        """Floating-point operations per second in a large matrix product.

        Of random numbers: with zeros or ones a GPU draws less power, and is faster than it ever is
        in training.
        """
        random = torch.Generator(self.device).manual_seed(0)
        side = MIN_SIDE
        while True:
            x = torch.randn(side, side, device=self.device, generator=random)
            x = x.to(getattr(torch, dtype))
            seconds = self._fastest(partial(torch.matmul, x, x))
            if side >= MAX_SIDE[self.device.type] or seconds > ENOUGH_SECONDS:
                return float(2 * side**3 / seconds)
            side *= 2

    def _fastest(self, work: Callable[[], object]) -> float:
        fastest = math.inf
        for _ in range(1 + TRIALS):  # the first one warms up threads, kernels, memory
            self._finish()
            began = time.perf_counter()
            work()
            self._finish()
            # the minimum: whatever else the machine does can only add to it
            fastest = min(fastest, time.perf_counter() - began)
            if fastest > LONG_TRIAL:
                break
        return fastest

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


def compiling_may_pay(device: torch.device) -> bool:
    """Whether `torch.compile` has what it needs, and may make steps faster.

    On a CPU that is a C++ compiler; where our own kernels are there, compiled code is slower.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (7, 0)
    if device.type != "cpu" or load_library() is not None:
        return False
    return any(map(shutil.which, ("c++", "g++", "clang++")))

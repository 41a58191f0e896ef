"""What there is to train with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.training.micro_batch import UNKNOWN_MEMORY, MemoryLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.model.config import ModelConfig
    from tfcli.runtime.dtype import DType
    from tfcli.training.micro_batch import MicroBatch


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What there is to train with.

    Attributes:
        dtype: the number format to multiply in, unless the user asks for another.
        batch_tokens: tokens in an optimizer step that keep one device busy.
        memory: usable bytes for each process.
        shared: whether the memory is also that of other programs, so that it is not all used
            where less is enough.
        world_size: processes that share the rows of a batch.
        compiles: whether `torch.compile` has what it needs, and may make steps faster.
        step_seconds: measures one step of a model on a micro-batch; None: the plan must not
            depend on the machine's speed.
        spent: seconds of a time budget that have passed already.

    """

    dtype: DType
    batch_tokens: int = 2048
    memory: MemoryLimits = UNKNOWN_MEMORY
    shared: bool = False
    world_size: int = 1
    compiles: bool = False
    step_seconds: Callable[[ModelConfig, MicroBatch, DType], float] | None = None
    spent: float = 0.0

"""How many rows are computed at once, by the memory that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tfcli.errors import UsageError
from tfcli.model.cost import training_bytes
from tfcli.runtime.memory import available_memory

if TYPE_CHECKING:
    import torch

    from tfcli.model.config import ModelConfig
    from tfcli.runtime.distributed import DistributedContext


class MemoryLimits(NamedTuple):
    """Usable bytes for each process, None where unknown.

    Attributes:
        plain: for what `training_bytes` counts.
        checkpointed: the same with checkpointing, where nearly all is weights, gradients and
            moments, large pieces that an allocator gives back.

    """

    plain: int | None = None
    checkpointed: int | None = None

    def at_most(self, amount: int) -> MemoryLimits:
        """The same, but no more than that."""
        return MemoryLimits(*(amount if n is None else min(n, amount) for n in self))


UNKNOWN_MEMORY = MemoryLimits()


# Of the free memory, for what `training_bytes` counts. The rest is for what the allocator cannot
# give back: on a CPU up to a third of what was in use.
MEMORY_SHARE = {"cpu": 0.6, "mps": 0.6, "cuda": 0.8}
# With checkpointing most of it is weights, gradients and moments, which it can give back.
CHECKPOINTED_SHARE = {"cpu": 0.9, "mps": 0.7, "cuda": 0.9}


def usable_memory(device: torch.device, processes: DistributedContext) -> MemoryLimits:
    """Usable bytes for each process: a GPU is its own, main memory is for all on this machine."""
    memory = available_memory(device)
    if memory is None:
        return MemoryLimits()
    each = memory / (1 if device.type == "cuda" else processes.local_world_size)
    return MemoryLimits(
        int(MEMORY_SHARE[device.type] * each), int(CHECKPOINTED_SHARE[device.type] * each)
    )


class MicroBatch(NamedTuple):
    """How a batch is computed in the memory that there is.

    Attributes:
        size: rows in memory at once.
        checkpointing: see `tfcli.model.transformer`.
        sharded: whether the weights have to be sharded across the processes.

    """

    size: int
    checkpointing: bool = False
    sharded: bool = False


def choose_micro_batch(
    model: ModelConfig,
    rows: int,
    *,
    memory: MemoryLimits,
    preferred: int | None = None,
    checkpointing: bool | None = None,
    world_size: int = 1,
    sharded: bool | None = None,
    hint: str | None = None,
    resumed: str | None = None,
) -> MicroBatch:
    """How many rows fit into the memory at once, whether by checkpointing, or only sharded.

    Args:
        rows: that the process with the most of them would like to work on at once.
        memory: of each process.
        preferred: bytes that are not exceeded where that is possible.
        checkpointing: what the user wants; None leaves it to the memory.
        sharded: likewise.
        hint: what to do where nothing fits; None: `memory_hint`.
        resumed: the name of the run, where it has been begun already.

    Raises:
        UsageError: not even one row fits.

    """
    found = None
    if sharded is not True:
        if preferred is not None:
            found = _micro_batch(model, rows, memory.at_most(preferred), checkpointing)
            lean = checkpointing is not False  # as little more as possible
            found = found or _micro_batch(model, 1, memory, checkpointing=lean)
        found = found or _micro_batch(model, rows, memory, checkpointing)
    if world_size > 1 and (found is None if sharded is None else sharded):
        size = rows_in_memory(model, rows, memory.plain, shards=world_size)
        found = None if size is None else MicroBatch(size, sharded=True)
    if found is None:
        shards = world_size if sharded is not False else 1
        lean = shards == 1 and checkpointing is not False
        limit = memory.checkpointed if lean else memory.plain
        needed = training_bytes(model, model.context_length, shards=shards, checkpointing=lean)
        raise UsageError(
            "this model does not fit into the memory of the device",
            why=f"about {needed / 2**30:.1f} GiB needed, {(limit or 0) / 2**30:.1f} GiB usable",
            hint=hint or memory_hint(resumed),
        )
    return found


def _micro_batch(
    model: ModelConfig, rows: int, memory: MemoryLimits, checkpointing: bool | None
) -> MicroBatch | None:
    """Of one process that holds all weights: without checkpointing, where that fits."""
    for lean in (False, True) if checkpointing is None else (checkpointing,):
        limit = memory.checkpointed if lean else memory.plain
        size = rows_in_memory(model, rows, limit, checkpointing=lean)
        if size is not None:
            return MicroBatch(size, checkpointing=lean)
    return None


def memory_hint(resumed: str | None) -> str:
    """What to do where not even one row fits into the memory.

    Args:
        resumed: the name of the run, whose model and batch cannot change any more.

    """
    if resumed is None:
        return "use a smaller --size or --context-length"
    return f"free some memory, or try another device: tfcli train --resume {resumed} --device cpu"


def rows_in_memory(
    model: ModelConfig,
    rows: int,
    memory: int | None,
    *,
    shards: int = 1,
    checkpointing: bool = False,
) -> int | None:
    """The size of the fewest equal parts of `rows` that fit into the memory; None where none do."""
    for parts in range(1, rows + 1):
        size = -(-rows // parts)
        needed = training_bytes(
            model, size * model.context_length, shards=shards, checkpointing=checkpointing
        )
        if memory is None or needed <= memory:
            return size
    return None

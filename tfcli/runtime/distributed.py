"""One training run by several processes, as `torchrun` starts them.

Every process makes the same decisions about the same batches, and works on its shard of the rows
of each. The gradients of all are summed, so the step is that of one process alone, up to the
rounding of another order of addition.

    data parallel   each process holds the whole model; gradients are summed once per step
    sharded         each holds a part of every weight and of its optimizer state, and gathers a
                    block only while it computes with it, for models too large for one device
                    (Zhao et al., "PyTorch FSDP", 2023)

The main process alone prints, writes and reads the clock; the others follow it.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import secrets
import signal
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from tfcli.errors import ConflictError, TfcliError, UsageError
from tfcli.files import remove_file, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch.distributed.distributed_c10d import Store

TIMEOUT = datetime.timedelta(days=1)  # the others wait while the main one reads a large corpus
MEETING_TIME = datetime.timedelta(minutes=5)  # from the first process to the last
SHARING_SECONDS = 5.0  # until a new file is visible on all machines of a network file system


@dataclass(frozen=True)
class DistributedContext:
    """The processes of a training run, as one of them sees it. Usually there is only one.

    Attributes:
        rank: which of them this is, from 0.
        world_size: how many there are.
        local_rank: which of those on this machine.
        local_world_size: how many there are on this machine.
        sharded: whether each holds only a part of the weights.

    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    sharded: bool = False

    @property
    def is_main(self) -> bool:
        """Whether this is the one that speaks and writes."""
        return self.rank == 0

    def row_shard(self, rows: int) -> range:
        """The rows of a batch that this process works on.

        All shards together are the batch. With fewer rows than processes some shards are empty.
        """
        size, rank = self.world_size, self.rank
        return range(rank * rows // size, (rank + 1) * rows // size)

    def broadcast(self, value: float) -> float:
        """The main process's `value`: the clocks and signals of the others do not count."""
        if self.world_size == 1:
            return value
        message = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(message, 0)
        return message.item()

    def broadcast_text(self, text: str) -> str:
        """The main process's `text`."""
        if self.world_size == 1:
            return text
        size = int(self.broadcast(len(text.encode())))
        message = torch.zeros(size, dtype=torch.uint8)
        if self.is_main:
            message = torch.tensor(list(text.encode()), dtype=torch.uint8)
        dist.broadcast(message, 0)
        return bytes(message.tolist()).decode()

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Overwrites tensors with those of the main process."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def all_reduce(self, *values: float) -> tuple[float, ...]:
        """The sum of each value over all processes."""
        if self.world_size == 1:
            return values
        message = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(message)
        return tuple(message.tolist())

    def all_reduce_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Sums the gradients over all processes, in one message; FSDP has summed sharded ones.

        After the whole backward pass and not during it: a process that runs out of memory can
        then try again with smaller micro-batches while the others wait.
        """
        if self.world_size == 1 or self.sharded:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        message = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(message)
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, torch.split(message, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))


SINGLE_PROCESS = DistributedContext()


def init(folder: Path) -> DistributedContext:
    """Joins the other processes that `torchrun` started; to be called only where it did.

    Args:
        folder: where runs are kept, as each process sees it from its working directory.

    Raises:
        ConflictError: the processes do not all see the same folder.
        UsageError: not all of them came.

    """
    cuda = torch.cuda.is_available()
    with _killable():
        store, rank, world_size = _meet()
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            store=store, rank=rank, world_size=world_size, timeout=TIMEOUT,
        )  # fmt: skip
    processes = DistributedContext(
        rank=dist.get_rank(),
        world_size=dist.get_world_size(),
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        local_world_size=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
    )
    try:
        if processes.world_size > 1:
            _require_shared(folder, processes)
    except TfcliError:
        shutdown(barrier=True)
        raise
    return processes


def _meet() -> tuple[Store, int, int]:
    """Waits for all processes; returns the store that they share, the rank and the world size."""
    hint = "torchrun --nproc-per-node 2 -m tfcli train FILE"
    try:
        store, rank, world_size = next(rendezvous("env://", timeout=MEETING_TIME))
        keys = [f"tfcli/{other}" for other in range(world_size)]
        store.set(f"tfcli/{rank}", "here")
        store.wait(keys, MEETING_TIME)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            "the environment variables of torchrun are missing or invalid",
            why=_first_line(error),
            hint=hint,
        ) from None
    except RuntimeError as error:
        raise UsageError(
            "not all processes joined the training run", why=_first_line(error), hint=hint
        ) from None
    store.set_timeout(TIMEOUT)
    return store, rank, world_size


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


@contextlib.contextmanager
def _killable() -> Iterator[None]:
    """Signals end the process at once: Python would handle them only when C++ is done waiting."""
    names = (name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
    handlers = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _require_shared(folder: Path, processes: DistributedContext) -> None:
    """Checks that all see the same files: the main process writes one, the others look for it.

    Machines with folders of their own would otherwise find out only when the others open the run.

    Raises:
        ConflictError: not all of them found it; in every process.
        InputOutputError: the main process could not write it; the others get a ConflictError.

    """
    name, failure = f".shared-{secrets.token_hex(8)}", None
    if processes.is_main:
        try:
            write_file(folder / name, b"")
        except TfcliError as error:
            failure = error
    name = processes.broadcast_text("" if failure else name)
    if failure:
        raise failure
    if not name:
        raise ConflictError("the main process cannot write to its folder")
    found = _appears(folder / name)
    (missing,) = processes.all_reduce(not found)
    if processes.is_main:
        remove_file(folder / name)
    if missing:
        raise ConflictError(
            f"{int(missing)} of {processes.world_size} processes do not share a folder with the "
            "main process",
            why=f"on {platform.node()} it is {folder.resolve()}",
            hint="run torchrun on every machine in the same folder of a network file system",
        )


def _appears(path: Path) -> bool:
    """Whether a file is there, or is after a few seconds."""
    end = time.monotonic() + SHARING_SECONDS
    while not path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def shutdown(*, barrier: bool) -> None:
    """Leaves the group; after a barrier if all is well: no rank then messages one that is gone."""
    if barrier:
        dist.barrier()
    dist.destroy_process_group()


# --- sharding -----------------------------------------------------------------------------------


def shard(model: nn.Module, parts: Iterable[nn.Module], device: torch.device) -> None:
    """Gives each process its part of every weight: rows r/N to (r + 1)/N of each matrix.

    Args:
        model: on the meta device, so that no process ever holds all of it.
        parts: of the model, such as its blocks; each is gathered as a whole when it computes.
        device: where the parts go, uninitialized; `copy_full_tensor` fills them.

    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    # what a block adds to the residual stream is a view, which nothing changes in place
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for part in (*parts, model):
        sharded = fully_shard(part, mesh=mesh)
        # each process has its rows' part of the mean already: gradients are to be summed
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)  # all that gloo can do
    tables = {name: buffer.clone() for name, buffer in model.named_buffers()}  # not on meta
    model.to_empty(device=device)
    for name, buffer in model.named_buffers():
        buffer.copy_(tables[name])


def reshard(model: nn.Module) -> None:
    """Frees the weights gathered for a forward pass that no backward pass followed."""
    free = getattr(model, "reshard", None)  # of FSDP; a plain model has gathered nothing
    if free is not None:
        free()


class GatheredTensor:
    """A tensor that is gathered from all processes when numpy asks for it, and not kept.

    So all of a model can be saved with no more than one tensor of it in memory beside the shards.
    All processes have to ask for the same tensors in the same order.

    Args:
        part: what this process holds of it.
        like: a parameter that is sharded in the same way.

    """

    def __init__(self, part: Tensor, like: Tensor) -> None:
        self._part, self._like = part.detach(), like
        self.shape = tuple(like.shape)
        self.dtype = np.dtype(str(part.dtype).removeprefix("torch."))

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return full_tensor_like(local_tensor(self._part), self._like).numpy(force=True)


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only a part of it: a DTensor, whose import takes half a second."""
    return hasattr(tensor, "device_mesh")


def local_tensor(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds; all of it where nothing is sharded."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


@torch.no_grad()
def copy_full_tensor(parameter: Tensor, values: Tensor) -> None:
    """Fills a parameter, or this process's part of it, with its part of a whole tensor."""
    values = values.to(parameter.device)
    local_tensor(parameter).copy_(shard_like(values, parameter))


def full_tensor_like(parts: Tensor, like: Tensor, *, stacked: bool = False) -> Tensor:
    """Gathers local parts of tensors that are sharded as `like` is.

    Args:
        parts: this process's part of one such tensor, or of n of them as (n, part).
        stacked: which of the two.

    """
    if not is_sharded(like):
        return parts
    from torch.distributed.tensor import DTensor, Shard

    shape = torch.Size((len(parts), *like.shape)) if stacked else like.shape
    mesh: Any = like.device_mesh  # type: ignore[attr-defined]
    placements = [Shard(1 if stacked else 0)]
    stride = torch.empty(shape, device="meta").stride()
    tensor = DTensor.from_local(parts, mesh, placements, shape=shape, stride=stride)
    return tensor.full_tensor()


def shard_like(tensor: Tensor, like: Tensor, *, stacked: bool = False) -> Tensor:
    """The reverse of `full_tensor_like`: this process's part of a tensor, or of n as (n, whole)."""
    if not is_sharded(like):
        return tensor
    from torch.distributed.tensor import DTensor, Replicate, Shard

    mesh: Any = like.device_mesh  # type: ignore[attr-defined]
    replicated = DTensor.from_local(tensor, mesh, [Replicate()])
    return replicated.redistribute(mesh, [Shard(1 if stacked else 0)]).to_local()

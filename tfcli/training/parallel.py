"""One training by several processes, as `torchrun` starts them.

Every process makes the same decisions about the same batches, and works on its share of the rows
of each. The gradients of all shares are summed, so the update is that of one process alone, but
for the rounding of another order of addition.

    data parallel   each process holds the whole model; gradients are summed once an update
    sharded         each holds a part of every weight, and of what the optimizer remembers of it,
                    and gathers a block only while it computes with it, for models that do not fit
                    (Zhao et al., "PyTorch FSDP", 2023)

The first process alone speaks, writes and looks at the clock; the others follow it.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.model.transformer import Transformer

PATIENCE = datetime.timedelta(days=1)  # the others wait while the first reads a large corpus


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees it. One alone is the usual case.

    Attributes:
        rank: which of them this is, from 0.
        count: how many there are.
        local_rank: which of those on this machine.
        sharded: whether each holds only a part of the weights.

    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    sharded: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this is the one that speaks and writes."""
        return self.rank == 0

    def share(self, rows: int) -> range:
        """The rows of a batch that this process works on; the shares of all make up the batch."""
        return range(self.rank * rows // self.count, (self.rank + 1) * rows // self.count)

    def agree(self, value: float) -> float:
        """What the first process has for `value`: the others' clocks and signals do not count."""
        if self.count == 1:
            return value
        message = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(message, 0)
        return message.item()

    def say(self, text: str) -> str:
        """Sends a text from the first process to the others."""
        if self.count == 1:
            return text
        size = int(self.agree(len(text.encode())))
        message = torch.zeros(size, dtype=torch.uint8)
        if self.is_first:
            message = torch.tensor(list(text.encode()), dtype=torch.uint8)
        dist.broadcast(message, 0)
        return bytes(message.tolist()).decode()

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Puts what the first process has in the place of what the others have."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def add(self, *values: float) -> tuple[float, ...]:
        """The sum of each value over all processes."""
        if self.count == 1:
            return values
        message = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(message)
        return tuple(message.tolist())

    def add_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Sums the gradients over all processes, in one message; sharded ones are summed already.

        After the whole backward pass and not during it: a process that runs out of memory can
        then try again with smaller pieces while the others wait.
        """
        if self.count == 1 or self.sharded:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        message = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(message)
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, torch.split(message, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))


ALONE = Processes()


def join() -> Processes:
    """Meets the other processes that `torchrun` started; to be called where it did."""
    cuda = torch.cuda.is_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    return Processes(
        rank=dist.get_rank(),
        count=dist.get_world_size(),
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
    )


def leave(*, together: bool) -> None:
    """Parts from the others: together, where all is well, lest one talks to one who has gone."""
    if together:
        dist.barrier()
    dist.destroy_process_group()


# --- sharding -----------------------------------------------------------------------------------


def shard(model: Transformer) -> None:
    """Leaves each process its part of every weight: rows r/N to (r + 1)/N of each matrix."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(model.embedding.weight.device.type, (dist.get_world_size(),))
    for part in (*model.blocks, model):
        fully_shard(part, mesh=mesh)
        # each process has its rows' part of the mean already: gradients are to be summed
        part.set_gradient_divide_factor(1.0)
        part.set_force_sum_reduction_for_comms(True)  # all that gloo can do


def release(model: Transformer) -> None:
    """Lets go of the weights gathered for a forward pass that no backward pass followed."""
    reshard = getattr(model, "reshard", None)  # of FSDP; a plain model has nothing to let go of
    if reshard is not None:
        reshard()


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only a part of it: a DTensor, whose import takes half a second."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds; all of it where nothing is sharded."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def whole(tensor: Tensor) -> Tensor:
    """A tensor gathered from all processes; to be called by all of them."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def whole_like(parts: Tensor, like: Tensor, *, stacked: bool = False) -> Tensor:
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


def part_like(tensor: Tensor, like: Tensor, *, stacked: bool = False) -> Tensor:
    """The reverse of `whole_like`: this process's part of a whole tensor, or of n as (n, whole)."""
    if not is_sharded(like):
        return tensor
    from torch.distributed.tensor import DTensor, Replicate, Shard

    mesh: Any = like.device_mesh  # type: ignore[attr-defined]
    replicated = DTensor.from_local(tensor, mesh, [Replicate()])
    return replicated.redistribute(mesh, [Shard(1 if stacked else 0)]).to_local()

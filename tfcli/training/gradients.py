"""The gradients of a batch, added up over micro-batches and processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from tfcli.errors import UsageError
from tfcli.model.cost import training_flops_per_token
from tfcli.runtime.device import seed_device
from tfcli.runtime.memory import is_out_of_memory
from tfcli.training.compiling import compile_loss
from tfcli.training.cuda_graph import record_loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tfcli.model.transformer import Transformer
    from tfcli.runtime.distributed import DistributedContext
    from tfcli.training.batches import Batch
    from tfcli.training.cuda_graph import Arguments, GraphedLoss
    from tfcli.training.distillation import Teacher
    from tfcli.training.examples import Sampler
    from tfcli.training.grad_scaler import GradScaler
    from tfcli.training.objectives import Objective


class BatchResult(NamedTuple):
    """What a batch came to, over all processes.

    Attributes:
        loss: nats per token.
        tokens: positions that were computed.
        flops: floating-point operations of the model for them, forward and backward.

    """

    loss: float
    tokens: int
    flops: int


@dataclass(kw_only=True)
class GradientAccumulator:
    """Runs forward and backward passes, and sums the gradients of micro-batches.

    Attributes:
        batch_size: rows in a batch, of all processes together.
        micro_batch_size: rows in memory at once; halved where the memory is too small.
        hint: what to do where a single row is too much.
        teacher: whose predictions are half of the targets; None: there is none.

    """

    model: Transformer
    sampler: Sampler
    objective: Objective
    processes: DistributedContext
    scaler: GradScaler
    seed: int
    batch_size: int
    micro_batch_size: int
    hint: str
    teacher: Teacher | None = None

    def __post_init__(self) -> None:
        self._loss: Callable[..., Tensor] = self.model.loss
        self._compiled = False
        self._graph: GraphedLoss | None = None
        self._recorded = False
        self._next: tuple[int, Batch] | None = None  # and the step that it is of

    def compile(self, *, only_if_faster: bool) -> str | None:
        """Compiles the model for the micro-batches; returns why not, where that is not possible."""
        rows = self._batch(0).rows(range(self.micro_batch_size))
        loss, why = compile_loss(self.model, rows, self.teacher, only_if_faster=only_if_faster)
        if loss is None:
            return why
        self._loss, self._compiled = loss, True
        return None

    def backward(self, step: int) -> BatchResult | None:
        """Forward and backward of the batch of a step, whose gradients all processes then have.

        Returns:
            None if the memory was too small: there are no gradients then, and the micro-batch is
            half as large the next time.

        Raises:
            UsageError: not even one row fits into the memory.

        """
        number = self.seed * 1_000_003 + step
        if self.processes.rank:  # other rows, other dropout
            number = number * 1_000_003 + self.processes.rank
        seed_device(self.model.embedding.weight.device, number % 2**63)  # for dropout
        try:
            batch = self._batch(step)
            loss = self._accumulate(batch, step)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if self.micro_batch_size == 1 or self.processes.sharded:  # others are in mid-collective
                raise UsageError(
                    f"out of memory with a micro-batch of {self.micro_batch_size}", hint=self.hint
                ) from None
            for parameter in self.model.parameters():
                parameter.grad = None
            self.micro_batch_size = (self.micro_batch_size + 1) // 2
            return None
        parameters = list(self.model.parameters())
        self.processes.all_reduce_gradients(parameters)
        self.scaler.unscale(parameters)
        (loss,) = self.processes.all_reduce(loss)
        each = training_flops_per_token(self.model.config, batch.mean_attended)
        return BatchResult(loss, batch.num_tokens, each * batch.num_tokens)

    def _batch(self, step: int) -> Batch:
        if self._next and self._next[0] == step:
            return self._next[1]
        return self.objective.training_batch(self.sampler.examples(step), seed=self.seed, step=step)

    def _accumulate(self, batch: Batch, step: int) -> float:
        """Adds up the gradients of this process's rows, each weighted by the whole batch."""
        weight = batch.target_weight
        device = next(self.model.parameters()).device
        total = torch.zeros((), device=device)
        shard = self.processes.row_shard(self.batch_size)
        for first in range(shard.start, shard.start + self._rows_passed(), self.micro_batch_size):
            rows = range(first, min(first + self.micro_batch_size, shard.stop))
            # Compiled code is for one shape, another would be compiled anew. And a process without
            # rows takes a dummy one, so that all make the same collective calls.
            size = self.micro_batch_size if self._compiled else max(1, len(rows))
            part = batch.padded_rows(rows, size)
            arguments = part.loss_arguments(device)
            if self.teacher:
                arguments["soft_targets"] = self.teacher.soft_targets(part)
            if size == self._rows_passed() and (graph := self._graph_for(arguments)):
                total += graph.backward(arguments, self.scaler.scale / weight) / self.scaler.scale
                continue
            mask = self.model.draw_dropout(range(first, first + size), (self.seed, step))
            loss = self._loss(**arguments, dropout_mask=mask) / weight
            self.scaler.scaled(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        # a GPU is still computing: it would wait for this otherwise, for longer than a small model
        # takes where texts are rearranged
        self._next = step + 1, self._batch(step + 1)
        return total.item()

    def _graph_for(self, arguments: Arguments) -> GraphedLoss | None:
        """The recorded pass for a whole batch like this, if there is one; made by the first."""
        if not self._recorded and not self.processes.sharded:
            self._recorded = True
            self._graph = record_loss(self.model, self._loss, arguments)
        return self._graph if self._graph and self._graph.fits(arguments) else None

    def _rows_passed(self) -> int:
        """How many rows this process works on, dummies included.

        With sharded weights as many as the process with the most: each pass gathers weights from
        all processes, so all have to make the same number of them.
        """
        if self.processes.sharded:
            return -(-self.batch_size // self.processes.world_size)
        return max(1, len(self.processes.row_shard(self.batch_size)))

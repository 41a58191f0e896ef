"""The optimizer: Muon for the matrices and AdamW for tables and vectors, or AdamW for all of them.

Models trained from scratch get the two, by the role of a parameter in `model.parameters`. Weights
that AdamW has trained, those of nearly all published models, go on with AdamW: see the lab notes.

Muon takes the momentum of a matrix and makes it orthogonal before the step: every direction of
the update gets the same length, so rare directions learn as fast as common ones. Embeddings, norms
and biases have no such directions and get AdamW.

Matrices are split into blocks of about 64 rows, the size of a head, which are made orthogonal one
by one: a third of the cost, and they learn as well (see the lab notes).

References: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024;
Khaled et al., "MuonBP: Faster Muon via Block-Periodic Orthogonalization", 2025 (blocks);
Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019 (AdamW).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tfcli.model.native.library import library_for
from tfcli.model.native.muon import muon_direction, muon_iterate, muon_update
from tfcli.model.parameters import parameters
from tfcli.runtime.distributed import (
    GatheredTensor,
    full_tensor_like,
    is_sharded,
    local_tensor,
    shard_like,
)
from tfcli.training.options import OptimizerKind

MAX_LEARNING_RATE = 1e9

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from tfcli.model.parameters import Role
    from tfcli.model.safetensors_file import SupportsArray
    from tfcli.model.transformer import Transformer

    # by name: a tensor of the state, and the weight that is sharded in the same way
    State = dict[str, tuple[Tensor, Tensor]]

# Coefficients of the quintic iteration, chosen so that it rises steeply at zero: it need not
# converge to 1, anything from 0.7 to 1.2 serves (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5

BLOCK_ROWS = 64  # about; rows of a matrix that are made orthogonal to each other


def orthogonalize(matrices: Tensor) -> Tensor:
    """Replaces the singular values of each matrix by about 1; shape (..., rows, columns).

    Newton-Schulz: X <- aX + b(XX')X + c(XX')^2 X, five times, from X scaled to norm 1.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices  # the shorter side squared is the cheaper product
    x = x.reshape(-1, *x.shape[-2:])
    x = _iterate(x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7))
    return (x.mT if tall else x).reshape(matrices.shape)


def _iterate(x: Tensor) -> Tensor:
    """The iteration on matrices of norm 1 that are not higher than wide."""
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        square = x @ x.mT
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)  # bX^2 + cX^4
        polynomial.diagonal(dim1=-2, dim2=-1).add_(a)
        x = polynomial @ x
    return x


def orthogonalize_blocks(matrices: Tensor) -> Tensor:
    """The direction of Muon's step for each of several matrices: (n, rows, columns).

    Each is split along its longer side into blocks of about 64 vectors, which are made orthogonal.
    The result has the norm of a matrix whose rows all have length 1, whatever its shape: that of an
    orthogonal matrix times sqrt(max(1, rows / columns)), as in Muon without blocks.
    """
    n, rows, columns = matrices.shape
    wide = columns > rows
    x = matrices.mT if wide else matrices
    count = _blocks(max(rows, columns))
    blocks = orthogonalize(x.reshape(n * count, -1, x.shape[-1])).reshape(x.shape)
    return (blocks.mT if wide else blocks) * _block_scale(rows, columns, count)


def _block_scale(rows: int, columns: int, count: int) -> float:
    """What orthogonal blocks are multiplied by.

    Each of their vectors has length 1, or less if a block has more vectors than channels.
    """
    height = max(rows, columns) // count
    return math.sqrt(rows / (count * min(height, rows, columns)))


def _blocks(length: int) -> int:
    """Number of equal blocks of about 64 to split a length into; 1 if only small ones divide it."""
    for count in range(max(1, round(length / BLOCK_ROWS)), 2 * length // BLOCK_ROWS + 1):
        if length % count == 0:
            return count
    return 1


class Muon:
    """Momentum, made orthogonal in blocks; matrices of one shape are computed as one batch.

    m <- b m + (1 - b) g                        w <- w - rate (decay w + direction)
    direction = orthogonalize_blocks(b m + (1 - b) g)

    Args:
        dtype: number format of the iteration; bfloat16 is enough (Jordan et al. 2024), float16
            is not: its smallest numbers are larger than many of a momentum's.

    """

    def __init__(
        self,
        matrices: Mapping[str, nn.Parameter],
        *,
        momentum: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._momentum = momentum
        self._dtype = torch.float32 if dtype == torch.float16 else dtype
        self._groups: dict[torch.Size, list[tuple[str, nn.Parameter]]] = {}
        for name, parameter in matrices.items():
            self._groups.setdefault(parameter.shape, []).append((name, parameter))
        self._buffers = {
            shape: torch.stack(
                [torch.zeros_like(local_tensor(parameter)) for _, parameter in group]
            )
            for shape, group in self._groups.items()
        }

    @torch.no_grad()
    def step(self, learning_rate: float, weight_decay: float) -> None:
        """One step."""
        for shape, group in self._groups.items():
            parameters = [local_tensor(parameter) for _, parameter in group]
            buffer = self._buffers[shape]
            if not is_sharded(group[0][1]) and library_for(buffer, *parameters):
                self._native_step(group, buffer, learning_rate, weight_decay)
                continue
            gradients = torch.stack([_gradient(parameter) for _, parameter in group])
            buffer.lerp_(gradients, 1 - self._momentum)
            nesterov = gradients.lerp_(buffer, self._momentum)
            one = group[0][1]  # where weights are sharded, only the whole has singular values
            nesterov = full_tensor_like(nesterov.to(self._dtype), one, stacked=True)
            updates = shard_like(orthogonalize_blocks(nesterov), one, stacked=True).float()
            torch._foreach_mul_(parameters, 1 - learning_rate * weight_decay)
            torch._foreach_add_(parameters, list(updates.unbind()), alpha=-learning_rate)

    def _native_step(
        self,
        group: Sequence[tuple[str, nn.Parameter]],
        momenta: Tensor,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        """The same by our kernels, for matrices of one shape."""
        weights = [parameter.data for _, parameter in group]
        _, rows, columns = momenta.shape
        count = _blocks(max(rows, columns))
        gradients = [_gradient(parameter) for _, parameter in group]
        blocks = muon_direction(gradients, momenta, self._momentum, count, self._dtype)
        if not muon_iterate(blocks, QUINTIC, ITERATIONS):
            tall = blocks.shape[1] > blocks.shape[2]
            blocks = _iterate(blocks.mT).mT if tall else _iterate(blocks)
        muon_update(
            weights, blocks, count, keep=1 - learning_rate * weight_decay,
            rate=learning_rate * _block_scale(rows, columns, count),
        )  # fmt: skip

    def state(self) -> State:
        """What must be saved to resume, by the names of the weights."""
        return {
            f"momentum/{name}": (self._buffers[shape][i], parameter)
            for shape, group in self._groups.items()
            for i, (name, parameter) in enumerate(group)
        }


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return local_tensor(parameter.grad)


class AdamW:
    """Each weight moves by its mean gradient over the root of its mean squared gradient.

    m <- b1 m + (1 - b1) g            v <- b2 v + (1 - b2) g^2
    w <- w - rate (decay w + (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + 1e-8))

    Torch's own kernel, which takes no memory beside the two means; not through `torch.optim`, whose
    first step imports the compiler for a second: too long for a training of a minute.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], *, betas: tuple[float, float]
    ) -> None:
        self._betas = betas
        self._names = list(parameters)
        self._parameters = list(parameters.values())
        self._means = [torch.zeros_like(local_tensor(parameter)) for parameter in self._parameters]
        self._squares = [
            torch.zeros_like(local_tensor(parameter)) for parameter in self._parameters
        ]
        device = local_tensor(self._parameters[0]).device if self._parameters else None
        self._steps = torch.zeros((), dtype=torch.float32, device=device)

    @torch.no_grad()
    def step(self, learning_rate: float, weight_decay: float) -> None:
        """One step."""
        if not self._parameters:
            return
        self._steps += 1
        first, second = self._betas
        torch._fused_adamw_(
            [local_tensor(parameter) for parameter in self._parameters],
            [_gradient(parameter) for parameter in self._parameters],
            self._means, self._squares, [], [self._steps] * len(self._names),
            lr=learning_rate, beta1=first, beta2=second, weight_decay=weight_decay, eps=1e-8,
            amsgrad=False, maximize=False,
        )  # fmt: skip

    def state(self) -> State:
        """What must be saved to resume, by the names of the weights."""
        state: State = {"steps": (self._steps, self._steps)} if self._names else {}
        for i, name in enumerate(self._names):
            state[f"mean/{name}"] = self._means[i], self._parameters[i]
            state[f"square/{name}"] = self._squares[i], self._parameters[i]
        return state


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Hyperparameters of the optimizer.

    Attributes:
        kind: "muon": Muon for the matrices, AdamW for the rest; "adamw": AdamW for all.
        matrix_learning_rate: peak learning rate of the matrices.
        table_learning_rate: peak learning rate of AdamW for embeddings and head.
        vector_learning_rate: peak learning rate of AdamW for norms and biases.
        weight_decay: of matrices and tables; multiplied by the learning rate.
        momentum: of Muon.
        betas: of AdamW.
        gradient_clip: maximum norm of all gradients together.

    """

    kind: OptimizerKind = "muon"
    matrix_learning_rate: float = 0.02
    table_learning_rate: float = 0.01
    vector_learning_rate: float = 0.01
    weight_decay: float = 0.1
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.95)
    gradient_clip: float = 1.0

    @property
    def in_range(self) -> bool:
        """Whether a training with these numbers makes sense."""
        rates = self.matrix_learning_rate, self.table_learning_rate, self.vector_learning_rate
        return (
            all(0 <= rate < MAX_LEARNING_RATE for rate in rates)
            and 0 <= self.weight_decay < math.inf
            and all(0 <= beta < 1 for beta in (self.momentum, *self.betas))
            and 0 < self.gradient_clip < math.inf
        )


class Optimizer:
    """What `OptimizerConfig` says, over the parameters of one model."""

    def __init__(
        self, model: Transformer, config: OptimizerConfig, dtype: torch.dtype = torch.float32
    ) -> None:
        self.config = config
        weights = dict(model.named_parameters())
        groups: dict[Role, dict[str, nn.Parameter]] = {"table": {}, "vector": {}, "matrix": {}}
        for row in parameters(model.config):
            groups[row.role][row.name] = weights[row.name]
        matrices, tables, vectors = groups["matrix"], groups["table"], groups["vector"]
        self._parameters = [weight for group in groups.values() for weight in group.values()]
        self._matrices: Muon | AdamW = (
            Muon(matrices, momentum=config.momentum, dtype=dtype)
            if config.kind == "muon"
            else AdamW(matrices, betas=config.betas)
        )
        self._tables = AdamW(tables, betas=config.betas)
        self._vectors = AdamW(vectors, betas=config.betas)

    def step(self, scale: float) -> float:
        """One step with all learning rates times `scale`; clears the gradients.

        Returns:
            The norm of the gradients before clipping. If it is not finite, nothing was changed.
        """
        config = self.config
        norm = self._clip_gradients()
        if math.isfinite(norm):
            self._matrices.step(config.matrix_learning_rate * scale, config.weight_decay)
            self._tables.step(config.table_learning_rate * scale, config.weight_decay)
            self._vectors.step(config.vector_learning_rate * scale, 0.0)
        for parameter in self._parameters:
            parameter.grad = None
        return norm

    def state(self) -> dict[str, GatheredTensor]:
        """What must be saved to resume exactly, by name."""
        return {
            name: GatheredTensor(tensor, like) for name, (tensor, like) in self._state().items()
        }

    @torch.no_grad()
    def load_state(self, arrays: Mapping[str, SupportsArray]) -> None:
        """Restores what `state` returned.

        Raises:
            ValueError: an array is missing, or has another shape.
        """
        for name, (tensor, like) in self._state().items():
            if name not in arrays or arrays[name].shape != tuple(like.shape):
                raise ValueError(
                    f"the optimizer state has no {name!r} of shape {tuple(like.shape)}"
                )
            saved = torch.from_numpy(np.array(arrays[name])).to(tensor.device)
            tensor.copy_(shard_like(saved, like))

    def _clip_gradients(self) -> float:
        """Scales all gradients down to the maximum norm; returns their norm before."""
        gradients = [_gradient(parameter) for parameter in self._parameters]
        norms = torch.stack(torch._foreach_norm(gradients))
        if is_sharded(self._parameters[0]):
            squares = norms.square().sum()
            torch.distributed.all_reduce(squares)
            norm = float(squares.sqrt())
        else:
            norm = float(torch.linalg.vector_norm(norms))
        if math.isfinite(norm) and norm > self.config.gradient_clip:
            torch._foreach_mul_(gradients, self.config.gradient_clip / norm)
        return norm

    def _state(self) -> State:
        parts: dict[str, Muon | AdamW] = {
            "matrices": self._matrices,
            "tables": self._tables,
            "vectors": self._vectors,
        }
        return {
            f"{part}/{name}": tensor
            for part, optimizer in parts.items()
            for name, tensor in optimizer.state().items()
        }

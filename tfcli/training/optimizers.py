"""Two optimizers for two kinds of weights: Muon for the matrices, AdamW for all the rest.

Muon takes the momentum of a matrix and makes it orthogonal before the step: every direction of
the update gets the same length, so rare directions learn as fast as common ones. Embeddings, norms
and biases have no such directions and get AdamW.

References: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024;
Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019 (AdamW).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

# Coefficients of the quintic iteration, chosen so that it rises steeply at zero: it need not
# converge to 1, anything from 0.7 to 1.2 serves (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def orthogonalize(matrices: Tensor) -> Tensor:
    """Replaces the singular values of each matrix by about 1; shape (..., rows, columns).

    Newton-Schulz: X <- aX + b(XX')X + c(XX')^2 X, five times, from X scaled to norm 1.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices  # the shorter side squared is the cheaper product
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.mT if tall else x


class Muon:
    """Momentum, made orthogonal; matrices of one shape are worked on as one batch.

    update = orthogonalize(nesterov momentum) * sqrt(max(1, rows / columns))
    """

    def __init__(self, matrices: Mapping[str, nn.Parameter], *, momentum: float) -> None:
        self._momentum = momentum
        self._groups: dict[torch.Size, list[tuple[str, nn.Parameter]]] = {}
        for name, parameter in matrices.items():
            self._groups.setdefault(parameter.shape, []).append((name, parameter))
        self._buffers = {
            shape: group[0][1].new_zeros(len(group), *shape)
            for shape, group in self._groups.items()
        }

    @torch.no_grad()
    def step(self, learning_rate: float, weight_decay: float) -> None:
        """Moves every matrix by `learning_rate` along its orthogonal momentum."""
        for shape, group in self._groups.items():
            parameters: list[Tensor] = [parameter for _, parameter in group]
            gradients = torch.stack([_gradient(parameter) for parameter in parameters])
            buffer = self._buffers[shape]
            buffer.lerp_(gradients, 1 - self._momentum)
            updates = orthogonalize(gradients.lerp_(buffer, self._momentum))
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            torch._foreach_mul_(parameters, 1 - learning_rate * weight_decay)
            torch._foreach_add_(parameters, list(updates.unbind()), alpha=-learning_rate * scale)

    def state(self) -> dict[str, Tensor]:
        """What must be kept to go on, by the names of the weights."""
        return {
            f"momentum/{name}": self._buffers[shape][i]
            for shape, group in self._groups.items()
            for i, (name, _) in enumerate(group)
        }


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


class AdamW:
    """Each weight moves by its mean gradient over the root of its mean squared gradient.

    m <- b1 m + (1 - b1) g            v <- b2 v + (1 - b2) g^2
    w <- w - rate (decay w + (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + 1e-8))

    Written out here because the first step of torch's own imports its compiler: a second that a
    training of one minute feels.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], *, betas: tuple[float, float]
    ) -> None:
        self._betas = betas
        self._names = list(parameters)
        self._parameters: list[Tensor] = list(parameters.values())
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._steps = torch.zeros((), dtype=torch.float32)

    @torch.no_grad()
    def step(self, learning_rate: float, weight_decay: float) -> None:
        """One update."""
        if not self._parameters:
            return
        self._steps += 1
        step = int(self._steps)
        first, second = self._betas
        gradients = [_gradient(parameter) for parameter in self._parameters]
        torch._foreach_lerp_(self._means, gradients, 1 - first)
        torch._foreach_mul_(self._squares, second)
        torch._foreach_addcmul_(self._squares, gradients, gradients, 1 - second)
        spreads = torch._foreach_sqrt(self._squares)
        torch._foreach_div_(spreads, (1 - second**step) ** 0.5)
        torch._foreach_add_(spreads, 1e-8)
        torch._foreach_mul_(self._parameters, 1 - learning_rate * weight_decay)
        rate = learning_rate / (1 - first**step)
        torch._foreach_addcdiv_(self._parameters, self._means, spreads, -rate)

    def state(self) -> dict[str, Tensor]:
        """What must be kept to go on, by the names of the weights."""
        state = {"steps": self._steps} if self._names else {}
        for name, mean, square in zip(self._names, self._means, self._squares, strict=True):
            state |= {f"mean/{name}": mean, f"square/{name}": square}
        return state


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How fast to learn.

    Attributes:
        matrix_learning_rate: of Muon, at its highest.
        table_learning_rate: of AdamW for embeddings and head.
        vector_learning_rate: of AdamW for norms and biases.
        weight_decay: the share of a matrix or table that is taken away, times learning rate.
        momentum: of Muon.
        betas: of AdamW.
        gradient_clip: the largest norm of all gradients together; larger ones are scaled down.

    """

    matrix_learning_rate: float = 0.02
    table_learning_rate: float = 0.01
    vector_learning_rate: float = 0.01
    weight_decay: float = 0.1
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.95)
    gradient_clip: float = 1.0


class Optimizer:
    """Muon and AdamW over the weights of one model, as one."""

    def __init__(self, model: nn.Module, config: OptimizerConfig) -> None:
        self.config = config
        tables, vectors, matrices = {}, {}, {}
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2:
                vectors[name] = parameter
            elif "embedding" in name or name == "head.weight":
                tables[name] = parameter
            else:
                matrices[name] = parameter
        self._parameters = [*tables.values(), *vectors.values(), *matrices.values()]
        self._matrices = Muon(matrices, momentum=config.momentum)
        self._tables = AdamW(tables, betas=config.betas)
        self._vectors = AdamW(vectors, betas=config.betas)

    def step(self, scale: float) -> float:
        """One update with all learning rates times `scale`; clears the gradients.

        Returns:
            The norm of the gradients before clipping. Where it is not finite nothing was updated.
        """
        config = self.config
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, config.gradient_clip))
        if math.isfinite(norm):
            self._matrices.step(config.matrix_learning_rate * scale, config.weight_decay)
            self._tables.step(config.table_learning_rate * scale, config.weight_decay)
            self._vectors.step(config.vector_learning_rate * scale, 0.0)
        for parameter in self._parameters:
            parameter.grad = None
        return norm

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """What must be kept to go on exactly, as arrays by name."""
        return {name: tensor.numpy(force=True) for name, tensor in self._state().items()}

    @torch.no_grad()
    def load_state(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Takes up a state of `state()`.

        Raises:
            ValueError: names or shapes that this model does not have.
        """
        for name, tensor in self._state().items():
            if name not in arrays or arrays[name].shape != tuple(tensor.shape):
                raise ValueError(
                    f"the optimizer's state has no {name!r} of shape {tuple(tensor.shape)}"
                )
            tensor.copy_(torch.from_numpy(np.array(arrays[name])))

    def _state(self) -> dict[str, Tensor]:
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

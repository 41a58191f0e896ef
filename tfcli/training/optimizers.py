"""Two optimizers for two kinds of weights: Muon for the matrices, AdamW for all the rest.

Muon takes the momentum of a matrix and makes it orthogonal before the step: every direction of
the update gets the same length, so rare directions learn as fast as common ones. Embeddings, norms
and biases have no such directions and get AdamW.

References: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024;
Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019 (AdamW).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
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
        self._named = dict(model.named_parameters())
        tables, vectors, matrices = {}, {}, {}
        for name, parameter in self._named.items():
            if parameter.ndim < 2:
                vectors[name] = parameter
            elif "embedding" in name or name == "head.weight":
                tables[name] = parameter
            else:
                matrices[name] = parameter
        self._muon = Muon(matrices, momentum=config.momentum)
        self._adamw = torch.optim.AdamW(
            [
                {"params": list(tables.values()), "weight_decay": config.weight_decay},
                {"params": list(vectors.values()), "weight_decay": 0.0},
            ],
            betas=config.betas,
            fused=next(iter(self._named.values())).device.type in {"cpu", "cuda"},
        )

    def step(self, scale: float) -> float:
        """One update with all learning rates times `scale`; clears the gradients.

        Returns:
            The norm of the gradients before clipping. Where it is not finite nothing was updated.

        """
        config = self.config
        parameters = list(self._named.values())
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, config.gradient_clip))
        if norm - norm == 0:  # finite
            self._muon.step(config.matrix_learning_rate * scale, config.weight_decay)
            rates = (config.table_learning_rate, config.vector_learning_rate)
            for group, rate in zip(self._adamw.param_groups, rates, strict=True):
                group["lr"] = rate * scale
            self._adamw.step()
        for parameter in parameters:
            parameter.grad = None
        return norm

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """What must be kept to go on exactly, as arrays by name."""
        tensors = self._muon.state()
        for name, parameter in self._named.items():
            for key, value in self._adamw.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = value
        return {name: tensor.numpy(force=True) for name, tensor in tensors.items()}

    @torch.no_grad()
    def load_state(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Takes up a state of `state()`.

        Raises:
            ValueError: names or shapes that this model does not have.

        """
        for name, buffer in self._muon.state().items():
            buffer.copy_(_like(arrays, name, buffer.shape))
        adamw = [p for group in self._adamw.param_groups for p in group["params"]]
        names = {parameter: name for name, parameter in self._named.items()}
        for parameter in adamw:
            name = names[parameter]
            if f"step/{name}" not in arrays:
                continue  # saved before the first update
            self._adamw.state[parameter] = {
                "step": torch.tensor(float(arrays[f"step/{name}"]), device=parameter.device),
                **{
                    key: _like(arrays, f"{key}/{name}", parameter.shape).to(parameter.device)
                    for key in ("exp_avg", "exp_avg_sq")
                },
            }


def _like(arrays: Mapping[str, np.ndarray[Any, Any]], name: str, shape: torch.Size) -> Tensor:
    if name not in arrays or arrays[name].shape != tuple(shape):
        raise ValueError(f"the optimizer's state has no {name!r} of shape {tuple(shape)}")
    return torch.from_numpy(arrays[name].copy())

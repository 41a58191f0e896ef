"""The learning rate: its peak, and its course over a training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tfcli.training.fine_tuning import FINE_TUNING_WARM_UP, MUON_SHARE, adamw_learning_rate
from tfcli.training.optimizers import OptimizerConfig

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig
    from tfcli.training.fine_tuning import BaseModel
    from tfcli.training.options import OptimizerKind, TrainOptions

WARM_UP_STEPS = 20
DECAY_SHARE = 0.7  # the last part of the budget, in which the learning rate decays to zero

# The best peak for the matrices falls with the number of steps, about as its power -0.4: from 0.013
# for 700 of them to 0.008 for 2,400. See `docs/lab-notes.md`.
HIGHEST_RATE, RATE, RATE_STEPS, RATE_POWER = 0.02, 0.013, 700, 0.4


def matrix_learning_rate(steps: int | None) -> float:
    """The best peak for so many steps; None: their number is not known."""
    if not steps:
        return HIGHEST_RATE
    return min(HIGHEST_RATE, RATE * float((RATE_STEPS / steps) ** RATE_POWER))


def usual_learning_rate(
    kind: OptimizerKind, model: ModelConfig, steps: int | None, base: BaseModel | None
) -> float:
    """The peak for the matrices where the user names none."""
    if kind == "adamw":
        return adamw_learning_rate(model, fine_tuning=base is not None)
    return matrix_learning_rate(steps) * (MUON_SHARE if base else 1.0)


def choose_optimizer(
    options: TrainOptions,
    model: ModelConfig,
    weight_decay: float,
    steps: int | None,
    base: BaseModel | None,
) -> OptimizerConfig:
    """The learning rates that suit so many steps; or all scaled to the user's --learning-rate."""
    default = OptimizerConfig(kind=options.optimizer or (base.optimizer if base else "muon"))
    if options.weight_decay is not None:
        weight_decay = options.weight_decay
    usual = usual_learning_rate(default.kind, model, steps, base)
    rate = usual if options.learning_rate is None else options.learning_rate
    if default.kind == "adamw":
        return replace(
            default, matrix_learning_rate=rate, table_learning_rate=rate,
            vector_learning_rate=rate, weight_decay=weight_decay,
        )  # fmt: skip
    scale = (MUON_SHARE if base else 1.0) * (rate / usual)
    return replace(
        default,
        matrix_learning_rate=rate,
        table_learning_rate=default.table_learning_rate * scale,
        vector_learning_rate=default.vector_learning_rate * scale,
        weight_decay=weight_decay,
    )


def choose_warm_up(optimizer: OptimizerConfig, base: BaseModel | None) -> int:
    """Steps until the learning rate is at its peak."""
    return WARM_UP_STEPS if base is None or optimizer.kind == "muon" else FINE_TUNING_WARM_UP


def learning_rate_scale(step: int, progress: float, warm_up_steps: int = WARM_UP_STEPS) -> float:
    """The learning rate at a step as a share of its peak (warmup-stable-decay).

    Linear warm-up, constant, linear decay to zero.

    Args:
        step: optimizer steps made so far.
        progress: the share of the budget that is used, from 0 to 1.
        warm_up_steps: until the rate is at its peak.

    """
    warm_up = min(1.0, (step + 1) / warm_up_steps)
    decay = min(1.0, max(0.0, 1.0 - progress) / DECAY_SHARE)
    return warm_up * decay

"""The two halves of a training by self-distillation: see `tfcli.training.distillation`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.errors import UsageError
from tfcli.training.sizing import Regularization, regularization

if TYPE_CHECKING:
    from tfcli.training.fine_tuning import BaseModel
    from tfcli.training.micro_batch import MicroBatch
    from tfcli.training.options import TrainOptions

DISTILLED_EPOCHS = 8.0  # from so many on, two models of half the time are better than one
TEACHER_SHARE = 0.5  # of the budget, for the first model
STUDENT_COST = 1.3  # a step of the second, in steps of the first: the first one predicts, too

# The student is regularized as if it saw its text half as often: what the teacher expects does the
# rest.
STUDENT_EPOCHS = 0.5


@dataclass(frozen=True)
class Student:
    """What the plan of the second model has of its own."""

    dropout: float
    token_dropout: float

    @property
    def in_range(self) -> bool:
        """Whether a training with these numbers makes sense."""
        return 0 <= self.dropout < 1 and 0 <= self.token_dropout < 1


def stage_progress(progress: float, *, student: bool) -> float:
    """How much of its half of the budget a model has used, from 0 to 1."""
    if not student:
        return min(1.0, progress / TEACHER_SHARE)
    return max(0.0, progress - TEACHER_SHARE) / (1 - TEACHER_SHARE)


def distills(
    options: TrainOptions,
    epochs: float,
    micro_batch: MicroBatch,
    base: BaseModel | None,
    *,
    pairs: bool,
) -> bool:
    """Whether to train a second model on what the first predicts.

    Raises:
        UsageError: it was asked for, and cannot be.

    """
    cannot = (
        "for text, and these are pairs of prompt and answer" if pairs
        else "for a training from scratch" if base
        else "for causal training alone" if options.masked
        else "for models that fit into memory without --gradient-checkpointing and --shard"
        if micro_batch.checkpointing or micro_batch.sharded else None
    )  # fmt: skip
    if options.distill and cannot:
        raise UsageError(f"--distill is {cannot}")
    if options.distill is None:
        return cannot is None and options.timed and epochs >= DISTILLED_EPOCHS
    return options.distill


def chosen_regularization(
    options: TrainOptions, epochs: float, *, unknown_token: bool
) -> Regularization:
    """What so many epochs need, unless the user says.

    Args:
        unknown_token: whether the tokenizer has one, which token dropout needs.

    """
    advice = regularization(epochs)
    token_dropout = advice.token_dropout if unknown_token else 0.0
    return advice._replace(
        dropout=advice.dropout if options.dropout is None else options.dropout,
        token_dropout=token_dropout if options.token_dropout is None else options.token_dropout,
    )


def plan_student(options: TrainOptions, epochs: float, *, unknown_token: bool) -> Student:
    """What the second model has of its own, in a training of so many epochs in all."""
    own = (1 - TEACHER_SHARE) * STUDENT_EPOCHS * epochs
    advice = chosen_regularization(options, own, unknown_token=unknown_token)
    return Student(advice.dropout, advice.token_dropout)

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

MIN_DISTILL_EPOCHS = 8.0  # from so many on, two models of half the time are better than one
TEACHER_SHARE = 0.5  # of the budget
STUDENT_COST = 1.3  # a step of the student, in steps of the teacher, which predicts, too

# The student is regularized as if it saw its text half as often: what the teacher expects does the
# rest.
STUDENT_EPOCH_FACTOR = 0.5


@dataclass(frozen=True)
class Student:
    """What the plan of the student has of its own."""

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


def should_distill(
    options: TrainOptions,
    epochs: float,
    micro_batch: MicroBatch,
    base: BaseModel | None,
    *,
    pairs: bool,
) -> bool:
    """Whether half of the budget is for a student.

    Raises:
        UsageError: it was asked for, and cannot be.

    """
    conflicts = {
        "pairs of prompt and answer": pairs,
        "--from": base is not None,
        "--masked": bool(options.masked),
        "--gradient-checkpointing": micro_batch.checkpointing,
        "--shard": micro_batch.sharded,
    }
    conflict = next((name for name, given in conflicts.items() if given), None)
    if options.distill and conflict:
        raise UsageError(f"--distill cannot be combined with {conflict}")
    if options.distill is None:
        return conflict is None and options.timed and epochs >= MIN_DISTILL_EPOCHS
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
    """What the student has of its own, in a training of so many epochs in all."""
    own = (1 - TEACHER_SHARE) * STUDENT_EPOCH_FACTOR * epochs
    advice = chosen_regularization(options, own, unknown_token=unknown_token)
    return Student(advice.dropout, advice.token_dropout)

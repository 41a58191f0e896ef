"""What a session of training starts with: callbacks, and the point where the run continues."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.model.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """Hooks that the caller passes to the trainer.

    Attributes:
        stop: called before every step; True saves and ends.
        stop_at_once: a context in which a request to stop raises KeyboardInterrupt, for long work
            of which nothing has to be saved.
        sample: generates a sample with the current model, after an evaluation.

    """

    stop: Callable[[], bool] = lambda: False
    stop_at_once: Callable[[], AbstractContextManager[None]] = nullcontext
    sample: Callable[[Transformer], str] | None = None


NO_CALLBACKS = Callbacks()


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """How far a run has come, by its newest valid step and its metrics.

    Attributes:
        step, tokens_seen, seconds: as the step says.
        best, own_best, evals_without_improvement: as in `Trainer`.
        student_since: as the step says.

    """

    step: int
    tokens_seen: int
    seconds: float
    best: float
    own_best: float
    evals_without_improvement: int
    student_since: int | None = None

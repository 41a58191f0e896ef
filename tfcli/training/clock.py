"""How much of a run's budget is used, and what its end will take."""

from __future__ import annotations

import math
import time
from collections import deque
from statistics import median
from typing import TYPE_CHECKING

from tfcli.training.evaluation import final_evaluation_tokens

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig
    from tfcli.training.plan import Plan

LAST_STEPS = 15  # by whose time the next one is judged
EXIT_SECONDS = 0.3
FINAL_SHARE = 0.1  # of a time budget, at most, for the last evaluation


class Clock:
    """The clock of one session of training.

    Args:
        held_out: how many tokens are held out.
        started: `time.monotonic()` when this session began to spend its budget.
        seconds_before: of the sessions before.

    """

    def __init__(
        self,
        plan: Plan,
        model: ModelConfig,
        held_out: int,
        *,
        started: float,
        seconds_before: float,
    ) -> None:
        self._plan, self._model, self._held_out = plan, model, held_out
        self._budget, self._started, self._before = plan.budget, started, seconds_before
        self._step_seconds: deque[float] = deque(maxlen=LAST_STEPS)
        self._token_seconds = math.inf  # of an evaluation, the fastest so far
        self._saving_seconds = 0.0
        self._furthest = 0.0

    @property
    def seconds(self) -> float:
        """Training time of the run, all sessions together."""
        return self._before + time.monotonic() - self._started

    def step_took(self, seconds: float) -> None:
        """Notes the time of a step."""
        self._step_seconds.append(seconds)

    def evaluation_took(self, seconds: float, tokens: int) -> None:
        """Notes the time of an evaluation on so many tokens."""
        self._token_seconds = min(self._token_seconds, seconds / tokens)

    def saving_took(self, seconds: float) -> None:
        """Notes the time of a save."""
        self._saving_seconds = seconds

    def progress(self, step: int) -> float:
        """The share of the budget that is used, from 0 to 1; it never decreases."""
        if self._budget.kind == "steps":
            return min(1.0, step / self._budget.amount)
        spent = min(1.0, self.seconds / max(self._budget.amount - self._reserved(), 1e-9))
        # when the end turns out to take less time, the progress stays
        self._furthest = max(self._furthest, spent)
        return self._furthest

    def final_tokens(self) -> int:
        """How much of the held-out text is evaluated at the end.

        All of it, unless that would take more than a tenth of a time budget, or of as many steps.
        """
        least = self._plan.evaluation_tokens  # those of each evaluation
        if self._budget.kind == "steps":
            rows = int(self._budget.amount) * self._plan.batch_size
            affordable: float = final_evaluation_tokens(self._model, rows)
        else:
            affordable = FINAL_SHARE * (self._budget.amount - self._before) / self._token_seconds
        return int(min(self._held_out, max(affordable, least)))

    def _reserved(self) -> float:
        """Seconds to reserve for the end: the last evaluation, the last save, exiting."""
        tokens = min(self._plan.evaluation_tokens, self._held_out)
        if tokens < self._held_out:
            tokens += self.final_tokens()
        measuring = 0.0 if math.isinf(self._token_seconds) else tokens * self._token_seconds
        return measuring + self._saving_seconds + EXIT_SECONDS

    def is_over(self, step: int) -> bool:
        """Whether another step would exceed the budget."""
        if self._budget.kind == "steps":
            return step >= self._budget.amount
        left = self._budget.amount - self._reserved() - self.seconds
        steps = self._step_seconds  # of this session; the median: one slow step must not end it
        return left < median(steps) if steps else step > 0 and left <= 0

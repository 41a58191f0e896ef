"""Notices that a training run falls behind its plan, and looks for the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.runtime.cgroup import cpu_limit
from tfcli.runtime.threads import busy_cores_of_others, cpu_seconds, usable_cores

if TYPE_CHECKING:
    from tfcli.training.events import StepFinished
    from tfcli.training.plan import Budget

BEHIND = 0.7  # of the planned steps: fewer are worth a word
WATCHED = 3.0  # seconds of training before anything is said
FIRST = 1  # steps that do not count, since much is loaded in them


class PaceWatch:
    """Compares the steps that a time budget will allow with those of the plan.

    A plan is made from steps measured before training; another process, a throttled container
    or a warm processor can make the machine slower afterwards.

    Args:
        steps: that the plan allows for; None where they were not measured.

    """

    def __init__(self, steps: int | None, budget: Budget) -> None:
        self._planned = steps if budget.kind == "seconds" else None
        self._budget = budget.amount
        self._first: StepFinished | None = None
        self._cpu = cpu_seconds()

    def note(self, event: StepFinished) -> str | None:
        """What to say after a step: once, that the plan cannot be kept."""
        if self._planned is None or event.step <= FIRST:
            return None
        if self._first is None:
            self._first = event
            return None
        seconds = event.seconds - self._first.seconds
        if seconds < WATCHED:
            return None
        per_second = (event.step - self._first.step) / seconds
        expected = event.step + int(per_second * max(0.0, self._budget - event.seconds))
        if expected >= BEHIND * self._planned:
            return None
        planned, self._planned = self._planned, None
        return (
            f"slower than planned: about {expected:,} steps instead of {planned:,}{self._cause()}"
        )

    def _cause(self) -> str:
        others = busy_cores_of_others(self._cpu, cpu_seconds())
        cores = usable_cores()
        if others is not None and others > 0.3:
            return f"; other processes keep {others:.1f} of {cores} cores busy"
        limit = cpu_limit()
        if limit is not None:
            return f"; the container allows {limit:.1f} cores"
        return ""

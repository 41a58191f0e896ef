"""A training that falls behind its plan says so once, and why if that can be seen."""

from __future__ import annotations

import pytest

from tfcli.cli.training_pace import PaceWatch
from tfcli.training.events import StepFinished
from tfcli.training.plan import Budget

SECONDS = Budget("seconds", 60.0)


def notes(watch: PaceWatch, each: float, count: int) -> list[str]:
    """What is said while so many steps take so many seconds each."""
    said = []
    for step in range(1, count + 1):
        event = StepFinished(
            step=step, loss=1.0, nats_per_byte=1.0, grad_norm=1.0, learning_rate=1.0,
            tokens_per_second=1.0, mfu=None, progress=step * each / 60, seconds=step * each,
        )  # fmt: skip
        if note := watch.note(event):
            said.append(note)
    return said


@pytest.mark.parametrize("each", [0.1, 0.12])
def test_training_on_pace_says_nothing(each: float) -> None:
    assert notes(PaceWatch(600, SECONDS), each, 500) == []


def test_training_that_falls_behind_says_so_once() -> None:
    (note,) = notes(PaceWatch(600, SECONDS), 0.3, 190)
    assert note.startswith("slower than planned: about 200 steps instead of 600")


def test_budget_of_steps_cannot_be_missed() -> None:
    assert notes(PaceWatch(600, Budget("steps", 600)), 9.0, 20) == []
    assert notes(PaceWatch(None, SECONDS), 9.0, 20) == []

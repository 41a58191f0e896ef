"""Kinds 10 and 11: a training interrupted anywhere ends in the same bits; NaN is never saved."""

from __future__ import annotations

import errno
import random
from typing import Any

import numpy as np
import pytest
import torch

from tests.files.faults import SystemCall, fails_with, faulty
from tests.reliability.conftest import Tally, cases
from tests.training.conftest import StopAfter, Workshop
from tests.training.conftest import workshop as workshop
from tfcli.errors import DataError
from tfcli.runs.metrics import read_metrics
from tfcli.runs.step import MODEL, OPTIMIZER, list_steps, load_arrays, step_path


def final_arrays(workshop: Workshop, name: str) -> dict[str, bytes]:
    step = list_steps(workshop.folder / name)[-1]
    arrays = load_arrays(step / MODEL) | {
        f"optimizer {key}": value for key, value in load_arrays(step / OPTIMIZER).items()
    }
    return {key: array.tobytes() for key, array in arrays.items()}


def losses(workshop: Workshop, name: str) -> dict[int, float]:
    return {
        row["step"]: row["loss"]
        for row in read_metrics(workshop.folder / name)
        if row["event"] == "StepFinished"
    }


def test_training_interrupted_anywhere_ends_in_the_same_bits(
    workshop: Workshop, tally: Tally
) -> None:
    steps = 16
    job = workshop.job(steps=steps, dropout=0.1, token_dropout=0.1, eval_every=5)
    list(workshop.begin("whole", job).events())
    wanted, curve = final_arrays(workshop, "whole"), losses(workshop, "whole")
    rng = random.Random(10)
    count = cases(5, 50)
    for attempt in range(count):
        name = f"run-{attempt}"
        made = rng.randrange(1, steps)
        list(workshop.begin(name, job, stop=StopAfter(made)).events())
        while made < steps:  # in however many sessions it takes
            more = rng.randrange(1, steps)
            list(workshop.resume(name, stop=StopAfter(more)).events())
            made += more
        assert final_arrays(workshop, name) == wanted
        assert losses(workshop, name) == curve
    tally(10, count)


def test_training_continues_while_an_old_step_cannot_be_removed(workshop: Workshop) -> None:
    """As on Windows, while a reader has its weights mapped."""
    job = workshop.job(steps=8, save_every=1, eval_every=1)
    oldest = step_path(workshop.folder / "run", 1)

    def in_use(call: SystemCall) -> Any:
        if call.name == "rename" and call.arguments[0] == oldest:
            return fails_with(errno.EACCES)(call)
        return call.make()

    with faulty(in_use):
        list(workshop.begin("run", job, stop=StopAfter(6)).events())
    steps = list_steps(workshop.folder / "run")
    assert oldest in steps
    assert steps[-1] == step_path(workshop.folder / "run", 6)
    list(workshop.resume("run").events())
    steps = list_steps(workshop.folder / "run")
    assert oldest not in steps
    assert steps[-1] == step_path(workshop.folder / "run", 8)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_no_step_with_nonfinite_weights_is_made(
    workshop: Workshop, bad: float, tally: Tally
) -> None:
    rng = random.Random(11)
    count = cases(2, 20)
    for attempt in range(count):
        trainer = workshop.begin(f"run-{attempt}", workshop.job(steps=6, seed=attempt))
        events = trainer.events()
        for _ in range(rng.randrange(1, 4)):
            next(events)
        names = [name for name, _ in trainer.model.named_parameters()]
        with torch.no_grad():
            weight = trainer.model.get_parameter(rng.choice(names)).view(-1)
            weight[rng.randrange(len(weight))] = bad
        before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        made = trainer.step
        with pytest.raises(DataError, match="diverged"):
            list(events)
        if trainer.step == made:
            for name, parameter in trainer.model.named_parameters():
                assert torch.equal(parameter.nan_to_num(), before[name].nan_to_num())
        for step in list_steps(trainer.run.path):
            assert all(np.isfinite(array).all() for array in load_arrays(step / MODEL).values())
    tally(11, count)

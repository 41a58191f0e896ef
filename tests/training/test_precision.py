"""16-bit mixed precision: as good as float32, with weights kept in float32."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.conftest import Workshop
from tfcli.runs.step import MODEL, OPTIMIZER, list_steps, load_arrays
from tfcli.training.events import Evaluated, StepFinished


def curve(workshop: Workshop, name: str, dtype: str) -> tuple[list[float], float]:
    """The training loss of each step, and the final held-out loss."""
    events = list(workshop.begin(name, workshop.job(steps=30, dtype=dtype)).events())
    steps = [event.loss for event in events if isinstance(event, StepFinished)]
    evaluations = [e.held_out.nats_per_byte for e in events if isinstance(e, Evaluated)]
    return steps, evaluations[-1]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision_follows_the_float32_loss_curve(workshop: Workshop, dtype: str) -> None:
    steps, held_out = curve(workshop, "whole", "float32")
    half_steps, half_held_out = curve(workshop, "half", dtype)
    assert half_steps != steps
    assert half_steps == pytest.approx(steps, rel=0.02)
    assert half_held_out == pytest.approx(held_out, rel=0.02)


def test_weights_and_optimizer_state_are_saved_in_float32(workshop: Workshop) -> None:
    list(workshop.begin("it", workshop.job(steps=2, dtype="bfloat16")).events())
    step = list_steps(workshop.folder / "it")[-1]
    arrays = load_arrays(step / MODEL) | load_arrays(step / OPTIMIZER)
    assert {array.dtype for array in arrays.values() if array.dtype.kind == "f"} == {
        np.dtype(np.float32)
    }


def test_bfloat16_run_resumes_to_the_same_bits(workshop: Workshop) -> None:
    job = workshop.job(steps=6, dtype="bfloat16", save_every=3)
    list(workshop.begin("whole", job).events())
    trainer = workshop.begin("cut", job)
    for event in trainer.events():
        if event.step == 3 and trainer.saved_step == 3:
            break
    list(workshop.resume("cut").events())
    whole, cut = (list_steps(workshop.folder / name)[-1] for name in ("whole", "cut"))
    assert whole.name == cut.name
    for file in (MODEL, OPTIMIZER):
        one, other = load_arrays(whole / file), load_arrays(cut / file)
        assert {n: a.tobytes() for n, a in one.items()} == {
            n: a.tobytes() for n, a in other.items()
        }

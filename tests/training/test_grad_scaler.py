"""Training in float16: small gradients survive, overflows are retried with a smaller scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import StopAfter, Workshop
from tests.training.test_loop import final_bits, losses
from tfcli.runs.step import OPTIMIZER, list_steps, load_arrays
from tfcli.training.events import StepFinished
from tfcli.training.grad_scaler import INITIAL, LOWEST, UPDATES_TO_DOUBLE, GradScaler


def test_gradients_too_small_for_float16_survive() -> None:
    tiny = 1e-3 / INITIAL

    def last_gradient(scaler: GradScaler) -> float:
        weight = torch.nn.Parameter(torch.ones(()))
        loss = weight.half().float() * tiny  # the gradient passes through float16
        scaler.scaled(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale([weight])
        assert weight.grad is not None
        return weight.grad.item()

    assert last_gradient(GradScaler("float32")) == 0.0  # underflows without a scale
    assert last_gradient(GradScaler("float16")) == pytest.approx(tiny, rel=1e-3)


@given(st.lists(st.booleans(), max_size=80))
def test_scale_is_a_power_of_two_within_bounds(overflows: list[bool]) -> None:
    scaler = GradScaler("float16")
    for overflowed in overflows:
        if overflowed:
            assert scaler.back_off() or scaler.scale == LOWEST
        else:
            scaler.advance()
    assert LOWEST <= scaler.scale <= INITIAL
    assert np.log2(scaler.scale).is_integer()


def test_scale_doubles_after_many_updates_and_halves_after_an_overflow() -> None:
    scaler = GradScaler("float16")
    for _ in range(UPDATES_TO_DOUBLE):
        scaler.advance()
    assert scaler.scale == 2 * INITIAL
    assert scaler.back_off()
    assert scaler.scale == INITIAL


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_other_dtypes_are_not_scaled(dtype: str) -> None:
    scaler = GradScaler(dtype)  # type: ignore[arg-type]
    for _ in range(UPDATES_TO_DOUBLE + 1):
        scaler.advance()
    assert scaler.scale == 1
    assert not scaler.back_off()
    assert scaler.state() == {}


def test_float16_trains_like_float32(workshop: Workshop) -> None:
    for dtype in ("float32", "float16"):
        list(workshop.begin(dtype, workshop.job(steps=20, dtype=dtype)).events())
    wide, half = (losses(workshop.folder / dtype) for dtype in ("float32", "float16"))
    assert list(half.values()) == pytest.approx(list(wide.values()), rel=0.02)


def test_overflowing_step_is_retried_with_a_smaller_scale(workshop: Workshop) -> None:
    trainer = workshop.begin("run", workshop.job(steps=4, dtype="float16"))
    trainer.grad_scaler.scale = 2.0**40
    steps = [event for event in trainer.events() if isinstance(event, StepFinished)]
    assert [event.step for event in steps] == [1, 2, 3, 4]
    assert trainer.grad_scaler.scale < 2.0**40
    list(workshop.begin("usual", workshop.job(steps=4, dtype="float16")).events())
    usual = losses(workshop.folder / "usual")  # skipped steps leave no trace
    assert [event.loss for event in steps] == pytest.approx(list(usual.values()), rel=1e-3)


def test_float16_run_resumes_to_the_same_bits(workshop: Workshop) -> None:
    job = workshop.job(steps=6, dtype="float16", dropout=0.1)
    whole = workshop.begin("whole", job)
    cut = workshop.begin("cut", job, stop=StopAfter(3))
    for trainer in (whole, cut):
        trainer.grad_scaler.scale = 2.0**40  # the scale it backs off to must be saved
        list(trainer.events())
    resumed = workshop.resume("cut")
    assert resumed.grad_scaler.scale == cut.grad_scaler.scale < 2.0**40
    list(resumed.events())
    assert final_bits(workshop.folder / "cut") == final_bits(workshop.folder / "whole")


def test_resuming_requires_the_saved_scale(workshop: Workshop) -> None:
    list(workshop.begin("run", workshop.job(steps=6, dtype="float16"), stop=StopAfter(2)).events())
    saved = load_arrays(list_steps(workshop.folder / "run")[-1] / OPTIMIZER)
    assert saved["grad_scaler"].tolist() == [INITIAL, 2]
    for wrong in ({}, {"grad_scaler": np.zeros(2, np.float32)}, {"grad_scaler": np.ones(3)}):
        with pytest.raises(ValueError, match="grad_scaler"):
            GradScaler("float16").load_state(wrong)

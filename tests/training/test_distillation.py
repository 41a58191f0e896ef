"""Self-distillation: the targets by their formula, the two halves of a run, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.model.helpers import random_ids, small_config
from tests.training.conftest import StopAfter, Workshop
from tfcli.errors import DamagedError, UsageError
from tfcli.model.transformer import Transformer
from tfcli.runs.inspection import inspect
from tfcli.runs.series import read_series
from tfcli.runs.step import TEACHER, list_steps, read_state
from tfcli.training.batches import IGNORE_INDEX, Batch
from tfcli.training.distillation import Teacher
from tfcli.training.events import Evaluated, StepFinished, StudentBegun
from tfcli.training.micro_batch import MicroBatch
from tfcli.training.options import TrainOptions
from tfcli.training.stages import should_distill

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model() -> Transformer:
    made = Transformer(small_config("modern"), dropout=0.5)
    made.init_weights(1)
    return made


def a_batch(model: Transformer, **fields: Any) -> Batch:
    ids = random_ids(model.config, rows=2, length=6, seed=0).numpy()
    targets = random_ids(model.config, rows=2, length=6, seed=1).numpy().copy()
    targets[1, 4:] = IGNORE_INDEX
    return Batch(inputs=ids, targets=targets, **fields)


def test_a_target_is_half_the_next_token_and_half_the_teachers_prediction(
    model: Transformer,
) -> None:
    weights = np.random.default_rng(0).random((2, 6)).astype(np.float32)
    whole = random_ids(model.config, rows=2, length=6, seed=2).numpy()
    batch = a_batch(model, weights=weights, inputs_before_dropout=whole)
    found = Teacher(model).soft_targets(batch).numpy()
    # without the teacher's own dropout, and of the inputs before token dropout
    predicted = model.eval()(torch.from_numpy(whole)).softmax(-1).detach().numpy()
    for row, column in np.ndindex(2, 6):
        expected = 0.5 * predicted[row, column]
        target = batch.targets[row, column]
        if target == IGNORE_INDEX:
            expected *= 0
        else:
            expected[target] += 0.5
        np.testing.assert_allclose(found[row, column], expected * weights[row, column], atol=1e-6)


@torch.no_grad()
def test_the_loss_is_the_cross_entropy_with_these_distributions(model: Transformer) -> None:
    batch = a_batch(model)
    soft = Teacher(model).soft_targets(batch)
    model.eval()
    arguments = batch.loss_arguments(torch.device("cpu"))
    loss = model.loss(**arguments, soft_targets=soft)
    shares = model(torch.from_numpy(batch.inputs)).log_softmax(-1)
    assert float(loss) == pytest.approx(-float((soft * shares).sum()), rel=1e-5)
    # a teacher like the model itself: half is the usual loss, half the entropy
    usual = model.loss(**arguments)
    counted = torch.from_numpy(batch.targets != IGNORE_INDEX)
    entropy = -(shares.exp() * shares).sum(-1)[counted].sum()
    assert float(loss) == pytest.approx((float(usual) + float(entropy)) / 2, rel=1e-5)


def test_the_second_half_trains_a_new_model(workshop: Workshop) -> None:
    trainer = workshop.begin("run", workshop.job(steps=40, distill=True, eval_every=10))
    events = list(trainer.events())
    assert [event.step for event in events if isinstance(event, StudentBegun)] == [20]
    rates = [event.learning_rate for event in events if isinstance(event, StepFinished)]
    assert rates[19] < 0.2 * max(rates[:20])  # each half ends with a low rate
    assert rates[39] < 0.2 * max(rates[20:])
    assert max(rates[20:]) == pytest.approx(max(rates[:20]), rel=0.05)
    measured = {e.step: e.held_out.nats_per_byte for e in events if isinstance(e, Evaluated)}
    assert measured[40] < measured[0]
    since = {read_state(step).student_since for step in list_steps(trainer.run.path)[-2:]}
    assert since == {20}


def test_a_budget_that_ends_early_leaves_the_first_model(workshop: Workshop) -> None:
    job = workshop.job(steps=8, distill=True)
    list(workshop.begin("run", job, stop=StopAfter(3)).events())
    assert not (workshop.folder / "run" / TEACHER).exists()
    assert read_state(list_steps(workshop.folder / "run")[-1]).student_since is None


def test_a_saved_teacher_predicts_the_same_and_leaves_the_other_model(
    model: Transformer, tmp_path: Path
) -> None:
    batch, other = a_batch(model), Transformer(model.config)
    Teacher(model).save(tmp_path)
    other.init_weights(2)
    before = {name: weight.clone() for name, weight in other.state_dict().items()}
    loaded = Teacher.load(tmp_path, like=other)
    torch.testing.assert_close(
        loaded.soft_targets(batch), Teacher(model).soft_targets(batch), rtol=0, atol=0
    )
    torch.testing.assert_close(dict(other.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_damaged_teacher_is_named(workshop: Workshop, harm: str) -> None:
    job = workshop.job(steps=8, distill=True)
    list(workshop.begin("run", job, stop=StopAfter(6)).events())
    weights = workshop.folder / "run" / TEACHER / "model.safetensors"
    if harm == "missing":
        weights.unlink()
    else:
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    with pytest.raises(DamagedError, match=TEACHER):
        workshop.resume("run")
    found = inspect(workshop.folder / "run")
    assert list(found.faults) == [workshop.folder / "run" / TEACHER]
    assert found.usable
    assert found.hint == "tfcli train FILE --from run"


def test_a_student_has_patience_of_its_own(workshop: Workshop) -> None:
    job = workshop.job(steps=40, distill=True, eval_every=2, patience=3)
    events = list(workshop.begin("run", job).events())
    (begun,) = (event.step for event in events if isinstance(event, StudentBegun))
    own = [e for e in events if isinstance(e, Evaluated) and e.step > begun]
    losses = [event.held_out.nats_per_byte for event in own]
    # the young student is worse than its teacher, for longer than that
    assert len(losses) > 3


def test_a_resumed_student_counts_its_own_evaluations(workshop: Workshop) -> None:
    job = workshop.job(steps=24, distill=True, eval_every=2, patience=20)
    list(workshop.begin("run", job, stop=StopAfter(18)).events())
    trainer = workshop.resume("run")
    series = [p for p in read_series(trainer.run).held_out if 12 < p.step <= trainer.step]
    losses = [point.nats_per_byte for point in series]
    assert trainer.own_best == min(losses)
    assert trainer.evals_without_improvement == len(losses) - 1 - losses.index(min(losses))


def test_no_student_begins_before_its_teacher_has_learned(workshop: Workshop) -> None:
    list(workshop.begin("late", workshop.job(steps=None, seconds=0.01, distill=True)).events())
    for step in list_steps(workshop.folder / "late"):
        assert read_state(step).student_since != 0


def test_texts_that_are_read_many_times_are_distilled() -> None:
    plain = MicroBatch(4)

    def chosen(epochs: float, micro_batch: MicroBatch = plain, **options: Any) -> bool:
        return should_distill(TrainOptions(**options), epochs, micro_batch, None, pairs=False)

    assert chosen(30.0)
    assert not chosen(3.0)
    assert not chosen(30.0, steps=10)  # what a budget of steps does is the user's to say
    assert not chosen(30.0, distill=False)
    assert chosen(0.1, steps=10, distill=True)
    assert not chosen(30.0, masked=0.5)
    assert not chosen(30.0, MicroBatch(4, checkpointing=True))


@pytest.mark.parametrize(
    "options", [{"masked": 0.5}, {"checkpointing": True}], ids=["masked", "checkpointing"]
)
def test_what_cannot_be_distilled_is_refused(workshop: Workshop, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--distill"):
        workshop.job(distill=True, **options)


def test_students_are_regularized_less(workshop: Workshop) -> None:
    job = workshop.job(steps=10_000, distill=True)
    assert job.plan.student is not None
    assert 0 < job.plan.student.dropout < job.plan.dropout
    assert 0 < job.plan.student.token_dropout < job.plan.token_dropout
    alone = workshop.job(steps=10_000, distill=False)
    assert job.memory_bytes >= alone.memory_bytes + 4 * job.parameters  # the teacher's weights

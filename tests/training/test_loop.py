"""The training loop: its events, what it saves, and that runs resume to the same bits."""

from __future__ import annotations

import dataclasses
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import StopAfter, Workshop
from tfcli.errors import ConflictError, DamagedError, DataError, NotFoundError, UsageError
from tfcli.files import verify_folder
from tfcli.generation.open_engine import open_model
from tfcli.runs.metrics import read_metrics
from tfcli.runs.run import open_run, write_metadata
from tfcli.runs.step import (
    MODEL,
    OPTIMIZER,
    STATE,
    list_steps,
    load_arrays,
    read_state,
    step_name,
    step_path,
    verify_step,
)
from tfcli.runs.summary import summarize
from tfcli.runs.valid_steps import choose_step, open_step
from tfcli.runtime.device import Device
from tfcli.training.evaluation import evaluate_tokens
from tfcli.training.events import EnergyUsed, Evaluated, Sampled, Saved, StepFinished, Stopped
from tfcli.training.schedule import WARM_UP_STEPS


def final_bits(run: Path) -> dict[str, bytes]:
    step = list_steps(run)[-1]
    arrays = load_arrays(step / MODEL) | load_arrays(step / OPTIMIZER)
    return {name: array.tobytes() for name, array in arrays.items()}


def losses(run: Path) -> dict[int, float]:
    """The loss of each step; a step repeated after a resume counts once, the later one."""
    rows = [row for row in read_metrics(run) if row["event"] == "StepFinished"]
    return {row["step"]: row["loss"] for row in rows}


def test_events_and_metrics_agree(workshop: Workshop) -> None:
    job = workshop.job(steps=4, eval_every=2, save_every=3)
    trainer = workshop.begin("run", job, sample=lambda model: "once")
    events = list(trainer.events())
    kinds = [(type(event), event.step) for event in events]
    assert kinds == [
        (Evaluated, 0), (Sampled, 0), (Saved, 0), (EnergyUsed, 0),
        (StepFinished, 1),
        (StepFinished, 2), (Evaluated, 2), (Sampled, 2),
        (Saved, 2), (EnergyUsed, 2),  # the best so far
        (StepFinished, 3), (Saved, 3), (EnergyUsed, 3),
        (StepFinished, 4), (Evaluated, 4), (Sampled, 4), (Saved, 4), (EnergyUsed, 4),
        (EnergyUsed, 4), (Stopped, 4),
    ]  # fmt: skip
    rows = list(read_metrics(trainer.run.path))
    assert [(row["event"], row["step"]) for row in rows] == [
        (kind.__name__, step) for kind, step in kinds
    ]


def test_processor_time_of_a_session_only_grows(workshop: Workshop) -> None:
    trainer = workshop.begin("run", workshop.job(steps=4, save_every=1))
    used = [event for event in trainer.events() if isinstance(event, EnergyUsed)]
    seconds = [event.cpu_seconds for event in used]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] < seconds[-1]
    assert len({event.session for event in used}) == 1


def test_the_best_step_is_kept_wherever_it_was_evaluated(workshop: Workshop) -> None:
    job = workshop.job(steps=24, eval_every=5, save_every=24, learning_rate=0.5)
    found = [e for e in workshop.begin("it", job).events() if isinstance(e, Evaluated)]
    best = min(found, key=lambda event: event.held_out.nats_per_byte)
    assert step_name(best.step) in {path.name for path in list_steps(workshop.folder / "it")}


def test_training_lowers_the_loss(workshop: Workshop) -> None:
    trainer = workshop.begin("run", workshop.job(steps=40, tied_head=True))
    steps = [e for e in trainer.events() if isinstance(e, StepFinished)]
    assert steps[0].loss == pytest.approx(math.log(300), rel=0.05)  # uniform over the tokens
    assert steps[-1].loss < 0.7 * steps[0].loss
    assert steps[-1].learning_rate < 0.05 * trainer.plan.optimizer.matrix_learning_rate


@settings(max_examples=6)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.sampled_from([0.0, 0.2]),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_interrupted_run_resumes_to_the_same_bits(
    workshop: Workshop, cuts: list[int], dropout: float, distill: bool, number: int
) -> None:
    job = workshop.job(steps=8, dropout=dropout, distill=distill, seed=number)
    name = f"{number}-{dropout}-{distill}-{'-'.join(map(str, cuts))}"
    if (workshop.folder / f"cut-{name}").exists():
        return  # hypothesis repeats an example
    list(workshop.begin(f"whole-{name}", job).events())
    list(workshop.begin(f"cut-{name}", job, stop=StopAfter(cuts[0])).events())
    for cut in cuts[1:]:
        list(workshop.resume(f"cut-{name}", stop=StopAfter(cut)).events())
    list(workshop.resume(f"cut-{name}").events())
    whole, cut_run = workshop.folder / f"whole-{name}", workshop.folder / f"cut-{name}"
    assert final_bits(whole) == final_bits(cut_run)
    assert losses(whole) == losses(cut_run)


def test_resume_uses_the_newest_valid_step(workshop: Workshop) -> None:
    job = workshop.job(steps=8, save_every=2, eval_every=2)
    list(workshop.begin("whole", job).events())
    list(workshop.begin("torn", job, stop=StopAfter(6)).events())
    newest = list_steps(workshop.folder / "torn")[-1]
    (newest / MODEL).write_bytes((newest / MODEL).read_bytes()[:-1])
    trainer = workshop.resume("torn")
    assert trainer.step == 4
    list(trainer.events())
    assert final_bits(workshop.folder / "torn") == final_bits(workshop.folder / "whole")
    for step in list_steps(workshop.folder / "torn"):
        verify_folder(step)


def test_run_killed_before_its_first_save_starts_over(workshop: Workshop) -> None:
    job = workshop.job(steps=3)
    next(workshop.begin("run", job).events())
    trainer = workshop.resume("run")
    assert trainer.step == 0
    list(trainer.events())
    list(workshop.begin("whole", job).events())
    assert final_bits(workshop.folder / "run") == final_bits(workshop.folder / "whole")


def test_gradient_accumulation_does_not_change_the_losses(workshop: Workshop) -> None:
    whole = workshop.job(steps=3, batch_tokens=128)
    parts = dataclasses.replace(whole, plan=dataclasses.replace(whole.plan, micro_batch_size=2))
    list(workshop.begin("whole", whole).events())
    list(workshop.begin("parts", parts).events())
    one, other = losses(workshop.folder / "whole"), losses(workshop.folder / "parts")
    assert list(other.values()) == pytest.approx(list(one.values()), rel=1e-4)


def test_more_steps_extend_a_finished_run(workshop: Workshop) -> None:
    list(workshop.begin("run", workshop.job(steps=3)).events())
    trainer = workshop.resume("run", more_steps=2)
    list(trainer.events())
    assert trainer.step == 5
    assert open_run(workshop.folder / "run").metadata["plan"]["budget"]["amount"] == 5


def test_extending_a_budget_in_another_unit_is_refused(workshop: Workshop) -> None:
    list(workshop.begin("run", workshop.job(steps=1)).events())
    with pytest.raises(UsageError, match="in steps, not in seconds"):
        workshop.resume("run", more_seconds=5.0)


def test_existing_run_name_is_refused(workshop: Workshop) -> None:
    list(workshop.begin("run", workshop.job(steps=1)).events())
    with pytest.raises(ConflictError, match="already"):
        workshop.begin("run", workshop.job(steps=1))


def test_first_weights_are_kept_if_training_makes_them_worse(workshop: Workshop) -> None:
    """A table of bigrams is worse after a few steps with a rate that is far too high."""
    job = workshop.job(steps=3, learning_rate=100.0)
    trainer = workshop.begin("run", job)
    evaluated = [event for event in trainer.events() if isinstance(event, Evaluated)]
    assert evaluated[0].held_out.nats_per_byte < evaluated[-1].held_out.nats_per_byte
    trainer.evaluate_best_step()
    chosen = choose_step(trainer.run, None, on_damaged=lambda error: pytest.fail(str(error)))
    assert chosen.state.step == 0
    assert chosen.state.held_out == evaluated[0].held_out


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_diverged_training_stops_before_the_step(workshop: Workshop, bad: float) -> None:
    job = workshop.job(steps=5, eval_every=5, save_every=5)
    trainer = workshop.begin("run", job)
    events = trainer.events()
    next(event for event in events if isinstance(event, StepFinished))
    with torch.no_grad():
        trainer.model.get_parameter("final_norm.weight")[0] = bad
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    with pytest.raises(DataError, match="diverged at step 2"):
        next(events)
    for name, parameter in trainer.model.named_parameters():
        assert torch.equal(parameter.nan_to_num(), before[name].nan_to_num())
    assert [read_state(path).step for path in list_steps(trainer.run.path)] == [0]


def test_nan_weights_are_not_saved(workshop: Workshop) -> None:
    job = workshop.job(steps=5, eval_every=5, save_every=1)
    trainer = workshop.begin("run", job)
    events = trainer.events()
    next(events)
    with torch.no_grad():
        trainer.model.get_parameter("final_norm.weight")[0] = float("nan")
    with pytest.raises(DataError, match="diverged"):
        next(events)
    assert list_steps(trainer.run.path) == []


def test_pruning_keeps_the_newest_two_steps_and_the_best(workshop: Workshop) -> None:
    job = workshop.job(steps=12, save_every=2, eval_every=2)
    trainer = workshop.begin("run", job)
    best = math.inf, 0
    for event in trainer.events():
        if isinstance(event, Evaluated) and event.best:
            best = event.held_out.nats_per_byte, event.step
    kept = {read_state(path).step for path in list_steps(trainer.run.path)}
    assert kept == {10, 12, best[1]}


def test_text_without_a_held_out_part_can_be_trained_on(workshop: Workshop) -> None:
    workshop.tokens = dataclasses.replace(
        workshop.tokens, held_out=workshop.tokens.held_out[:0], held_out_bytes=0
    )
    events = list(workshop.begin("run", workshop.job(steps=2)).events())
    assert not any(isinstance(event, Evaluated) for event in events)
    assert read_state(list_steps(workshop.folder / "run")[-1]).held_out is None


def test_time_budget_decays_the_learning_rate_and_ends_training(
    workshop: Workshop,
) -> None:
    trainer = workshop.begin("run", workshop.job(steps=None, seconds=1.5))
    steps = [e for e in trainer.events() if isinstance(e, StepFinished)]
    scales = [step.learning_rate for step in steps[WARM_UP_STEPS:]]
    assert scales == sorted(scales, reverse=True)
    assert all(step.seconds < 1.5 for step in steps[:-1])


def test_a_budget_that_is_used_up_takes_no_further_step(workshop: Workshop) -> None:
    list(workshop.begin("run", workshop.job(steps=None, seconds=0.01)).events())  # one at least
    trainer = workshop.resume("run")
    before = trainer.step
    assert before > 0
    assert not any(isinstance(event, StepFinished) for event in trainer.events())
    assert trainer.step == before


def test_deleted_token_cache_is_rebuilt_on_resume(workshop: Workshop) -> None:
    job = workshop.job(steps=4)
    list(workshop.begin("whole", job).events())
    list(workshop.begin("run", job, stop=StopAfter(2)).events())
    shutil.rmtree(workshop.cache)
    list(workshop.resume("run").events())
    assert final_bits(workshop.folder / "run") == final_bits(workshop.folder / "whole")


def test_step_of_more_rows_than_the_text_has_is_refused(workshop: Workshop) -> None:
    """No plan has one, and reading it would take for ever."""
    list(workshop.begin("run", workshop.job(steps=2)).events())
    run = open_run(workshop.folder / "run")
    run.metadata["plan"]["batch_size"] = 10**8
    write_metadata(run.path, run.metadata)
    with pytest.raises(DamagedError) as caught:
        workshop.resume("run", more_steps=1)
    assert "100,000,000 rows" in (caught.value.why or "")


def test_resuming_on_a_changed_text_is_refused(workshop: Workshop) -> None:
    list(workshop.begin("run", workshop.job(steps=4), stop=StopAfter(2)).events())
    shutil.rmtree(workshop.cache)
    (workshop.folder / "book.txt").write_text("something else altogether, and long enough\n" * 50)
    with pytest.raises(DataError, match="has changed since"):
        workshop.resume("run")


def test_training_stops_after_patience_evaluations_without_improvement(workshop: Workshop) -> None:
    """With a learning rate of zero no evaluation improves on that of the first weights."""
    job = workshop.job(steps=20, learning_rate=1e-12, eval_every=1)
    job = dataclasses.replace(job, plan=dataclasses.replace(job.plan, patience=3))
    events = list(workshop.begin("run", job).events())
    assert isinstance(events[-1], Stopped)
    assert (events[-1].reason, events[-1].step) == ("patience", 3)
    assert read_state(list_steps(workshop.folder / "run")[-1]).step == 3


LITTLE_MEMORY = """
import resource, sys, time
from pathlib import Path
import torch
from tests.training.conftest import Workshop

device, folder, room = sys.argv[1], Path(sys.argv[2]), 700 << 20
workshop = Workshop(folder, text_times=80, device=device)
job = workshop.job(steps=2, d_model=256, num_heads=4, batch_tokens=49152)
trainer = workshop.begin("run", job)
if device == "cpu":
    kilobytes = int(next(l for l in open("/proc/self/status") if "VmSize" in l).split()[1])
    limit = (kilobytes << 10) + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
elif device == "cuda":
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + room) / total)
else:
    total = torch.mps.recommended_max_memory()
    torch.mps.set_per_process_memory_fraction((torch.mps.driver_allocated_memory() + room) / total)
kinds = [(type(e).__name__, getattr(e, "micro_batch_size", None)) for e in trainer.events()]
names = [name for name, _ in kinds]
assert names.index("MemoryExceeded") < names.index("StepFinished"), kinds
assert names.count("StepFinished") == 2, kinds
print(job.plan.micro_batch_size, min(rows for name, rows in kinds if name == "MemoryExceeded"))
"""


@pytest.mark.slow
def test_out_of_memory_reduces_the_micro_batch(tmp_path: Path, device: Device) -> None:
    if device == "cpu" and sys.platform != "linux":
        pytest.skip("only Linux enforces RLIMIT_AS")
    done = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, device, str(tmp_path)],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after < before


def test_patience_and_best_loss_survive_a_resume(workshop: Workshop) -> None:
    """The best evaluation may be of a step that was never saved."""
    job = workshop.job(steps=20, learning_rate=1e-12, eval_every=1, save_every=100)
    job = dataclasses.replace(job, plan=dataclasses.replace(job.plan, patience=4))
    list(workshop.begin("whole", job).events())
    list(workshop.begin("cut", job, stop=StopAfter(3)).events())
    trainer = workshop.resume("cut")
    assert (trainer.step, trainer.evals_without_improvement) == (3, 3)
    assert trainer.best < math.inf
    list(trainer.events())
    steps = [max(losses(workshop.folder / name)) for name in ("whole", "cut")]
    assert steps == [4, 4]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradient_accumulation_with_document_mask_does_not_change_the_losses(
    workshop: Workshop, dropout: float
) -> None:
    """Rows are weighted by their number of targets, and dropout is the same."""
    if dropout and workshop.device != "cpu":
        pytest.skip("a GPU draws its own dropout for each micro-batch")
    whole = workshop.job(steps=3, batch_tokens=128, document_mask=True, dropout=dropout)
    parts = dataclasses.replace(whole, plan=dataclasses.replace(whole.plan, micro_batch_size=3))
    list(workshop.begin("whole", whole).events())
    list(workshop.begin("parts", parts).events())
    one, other = losses(workshop.folder / "whole"), losses(workshop.folder / "parts")
    assert list(other.values()) == pytest.approx(list(one.values()), rel=1e-4)


def test_best_step_is_evaluated_on_the_whole_held_out_text(
    workshop: Workshop,
) -> None:
    job = workshop.job(steps=6, eval_every=2, save_every=2)
    job = dataclasses.replace(job, plan=dataclasses.replace(job.plan, evaluation_tokens=64))
    trainer = workshop.begin("it", job)
    for event in trainer.events():
        if isinstance(event, Saved) and event.step == 4:  # later steps are worse
            with torch.no_grad():
                weight = trainer.model.embedding.weight
                weight.add_(torch.randn_like(weight))
    before = summarize(trainer.run)
    assert before["best_step"] == 4
    assert not before["held_out"]["whole"]
    trainer.evaluate_best_step()
    after = summarize(trainer.run)
    assert after["best_step"] == before["best_step"]
    assert after["held_out"]["whole"]
    verify_step(step_path(trainer.run.path, after["best_step"]))
    model = open_model(
        trainer.run, open_step(step_path(trainer.run.path, after["best_step"])), workshop.device
    )
    wanted = evaluate_tokens(model, trainer.corpus.held_out, trainer.tokenizer)
    assert wanted
    assert after["held_out"]["nats_per_byte"] == pytest.approx(wanted.nats_per_byte)
    written = (trainer.run.path / step_name(after["best_step"]) / STATE).read_bytes()
    trainer.evaluate_best_step()  # a second call changes nothing
    assert (trainer.run.path / step_name(after["best_step"]) / STATE).read_bytes() == written


def flip_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_pruning_keeps_valid_steps(workshop: Workshop) -> None:
    """A damaged step that is newer than the resumed one must not displace the steps that follow."""
    job = workshop.job(steps=20, save_every=4, eval_every=4)
    list(workshop.begin("it", job).events())
    run = workshop.folder / "it"
    first, second = list_steps(run)[-2:]
    assert (first.name, second.name) == (step_name(16), step_name(20))
    best = workshop.folder / "kept"
    shutil.copytree(first, best)
    flip_bit(second / MODEL)
    trainer = workshop.resume("it", more_steps=8, stop=StopAfter(2))
    assert not second.exists(), "training will write it again"
    list(trainer.events())
    assert [read_state(step).step for step in list_steps(run)][-1] == 18
    for step in list_steps(run):
        verify_folder(step)
    assert summarize(trainer.run)["steps"] == 18


def test_step_written_by_a_newer_version_is_not_overwritten(workshop: Workshop) -> None:
    list(workshop.begin("it", workshop.job(steps=6, save_every=2)).events())
    newest = list_steps(workshop.folder / "it")[-1]
    manifest = newest / "MANIFEST.json"
    manifest.write_text(manifest.read_text().replace('"schema": 1', '"schema": 9'))
    with pytest.raises(DataError, match="newer tfcli"):
        workshop.resume("it", more_steps=8)
    assert newest.exists()


def test_run_deleted_during_training_is_an_error(workshop: Workshop) -> None:
    trainer = workshop.begin("it", workshop.job(steps=20, save_every=4))
    with pytest.raises(NotFoundError, match="is gone"):
        for event in trainer.events():
            if isinstance(event, Saved):
                (workshop.folder / "it" / "run.json").unlink()


ONE_SHAPE = """
import dataclasses, sys
from pathlib import Path
import torch._dynamo
from tests.training.conftest import Workshop

workshop = Workshop(Path(sys.argv[1]))
job = workshop.job(steps=4, batch_tokens=80, compile=True, dropout=0.1)
assert job.plan.batch_size == 5
job = dataclasses.replace(job, plan=dataclasses.replace(job.plan, micro_batch_size=2))
compiled = [
    torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for event in workshop.begin("run", job).events()
    if type(event).__name__ == "StepFinished"
]
print(*compiled)
"""


@pytest.mark.slow
def test_nothing_is_compiled_again_for_the_last_rows_of_a_batch(tmp_path: Path) -> None:
    """Five rows make micro-batches of two, two and one, the last of which is padded."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_SHAPE, str(tmp_path)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"1"}

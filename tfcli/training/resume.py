"""Beginning a run, taking one up again, following the first process: from a job to its trainer."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tfcli.errors import DamagedError, TfcliError
from tfcli.files import remove_folder, remove_leftovers
from tfcli.model.parameters import check_shapes
from tfcli.model.transformer import Transformer
from tfcli.runs.run import Run, create_run, open_run, write_metadata
from tfcli.runs.series import read_series
from tfcli.runs.step import (
    MODEL,
    OPTIMIZER,
    StepState,
    list_steps,
    load_arrays,
    save_step,
    step_path,
)
from tfcli.runs.valid_steps import ValidStep, newest_valid_step, no_valid_step, open_step
from tfcli.training.optimizers import Optimizer
from tfcli.training.parallel import Processes, local, part_like
from tfcli.training.plan import Plan
from tfcli.training.setup import Base, TrainingJob, reopen

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from tfcli.text.corpus import Corpus
    from tfcli.training.loop import Trainer
    from tfcli.training.machine import Device


def begin(
    job: TrainingJob, path: Path, corpus: Corpus, *, started: float, **watching: Any
) -> Trainer:
    """Makes the run's folder and what trains it. To be called under the folder's lock.

    Args:
        watching: `stop` and `sample`, as in `Trainer`.

    Raises:
        ConflictError: there is a run of that name.

    """
    remove_leftovers(path)
    run = create_run(path, job.metadata(corpus), job.tokenizer)
    step = _save_base(job, run, job.base) if job.base else None
    return _start(job, run, step, started=started, **watching)


def _save_base(job: TrainingJob, run: Run, base: Base) -> ValidStep:
    """Makes the weights of another run step 0 of this one, which then needs the other no more."""
    model = Transformer(job.model_config)
    arrays = load_arrays(base.step.path / MODEL)
    load_weights(model, arrays, base.step.path / MODEL)
    state = StepState(step=0, tokens_seen=0, seconds=0.0, held_out=None, held_out_final=None)
    fresh = Optimizer(model, job.plan.optimizer).state()
    return open_step(save_step(run.path, state, arrays, fresh))


def resume(
    job: TrainingJob,
    run: Run,
    *,
    started: float,
    damaged: Callable[[TfcliError], None],
    **watching: Any,
) -> Trainer:
    """Takes a run up at its newest valid step. To be called under the folder's lock.

    An extended budget is written into `run.json`. A run without any step begins anew.

    Raises:
        DamagedError: none of its steps is whole, or the newest does not fit its configuration.
        DataError: a newer tfcli wrote a step of it.

    """
    remove_leftovers(run.path)
    step = _newest(run, damaged)
    if step is None and (list_steps(run.path) or run.metadata.get("from")):
        raise no_valid_step(run)  # beginning anew would put others in their place
    if job.plan != Plan.from_json(run.metadata["plan"]):
        run.metadata["plan"] = job.plan.to_json()
        write_metadata(run.path, run.metadata)
    return _start(job, run, step, started=started, **watching)


def _newest(run: Run, damaged: Callable[[TfcliError], None]) -> ValidStep | None:
    """The newest valid step; damaged ones after it go, since the training comes there again.

    Raises:
        DataError, InputOutputError: one after it was written by a newer tfcli, or is not readable.

    """
    found: list[TfcliError] = []
    step = newest_valid_step(run, damaged=found.append)
    for error in found:
        if not isinstance(error, DamagedError):
            raise error
        damaged(error)
    if step is not None:
        steps = list_steps(run.path)
        for path in steps[steps.index(step.path) + 1 :]:
            remove_folder(path)
    return step


def follow(*, cache: Path, device: Device, processes: Processes, started: float) -> Trainer | None:
    """What the other processes of a training do: they take up what the first has begun.

    Returns:
        None where the first began nothing.

    """
    message = processes.say("")
    if not message:
        return None
    told = json.loads(message)
    run = open_run(Path(told["run"]))
    job = reopen(run, cache=cache, device=device, processes=processes, shard=told["sharded"])
    step = None if told["step"] is None else open_step(step_path(run.path, told["step"]))
    return _start(job, run, step, started=started)


def _start(
    job: TrainingJob, run: Run, step: ValidStep | None, *, started: float, **watching: Any
) -> Trainer:
    """Builds the trainer as it was at a step, in every process."""
    if job.processes.is_first:
        told = {"run": str(run.path.resolve()), "sharded": job.processes.sharded}
        job.processes.say(json.dumps(told | {"step": step.state.step if step else None}))
    if step is None:
        return job.trainer(run, started=started, **watching)
    trainer = job.trainer(
        run,
        started=started,
        fresh=False,
        **watching,
        step=step.state.step,
        tokens_seen=step.state.tokens_seen,
        seconds_before=step.state.seconds,
        saved_step=step.state.step,
        **_history(run, step.state.step),
    )
    load_weights(trainer.model, load_arrays(step.path / MODEL), step.path / MODEL)
    try:
        trainer.optimizer.load_state(load_arrays(step.path / OPTIMIZER))
    except ValueError as error:
        raise DamagedError(f"{step.path / OPTIMIZER} does not fit", why=str(error)) from None
    return trainer


def _history(run: Run, step: int) -> dict[str, Any]:
    """The lowest held-out loss up to a step, and how many measurements have been since."""
    best, not_better = math.inf, 0
    for point in read_series(run).held_out:
        if point.step <= step:
            better = point.nats_per_byte < best
            best = min(best, point.nats_per_byte)
            not_better = 0 if better else not_better + 1
    return {"best": best, "not_better": not_better}


@torch.no_grad()
def load_weights(model: Transformer, arrays: dict[str, np.ndarray[Any, Any]], path: Path) -> None:
    """Fills a model with saved weights, each checked to be there with its shape.

    Raises:
        DamagedError: a weight is missing, has another shape, or is one too many.

    """
    check_shapes(model.config, {name: array.shape for name, array in arrays.items()}, path)
    for name, parameter in model.named_parameters():
        saved = torch.from_numpy(arrays[name]).to(parameter.device)
        local(parameter).copy_(part_like(saved, parameter))

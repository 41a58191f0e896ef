"""Starting, resuming and joining a run: from a job to its trainer."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, TfcliError, UsageError
from tfcli.files import remove_folder, remove_leftovers
from tfcli.runs.kept_files import read_kept_files, write_kept_files
from tfcli.runs.run import Run, create_run, open_run, write_metadata
from tfcli.runs.series import read_series
from tfcli.runs.step import (
    MODEL,
    OPTIMIZER,
    StepState,
    list_steps,
    save_step,
    step_path,
    stored_arrays,
)
from tfcli.runs.valid_steps import ValidStep, newest_valid_step, no_valid_step, open_step
from tfcli.runs.weights import load_weights, open_weights
from tfcli.training.callbacks import NO_CALLBACKS, Callbacks, ResumePoint
from tfcli.training.distillation import Teacher
from tfcli.training.loop import Trainer
from tfcli.training.saved_weights import load_masters
from tfcli.training.setup import Base, TrainingJob, reopen_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.runtime.device import Device
    from tfcli.runtime.distributed import DistributedContext
    from tfcli.text.corpus import Corpus


def start_run(
    job: TrainingJob,
    path: Path,
    corpus: Corpus,
    *,
    started: float,
    callbacks: Callbacks = NO_CALLBACKS,
) -> Trainer:
    """Makes the run's folder and its trainer. To be called under the folder's lock.

    Raises:
        ConflictError: a run of that name exists.

    """
    remove_leftovers(path)
    if job.base:
        write_kept_files(path, read_kept_files(job.base.run.path))
    run = create_run(path, job.metadata(corpus), job.tokenizer)
    step = _save_base(run, job.base) if job.base else None
    return _build_trainer(job, run, step, started=started, callbacks=callbacks)


def _save_base(run: Run, base: Base) -> ValidStep:
    """Saves the weights of another run as step 0 of this one, which then no longer needs it."""
    open_weights(base.run, base.step)  # checks them
    state = StepState(step=0, tokens_seen=0, seconds=0.0)  # the trainer evaluates it
    return open_step(save_step(run.path, state, stored_arrays(base.step.path / MODEL), {}))


def resume_run(
    job: TrainingJob,
    run: Run,
    *,
    started: float,
    on_damaged: Callable[[TfcliError], None],
    callbacks: Callbacks = NO_CALLBACKS,
) -> Trainer:
    """Resumes a run from its newest valid step. To be called under the folder's lock.

    An extended budget is written into `run.json`. A run without any step begins anew.

    Raises:
        DamagedError: none of its steps is valid, or the newest does not fit its configuration.
        DataError: a newer tfcli wrote one of its steps.

    """
    remove_leftovers(run.path)
    step = _newest(run, on_damaged)
    if step is None and (list_steps(run.path) or run.metadata.get("from")):
        raise no_valid_step(run)  # beginning anew would put others in their place
    budget = job.plan.to_json()["budget"]  # all else stays as it was planned
    if budget != run.metadata["plan"]["budget"]:
        run.metadata["plan"]["budget"] = budget
        write_metadata(run.path, run.metadata)
    return _build_trainer(job, run, step, started=started, callbacks=callbacks)


def _newest(run: Run, on_damaged: Callable[[TfcliError], None]) -> ValidStep | None:
    """The newest valid step; damaged ones after it go, since the training comes there again.

    Raises:
        DataError, InputOutputError: one after it was written by a newer tfcli, or is not readable.

    """
    found: list[TfcliError] = []
    step = newest_valid_step(run, on_damaged=found.append)
    for error in found:
        if not isinstance(error, DamagedError):
            raise error
        on_damaged(error)
    if step is not None:
        steps = list_steps(run.path)
        for path in steps[steps.index(step.path) + 1 :]:
            remove_folder(path)
    return step


def join_run(
    *, cache: Path, device: Device, processes: DistributedContext, started: float
) -> Trainer | None:
    """What the other processes do: they build the same trainer as the main process.

    Returns:
        None where the main process began nothing.

    """
    message = processes.broadcast_text("")
    if not message:
        return None
    told = json.loads(message)
    run = open_run(Path(told["run"]))
    job = reopen_job(run, cache=cache, device=device, processes=processes, shard=told["sharded"])
    # sharded processes gather weights from each other, so all have to make as many passes
    job = replace(job, plan=replace(job.plan, micro_batch_size=told["micro_batch_size"]))
    step = None if told["step"] is None else open_step(step_path(run.path, told["step"]))
    return _build_trainer(job, run, step, started=started)


def _build_trainer(
    job: TrainingJob,
    run: Run,
    step: ValidStep | None,
    *,
    started: float,
    callbacks: Callbacks = NO_CALLBACKS,
) -> Trainer:
    """Builds the trainer as it was at a step, in every process."""
    if job.processes.sharded and job.plan.student:
        raise UsageError(
            f"{run.name} trains a student, which cannot be sharded", hint="remove --shard"
        )
    if job.processes.is_main:
        told = {
            "run": str(run.path),
            "step": step.state.step if step else None,
            "micro_batch_size": job.plan.micro_batch_size,
            "sharded": job.processes.sharded,
        }
        job.processes.broadcast_text(json.dumps(told))
    resume_from = None if step is None else _resume_point(run, step.state)
    trainer = job.build_trainer(run, started=started, callbacks=callbacks, resume_from=resume_from)
    if step is None:
        return trainer
    if step.state.student_since is not None:
        try:
            trainer.learn_from(Teacher.load(run.path, like=trainer.model))
        except DamagedError as error:
            error.hint = f"tfcli train FILE --from {shlex.quote(run.argument)}"  # begins anew
            raise
    load_weights(trainer.model, step.path)
    if step.state.step == 0:
        return trainer  # no optimizer has any state yet
    try:
        arrays = stored_arrays(step.path / OPTIMIZER)
        trainer.optimizer.load_state(arrays)
        trainer.grad_scaler.load_state(arrays)
        load_masters(trainer.model, job.plan.saved_dtype, arrays)
    except ValueError as error:
        raise DamagedError(f"{step.path / OPTIMIZER} does not fit", why=str(error)) from None
    return trainer


def _resume_point(run: Run, state: StepState) -> ResumePoint:
    best, own_best, waited = math.inf, math.inf, 0
    for point in read_series(run).held_out:
        if point.step > state.step:
            continue
        best = min(best, point.nats_per_byte)
        if state.student_since is None or point.step > state.student_since:
            waited = 0 if point.nats_per_byte < own_best else waited + 1
            own_best = min(own_best, point.nats_per_byte)
    return ResumePoint(
        step=state.step,
        tokens_seen=state.tokens_seen,
        seconds=state.seconds,
        best=best,
        own_best=own_best,
        evals_without_improvement=waited,
        student_since=state.student_since,
    )

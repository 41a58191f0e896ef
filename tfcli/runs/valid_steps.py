"""Which of a run's steps to use and which to keep: only those whose bytes verify."""

from __future__ import annotations

import contextlib
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, NotFoundError, TfcliError
from tfcli.files import remove_folder
from tfcli.runs.step import StepState, list_steps, read_state, verify_step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tfcli.runs.run import Run


@dataclass(frozen=True)
class ValidStep:
    """A step whose bytes were verified: all of them, or those that generation needs."""

    path: Path
    state: StepState


def newest_valid_step(run: Run, *, on_damaged: Callable[[TfcliError], None]) -> ValidStep | None:
    """The newest valid step, or None; calls `on_damaged` for each newer one that is not valid."""
    for path in reversed(list_steps(run.path)):
        step = _open_if_valid(path, on_damaged)
        if step:
            return step
    return None


def newest_is_valid(run: Run) -> bool:
    """Whether every byte of the newest step verifies."""
    try:
        open_step(list_steps(run.path)[-1])
    except (TfcliError, IndexError):
        return False
    return True


def best_valid_step(run: Run, *, on_damaged: Callable[[TfcliError], None]) -> ValidStep | None:
    """The step with the lowest held-out loss of those with valid weights, or None.

    If no loss was measured, it is the newest of them.
    """
    for path in steps_by_loss(run):
        step = _open_if_valid(path, on_damaged, weights_only=True)
        if step:
            return step
    return None


def choose_step(
    run: Run, step: Path | None, *, on_damaged: Callable[[TfcliError], None]
) -> ValidStep:
    """The step to generate with: the named one, or the valid one with the lowest held-out loss.

    Raises:
        NotFoundError: the run has no step yet.
        DamagedError: the named step is not valid, or none is.

    """
    if step is not None:
        return open_step(step, weights_only=True)
    best = best_valid_step(run, on_damaged=on_damaged)
    if best is None and list_steps(run.path):
        raise no_valid_step(run)
    if best is None:
        raise NotFoundError(
            f"run {run.name!r} has no checkpoint yet",
            hint=f"tfcli train --resume {shlex.quote(run.name)}",
        )
    return best


def no_valid_step(run: Run) -> DamagedError:
    """The error for a run that has steps, none of which can be used, or none resumed from."""
    what = f"run {run.name!r} has no valid step"
    if best_valid_step(run, on_damaged=lambda _: None):
        return DamagedError(
            what,
            why="there are valid weights, but no valid optimizer state to resume from",
            hint=f"tfcli train FILE --from {shlex.quote(run.name)}   # starts a new run from them",
        )
    return DamagedError(
        what,
        why="all are damaged or incomplete",
        hint=f"rm -r {shlex.quote(str(run.path))}   # then train again, or restore a backup",
    )


def steps_by_loss(run: Run) -> list[Path]:
    """All steps, lowest recorded held-out loss first; neither weights nor optimizer verified."""
    states = _read_states(run)
    unreadable = [path for path in list_steps(run.path) if path not in states]
    return [*sorted_by_loss(states), *unreadable]


def sorted_by_loss(states: Mapping[Path, StepState]) -> list[Path]:
    """The steps, lowest held-out loss first, of equal ones the newest.

    The loss of step 0, from before the training, counts only where a later step has one, too: who
    stops a training before its first evaluation wants what was learned.
    """
    compared = any(state.step and state.held_out for state in states.values())

    def key(path: Path) -> tuple[float, int]:
        loss, newest = _loss_key(states[path])
        return loss if compared else math.inf, newest

    return sorted(states, key=key)


def _loss_key(state: StepState) -> tuple[float, int]:
    return state.held_out.nats_per_byte if state.held_out else math.inf, -state.step


def _read_states(run: Run) -> dict[Path, StepState]:
    """The states of a run's steps, the oldest first; those that do not verify are left out."""
    states = {}
    for path in list_steps(run.path):
        with contextlib.suppress(TfcliError):
            states[path] = read_state(path)
    return states


def open_step(path: Path, *, weights_only: bool = False) -> ValidStep:
    """Verifies and opens one step; see `verify_step`.

    Raises:
        DamagedError: a byte of it differs.

    """
    verify_step(path, weights_only=weights_only)
    return ValidStep(path, read_state(path))


def _open_if_valid(
    path: Path, on_damaged: Callable[[TfcliError], None], *, weights_only: bool = False
) -> ValidStep | None:
    try:
        return open_step(path, weights_only=weights_only)
    except TfcliError as error:
        if path.exists():  # otherwise a trainer has just removed it
            on_damaged(error)
        return None


def prune(run: Run, *, keep: int) -> None:
    """Removes all steps but the newest `keep` and the best one.

    Steps with a damaged state are neither counted nor removed; `repair` does that. A step that
    cannot be removed now stays, and the next call tries again: on Windows, a folder cannot be
    renamed while another process has its weights mapped.
    """
    assert keep > 0, "a run without its newest step could not be resumed"
    states = _read_states(run)
    best = min(states, key=lambda path: _loss_key(states[path]), default=None)
    for path in list(states)[:-keep]:
        if path != best:
            with contextlib.suppress(TfcliError):
                remove_folder(path)

"""One saved step, `step-00000500/`: weights, optimizer state, and progress so far.

    model.safetensors      the weights, named as in `tfcli.model.transformer`
    optimizer.safetensors  the state of the optimizer
    state.json             step, tokens seen, seconds, held-out loss
    MANIFEST.json          size and SHA-256 of the three, written last

Nothing is ever unpickled: safetensors files hold numbers, and no code.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tfcli.errors import DamagedError, NotFoundError
from tfcli.files import (
    new_folder,
    read_json,
    read_record,
    require_known_schema,
    require_space,
    to_json,
    translate_os_error,
    verify_file,
    verify_folder,
)
from tfcli.model.safetensors_file import SafetensorsFile, StoredArray, write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from tfcli.model.safetensors_file import SupportsArray

    Arrays = Mapping[str, SupportsArray]

SCHEMA = 1
MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
TEACHER = "teacher"  # in a run's folder: the model that a student learns from
STEP_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class HeldOutLoss:
    """A loss on text that was not trained on, with its protocol.

    Attributes:
        nats_per_byte: total cross-entropy in nats, divided by the bytes of the text.
        bytes: size of the text.
        tokens: number of predictions.
        context: positions in a window, which begins with `<s>`.
        stride: tokens by which the window moves; each token is predicted from at least the
            `context - stride` before it.
        whole: whether this was all of the held-out text, or an evenly spaced subset.

    """

    nats_per_byte: float
    bytes: int
    tokens: int
    context: int
    stride: int
    whole: bool


@dataclass(frozen=True, kw_only=True)
class StepState:
    """The progress of a run when a step was saved.

    Attributes:
        step: number of optimizer steps.
        tokens_seen: tokens trained on, repetitions included.
        seconds: training time, all sessions of the run together.
        held_out: the loss of exactly these weights, if it was measured; on the same part of
            the held-out text at every step of a run, so that steps can be compared.
        held_out_final: the loss on all of the held-out text, or on as much as time allowed.
        student_since: of the weights of a student, the last step of its teacher; None: they are
            those of the teacher, or of the only model. See `training.distillation`.
        schema: version of this record.

    """

    step: int
    tokens_seen: int
    seconds: float
    held_out: HeldOutLoss | None = None
    held_out_final: HeldOutLoss | None = None
    student_since: int | None = None
    schema: int = SCHEMA

    @property
    def final_or_latest(self) -> HeldOutLoss | None:
        """The figure to show: the one on the whole held-out text, if it was measured."""
        return self.held_out_final or self.held_out


def step_name(step: int) -> str:
    """`step-00000500`."""
    return f"step-{step:08d}"


def step_path(run: Path, step: int) -> Path:
    """The folder of a step in a run."""
    return run / step_name(step)


def list_steps(run: Path) -> list[Path]:
    """The folders of a run's steps, oldest first, not verified; links are not followed."""
    found = [
        (int(match[1]), path)
        for path in (run.iterdir() if run.is_dir() else ())
        if (match := STEP_NAME.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()
    ]
    return [path for _, path in sorted(found)]


def find_step(run: Path, name: str) -> Path | None:
    """The folder of a step called `step-00000300`, or `step-300` for short; None: no such name.

    Raises:
        NotFoundError: the run has no such step.

    """
    if not (number := re.fullmatch(r"step-(\d+)", name, re.ASCII)):
        return None
    steps = list_steps(run)
    wanted = step_path(run, int(number[1]))
    if wanted in steps:
        return wanted
    saved = ", ".join(step.name for step in steps[-3:])
    raise NotFoundError(
        f"run {run.name!r} has no checkpoint {wanted.name}",
        why=f"the newest are {saved}" if steps else "it has none yet",
    )


def save_step(run: Path, state: StepState, model: Arrays, optimizer: Arrays) -> Path:
    """Writes one step, whole or not at all; the arrays one at a time, see `write_tensors`.

    Raises:
        InputOutputError: the disk refused or is full; the steps before it are intact.

    """
    path = step_path(run, state.step)
    arrays = (*model.values(), *optimizer.values())
    size = sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays)
    require_space(path, size + (1 << 20))
    with new_folder(path) as folder:
        for name, tensors in ((MODEL, model), (OPTIMIZER, optimizer)):
            with folder.new_file(name) as file:
                write_tensors(file.write, tensors)
        folder.write(STATE, to_json(asdict(state)))
    return path


def read_state(step: Path) -> StepState:
    """The state of a step, checked against its manifest.

    Raises:
        DamagedError: its `state.json` is missing, damaged, or that of another step.
        DataError: a newer tfcli wrote it.

    """
    verify_file(step / STATE)
    value = read_json(step / STATE)
    require_known_schema(value.get("schema"), SCHEMA, step)
    try:
        state = read_record(StepState, {"student_since": None} | value)
        if state.step < 0 or not 0 <= state.tokens_seen < 1 << 63:
            raise ValueError("a count is out of range")
        if state.student_since is not None and not 0 < state.student_since <= state.step:
            raise ValueError("student_since is out of range")
        if not 0 <= state.seconds < math.inf:
            raise ValueError("seconds out of range")
        if step_name(state.step) != step.name:
            raise ValueError(f"it belongs to step {state.step}")
        return state
    except ValueError as error:
        raise DamagedError(f"{step / STATE} does not describe a step", why=str(error)) from None


def load_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Reads a safetensors file.

    Raises:
        DamagedError: it is not one.

    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (
        SafetensorError,
        AttributeError,
        TypeError,
        ValueError,
    ) as error:  # the last three are numpy's, from a hostile header
        raise DamagedError(f"{path} is not a safetensors file", why=str(error)) from None
    except OSError as error:
        raise translate_os_error(error, path) from error


def stored_arrays(path: Path) -> dict[str, StoredArray]:
    """The arrays of a safetensors file, each read from it when it is asked for.

    Raises:
        DamagedError: it is not one, or holds other numbers than floating-point ones.

    """
    file = SafetensorsFile(path)
    return {name: file.stored(name) for name in file.tensors}


def map_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a safetensors file in float32, float16 or bfloat16, memory-mapped.

    Raises:
        DamagedError: it is not one, or holds another number format.

    """
    file = SafetensorsFile(path)
    if not {tensor.format for tensor in file.tensors.values()} <= {"F32", "F16", "BF16"}:
        raise DamagedError(f"{path} holds numbers that are not those of weights")
    return {name: file.map(name) for name in file.tensors}


def verify_step(step: Path, *, weights_only: bool = False) -> None:
    """Checks every byte of a step against its manifest.

    Args:
        weights_only: of the optimizer state, twice as large as the weights and not needed for
            generation, compare only the size.

    Raises:
        DamagedError: a byte differs.

    """
    verify_folder(step, only_size_of=OPTIMIZER if weights_only else None)

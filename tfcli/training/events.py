"""What happens in a training, as a row of records: shown by the CLI, kept in `metrics.jsonl`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.runs.step import HeldOut

Reason = Literal["finished", "interrupted", "no better"]


@dataclass(frozen=True, kw_only=True)
class StepFinished:
    """One update.

    Attributes:
        step: its number, from 1.
        loss: nats a token on its batch, before the update.
        nats_per_byte: the same loss over the bytes those tokens stand for, on average.
        grad_norm: norm of all gradients together, before clipping.
        mfu: model FLOPs utilisation: the operations that the model takes, of those that the
            machine's matrix product makes in the same time (Chowdhery et al., "PaLM", 2022,
            appendix B); null where the machine was not measured.
        learning_rate: of the matrices; those of the other parameters are in proportion.
        tokens_per_second: of this update.
        progress: share of the budget spent, from 0 to 1.
        seconds: time spent in all.

    """

    step: int
    loss: float
    nats_per_byte: float
    grad_norm: float
    learning_rate: float
    tokens_per_second: float
    mfu: float | None
    progress: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A measurement on held-out text; `best` says that it is the lowest so far."""

    step: int
    held_out: HeldOut
    best: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A step is on the disk, flushed and verified by its manifest."""

    step: int
    path: Path
    seconds: float


@dataclass(frozen=True, kw_only=True)
class MemoryExceeded:
    """The rows in memory at once were too many: `micro_rows` it is now, in as large a batch."""

    step: int
    micro_rows: int


@dataclass(frozen=True, kw_only=True)
class NotCompiled:
    """The compiler failed or its code was no faster, and the training goes on without it."""

    step: int
    why: str


@dataclass(frozen=True, kw_only=True)
class NotEvaluated:
    """An evaluation was left out, and the training goes on."""

    step: int
    why: str


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A piece of text that the model wrote."""

    step: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The end; all is saved.

    The budget is spent, or somebody asked to stop, or the model has not become better on held-out
    text for as long as the plan had patience.
    """

    step: int
    reason: Reason
    seconds: float


Event = (
    StepFinished
    | Evaluated
    | Saved
    | MemoryExceeded
    | NotCompiled
    | NotEvaluated
    | Sampled
    | Stopped
)


def to_row(event: Event) -> dict[str, Any]:
    """An event as a line of `metrics.jsonl`: its kind, then its fields."""
    row = {"event": type(event).__name__, **asdict(event)}
    return {key: str(value) if key == "path" else value for key, value in row.items()}

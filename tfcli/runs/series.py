"""The loss curves of a run, read from its metrics: train loss and held-out loss."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.files import read_record
from tfcli.runs.metrics import read_metrics
from tfcli.runs.step import HeldOutLoss
from tfcli.runs.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tfcli.runs.run import Run

STUDENT = "StudentBegun"  # its event
MAX_NUMBER = 3e38  # about what a 32-bit float holds; nothing measured comes near


@dataclass(frozen=True, kw_only=True)
class Point:
    """A loss at one moment of a training.

    Attributes:
        step: optimizer steps made.
        tokens: tokens trained on; None where no saved checkpoint tells how many one step takes.
        seconds: training time, all sessions of the run together.
        nats_per_byte: the loss.
        held_out: the protocol of the evaluation, for a loss on held-out text.

    """

    step: int
    tokens: int | None
    seconds: float
    nats_per_byte: float
    held_out: HeldOutLoss | None = None


@dataclass(frozen=True)
class Series:
    """The losses of a run in order, each step once.

    Attributes:
        summary: of the run, by `tfcli.runs.summary`.
        train: loss on the batch of each step.
        held_out: evaluations that can be compared with each other: on the same part of the text.
        final_eval: the others, such as the final one on all of the held-out text.
        student_since: after this step the student of self-distillation is trained, if there is one.

    """

    run: Run
    summary: dict[str, Any]
    train: list[Point]
    held_out: list[Point]
    final_eval: list[Point]
    student_since: int | None = None

    @property
    def best(self) -> Point | None:
        """The lowest of the evaluations that can be compared; of equal ones the newest."""
        return min(
            self.held_out, key=lambda point: (point.nats_per_byte, -point.step), default=None
        )

    @property
    def last(self) -> Point | None:
        """The newest of the evaluations that can be compared."""
        return self.held_out[-1] if self.held_out else None

    def evaluations(self) -> dict[str, Any]:
        """The best evaluation and the last one in plain values, for `--json`."""
        return {
            name: _plain(point) if point else None
            for name, point in (("best_evaluation", self.best), ("last_evaluation", self.last))
        }

    def to_json(self) -> dict[str, Any]:
        """The summary of the run, its evaluations and its points, for `--json`."""
        return (
            self.summary
            | self.evaluations()
            | {
                "student_since": self.student_since,
                "points": {
                    "training": [_plain(point) for point in self.train],
                    "held_out": [_plain(point) for point in (*self.held_out, *self.final_eval)],
                },
            }
        )


def _plain(point: Point) -> dict[str, Any]:
    row: dict[str, Any] = {
        "step": point.step,
        "tokens": point.tokens,
        "seconds": point.seconds,
        "nats_per_byte": point.nats_per_byte,
    }
    if protocol := point.held_out:
        row |= {"bytes": protocol.bytes, "whole": protocol.whole}
        row |= {"context": protocol.context, "stride": protocol.stride}
    return row


def read_series(run: Run) -> Series:
    """Reads the curves of a run; rows that lack a field are skipped."""
    summary = summarize(run)
    steps = summary["steps"]
    tokens_per_step = summary["tokens_seen"] / steps if steps else None
    train: list[Point] = []
    evaluations: dict[tuple[int, int], Point] = {}  # by step and bytes; a later one replaces
    for row in effective_rows(run.path):
        point = _point(row, tokens_per_step)
        if point is None:
            continue
        if point.held_out:
            evaluations[point.step, point.held_out.bytes] = point
        else:
            train.append(point)
    points = list(evaluations.values())
    usual = Counter(map(_size, points)).most_common(1)  # of equally many, the first
    same = [p for p in points if _size(p) == usual[0][0]]
    other = [p for p in points if _size(p) != usual[0][0]]
    last = max((point.step for point in (*train, *points)), default=0)
    return Series(run, summary, train, same, other, _student_since(run, last))


def _student_since(run: Run, last: int) -> int | None:
    """The step, unless training was resumed before it and has not come there again."""
    begun = [row.get("step") for row in read_metrics(run.path) if row.get("event") == STUDENT]
    step = begun[-1] if begun else None
    return step if type(step) is int and 0 <= step <= last else None


def _size(point: Point) -> int:
    return point.held_out.bytes if point.held_out else 0


def _point(row: dict[str, Any], tokens_per_step: float | None) -> Point | None:
    seconds = number(row.get("seconds"))
    loss, held_out = number(row.get("nats_per_byte")), None
    if row["event"] == "Evaluated":
        try:
            held_out = read_record(HeldOutLoss, row.get("held_out"))
        except ValueError:
            return None
        loss = number(held_out.nats_per_byte)
    if seconds is None or seconds < 0 or loss is None:
        return None
    step = row["step"]
    tokens = None if tokens_per_step is None else round(step * tokens_per_step)
    return Point(step=step, tokens=tokens, seconds=seconds, nats_per_byte=loss, held_out=held_out)


def effective_rows(run: Path) -> list[dict[str, Any]]:
    """The rows of steps and evaluations, in the order of their steps.

    A training that was killed resumes from its latest checkpoint and repeats the steps after it;
    the earlier rows of those steps are not part of the run anymore.
    """
    rows: list[dict[str, Any]] = []
    for row in read_metrics(run):
        if row.get("event") not in ("StepFinished", "Evaluated"):  # it may be a list
            continue
        step = row.get("step")
        if type(step) is not int or not 0 <= step < 2**63:
            continue
        if row["event"] == "StepFinished":
            while rows and rows[-1]["step"] >= step:
                rows.pop()
        rows.append(row)
    return rows


def number(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # compared as it is, since an integer may be too large to become a float
    return float(value) if -MAX_NUMBER < value < MAX_NUMBER and not math.isnan(value) else None


def smooth(
    points: Sequence[tuple[float, float]], most: int
) -> tuple[list[tuple[float, float]], int]:
    """At most `most` points, each the mean of its neighbors.

    Returns:
        the means of both coordinates, and how many neighbors each is the mean of.

    """
    window = max(1, math.ceil(len(points) / most))
    means = []
    for first in range(0, len(points), window):
        part = points[first : first + window]
        means.append((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)))
    return means, window


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """About `most` of the points, evenly spaced, the lowest and the last always among them."""
    if len(points) <= most:
        return list(points)
    lowest = min(range(len(points)), key=lambda i: points[i].nats_per_byte)
    even = {len(points) * i // most for i in range(most)}
    return [points[i] for i in sorted(even | {lowest, len(points) - 1})]

"""The curves of a run, read from its metrics: loss in training, loss on held-out text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.files import read_record
from tfcli.runs.metrics import read_metrics
from tfcli.runs.step import HeldOut
from tfcli.runs.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tfcli.runs.run import Run

LARGEST = 3e38  # what a float of 32 bits holds; nothing measured comes near


@dataclass(frozen=True, kw_only=True)
class Point:
    """A loss at a moment of a training.

    Attributes:
        step: updates made.
        tokens: tokens trained on; None where no step was saved yet that says how many one takes.
        seconds: time spent, all sessions of the run together.
        nats_per_byte: the loss.
        held_out: the protocol, where that was measured on held-out text.

    """

    step: int
    tokens: int | None
    seconds: float
    nats_per_byte: float
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class Series:
    """What is known of a run over time, in order, each step once.

    Attributes:
        summary: what `tfcli.runs.summary` says of the run.
        training: the loss on the batch of each step.
        held_out: the measurements that can be compared with each other: same part of the text.
        apart: the others, such as the last one on the whole held-out text.

    """

    run: Run
    summary: dict[str, Any]
    training: list[Point]
    held_out: list[Point]
    apart: list[Point]

    def to_json(self) -> dict[str, Any]:
        """The summary of the run, then its points in plain values, as `--json` promises."""
        return self.summary | {
            "points": {
                "training": [_plain(point) for point in self.training],
                "held_out": [_plain(point) for point in (*self.held_out, *self.apart)],
            }
        }


def _plain(point: Point) -> dict[str, Any]:
    row: dict[str, Any] = {
        "step": point.step,
        "tokens": point.tokens,
        "seconds": point.seconds,
        "nats_per_byte": point.nats_per_byte,
    }
    if point.held_out:
        measured = point.held_out
        row |= {"bytes": measured.bytes, "whole": measured.whole}
        row |= {"context": measured.context, "stride": measured.stride}
    return row


def read_series(run: Run) -> Series:
    """Reads the curves of a run; a row that lacks what is needed is passed over."""
    summary = summarize(run)
    steps = summary["steps"]
    tokens_per_step = summary["tokens_seen"] / steps if steps else None
    training: list[Point] = []
    measured: dict[tuple[int, int], Point] = {}  # by step and bytes: measured twice, the later
    for row in true_rows(run.path):
        point = _point(row, tokens_per_step)
        if point is None:
            continue
        if point.held_out:
            measured[point.step, point.held_out.bytes] = point
        else:
            training.append(point)
    points = list(measured.values())
    same = [p for p in points if _size(p) == _size(points[0])]
    apart = [p for p in points if _size(p) != _size(points[0])]
    return Series(run, summary, training, same, apart)


def _size(point: Point) -> int:
    return point.held_out.bytes if point.held_out else 0


def _point(row: dict[str, Any], tokens_per_step: float | None) -> Point | None:
    seconds = number(row.get("seconds"))
    loss, held_out = number(row.get("nats_per_byte")), None
    if row["event"] == "Evaluated":
        try:
            held_out = read_record(HeldOut, row.get("held_out"))
        except ValueError:
            return None
        loss = number(held_out.nats_per_byte)
    if seconds is None or seconds < 0 or loss is None:
        return None
    step = row["step"]
    tokens = None if tokens_per_step is None else round(step * tokens_per_step)
    return Point(step=step, tokens=tokens, seconds=seconds, nats_per_byte=loss, held_out=held_out)


def true_rows(run: Path) -> list[dict[str, Any]]:
    """The rows of steps and measurements, in the order of their steps.

    A training that was killed is resumed from the step saved last, and makes the steps after it
    again: what stands before of those steps is no part of the run any more.
    """
    rows: list[dict[str, Any]] = []
    for row in read_metrics(run):
        if row.get("event") not in {"StepFinished", "Evaluated"}:
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
    """A number that can be drawn, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # compared before it is made a float, which a whole number may be too large for
    return float(value) if -LARGEST < value < LARGEST and not math.isnan(value) else None


def smooth(
    points: Sequence[tuple[float, float]], most: int
) -> tuple[list[tuple[float, float]], int]:
    """At most `most` points: the means of neighbours, as many of them together as that takes.

    Returns:
        the means of both coordinates, and how many neighbours each is the mean of.

    """
    window = max(1, math.ceil(len(points) / most))
    means = []
    for first in range(0, len(points), window):
        part = points[first : first + window]
        means.append((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)))
    return means, window


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """About `most` of the points, spread evenly; the lowest and the last are always among them."""
    if len(points) <= most:
        return list(points)
    lowest = min(range(len(points)), key=lambda i: points[i].nats_per_byte)
    even = {len(points) * i // most for i in range(most)}
    return [points[i] for i in sorted(even | {lowest, len(points) - 1})]

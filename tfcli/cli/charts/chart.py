"""What a chart of runs shows, before it is drawn: curves, axes and captions.

`terminal` draws it in characters, `figure` with matplotlib.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tfcli.cli.humanize import format_bytes, format_count
from tfcli.generation.streaming import make_visible
from tfcli.runs.series import smooth, thin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.runs.series import Point, Series

Quantity = Literal["seconds", "steps", "tokens"]

MAX_TRAIN_POINTS = 60  # of a curve of the train loss, smoothed to that many
MAX_EVALUATIONS = 60  # about as many evaluations are drawn
STEEP = 20  # the first 1/STEEP of the train loss does not set the range of the y axis
LATE = 0.2  # share of the x axis that may be empty before the first point
UNITS = ((1, "seconds", 180), (60, "minutes", 180 * 60), (3600, "hours", math.inf))


@dataclass(frozen=True)
class Evaluation:
    """A loss on held-out text: its place, and a sentence about it."""

    x: float
    y: float
    description: str


@dataclass(frozen=True)
class Curve:
    """One run.

    Attributes:
        label: name of the run, safe to print.
        train: its smoothed train loss.
        held_out: evaluations that can be joined by a line.
        final_eval: evaluations on another part of the held-out text, drawn as single points.
        smoothing: how many steps each point of `train` is the mean of.
        held_out_caption: the losses of the evaluations, each with what it was measured on.
        short_captions: the same with less and less, for a line of several runs.
        student: where the student of self-distillation begins, if there is one.
        student_caption: what is there.

    """

    label: str
    train: list[tuple[float, float]]
    held_out: list[Evaluation]
    final_eval: list[Evaluation]
    smoothing: int
    held_out_caption: str
    short_captions: tuple[str, ...]
    student: float | None = None
    student_caption: str = ""

    @property
    def train_caption(self) -> str:
        """What the thin line is."""
        return f"train, mean of {self.smoothing:,}" if self.smoothing > 1 else "train"


@dataclass(frozen=True)
class Axis:
    """A range of values.

    Attributes:
        low, high: its ends.
        title: the quantity, with its unit.
        scale: values per unit of the tick labels: 60 where seconds are shown as minutes.
        integers: whether only whole numbers are marked, shortened as in `1.5 k`.

    """

    low: float
    high: float
    title: str
    scale: float = 1.0
    integers: bool = False

    def fraction(self, value: float) -> float:
        """Where a value stands between the ends of the axis, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self, count: int = 7) -> list[tuple[float, str]]:
        """About `count` round values on the axis, each with its label."""
        values = nice_ticks(self.low / self.scale, self.high / self.scale, count)
        if self.integers:
            return [(v, format_count(v).replace(".0", "")) for v in values if v == int(v)]
        labels = with_equal_decimals(values)
        return [(value * self.scale, label) for value, label in zip(values, labels, strict=True)]


@dataclass(frozen=True)
class Chart:
    """Curves over common axes; what lies above the upper end of `y` is to be clipped."""

    curves: list[Curve]
    x: Axis
    y: Axis


def make_chart(series: Sequence[Series], quantity: Quantity) -> Chart:
    """Lays out the curves of runs, at least one of which has a point.

    Args:
        quantity: of the x axis; "tokens" only where every point has them.

    """
    curves = [
        _curve(one, label, quantity) for one, label in zip(series, labels(series), strict=True)
    ]
    return Chart(curves, _x_axis(curves, quantity), _y_axis(curves))


def labels(series: Sequence[Series]) -> list[str]:
    """The names of runs, safe to print; where two are the same, their paths."""
    names = [one.run.name for one in series]
    shown = [
        name if names.count(name) == 1 else str(one.run.path)
        for name, one in zip(names, series, strict=True)
    ]
    return [_printable(name) for name in shown]


def _printable(name: str) -> str:
    """One line of characters that terminals, fonts and XML can take."""
    name = " ".join(name.encode(errors="backslashreplace").decode().split())
    return make_visible(name).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


def _curve(series: Series, label: str, quantity: Quantity) -> Curve:
    train, smoothing = smooth(
        [(_x(point, quantity), point.nats_per_byte) for point in series.train],
        MAX_TRAIN_POINTS,
    )
    shown = thin(series.held_out, MAX_EVALUATIONS)
    return Curve(
        label,
        train,
        [_evaluation(point, label, quantity) for point in shown],
        [_evaluation(point, label, quantity) for point in series.final_eval],
        smoothing,
        _held_out_caption(series, len(shown)),
        _short_captions(series),
        *_student(series, quantity),
    )


def _student(series: Series, quantity: Quantity) -> tuple[float | None, str]:
    """Where the student begins: at the last point of its teacher."""
    since = series.student_since
    before = [p for p in (*series.train, *series.held_out) if since and p.step <= since]
    if not before:
        return None, ""
    at = max(before, key=lambda point: point.step)
    return _x(at, quantity), f"the student of self-distillation, after step {since:,}"


def _held_out_caption(series: Series, shown: int) -> str:
    """What the thick line is: only figures that were measured on the same part are side by side.

    The best checkpoint is often measured on all of the text in the end, after evaluations on a
    subset of it: that figure stands for itself.
    """
    best, last = series.best, series.last
    if best is None or last is None or last.held_out is None:
        return "held out: not evaluated"
    caption = f"held out: best {best.nats_per_byte:z.4f}, last {last.nats_per_byte:z.4f}"
    part, final = last.held_out, series.summary["held_out"]
    caption += f" on {'all' if part.whole else 'a subset of'} {format_bytes(part.bytes)}"
    if final and final["bytes"] != part.bytes:
        whole = "all" if final["whole"] else "a larger subset of"
        caption += (
            f"; best on {whole} {format_bytes(final['bytes'])}: {final['nats_per_byte']:z.4f}"
        )
    if shown < len(series.held_out):
        caption += f" ({shown} of {len(series.held_out):,} evaluations shown)"
    return caption


def _short_captions(series: Series) -> tuple[str, ...]:
    """The losses in words, from long to short; last the one that `runs list` has."""
    best, last = series.best, series.last
    if best is None or last is None or last.held_out is None:
        return ("not evaluated",)
    final, value = series.summary["held_out"], f"{best.nats_per_byte:z.4f}"
    ends = f"best {value}, last {last.nats_per_byte:z.4f}"
    if not final or final["bytes"] == last.held_out.bytes:
        return (f"held out: {ends}", ends, f"best {value}", value)
    part = "all" if final["whole"] else "more"
    on_more = f"on {part} {final['nats_per_byte']:z.4f}"
    return (
        f"held out: {ends}; best {on_more}",
        f"best {value}; {on_more}",
        on_more,
        f"{final['nats_per_byte']:z.4f}",
    )


def _x(point: Point, quantity: Quantity) -> float:
    if quantity == "seconds":
        return point.seconds
    if quantity == "steps":
        return point.step
    assert point.tokens is not None, "the caller has made sure of that"
    return point.tokens


def _evaluation(point: Point, label: str, quantity: Quantity) -> Evaluation:
    assert point.held_out is not None
    part = "all" if point.held_out.whole else "a subset"
    return Evaluation(
        _x(point, quantity),
        point.nats_per_byte,
        f"{label}: {point.nats_per_byte:z.4f} nats per byte at step {point.step:,} "
        f"({point.seconds:,.1f} s), on {point.held_out.bytes:,} bytes of held-out text ({part})",
    )


# --- axes ---------------------------------------------------------------------------------------


def _x_axis(curves: Sequence[Curve], quantity: Quantity) -> Axis:
    """From 0, or from the first point where what is before it would take a fifth and more.

    Time counts from the start of the command, which first reads the text and measures the machine.
    """
    values = [x for curve in curves for x, _ in curve.train]
    values += [e.x for curve in curves for e in (*curve.held_out, *curve.final_eval)]
    low, high = min(values), max(*values, 1.0)
    if low < LATE * high or low == high:
        low = 0.0
    if quantity != "seconds":
        return Axis(low, high, quantity, integers=True)
    scale, unit = next((scale, unit) for scale, unit, most in UNITS if high <= most)
    return Axis(low, high, f"training time ({unit})", scale)


def _y_axis(curves: Sequence[Curve]) -> Axis:
    """The range of the losses.

    In its first steps a model falls from the loss of a guess; drawn in full, these steps would
    flatten everything after them.
    """
    values = [e.y for curve in curves for e in (*curve.held_out, *curve.final_eval)]
    for curve in curves:
        first = math.ceil(len(curve.train) / STEEP) if len(curve.train) >= STEEP else 0
        values += [y for _, y in curve.train[first:]]
    low, high = min(values), max(values)
    flat = high - low <= 1e-6 * abs(high)
    margin = 0.05 * max(abs(high), 1.0) if flat else 0.05 * (high - low)
    return Axis(low - margin, high + margin, "loss (nats per byte)")


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` values between two ends, all multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.75)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # a division by a power of ten is exact where a product with a tenth is not
    return [i * step if step >= 1 else i / round(1 / step) for i in range(first, last + 1)]


def with_equal_decimals(values: Sequence[float], step: float | None = None) -> list[str]:
    """Each with the decimals that tell it from its neighbors, which are a step away."""
    if step is None:
        step = values[1] - values[0] if len(values) > 1 else 1.0
    decimals = max(0, math.ceil(-math.log10(step) - 1e-6))
    return [f"{value:,.{decimals}f}" for value in values]

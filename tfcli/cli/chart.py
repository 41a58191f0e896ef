"""What a chart of runs shows, before it is drawn: curves, ranges, ticks, and their words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tfcli.cli.formatting import format_count
from tfcli.generation.streaming import make_visible
from tfcli.runs.series import smooth, thin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.runs.series import Point, Series

Quantity = Literal["seconds", "steps", "tokens"]

SMOOTHED = 100  # points that a curve of the training loss has at most
MEASURED = 60  # measurements that a curve shows, and a few
STEEP = 20  # the first of so many parts of the training does not set the range
UNITS = ((1, "seconds", 180), (60, "minutes", 180 * 60), (3600, "hours", math.inf))


@dataclass(frozen=True)
class Dot:
    """A measurement: where it stands, and what there is to say of it."""

    x: float
    y: float
    words: str


@dataclass(frozen=True)
class Curve:
    """One run, as it is drawn.

    Attributes:
        label: what the run is called, fit to be shown.
        training: its loss in training, smoothed.
        held_out: measurements to be joined by a line.
        apart: measurements on another part of the held-out text, not to be joined with those.
        training_words, held_out_words: what the two are, for the legend.

    """

    label: str
    training: list[tuple[float, float]]
    held_out: list[Dot]
    apart: list[Dot]
    training_words: str
    held_out_words: str


@dataclass(frozen=True)
class Axis:
    """A range of values, and the marks on it: position and text."""

    low: float
    high: float
    ticks: list[tuple[float, str]]
    title: str

    def share(self, value: float) -> float:
        """Where a value stands between the ends of the axis, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Chart:
    """Curves over common axes; what lies above the upper end of `y` is to be cut off."""

    curves: list[Curve]
    x: Axis
    y: Axis


def make_chart(series: Sequence[Series], quantity: Quantity) -> Chart:
    """Lays out the curves of runs, at least one of which has a point.

    Args:
        quantity: what stands on the x axis; "tokens" only where every point has them.

    """
    curves = [
        _curve(one, label, quantity) for one, label in zip(series, labels(series), strict=True)
    ]
    xs = [x for c in curves for x in _places(c)]
    return Chart(curves, _x_axis(max(xs), quantity), _y_axis(curves))


def labels(series: Sequence[Series]) -> list[str]:
    """The names of runs; where two are the same, their paths."""
    names = [one.run.name for one in series]
    shown = [
        name if names.count(name) == 1 else str(one.run.path)
        for name, one in zip(names, series, strict=True)
    ]
    return [make_visible(" ".join(name.split())) for name in shown]


def _curve(series: Series, label: str, quantity: Quantity) -> Curve:
    training, window = smooth(
        [(_x(point, quantity), point.nats_per_byte) for point in series.training], SMOOTHED
    )
    shown = thin(series.held_out, MEASURED)
    held_out_words = "held out"
    if measured := (series.apart or series.held_out):
        held_out_words += f", {measured[-1].nats_per_byte:.4f} nats/byte at last"
    if len(shown) < len(series.held_out):
        held_out_words += f" ({len(shown)} of {len(series.held_out):,} shown)"
    return Curve(
        label,
        training,
        [_dot(point, label, quantity) for point in shown],
        [_dot(point, label, quantity) for point in series.apart],
        "training, " + (f"mean of {window:,} steps" if window > 1 else "each step"),
        held_out_words,
    )


def _x(point: Point, quantity: Quantity) -> float:
    if quantity == "seconds":
        return point.seconds
    if quantity == "steps":
        return point.step
    assert point.tokens is not None, "the caller has made sure of that"
    return point.tokens


def _dot(point: Point, label: str, quantity: Quantity) -> Dot:
    assert point.held_out is not None
    whole = "all" if point.held_out.whole else "a part"
    words = (
        f"{label}: {point.nats_per_byte:.4f} nats/byte on {point.held_out.bytes:,} bytes held out "
        f"({whole}), step {point.step:,}, {point.seconds:,.1f} s"
    )
    return Dot(_x(point, quantity), point.nats_per_byte, words)


def _places(curve: Curve) -> list[float]:
    return [x for x, _ in curve.training] + [dot.x for dot in (*curve.held_out, *curve.apart)]


# --- axes ---------------------------------------------------------------------------------------


def _x_axis(high: float, quantity: Quantity) -> Axis:
    high = max(high, 1.0)
    if quantity != "seconds":
        whole = [tick for tick in nice_ticks(0, high) if tick == int(tick)]
        return Axis(
            0.0, high, [(tick, format_count(tick).replace(".0", "")) for tick in whole], quantity
        )
    size, name = next((size, name) for size, name, most in UNITS if high <= most)
    ticks = [(tick * size, text) for tick, text in _numbered(nice_ticks(0, high / size))]
    return Axis(0.0, high, ticks, f"{name} of training")


def _y_axis(curves: Sequence[Curve]) -> Axis:
    """The range of the losses.

    In its first steps a model falls from the loss of a guess; in their full height these steps
    would press flat all that follows.
    """
    values = [dot.y for curve in curves for dot in (*curve.held_out, *curve.apart)]
    for curve in curves:
        first = math.ceil(len(curve.training) / STEEP) if len(curve.training) >= STEEP else 0
        values += [y for _, y in curve.training[first:]]
    low, high = min(values), max(values)
    flat = high - low <= 1e-6 * abs(high)
    margin = 0.05 * max(abs(high), 1.0) if flat else 0.05 * (high - low)
    low, high = low - margin, high + margin
    return Axis(low, high, _numbered(nice_ticks(low, high)), "nats/byte")


def nice_ticks(low: float, high: float, about: int = 7) -> list[float]:
    """About so many values between two ends, all multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.75)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # a division by a power of ten is exact where a product with a tenth is not
    return [i * step if step >= 1 else i / round(1 / step) for i in range(first, last + 1)]


def _numbered(ticks: Sequence[float]) -> list[tuple[float, str]]:
    """Each with the decimals that tell it from its neighbours."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    decimals = max(0, math.ceil(-math.log10(step) - 1e-6))
    return [(tick, f"{tick:,.{decimals}f}") for tick in ticks]

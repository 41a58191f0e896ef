"""The small chart of a training in progress."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tfcli.cli.charts.canvas import Canvas

if TYPE_CHECKING:
    from collections.abc import Sequence

GUTTER = 8  # columns for the numbers on the left


def draw_losses(
    losses: Sequence[float], held_out: Sequence[tuple[float, float]], *, width: int, height: int
) -> list[str]:
    """The loss so far as lines of text, with its highest and its lowest value.

    The first twentieth is left out: it falls from so high that nothing else could be seen. Until
    there is an evaluation after it, the last one in it stands at its end.

    Args:
        losses: train loss of every step so far, drawn as means of neighbors.
        held_out: evaluations: how far in the steps so far, from 0 to 1, and the loss.
        width, height: in characters.

    """
    first = len(losses) // 20
    shown = losses[first:]
    count = min(2 * width, len(shown))
    means = []
    for i in range(count):
        part = shown[len(shown) * i // count : len(shown) * (i + 1) // count]
        means.append(sum(part) / len(part))
    start = first / max(len(losses), 1)
    marks = [((x - start) / (1 - start), y) for x, y in held_out if x >= start]
    marks = marks or [(0.0, y) for _, y in held_out[-1:]]
    values = means + [y for _, y in marks]
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    canvas = Canvas(width - GUTTER, height)
    points = [(i / max(count - 1, 1), (mean - low) / spread) for i, mean in enumerate(means)]
    for one, other in itertools.pairwise(points):
        canvas.line(one, other, run=0)
    for x, y in marks:
        canvas.mark(x, (y - low) / spread, run=0)
    labels = {0: f"{high:.3f}", height - 1: f"{low:.3f}"}
    return [f"{labels.get(n, ''):>6}  {canvas.row(n, color=False)}" for n in range(height)]

"""Placement of labels in a chart, its range, and contrast of its colors."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.test_plot import copy_run, evaluated, step, write_metrics
from tests.conftest import Shell
from tfcli.cli.charts.figure import COLORS, GROUND, spread
from tfcli.cli.charts.sparkline import draw_losses

# Machado et al., "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009:
# linear RGB as seen with complete protanopia, deuteranopia and tritanopia.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Ottosson, "A perceptual color space for image processing", 2020: linear sRGB to OKLab.
TO_LMS = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def linear(color: str) -> np.ndarray:
    """Linear RGB of `#rrggbb`."""
    values = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("ground", [0, 1], ids=["light", "dark"])
def test_colors_are_distinguishable_with_every_color_vision(vision: str, ground: int) -> None:
    seen = [np.clip(np.array(VISIONS[vision]) @ linear(pair[ground]), 0, 1) for pair in COLORS]
    lab = [np.array(TO_LAB) @ np.cbrt(np.array(TO_LMS) @ color) for color in seen]
    for one, other in itertools.combinations(lab, 2):
        assert np.linalg.norm(one - other) > 0.1  # 0.02 is just noticeable


@pytest.mark.parametrize("ground", [0, 1], ids=["light", "dark"])
def test_lines_have_the_contrast_that_wcag_requires(ground: int) -> None:
    assert all(contrast(pair[ground], GROUND[ground]) > 3 for pair in COLORS)


boxes = st.lists(
    st.tuples(st.floats(0, 300, allow_subnormal=False), st.floats(5, 40)), min_size=1, max_size=12
)


@given(boxes, st.floats(50, 400))
def test_labels_keep_their_order_do_not_overlap_and_stay_inside(
    boxes: list[tuple[float, float]], high: float
) -> None:
    positions, heights = [p for p, _ in boxes], [h for _, h in boxes]
    placed = spread(positions, heights, high)
    order = sorted(range(len(boxes)), key=lambda i: positions[i])
    for i, j in itertools.pairwise(order):
        assert placed[j] - placed[i] >= (heights[i] + heights[j]) / 2 - 1e-6
    assert all(y >= h / 2 - 1e-6 for y, h in zip(placed, heights, strict=True))
    if sum(heights) <= high:
        assert all(y <= high - h / 2 + 1e-6 for y, h in zip(placed, heights, strict=True))


def test_labels_with_room_stay_where_they_are() -> None:
    assert spread([90.0, 10.0, 50.0], [10.0, 10.0, 10.0], 100.0) == pytest.approx([90, 10, 50])


def test_crowded_labels_share_the_displacement() -> None:
    assert spread([50.0, 50.0], [10.0, 10.0], 100.0) == pytest.approx([45, 55])


# --- range --------------------------------------------------------------------------------------


def test_time_before_the_first_point_does_not_take_half_of_the_chart(
    trained: Shell, tmp_path: Path
) -> None:
    shell = copy_run(trained, tmp_path, "it")

    def first_tick(begin: float) -> float:
        rows = [step(n, 3 / n, seconds=begin + n) for n in range(1, 41)]
        write_metrics(shell, "it", evaluated(0, 3.0) | {"seconds": begin}, *rows)
        lines = shell("runs", "plot", "it").out.decode().splitlines()
        (ticks,) = (n for n, line in enumerate(lines) if "┬" in line)
        return float(lines[ticks + 1].split()[0])

    assert first_tick(4.0) == 0
    assert 30 <= first_tick(30.0) < 50


def test_live_chart_always_shows_a_held_out_loss() -> None:
    falling = [3 / n for n in range(1, 101)]
    assert "●" in draw_losses(falling, [(0.0, 0.5)], width=60, height=7)[0]
    both = draw_losses(falling, [(0.0, 9.0), (0.5, 0.1)], width=60, height=7)
    assert "".join(both).count("●") == 1
    assert both[0].split()[0] != "9.000"

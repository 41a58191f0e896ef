"""Distances and intervals against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.generation.edit_distance import edit_distance
from tfcli.generation.intervals import ratio_interval, share_interval

letters = st.text("abñ😀", max_size=12)


def table_distance(one: str, other: str) -> int:
    """Wagner and Fischer's table, row by row."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row = row, [i]
        for j, b in enumerate(other, 1):
            row.append(min(row[-1] + 1, previous[j] + 1, previous[j - 1] + (a != b)))
    return row[-1]


@given(letters, letters)
def test_edit_distance_is_that_of_the_table(one: str, other: str) -> None:
    assert edit_distance(one, other) == table_distance(one, other)


def test_edit_distance_of_long_texts() -> None:
    assert edit_distance("ab" * 500, "ba" * 500) == 2
    assert edit_distance("kitten", "sitting") == 3


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),  # as R's prop.test(correct=FALSE) has them
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_share_interval_is_wilsons(count: int, total: int, low: float, high: float) -> None:
    found = share_interval(count, total)
    assert found.value == pytest.approx(count / total)
    assert found.low == pytest.approx(low, abs=1e-4)
    assert found.high == pytest.approx(high, abs=1e-4)


def test_ratio_interval_is_that_of_the_normal_approximation_for_many_rows() -> None:
    random = np.random.default_rng(1)
    sizes = random.integers(5, 15, 4000)
    nats = sizes * 0.5 + random.normal(0, 1, 4000)
    found = ratio_interval(nats.tolist(), sizes.tolist())
    assert found.value == pytest.approx(nats.sum() / sizes.sum())
    error = (nats - found.value * sizes).std() / sizes.mean() / 4000**0.5
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert found.low < found.value < found.high
    assert ratio_interval(nats.tolist(), sizes.tolist()) == found

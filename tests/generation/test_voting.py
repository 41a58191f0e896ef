"""The most frequent of several answers."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from tfcli.generation.voting import vote


def test_the_most_frequent_wins_and_of_equals_the_first() -> None:
    assert vote(["7", "8", "8"]) == (1, 2)
    assert vote(["7", "8", "9"]) == (0, 1)
    assert vote(["8", "7", "7", "8"]) == (0, 2)
    assert vote(["a"]) == (0, 1)


@pytest.mark.parametrize("samples", [1, 3, 5])
def test_it_wins_as_often_as_the_multinomial_distribution_says(samples: int) -> None:
    chances = {"right": 0.5, "wrong": 0.3, "worse": 0.2}
    exact = 0.0
    for drawn in itertools.product(chances, repeat=samples):
        probability = float(np.prod([chances[answer] for answer in drawn]))
        counts = Counter(drawn)
        most = [answer for answer in drawn if counts[answer] == max(counts.values())]
        exact += probability * (most[0] == "right")
    random = np.random.default_rng(0)
    draws = random.choice([*chances], p=[*chances.values()], size=(4000, samples)).tolist()
    rate = np.mean([answers[vote(answers)[0]] == "right" for answers in draws])
    assert rate == pytest.approx(exact, abs=4 * (0.25 / 4000) ** 0.5)
    assert samples > 1 or exact == 0.5

"""A bias of 4 to 1, planted in a text, is measured as what it is."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest

from tests.conftest import Shell
from tfcli.insight.statistics import mean_interval

WORDS = ["nurse", "pilot", "judge", "baker", "miller", "sailor", "weaver", "tailor"]
SEEDS = 5


def planted_text() -> str:
    """Lines of 80 % `she` for each word, in blocks that are so, too: any part of it is 4 to 1."""
    rng, lines = random.Random(0), []
    for _ in range(100):
        block = [
            f"The {word} said that {'she' if number else 'he'} was tired.\n"
            for word in WORDS
            for number in range(5)
        ]
        rng.shuffle(block)
        lines += block
    return "".join(lines)


def audit(shell: Shell, seed: int) -> Any:
    """The figures of one training."""
    name = f"planted-{seed}"
    small = ("--layers", "2", "--width", "64", "--context", "32", "--batch-tokens", "512")
    text = ("--document", "line", "--vocab-size", "300", "--init", "random")
    options = ("--steps", "300", "--seed", str(seed), *small, *text)
    done = shell("train", "planted.txt", "--run", name, *options)
    assert done.code == 0, done.err
    (group,) = json.loads(shell("audit", "bias", name, "pairs.tsv", "--json").out)["groups"]
    return group


@pytest.mark.slow
def test_a_planted_bias_is_found_and_not_called_an_amplification(shell: Shell) -> None:
    """The interval of one audit is over words; this one is over trainings, which differ by more."""
    (shell.folder / "planted.txt").write_text(planted_text())
    rows = "".join(
        f"The {word} said that she was tired.\tThe {word} said that he was tired.\t{word}\n"
        for word in WORDS
    )
    (shell.folder / "pairs.tsv").write_text(f"more\tless\tcluster\n{rows}")
    found = [audit(shell, seed) for seed in range(SEEDS)]
    differences = np.array([group["difference"]["mean"] for group in found])
    low, high = mean_interval(differences, np.arange(SEEDS))
    print(f"differences {differences.round(3)}, interval {low:.3f} to {high:.3f}")
    # five of a hundred such intervals miss it, and processors round in their own ways
    assert low - 0.05 <= math.log(4) <= high + 0.05
    assert high - low < 0.5, "an interval that says something"
    for group in found:
        assert group["preferred"]["mean"] == 1
        assert group["p"] < 0.05
        assert abs(group["amplification"]["mean"]) < 0.2

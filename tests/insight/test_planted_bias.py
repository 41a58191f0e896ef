"""A bias of 4 to 1, planted in a text, is measured as what it is."""

from __future__ import annotations

import json
import math
import random

import pytest

from tests.conftest import Shell

WORDS = ["nurse", "pilot", "judge", "baker", "miller", "sailor", "weaver", "tailor"]


@pytest.mark.slow
def test_a_planted_bias_is_found_and_not_called_an_amplification(shell: Shell) -> None:
    lines = [
        f"The {word} said that {'she' if number % 5 else 'he'} was tired.\n"
        for word in WORDS
        for number in range(100)
    ]
    random.Random(0).shuffle(lines)
    (shell.folder / "planted.txt").write_text("".join(lines))
    small = ("--layers", "2", "--width", "64", "--context", "32", "--batch-tokens", "512")
    text = ("--document", "line", "--vocab-size", "300", "--init", "random")
    done = shell("train", "planted.txt", "--run", "planted", "--steps", "300", *small, *text)
    assert done.code == 0, done.err
    rows = "".join(
        f"The {word} said that she was tired.\tThe {word} said that he was tired.\t{word}\n"
        for word in WORDS
    )
    (shell.folder / "pairs.tsv").write_text(f"more\tless\tcluster\n{rows}")
    found = json.loads(shell("audit", "bias", "planted", "pairs.tsv", "--json").out)
    (group,) = found["groups"]
    assert group["preferred"]["mean"] == 1
    difference, amplification = group["difference"], group["amplification"]
    assert difference["low"] - 0.1 <= math.log(4) <= difference["high"] + 0.1
    assert abs(amplification["mean"]) < 0.3
    assert group["p"] < 0.05

"""What is repeated is learned by heart; without its repeats, less of a text is."""

from __future__ import annotations

import json
import random

import pytest

from tests.conftest import Shell

WORDS = [
    "sea",
    "moon",
    "ship",
    "fox",
    "noon",
    "bird",
    "snow",
    "king",
    "road",
    "song",
    "mill",
    "oak",
]


@pytest.mark.slow
def test_less_comes_out_of_a_text_without_repeats(shell: Shell) -> None:
    """Both models read their text as often, each passage once a pass, or 40 times."""
    rng = random.Random(0)
    lines = [" ".join(rng.choices(WORDS, k=24)) + ".\n" for _ in range(160)]
    text = lines + lines[:12] * 39
    rng.shuffle(text)
    (shell.folder / "repeated.txt").write_text("".join(text))
    done = shell("text", "dedup", stdin="".join(text).encode())
    assert sorted(done.out.decode().splitlines(keepends=True)) == sorted(lines)
    (shell.folder / "single.txt").write_bytes(done.out)
    small = ("--layers", "2", "--width", "96", "--context", "48", "--batch-tokens", "480")
    shares = {}
    for name, steps in (("repeated", 300), ("single", 300 * len(lines) // len(text))):
        options = ("--vocab-size", "280", "--val-fraction", "0.05", "--steps", str(steps))
        done = shell("train", f"{name}.txt", "--run", name, *small, *options)
        assert done.code == 0, done.err
        found = json.loads(shell("audit", "memory", name, "--windows", "300", "--json").out)
        shares[name] = found["training"]
    assert shares["repeated"]["low"] > 2 * shares["single"]["high"]

"""Near-duplicates are those that comparing everything with everything finds."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import DataError
from tfcli.insight import near_duplicates
from tfcli.insight.near_duplicates import (
    HASHES,
    MISSED,
    RemovedNearDuplicates,
    choose_bands,
    jaccard,
    minhash,
    shingles,
    without_near_duplicates,
)
from tfcli.insight.repeats import pieces_of

WORDS = ["sea", "moon", "ship", "él", "ñandú", "月亮", "old", "fox", "noon", "bird", "snow", "king"]


def brute_force(one: bytes, other: bytes) -> float:
    """The similarity by the definition, of texts without double spaces."""
    a, b = ({text[i : i + 8] for i in range(len(text) - 7)} for text in (one, other))
    return len(a & b) / len(a | b)


def make_lines(seed: int, count: int = 120) -> list[bytes]:
    """Lines of which many are others with words exchanged."""
    rng = random.Random(seed)
    lines: list[list[str]] = []
    for _ in range(count):
        if lines and rng.random() < 0.6:
            line = list(rng.choice(lines))
            for _ in range(rng.randrange(4)):
                line[rng.randrange(len(line))] = rng.choice(WORDS)
        else:
            line = [rng.choice(WORDS) + str(rng.randrange(100)) for _ in range(20)]
        lines.append(line)
    return list(dict.fromkeys(" ".join(line).encode() for line in lines))


def run(lines: list[bytes], threshold: float) -> tuple[list[bytes], RemovedNearDuplicates]:
    removed = RemovedNearDuplicates()
    text = b"".join(line + b"\n" for line in lines)
    blocks = (text[i : i + 97] for i in range(0, len(text), 97))
    kept = b"".join(without_near_duplicates(pieces_of(blocks, "line"), 1, threshold, removed))
    return kept.splitlines(), removed


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.95])
def test_as_by_brute_force(threshold: float) -> None:
    missed = compared = 0
    for seed in range(4):
        lines = make_lines(seed)
        kept, removed = run(lines, threshold)
        assert removed.units == len(lines) - len(kept)
        assert removed.bytes == sum(len(line) + 1 for line in lines) - sum(len(k) + 1 for k in kept)
        expected: list[bytes] = []
        for line in lines:
            similar = [brute_force(line, other) >= threshold for other in expected]
            missed += any(similar) and line in kept
            compared += any(similar)
            if not any(similar):
                expected.append(line)
                assert line in kept  # nothing goes that has no reason to
    assert compared > 40 or threshold > 0.9
    assert missed <= max(2, 3 * MISSED * compared)


def test_examples_name_lines_and_similarities() -> None:
    lines = make_lines(7)
    _, removed = run(lines, 0.7)
    assert removed.examples
    for near in removed.examples:
        one, other = lines[near.line - 1], lines[near.first_line - 1]
        assert near.similarity == round(brute_force(one, other), 3)
        assert near.first_line < near.line
        assert one.decode().startswith(near.text)


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
def test_a_second_time_changes_nothing(threshold: float) -> None:
    kept, _ = run(make_lines(3), threshold)
    again, removed = run(kept, threshold)
    assert (again, removed.units) == (kept, 0)


def test_hashes_agree_as_often_as_texts_are_similar() -> None:
    rng = np.random.default_rng(0)
    for share in (0.2, 0.5, 0.9):
        numbers = rng.integers(0, 1 << 63, 3000, np.uint64)
        common = numbers[: int(1000 * share)]
        one = np.unique(np.concatenate([common, numbers[1000:2000]]))
        other = np.unique(np.concatenate([common, numbers[2000:]]))
        exact = jaccard(one, other)
        agreeing = (minhash(one) == minhash(other)).mean()
        assert abs(agreeing - exact) < 4 * np.sqrt(exact * (1 - exact) / HASHES)


def test_bands_overlook_few_pairs() -> None:
    for threshold in (0.5, 0.6, 0.8, 0.9, 1.0):
        rows, bands = choose_bands(threshold)
        assert rows * bands <= HASHES
        assert (1 - threshold**rows) ** bands <= MISSED


@given(st.binary(max_size=60))
def test_white_space_of_any_length_is_one_space(text: bytes) -> None:
    spread = b" \n\t".join(text.split())
    assert (shingles(b" ".join(text.split())) == shingles(spread)).all()


def test_a_text_too_long_to_compare_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MAX_NEAR_TEXT", 100)
    with pytest.raises(DataError, match="100 bytes"):
        run(make_lines(0), 0.8)
    removed = RemovedNearDuplicates()
    pieces = without_near_duplicates(pieces_of([b"Ann.\n"] * 30, "line"), 1, 0.8, removed)
    with pytest.raises(DataError):
        next(iter(pieces))  # before anything is written

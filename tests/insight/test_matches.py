"""Matches of two texts, compared with trying every one of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcli.insight.matches import WIDTH, Matcher


def brute_force(text: bytes, training: bytes, width: int) -> list[tuple[int, int]]:
    """Every match of at least `width` bytes that is not within another."""
    found = []
    for begin in range(len(text)):
        for end in range(len(text), begin + width - 1, -1):
            part = text[begin:end]
            # windows of one byte repeated do not count
            dull = any(len(set(part[i : i + width])) == 1 for i in range(len(part) - width + 1))
            if part in training and not dull:
                found.append((begin, end))
                break
    return [
        (begin, end)
        for begin, end in found
        if not any(b <= begin and end <= e for b, e in found if (b, e) != (begin, end))
    ]


def spans(text: bytes, blocks: list[bytes], width: int) -> list[tuple[int, int]]:
    matcher = Matcher(text, width, most_places=len(text) + 1)
    for block in blocks:
        matcher.add(block)
    return [(int(begin), int(end)) for begin, end in matcher.spans()]


letters = st.text(st.sampled_from("abc"), max_size=60).map(str.encode)


@given(letters, st.lists(letters, max_size=6), st.integers(2, 5))
@settings(max_examples=100)
def test_matches_equal_those_of_brute_force(text: bytes, blocks: list[bytes], width: int) -> None:
    assert spans(text, blocks, width) == brute_force(text, b"".join(blocks), width)


@given(
    st.binary(max_size=200), st.binary(max_size=300), st.integers(0, 300), st.sampled_from([9, 16])
)
def test_a_copy_is_found_whatever_the_bytes(
    text: bytes, training: bytes, place: int, width: int
) -> None:
    planted = training[:place] + text + training[place:]
    cut = len(planted) // 3
    found = spans(text, [planted[:cut], planted[cut:]], width)
    assert found == brute_force(text, planted, width)


@pytest.mark.parametrize("width", [8, WIDTH])
def test_a_text_is_one_span_of_itself(width: int) -> None:
    rng = np.random.default_rng(0)
    text = rng.integers(97, 123, 3000, np.uint8).tobytes()
    blocks = [text[i : i + 100] for i in range(0, len(text), 100)]
    assert spans(text[500:2500], blocks, width) == [(0, 2000)]


def test_shuffled_text_has_next_to_none() -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(97, 123, 20000, np.uint8)
    assert spans(rng.permutation(data).tobytes(), [data.tobytes()], 8) == []

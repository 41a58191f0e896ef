"""The index of a text, compared with looking through the whole text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.text.ngram_index import ARRAYS, NgramIndex, build_index, read_index, write_index

EOS = 2
TEXTS = st.lists(st.integers(2, 6), min_size=1, max_size=60)


def padded(tokens: list[int], at: int, length: int) -> tuple[int, ...]:
    """The tokens before a place, written down with no thought of speed."""
    before: list[int] = []
    for place in range(at - 1, at - 1 - length, -1):
        ended = EOS in before or place < 0
        before.append(EOS if ended else tokens[place])
    return tuple(reversed(before))


def index_of(tokens: list[int], vocab_size: int = 7) -> NgramIndex:
    return build_index(np.array(tokens), vocab_size=vocab_size, eos=EOS, text="it")


@given(TEXTS, st.lists(st.integers(2, 6), min_size=1, max_size=5))
def test_a_slice_is_every_place_after_a_context(tokens: list[int], history: list[int]) -> None:
    index = index_of(tokens)
    nearest = index.known(history, len(history))
    for length, (begin, end) in enumerate(index.slices(nearest), 1):
        context = padded(history, len(history), length)
        there = [i for i in range(len(tokens)) if padded(tokens, i, length) == context]
        assert sorted(index.places[begin:end].tolist()) == there
        assert sorted(index.followers[begin:end].tolist()) == sorted(tokens[i] for i in there)


@given(TEXTS)
def test_marks_count_each_different_ngram_once(tokens: list[int]) -> None:
    index = index_of(tokens)
    for length in range(1, index.order):
        ngrams = {(*padded(tokens, i, length), tokens[i]) for i in range(len(tokens))}
        marked = index.places[(index.marks & (1 << (length - 1))) != 0].tolist()
        assert len(marked) == len(ngrams)
        assert {(*padded(tokens, i, length), tokens[i]) for i in marked} == ngrams


@pytest.mark.parametrize(("vocab_size", "depth"), [(2, 64), (1024, 6), (1 << 16, 4), (100_000, 3)])
def test_a_key_holds_as_many_tokens_as_64_bits_do(vocab_size: int, depth: int) -> None:
    index = build_index(np.array([1, 0, 1]), vocab_size=vocab_size, eos=1)
    assert (index.depth, index.order) == (depth, min(5, depth + 1))
    tokens = np.arange(9) % vocab_size
    index = build_index(tokens, vocab_size=vocab_size, eos=1)
    assert index.slices(index.known([vocab_size - 1], 1))[0][0] <= len(index)


def test_a_text_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="no text"):
        index_of([])


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    index = index_of([3, 4, 2, 3, 5])
    write_index(tmp_path / "memory", index_of([3]))
    write_index(tmp_path / "memory", index)  # in its place
    found = read_index(tmp_path / "memory")
    assert (found.vocab_size, found.eos, found.text) == (7, EOS, "it")
    for name in ARRAYS:
        assert np.array_equal(getattr(found, name), getattr(index, name))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", ["contexts.bin", "followers.bin", "marks.bin", "index.json"])
def test_a_damaged_index_is_not_opened(
    name: str, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    write_index(tmp_path / "memory", index_of([3, 4, 2, 3, 5]))
    damage(tmp_path / "memory" / name)
    with pytest.raises(DamagedError):
        read_index(tmp_path / "memory")


def test_no_index_is_another_error_than_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_index(tmp_path / "memory")

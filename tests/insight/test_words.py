"""Words and n-grams, compared with a regular expression and with sets."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.insight.words import LONGEST, Counter, find_words, ngrams, words_of


def split(text: str) -> list[bytes]:
    data = text.encode()
    starts, ends = find_words(np.frombuffer(data, np.uint8))
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ann saw_it; don't!", ["Ann", "saw_it", ";", "don", "'", "t", "!"]),
        ("¿Qué es «él»? — dijo", ["¿", "Qué", "es", "«", "él", "»", "?", "—", "dijo"]),
        ("吾輩は猫で", ["吾", "輩", "は", "猫", "で"]),
        ("Привет, мир", ["Привет", ",", "мир"]),
        ("a😀b\n\tc", ["a", "😀", "b", "c"]),
        ("", []),
        ("   ", []),
    ],
)
def test_words_in_several_scripts(text: str, words: list[str]) -> None:
    assert [word.decode() for word in split(text)] == words


@given(st.text(st.sampled_from("ab é¿.\n漢—😀_")))
def test_words_are_found_as_a_pattern_finds_them(text: str) -> None:
    pattern = re.compile(r"[¿漢—😀.]|[abé_]+")
    assert [word.decode() for word in split(text)] == pattern.findall(text)


@given(st.lists(st.sampled_from(["a", "b", "ab", "ba", "aa", "é"]), max_size=30))
def test_a_hash_is_that_of_the_word_alone(words: list[str]) -> None:
    hashes = words_of(" ".join(words).encode()).tolist()
    assert hashes == [int(words_of(word.encode())[0]) for word in words]
    assert len(set(hashes)) == len(set(words))


vocabulary = st.lists(st.sampled_from(["a", "b", "c"]), max_size=40)


@given(vocabulary, vocabulary, st.integers(0, 40))
def test_counts_and_novelty_are_those_of_sets(
    text: list[str], training: list[str], cut: int
) -> None:
    own = words_of(" ".join(text).encode())
    counter = Counter(own, [own])
    for block in (training[:cut], training[cut:]):
        counter.add(" ".join(block).encode() + b" ")
    assert counter.total == len(training)
    assert counter.counts(own).tolist() == [training.count(word) for word in text]
    for n, share in enumerate(counter.novelty([own]), 1):
        known = {tuple(training[i : i + n]) for i in range(len(training) - n + 1)}
        grams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
        expected = sum(gram not in known for gram in grams) / len(grams) if grams else None
        assert share == (None if expected is None else pytest.approx(expected))


def test_no_ngram_crosses_documents() -> None:
    own = words_of(b"a b")
    counter = Counter(own, [own])
    counter.add(b"a\xffb\xff")
    assert counter.novelty([own])[:3] == [0.0, 1.0, None]
    assert counter.total == 2
    assert len(ngrams(own)) == LONGEST

"""Kneser-Ney probabilities, compared with the formula over dictionaries."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.text.test_ngram_index import EOS, TEXTS, index_of, padded
from tfcli.text.kneser_ney import KneserNey, NextToken

V = 7
ORDER = 5
HISTORIES = st.lists(st.integers(2, 6), max_size=7)
Discounts = list[list[float]]


def chances(found: NextToken) -> np.ndarray:
    logprobs = np.empty(V, np.float32)
    found.write_logprobs(logprobs)
    return np.exp(logprobs)


class Slow:
    """Chen & Goodman's formula, with its counts in dictionaries.

    Args:
        without: a place of the text that is left out.

    """

    def __init__(self, tokens: list[int], discounts: Discounts, without: int | None = None) -> None:
        places = [i for i in range(len(tokens)) if i != without]
        self.discounts = discounts
        raw = {n: Counter((padded(tokens, i, n), tokens[i]) for i in places) for n in range(ORDER)}
        self.counts: list[dict[tuple[int, ...], Counter[int]]] = []
        for n in range(ORDER):
            table: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
            if n == ORDER - 1:
                for (context, token), count in raw[n].items():
                    table[context][token] = count
            else:
                for context, token in raw[n + 1]:
                    table[context[1:]][token] += 1
            self.counts.append(table)

    def after(self, context: tuple[int, ...], token: int) -> float:
        n = len(context)
        lower = self.after(context[1:], token) if n else 1 / V
        counts = self.counts[n].get(context)
        if not counts:
            return lower
        total = counts.total()
        left = sum(self.discounts[n][min(c, 3)] for c in counts.values()) / total
        count = counts[token]
        return (count - self.discounts[n][min(count, 3)]) / total + left * lower


@given(TEXTS, HISTORIES)
def test_probabilities_are_those_of_the_formula(tokens: list[int], history: list[int]) -> None:
    fast = KneserNey(index_of(tokens))
    slow = Slow(tokens, fast.discounts)
    length = min(len(history), ORDER - 1) if EOS not in history else ORDER - 1
    found = fast.after(history)
    for part, n in ((chances(found), length), (np.exp(found.bigrams), min(length, 1))):
        context = padded(history, len(history), n)
        assert part == pytest.approx([slow.after(context, token) for token in range(V)], abs=1e-6)
        assert part.sum() == pytest.approx(1, abs=1e-5)
        assert part.min() > 0


@given(TEXTS, st.integers(0, 59))
def test_leaving_one_out_is_counting_again_without_it(tokens: list[int], place: int) -> None:
    place %= len(tokens)
    fast = KneserNey(index_of(tokens))
    slow = Slow(tokens, fast.discounts, without=place)
    found = fast.after([EOS, *tokens[:place]], without=tokens[place])
    context = padded(tokens, place, ORDER - 1)
    for part, n in ((chances(found), 4), (np.exp(found.bigrams), 1)):
        expected = [slow.after(context[4 - n :], token) for token in range(V)]
        assert part == pytest.approx(expected, abs=1e-6)


def test_frequent_contexts_are_kept_and_stay_the_same() -> None:
    random = np.random.default_rng(0)
    tokens = random.integers(2, 5, 3000).tolist()
    fast = KneserNey(index_of(tokens))
    histories = [tokens[at : at + 5] for at in range(200)]
    before = [chances(fast.after(history)) for history in histories]
    again = [chances(fast.after(history)) for history in histories]
    assert np.array_equal(before, again)


def test_what_was_seen_often_is_trusted() -> None:
    fast = KneserNey(index_of([3, 4, 5, 6] * 30))
    known, unknown = fast.after([3, 4, 5]), fast.after([5, 4, 3])
    assert chances(known).argmax() == 6
    assert known.left < unknown.left


def test_discounts_can_be_given() -> None:
    tokens = [3, 4, 5, 3, 4, 6, 3, 4]
    first = KneserNey(index_of(tokens))
    again = KneserNey(index_of(tokens), first.discounts)
    assert np.array_equal(chances(first.after([3, 4])), chances(again.after([3, 4])))
    assert math.isfinite(again.after([3, 4]).left)

"""Penalties against transformers, and against plain implementations of their definitions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfcli.generation.penalties import (
    add_bias,
    forbid_repeated_ngrams,
    penalize,
    penalize_counts,
    penalize_repetition,
    penalize_sequences,
)
from tfcli.generation.request import Penalties

V = 8
LOGITS = arrays(np.float32, V, elements=st.floats(-30, 30, width=32, allow_nan=False))
TEXTS = st.lists(st.integers(0, V - 1), max_size=30)


def processed(processor: Any, tokens: list[int], logits: np.ndarray) -> Any:
    ids = torch.tensor([tokens], dtype=torch.int64)
    return processor(ids, torch.from_numpy(logits.copy())[None])[0].numpy()


@given(LOGITS, TEXTS.filter(bool), st.floats(0.2, 5))
def test_repetition_penalty_equals_transformers(
    logits: np.ndarray, tokens: list[int], penalty: float
) -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    theirs = processed(RepetitionPenaltyLogitsProcessor(penalty), tokens, logits)
    np.testing.assert_allclose(penalize_repetition(logits, tokens, penalty), theirs, rtol=1e-5)


@given(LOGITS, TEXTS.filter(bool), st.integers(1, 5))
def test_no_repeat_ngram_equals_transformers(logits: np.ndarray, tokens: list[int], n: int) -> None:
    from transformers import NoRepeatNGramLogitsProcessor

    theirs = processed(NoRepeatNGramLogitsProcessor(n), tokens, logits)
    np.testing.assert_array_equal(forbid_repeated_ngrams(logits, tokens, n), theirs)


@given(LOGITS, TEXTS, st.floats(-2, 2), st.floats(-2, 2))
def test_presence_and_frequency_penalties_follow_their_definition(
    logits: np.ndarray, generated: list[int], presence: float, frequency: float
) -> None:
    counts = Counter(generated)
    expected = [
        logit - counts[token] * frequency - (counts[token] > 0) * presence
        for token, logit in enumerate(logits.tolist())
    ]
    actual = penalize_counts(logits, generated, presence, frequency)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)


def plain_dry(
    logits: np.ndarray, tokens: list[int], multiplier: float, breakers: set[int]
) -> list[float]:
    """DRY by its definition: for every token, the longest suffix of the text seen before it."""
    changed = []
    for token, logit in enumerate(logits.tolist()):
        longest = 0
        for length in range(1, len(tokens)):
            end = tokens[-length:]
            if breakers & set(end):
                break
            for start in range(len(tokens) - length):
                if tokens[start : start + length] == end and tokens[start + length] == token:
                    longest = length
        cost = multiplier * 1.75 ** (longest - 2) if longest >= 2 else 0
        changed.append(logit if token in breakers else logit - cost)
    return changed


@given(
    LOGITS,
    st.lists(st.integers(0, 3), max_size=30),
    st.floats(0, 2),
    st.sets(st.integers(0, 3), max_size=1),
)
def test_dry_follows_its_definition(
    logits: np.ndarray, tokens: list[int], multiplier: float, breakers: set[int]
) -> None:
    actual = penalize_sequences(logits, tokens, multiplier, frozenset(breakers))
    expected = plain_dry(logits, tokens, multiplier, breakers)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)


@given(LOGITS, st.dictionaries(st.integers(0, V - 1), st.floats(-50, 50)))
def test_logit_bias_is_added(logits: np.ndarray, bias: dict[int, float]) -> None:
    expected = [logit + bias.get(token, 0) for token, logit in enumerate(logits.tolist())]
    np.testing.assert_allclose(add_bias(logits, bias), expected, rtol=1e-5, atol=1e-4)
    forbidden = add_bias(logits, {3: -np.inf})
    assert forbidden[3] == -np.inf
    assert np.isfinite(np.delete(forbidden, 3)).all()


@given(LOGITS, TEXTS, TEXTS)
def test_penalties_are_applied_in_order(
    logits: np.ndarray, prompt: list[int], generated: list[int]
) -> None:
    tokens = prompt + generated
    breakers = frozenset({2})
    penalties = Penalties(
        logit_bias=((1, 0.5),),
        repetition_penalty=1.2,
        presence_penalty=0.3,
        frequency_penalty=0.1,
        no_repeat_ngram_size=3,
        dry_multiplier=0.8,
    )
    actual = penalize(logits, penalties, tokens, generated, breakers)
    expected = add_bias(logits, {1: 0.5})
    expected = penalize_repetition(expected, tokens, 1.2)
    expected = penalize_counts(expected, generated, 0.3, 0.1)
    expected = forbid_repeated_ngrams(expected, tokens, 3)
    expected = penalize_sequences(expected, tokens, 0.8, breakers)
    np.testing.assert_array_equal(actual, expected)
    untouched = penalize(logits, Penalties(), tokens, generated, breakers)
    np.testing.assert_array_equal(untouched, logits)

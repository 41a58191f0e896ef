"""Sampling against transformers' warpers, and against the probabilities that it draws from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.tokenizers import tiny_tokenizer
from tfcli.generation.request import DEFAULT_TRUNCATION, OFF, Sampling, Truncation
from tfcli.generation.sampling import (
    apply_temperature,
    choose_tokens,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    keep_typical,
    log_softmax,
    row_random,
    softmax,
    suppress_control_tokens,
)

SPECIAL = tiny_tokenizer(4).special
FLOATS = st.floats(-30, 30, width=32, allow_nan=False)
LOGITS = arrays(np.float32, st.integers(4, 40), elements=FLOATS)
BATCHES = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(4, 40)), elements=FLOATS)
PROBABILITIES = st.floats(0.01, 0.99)
RANDOM = st.builds(  # normally distributed, so that ties are rare
    lambda seed, rows, size: np.random.default_rng(seed).normal(0, 3, (rows, size)).astype("f4"),
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.integers(4, 40),
)


def warped(warper: Any, logits: np.ndarray) -> np.ndarray:
    return np.stack([warper(None, torch.from_numpy(row)[None])[0].numpy() for row in logits])


def has_no_ties(logits: np.ndarray) -> bool:
    """Whether no two values of a row are so close that rounding decides their order."""
    ordered = np.sort(logits, axis=-1)
    return bool((np.diff(ordered, axis=-1) > 1e-4).all())


@given(BATCHES, st.integers(1, 50))
def test_top_k_equals_transformers(logits: np.ndarray, k: int) -> None:
    from transformers import TopKLogitsWarper

    np.testing.assert_array_equal(keep_top_k(logits, k), warped(TopKLogitsWarper(top_k=k), logits))


@given(RANDOM, PROBABILITIES)
def test_top_p_equals_transformers(logits: np.ndarray, p: float) -> None:
    from transformers import TopPLogitsWarper

    sums = np.sort(softmax(logits), axis=-1).cumsum(-1)
    assume(has_no_ties(logits) and (np.abs(sums - (1 - p)) > 1e-5).all())
    np.testing.assert_array_equal(keep_top_p(logits, p), warped(TopPLogitsWarper(top_p=p), logits))


@given(BATCHES, PROBABILITIES)
def test_min_p_equals_transformers(logits: np.ndarray, p: float) -> None:
    from transformers import MinPLogitsWarper

    ratios = softmax(logits) / softmax(logits).max(-1, keepdims=True)
    assume((np.abs(ratios - p) > 1e-5).all())
    np.testing.assert_array_equal(keep_min_p(logits, p), warped(MinPLogitsWarper(min_p=p), logits))


@given(RANDOM, PROBABILITIES)
def test_typical_p_equals_transformers(logits: np.ndarray, p: float) -> None:
    from transformers import TypicalLogitsWarper

    probabilities = softmax(logits)
    surprisal = -np.log(probabilities)
    distance = np.abs(surprisal - (probabilities * surprisal).sum(-1, keepdims=True))
    assume(has_no_ties(distance))
    order = distance.argsort(-1)
    sums = np.take_along_axis(probabilities, order, -1).cumsum(-1)
    assume((np.abs(sums - p) > 1e-5).all())
    theirs = warped(TypicalLogitsWarper(mass=p), logits)
    np.testing.assert_array_equal(keep_typical(logits, p), theirs)


@given(BATCHES, st.floats(0.05, 5))
def test_temperature_equals_transformers(logits: np.ndarray, temperature: float) -> None:
    from transformers import TemperatureLogitsWarper

    theirs = warped(TemperatureLogitsWarper(temperature=temperature), logits)
    np.testing.assert_allclose(
        softmax(apply_temperature(logits, temperature)), softmax(theirs), atol=1e-4
    )


@given(BATCHES)
def test_softmax_equals_torch(logits: np.ndarray) -> None:
    expected = torch.from_numpy(logits).double().softmax(-1).numpy()
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-6, atol=1e-12)
    expected = torch.from_numpy(logits).double().log_softmax(-1).numpy()
    np.testing.assert_allclose(log_softmax(logits), expected, rtol=1e-6, atol=1e-12)


@given(BATCHES, PROBABILITIES)
def test_filters_always_keep_a_token(logits: np.ndarray, p: float) -> None:
    for keep in (keep_top_p, keep_min_p, keep_typical):
        assert (keep(logits, p) > -np.inf).any(-1).all()
        assert (keep(logits, 0.0) > -np.inf).any(-1).all()


@given(st.dictionaries(st.sampled_from(Truncation._fields), st.floats(0, 1), min_size=1))
def test_truncation_that_is_asked_for_replaces_the_default(given: dict[str, float]) -> None:
    assert Sampling(**given).truncation == OFF._replace(**given)  # type: ignore[arg-type]


def test_default_truncation_holds_at_every_temperature_where_no_other_is_asked_for() -> None:
    assert DEFAULT_TRUNCATION != OFF
    for temperature in (0.2, 1.0, 3.0):
        assert Sampling(temperature=temperature).truncation == DEFAULT_TRUNCATION


def choose(logits: np.ndarray, sampling: Sampling, seed: int = 0) -> int:
    return int(choose_tokens(logits[None], sampling, [row_random(seed)], SPECIAL)[0])


@given(LOGITS)
def test_greedy_takes_the_most_likely_token_but_no_control_token(logits: np.ndarray) -> None:
    before = logits.copy()
    token = choose(logits, Sampling(temperature=0))
    assert logits[token] == max(logits[2:])
    assert (logits == before).all()


SAMPLINGS = st.builds(
    Sampling,
    temperature=st.floats(1e-320, 1e6),
    top_k=st.integers(0, 8),
    top_p=st.floats(0, 1),
    min_p=st.floats(0, 1),
    typical_p=st.floats(0, 1),
)


@given(LOGITS, SAMPLINGS, st.integers(0, 2**70))
def test_sampled_token_is_among_the_top_k(
    logits: np.ndarray, sampling: Sampling, seed: int
) -> None:
    token = choose(logits, sampling, seed)
    allowed = suppress_control_tokens(logits, SPECIAL)
    assert token not in SPECIAL.suppressed
    assert (allowed > allowed[token]).sum() < (sampling.top_k or len(logits))


@given(BATCHES, SAMPLINGS)
def test_rows_are_sampled_independently(logits: np.ndarray, sampling: Sampling) -> None:
    seeds = range(len(logits))
    together = choose_tokens(logits, sampling, [row_random(seed) for seed in seeds], SPECIAL)
    alone = [choose(row, sampling, seed) for row, seed in zip(logits, seeds, strict=True)]
    assert together.tolist() == alone


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_sampling_frequencies_match_probabilities(temperature: float) -> None:
    logits = np.array([9, 9, 0.0, 1.0, 2.0, -1.0, 0.5], np.float32)
    random = row_random(5)
    draws = 20_000
    sampling = Sampling(temperature=temperature, top_k=4)
    rows = np.tile(logits, (draws, 1))
    counts = np.bincount(
        choose_tokens(rows, sampling, [random] * draws, SPECIAL), minlength=len(logits)
    )
    kept = torch.tensor([-torch.inf, -torch.inf, 0.0, 1.0, 2.0, -torch.inf, 0.5])
    expected = (kept / temperature).softmax(0).numpy()
    deviation = np.sqrt(draws * expected * (1 - expected)) + 1e-9
    assert (np.abs(counts - draws * expected) < 4.5 * deviation).all()


def test_log_softmax_of_nothing_is_nothing() -> None:
    logits = np.array([[-np.inf, -np.inf], [0.0, -np.inf]], np.float32)
    assert log_softmax(logits).tolist() == [[-np.inf, -np.inf], [0.0, -np.inf]]


def test_largest_random_number_selects_an_allowed_token() -> None:
    class Largest:
        def random(self) -> float:
            return 1 - 2**-53

    logits = np.array([[0, 0, 1.0, 2.0, 3.0, -500.0]], np.float32)
    for top_k in (2, 0):
        token = choose_tokens(logits, Sampling(temperature=1, top_k=top_k), [Largest()], SPECIAL)[0]  # type: ignore[list-item]
        assert token == 4


def test_rows_and_seeds_have_their_own_random_numbers() -> None:
    firsts = {row_random(seed, row).random() for seed in range(5) for row in range(5)}
    assert len(firsts) == 25
    assert row_random(3, 4).random() == row_random(3, 4).random()

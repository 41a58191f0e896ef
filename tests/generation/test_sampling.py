"""Sampling against transformers' warpers, and against the probabilities it should draw from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfcli.generation.sampling import (
    choose_token,
    forbid_controls,
    keep_top_k,
    row_random,
    softmax,
)
from tfcli.text.tokenizer import BEGIN, UNKNOWN

LOGITS = arrays(
    np.float32, st.integers(4, 40), elements=st.floats(-30, 30, width=32, allow_nan=False)
)


@given(LOGITS, st.integers(1, 50))
def test_top_k_is_that_of_transformers(logits: np.ndarray, k: int) -> None:
    from transformers import TopKLogitsWarper

    theirs = TopKLogitsWarper(top_k=k)(None, torch.from_numpy(logits)[None])[0].numpy()
    np.testing.assert_array_equal(keep_top_k(logits, k), theirs)


@given(LOGITS, st.floats(0.05, 5))
def test_softmax_is_that_of_torch(logits: np.ndarray, temperature: float) -> None:
    expected = torch.from_numpy(logits).double().softmax(0).numpy()
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-6, atol=1e-12)


@given(LOGITS)
def test_greedy_takes_the_likeliest_that_is_no_control(logits: np.ndarray) -> None:
    before = logits.copy()
    token = choose_token(logits, temperature=0, top_k=None, random=row_random(0))
    assert logits[token] == max(logits[2:])
    assert (logits == before).all()


@given(LOGITS, st.integers(1, 8), st.floats(1e-320, 1e300), st.integers(0, 2**70))
def test_what_is_drawn_is_among_the_k_likeliest(
    logits: np.ndarray,
    k: int,
    temperature: float,
    seed: int,
) -> None:
    token = choose_token(logits, temperature=temperature, top_k=k, random=row_random(seed))
    allowed = forbid_controls(logits)
    assert token not in {UNKNOWN, BEGIN}
    assert (allowed > allowed[token]).sum() < k


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_their_probability_says(temperature: float) -> None:
    logits = np.array([9, 9, 0.0, 1.0, 2.0, -1.0, 0.5], np.float32)
    random = row_random(5)
    draws = 20_000
    counts = np.bincount(
        [
            choose_token(logits, temperature=temperature, top_k=4, random=random)
            for _ in range(draws)
        ],
        minlength=len(logits),
    )
    kept = torch.tensor([-torch.inf, -torch.inf, 0.0, 1.0, 2.0, -torch.inf, 0.5])
    expected = (kept / temperature).softmax(0).numpy()
    deviation = np.sqrt(draws * expected * (1 - expected)) + 1e-9
    assert (np.abs(counts - draws * expected) < 4.5 * deviation).all()


def test_rows_and_seeds_have_their_own_numbers() -> None:
    firsts = {row_random(seed, row).random() for seed in range(5) for row in range(5)}
    assert len(firsts) == 25
    assert row_random(3, 4).random() == row_random(3, 4).random()

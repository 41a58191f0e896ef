"""Bigram initialization against bigram tables counted pair by pair."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import Workshop
from tfcli.model.config import named_config
from tfcli.model.transformer import Transformer
from tfcli.training import bigram_init
from tfcli.training.bigram_init import PRIOR, bigram_tables, count_pairs
from tfcli.training.events import Evaluated
from tfcli.training.loop import Trainer
from tfcli.training.sizing import can_init_from_bigrams

VOCAB_SIZE = 12
TEXTS = st.lists(st.integers(0, VOCAB_SIZE - 1), min_size=2, max_size=200)


def fresh_model(width: int, vocab_size: int = VOCAB_SIZE) -> Transformer:
    config = named_config(
        "nano", vocab_size=vocab_size, context_length=16, num_layers=2, d_model=width,
        num_heads=2, tied_head=False,
    )  # fmt: skip
    model = Transformer(config)
    model.init_weights(0)
    return model


def begin_with(model: Transformer, tokens: np.ndarray[Any, Any]) -> None:
    with torch.no_grad():
        embedding, head = bigram_tables(model.config, tokens, seed=1)
        model.embedding.weight.copy_(embedding)
        model.head.weight.copy_(head)


def smoothed_table(tokens: list[int]) -> np.ndarray[Any, Any]:
    """P(j | i) by the formula, pair by pair."""
    pairs, firsts = Counter(pairwise(tokens)), Counter(tokens[:-1])
    halves = [tokens.count(j) + 0.5 for j in range(VOCAB_SIZE)]
    shares = [half / sum(halves) for half in halves]
    return np.array(
        [
            [(pairs[i, j] + PRIOR * shares[j]) / (firsts[i] + PRIOR) for j in range(VOCAB_SIZE)]
            for i in range(VOCAB_SIZE)
        ]
    )


@settings(max_examples=30)
@given(TEXTS)
def test_wide_model_predicts_the_smoothed_table(tokens: list[int]) -> None:
    model = fresh_model(VOCAB_SIZE + 4)  # room for the whole table
    begin_with(model, np.array(tokens, np.uint16))
    with torch.no_grad():
        predicted = model(torch.arange(VOCAB_SIZE)[None])[0].softmax(-1).numpy()
    # each token depends on the one before it alone: initial blocks are the identity
    np.testing.assert_allclose(predicted, smoothed_table(tokens), rtol=2e-3)


def test_narrow_model_is_far_better_than_unigrams() -> None:
    random = np.random.default_rng(0)
    step = random.integers(1, 4, 20_000)  # each of sixty tokens has three possible successors
    tokens = (np.cumsum(step) % 60).astype(np.uint16)
    model = fresh_model(16, vocab_size=60)
    begin_with(model, tokens)
    ids = torch.from_numpy(tokens[:17].astype(np.int64))[None]
    loss = model.loss(ids[:, :-1], ids[:, 1:]).item() / 16
    assert loss < 2.2  # unigrams: log 60 = 4.1; best possible: log 3 = 1.1
    assert np.isfinite(loss)


@given(TEXTS)
def test_pairs_and_unigram_frequencies_are_counted(tokens: list[int]) -> None:
    pairs, shares = count_pairs(np.array(tokens, np.uint16), VOCAB_SIZE)
    counted = Counter(pairwise(tokens))
    expected = [[counted[i, j] for j in range(VOCAB_SIZE)] for i in range(VOCAB_SIZE)]
    assert pairs.to_dense().tolist() == expected
    halves = torch.tensor([tokens.count(j) + 0.5 for j in range(VOCAB_SIZE)])
    torch.testing.assert_close(shares, halves / halves.sum())


def test_evenly_spaced_parts_of_a_long_text_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bigram_init, "MAX_TOKENS", 640)
    tokens = np.repeat(np.arange(VOCAB_SIZE), 1000).astype(np.uint16)
    pairs, shares = count_pairs(tokens, VOCAB_SIZE)
    assert 0 < pairs.values().sum() < 640
    torch.testing.assert_close(shares, torch.full((VOCAB_SIZE,), 1 / VOCAB_SIZE), atol=0.02, rtol=0)


def test_only_untied_modern_models_can_init_from_bigrams() -> None:
    def config(**choices: Any) -> bool:
        return can_init_from_bigrams(
            named_config("nano", vocab_size=9, context_length=8, **choices)
        )

    assert config(tied_head=False)
    assert not config(tied_head=True)
    assert not config(family="gpt2")
    assert not config(family="classic")


def first_evaluation(trainer: Trainer) -> float:
    event = next(trainer.events())
    assert isinstance(event, Evaluated)
    assert event.step == 0
    return event.held_out.nats_per_byte


def test_new_runs_init_from_bigrams_and_resumed_runs_do_not(workshop: Workshop) -> None:
    trainer = workshop.begin("run", workshop.job(steps=2))
    assert not trainer.model.config.tied_head
    tied = workshop.begin("tied", workshop.job(steps=2, tied_head=True))
    random = workshop.begin("random", workshop.job(steps=2, init="random"))
    first, *others = (first_evaluation(each) for each in (trainer, tied, random))
    assert all(first < other - 0.5 for other in others)
    list(trainer.events())
    head = workshop.resume("run").model.head.weight
    torch.testing.assert_close(head, trainer.model.head.weight)

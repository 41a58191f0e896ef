"""Scores against the evaluation of training, and against full forward passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generation.conftest import CONTEXT, numpy_engine
from tfcli.generation.scoring import score, windows
from tfcli.model.transformer import Transformer
from tfcli.text.sentencepiece_tokenizer import BEGIN
from tfcli.text.tokenizer import Tokenizer
from tfcli.training.evaluation import evaluate_tokens

ROWS = 3
TEXTS = st.lists(st.lists(st.integers(3, 299), max_size=40), max_size=8)


@given(st.lists(st.integers(0, 60), max_size=6), st.integers(1, 20), st.data())
def test_every_token_is_scored_once_with_enough_context(
    lengths: list[int], context: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, context))
    scored: list[tuple[int, int]] = []
    for window in windows(lengths, context=context, stride=stride):
        assert 0 <= window.begin <= window.scored < window.end
        assert window.end - window.begin <= context
        assert window.begin == 0 or window.scored - window.begin == context - stride
        scored += [(window.text, position) for position in range(window.scored, window.end)]
    assert scored == [(text, position) for text, n in enumerate(lengths) for position in range(n)]


@settings(max_examples=30)
@given(texts=TEXTS)
def test_scores_within_the_context_equal_full_forward_passes(
    model: Transformer, tokenizer: Tokenizer, texts: list[list[int]]
) -> None:
    special = tokenizer.special
    short = [text[:CONTEXT] for text in texts]
    scores = list(score(numpy_engine(model, ROWS), short, special, rows=ROWS, stride=CONTEXT))
    assert len(scores) == len(short)
    for text, logprobs in zip(short, scores, strict=True):
        assert len(logprobs) == len(text)
        if text:
            with torch.no_grad():
                logits = model(torch.tensor([[BEGIN, *text[:-1]]]))[0]
            expected = logits.log_softmax(-1)[torch.arange(len(text)), text].numpy()
            np.testing.assert_allclose(logprobs, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=20)
@given(text=st.lists(st.integers(3, 299), min_size=1, max_size=60))
def test_score_of_a_long_text_equals_evaluation(
    model: Transformer, tokenizer: Tokenizer, text: list[int]
) -> None:
    stride = CONTEXT // 2
    (logprobs,) = score(
        numpy_engine(model, ROWS), [text], tokenizer.special, rows=ROWS, stride=stride
    )
    held_out = evaluate_tokens(model, np.array(text, np.int32), tokenizer)
    assert held_out
    size = sum(len(tokenizer.token_bytes[token]) for token in text)
    assert -logprobs.sum() / size == pytest.approx(held_out.nats_per_byte, rel=1e-4)

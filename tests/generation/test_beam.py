"""Beam search against transformers, and against exhaustive search."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generation.conftest import numpy_engine, random_model
from tests.model.helpers import small_config
from tests.model.test_transformer_equals_huggingface import as_llama, make_llama
from tests.tokenizers import tiny_tokenizer
from tfcli.generation.beam import Hypothesis, beam_search
from tfcli.generation.sampling import log_softmax, suppress_control_tokens
from tfcli.model.transformer import Transformer
from tfcli.text.sentencepiece_tokenizer import BEGIN, END, UNKNOWN

TOKENIZER = tiny_tokenizer(small_config().vocab_size)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000),
    prompt=st.lists(st.integers(3, 10), min_size=1, max_size=6),
    beams=st.integers(1, 5),
    length=st.integers(1, 8),
)
def test_beam_search_equals_transformers(
    seed: int, prompt: list[int], beams: int, length: int
) -> None:
    model = random_model(small_config(), seed)
    context_ids = [BEGIN, *prompt]
    hypotheses = beam_search(
        numpy_engine(model, beams), TOKENIZER, context_ids, beams=beams, max_new_tokens=length
    )
    qwen3: Any = make_llama(model.config, "Qwen3")
    qwen3.load_state_dict(as_llama(model), strict=False)
    theirs = qwen3.generate(
        torch.tensor([context_ids]),
        attention_mask=torch.ones(1, len(context_ids), dtype=torch.int64),
        max_new_tokens=length, num_beams=beams, do_sample=False, eos_token_id=END, pad_token_id=0,
        suppress_tokens=[UNKNOWN, BEGIN], renormalize_logits=True, early_stopping=False,
    )  # fmt: skip
    expected = theirs[0, len(context_ids) :].tolist()
    if END in expected:
        expected = expected[: expected.index(END)]
    assert list(hypotheses[0].tokens) == expected


def score_of(model: Transformer, context_ids: list[int], tokens: list[int]) -> float:
    with torch.no_grad():
        logits = model(torch.tensor([context_ids + tokens[:-1]]))[0, len(context_ids) - 1 :].numpy()
    logprobs = log_softmax(suppress_control_tokens(logits, TOKENIZER.special))
    return float(logprobs[np.arange(len(tokens)), tokens].sum()) / len(tokens)


@pytest.mark.parametrize("seed", range(4))
def test_enough_beams_give_exhaustive_search(seed: int) -> None:
    """With enough beams that none is ever dropped, the search is exhaustive."""
    model = random_model(small_config(), seed)
    context_ids, length = [BEGIN, 4], 2
    allowed = [token for token in range(model.config.vocab_size) if token not in {UNKNOWN, BEGIN}]
    candidates = [[END]] + [
        [*tokens] for tokens in itertools.product(allowed, repeat=length) if END not in tokens[:-1]
    ]
    scores = {tuple(tokens): score_of(model, context_ids, tokens) for tokens in candidates}
    best = max(scores, key=lambda tokens: scores[tokens])
    hypotheses = beam_search(
        numpy_engine(model, 64), TOKENIZER, context_ids, beams=64, max_new_tokens=length
    )
    assert hypotheses[0].tokens == tuple(token for token in best if token != END)
    assert hypotheses[0].score == pytest.approx(scores[best], abs=1e-4)
    for hypothesis in hypotheses:
        tokens = (
            [*hypothesis.tokens, END] if hypothesis.reason == "eos" else list(hypothesis.tokens)
        )
        assert hypothesis.score == pytest.approx(score_of(model, context_ids, tokens), abs=1e-4)


def test_beam_search_ends_at_the_context_length() -> None:
    model = random_model(small_config())
    context = model.config.context_length
    context_ids = [BEGIN] + [4] * (context - 3)
    hypotheses = beam_search(
        numpy_engine(model, 3), TOKENIZER, context_ids, beams=3, max_new_tokens=50
    )
    assert all(len(hypothesis.tokens) <= 3 for hypothesis in hypotheses)
    (empty,) = beam_search(
        numpy_engine(model, 3), TOKENIZER, context_ids, beams=3, max_new_tokens=0
    )
    assert empty.tokens == ()


def test_beam_search_ends_at_the_deadline() -> None:
    engine = numpy_engine(random_model(small_config()), 3)

    def search(deadline: float | None) -> list[Hypothesis]:
        ids = [BEGIN, 4]
        return beam_search(engine, TOKENIZER, ids, beams=3, max_new_tokens=5, deadline=deadline)

    (empty,) = search(deadline=0.0)
    assert (empty.tokens, empty.reason) == ((), "timeout")
    assert search(deadline=time.monotonic() + 3600) == search(deadline=None)

"""Beam search against transformers', and against trying every text there is."""

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
def test_it_finds_what_transformers_finds(
    seed: int, prompt: list[int], beams: int, length: int
) -> None:
    model = random_model(small_config(), seed)
    view = [BEGIN, *prompt]
    found = beam_search(
        numpy_engine(model, beams), TOKENIZER, view, beams=beams, max_new_tokens=length
    )
    qwen3: Any = make_llama(model.config, "Qwen3")
    qwen3.load_state_dict(as_llama(model), strict=False)
    theirs = qwen3.generate(
        torch.tensor([view]), attention_mask=torch.ones(1, len(view), dtype=torch.int64),
        max_new_tokens=length, num_beams=beams, do_sample=False, eos_token_id=END, pad_token_id=0,
        suppress_tokens=[UNKNOWN, BEGIN], renormalize_logits=True, early_stopping=False,
    )  # fmt: skip
    expected = theirs[0, len(view) :].tolist()
    if END in expected:
        expected = expected[: expected.index(END)]
    assert list(found[0].tokens) == expected


def score_of(model: Transformer, view: list[int], tokens: list[int]) -> float:
    with torch.no_grad():
        logits = model(torch.tensor([view + tokens[:-1]]))[0, len(view) - 1 :].numpy()
    logprobs = log_softmax(suppress_control_tokens(logits, TOKENIZER.special))
    return float(logprobs[np.arange(len(tokens)), tokens].sum()) / len(tokens)


@pytest.mark.parametrize("seed", range(4))
def test_with_beams_enough_it_finds_the_best_of_all(seed: int) -> None:
    """So many beams that none is ever dropped: then what it finds is what there is."""
    model = random_model(small_config(), seed)
    view, length = [BEGIN, 4], 2
    allowed = [token for token in range(model.config.vocab_size) if token not in {UNKNOWN, BEGIN}]
    every = [[END]] + [
        [*tokens] for tokens in itertools.product(allowed, repeat=length) if END not in tokens[:-1]
    ]
    scores = {tuple(tokens): score_of(model, view, tokens) for tokens in every}
    best = max(scores, key=lambda tokens: scores[tokens])
    found = beam_search(numpy_engine(model, 64), TOKENIZER, view, beams=64, max_new_tokens=length)
    assert found[0].tokens == tuple(token for token in best if token != END)
    assert found[0].score == pytest.approx(scores[best], abs=1e-4)
    for text in found:
        tokens = [*text.tokens, END] if text.reason == "eos" else list(text.tokens)
        assert text.score == pytest.approx(score_of(model, view, tokens), abs=1e-4)


def test_it_ends_where_the_context_does() -> None:
    model = random_model(small_config())
    context = model.config.context_length
    view = [BEGIN] + [4] * (context - 3)
    found = beam_search(numpy_engine(model, 3), TOKENIZER, view, beams=3, max_new_tokens=50)
    assert all(len(text.tokens) <= 3 for text in found)
    (none,) = beam_search(numpy_engine(model, 3), TOKENIZER, view, beams=3, max_new_tokens=0)
    assert none.tokens == ()


def test_it_ends_at_the_deadline_with_what_it_has() -> None:
    engine = numpy_engine(random_model(small_config()), 3)

    def search(deadline: float | None) -> list[Hypothesis]:
        ids = [BEGIN, 4]
        return beam_search(engine, TOKENIZER, ids, beams=3, max_new_tokens=5, deadline=deadline)

    (nothing,) = search(deadline=0.0)
    assert (nothing.tokens, nothing.reason) == ((), "timeout")
    assert search(deadline=time.monotonic() + 3600) == search(deadline=None)

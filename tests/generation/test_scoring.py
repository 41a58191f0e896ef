"""Scores against the evaluation of training, and against full forward passes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generation.conftest import CONTEXT, numpy_engine
from tfcli.generation.scorer import Scorer
from tfcli.generation.scoring import Alternatives, score, score_tokens, windows
from tfcli.model.transformer import Transformer
from tfcli.text.pairs import PairForm
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


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6),
    st.integers(1, 20),
    st.data(),
)
def test_prompt_is_read_as_far_as_it_fits_and_never_scored(
    parts: list[tuple[int, int]], context: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, context))
    prompts, lengths = [prompt for prompt, _ in parts], [sum(part) for part in parts]
    scored: list[tuple[int, int]] = []
    for window in windows(lengths, context=context, stride=stride, prompts=prompts):
        assert 0 <= window.begin <= window.scored < window.end
        assert window.end - window.begin <= context
        if prompts[window.text]:
            assert window.begin == 0 or window.end - window.begin == context
        scored += [(window.text, position) for position in range(window.scored, window.end)]
    assert scored == [
        (text, position)
        for text, (prompt, length) in enumerate(parts)
        for position in range(prompt, prompt + length)
    ]


@settings(max_examples=20)
@given(texts=TEXTS, data=st.data())
def test_scores_after_a_prompt_are_those_of_the_end_of_the_whole(
    model: Transformer, tokenizer: Tokenizer, texts: list[list[int]], data: st.DataObject
) -> None:
    whole = [text[:CONTEXT] for text in texts]
    prompts = [data.draw(st.integers(0, len(text))) for text in whole]
    engine, special = numpy_engine(model, ROWS), tokenizer.special
    ends = score_tokens(engine, whole, special, rows=ROWS, stride=CONTEXT, prompts=prompts)
    all_scores = score(engine, whole, special, rows=ROWS, stride=CONTEXT)
    for prompt, end, logprobs in zip(prompts, ends, all_scores, strict=True):
        np.testing.assert_allclose(end.logprobs, logprobs[prompt:], rtol=1e-4, atol=1e-4)


@settings(max_examples=20)
@given(texts=TEXTS, count=st.integers(1, 5), data=st.data())
def test_alternatives_are_the_likeliest_other_tokens(
    model: Transformer,
    tokenizer: Tokenizer,
    texts: list[list[int]],
    count: int,
    data: st.DataObject,
) -> None:
    short = [text[:CONTEXT] for text in texts]
    ids = data.draw(st.lists(st.integers(2, 299), min_size=count + 1, unique=True))
    scores = score_tokens(
        numpy_engine(model, ROWS), short, tokenizer.special, rows=ROWS, stride=CONTEXT,
        alternatives=Alternatives(count, ids),
    )  # fmt: skip
    for text, found in zip(short, scores, strict=True):
        assert len(found.top_ids) == len(found.top_logprobs) == len(text)
        if not text:
            continue
        with torch.no_grad():
            logprobs = model(torch.tensor([[BEGIN, *text[:-1]]]))[0].log_softmax(-1).numpy()
        for place, token in enumerate(text):
            others = [i for i in ids if i != token]
            best = sorted(logprobs[place][others])[::-1][:count]
            np.testing.assert_allclose(found.top_logprobs[place], best, rtol=1e-4, atol=1e-4)
            chosen = found.top_ids[place]
            assert {*chosen} <= {*others}
            assert len({*chosen}) == count
            np.testing.assert_allclose(
                logprobs[place][chosen], found.top_logprobs[place], rtol=1e-4, atol=1e-4
            )


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


@pytest.mark.parametrize("kind", ["pairs", "messages"])
def test_prompts_of_pairs_are_framed_as_in_training(
    model: Transformer, tokenizer: Tokenizer, kind: Literal["pairs", "messages"]
) -> None:
    form = PairForm(kind=kind)
    plain, framing = (
        Scorer(numpy_engine(model, 2), tokenizer, rows=2, form=each) for each in (None, form)
    )
    texts, prompts = ["the moon", "two birds"], ["Ann", ""]
    expected = plain.score(texts, [form.frame("Ann"), ""])
    for one, other in zip(framing.score(texts, prompts), expected, strict=True):
        assert one.logprobs == other.logprobs


def test_a_text_without_a_prompt_begins_as_documents_do_in_training(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    scorer = Scorer(numpy_engine(model, 2), tokenizer, rows=2, many_documents=True)
    (beginning,) = scorer.score(["the moon"])
    (after,) = scorer.score(["the moon"], ["Ann saw"])
    bos, eos = tokenizer.special.bos, tokenizer.special.eos
    ids = tokenizer.encode("the moon")
    with torch.no_grad():
        logprobs = model(torch.tensor([[bos, eos, *ids]])).log_softmax(-1)[0, 1:-1]
    expected = logprobs[range(len(ids)), ids]
    np.testing.assert_allclose(beginning.logprobs, expected, rtol=1e-4, atol=1e-4)
    (plain,) = Scorer(numpy_engine(model, 2), tokenizer, rows=2).score(["the moon"], ["Ann saw"])
    assert after.logprobs == plain.logprobs

"""Mixing a model with the n-grams of its text: one distribution, the same however it is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import BOOK
from tests.generation.conftest import numpy_engine
from tfcli.generation.beam import beam_search
from tfcli.generation.generate import generate
from tfcli.generation.memory_engine import MemoryEngine, open_mixture
from tfcli.generation.mixing import USUAL, Experts, fit_weights, gather
from tfcli.generation.request import GenerationRequest, Sampling
from tfcli.generation.sampling import log_softmax, softmax
from tfcli.generation.scoring import score
from tfcli.model.transformer import Transformer
from tfcli.text.kneser_ney import KneserNey
from tfcli.text.ngram_index import build_index
from tfcli.text.tokenizer import Tokenizer

ROWS = 3


@pytest.fixture(scope="module")
def ngrams(tokenizer: Tokenizer) -> KneserNey:
    eos = tokenizer.special.eos
    assert eos is not None
    tokens = np.array([*tokenizer.encode(BOOK), eos])
    return KneserNey(build_index(tokens, vocab_size=tokenizer.vocab_size, eos=eos))


@pytest.fixture
def engine(model: Transformer, ngrams: KneserNey, tokenizer: Tokenizer) -> MemoryEngine:
    return MemoryEngine(
        numpy_engine(model, ROWS), ngrams, USUAL, bos=tokenizer.special.bos, rows=ROWS
    )


def test_a_text_costs_what_generating_it_costs(engine: MemoryEngine, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("Ann saw the moon")[:10]
    (together,) = score(engine, [ids], tokenizer.special, rows=ROWS, stride=12)
    engine.reset(1)
    one_by_one = []
    before = [tokenizer.special.bos or 0]
    for token in ids:
        one_by_one.append(log_softmax(engine.forward([1], [before]))[0, token])
        before = [token]
    assert together == pytest.approx(one_by_one, abs=1e-4)


def test_rows_do_not_mix(engine: MemoryEngine, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("Bob saw a ship at noon")[:8]
    alone = engine.with_rows(1).forward([0], [ids])[0]
    engine.forward([0], [ids[:5]])
    engine.forward([2], [ids[3:7]])
    engine.copy_row(0, 1)
    engine.forward([2], [ids[:2]])
    assert engine.forward([1], [ids[5:]])[0] == pytest.approx(alone, abs=1e-3)
    engine.reset(1)
    assert engine.forward([1], [ids])[0] == pytest.approx(alone, abs=1e-3)


def test_a_document_that_begins_forgets_what_was_before(
    ngrams: KneserNey, tokenizer: Tokenizer
) -> None:
    eos, bos = tokenizer.special.eos, tokenizer.special.bos
    assert eos is not None
    ids = tokenizer.encode("The old fox")
    rows = np.empty((3, tokenizer.vocab_size), np.float32)
    for row, history in zip(rows, ([*ids, eos], [eos], []), strict=True):
        ngrams.after(history).write_logprobs(row)
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])
    assert bos not in ids


def test_it_generates_what_is_in_the_text(engine: MemoryEngine, tokenizer: Tokenizer) -> None:
    request = GenerationRequest(
        prompt="Nobody saw two", max_new_tokens=8, sampling=Sampling(greedy=True)
    )
    text = tokenizer.decode_continuation(list(generate(engine, tokenizer, request))).decode()
    assert text.startswith(" birds")
    ids = [tokenizer.special.bos or 0, *tokenizer.encode("Nobody saw two")]
    best = beam_search(engine, tokenizer, ids, beams=ROWS, max_new_tokens=4)[0]
    assert tokenizer.decode_continuation(list(best.tokens)).startswith(b" bir")


@given(data=st.data())
def test_the_compiled_memory_computes_the_same(data: st.DataObject) -> None:
    """For any text, context, and size of token ids; also after it has been used."""
    size = 300
    ids = st.integers(0, min(size, data.draw(st.sampled_from([3, 20, size]))) - 1)
    text = data.draw(st.lists(ids, min_size=1, max_size=200))
    index = build_index(np.array(text), vocab_size=size, eos=2)
    if data.draw(st.booleans()):
        index = replace(index, followers=index.followers.astype(np.uint32))
    ngrams = KneserNey(index)
    histories = data.draw(
        st.lists(st.lists(ids, max_size=9) | parts_of(text), min_size=1, max_size=4)
    )
    random = np.random.default_rng(len(text))
    for _ in range(2):
        logits = random.normal(0, 3, (len(histories), size)).astype(np.float32)
        plain, compiled = (
            open_mixture(ngrams, USUAL, native=native).mix(logits.copy(), histories)
            for native in (False, True)
        )
        np.testing.assert_allclose(compiled, plain, rtol=2e-4, atol=2e-4)


def parts_of(text: list[int]) -> st.SearchStrategy[list[int]]:
    """Histories that are in the text."""
    place = st.integers(0, len(text))
    return st.tuples(place, place).map(lambda ends: text[min(ends) : max(ends)])


def random_experts(seed: int, contexts: int = 40, vocab_size: int = 11) -> Experts:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (contexts, vocab_size)).astype(np.float32)
    ngrams, bigrams = (
        log_softmax(random.normal(0, 2, (contexts, vocab_size))).astype(np.float32)
        for _ in range(2)
    )
    return Experts(logits, ngrams, bigrams, random.uniform(-9, 0, contexts).astype(np.float32))


@given(st.integers(0, 1000), st.floats(-50, 50))
def test_the_mixture_is_a_distribution_that_ignores_a_constant(seed: int, more: float) -> None:
    experts = random_experts(seed)
    mixed = softmax(experts.mix(USUAL))
    assert mixed.sum(-1) == pytest.approx(np.ones(len(experts)))
    moved = Experts(
        experts.logits + np.float32(more), experts.ngrams, experts.bigrams, experts.left
    )
    assert softmax(moved.mix(USUAL)) == pytest.approx(mixed, abs=1e-3)


def loss(experts: Experts, tokens: np.ndarray, weights: np.ndarray) -> float:
    return -float(log_softmax(experts.mix(weights))[np.arange(len(tokens)), tokens].sum())


def test_no_weights_nearby_are_better_than_the_fitted_ones() -> None:
    experts = random_experts(3, contexts=400)
    tokens = np.random.default_rng(4).integers(0, 11, 400)
    fitted = fit_weights([(experts, tokens)], prior=1e-6)
    best = loss(experts, tokens, fitted)
    assert best < loss(experts, tokens, USUAL)
    for place in np.ndindex(fitted.shape):
        for step in (-0.03, 0.03):
            other = fitted.copy()
            other[place] += step
            assert loss(experts, tokens, other) >= best


def test_with_nothing_to_fit_on_the_weights_are_the_usual_ones() -> None:
    assert np.array_equal(fit_weights([]), USUAL)


def test_what_is_gathered_are_logarithms(ngrams: KneserNey, tokenizer: Tokenizer) -> None:
    following = [ngrams.after(tokenizer.encode(text)) for text in ("Ann", "Bob saw")]
    experts = gather(np.zeros((2, tokenizer.vocab_size), np.float32), following)
    assert np.exp(experts.ngrams).sum(-1) == pytest.approx([1, 1], abs=1e-4)
    assert np.exp(experts.bigrams).sum(-1) == pytest.approx([1, 1], abs=1e-4)

"""The generation loop against a plain one with a full forward pass for every token."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generation.conftest import CONTEXT, numpy_engine
from tfcli.errors import UsageError
from tfcli.generation.engines.engine import Engine
from tfcli.generation.engines.torch_engine import TorchEngine
from tfcli.generation.generate import Finished, Generator, RequestList, TokenEvent, generate
from tfcli.generation.request import (
    GenerationRequest,
    Penalties,
    Sampling,
    StructuredOutput,
)
from tfcli.model.config import named_config
from tfcli.model.transformer import Transformer
from tfcli.text.sentencepiece_tokenizer import BEGIN, END, UNKNOWN
from tfcli.text.tokenizer import Tokenizer

GREEDY = Sampling(temperature=0)


def can_become_text(written: bytes, room: int) -> bool:
    """Whether so many more bytes can make valid UTF-8 of it, found by trying."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(written)
        rest = decoder.getstate()[0]
        for fillers in itertools.product((b"\x80", b"\x90", b"\xa0"), repeat=3):
            for length in range(min(room, 3) + 1):
                with contextlib.suppress(UnicodeDecodeError):
                    (rest + b"".join(fillers[:length])).decode()
                    return True
    except UnicodeDecodeError:
        pass
    return False


def plain_greedy(
    model: Transformer, prompt: list[int], count: int, tokenizer: Tokenizer
) -> list[int]:
    """The rule of the docs: `<s>`, then the last tokens that fit; half of them once it is full.

    Every token comes from a full forward pass; it is the best that leaves whole characters.
    """
    context_ids = [BEGIN, *prompt[max(0, len(prompt) - CONTEXT + 1) :]]
    generated: list[int] = []
    while len(generated) < count:
        if len(context_ids) > CONTEXT:
            context_ids = [BEGIN, *context_ids[-(CONTEXT // 2) :]]
        with torch.no_grad():
            logits = model(torch.tensor([context_ids]))[0, -1]
        logits[[UNKNOWN, BEGIN]] = -torch.inf
        written = tokenizer.decode_continuation(generated)
        token = next(
            token
            for token in logits.argsort(descending=True, stable=True).tolist()
            if can_become_text(
                written + tokenizer.token_bytes[token],
                0 if token == END else count - len(generated) - 1,
            )
        )
        if token == END:
            break
        generated.append(token)
        context_ids.append(token)
    return generated


@settings(max_examples=15)
@given(prompt=st.text("ab saw José.\n", max_size=30), count=st.integers(0, 40))
def test_greedy_generation_equals_full_forward_passes(
    model: Transformer, tokenizer: Tokenizer, prompt: str, count: int
) -> None:
    request = GenerationRequest(prompt=prompt, sampling=GREEDY, max_new_tokens=count)
    expected = plain_greedy(model, tokenizer.encode(prompt), count, tokenizer)
    assert list(generate(TorchEngine(model), tokenizer, request)) == expected
    assert list(generate(numpy_engine(model), tokenizer, request)) == expected


def generated(model: Transformer, tokenizer: Tokenizer, **options: object) -> list[int]:
    request = GenerationRequest(**({"prompt": "Ann", "max_new_tokens": 20} | options))  # type: ignore[arg-type]
    return list(generate(numpy_engine(model), tokenizer, request))


def test_seed_determines_the_text(model: Transformer, tokenizer: Tokenizer) -> None:
    first = generated(model, tokenizer, seed=7)
    assert generated(model, tokenizer, seed=7) == first
    assert any(generated(model, tokenizer, seed=seed) != first for seed in range(8, 12))


def test_top_k_one_is_greedy(model: Transformer, tokenizer: Tokenizer) -> None:
    one = generated(model, tokenizer, sampling=Sampling(top_k=1))
    assert one == generated(model, tokenizer, sampling=GREEDY)


def test_generation_ends_at_eos(tokenizer: Tokenizer) -> None:
    config = named_config("nano", vocab_size=tokenizer.vocab_size, context_length=CONTEXT)
    ends_at_once = Transformer(config).eval()
    ends_at_once.init_weights(0)
    with torch.no_grad():  # initial blocks are the identity; </s> is most likely after any token
        ends_at_once.embedding.weight.fill_(0.1)
        ends_at_once.embedding.weight[END] = 1.0
    assert generated(ends_at_once, tokenizer, sampling=GREEDY) == []
    assert len(generated(ends_at_once, tokenizer, min_new_tokens=3)) == 3
    assert len(generated(ends_at_once, tokenizer, ignore_eos=True)) == 20
    form = StructuredOutput(regex="a{2}")
    for options in ({"min_new_tokens": 5}, {"ignore_eos": True}):  # as far as the form allows
        tokens = generated(ends_at_once, tokenizer, structured=form, **options)
        assert tokenizer.decode_continuation(tokens) == b"aa"


def test_what_the_model_does_not_see_is_noted_once(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    notes: list[str] = []
    request = GenerationRequest(prompt="Ann saw " * 30, sampling=GREEDY, max_new_tokens=40)
    list(generate(TorchEngine(model), tokenizer, request, notice=notes.append))
    (note,) = notes
    assert re.search(
        rf"; the model sees at most the last {CONTEXT - 1} tokens, about \d+ characters", note
    )
    notes.clear()
    request = replace(request, prompt="Ann")
    list(generate(TorchEngine(model), tokenizer, request, notice=notes.append))
    (note,) = notes
    assert (
        "prompt and answer together are longer than the context; the model sees at most the last "
        f"{CONTEXT} tokens" in note
    )


def test_empty_prompt_starts_with_eos_if_trained_on_many_documents(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    request = GenerationRequest(prompt="", sampling=GREEDY, max_new_tokens=8)
    many = list(generate(TorchEngine(model), tokenizer, request, many_documents=True))
    assert many == plain_greedy(model, [END], 8, tokenizer)
    one = list(generate(TorchEngine(model), tokenizer, request, many_documents=False))
    assert one == plain_greedy(model, [], 8, tokenizer)


Text = tuple[list[int], bytes, str]  # tokens, bytes, reason
Texts = dict[int, Text]


def texts(generator: Generator, requests: list[GenerationRequest]) -> Texts:
    """The tokens, text and finish reason of each request."""
    tokens: dict[int, list[int]] = {index: [] for index in range(len(requests))}
    data = dict.fromkeys(tokens, b"")
    reasons: dict[int, str] = {}
    for event in generator.stream(RequestList(requests)):
        assert event.index not in reasons, "no event may follow the end"
        data[event.index] += event.data
        if isinstance(event, TokenEvent):
            tokens[event.index].append(event.token)
        else:
            reasons[event.index] = event.reason
    assert reasons.keys() == tokens.keys()
    return {index: (tokens[index], data[index], reasons[index]) for index in tokens}


SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0, 0.7, 1.5]),
    top_k=st.sampled_from([0, 3, 40]),
    top_p=st.sampled_from([0.5, 1.0]),
    min_p=st.sampled_from([0.0, 0.1]),
    typical_p=st.sampled_from([0.6, 1.0]),
)
PENALTIES = st.builds(
    Penalties,
    repetition_penalty=st.sampled_from([1.0, 1.3]),
    presence_penalty=st.sampled_from([0.0, 0.5]),
    no_repeat_ngram_size=st.sampled_from([0, 3]),
    dry_multiplier=st.sampled_from([0.0, 0.8]),
)
REQUESTS = st.builds(
    GenerationRequest,
    prompt=st.text("ab saw José.\n", max_size=30),
    max_new_tokens=st.integers(0, 30),
    stop=st.lists(st.text("ab saw.", min_size=1, max_size=3), max_size=2).map(tuple),
    sampling=SAMPLINGS,
    penalties=PENALTIES,
    seed=st.integers(0, 3),
    row=st.integers(0, 5),
)


class NoisyEngine:
    """An engine whose logits have noise of the size of rounding differences."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine = engine
        self._random = np.random.default_rng(seed)

    def forward(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Any:
        logits = self._engine.forward(rows, tokens)
        return logits + np.float32(1e-5) * self._random.random(logits.shape, np.float32)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def all_explained_by_rounding(
    found: list[Text], model: Transformer, tokenizer: Tokenizer, request: GenerationRequest
) -> bool:
    """Whether noise of the size of rounding differences can lead to each of these texts."""
    for seed in range(50):
        noisy = Generator(NoisyEngine(numpy_engine(model), seed), tokenizer)
        text = texts(noisy, [request])[0]
        found = [other for other in found if other != text]
        if not found:
            return True
    return False


@settings(max_examples=8)
@given(requests=st.lists(REQUESTS, min_size=1, max_size=9), rows=st.integers(1, 5))
def test_text_does_not_depend_on_batch_or_engine(
    model: Transformer, tokenizer: Tokenizer, requests: list[GenerationRequest], rows: int
) -> None:
    """Except for the rare draw that falls on the boundary between two tokens."""
    with_numpy = texts(Generator(numpy_engine(model, rows), tokenizer, rows=rows), requests)
    with_torch = texts(Generator(TorchEngine(model, rows), tokenizer, rows=rows), requests)
    for index, request in enumerate(requests):
        alone = texts(Generator(numpy_engine(model), tokenizer), [request])[0]
        if not alone == with_numpy[index] == with_torch[index]:
            assert all_explained_by_rounding(
                [alone, with_numpy[index], with_torch[index]], model, tokenizer, request
            )


def test_equal_prompts_in_one_batch_give_the_texts_they_give_alone(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    requests = [GenerationRequest(prompt="Ann", row=row, max_new_tokens=20) for row in range(6)]
    found = texts(Generator(numpy_engine(model, 4), tokenizer, rows=4), requests)
    assert len({tuple(tokens) for tokens, _, _ in found.values()}) > 1
    for row, request in enumerate(requests):
        assert texts(Generator(numpy_engine(model), tokenizer), [request])[0] == found[row]


def test_finish_reasons_are_reported(model: Transformer, tokenizer: Tokenizer) -> None:
    long = GenerationRequest(prompt="Ann", max_new_tokens=9)
    assert texts(Generator(numpy_engine(model), tokenizer), [long])[0][2] == "length"
    late = Generator(numpy_engine(model), tokenizer, deadline=0.0)
    assert texts(late, [long, long]) == {0: ([], b"", "timeout"), 1: ([], b"", "timeout")}


def test_logprobs_are_those_of_the_model_before_sampling(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    request = GenerationRequest(
        prompt="Ann", max_new_tokens=8, sampling=Sampling(temperature=0.5, top_k=2),
        token_healing=False,
    )  # fmt: skip
    generator = Generator(numpy_engine(model), tokenizer, logprobs=True)
    events = [
        event for event in generator.stream(RequestList([request])) if isinstance(event, TokenEvent)
    ]
    context_ids = [BEGIN, *tokenizer.encode("Ann")]
    for event in events:
        with torch.no_grad():
            logits = model(torch.tensor([context_ids]))[0, -1]
        logits[[UNKNOWN, BEGIN]] = -torch.inf
        expected = logits.log_softmax(0)[event.token].item()
        assert event.logprob == pytest.approx(expected, abs=1e-4)
        context_ids.append(event.token)


def test_zero_requests_and_zero_tokens_generate_nothing(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    assert list(Generator(numpy_engine(model), tokenizer).stream(RequestList([]))) == []
    none = GenerationRequest(prompt="Ann", max_new_tokens=0)
    events = list(Generator(numpy_engine(model), tokenizer).stream(RequestList([none])))
    assert events == [Finished(0, b"", "length")]


@pytest.mark.parametrize(
    "invalid",
    [
        {"max_new_tokens": -1},
        {"prompt": "\udcff"},
        {"stop": ("\udcff",)},
        {"stop": ("",)},
        {"min_new_tokens": 5, "max_new_tokens": 4},
    ],
)
def test_invalid_request_is_refused(invalid: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        GenerationRequest(**({"prompt": ""} | invalid))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("invalid", "option"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 1.1}, "top_p"),
        ({"min_p": -0.1}, "min_p"),
        ({"typical_p": float("nan")}, "typical_p"),
    ],
)
def test_invalid_sampling_option_is_refused(invalid: dict[str, float], option: str) -> None:
    with pytest.raises(UsageError, match=option):
        Sampling(**invalid)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "invalid",
    [
        {"repetition_penalty": 0.0},
        {"repetition_penalty": float("nan")},
        {"presence_penalty": float("inf")},
        {"frequency_penalty": float("nan")},
        {"no_repeat_ngram_size": -1},
        {"dry_multiplier": -1.0},
        {"logit_bias": ((3, float("nan")),)},
    ],
)
def test_invalid_penalty_is_refused(invalid: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Penalties(**invalid)  # type: ignore[arg-type]

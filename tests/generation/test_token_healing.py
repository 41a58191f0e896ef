"""A text goes on within the last token of its prompt, and never changes the prompt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generation.conftest import CONTEXT, numpy_engine
from tfcli.generation.beam import beam_search
from tfcli.generation.engines.torch_engine import TorchEngine
from tfcli.generation.generate import Generator, RequestList, TokenEvent
from tfcli.generation.request import GenerationRequest, Sampling, StructuredOutput
from tfcli.model.transformer import Transformer
from tfcli.text.tokenizer import Tokenizer

GREEDY = Sampling(greedy=True)
prompts = st.text("ab sawJosé \n", min_size=1, max_size=14)


def events_of(
    model: Transformer, tokenizer: Tokenizer, *requests: GenerationRequest
) -> list[list[TokenEvent]]:
    generator = Generator(numpy_engine(model, 4), tokenizer, rows=4, logprobs=True)
    found: list[list[TokenEvent]] = [[] for _ in requests]
    for event in generator.stream(RequestList(requests)):
        if isinstance(event, TokenEvent):
            found[event.index].append(event)
    return found


@settings(max_examples=25)
@given(prompt=prompts)
def test_first_token_is_the_best_of_those_that_begin_with_the_last_of_the_prompt(
    model: Transformer, tokenizer: Tokenizer, prompt: str
) -> None:
    """By brute force; a token that ends with the prompt's last word counts tenfold."""
    assert tokenizer.special.bos is not None
    ids = tokenizer.encode(prompt)[-(CONTEXT - 1) :]
    overlap = tokenizer.token_bytes[ids[-1]]
    possible = [
        token
        for token, spelled in enumerate(tokenizer.token_bytes)
        if spelled.startswith(overlap) and token not in tokenizer.byte_ids
    ]
    if len(possible) < 2 or ids[-1] in tokenizer.byte_ids:
        possible = []
    with torch.no_grad():
        before = model(torch.tensor([[tokenizer.special.bos, *ids[:-1]]]))[0, -1]
    if prompt[-1].isalnum():
        before[ids[-1]] += np.log(10)
    best = max(possible, key=lambda token: before[token].item(), default=ids[-1])

    request = GenerationRequest(prompt=prompt, sampling=GREEDY, max_new_tokens=3)
    (events,) = events_of(model, tokenizer, request)
    if best == ids[-1]:  # then the text continues as without healing
        unhealed = GenerationRequest(
            prompt=prompt, sampling=GREEDY, max_new_tokens=3, token_healing=False
        )
        assert [event.token for event in events] == [
            event.token for event in events_of(model, tokenizer, unhealed)[0]
        ]
    else:
        assert events[0].token == best
        assert events[0].spelled == tokenizer.token_bytes[best][len(overlap) :]
        expected = (before[best] - before[possible].logsumexp(0)).item()
        assert events[0].logprob == pytest.approx(expected, abs=1e-4)
    assert len(events) <= 3


@settings(max_examples=15)
@given(st.lists(prompts, min_size=1, max_size=6))
def test_prompts_are_healed_in_a_batch_as_alone(
    model: Transformer, tokenizer: Tokenizer, batch: list[str]
) -> None:
    requests = [
        GenerationRequest(prompt=prompt, max_new_tokens=4, seed=1, row=row)
        for row, prompt in enumerate(batch)
    ]
    together = events_of(model, tokenizer, *requests)
    for request, events in zip(requests, together, strict=True):
        (alone,) = events_of(model, tokenizer, request)
        assert [event.token for event in alone] == [event.token for event in events]


@settings(max_examples=15)
@given(prompt=prompts)
def test_beam_search_heals_too(model: Transformer, tokenizer: Tokenizer, prompt: str) -> None:
    request = GenerationRequest(prompt=prompt, max_new_tokens=2)
    generator = Generator(numpy_engine(model), tokenizer)
    ids, overlap = generator.read_prompt(request)
    for text in beam_search(
        TorchEngine(model, 3), tokenizer, ids, beams=3, max_new_tokens=2,
        logits_processor=generator.logits_processor(request),
    ):  # fmt: skip
        assert tokenizer.decode_continuation(text.tokens).startswith(overlap)


def test_a_form_holds_for_what_follows_the_prompt(model: Transformer, tokenizer: Tokenizer) -> None:
    request = GenerationRequest(prompt="Ann ", structured=StructuredOutput(regex=" saw"))
    (events,) = events_of(model, tokenizer, request)
    assert b"".join(event.data for event in events) == b" saw"

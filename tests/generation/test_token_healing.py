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
from tfcli.generation.request import GenerationRequest, Penalties, Sampling, StructuredOutput
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
def test_healed_text_is_what_the_rule_of_the_docs_gives(
    model: Transformer, tokenizer: Tokenizer, prompt: str
) -> None:
    """By brute force, a token at a time, each from a full forward pass; greedy."""
    assert tokenizer.special.bos is not None
    spelled = tokenizer.token_bytes
    ids = tokenizer.encode(prompt)[-(CONTEXT - 1) :]
    every = [
        token
        for token in range(tokenizer.vocab_size)
        if token not in tokenizer.byte_ids and spelled[token]
    ]

    def logits_after(context: list[int]) -> torch.Tensor:
        with torch.no_grad():
            logits: torch.Tensor = model(torch.tensor([[tokenizer.special.bos, *context]]))
        return logits[0, -1].double()

    def beginning(overlap: bytes) -> list[int]:
        return [token for token in every if spelled[token].startswith(overlap)]

    taken = 0
    for count in range(1, len(ids) + 1):
        if any(token not in every for token in ids[-count:]):
            break
        overlap = b"".join(spelled[token] for token in ids[-count:])
        if any(len(spelled[token]) > len(overlap) for token in beginning(overlap)):
            taken = count
    expected: tuple[int, bytes, float] | None = None
    while taken and expected is None:
        kept, rest = ids[: len(ids) - taken], ids[len(ids) - taken :]
        overlap = b"".join(spelled[token] for token in rest)
        logits = logits_after(kept)
        longer = beginning(overlap)
        favor = np.log(10) if overlap.decode()[-1].isalnum() else 0.0
        if taken > 1 and logits[rest[0]] + favor > logits[longer].logsumexp(0):
            taken -= 1
            continue
        if taken == 1:
            logits[rest[0]] += favor
        best = max(longer, key=lambda token: logits[token].item())
        if best == rest[0]:
            break
        logprob = (logits[best] - logits[longer].logsumexp(0)).item()
        expected = best, spelled[best][len(overlap) :], logprob

    request = GenerationRequest(prompt=prompt, sampling=GREEDY, max_new_tokens=3)
    (events,) = events_of(model, tokenizer, request)
    assert len(events) <= 3
    if expected is None:  # then the text continues as without healing
        unhealed = GenerationRequest(
            prompt=prompt, sampling=GREEDY, max_new_tokens=3, token_healing=False
        )
        assert [event.token for event in events] == [
            event.token for event in events_of(model, tokenizer, unhealed)[0]
        ]
    else:
        token, new, logprob = expected
        assert (events[0].token, events[0].spelled) == (token, new)
        assert events[0].logprob == pytest.approx(logprob, abs=1e-4)


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
    ids, taken = generator.read_prompt(request, most_taken=1)
    overlap = tokenizer.decode_continuation(taken)
    for text in beam_search(
        TorchEngine(model, 3), tokenizer, ids, beams=3, max_new_tokens=2,
        logits_processor=generator.logits_processor(request),
    ):  # fmt: skip
        assert tokenizer.decode_continuation(text.tokens).startswith(overlap)


@pytest.mark.parametrize("prompt", ["Ann saw Ann saw", "Ann s", "Ann "])
def test_penalties_do_not_change_the_prompt(
    model: Transformer, tokenizer: Tokenizer, prompt: str
) -> None:
    """Its own tokens may stay, even if they were not to be generated."""
    own = set(tokenizer.encode(prompt))
    others = [token for token in range(tokenizer.vocab_size) if token not in own]
    longer = [token for token in others if len(tokenizer.token_bytes[token]) > 1]
    forbidden = tuple((token, -float("inf")) for token in (*own, *longer))
    request = GenerationRequest(
        prompt=prompt, sampling=GREEDY, max_new_tokens=4, ignore_eos=True,
        penalties=Penalties(logit_bias=forbidden, no_repeat_ngram_size=1),
    )  # fmt: skip
    (events,) = events_of(model, tokenizer, request)
    assert len(events) == 4
    assert not own & {event.token for event in events}
    generator = Generator(numpy_engine(model), tokenizer)
    _, taken = generator.read_prompt(request, most_taken=1)
    assert bool(taken) == (prompt != "Ann saw Ann saw")  # no longer token begins with ` saw`
    if taken:
        adjusted = generator.logits_processor(request)(np.zeros(tokenizer.vocab_size), ())
        assert np.isfinite(adjusted).nonzero()[0].tolist() == taken


@pytest.mark.parametrize(
    "form",
    [
        StructuredOutput(choices=("saw", "sawed")),
        StructuredOutput(regex="(?i)saw(ed)?"),
        StructuredOutput(json_schema='{"enum": ["saw", "sawed"]}'),
    ],
    ids=["choices", "regex", "json_schema"],
)
def test_a_form_holds_for_what_follows_the_prompt(
    model: Transformer, tokenizer: Tokenizer, form: StructuredOutput
) -> None:
    """Also where that begins within a token with the space that ends the prompt."""
    texts = []
    for prompt in ("Ann ", "Ann", "Ann s"):
        request = GenerationRequest(prompt=prompt, structured=form, max_new_tokens=40)
        (events,) = events_of(model, tokenizer, request)
        texts.append(b"".join(event.data for event in events).decode().strip('"').lower())
    assert set(texts) <= {"saw", "sawed"}

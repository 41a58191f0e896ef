"""Generation and scoring with a byte-level tokenizer, whose tokens may be halves of characters."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.byte_level import BEGIN, CALL, SCANNERS, TURN, Scanner, byte_level
from tests.generation.conftest import numpy_engine, random_model
from tfcli.generation.beam import beam_search
from tfcli.generation.characters import CharacterMask
from tfcli.generation.generate import Generator, RequestList, TokenEvent
from tfcli.generation.request import (
    GenerationRequest,
    Penalties,
    Sampling,
    StructuredOutput,
)
from tfcli.generation.scoring import score
from tfcli.generation.token_healing import TokenHealing
from tfcli.model.config import named_config
from tfcli.model.transformer import Transformer
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer

CONTEXT, PADDED = 64, 20
SCHEMA = json.dumps({
    "type": "object", "required": ["n"], "additionalProperties": False,
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
})  # fmt: skip
any_scanner = pytest.mark.parametrize("scanner", SCANNERS)


def model_for(tokenizer: ByteLevelTokenizer) -> Transformer:
    """With rows that no token is for, which would be chosen if they could be."""
    config = named_config(
        "nano", vocab_size=tokenizer.vocab_size + PADDED, context_length=CONTEXT, num_layers=1,
        d_model=32, num_heads=2, tied_head=False,
    )  # fmt: skip
    model = random_model(config)
    with torch.no_grad():
        model.head.weight[tokenizer.vocab_size :] *= 5
        for i in tokenizer.special.control:
            model.head.weight[i] *= 5
    return model


def generated(
    tokenizer: ByteLevelTokenizer, request: GenerationRequest
) -> tuple[list[int], list[bytes], str]:
    """The tokens, the pieces of text as they were streamed, and why the text ended."""
    generator = Generator(numpy_engine(model_for(tokenizer)), tokenizer)
    tokens, pieces, reason = [], [], ""
    for event in generator.stream(RequestList([request])):
        if isinstance(event, TokenEvent):
            tokens.append(event.token)
            pieces.append(event.data)
        else:
            pieces.append(event.data)
            reason = event.reason
    return tokens, pieces, reason


@any_scanner
@pytest.mark.parametrize("seed", range(4))
def test_only_whole_characters_and_no_special_tokens_are_written(
    scanner: Scanner, seed: int
) -> None:
    tokenizer = byte_level(scanner)
    request = GenerationRequest(
        prompt="The fox saw", max_new_tokens=50, seed=seed, token_healing=False,
        sampling=Sampling(temperature=1.5, top_k=0),
    )  # fmt: skip
    tokens, pieces, _ = generated(tokenizer, request)
    b"".join(pieces).decode()
    assert not {*tokens} & {*tokenizer.special.suppressed}
    assert max(tokens, default=0) < tokenizer.vocab_size


@any_scanner
def test_a_character_cut_into_tokens_is_finished(scanner: Scanner) -> None:
    tokenizer = byte_level(scanner)
    fox = tokenizer.encode_continuation("🦉")  # not in the text it was trained on
    assert len(fox) > 1
    mask = CharacterMask(tokenizer.token_bytes)
    state = 0
    for token in fox:
        logits = np.zeros((1, tokenizer.vocab_size), np.float32)
        allowed = np.flatnonzero(np.isfinite(mask.allow(logits, [state], [100])[0]))
        assert token in allowed
        if state:
            assert not any(tokenizer.token_bytes[i].isascii() for i in allowed)
        state = mask.state_after(state, token)
    assert state == 0


def test_stop_strings_are_found_across_tokens() -> None:
    tokenizer = byte_level("qwen")
    ids = tokenizer.encode("é a 🦉!")
    bias = Penalties(logit_bias=tuple((token, 60.0) for token in ids))
    request = GenerationRequest(
        prompt="x", max_new_tokens=60, penalties=bias, token_healing=False, seed=3,
        sampling=Sampling(temperature=1.0, top_k=0),
    )  # fmt: skip
    _, pieces, _ = generated(tokenizer, request)
    text = b"".join(pieces).decode()
    assert "🦉" in text
    _, pieces, reason = generated(tokenizer, replace(request, stop=("🦉",)))
    assert reason == "stop"
    assert b"".join(pieces).decode() == text[: text.index("🦉")]


@pytest.mark.parametrize(
    ("structured", "matches"),
    [
        (StructuredOutput(regex="(Ann|José) saw [0-9]{2}"), lambda text: text[-2:].isdecimal()),
        (StructuredOutput(choices=("🦉 owl", "日本")), lambda text: text in {"🦉 owl", "日本"}),
        (
            StructuredOutput(json_schema=SCHEMA),
            lambda text: 0 <= json.loads(text)["n"] < 100,
        ),
    ],
)  # fmt: skip
@any_scanner
def test_constrained_output_matches(
    scanner: Scanner, structured: StructuredOutput, matches: Callable[[str], bool]
) -> None:
    pytest.importorskip("llguidance")
    request = GenerationRequest(prompt="The", max_new_tokens=60, structured=structured, seed=1)
    _, pieces, reason = generated(byte_level(scanner), request)
    assert reason == "eos"
    assert matches(b"".join(pieces).decode())


@any_scanner
def test_the_end_of_a_prompt_is_healed(scanner: Scanner) -> None:
    tokenizer = byte_level(scanner)
    healing = TokenHealing(tokenizer)
    ids = tokenizer.encode("The old fox ")
    left, taken = healing.take_back(ids)
    assert tokenizer.decode(taken).endswith(b" ")
    assert left + taken == ids
    allowed = healing.allow(np.zeros(tokenizer.vocab_size + PADDED, np.float32), taken)
    for token in np.flatnonzero(np.isfinite(allowed)):
        assert tokenizer.token_bytes[token].startswith(b" ")


def test_special_tokens_are_not_healed() -> None:
    tokenizer = byte_level("qwen")
    ids = [*tokenizer.encode("a"), tokenizer.special_ids[TURN]]
    assert TokenHealing(tokenizer).take_back(ids) == (ids, [])


@any_scanner
def test_scores_are_of_every_byte(scanner: Scanner) -> None:
    tokenizer = byte_level(scanner)
    model = model_for(tokenizer)
    texts = ["The old fox 🦉 saw", f"{BEGIN} is text, {CALL} is not", "é" * 70, ""]
    ids = [tokenizer.encode(text) for text in texts]
    scores = list(score(numpy_engine(model, 3), ids, tokenizer.special, rows=3, stride=16))
    for text, tokens, logprobs in zip(texts, ids, scores, strict=True):
        assert sum(len(tokenizer.token_bytes[token]) for token in tokens) == len(text.encode())
        assert len(logprobs) == len(tokens)


def test_beams_are_whole_texts() -> None:
    tokenizer = byte_level("llama-3")
    engine = numpy_engine(model_for(tokenizer), 3)
    generator = Generator(engine, tokenizer)
    request = GenerationRequest(prompt="The fox")
    hypotheses = beam_search(
        engine, tokenizer, generator.read_prompt(request, most_taken=1)[0], beams=3,
        max_new_tokens=8, logits_processor=generator.logits_processor(request),
    )  # fmt: skip
    assert len(hypotheses) == 3
    for hypothesis in hypotheses:
        assert not {*hypothesis.tokens} & {*tokenizer.special.suppressed}
        assert max(hypothesis.tokens, default=0) < tokenizer.vocab_size

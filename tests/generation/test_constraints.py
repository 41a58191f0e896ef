"""Structured output: what is masked, where its probability goes, and how well a model fits."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generation.conftest import numpy_engine
from tfcli.generation.constraints import GrammarCompiler, TokenPrefixes
from tfcli.generation.generate import Finished, Generator, RequestList
from tfcli.generation.request import GenerationRequest, StructuredOutput
from tfcli.generation.sampling import softmax
from tfcli.model.transformer import Transformer
from tfcli.text.sentencepiece_model import (
    Algorithm,
    Piece,
    PieceType,
    SentencePieceModel,
    write_pieces,
)
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
from tfcli.text.tokenizer import Tokenizer


def tokenizer_of(pieces: list[str]) -> Tokenizer:
    every = [
        Piece("<unk>", 0, PieceType.UNKNOWN), Piece("<s>", 0, PieceType.CONTROL),
        Piece("</s>", 0, PieceType.CONTROL),
        *(Piece(f"<0x{byte:02X}>", 0, PieceType.BYTE) for byte in range(256)),
        *(Piece(piece, -place, PieceType.NORMAL) for place, piece in enumerate(pieces)),
    ]  # fmt: skip
    model = SentencePieceModel(Algorithm.BPE, tuple(every), dummy_prefix=False)
    return SentencePieceTokenizer(write_pieces(model))


@given(
    pieces=st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=9, unique=True),
    seed=st.integers(0, 99),
)
def test_probability_goes_to_the_longest_allowed_beginning(pieces: list[str], seed: int) -> None:
    tokenizer = tokenizer_of(["▁", *pieces])
    random = np.random.default_rng(seed)
    logits = random.normal(size=tokenizer.vocab_size)
    allowed = random.random(tokenizer.vocab_size) < 0.5
    allowed[0] = True
    expected = np.where(allowed, softmax(logits), 0)
    texts = {tokenizer.token_bytes[i]: i for i in range(259, tokenizer.vocab_size)}
    for text, token in texts.items():
        beginnings = [texts[text[:end]] for end in range(1, len(text)) if text[:end] in texts]
        heirs = [beginning for beginning in beginnings if allowed[beginning]]
        if not allowed[token] and heirs:
            expected[heirs[-1]] += softmax(logits)[token]
    found = TokenPrefixes(tokenizer).allow(logits, allowed)
    normalizer = np.logaddexp.reduce(logits)
    np.testing.assert_allclose(np.exp(found - normalizer), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("written", "accepted"),
    [
        (json.dumps({"a": "x", "b": [1, 2]}), True),
        (json.dumps({"a": "x", "b": [1, 2]}, indent=2), True),
        (json.dumps({"a": "x", "b": [1, 2]}, indent=4).replace("\n", "\r\n"), True),
        (json.dumps({"a": "x", "b": [1, 2]}, separators=(",", ":")), True),
        ('{"a":  "x", "b": []}', False),
        ('{"a": "x",\n\n"b": []}', False),
    ],
)
def test_json_may_be_spaced_as_programs_space_it(
    tokenizer: Tokenizer, written: str, accepted: bool
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    form = StructuredOutput(json_schema=json.dumps(schema))
    constraint = GrammarCompiler(tokenizer).begin(form)
    assert constraint
    logits = np.zeros(tokenizer.vocab_size)
    for token in tokenizer.encode(written):
        if not np.isfinite(constraint.allow(logits)[token]):
            break
        constraint.accept(token)
    assert constraint.complete is accepted


def test_format_ends_where_the_text_would_not_go_on_in_it(tokenizer: Tokenizer) -> None:
    """Of all that may come after a complete text, what would break the form ends it."""
    constraint = GrammarCompiler(tokenizer).begin(StructuredOutput(regex="a(b|c)?"))
    assert constraint
    logits = np.random.default_rng(1).normal(size=tokenizer.vocab_size)
    (first,) = tokenizer.encode_continuation("a")
    constraint.allow(logits)
    constraint.accept(first)
    left = softmax(constraint.allow(logits))
    longer = [i for i, text in enumerate(tokenizer.token_bytes) if text[:1] in {b"b", b"c"}]
    assert tokenizer.special.eos is not None
    expected = 1 - softmax(logits)[longer].sum()
    assert left[tokenizer.special.eos] == pytest.approx(expected)


@pytest.mark.parametrize("certain", ["a", "b", None])
def test_certainty_and_nothing_left_are_numbers_too(
    tokenizer: Tokenizer, certain: str | None
) -> None:
    constraint = GrammarCompiler(tokenizer).begin(StructuredOutput(regex="a*"))
    assert constraint
    logits = np.full(tokenizer.vocab_size, -1e9 if certain else -np.inf, np.float32)
    if certain:
        logits[tokenizer.encode_continuation(certain)] = 1e-3
    left = constraint.allow(logits)
    assert not np.isnan(left).any()
    fit = constraint.fit(from_nothing=False)
    assert fit
    assert fit.probability == pytest.approx(1.0 if certain else 0.0)


def test_fit_is_the_probability_that_the_form_leaves(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    def fit(form: StructuredOutput, prompt: str = "Ann") -> float | None:
        request = GenerationRequest(prompt=prompt, structured=form, max_new_tokens=4)
        (end,) = [
            event
            for event in Generator(numpy_engine(model), tokenizer).stream(RequestList([request]))
            if isinstance(event, Finished)
        ]
        return end.fit.probability if end.fit else None

    assert fit(StructuredOutput(regex="(?s).*")) == pytest.approx(1, abs=0.05)
    narrow = fit(StructuredOutput(choices=("zz",)))
    assert narrow is not None
    assert narrow < 0.5
    assert fit(StructuredOutput()) is None

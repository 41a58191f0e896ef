"""No code outside the tokenizers knows an id: renumbering the tokens changes no text.

A model is compared with itself under other ids: its embedding rows are reordered, and a tokenizer
of the tests replaces SentencePiece. That tokenizer has `eos` at 300, no `unk`, and as `bos` a token
of its own, `eos`, or none; the model has more embedding rows than the tokenizer has tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import BOOK, SENTENCES
from tests.generation.conftest import numpy_engine, random_model
from tests.tokenizers import (
    Bos,
    ByteTokenizer,
    own_byte_tokenizer,
    reordered,
    tiny_tokenizer,
    without_eos,
)
from tfcli.errors import DataError, UsageError
from tfcli.exchange.tokenizer_json import exportable_pieces
from tfcli.generation.beam import beam_search
from tfcli.generation.engines.numpy_engine import NumpyEngine
from tfcli.generation.generate import Generator, RequestList, TokenEvent
from tfcli.generation.request import GenerationRequest, Penalties, Sampling, StructuredOutput
from tfcli.generation.scoring import score
from tfcli.model.config import named_config
from tfcli.model.transformer import Transformer
from tfcli.options import options_of, update_options
from tfcli.text.baselines import measure_baselines
from tfcli.text.corpus import Corpus, open_corpus
from tfcli.text.saved_tokenizers import measure
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
from tfcli.text.token_cache import tokenize_corpus
from tfcli.text.tokenizer import Tokenizer

EOS, ROWS, CONTEXT = 300, 900, 40
GREEDY = Sampling(temperature=0)
BOSES: tuple[Bos, ...] = ("its own", "eos", "none")


def ascending_order(own: SentencePieceTokenizer) -> list[int]:
    """Spread-out ids in the original order, so that a random draw gives the same token."""
    special, text = [10, 20, EOS], range(EOS + 1, EOS + 1 + 2 * (own.vocab_size - 3), 2)
    return _filled([*special, *text])


def shuffled_order(own: SentencePieceTokenizer) -> list[int]:
    """Ids in random order, with the same `eos`."""
    random = np.random.default_rng(4)
    others = random.permutation([i for i in range(600) if i != EOS])[: own.vocab_size - 1].tolist()
    return _filled([*others[:2], EOS, *others[2:]])


def _filled(order: list[int]) -> list[int]:
    """An order of all rows of the model: those without a token come last."""
    return order + [i for i in range(ROWS) if i not in set(order)]


@dataclass(frozen=True)
class Pair:
    """The same model with its original ids and with other ids."""

    own: SentencePieceTokenizer
    other: ByteTokenizer
    order: list[int]
    own_model: Transformer
    other_model: Transformer

    def engines(self, rows: int = 1) -> list[tuple[NumpyEngine, Tokenizer]]:
        return [
            (numpy_engine(self.own_model, rows), self.own),
            (numpy_engine(self.other_model, rows), self.other),
        ]

    def translated(self, tokens: list[int]) -> list[int]:
        return [self.order[token] for token in tokens]


@pytest.fixture(scope="module", params=BOSES)
def bos(request: pytest.FixtureRequest) -> Bos:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=[ascending_order, shuffled_order])
def pair(bos: Bos, request: pytest.FixtureRequest) -> Pair:
    return make_pair(bos, request.param)


@cache
def make_pair(bos: Bos, make: Callable[[SentencePieceTokenizer], list[int]]) -> Pair:
    own = own_byte_tokenizer(bos)
    order = make(own)
    other = reordered(own, order)
    assert other.special.eos == EOS
    assert other.vocab_size + 40 <= ROWS
    config = named_config(
        "nano", vocab_size=ROWS, context_length=CONTEXT, num_layers=2, d_model=32, num_heads=2,
        tied_head=False,
    )  # fmt: skip
    model = random_model(config)
    with torch.no_grad():  # so that rows without a token would be chosen if they were allowed
        model.head.weight[own.vocab_size :] *= 3
        model.head.weight[[0, 1]] *= 3
    same = Transformer(config).eval()
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    for name in ("embedding.weight", "head.weight"):
        weights[name][order] = model.state_dict()[name]
    same.load_state_dict(weights)
    return Pair(own, other, order, model, same)


REQUEST = GenerationRequest(prompt="José saw", max_new_tokens=30)
REQUESTS: dict[str, dict[str, Any]] = {
    "greedy": {"sampling": GREEDY},
    "empty prompt": {"prompt": "", "sampling": GREEDY},
    "long prompt": {"prompt": "Ann saw a ship. " * 5, "sampling": GREEDY},
    "full context": {"sampling": GREEDY, "max_new_tokens": 60},
    "repetition penalty": {"sampling": GREEDY, "penalties": Penalties(repetition_penalty=1.4)},
    "presence and frequency": {
        "sampling": GREEDY, "penalties": Penalties(presence_penalty=0.7, frequency_penalty=0.3)
    },
    "no repeated n-gram": {"sampling": GREEDY, "penalties": Penalties(no_repeat_ngram_size=2)},
    "DRY": {"sampling": GREEDY, "penalties": Penalties(dry_multiplier=2.0), "max_new_tokens": 60},
}  # fmt: skip
RANDOM_REQUESTS: dict[str, dict[str, Any]] = {
    "all tokens": {"sampling": Sampling(temperature=1.0, top_k=0)},
    "top-k": {"sampling": Sampling(temperature=1.2, top_k=5)},
    "top-p, min-p": {"sampling": Sampling(top_k=0, top_p=0.8, min_p=0.01)},
    "typical": {"sampling": Sampling(top_k=0, typical_p=0.7)},
}

Generated = tuple[list[int], bytes, list[float], str]  # tokens, text, log-probabilities, reason


def generate_with(
    engine: NumpyEngine, tokenizer: Tokenizer, request: GenerationRequest, *, many: bool = False
) -> Generated:
    generator = Generator(engine, tokenizer, many_documents=many, logprobs=True)
    tokens, data, logprobs, reason = [], b"", [], ""
    for event in generator.stream(RequestList([request])):
        data += event.data
        if isinstance(event, TokenEvent):
            tokens.append(event.token)
            assert event.logprob is not None
            logprobs.append(event.logprob)
        else:
            reason = event.reason
    return tokens, data, logprobs, reason


def assert_same_text(pair: Pair, request: GenerationRequest, *, many: bool = False) -> Generated:
    own, other = (generate_with(*side, request, many=many) for side in pair.engines())
    assert pair.translated(own[0]) == other[0]
    assert (own[1], own[3]) == (other[1], other[3])
    np.testing.assert_allclose(own[2], other[2], atol=1e-4)
    return own


@pytest.mark.parametrize("name", REQUESTS)
def test_other_ids_generate_the_same_text(pair: Pair, name: str) -> None:
    request = replace(REQUEST, **REQUESTS[name])
    for many in (False, True):
        tokens, data, *_ = assert_same_text(pair, request, many=many)
        assert tokens
        assert len(data) == len(tokens), "every token is a byte"


@pytest.mark.parametrize("name", RANDOM_REQUESTS)
def test_other_ids_in_the_same_order_sample_the_same_text(bos: Bos, name: str) -> None:
    """Sampling goes through the tokens in the order of their ids."""
    pair = make_pair(bos, ascending_order)
    for seed in range(5):
        assert_same_text(pair, replace(REQUEST, seed=seed, **RANDOM_REQUESTS[name]))


def test_other_ids_stop_at_the_same_string(pair: Pair) -> None:
    request = GenerationRequest(prompt="Ann", sampling=GREEDY, max_new_tokens=30)
    data = generate_with(*pair.engines()[0], request)[1]
    character = next(chr(byte) for byte in data[3:] if byte < 0x80)
    assert assert_same_text(pair, replace(request, stop=(character,)))[3] == "stop"


def test_logit_bias_uses_the_ids_of_the_tokenizer(pair: Pair) -> None:
    own, other = (
        generate_with(engine, tokenizer, GenerationRequest(
            prompt="Ann", sampling=GREEDY, max_new_tokens=5,
            penalties=Penalties(logit_bias=((tokenizer.encode("x")[0], 1e6),)),
        ))
        for engine, tokenizer in pair.engines()
    )  # fmt: skip
    assert own[1] == other[1] == b"xxxxx"


def test_other_ids_end_at_eos(pair: Pair) -> None:
    request = GenerationRequest(prompt="Ann", sampling=GREEDY, max_new_tokens=5)
    for engine, tokenizer in pair.engines():
        with_bias = replace(
            request, penalties=Penalties(logit_bias=((tokenizer.special.eos or 0, 1e6),))
        )
        assert generate_with(engine, tokenizer, with_bias)[::3] == ([], "eos")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("regex", "(a|b){3,5}[0-9]"),
        ("choices", json.dumps(["yes", "no", "nobody knows"])),
        ("json_schema", '{"type": "object", "properties": {"n": {"type": "integer"}}}'),
    ],
)
def test_other_ids_match_the_same_grammar(pair: Pair, kind: Any, text: str) -> None:
    pytest.importorskip("llguidance")
    generated = []
    for engine, tokenizer in pair.engines():
        request = update_options(
            GenerationRequest(prompt="Ann", sampling=GREEDY, max_new_tokens=30),
            {kind: options_of(GenerationRequest)[kind].parse_text(text)},
        )
        generated.append(generate_with(engine, tokenizer, request))
    assert pair.translated(generated[0][0]) == generated[1][0]
    assert generated[0][1::2] == generated[1][1::2]


def test_other_ids_give_the_same_beams(pair: Pair) -> None:
    beams = []
    for engine, tokenizer in pair.engines(rows=3):
        generator = Generator(engine, tokenizer)
        request = GenerationRequest(prompt="Ann", penalties=Penalties(repetition_penalty=1.2))
        beams.append(beam_search(
            engine, tokenizer, generator.read_prompt(request, most_taken=1)[0],
            beams=3, max_new_tokens=8,
            logits_processor=generator.logits_processor(request),
        ))  # fmt: skip
    own, other = beams
    assert [pair.translated(list(text.tokens)) for text in own] == [list(t.tokens) for t in other]
    assert [text.reason for text in own] == [text.reason for text in other]
    np.testing.assert_allclose([t.score for t in own], [t.score for t in other], atol=1e-4)


@pytest.mark.parametrize("stride", [1, 7, CONTEXT])
def test_other_ids_have_the_same_score(pair: Pair, stride: int) -> None:
    texts = ["José saw a ship at noon. " * 4, "", "x", "two birds by the sea, in the snow, at noon"]
    own, other = (
        list(score(engine, [tokenizer.encode(text) for text in texts], tokenizer.special, rows=3,
                   stride=stride))
        for engine, tokenizer in pair.engines(rows=3)
    )  # fmt: skip
    for text, ours, theirs in zip(texts, own, other, strict=True):
        assert len(ours) == len(text.encode()), "every token is scored, including the first"
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_scoring_without_bos_uses_the_preceding_tokens() -> None:
    """The first token of a text is scored after `eos`, all others after the preceding tokens."""
    own = own_byte_tokenizer("none")
    config = named_config("nano", vocab_size=own.vocab_size, context_length=8, d_model=32)
    model = random_model(config)
    ids = own.encode("two birds by the sea")
    (logprobs,) = score(numpy_engine(model, 3), [ids], own.special, rows=3, stride=1)
    seen = [own.special.eos, *ids]
    for position, token in enumerate(ids):
        context = torch.tensor([seen[max(0, position - 7) : position + 1]])
        with torch.no_grad():
            expected = model(context)[0, -1].log_softmax(0)[token].item()
        assert logprobs[position] == pytest.approx(expected, abs=1e-4)


# --- a corpus -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    rows = [json.dumps({"text": sentence}) for sentence in SENTENCES * 3]
    (folder / "rows.jsonl").write_text("\n".join(rows))
    return open_corpus([folder / "rows.jsonl"], cache=folder / "cache", val_fraction=0.1)


def test_other_ids_give_the_same_tokens_and_baselines(
    pair: Pair, corpus: Corpus, tmp_path: Path
) -> None:
    own, other = (
        tokenize_corpus(corpus, tokenizer, cache=tmp_path) for tokenizer in (pair.own, pair.other)
    )
    assert own.key != other.key
    for ours, theirs in ((own.training[:], other.training[:]), (own.held_out, other.held_out)):
        assert pair.translated(ours.tolist()) == theirs.tolist()
    assert theirs.tolist().count(EOS) > 1
    assert measure_baselines(own, pair.own) == measure_baselines(other, pair.other)


def test_tokenizer_measures_do_not_depend_on_ids(pair: Pair, corpus: Corpus) -> None:
    own, other = (measure(tokenizer, corpus) for tokenizer in (pair.own, pair.other))
    assert own["bytes_per_token"] == other["bytes_per_token"] == 1
    assert own["tokens_per_word"] == other["tokens_per_word"]
    data = b"".join(chunk.data for chunk in corpus.held_out())
    share = sum(byte >= 0x80 for byte in data) / len(data)
    assert other["byte_token_share"] == pytest.approx(share, abs=1e-5), "the bytes of é"
    assert own["byte_token_share"] > 0.75, "all bytes but spaces"


def test_training_requires_eos(corpus: Corpus, tmp_path: Path) -> None:
    tokenizer = without_eos(reordered(own_byte_tokenizer("eos"), list(range(ROWS))))
    with pytest.raises(DataError, match="cannot be used for training"):
        tokenize_corpus(corpus, tokenizer, cache=tmp_path)


# --- several eos tokens, or none ----------------------------------------------------------------


def tiny_model() -> Transformer:
    return random_model(named_config("nano", vocab_size=11, context_length=CONTEXT, d_model=32))


def test_any_of_several_eos_tokens_ends_generation() -> None:
    tokenizer, engine = tiny_tokenizer(11), numpy_engine(tiny_model())
    tokenizer.special = replace(tokenizer.special, other_eos=frozenset({7, 9}))
    for token in (2, 7, 9):
        request = GenerationRequest(prompt="a", penalties=Penalties(logit_bias=((token, 1e6),)))
        assert generate_with(engine, tokenizer, request)[::3] == ([], "eos")


def test_any_of_several_eos_tokens_ends_constrained_output() -> None:
    pytest.importorskip("llguidance")
    tokenizer, engine = tiny_tokenizer(11), numpy_engine(tiny_model())
    control = tokenizer.special.control | {7, 9}
    tokenizer.special = replace(tokenizer.special, other_eos=frozenset({7, 9}), control=control)
    for token in (2, 7, 9):
        bias = Penalties(logit_bias=((token, 1e6),))
        structured = StructuredOutput(regex="a+")
        request = GenerationRequest(
            prompt="a", penalties=bias, structured=structured, sampling=GREEDY
        )
        assert generate_with(engine, tokenizer, request)[1::2] == (b"a", "eos")


def test_without_eos_generation_ends_at_the_length_limit() -> None:
    tokenizer = without_eos(tiny_tokenizer(11), bos=True)
    request = GenerationRequest(prompt="", sampling=GREEDY, max_new_tokens=20)
    tokens, data, _, reason = generate_with(numpy_engine(tiny_model()), tokenizer, request)
    assert (len(data), reason) == (20, "length")
    assert not set(tokens) & tokenizer.special.control


def test_without_eos_a_complete_grammar_ends_generation() -> None:
    pytest.importorskip("llguidance")
    tokenizer = without_eos(tiny_tokenizer(11), bos=True)
    request = GenerationRequest(prompt="a", structured=StructuredOutput(regex="[a-c]{4}"))
    _, data, _, reason = generate_with(numpy_engine(tiny_model()), tokenizer, request)
    assert (len(data), reason) == (4, "eos")


def test_without_special_tokens_a_prompt_is_required() -> None:
    tokenizer, engine = without_eos(tiny_tokenizer(11)), numpy_engine(tiny_model())
    with pytest.raises(UsageError, match="the prompt is empty"):
        generate_with(engine, tokenizer, GenerationRequest(prompt=""))
    with pytest.raises(DataError, match="first token"):
        list(score(engine, [[4, 5]], tokenizer.special, rows=1, stride=1))
    forbid_all = Penalties(logit_bias=tuple((token, -np.inf) for token in range(11)))
    with pytest.raises(DataError, match="every token is masked"):
        generate_with(engine, tokenizer, GenerationRequest(prompt="a", penalties=forbid_all))


def test_other_tokenizers_are_not_exported_as_sentencepiece() -> None:
    with pytest.raises(DataError, match="only SentencePiece"):
        exportable_pieces(tiny_tokenizer(11), "GGUF")


def test_byte_tokenizer_of_the_tests_is_lossless() -> None:
    own = own_byte_tokenizer("none")
    for make in (ascending_order, shuffled_order):
        order = make(own)
        other = reordered(own, order)
        for text in (BOOK[:500], "José \u2581 日本\n\0"):
            assert other.decode(other.encode(text)) == own.decode(own.encode(text)) == text.encode()
            assert other.encode(text) == [order[i] for i in own.encode(text)]

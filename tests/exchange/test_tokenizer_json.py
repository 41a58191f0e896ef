"""Tokenizers exported to and imported from tokenizer.json encode every text the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceTrainer

from tests.conftest import BOOK, SENTENCES
from tests.exchange.conftest import ACCEPTANCE, SPACE_MARK
from tfcli.errors import DataError
from tfcli.exchange.export_huggingface import export_tokenizer
from tfcli.exchange.sentencepiece_json import from_tokenizer_json
from tfcli.exchange.tokenizer_json import to_tokenizer_json
from tfcli.text.sentencepiece_model import read_pieces, write_pieces
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_training import train_tokenizer
from tokenizers import Tokenizer as HuggingFaceTokenizer


def theirs(tokenizer: Tokenizer) -> HuggingFaceTokenizer:
    value = to_tokenizer_json(read_pieces(tokenizer.serialized))
    made = HuggingFaceTokenizer.from_str(json.dumps(value))
    made.encode_special_tokens = True
    return made


def auto(tokenizer: Tokenizer, folder: Path) -> Any:
    from transformers import AutoTokenizer

    export_tokenizer(tokenizer, folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def with_prefix() -> Tokenizer:
    """Like Llama's: encoding puts a space in front of every text."""
    import io

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=model, model_type="bpe", vocab_size=400,
        byte_fallback=True, character_coverage=1.0, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True, minloglevel=2,
    )  # fmt: skip
    return SentencePieceTokenizer(model.getvalue())


@given(text=st.text(st.characters(exclude_characters="\u2581", exclude_categories=["Cs"])))
def test_any_text_is_encoded_the_same(tokenizer: Tokenizer, text: str) -> None:
    encoding = theirs(tokenizer).encode(text, add_special_tokens=False)
    assert encoding.ids == tokenizer.encode(text)


@pytest.mark.parametrize("kind", ["bpe", "char", "prefix"])
def test_hard_texts_are_encoded_and_decoded_the_same(
    kind: str, tmp_path: Path, with_prefix: Tokenizer
) -> None:
    tokenizer = with_prefix
    if kind != "prefix":
        tokenizer = train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), type=kind)[0]  # type: ignore[arg-type]
    exported = auto(tokenizer, tmp_path / "out")
    for text in [*ACCEPTANCE, *SENTENCES]:
        ids = exported.encode(text, add_special_tokens=False)
        assert ids == tokenizer.encode(text), text
        assert tokenizer.decode(ids) == text.encode()
        assert exported.decode(ids) == text
        assert exported.encode(text) == [1, *ids]


def test_space_mark_becomes_a_space(tokenizer: Tokenizer, tmp_path: Path) -> None:
    exported = auto(tokenizer, tmp_path / "out")
    ids = exported.encode(SPACE_MARK, add_special_tokens=False)
    assert exported.decode(ids) == SPACE_MARK.replace("\u2581", " ")
    assert tokenizer.decode(tokenizer.encode(SPACE_MARK)) == SPACE_MARK.encode()


SYMBOLS = ["<|user|>", "<|user|><|", "er|>", "Ann saw", "saw", " the ", "\n", " ", "é", "x,y"]


@pytest.mark.parametrize("kind", ["bpe", "char"])
def test_user_defined_symbols_stay_single_tokens(kind: Any, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(
        [BOOK.encode()], text_bytes=len(BOOK), type=kind, user_defined_symbols=SYMBOLS
    )[0]
    exported = auto(tokenizer, tmp_path / "out")
    mixed = ["<|user|>Ann saw the  moon\n\n<|user|><|x,y er|>", "José saw the é.", "<|us|>er|>"]
    for text in [*SYMBOLS, *mixed, *ACCEPTANCE, *SENTENCES]:
        ids = exported.encode(text, add_special_tokens=False)
        assert ids == tokenizer.encode(text), text
        assert exported.decode(ids) == text
    assert all(len(tokenizer.encode(symbol)) == 1 for symbol in SYMBOLS)
    value = json.loads((tmp_path / "out" / "tokenizer.json").read_text())
    imported = SentencePieceTokenizer(write_pieces(from_tokenizer_json(value)))
    for text in [*SYMBOLS, *mixed, *ACCEPTANCE, *SENTENCES]:
        assert imported.encode(text) == tokenizer.encode(text)
    value["added_tokens"][-1]["lstrip"] = True
    with pytest.raises(DataError, match="SentencePiece"):
        from_tokenizer_json(value)


def test_unigram_tokenizer_is_refused(tmp_path: Path) -> None:
    tokenizer = train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), type="unigram")[0]
    with pytest.raises(DataError, match="unigram tokenizer cannot be exported"):
        export_tokenizer(tokenizer, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- import -------------------------------------------------------------------------------------


@given(text=st.text())
def test_tokenizer_round_trips_through_json(tokenizer: Tokenizer, text: str) -> None:
    value = json.loads(json.dumps(to_tokenizer_json(read_pieces(tokenizer.serialized))))
    imported = SentencePieceTokenizer(write_pieces(from_tokenizer_json(value)))
    for sample in (text, *ACCEPTANCE):
        assert imported.encode(sample) == tokenizer.encode(sample)


def test_tokenizer_with_prefix_round_trips_through_json(with_prefix: Tokenizer) -> None:
    assert with_prefix.prefix == " "
    value = to_tokenizer_json(read_pieces(with_prefix.serialized))
    imported = SentencePieceTokenizer(write_pieces(from_tokenizer_json(value)))
    assert imported.prefix == " "
    for sample in [*ACCEPTANCE, *SENTENCES]:
        assert imported.encode(sample) == with_prefix.encode(sample)


def test_tokenizer_with_prefix_equals_sentencepiece(with_prefix: Tokenizer) -> None:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=with_prefix.serialized)
    for text in [*ACCEPTANCE, *SENTENCES, BOOK]:
        assert with_prefix.encode(text) == processor.encode(text)


def changed(value: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    made = copy.deepcopy(value)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return made


def test_other_kinds_of_tokenizer_json_are_refused(tokenizer: Tokenizer) -> None:
    value = to_tokenizer_json(read_pieces(tokenizer.serialized))
    merges = value["model"]["merges"]
    others = [
        {},
        {"model": None},
        changed(value, "model", "type", to="WordPiece"),
        changed(value, "model", "byte_fallback", to=False),
        changed(value, "model", "merges", to=sorted(merges)),
        changed(value, "model", "merges", to=merges[1:]),
        changed(value, "model", "merges", to=[*merges, ["a"]]),
        changed(value, "model", "vocab", to={"a": 5}),
        changed(value, "pre_tokenizer", to={"type": "ByteLevel"}),
        changed(value, "normalizer", to={"type": "NFC"}),
        changed(value, "normalizer", to=None),
        changed(value, "normalizer", "content", to="_"),
        changed(value, "added_tokens", to=[{}]),
        changed(value, "added_tokens", to=[{"content": "x", "special": False}]),
        changed(value, "model", "end_of_word_suffix", to="</w>"),
        changed(value, "model", "ignore_merges", to=True),
        changed(value, "model", "vocab", to=value["model"]["vocab"] | {"\ud800": 400}),
        changed(
            value,
            "normalizer",
            to={
                "type": "Sequence",
                "normalizers": [{"type": "Prepend", "prepend": "quickly"}, value["normalizer"]],
            },
        ),
    ]
    for other in others:
        with pytest.raises(DataError, match="not made from a SentencePiece model"):
            from_tokenizer_json(other)

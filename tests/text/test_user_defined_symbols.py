"""User-defined symbols are always one token, and a text with them is still lossless."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor

from tfcli.errors import DataError, InputOutputError, NotFoundError
from tfcli.options import OptionError
from tfcli.text.sentencepiece_model import PieceType, read_pieces
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
from tfcli.text.sentencepiece_trainer import TokenizerType
from tfcli.text.symbol_pattern import symbol_pattern
from tfcli.text.tokenizer_training import MIN_VOCAB_SIZE, train_tokenizer
from tfcli.text.user_defined_symbols import check_symbols, parse_symbols

from .conftest import MIXED
from .test_tokenizer import every_type

# within and across one another, with white space, with what is special elsewhere, known pieces
SYMBOLS = [
    "<|user|>", "<|user|><|", "|>", "fox", "ox s", "x saw the", "\n", "\r\n", "    ", " ", "\t",
    ",", '"', "🦊", "古い", "é", "E=mc²", "▅", "<s", "ab", "abc", "cd",
]  # fmt: skip
NAMES = ["<unk>", "<s>", "</s>", "<0x0A>"]


@pytest.fixture(scope="module")
def with_symbols() -> dict[TokenizerType, SentencePieceTokenizer]:
    return {type: train(SYMBOLS, type) for type in ("bpe", "unigram", "char")}


def train(
    symbols: list[str], type: TokenizerType = "bpe", text: str = MIXED
) -> SentencePieceTokenizer:
    data = text.encode()
    return train_tokenizer(
        [data], text_bytes=len(data), type=type, vocab_size=400, user_defined_symbols=symbols
    )[0]


def cut(text: str) -> list[str]:
    """The symbols in a text from left to right, the longest at each place, and what is between."""
    parts, start, at = [], 0, 0
    while at < len(text):
        found = max((s for s in SYMBOLS if text.startswith(s, at)), key=len, default="")
        if found:
            parts += [text[start:at], found]
            start = at + len(found)
        at += len(found) or 1
    return [*parts, text[start:]]


mixtures = st.lists(st.sampled_from(SYMBOLS) | st.text(max_size=4) | st.sampled_from("<|s> foxab"))


@every_type
@given(parts=mixtures)
@settings(max_examples=150)
def test_symbol_is_one_token_in_any_text(
    with_symbols: dict[TokenizerType, SentencePieceTokenizer],
    type: TokenizerType,
    parts: list[str],
) -> None:
    tokenizer, text = with_symbols[type], "".join(parts)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text.encode()
    (batch,) = tokenizer.encode_batch([text.encode()], threads=1)
    assert [i for part in batch for i in part] == ids
    known = {spelled: i for i, spelled in enumerate(tokenizer.token_bytes) if i >= 259}
    expected: list[int] = []
    for place, part in enumerate(cut(text)):
        expected += [known[part.encode()]] if place % 2 else tokenizer.encode(part)
    assert ids == expected


@pytest.mark.parametrize("type", ["bpe", "char"])
@given(parts=mixtures)
def test_ids_equal_sentencepiece(
    with_symbols: dict[TokenizerType, SentencePieceTokenizer],
    type: TokenizerType,
    parts: list[str],
) -> None:
    text = "".join(parts).replace("▁", "")
    own = SentencePieceProcessor(model_proto=with_symbols[type].serialized)
    assert with_symbols[type].encode(text) == own.encode(text)


@every_type
def test_long_text_is_encoded_as_its_parts(
    with_symbols: dict[TokenizerType, SentencePieceTokenizer], type: TokenizerType
) -> None:
    tokenizer = with_symbols[type]
    text = "<|user|>The fox saw the ship.\n" * 1000
    assert tokenizer.encode(text) == tokenizer.encode("<|user|>The fox saw the ship.\n") * 1000


@every_type
def test_layout_is_ours_with_the_symbols_after_the_bytes(
    with_symbols: dict[TokenizerType, SentencePieceTokenizer], type: TokenizerType
) -> None:
    pieces = read_pieces(with_symbols[type].serialized).pieces
    theirs = [p.text for p in pieces if p.type is PieceType.USER_DEFINED]
    assert theirs == [symbol.replace(" ", "▁") for symbol in SYMBOLS]
    assert [p.text for p in pieces[259 : 259 + len(SYMBOLS)]] == theirs
    assert len({p.text for p in pieces}) == len(pieces) <= 400
    assert with_symbols[type].byte_ids == frozenset(range(3, 259))


def test_vocabulary_size_counts_the_symbols() -> None:
    assert train(["<|a|>", "<|b|>"]).vocab_size == 400
    for size in (MIN_VOCAB_SIZE, MIN_VOCAB_SIZE + 1):
        with pytest.raises(DataError, match="too small") as caught:
            train_tokenizer(
                [b"a"], text_bytes=1, vocab_size=size, user_defined_symbols=["<|a|>", "<|b|>"]
            )
        assert str(MIN_VOCAB_SIZE + 2) in (caught.value.hint or "")
    many = [f"<|{n}|>" for n in range(600)]
    data = MIXED.encode()
    tokenizer, _ = train_tokenizer([data], text_bytes=len(data), user_defined_symbols=many)
    assert tokenizer.encode("".join(many)) == list(range(259, 859))


def test_symbols_are_not_learned_from() -> None:
    with_marks = train(["<|user|>"], text="<|user|>" + MIXED.replace("\n", "\n<|user|>"))
    assert not [spelled for spelled in with_marks.token_bytes if b"|" in spelled[:-1]][1:]


@pytest.mark.parametrize("text", ["<|a|>", "<|a|><|a|>", "x<|a|>"])
def test_text_of_symbols_alone_is_enough(text: str) -> None:
    tokenizer = train(["<|a|>"], text=text)
    assert tokenizer.decode(tokenizer.encode(text + " é")) == (text + " é").encode()


@pytest.mark.parametrize("symbol", [*NAMES, "", "a▁b", "a\0", "x" * 1001, "\udc80"])
def test_impossible_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(OptionError, match="user_defined_symbols cannot include"):
        train(["<|a|>", symbol])


def test_repeated_symbol_counts_once() -> None:
    assert check_symbols(["b", "a", "b"]) == ("b", "a")


def test_symbols_come_from_a_list_or_a_file(tmp_path: Path) -> None:
    assert parse_symbols("<sep>, <cls>") == ("<sep>", "<cls>")
    assert parse_symbols(r"\n,a b,\\n") == ("\n", "a b", r"\n")
    (tmp_path / "symbols").write_bytes("\ufeff a,b\r\n\n\\tau\n@x".encode())
    assert parse_symbols(f"@{tmp_path}/symbols") == (" a,b", r"\tau", "@x")


def test_unreadable_file_of_symbols_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"\xff")
    for name, kind in (("none", NotFoundError), ("bad", DataError), ("", InputOutputError)):
        with pytest.raises(kind):
            parse_symbols(f"@{tmp_path}/{name}")


@given(
    symbols=st.lists(st.text("ab.", min_size=1, max_size=5), min_size=1, max_size=9),
    text=st.text("ab.x"),
)
def test_pattern_finds_the_longest_from_left_to_right(symbols: list[str], text: str) -> None:
    plain = "|".join(map(re.escape, sorted(symbols, key=len, reverse=True)))
    assert symbol_pattern(symbols).split(text) == re.split(f"({plain})", text)


def test_pattern_of_strings_within_one_another_is_no_deeper_than_re_can_go() -> None:
    nested = ["a" * length for length in range(1, 400)]
    assert symbol_pattern(nested).split("a" * 399 + "b") == ["", "a" * 399, "b"]

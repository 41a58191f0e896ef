"""Tokenizers are lossless, train on any text, and refuse files that are not tokenizers."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from tfcli.errors import DataError, NotFoundError, TfcliError
from tfcli.text.sentencepiece_tokenizer import (
    BEGIN,
    BYTE_PIECES,
    END,
    FIRST_BYTE,
    UNKNOWN,
    SentencePieceTokenizer,
)
from tfcli.text.sentencepiece_trainer import SENTENCE, TokenizerType
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_file import MAX_FILE_BYTES, load_tokenizer, open_tokenizer
from tfcli.text.tokenizer_training import (
    MIN_VOCAB_SIZE,
    SAMPLE,
    TokenizerReport,
    choose_vocab_size,
    cut_into_sentences,
    train_tokenizer,
)

from .conftest import MIXED
from .helpers import any_text, append_piece

TYPES: tuple[TokenizerType, ...] = get_args(TokenizerType)
every_type = pytest.mark.parametrize("type", TYPES)

HARD = {
    "nothing": "",
    "a space": " ",
    "runs of spaces": "a  b   c      d" + " " * 100,
    "spaces at both ends": "  a  ",
    "only white space": " \t\n \r\n\v\f\u00a0\u2003\u3000\u2028",
    "CRLF and old Mac": "a\r\nb\rc\n\r",
    "SentencePiece's space mark": "a▁b▁▁c ▁ ▁",
    "only space marks": "▁▁",
    "reserved by SentencePiece": "▅ a▅b ⁇ \u2047",
    "NUL and controls": "a\0b" + "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "byte order marks": "\ufeffa\ufeff",
    "decomposed": "cafe\u0301 n\u0303 \u1100\u1161\u11a8",
    "compatibility characters": "ﬁ ① ℌ ｆｕｌｌ ½ ㌔ Å Å",
    "emoji with joiners": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇪🇸 1️⃣",
    "Chinese": "天地玄黃宇宙洪荒，日月盈昃。",
    "right to left": "שלום עליכם مرحبا \u200f\u202e",
    "names of control tokens": "<s></s><unk><s> </s>",
    "names of byte tokens": "<0x0A><0x41>",
    "noncharacters": "\ufffe\uffff\U0001fffe\U0010ffff",
    "the replacement character": "\ufffd\ufffc",
    "private use": "\ue000\U000f0000",
    "code": "def f(x):\n\tif x:\n        return {'a': [1,  2]}  # why?\n",
    "digits": "3.14159 1,000,000 ٣٤ Ⅷ 0x1F",
    "one long word": "x" * 5000,
}


def train(
    text: str,
    *,
    type: TokenizerType = "bpe",
    vocab_size: int | None = None,
    text_bytes: int | None = None,
) -> tuple[Tokenizer, TokenizerReport]:
    data = text.encode()
    return train_tokenizer(
        [data], text_bytes=text_bytes or len(data), type=type, vocab_size=vocab_size
    )


def assert_lossless(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text.encode()


# --- text to ids and back -----------------------------------------------------------------------


@every_type
@pytest.mark.parametrize("text", HARD.values(), ids=HARD.keys())
def test_hard_texts_round_trip(
    tokenizers: dict[TokenizerType, Tokenizer], type: TokenizerType, text: str
) -> None:
    assert_lossless(tokenizers[type], text)


@every_type
@given(text=any_text)
@settings(max_examples=300, deadline=None)
def test_any_text_round_trips(
    tokenizers: dict[TokenizerType, Tokenizer], type: TokenizerType, text: str
) -> None:
    assert_lossless(tokenizers[type], text)


@every_type
@given(parts=st.lists(st.sampled_from([*HARD.values(), *MIXED[:200].split(" ")]) | any_text))
@settings(max_examples=100, deadline=None)
def test_any_mixture_round_trips(
    tokenizers: dict[TokenizerType, Tokenizer], type: TokenizerType, parts: list[str]
) -> None:
    assert_lossless(tokenizers[type], "".join(parts))


@pytest.mark.parametrize("plane", range(17))
def test_every_unicode_character_round_trips(tokenizer: Tokenizer, plane: int) -> None:
    points = range(plane << 16, (plane + 1) << 16)
    assert_lossless(tokenizer, "".join(chr(p) for p in points if not 0xD800 <= p < 0xE000))


@given(text=any_text)
def test_bytes_and_string_have_the_same_ids(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.encode(text.encode()) == tokenizer.encode(text)


@every_type
@given(text=any_text.filter(lambda text: "▁" not in text))
@settings(max_examples=100, deadline=None)
def test_ids_equal_sentencepiece(
    tokenizers: dict[TokenizerType, Tokenizer], type: TokenizerType, text: str
) -> None:
    own = SentencePieceProcessor(model_proto=tokenizers[type].serialized)
    assert tokenizers[type].encode(text) == own.encode(text)


def test_space_mark_is_encoded_as_bytes(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("▁") == [FIRST_BYTE + byte for byte in "▁".encode()]
    assert tokenizer.encode("a▁") != tokenizer.encode("a ")


@every_type
@given(text=any_text)
@settings(max_examples=60, deadline=None)
def test_bytes_of_tokens_can_be_streamed(
    tokenizers: dict[TokenizerType, Tokenizer], type: TokenizerType, text: str
) -> None:
    tokenizer = tokenizers[type]
    streamed = [tokenizer.token_bytes[i] for i in tokenizer.encode(text)]
    assert all(streamed), "every token of a text has bytes"
    assert b"".join(streamed) == text.encode()


def test_any_ids_can_be_decoded(tokenizer: Tokenizer) -> None:
    """A model may generate anything, including invalid UTF-8."""
    ids = list(range(tokenizer.vocab_size))
    assert tokenizer.decode(ids) == b"".join(tokenizer.token_bytes)
    assert tokenizer.decode(i for i in (FIRST_BYTE + 0xFF, FIRST_BYTE)) == b"\xff\x00"


def test_control_tokens_decode_to_nothing(tokenizer: Tokenizer) -> None:
    assert (UNKNOWN, BEGIN, END) == (0, 1, 2)
    special = tokenizer.special
    assert (special.unk, special.bos, special.eos) == (UNKNOWN, BEGIN, END)
    assert special.control == {UNKNOWN, BEGIN, END}
    assert special.eos_ids == {END}
    assert special.suppressed == (UNKNOWN, BEGIN)
    assert tokenizer.decode([UNKNOWN, BEGIN, END]) == b""


def test_no_text_is_encoded_as_a_control_token(tokenizer: Tokenizer) -> None:
    ids = [i for text in HARD.values() for i in tokenizer.encode(text)]
    assert not {UNKNOWN, BEGIN, END} & set(ids)


def test_every_byte_has_a_token(tokenizer: Tokenizer) -> None:
    encoded = tokenizer.token_bytes[FIRST_BYTE : FIRST_BYTE + BYTE_PIECES]
    assert encoded == [bytes([byte]) for byte in range(256)]


def test_digits_are_single_tokens(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("1024")) == 4


def test_common_words_are_few_tokens(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("The old fox saw the ship at noon")) <= 9


def test_runs_of_spaces_become_pieces(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("        return")) <= 3


def test_fingerprint_is_the_hash_of_the_model(
    tokenizers: dict[TokenizerType, Tokenizer], tokenizer: Tokenizer
) -> None:
    assert tokenizer.fingerprint == hashlib.sha256(tokenizer.serialized).hexdigest()
    assert len({t.fingerprint for t in tokenizers.values()}) == len(TYPES)


# --- training -----------------------------------------------------------------------------------


@every_type
def test_training_is_deterministic(type: TokenizerType) -> None:
    first, again = (train(MIXED[:2000], type=type)[0] for _ in range(2))
    assert first.serialized == again.serialized


@every_type
@given(
    character=st.characters(
        categories=["L", "M", "N", "P", "S"], exclude_characters="\u2585", codec="utf-8"
    )
)
@settings(max_examples=25, deadline=None)
def test_one_character_is_enough_for_training(type: TokenizerType, character: str) -> None:
    tokenizer, report = train(character, type=type)
    assert_lossless(tokenizer, character + "The,,,\n日本")
    assert report.sample_bytes == report.text_bytes == len(character.encode())


@every_type
@pytest.mark.parametrize("text", ["古い狐は正午に船を見た。\n", "alone\n"])
def test_space_round_trips_if_absent_from_training(type: TokenizerType, text: str) -> None:
    """As in Chinese and Japanese text."""
    tokenizer, _ = train(text * 50, type=type)
    assert tokenizer.decode(tokenizer.encode(" a  b ")) == b" a  b "


@every_type
def test_space_round_trips_if_too_rare_for_a_piece(type: TokenizerType) -> None:
    text = "".join(chr(0x4E00 + n) * 9 for n in range(300)) + " "
    tokenizer, _ = train(text, type=type, vocab_size=300)
    assert_lossless(tokenizer, text)


@every_type
@pytest.mark.parametrize("text", [" ", "\t", "a\n", "\n\na", "12", "a b", "▁", "\u3000", "😀\r\n"])
def test_tiny_texts_are_enough_for_training(type: TokenizerType, text: str) -> None:
    assert_lossless(train(text, type=type)[0], text + "The,,,\n日本")


@every_type
@given(text=any_text)
@settings(max_examples=30, deadline=None)
def test_any_text_gives_a_tokenizer_or_a_data_error(type: TokenizerType, text: str) -> None:
    try:
        tokenizer, _ = train(text, type=type)
    except DataError:
        return
    assert_lossless(tokenizer, text)


@pytest.mark.parametrize("texts", [[], [b""], [b"", b""]])
def test_empty_text_is_a_data_error(texts: list[bytes]) -> None:
    with pytest.raises(DataError) as caught:
        train_tokenizer(texts, text_bytes=0)
    assert "no text" in caught.value.what


@every_type
@pytest.mark.parametrize("text", ["\n", "\r\n" * 9, "\0", "\x1f"])
def test_control_characters_alone_give_a_tokenizer_or_a_data_error(
    type: TokenizerType, text: str
) -> None:
    try:
        tokenizer, _ = train(text, type=type)
    except DataError as error:
        assert ".cc(" not in f"{error.what} {error.why}", "no source location of SentencePiece"
    else:
        assert_lossless(tokenizer, text)


@every_type
@pytest.mark.parametrize(
    "inserted", ["\0", "\t", "\x1f", "▁", "▅", "\ufffd", "\u2047", "<s>", "\ufeff", "\uffff"]
)
def test_special_character_does_not_keep_words_around_it_from_being_learned(
    type: TokenizerType, inserted: str
) -> None:
    tokenizer, _ = train(f"banana {inserted} cherry\n" * 300, type=type)
    assert_lossless(tokenizer, f"banana{inserted}")
    assert len(tokenizer.encode("banana")) <= {"bpe": 2, "unigram": 3, "char": 6}[type]


@pytest.mark.parametrize("type", ["bpe", "unigram"])
def test_word_only_in_a_long_line_is_learned(type: TokenizerType) -> None:
    """SentencePiece alone drops lines of more than 4,192 bytes."""
    long_line = "zanzibar " * 11_000
    tokenizer, _ = train(MIXED + long_line + "\n" + MIXED, type=type)
    assert len(tokenizer.encode(" zanzibar")) <= 2


def test_long_line_without_spaces_is_learned_from() -> None:
    line = "吾輩は猫である名前はまだ無い" * 3000
    tokenizer, _ = train(line)
    assert len(tokenizer.encode("吾輩は猫である名前はまだ無い")) <= 7


def test_newlines_inside_a_sentence_are_learned() -> None:
    tokenizer, _ = train("a line,\nanother line,\n" * 500)
    assert tokenizer.encode("x,\n")[-1] >= FIRST_BYTE + BYTE_PIECES


# --- vocabulary size ----------------------------------------------------------------------------


@every_type
def test_vocabulary_too_large_for_the_text_is_reduced(type: TokenizerType) -> None:
    tokenizer, report = train("To be, or not to be.\n", type=type, vocab_size=30_000)
    assert report.wanted == 30_000
    assert report.vocab_size == tokenizer.vocab_size < 400
    assert_lossless(tokenizer, MIXED[:200])


@pytest.mark.parametrize("vocab_size", [300, 301, 420])
def test_possible_vocabulary_size_is_met_exactly(vocab_size: int) -> None:
    tokenizer, report = train(MIXED, vocab_size=vocab_size)
    assert report.wanted == report.vocab_size == tokenizer.vocab_size == vocab_size


@every_type
@pytest.mark.parametrize("text", ["a", MIXED])
def test_smallest_vocabulary_works(type: TokenizerType, text: str) -> None:
    tokenizer, _ = train(text, type=type, vocab_size=MIN_VOCAB_SIZE)
    assert tokenizer.vocab_size <= MIN_VOCAB_SIZE
    assert_lossless(tokenizer, text)


@every_type
@pytest.mark.parametrize("vocab_size", [MIN_VOCAB_SIZE - 1, 100, 1, 0, -1])
def test_vocabulary_too_small_for_all_bytes_is_refused(
    type: TokenizerType, vocab_size: int
) -> None:
    with pytest.raises(DataError) as caught:
        train(MIXED, type=type, vocab_size=vocab_size)
    assert str(vocab_size) in caught.value.what
    assert f"--vocab-size {MIN_VOCAB_SIZE}" in (caught.value.hint or "")


@every_type
@pytest.mark.parametrize("vocab_size", [10**6, 2**31, 10**12])
def test_huge_vocabulary_is_reduced_or_refused(type: TokenizerType, vocab_size: int) -> None:
    try:
        tokenizer, _ = train(MIXED, type=type, vocab_size=vocab_size)
    except TfcliError as error:
        assert f"{vocab_size}" in error.what.replace(",", "")
    else:
        assert tokenizer.vocab_size < 1000


@every_type
def test_large_script_fits_a_small_vocabulary(type: TokenizerType) -> None:
    """Its rare characters are encoded as bytes."""
    random = Random(0)
    characters = [chr(0x4E00 + n) for n in range(4000)]
    weights = [1 / (n + 1) for n in range(4000)]
    text = "".join(random.choices(characters, weights, k=20_000))
    tokenizer, report = train(text, type=type, vocab_size=320)
    assert report.vocab_size <= 320
    assert_lossless(tokenizer, text)
    assert len(tokenizer.encode(characters[0])) == 1


def test_large_script_leaves_half_of_a_small_vocabulary_for_longer_pieces() -> None:
    random = Random(0)
    words = ["".join(random.choices("天地玄黃宇宙洪荒日月", k=3)) for _ in range(100)]
    rare = "".join(chr(0x5000 + n) * 3 for n in range(1000))
    tokenizer, _ = train("".join(random.choices(words, k=5000)) + rare, vocab_size=460)
    pieces = [encoded.decode() for encoded in tokenizer.token_bytes[FIRST_BYTE + BYTE_PIECES :]]
    assert len([piece for piece in pieces if len(piece) > 1]) >= 100


@given(text_bytes=st.integers(0, 10**15), common=st.integers(0, 30_000))
def test_chosen_vocabulary_size_is_a_power_of_two_within_bounds(
    text_bytes: int, common: int
) -> None:
    chosen = choose_vocab_size(text_bytes, Counter({chr(0x4E00 + n): 1 for n in range(common)}))
    assert chosen in {512, 1024, 2048, 4096, 8192, 16384, 32768}


@pytest.mark.parametrize(
    ("text_bytes", "expected"),
    [(0, 512), (1, 512), (100_000, 512), (1_000_000, 1024), (16 << 20, 4096), (10**12, 32768)],
)
def test_chosen_vocabulary_size_grows_like_the_root_of_the_text_size(
    text_bytes: int, expected: int
) -> None:
    assert choose_vocab_size(text_bytes, Counter("etaoin shrdlu")) == expected


@pytest.mark.parametrize("common", [300, 1000, 1900, 3000, 7000])
def test_large_script_gets_two_pieces_per_common_character(common: int) -> None:
    characters = Counter({chr(0x4E00 + n): 100 for n in range(common)})
    assert choose_vocab_size(1_000_000, characters) >= 2 * common


def test_characters_that_make_up_a_few_percent_of_a_text_are_common() -> None:
    characters = Counter({"e": 95_000} | {chr(0x4E00 + n): 10 for n in range(500)})
    assert choose_vocab_size(100_000, characters) >= 900


def test_occasional_characters_are_not_common() -> None:
    characters = Counter({"e": 10**7} | {chr(0x4E00 + n): 1 for n in range(5000)})
    assert choose_vocab_size(1_000_000, characters) == 1024


def test_chosen_vocabulary_size_is_reported() -> None:
    _, report = train(MIXED)
    assert report.wanted == choose_vocab_size(len(MIXED.encode()), Counter(MIXED))


# --- the sample ---------------------------------------------------------------------------------


def test_small_text_is_used_whole() -> None:
    _, report = train(MIXED)
    assert report.sample_bytes == report.text_bytes == len(MIXED.encode())


def test_sample_of_a_large_text_is_evenly_spaced() -> None:
    """Each of ten parts has a word of its own, and all are learned."""
    words = [letter * 6 for letter in "abcdefghij"]
    parts = [(f"{word} " * 15_000).encode() for word in words]
    size = sum(map(len, parts))
    tokenizer, report = train_tokenizer(parts, text_bytes=10 * SAMPLE)  # so that a tenth is sampled
    assert report.sample_bytes == pytest.approx(size / 10, abs=2 * SENTENCE)
    assert all(len(tokenizer.encode(f" {word}")) == 1 for word in words)


def test_sample_is_no_larger_than_its_limit() -> None:
    chunks = [b"word " * 200_000] * 63
    _, report = train_tokenizer(chunks, text_bytes=sum(map(len, chunks)), vocab_size=300)
    assert report.sample_bytes == pytest.approx(SAMPLE, abs=SENTENCE)


@given(text=st.text(st.sampled_from("ab \né日😀"), max_size=60), times=st.integers(1, 300))
@settings(max_examples=200, deadline=None)
def test_sentences_concatenate_to_the_text_and_are_short_enough(text: str, times: int) -> None:
    whole = text.encode() * times
    sentences = list(cut_into_sentences(whole))
    assert b"".join(sentences) == whole
    assert all(0 < len(sentence) <= SENTENCE for sentence in sentences)
    assert all(sentence.decode() for sentence in sentences)


def test_sentences_end_after_newlines_or_before_spaces() -> None:
    lines = b"a line of words\n" * 1000
    assert all(sentence.endswith(b"line of words\n") for sentence in cut_into_sentences(lines))
    words = list(cut_into_sentences(b"word " * 2000))
    assert all(sentence.startswith(b" word") for sentence in words[1:])


# --- opening a model ----------------------------------------------------------------------------


def sentencepiece_model(text: str = MIXED, **options: Any) -> bytes:
    """A model trained elsewhere, similar to Llama 2's except for `options`."""
    settings: dict[str, Any] = {"model_type": "bpe", "vocab_size": 400, "byte_fallback": True}
    settings |= {"unk_id": 0, "bos_id": 1, "eos_id": 2, "minloglevel": 2}
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(text.splitlines()), model_writer=model, **settings | options
    )
    return model.getvalue()


@pytest.mark.parametrize("data", [b"", b"\0", b"junk", b"{}", bytes(1000), MIXED.encode()])
def test_junk_is_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError):
        SentencePieceTokenizer(data)


@pytest.mark.parametrize(
    "options",
    [
        {"byte_fallback": False, "vocab_size": 300},
        {"bos_id": 2, "eos_id": 1},
        {"unk_id": 2, "eos_id": 0},
        {"pad_id": 3},
        {"user_defined_symbols": ["<user>"]},
    ],
    ids=str,
)
def test_model_with_other_special_ids_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DataError) as caught:
        SentencePieceTokenizer(sentencepiece_model(**options))
    assert "tfcli tokenizer train" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "options",
    [
        {"normalization_rule_name": "identity", "add_dummy_prefix": True},
        {"normalization_rule_name": "nmt_nfkc", "add_dummy_prefix": False},
        {"normalization_rule_name": "nfkc_cf", "add_dummy_prefix": False},
        {"add_dummy_prefix": False, "remove_extra_whitespaces": True},
        {"add_dummy_prefix": False, "treat_whitespace_as_suffix": True},
    ],
    ids=str,
)
def test_lossy_model_is_refused_or_made_lossless(
    options: dict[str, Any],
) -> None:
    defaults: dict[str, Any] = {
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
    }
    try:
        tokenizer = SentencePieceTokenizer(sentencepiece_model(**defaults | options))
    except DataError:
        return
    for text in HARD.values():
        assert tokenizer.decode(tokenizer.encode(text)) == text.encode()


def test_model_without_a_space_piece_is_refused_or_made_lossless() -> None:
    lossless: dict[str, Any] = {
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
    }
    assert_lossless(SentencePieceTokenizer(sentencepiece_model(**lossless)), "a b")
    try:
        model = sentencepiece_model("abc\n" * 9, vocab_size=262, **lossless)
        tokenizer = SentencePieceTokenizer(model)
    except DataError:
        return
    assert_lossless(tokenizer, "a b")


def test_model_with_an_additional_piece_is_accepted(tokenizer: Tokenizer) -> None:
    larger = SentencePieceTokenizer(append_piece(tokenizer.serialized, "🜁".encode()))
    assert larger.vocab_size == tokenizer.vocab_size + 1
    assert larger.encode("🜁") == [tokenizer.vocab_size]
    assert_lossless(larger, "🜁 air")


@pytest.mark.parametrize("piece", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\x80abc"])
def test_piece_with_invalid_utf8_is_a_data_error(tokenizer: Tokenizer, piece: bytes) -> None:
    with pytest.raises(DataError):
        SentencePieceTokenizer(append_piece(tokenizer.serialized, piece))


def assert_data_error_or_lossless_tokenizer(model: bytes) -> None:
    try:
        tokenizer = SentencePieceTokenizer(model)
    except DataError:
        return
    for text in ("", " Hello,  ▁ 12\r\n日本\0 e\u0301\ufeff</s>", MIXED[:300]):
        assert_lossless(tokenizer, text)


@given(model=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_refused_or_a_lossless_tokenizer(model: bytes) -> None:
    assert_data_error_or_lossless_tokenizer(model)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_truncated_model_is_refused_or_a_lossless_tokenizer(
    tokenizer: Tokenizer, data: st.DataObject
) -> None:
    end = data.draw(st.integers(0, len(tokenizer.serialized) - 1))
    assert_data_error_or_lossless_tokenizer(tokenizer.serialized[:end])


@given(seed=st.integers(0, 2**64))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_corrupted_model_is_refused_or_a_lossless_tokenizer(
    tokenizer: Tokenizer, seed: int
) -> None:
    """Bits flipped, bytes inserted, bytes deleted."""
    random = Random(seed)
    model = bytearray(tokenizer.serialized)
    for _ in range(random.choice([1, 1, 1, 3])):
        position = random.randrange(len(model))
        match random.randrange(3):
            case 0:
                model[position] ^= 1 << random.randrange(8)
            case 1:
                model[position:position] = random.randbytes(random.randrange(1, 5))
            case 2:
                del model[position : position + random.randrange(1, 5)]
    assert_data_error_or_lossless_tokenizer(bytes(model))


def test_oversized_model_is_not_opened(tmp_path: Path) -> None:
    message = r"tokenizer file too large: 67,108,865 bytes \(limit: 64 MiB\)"
    with pytest.raises(DataError, match=message):
        open_tokenizer(bytes(MAX_FILE_BYTES + 1))
    path = tmp_path / "tokenizer.model"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(DataError, match=message) as caught:
        load_tokenizer(path)
    assert str(path) in caught.value.what


def test_model_file_is_opened(tmp_path: Path, tokenizer: Tokenizer) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(tokenizer.serialized)
    assert load_tokenizer(path).fingerprint == tokenizer.fingerprint


def test_invalid_or_missing_model_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(b"junk")
    with pytest.raises(DataError) as caught:
        load_tokenizer(path)
    assert str(path) in caught.value.what
    path.unlink()
    with pytest.raises(NotFoundError) as missing:
        load_tokenizer(path)
    assert str(path) in missing.value.what


@given(lengths=st.lists(st.integers(1, 5), max_size=20))
def test_token_lengths_sum_to_the_length_of_the_text(
    tokenizer: Tokenizer, lengths: list[int]
) -> None:
    """Token boundaries in bytes cover the text without gaps or overlaps."""
    text = "".join("añ日😀x"[length - 1] * length for length in lengths)
    ends = list(accumulate(len(tokenizer.token_bytes[i]) for i in tokenizer.encode(text)))
    assert ends == sorted(set(ends))
    assert (ends[-1] if ends else 0) == len(text.encode())


# --- batches and long texts ----------------------------------------------------------------------


@pytest.mark.parametrize("type", ["bpe", "char"])
@given(text=st.text(st.sampled_from("fox ship\n日本▁ñ é1a古い狐は"), min_size=50, max_size=400))
def test_text_encoded_in_parts_has_the_ids_of_the_whole(
    tokenizers: dict[TokenizerType, Tokenizer], type: TokenizerType, text: str
) -> None:
    whole = tokenizers[type].encode(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfcli.text.sentencepiece_tokenizer.PART", 10)
        assert tokenizers[type].encode(text) == whole


def test_long_text_round_trips(tokenizer: Tokenizer) -> None:
    text = (MIXED + "x" * 10_000 + " " * 9000) * 2
    assert tokenizer.decode(tokenizer.encode(text)) == text.encode()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_batch_encoding_gives_the_ids_of_each_text_alone(
    tokenizers: dict[TokenizerType, Tokenizer], threads: int
) -> None:
    texts = [MIXED, "", "a", "▁ one ▁▁", MIXED[:5000] + "▁" + MIXED, "\0\n"]
    for tokenizer in tokenizers.values():
        many = tokenizer.encode_batch([text.encode() for text in texts], threads=threads)
        joined = [[i for part in parts for i in part.tolist()] for parts in many]
        assert joined == [tokenizer.encode(text) for text in texts]
        assert tokenizer.encode_batch([], threads=threads) == []

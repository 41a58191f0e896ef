"""Training a tokenizer: SentencePiece, on a sample of the text, set up so that no byte is lost.

What each setting is for:

* `byte_fallback`: a character without a piece of its own is spelled as its UTF-8 bytes.
* `normalization_rule_name=identity`, `remove_extra_whitespaces=false`: nothing is rewritten.
* `add_dummy_prefix=false`: no space is added in front of a text.
* `allow_whitespace_only_pieces`: runs of spaces may become pieces (code is indented).
* `split_digits`: numbers are spelled digit by digit, so that arithmetic has a chance.

References: Kudo & Richardson, "SentencePiece", 2018; Sennrich et al., "Neural Machine Translation
of Rare Words with Subword Units", 2016 (bpe); Kudo, "Subword Regularization", 2018 (unigram).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.text.sentencepiece_model import with_user_defined
from tfcli.text.sentencepiece_tokenizer import (
    BYTE_PIECES,
    FIRST_BYTE,
    SPACE_MARK,
    SentencePieceTokenizer,
)
from tfcli.text.sentencepiece_trainer import (
    SENTENCE,
    TooSlowError,
    TrainingError,
    train_model,
)
from tfcli.text.symbol_pattern import symbol_pattern
from tfcli.text.user_defined_symbols import check_symbols

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tfcli.text.sentencepiece_trainer import TokenizerType

MIN_VOCAB_SIZE = FIRST_BYTE + BYTE_PIECES + 1  # control tokens, bytes, one character
RESERVED = frozenset("▁▅\0\x1f")  # have a meaning inside SentencePiece; spelled as bytes
SAMPLE = 20 << 20  # bytes of text that a tokenizer is trained on at most
REDUCTION = 8  # times smaller is the sample that is tried where one takes too long


@dataclass(frozen=True)
class TokenizerReport:
    """The result of training a tokenizer.

    Attributes:
        wanted: the vocabulary size asked for, or chosen for the text.
        vocab_size: the actual one; smaller where the text did not yield enough pieces.
        sample_bytes: how much text it was trained on, of `text_bytes` in all.
        user_defined_symbols: what is always one token.

    """

    type: TokenizerType
    wanted: int
    vocab_size: int
    sample_bytes: int
    text_bytes: int
    user_defined_symbols: tuple[str, ...] = ()


def train_tokenizer(
    texts: Iterable[bytes],
    *,
    text_bytes: int,
    type: TokenizerType = "bpe",
    vocab_size: int | None = None,
    user_defined_symbols: Sequence[str] = (),
    seconds: float | None = None,
    waiting: Callable[[float], None] = lambda _: None,
) -> tuple[SentencePieceTokenizer, TokenizerReport]:
    """Trains a tokenizer on a sample of `texts` of at most 20 MiB.

    Args:
        texts: chunks of valid UTF-8, read once.
        text_bytes: how much text there is, for an even sample.
        type: bpe merges frequent pairs; unigram keeps the likeliest pieces; char splits text into
            single characters.
        vocab_size: number of pieces, control tokens and the 256 bytes included; None: see
            `choose_vocab_size`.
        user_defined_symbols: strings that are always one token, whatever is around them.
        seconds: after which a smaller sample is tried, and again; None: the whole is waited for.
        waiting: called now and then while it takes long, with the seconds since the start.

    Raises:
        DataError: there is no text, or the vocabulary is too small for the 256 bytes.
        OptionError: a symbol cannot be a token of its own.

    """
    symbols = check_symbols(user_defined_symbols)
    sample = list(_sample(texts, text_bytes))
    if not sample:
        raise DataError("there is no text to train a tokenizer on")
    sample_bytes = sum(len(sentence.encode()) for sentence in sample)
    if symbols:
        cuts = symbol_pattern(symbols)
        sample = [part for sentence in sample for part in cuts.split(sentence)[::2]]
    characters: Counter[str] = Counter()
    for sentence in sample:
        characters.update(sentence)
    wanted = vocab_size
    if wanted is None:
        wanted = choose_vocab_size(text_bytes, characters, len(symbols))
    if wanted < MIN_VOCAB_SIZE + len(symbols):
        more = f", and {len(symbols):,} user-defined symbols" if symbols else ""
        raise DataError(
            f"a vocabulary of {wanted} is too small",
            why=f"it has to include 3 control tokens and {BYTE_PIECES} bytes{more}",
            hint=f"--vocab-size {MIN_VOCAB_SIZE + len(symbols)} or more",
        )
    model, reduced = _train_in_time(
        sample, characters, type, wanted - len(symbols), seconds, waiting
    )
    if symbols:
        spelled = [symbol.replace(" ", SPACE_MARK) for symbol in symbols]
        model = with_user_defined(model, spelled, FIRST_BYTE + BYTE_PIECES)
    tokenizer = SentencePieceTokenizer(model)
    return tokenizer, TokenizerReport(
        type, wanted, tokenizer.vocab_size, sample_bytes // reduced, text_bytes, symbols
    )


def choose_vocab_size(text_bytes: int, characters: Counter[str], symbols: int = 0) -> int:
    """The vocabulary size for a text: about the square root of its size, and room for its script.

    The power of two nearest to the square root of the bytes, from 512 to 32,768: 1,024 for a book
    of 1 MB, where 512 and 2,048 both gave a higher loss in the same time. A script of thousands of
    characters gets at least twice as many pieces as it has common characters.

    Args:
        symbols: how many user-defined symbols there are; they count as common characters.

    """
    by_size: int = 2 ** round(math.log2(max(text_bytes, 1)) / 2)
    total = characters.total()
    seen, common = 0, symbols
    for _, count in characters.most_common():
        if seen >= 0.995 * total:
            break
        seen += count
        common += 1
    by_script: int = 2 ** math.ceil(math.log2(MIN_VOCAB_SIZE + 2 * common))
    return min(max(512, by_size, by_script), 32768)


def _train_in_time(
    sample: list[str],
    characters: Counter[str],
    type: TokenizerType,
    vocab_size: int,
    seconds: float | None,
    waiting: Callable[[float], None],
) -> tuple[bytes, int]:
    """Trains on the sample, or on as much of it as the time allows: how many times less."""
    reduced = 1
    while True:
        sample_bytes = sum(len(sentence.encode()) for sentence in sample)
        possible = min(vocab_size, MIN_VOCAB_SIZE + sample_bytes)  # no more pieces than bytes
        usual = _without_rare(sample, characters, possible)
        try:
            model = _train_at_most(
                partial(train_model, usual, type, seconds=seconds, waiting=waiting), possible
            )
        except TooSlowError:
            sample, reduced = sample[::REDUCTION], reduced * REDUCTION
        else:
            return model, reduced


def _train_at_most(train: Callable[[int], bytes], vocab_size: int) -> bytes:
    """Trains with `vocab_size`, or with the largest that SentencePiece says the text allows."""
    try:
        return train(vocab_size)
    except TrainingError as error:
        largest = re.search(r"value <= (\d+)", str(error))
        if not largest:
            raise DataError("SentencePiece could not be trained", why=str(error)[-200:]) from None
        return train(int(largest[1]))


def _without_rare(sample: Sequence[str], characters: Counter[str], vocab_size: int) -> list[str]:
    """The sample without its rarest characters, where there are too many for the vocabulary.

    SentencePiece needs a piece for every character it sees, and refuses a vocabulary without room
    for them. So the rarest characters of a large script are removed, and the text is split there,
    until half of the room is left for longer pieces; they will be spelled as bytes. A space is
    added, since without a piece of its own it would be decoded as U+2581.
    """
    room = max(1, (vocab_size - FIRST_BYTE - BYTE_PIECES) // 2)
    ranked = [char for char, _ in characters.most_common() if char not in {*RESERVED, " "}]
    kept = [" ", *ranked[: room - 1]]
    if len(kept) == len(characters.keys() | {" "}):
        return [*sample, " "]
    common = re.escape("".join(kept))
    parts = (part for sentence in sample for part in re.findall(f"[{common}]+", sentence))
    return [*parts, " "]


def _sample(texts: Iterable[bytes], text_bytes: int) -> Iterator[str]:
    """Cuts texts into sentences and takes evenly spaced ones, `SAMPLE` bytes in all."""
    keep = min(1.0, SAMPLE / max(text_bytes, 1))
    read = taken = 0
    for text in texts:
        for sentence in cut_into_sentences(text):
            read += len(sentence)
            if taken < read * keep:
                taken += len(sentence)
                yield sentence.decode()


def cut_into_sentences(text: bytes) -> Iterator[bytes]:
    """Cuts valid UTF-8 into parts short enough for SentencePiece; joined, they are the text."""
    start = 0
    while start < len(text):
        end = min(len(text), start + SENTENCE)
        if end < len(text):
            newline = text.rfind(b"\n", start, end)
            space = text.rfind(b" ", start, end)
            if newline >= start:
                end = newline + 1
            elif space > start:
                end = space
            else:
                while text[end] & 0xC0 == 0x80:
                    end -= 1
        yield text[start:end]
        start = end

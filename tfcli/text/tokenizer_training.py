"""Training a tokenizer: SentencePiece, on a sample of the text, set up so that no byte is lost.

What the settings give for that:

* `byte_fallback`: a character without a piece of its own is spelled as its UTF-8 bytes.
* `normalization_rule_name=identity`, `remove_extra_whitespaces=false`: nothing is rewritten.
* `add_dummy_prefix=false`: no space is put in front that nobody wrote.
* `allow_whitespace_only_pieces`: runs of spaces may become pieces (code is indented).
* `split_digits`: numbers are spelled digit by digit, so that arithmetic has a chance.

References: Kudo & Richardson, "SentencePiece", 2018; Sennrich et al., "Neural Machine Translation
of Rare Words with Subword Units", 2016 (bpe); Kudo, "Subword Regularization", 2018 (unigram).
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.text.tokenizer import (
    BEGIN,
    BYTE_PIECES,
    END,
    FIRST_BYTE,
    UNKNOWN,
    Tokenizer,
    TokenizerType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SMALLEST_VOCABULARY = FIRST_BYTE + BYTE_PIECES + 1  # the controls, the bytes, one character
STRANGE = frozenset("▁▅\0\x1f")  # mean something else inside SentencePiece; spelled as bytes
SENTENCE = 4000  # bytes; SentencePiece silently drops a training line of more than 4,192
SAMPLE = 20 << 20  # bytes of text that a tokenizer is trained on at most


@dataclass(frozen=True)
class TokenizerReport:
    """How a tokenizer came out.

    Attributes:
        wanted: the vocabulary asked for (or worked out from the text).
        vocab_size: the one that came of it; smaller where the text had no more pieces to give.
        sample_bytes: the text it was trained on; `text_bytes` the whole there was.

    """

    type: TokenizerType
    wanted: int
    vocab_size: int
    sample_bytes: int
    text_bytes: int


def train_tokenizer(
    texts: Iterable[bytes],
    *,
    text_bytes: int,
    type: TokenizerType = "bpe",
    vocab_size: int | None = None,
) -> tuple[Tokenizer, TokenizerReport]:
    """Trains a tokenizer on a sample of `texts` of at most 20 MiB.

    Args:
        texts: pieces of valid UTF-8, read once.
        text_bytes: how much text there is, for an even sample.
        type: bpe merges frequent pairs; unigram keeps the likeliest pieces; char has none.
        vocab_size: how many pieces, controls and the 256 bytes included; None works it out.

    Raises:
        DataError: there is no text, or the vocabulary is smaller than the 256 bytes need.

    """
    sample = list(_sample(texts, text_bytes))
    characters: Counter[str] = Counter()
    for sentence in sample:
        characters.update(sentence)
    if not characters:
        raise DataError("there is no text to train a tokenizer on")
    sample_bytes = sum(len(sentence.encode()) for sentence in sample)
    wanted = choose_vocab_size(text_bytes, characters) if vocab_size is None else vocab_size
    if wanted < SMALLEST_VOCABULARY:
        raise DataError(
            f"a vocabulary of {wanted} is too small",
            why=f"3 control tokens and {BYTE_PIECES} bytes are part of it",
            hint=f"--vocab-size {SMALLEST_VOCABULARY} or more",
        )
    possible = min(wanted, SMALLEST_VOCABULARY + sample_bytes)  # no more pieces than bytes
    sample = _without_rare(sample, characters, possible)
    model = _train_at_most(sample, type, possible)
    tokenizer = Tokenizer(model)
    return tokenizer, TokenizerReport(type, wanted, tokenizer.vocab_size, sample_bytes, text_bytes)


def choose_vocab_size(text_bytes: int, characters: Counter[str]) -> int:
    """The vocabulary that suits a text: about the root of its size, and room for its script.

    The root of the bytes, as the nearest power of two from 512 to 32,768: 1,024 for a book of
    1 MB, where 512 and 2,048 both gave a higher loss in the same time. A script with thousands
    of characters gets at least twice as many pieces as it has common characters.
    """
    by_size: int = 2 ** round(math.log2(max(text_bytes, 1)) / 2)
    total = characters.total()
    seen = common = 0
    for _, count in characters.most_common():
        if seen >= 0.995 * total:
            break
        seen += count
        common += 1
    by_script: int = 2 ** math.ceil(math.log2(SMALLEST_VOCABULARY + 2 * common))
    return min(max(512, by_size, by_script), 32768)


def _train_at_most(sample: Sequence[str], type: TokenizerType, vocab_size: int) -> bytes:
    """Trains with `vocab_size`, or with the largest that SentencePiece says the text gives."""
    try:
        return _train(sample, type, vocab_size)
    except RuntimeError as error:
        largest = re.search(r"value <= (\d+)", str(error))
        if not largest:
            raise DataError("SentencePiece could not be trained", why=str(error)[-200:]) from None
        return _train(sample, type, int(largest[1]))


def _train(sample: Sequence[str], type: TokenizerType, vocab_size: int) -> bytes:
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(sample),
        model_writer=model,
        model_type=type,
        vocab_size=vocab_size,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        unk_id=UNKNOWN,
        bos_id=BEGIN,
        eos_id=END,
        pad_id=-1,
        max_sentence_length=SENTENCE + 4,
        shuffle_input_sentence=False,
        minloglevel=2,
    )
    return model.getvalue()


def _without_rare(sample: Sequence[str], characters: Counter[str], vocab_size: int) -> list[str]:
    """The sample without its rarest characters, where there are too many for the vocabulary.

    SentencePiece wants a piece for every character it sees, and refuses a vocabulary without
    room for them. So that half of the room is left for longer pieces, the rarest characters of a
    large script are taken out, the text parted there; they will be spelled as bytes. A space is
    put in, since without a piece of its own it would come back as U+2581.
    """
    room = max(1, (vocab_size - FIRST_BYTE - BYTE_PIECES) // 2)
    ranked = [char for char, _ in characters.most_common() if char not in {*STRANGE, " "}]
    kept = [" ", *ranked[: room - 1]]
    if len(kept) == len(characters.keys() | {" "}):
        return [*sample, " "]
    common = re.escape("".join(kept))
    parts = (part for sentence in sample for part in re.findall(f"[{common}]+", sentence))
    return [*parts, " "]


def _sample(texts: Iterable[bytes], text_bytes: int) -> Iterator[str]:
    """Cuts texts into sentences and takes an even share of them, `SAMPLE` bytes in all."""
    keep = min(1.0, SAMPLE / max(text_bytes, 1))
    read = taken = 0
    for text in texts:
        for sentence in cut_into_sentences(text):
            read += len(sentence)
            if taken < read * keep:
                taken += len(sentence)
                yield sentence.decode()


def cut_into_sentences(text: bytes) -> Iterator[bytes]:
    """Cuts valid UTF-8 into parts short enough for SentencePiece, which add up to the text."""
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

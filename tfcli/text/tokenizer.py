"""The tokenizer: SentencePiece, set up so that no byte of a text is ever lost.

`decode(encode(text)) == text` for every text in UTF-8. What the settings below give for that:

* `byte_fallback`: a character without a piece of its own is spelled as its UTF-8 bytes.
* `normalization_rule_name=identity`, `remove_extra_whitespaces=false`: nothing is rewritten.
* `add_dummy_prefix=false`: no space is put in front that nobody wrote.
* `allow_whitespace_only_pieces`: runs of spaces may become pieces (code is indented).
* `split_digits`: numbers are spelled digit by digit, so that arithmetic has a chance.

Inside SentencePiece the character U+2581 stands for the space, so a U+2581 of the text itself
would come back as a space; `Tokenizer.encode` spells that one character as its three bytes.

References: Kudo & Richardson, "SentencePiece", 2018; Sennrich et al., "Neural Machine Translation
of Rare Words with Subword Units", 2016 (bpe); Kudo, "Subword Regularization", 2018 (unigram).
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from tfcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np

    Ids = np.ndarray[tuple[int], np.dtype[np.int32]]

TokenizerType = Literal["bpe", "unigram", "char"]

UNKNOWN, BEGIN, END = 0, 1, 2  # <unk>, <s>, </s>
FIRST_BYTE, BYTE_PIECES = 3, 256  # <0x00> ... <0xFF>
SMALLEST_VOCABULARY = FIRST_BYTE + BYTE_PIECES + 1  # the controls, the bytes, one character
LARGEST_MODEL = 64 << 20  # bytes; a model file above this is not opened

SPACE_MARK = "▁"
STRANGE = frozenset("▁▅\0\x1f")  # mean something else inside SentencePiece; spelled as bytes
PROBE = "  a \t\r\n ① Ａ e\u0301 ▁\0 日本  "  # what a lossless model gives back
PART = 4096  # characters; SentencePiece takes more than twice as long over a megabyte at once
SENTENCE = 4000  # bytes; SentencePiece silently drops a training line of more than 4,192
SAMPLE = 20 << 20  # bytes of text that a tokenizer is trained on at most


class Tokenizer:
    """A SentencePiece model: text to ids and back, without loss."""

    def __init__(self, model: bytes) -> None:
        """Opens a serialised SentencePiece model.

        Raises:
            DataError: `model` is not one, or lacks what tfcli relies on.

        """
        from sentencepiece import SentencePieceProcessor

        if len(model) > LARGEST_MODEL:
            raise DataError(f"a tokenizer of {len(model):,} bytes is larger than any should be")
        self.model = model
        try:
            self._processor = SentencePieceProcessor(model_proto=model)
            self.vocab_size = int(self._processor.get_piece_size())
            self._check_layout()
            self.token_bytes = self._spell_out()
            lossless = self.decode(self.encode(PROBE)) == PROBE.encode()
        except DataError:
            raise
        except Exception as error:  # the binding raises RuntimeError, TypeError, UnicodeError ...
            raise DataError("this is not a SentencePiece model", why=str(error)[:200]) from None
        if not lossless:
            raise DataError(
                "this SentencePiece model loses or rewrites text",
                why="it normalises, adds a space in front, or has no piece for a space",
                mend="tfcli tokenizer train FILE --name NAME",
            )

    def _check_layout(self) -> None:
        """Raises DataError unless the controls and the bytes come first, in our order."""
        processor = self._processor
        controls = (processor.unk_id(), processor.bos_id(), processor.eos_id())
        bytes_follow = self.vocab_size >= FIRST_BYTE + BYTE_PIECES and all(
            processor.id_to_piece(FIRST_BYTE + byte) == f"<0x{byte:02X}>"
            for byte in range(BYTE_PIECES)
        )
        if controls != (UNKNOWN, BEGIN, END) or not bytes_follow:
            raise DataError(
                "this SentencePiece model was not made for tfcli",
                why="it needs <unk>, <s>, </s> as ids 0, 1, 2 and the 256 byte pieces after them",
                mend="tfcli tokenizer train FILE --name NAME",
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model."""
        return hashlib.sha256(self.model).hexdigest()

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of `text` (UTF-8 if bytes), without `<s>` or `</s>`."""
        text = text if isinstance(text, str) else text.decode()
        return [i for part in self._cut(text) for i in self._encode_part(part)]

    def encode_many(self, texts: Sequence[bytes], *, threads: int) -> list[list[Ids]]:
        """The ids of many texts at once, as `encode` gives them one by one.

        Args:
            texts: valid UTF-8 each.
            threads: how many to use; SentencePiece works outside Python's lock.

        Returns:
            For each text the arrays of its parts, in order: int32, shape (tokens,).

        """
        parts = [list(self._cut(text.decode())) for text in texts]
        plain = [part for own in parts for part in own if SPACE_MARK not in part]
        encoded = iter(self._processor.encode(plain, return_type="numpy", num_threads=threads))
        return [
            [self._encode_marks(part) if SPACE_MARK in part else next(encoded) for part in own]
            for own in parts
        ]

    def _encode_marks(self, part: str) -> Ids:
        import numpy as np

        return np.array(self._encode_part(part), np.int32)

    def _encode_part(self, text: str) -> list[int]:
        """The ids of a short text, in which U+2581 is spelled as its bytes."""
        if SPACE_MARK not in text:
            return self._processor.encode(text)  # type: ignore[no-any-return]
        ids: list[int] = []
        for part in re.split(f"({SPACE_MARK})", text):
            if part == SPACE_MARK:
                ids += [FIRST_BYTE + byte for byte in SPACE_MARK.encode()]
            else:
                ids += self._processor.encode(part)
        return ids

    def _cut(self, text: str) -> Iterator[str]:
        """Cuts a long text into parts of about `PART` characters that are encoded alike alone.

        A place is right where no piece of the vocabulary holds the two characters around it side
        by side: no piece can then reach across, whatever is merged first. The first space after
        a word is such a place in most vocabularies.
        """
        start = 0
        while len(text) - start > PART:
            end = start + PART
            while end < len(text) and text[end - 1 : end + 1] in self._inner_pairs:
                end += 1
            yield text[start:end]
            start = end
        yield text[start:]

    @cached_property
    def _inner_pairs(self) -> frozenset[str]:
        """All pairs of characters that stand side by side inside a piece."""
        pieces = (self._processor.id_to_piece(i) for i in range(self.vocab_size))
        spelled = (piece.replace(SPACE_MARK, " ") for piece in pieces)
        return frozenset(piece[i : i + 2] for piece in spelled for i in range(len(piece) - 1))

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes that `ids` stand for; `<s>` and `</s>` stand for none."""
        return b"".join([self.token_bytes[i] for i in ids])

    def _spell_out(self) -> list[bytes]:
        """The bytes of every id, so that text can be streamed token by token."""
        processor = self._processor
        table = []
        for i in range(self.vocab_size):
            piece: str = processor.id_to_piece(i)
            if processor.is_byte(i):
                table.append(bytes([int(piece[1:-1], 16)]))  # "<0x0A>"
            elif processor.is_control(i) or processor.is_unknown(i):
                table.append(b"")
            else:
                table.append(piece.replace(SPACE_MARK, " ").encode())
        return table


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
            mend=f"--vocab-size {SMALLEST_VOCABULARY} or more",
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


def load_tokenizer(path: Path) -> Tokenizer:
    """Opens a `tokenizer.model` file.

    Raises:
        NotFoundError, InputOutputError: it cannot be read.
        DataError: it is not a tokenizer for tfcli.

    """
    from tfcli.files import explain

    try:
        if path.stat().st_size > LARGEST_MODEL:
            raise DataError(f"{path} is larger than any tokenizer should be")
        model = path.read_bytes()
    except OSError as error:
        raise explain(error, path) from error
    try:
        return Tokenizer(model)
    except DataError as error:
        raise DataError(f"{path}: {error.what}", why=error.why, mend=error.mend) from None

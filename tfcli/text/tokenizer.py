"""The tokenizer: SentencePiece, set up so that no byte of a text is ever lost.

`decode(encode(text)) == text` for every text in UTF-8; how it is trained to be so is in
`tfcli.text.tokenizer_training`.

Inside SentencePiece the character U+2581 stands for the space, so a U+2581 of the text itself
would come back as a space; `Tokenizer.encode` spells that one character as its three bytes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from tfcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np

    Ids = np.ndarray[tuple[int], np.dtype[np.int32]]

TokenizerType = Literal["bpe", "unigram", "char"]

UNKNOWN, BEGIN, END = 0, 1, 2  # <unk>, <s>, </s>
FIRST_BYTE, BYTE_PIECES = 3, 256  # <0x00> ... <0xFF>
LARGEST_MODEL = 64 << 20  # bytes; a model file above this is not opened

SPACE_MARK = "▁"
# The end of a model file that turns `add_dummy_prefix` off: protocol buffers take the last word
# (protobuf.dev, "Encoding": "Last One Wins"). Field 3 of the model, two bytes: its field 3 is 0.
NO_DUMMY_PREFIX = bytes([3 << 3 | 2, 2, 3 << 3, 0])
PROBE = "  a \t\r\n ① Ａ e\u0301 ▁\0 日本  "  # what a lossless model gives back
PART = 4096  # characters; SentencePiece takes more than twice as long over a megabyte at once


@dataclass(frozen=True)
class SpecialTokens:
    """The ids that stand for no text.

    Attributes:
        bos: begins every sequence; None where the tokenizer has no such token.
        eos: ends a document; may be the same token as `bos`.
        unk: stands for what cannot be spelled.
        control: all ids that stand for no text, those above included.

    """

    bos: int | None
    eos: int | None
    unk: int | None
    control: frozenset[int]


class Tokenizer:
    """A SentencePiece model: text to ids and back, without loss.

    Attributes:
        model: the serialised model.
        vocab_size: number of pieces.
        token_bytes: the bytes of every id.
        prefix: what a text is begun with: a space with models from elsewhere that were trained so,
            else nothing.

    """

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
            self.prefix = ""
            lossless = self._is_lossless()
            if not lossless:
                lossless = self._take_prefix_over()
        except DataError:
            raise
        except Exception as error:  # the binding raises RuntimeError, TypeError, UnicodeError ...
            raise DataError("this is not a SentencePiece model", why=str(error)[:200]) from None
        if not lossless:
            raise DataError(
                "this SentencePiece model loses or rewrites text",
                why="it normalises, adds a space in front, or has no piece for a space",
                hint="tfcli tokenizer train FILE --name NAME",
            )

    def _is_lossless(self) -> bool:
        return self.decode(self.encode_rest(PROBE)) == PROBE.encode()

    def _take_prefix_over(self) -> bool:
        """Whether it is lossless when the space in front is put there by us, once for each text."""
        from sentencepiece import SentencePieceProcessor

        wanted = self._processor.encode("a a")
        self._processor = SentencePieceProcessor(model_proto=self.model + NO_DUMMY_PREFIX)
        self.prefix = " "
        return self.encode("a a") == wanted and self._is_lossless()

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
                hint="tfcli tokenizer train FILE --name NAME",
            )

    @cached_property
    def special(self) -> SpecialTokens:
        """The ids of `<s>`, `</s>`, `<unk>` and of all that stand for no text."""
        processor = self._processor
        control = (
            i for i in range(self.vocab_size) if processor.is_control(i) or processor.is_unknown(i)
        )
        return SpecialTokens(bos=BEGIN, eos=END, unk=UNKNOWN, control=frozenset(control))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model."""
        return hashlib.sha256(self.model).hexdigest()

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of `text` (UTF-8 if bytes), without `<s>` or `</s>`; with the prefix, if any."""
        text = text if isinstance(text, str) else text.decode()
        return self.encode_rest(self.prefix + text) if text else []

    def encode_rest(self, text: str) -> list[int]:
        """The ids of what goes on from another text: `encode` without the prefix."""
        return [i for part in self._cut(text) for i in self._encode_part(part)]

    def encode_many(self, texts: Sequence[bytes], *, threads: int) -> list[list[Ids]]:
        """The ids of many texts at once, as `encode_rest` gives them one by one.

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

    def restore(self, ids: Iterable[int]) -> bytes:
        """The text that `encode` made `ids` of: what they stand for, without the prefix."""
        return self.decode(ids).removeprefix(self.prefix.encode())

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


def load_tokenizer(path: Path, opener: Callable[[bytes], Tokenizer] = Tokenizer) -> Tokenizer:
    """Opens a `tokenizer.model` file.

    Args:
        opener: what makes a tokenizer of its bytes; `guard.open_guarded` for one from elsewhere.

    Raises:
        NotFoundError, InputOutputError: it cannot be read.
        DamagedError: it is a pipe or a device.
        DataError: it is not a tokenizer for tfcli.

    """
    from tfcli.files import require_regular_file, translate_os_error

    try:
        require_regular_file(path)
        if path.stat().st_size > LARGEST_MODEL:
            raise DataError(f"{path} is larger than any tokenizer should be")
        model = path.read_bytes()
    except OSError as error:
        raise translate_os_error(error, path) from error
    try:
        return opener(model)
    except DataError as error:
        raise type(error)(f"{path}: {error.what}", why=error.why, hint=error.hint) from None

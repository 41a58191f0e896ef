"""SentencePiece as a tokenizer, set up so that no byte of a text is ever lost.

`decode(encode(text)) == text` for every text in UTF-8; `tfcli.text.tokenizer_training` has the
settings that make it so.

Inside SentencePiece the character U+2581 stands for the space, so a U+2581 of the text itself
would be decoded as a space; `encode` spells that one character as its three bytes.

User-defined symbols are always one token. With unigram models, SentencePiece itself prefers two
pieces that overlap such a symbol if these are likely enough; so `encode` cuts the text there.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.text.sentencepiece_model import SPACE_MARK as SPACE_MARK
from tfcli.text.symbol_pattern import symbol_pattern
from tfcli.text.tokenizer import SpecialTokens

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Sequence

    from tfcli.text.sentencepiece_model import SentencePieceModel
    from tfcli.text.tokenizer import Ids

# The ids of our own models; those from elsewhere may have others.
UNKNOWN, BEGIN, END = 0, 1, 2  # <unk>, <s>, </s>
FIRST_BYTE, BYTE_PIECES = 3, 256  # <0x00> ... <0xFF>

# Appended to a model, it turns `add_dummy_prefix` off: in protocol buffers the last value of a
# field wins (protobuf.dev, "Encoding"). Field 3 of the model, two bytes: its field 3 is 0.
NO_DUMMY_PREFIX = bytes([3 << 3 | 2, 2, 3 << 3, 0])
USER_DEFINED = bytes([3 << 3, 4])  # the type of a piece, in the same format
PROBE = "  a \t\r\n ① Ａ e\u0301 ▁\0 日本  "  # a lossless model gives it back unchanged
PART = 4096  # characters; SentencePiece takes more than twice as long for a megabyte at once


class SentencePieceTokenizer:
    """A SentencePiece model; see `tfcli.text.tokenizer.Tokenizer` for its methods.

    Attributes:
        prefix: a space for a model from elsewhere that was trained with `add_dummy_prefix`, else
            nothing.

    """

    def __init__(self, serialized: bytes) -> None:
        """Opens a serialized SentencePiece model.

        Raises:
            DataError: it is not one, or lacks what tfcli relies on.

        """
        from sentencepiece import SentencePieceProcessor

        self.serialized = serialized
        try:
            self._processor = SentencePieceProcessor(model_proto=serialized)
            self.vocab_size = int(self._processor.get_piece_size())
            self._read_vocabulary()
            self.prefix = ""
            lossless = self._is_lossless()
            if not lossless:
                lossless = self._take_over_prefix()
        except DataError:
            raise
        except Exception as error:  # the binding raises RuntimeError, TypeError, UnicodeError ...
            raise DataError("this is not a SentencePiece model", why=str(error)[:200]) from None
        if not lossless:
            raise DataError(
                "this SentencePiece model loses or rewrites text",
                why="it normalizes, adds a space in front, or has no piece for a space",
                hint="tfcli tokenizer train FILE --name NAME",
            )

    def _is_lossless(self) -> bool:
        return self.decode_continuation(self.encode_continuation(PROBE)) == PROBE.encode()

    def _take_over_prefix(self) -> bool:
        """Whether it is lossless once we, not SentencePiece, put the space in front of a text."""
        from sentencepiece import SentencePieceProcessor

        wanted = self._processor.encode("a a")
        self._processor = SentencePieceProcessor(model_proto=self.serialized + NO_DUMMY_PREFIX)
        self.prefix = " "
        return self.encode("a a") == wanted and self._is_lossless()

    def _read_vocabulary(self) -> None:
        """Looks up the bytes of every id, and which ids have none.

        Raises:
            DataError: there is no piece for some byte, or no unknown one.

        """
        processor = self._processor
        self.token_bytes: list[bytes] = []
        self._byte_pieces: dict[int, int] = {}  # their ids, by the byte
        control: dict[str, int] = {}
        for i in range(self.vocab_size):
            piece: str = processor.id_to_piece(i)
            if processor.is_byte(i):
                byte = int(piece[1:-1], 16)  # "<0x0A>"
                self._byte_pieces[byte] = i
                self.token_bytes.append(bytes([byte]))
            elif processor.is_control(i) or processor.is_unknown(i):
                self.token_bytes.append(b"")
                control[piece] = i
            elif processor.is_unused(i):
                self.token_bytes.append(b"")
            else:
                self.token_bytes.append(piece.replace(SPACE_MARK, " ").encode())
        if len(self._byte_pieces) < BYTE_PIECES:
            raise DataError(
                "this SentencePiece model has no pieces for single bytes",
                why="it needs them for characters that have no piece",
                hint="tfcli tokenizer train FILE --name NAME",
            )
        self.byte_ids = frozenset(self._byte_pieces.values())
        bos, eos, unk = processor.bos_id(), processor.eos_id(), processor.unk_id()
        self.special = SpecialTokens(
            bos=bos if bos >= 0 else None,
            eos=eos if eos >= 0 else None,
            unk=unk,
            control=frozenset(i for i, spelled in enumerate(self.token_bytes) if not spelled),
        )
        self.special_ids = control

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the serialized model."""
        return hashlib.sha256(self.serialized).hexdigest()

    @property
    def pieces(self) -> SentencePieceModel:
        """The vocabulary in SentencePiece's own words."""
        from tfcli.text.sentencepiece_model import read_pieces

        return read_pieces(self.serialized)

    # --- text to ids ----------------------------------------------------------------------------

    def encode(self, text: str | bytes) -> list[int]:
        """See `Tokenizer.encode`."""
        text = text if isinstance(text, str) else text.decode()
        return self.encode_continuation(self.prefix + text) if text else []

    def encode_continuation(self, text: str) -> list[int]:
        """See `Tokenizer.encode_continuation`."""
        return [i for part in self._cut(text) for i in self._encode_part(part)]

    def encode_batch(self, texts: Sequence[bytes], *, threads: int) -> list[list[Ids]]:
        """See `Tokenizer.encode_batch`. SentencePiece's threads work outside Python's lock."""
        parts = [list(self._cut(text.decode())) for text in texts]
        plain = [part for own in parts for part in own if not self._must_be_cut(part)]
        encoded = iter(self._processor.encode(plain, return_type="numpy", num_threads=threads))
        return [
            [self._encode_cut(part) if self._must_be_cut(part) else next(encoded) for part in own]
            for own in parts
        ]

    def _encode_cut(self, part: str) -> Ids:
        import numpy as np

        return np.array(self._encode_part(part), np.int32)

    def _must_be_cut(self, text: str) -> bool:
        """Whether something in a text is not left to SentencePiece."""
        return SPACE_MARK in text or bool(self._symbols and self._own_tokens.search(text))

    def _encode_part(self, text: str) -> list[int]:
        """The ids of a short text, in which U+2581 is spelled as its bytes."""
        if not self._must_be_cut(text):
            return self._processor.encode(text)  # type: ignore[no-any-return]
        ids: list[int] = []
        for part in self._own_tokens.split(text):
            if part == SPACE_MARK:
                ids += [self._byte_pieces[byte] for byte in SPACE_MARK.encode()]
            elif part in self._symbols:
                ids.append(self._symbols[part])
            else:
                ids += self._processor.encode(part)
        return ids

    @cached_property
    def _own_tokens(self) -> re.Pattern[str]:
        """Finds what is not left to SentencePiece: U+2581, and the symbols below."""
        return symbol_pattern([SPACE_MARK, *self._symbols])

    @cached_property
    def _symbols(self) -> dict[str, int]:
        """The ids of the user-defined symbols of a unigram model."""
        from tfcli.text.sentencepiece_model import Algorithm, PieceType, algorithm_of

        if USER_DEFINED not in self.serialized:  # spares most models the parsing
            return {}
        if algorithm_of(self.serialized) is not Algorithm.UNIGRAM:  # or at least that of pieces
            return {}
        return {
            piece.text.replace(SPACE_MARK, " "): i
            for i, piece in enumerate(self.pieces.pieces)
            if piece.type is PieceType.USER_DEFINED
        }

    def _cut(self, text: str) -> Iterator[str]:
        """Cuts a long text into parts of about `PART` characters whose ids are those of the whole.

        It cuts where no piece of the vocabulary holds the two characters around the cut side by
        side: no piece can then span it, whatever is merged first. In most vocabularies the first
        space after a word is such a place.
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

    # --- ids to text ----------------------------------------------------------------------------

    def decode(self, ids: Iterable[int]) -> bytes:
        """See `Tokenizer.decode`."""
        return self.decode_continuation(ids).removeprefix(self.prefix.encode())

    def decode_continuation(self, ids: Iterable[int]) -> bytes:
        """See `Tokenizer.decode_continuation`."""
        return b"".join([self.token_bytes[i] for i in ids])

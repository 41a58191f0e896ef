"""Tokenizers of the tests' own: what is not SentencePiece, and knows no other ids than it is given.

A model whose embedding rows are put in another order, with a tokenizer whose ids are put in the
same order, is the same model: whatever differs then has an id written down somewhere.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from tfcli.text.sentencepiece_model import (
    Algorithm,
    Piece,
    PieceType,
    SentencePieceModel,
    write_pieces,
)
from tfcli.text.sentencepiece_tokenizer import SPACE_MARK, SentencePieceTokenizer
from tfcli.text.tokenizer import SpecialTokens

if TYPE_CHECKING:
    from tfcli.text.tokenizer import Ids

Bos = Literal["its own", "eos", "none"]


class ByteTokenizer:
    """A token for each byte, with any ids.

    Args:
        token_bytes: one byte of text a token, or none.
        ids: of the bytes that have several tokens, the one that text is encoded as.

    """

    prefix = ""

    def __init__(
        self,
        token_bytes: Sequence[bytes],
        special: SpecialTokens,
        ids: dict[bytes, int] | None = None,
    ) -> None:
        self.token_bytes = list(token_bytes)
        self.special = special
        self.special_ids = {f"<|{i}|>": i for i in special.control}
        self._ids = {spelled: i for i, spelled in enumerate(token_bytes) if spelled} | (ids or {})
        self.vocab_size = len(self.token_bytes)
        self.byte_ids = frozenset(i for i, byte in enumerate(token_bytes) if byte >= b"\x80")

    @property
    def serialized(self) -> bytes:
        return json.dumps([spelled.hex() for spelled in self.token_bytes]).encode()

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.serialized).hexdigest()

    def encode(self, text: str | bytes) -> list[int]:
        data = text if isinstance(text, bytes) else text.encode()
        return [self._ids[bytes([byte])] for byte in data]

    def encode_continuation(self, text: str) -> list[int]:
        return self.encode(text)

    def encode_batch(self, texts: Sequence[bytes], *, threads: int) -> list[list[Ids]]:
        return [[np.array(self.encode(text), np.int32)] for text in texts]

    def decode(self, ids: Iterable[int]) -> bytes:
        return self.decode_continuation(ids)

    def decode_continuation(self, ids: Iterable[int]) -> bytes:
        return b"".join(self.token_bytes[i] for i in ids)


def tiny_tokenizer(vocab_size: int) -> ByteTokenizer:
    """Three special tokens, then as many letters as there is room for."""
    letters = [bytes([ord("a") + i]) for i in range(vocab_size - 3)]
    special = SpecialTokens(unk=0, bos=1, eos=2, control=frozenset({0, 1, 2}))
    return ByteTokenizer([b"", b"", b"", *letters], special)


def own_byte_tokenizer(bos: Bos) -> SentencePieceTokenizer:
    """Our own tokenizer, with no piece longer than a byte."""
    pieces = (
        Piece("<unk>", 0, PieceType.UNKNOWN),
        Piece("<s>", 0, PieceType.CONTROL),
        Piece("</s>", 0, PieceType.CONTROL),
        *(Piece(f"<0x{byte:02X}>", 0, PieceType.BYTE) for byte in range(256)),
        Piece(SPACE_MARK, 0, PieceType.NORMAL),
    )
    own = SentencePieceTokenizer(
        write_pieces(SentencePieceModel(Algorithm.BPE, pieces, dummy_prefix=False))
    )
    own.special = _with_bos(own.special, bos)
    return own


def llama_like_pieces(*, gemma: bool) -> SentencePieceModel:
    """A byte-pair model with a layout from elsewhere: Llama's with its prefix, or Gemma's.

    Gemma's has `<pad>`, `<eos>`, `<bos>`, `<unk>`, symbols, and only then the bytes.
    """
    special = [
        ("<unk>", PieceType.UNKNOWN),
        ("<s>", PieceType.CONTROL),
        ("</s>", PieceType.CONTROL),
    ]
    if gemma:
        special = [
            ("<pad>", PieceType.CONTROL), ("<eos>", PieceType.CONTROL),
            ("<bos>", PieceType.CONTROL), ("<unk>", PieceType.UNKNOWN),
            ("<start_of_turn>", PieceType.CONTROL), ("\n\n", PieceType.USER_DEFINED),
        ]  # fmt: skip
    bytes_ = [(f"<0x{byte:02X}>", PieceType.BYTE) for byte in range(256)]
    words = ["▁▁", "▁t", "he", "in", "▁the", "aa", "aaa", "ing", "▁sh", "ip", "ship", "▁ship"]
    letters = sorted({*"▁etaoinshrdlcumwfgypbvk.,ABEJMTéñ\n"})
    pieces = [Piece(text, 0.0, type) for text, type in (*special, *bytes_)]
    pieces += [Piece(word, -float(rank), PieceType.NORMAL) for rank, word in enumerate(words)]
    pieces += [Piece(letter, -float(len(words)), PieceType.NORMAL) for letter in letters]
    unk, bos, eos = (3, 2, 1) if gemma else (0, 1, 2)
    return SentencePieceModel(
        Algorithm.BPE, tuple(pieces), dummy_prefix=not gemma, unk_id=unk, bos_id=bos, eos_id=eos
    )


def reordered(own: SentencePieceTokenizer, order: Sequence[int]) -> ByteTokenizer:
    """The same tokenizer with other ids: what was id `i` is `order[i]`.

    Its last id is the largest one that stands for something; those between are reserved.
    """
    special = own.special
    assert special.eos is not None
    text = [i for i in range(own.vocab_size) if i not in special.control]
    used = {order[i] for i in [*text, special.eos]} | (
        set() if special.bos is None else {order[special.bos]}
    )
    token_bytes = [b""] * (max(used) + 1)
    for i in text:
        token_bytes[order[i]] = own.token_bytes[i]
    kept = SpecialTokens(
        bos=None if special.bos is None else order[special.bos],
        eos=order[special.eos],
        unk=None,
        control=frozenset(range(len(token_bytes))) - {order[i] for i in text},
    )
    ids = {bytes([byte]): order[i] for byte in range(128) for i in own.encode(bytes([byte]))}
    return ByteTokenizer(token_bytes, kept, ids)


def without_eos(tokenizer: ByteTokenizer, *, bos: bool = False) -> ByteTokenizer:
    """The same without a token that ends a text, and without one that begins a text."""
    changed = copy.copy(tokenizer)
    kept = tokenizer.special.bos if bos else None
    changed.special = replace(tokenizer.special, eos=None, bos=kept)
    return changed


def _with_bos(special: SpecialTokens, bos: Bos) -> SpecialTokens:
    return replace(special, bos={"its own": special.bos, "eos": special.eos, "none": None}[bos])


# Of the tokenizer below; its symbols are tokens with a text.
CONTROL = ["<|im_start|>", "<|im_end|>"]
SYMBOLS = ["<|user|>", "<think>"]


def chat_tokenizer(*, dummy_prefix: bool = False) -> SentencePieceTokenizer:
    """Bytes, a space, two control tokens and two user-defined symbols."""
    pieces = (
        Piece("<unk>", 0, PieceType.UNKNOWN),
        *(Piece(text, 0, PieceType.CONTROL) for text in ("<s>", "</s>")),
        *(Piece(f"<0x{byte:02X}>", 0, PieceType.BYTE) for byte in range(256)),
        Piece(SPACE_MARK, 0, PieceType.NORMAL),
        *(Piece(text, 0, PieceType.CONTROL) for text in CONTROL),
        *(Piece(text, 0, PieceType.USER_DEFINED) for text in SYMBOLS),
    )
    model = SentencePieceModel(Algorithm.BPE, pieces, dummy_prefix=dummy_prefix)
    return SentencePieceTokenizer(write_pieces(model))

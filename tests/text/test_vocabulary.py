"""Tokens in their form to read: words that are told apart."""

from __future__ import annotations

import ast
import re

from hypothesis import given

from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_file import open_tokenizer
from tfcli.text.vocabulary import list_vocabulary, visible_pieces

from .helpers import any_text, append_piece


def text_of(piece: str) -> bytes:
    """Undoes the form to read."""
    if byte := re.fullmatch("<0x([0-9A-F]{2})>", piece):
        return bytes.fromhex(byte[1])
    quoted = piece.replace("▁", " ").replace("'", "\\'")
    text: str = ast.literal_eval(f"'{quoted}'")
    return text.encode()


@given(text=any_text)
def test_pieces_spell_the_text(tokenizer: Tokenizer, text: str) -> None:
    pieces = visible_pieces(tokenizer, tokenizer.encode(text))
    assert all(piece.isprintable() and not re.search(r"\s", piece) for piece in pieces)
    assert " ".join(pieces).split(" ") == (pieces or [""])
    assert b"".join(map(text_of, pieces)) == text.encode()


def can_be_a_piece(text: str) -> bool:
    return 0 < len(text.encode()) < 90 and not {"▁", "\0"} & set(text)


@given(text=any_text.filter(can_be_a_piece))
def test_any_piece_is_told_apart(tokenizer: Tokenizer, text: str) -> None:
    known = {entry.text for entry in list_vocabulary(tokenizer)}
    if text in known:
        return
    model = append_piece(tokenizer.serialized, text.replace(" ", "▁").encode())
    *others, last = list_vocabulary(open_tokenizer(model))
    assert (last.text, last.type) == (text, "normal")
    assert text_of(last.piece) == text.encode()
    assert last.piece not in {entry.piece for entry in others}


def test_every_token_is_listed(tokenizer: Tokenizer) -> None:
    entries = list(list_vocabulary(tokenizer))
    assert [entry.id for entry in entries] == list(range(tokenizer.vocab_size))
    assert {e.id for e in entries if e.type == "byte"} == tokenizer.byte_ids
    control = {e.id for e in entries if e.type in {"control", "unknown"}}
    assert control == tokenizer.special.control
    for entry, spelled in zip(entries, tokenizer.token_bytes, strict=True):
        assert entry.text is None or entry.text.encode() == spelled

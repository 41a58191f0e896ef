"""Reading and writing SentencePiece models, compared with SentencePiece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor

from tests.conftest import BOOK
from tests.exchange.conftest import ACCEPTANCE
from tfcli.errors import DataError
from tfcli.text.sentencepiece_model import (
    Algorithm,
    Piece,
    PieceType,
    SentencePieceModel,
    read_pieces,
    write_pieces,
)
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer
from tfcli.text.sentencepiece_trainer import TokenizerType
from tfcli.text.tokenizer import Tokenizer
from tfcli.text.tokenizer_training import train_tokenizer

TYPES: list[TokenizerType] = ["bpe", "unigram", "char"]


@pytest.mark.parametrize("type", TYPES)
def test_pieces_equal_sentencepiece(type: TokenizerType) -> None:
    model = train_tokenizer([BOOK.encode()], text_bytes=len(BOOK), type=type)[0].serialized
    found = read_pieces(model)
    theirs = SentencePieceProcessor(model_proto=model)
    assert found.algorithm.name.lower() == type
    assert not found.dummy_prefix
    assert len(found.pieces) == theirs.get_piece_size()
    for i, piece in enumerate(found.pieces):
        assert piece.text == theirs.id_to_piece(i)
        assert piece.score == pytest.approx(theirs.get_score(i))
        assert (piece.type is PieceType.BYTE) == theirs.is_byte(i)
        assert (piece.type is PieceType.CONTROL) == theirs.is_control(i)
        assert (piece.type is PieceType.UNKNOWN) == theirs.is_unknown(i)


@given(text=st.text())
def test_rewritten_model_encodes_the_same(tokenizer: Tokenizer, text: str) -> None:
    again = SentencePieceTokenizer(write_pieces(read_pieces(tokenizer.serialized)))
    for sample in (text, *ACCEPTANCE):
        assert again.encode(sample) == tokenizer.encode(sample)


@given(
    pieces=st.lists(
        st.builds(
            Piece,
            text=st.text(max_size=300),
            score=st.floats(width=32, allow_nan=False),
            type=st.sampled_from(PieceType),
        )
    ),
    algorithm=st.sampled_from(Algorithm),
    dummy_prefix=st.booleans(),
)
def test_written_pieces_are_read_back(
    pieces: list[Piece], algorithm: Algorithm, dummy_prefix: bool
) -> None:
    whole = SentencePieceModel(algorithm, tuple(pieces), dummy_prefix)
    assert read_pieces(write_pieces(whole)) == whole


@given(data=st.data())
def test_corrupted_model_is_read_or_refused(tokenizer: Tokenizer, data: st.DataObject) -> None:
    changed = bytearray(tokenizer.serialized)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.integers(0, 255))
    try:
        read_pieces(bytes(changed[: data.draw(st.integers(0, len(changed)))]))
    except DataError as error:
        assert error.exit_code == 65


@given(junk=st.binary())
def test_junk_is_read_or_refused(junk: bytes) -> None:
    try:
        read_pieces(junk)
    except DataError as error:
        assert "not a SentencePiece model" in error.what

"""What is inside a SentencePiece model: its pieces with their scores, read and written.

Such a model is a message in the wire format of protocol buffers (protobuf.dev, "Encoding"): a row
of fields, each a number, a wire type and a value. The few fields that matter here are named below
as in `sentencepiece_model.proto`; the rest is left alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from tfcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # wire types
FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}

# ModelProto
PIECES, TRAINER, NORMALIZER, DENORMALIZER = 1, 2, 3, 5
# ModelProto.SentencePiece
TEXT, SCORE, KIND = 1, 2, 3
# TrainerSpec
MODEL_TYPE, VOCAB_SIZE, BYTE_FALLBACK = 3, 4, 35
UNKNOWN_ID, BEGIN_ID, END_ID, PADDING_ID = 40, 41, 42, 43
# NormalizerSpec
RULE_NAME, RULES, ADD_DUMMY_PREFIX, REMOVE_EXTRA_WHITESPACES = 1, 2, 3, 4


LONGEST_PIECE = 1000  # characters; SentencePiece's own limit is 16, which an option can raise


class Algorithm(IntEnum):
    """How a text is cut into pieces, `TrainerSpec.ModelType`."""

    UNIGRAM = 1
    BPE = 2
    WORD = 3
    CHAR = 4


class PieceType(IntEnum):
    """What a piece is, `SentencePiece.Type`; llama.cpp numbers them alike."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Piece:
    """An entry of the vocabulary; its place there is its id."""

    text: str
    score: float
    kind: PieceType


@dataclass(frozen=True)
class Pieces:
    """The whole vocabulary, and how a text is cut by it.

    Attributes:
        dummy_prefix: whether a space is put before a text.
        rewrites: whether rules change the text before it is cut.

    """

    algorithm: Algorithm
    pieces: tuple[Piece, ...]
    dummy_prefix: bool
    rewrites: bool = False


# --- reading ------------------------------------------------------------------------------------


def read_pieces(model: bytes) -> Pieces:
    """Takes a serialised model apart.

    Raises:
        DataError: it is not one.

    """
    pieces = []
    algorithm, dummy_prefix = Algorithm.UNIGRAM, True  # what is meant where nothing is said
    rewrites = False
    try:
        for field, value in _fields(model):
            if field == PIECES:
                pieces.append(_piece(value))
            elif field == TRAINER:
                algorithm = Algorithm(int(dict(_fields(value)).get(MODEL_TYPE, algorithm)))
            elif field == NORMALIZER:
                normalizer = dict(_fields(value))
                dummy_prefix = bool(normalizer.get(ADD_DUMMY_PREFIX, dummy_prefix))
                rewrites = rewrites or bool(normalizer.get(RULES))
            elif field == DENORMALIZER:
                rewrites = rewrites or bool(dict(_fields(value)).get(RULES))
        if any(len(piece.text) > LONGEST_PIECE for piece in pieces):
            raise ValueError(f"a piece has more than {LONGEST_PIECE:,} characters")
    except (ValueError, IndexError, TypeError, struct.error) as error:
        raise DataError("this is not a SentencePiece model", why=str(error)) from None
    return Pieces(algorithm, tuple(pieces), dummy_prefix, rewrites)


def _piece(message: bytes | int) -> Piece:
    fields = dict(_fields(message))
    text, score = fields.get(TEXT, b""), fields.get(SCORE, bytes(4))
    if isinstance(text, int) or isinstance(score, int):
        raise ValueError("a number stands where a piece should be")
    (number,) = struct.unpack("<f", score)
    return Piece(text.decode(), number, PieceType(int(fields.get(KIND, PieceType.NORMAL))))


def _fields(message: bytes | int) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a message, as number and value: an int of a varint, else its bytes."""
    if isinstance(message, int):
        raise ValueError("a number stands where a message should be")
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        wire_type = key & 7
        if wire_type == VARINT:
            number, place = _varint(message, place)
            yield key >> 3, number
            continue
        if wire_type == LENGTH:
            size, place = _varint(message, place)
        elif wire_type in FIXED:
            size = FIXED[wire_type]
        else:
            raise ValueError(f"there is no wire type {wire_type}")
        if place + size > len(message):
            raise ValueError("it ends in the middle of a field")
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the place after it."""
    number = shift = 0
    while True:
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")


# --- writing ------------------------------------------------------------------------------------


def write_pieces(pieces: Pieces) -> bytes:
    """The serialised model, lossless but for the dummy prefix; ids 0, 1, 2 are the controls."""
    trainer = [
        _field(MODEL_TYPE, pieces.algorithm),
        _field(VOCAB_SIZE, len(pieces.pieces)),
        _field(BYTE_FALLBACK, 1),
        _field(UNKNOWN_ID, 0),
        _field(BEGIN_ID, 1),
        _field(END_ID, 2),
        _field(PADDING_ID, 2**64 - 1),  # -1, as protocol buffers have it
    ]
    normalizer = [
        _field(RULE_NAME, b"identity"),
        _field(ADD_DUMMY_PREFIX, int(pieces.dummy_prefix)),
        _field(REMOVE_EXTRA_WHITESPACES, 0),
    ]
    return _message(
        *(_field(PIECES, _write_piece(piece)) for piece in pieces.pieces),
        _field(TRAINER, _message(*trainer)),
        _field(NORMALIZER, _message(*normalizer)),
    )


def _write_piece(piece: Piece) -> bytes:
    score = bytes([SCORE << 3 | FOUR_BYTES]) + struct.pack("<f", piece.score)
    return _message(_field(TEXT, piece.text.encode()), score, _field(KIND, piece.kind))


def _message(*fields: bytes) -> bytes:
    return b"".join(fields)


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return _write_varint(number << 3 | VARINT) + _write_varint(value)
    return _write_varint(number << 3 | LENGTH) + _write_varint(len(value)) + value


def _write_varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def merges(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """The pairs that byte-pair encoding may merge, the first to be merged first.

    SentencePiece merges any two neighbours whose sum is a piece, that of the highest score first.
    Elsewhere a merge is a pair, so each piece stands for all the pairs that make it up.
    """
    ids = {piece.text: i for i, piece in enumerate(pieces) if piece.kind is PieceType.NORMAL}
    found = []
    for text, i in ids.items():
        for cut in range(1, len(text)):
            left, right = ids.get(text[:cut]), ids.get(text[cut:])
            if left is not None and right is not None:
                found.append((-pieces[i].score, left, right))
    return [(pieces[left].text, pieces[right].text) for _, left, right in sorted(found)]

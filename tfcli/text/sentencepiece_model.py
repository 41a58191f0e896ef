"""The inside of a SentencePiece model: its pieces and their scores, read and written.

Such a model is a message in the wire format of protocol buffers (protobuf.dev, "Encoding"): a
sequence of fields, each a number, a wire type and a value. The few fields that matter here are
named below as in `sentencepiece_model.proto`; the others are ignored.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from tfcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # wire types
FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}

# ModelProto
PIECES, TRAINER, NORMALIZER, DENORMALIZER = 1, 2, 3, 5
# ModelProto.SentencePiece
TEXT, SCORE, TYPE = 1, 2, 3
# TrainerSpec
MODEL_TYPE, VOCAB_SIZE, BYTE_FALLBACK = 3, 4, 35
UNK_ID, BOS_ID, EOS_ID, PAD_ID = 40, 41, 42, 43
UNK_TEXT, BOS_TEXT, EOS_TEXT = 45, 46, 47
ABSENT = 2**64 - 1  # an id of -1, as protocol buffers write it
NO_TEXT = "(none)"  # of a token that is absent; SentencePiece would look for the usual text
# NormalizerSpec
RULE_NAME, RULES, ADD_DUMMY_PREFIX, REMOVE_EXTRA_WHITESPACES = 1, 2, 3, 4

SPACE_MARK = "▁"  # stands for a space
MAX_PIECE_LENGTH = 1000  # characters; SentencePiece's own limit is 16, which an option can raise
BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")


class Algorithm(IntEnum):
    """How text is split into pieces, `TrainerSpec.ModelType`."""

    UNIGRAM = 1
    BPE = 2
    WORD = 3
    CHAR = 4


class PieceType(IntEnum):
    """What a piece is, `SentencePiece.Type`; llama.cpp uses the same numbers."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


# Types that Hugging Face's tokenizers keep apart, as added tokens.
ADDED_TYPES = frozenset({PieceType.UNKNOWN, PieceType.CONTROL, PieceType.USER_DEFINED})


@dataclass(frozen=True)
class Piece:
    """An entry of the vocabulary; its position there is its id."""

    text: str
    score: float
    type: PieceType


@dataclass(frozen=True)
class SentencePieceModel:
    """The whole vocabulary, and how it splits text.

    Attributes:
        dummy_prefix: whether a space is put in front of a text.
        rewrites: whether rules change the text before it is split.
        unk_id, bos_id, eos_id: the ids of `<unk>`, `<s>` and `</s>`; negative: there is none.

    """

    algorithm: Algorithm
    pieces: tuple[Piece, ...]
    dummy_prefix: bool
    rewrites: bool = False
    unk_id: int = 0  # the defaults of TrainerSpec
    bos_id: int = 1
    eos_id: int = 2


# --- reading ------------------------------------------------------------------------------------


def read_pieces(model: bytes) -> SentencePieceModel:
    """Reads a serialized model.

    Raises:
        DataError: it is not one.

    """
    pieces = []
    algorithm, dummy_prefix = Algorithm.UNIGRAM, True  # the defaults of the format
    rewrites = False
    trainer: dict[int, bytes | int] = {}
    try:
        for field, value in _fields(model):
            if field == PIECES:
                pieces.append(_piece(value))
            elif field == TRAINER:
                trainer |= dict(_fields(value))
                algorithm = Algorithm(int(trainer.get(MODEL_TYPE, algorithm)))
            elif field == NORMALIZER:
                normalizer = dict(_fields(value))
                dummy_prefix = bool(normalizer.get(ADD_DUMMY_PREFIX, dummy_prefix))
                rewrites = rewrites or bool(normalizer.get(RULES))
            elif field == DENORMALIZER:
                rewrites = rewrites or bool(dict(_fields(value)).get(RULES))
        if any(len(piece.text) > MAX_PIECE_LENGTH for piece in pieces):
            raise ValueError(f"a piece has more than {MAX_PIECE_LENGTH:,} characters")
        special = [
            _special_id(trainer, i, field) for i, field in enumerate((UNK_ID, BOS_ID, EOS_ID))
        ]
    except (ValueError, IndexError, TypeError, struct.error) as error:
        raise DataError("this is not a SentencePiece model", why=str(error)) from None
    return SentencePieceModel(algorithm, tuple(pieces), dummy_prefix, rewrites, *special)


def algorithm_of(model: bytes) -> Algorithm:
    """The algorithm of a serialized model, without reading its pieces.

    Raises:
        DataError: it is not one.

    """
    algorithm = Algorithm.UNIGRAM
    try:
        for field, value in _fields(model):
            if field == TRAINER:
                algorithm = Algorithm(int(dict(_fields(value)).get(MODEL_TYPE, algorithm)))
    except (ValueError, IndexError, TypeError) as error:
        raise DataError("this is not a SentencePiece model", why=str(error)) from None
    return algorithm


def _special_id(trainer: dict[int, bytes | int], default: int, field: int) -> int:
    i = int(trainer.get(field, default))
    return i if i < 1 << 63 else -1


def _piece(message: bytes | int) -> Piece:
    fields = dict(_fields(message))
    text, score = fields.get(TEXT, b""), fields.get(SCORE, bytes(4))
    if isinstance(text, int) or isinstance(score, int):
        raise ValueError("found a number instead of a piece")
    (number,) = struct.unpack("<f", score)
    return Piece(text.decode(), number, PieceType(int(fields.get(TYPE, PieceType.NORMAL))))


def _fields(message: bytes | int) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a message, as number and value: an int for a varint, else its bytes."""
    if isinstance(message, int):
        raise ValueError("found a number instead of a message")
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
            raise ValueError("it is not a protocol buffer")
        if place + size > len(message):
            raise ValueError("it ends in the middle of a field")
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the position after it."""
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


def write_pieces(pieces: SentencePieceModel) -> bytes:
    """The serialized model; it is lossless, except for the dummy prefix."""
    trainer = [
        _field(MODEL_TYPE, pieces.algorithm),
        _field(VOCAB_SIZE, len(pieces.pieces)),
        _field(BYTE_FALLBACK, 1),
        *_special_ids(pieces),
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


def _special_ids(pieces: SentencePieceModel) -> list[bytes]:
    """The ids, and the texts that SentencePiece looks up to find them."""
    fields = [_field(PAD_ID, ABSENT)]
    for (id_field, text_field), i in zip(
        ((UNK_ID, UNK_TEXT), (BOS_ID, BOS_TEXT), (EOS_ID, EOS_TEXT)),
        (pieces.unk_id, pieces.bos_id, pieces.eos_id),
        strict=True,
    ):
        text = pieces.pieces[i].text if 0 <= i < len(pieces.pieces) else NO_TEXT
        fields.append(_field(id_field, ABSENT if i < 0 else i))
        fields.append(_field(text_field, text.encode()))
    return fields


def _write_piece(piece: Piece) -> bytes:
    score = bytes([SCORE << 3 | FOUR_BYTES]) + struct.pack("<f", piece.score)
    return _message(_field(TEXT, piece.text.encode()), score, _field(TYPE, piece.type))


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


def with_added(model: bytes, added: Iterable[tuple[int, str, bool]]) -> bytes:
    """A serialized model with the tokens that were added to it elsewhere; itself if it has them.

    Special ones become control pieces, so that no text is encoded as them; the others
    user-defined. All else of the model stays as it is.

    Args:
        added: id, text, and whether it is special.

    Raises:
        DataError: it is no model; an id has another text in it; or ids between are missing.

    """
    try:
        fields = list(_fields(model))
        pieces = [value for field, value in fields if field == PIECES]
        changed = _with_added(pieces, sorted(added))
        return model if changed == pieces else _with_pieces(fields, changed)
    except (ValueError, IndexError, TypeError, struct.error) as error:
        raise DataError("this is not a SentencePiece model", why=str(error)) from None


def _with_added(pieces: list[bytes | int], added: list[tuple[int, str, bool]]) -> list[bytes | int]:
    pieces = list(pieces)
    for i, text, special in added:
        if i > len(pieces):
            raise DataError(
                "an added token leaves ids without a piece", why=f"{text[:40]!r}: {i:,}"
            )
        own = _piece(pieces[i]) if i < len(pieces) else None
        spelled = text if special else text.replace(" ", SPACE_MARK)
        if own and own.text not in {text, spelled}:
            raise DataError(
                "a token that was added to this SentencePiece model has another text in it",
                why=f"{i:,}: {text[:40]!r} and {own.text[:40]!r}",
            )
        if own and (not special or own.type in {PieceType.CONTROL, PieceType.UNKNOWN}):
            continue  # a piece that is no special token is found in a text anyway
        type = PieceType.CONTROL if special else PieceType.USER_DEFINED
        pieces[i : i + 1] = [_write_piece(Piece(own.text if own else spelled, 0.0, type))]
    return pieces


def with_user_defined(model: bytes, texts: Sequence[str], place: int) -> bytes:
    """A serialized model with user-defined pieces from id `place` on.

    A piece of the same text gives way to it. All else of the model stays as it is.
    """
    fields = list(_fields(model))
    pieces = [value for field, value in fields if field == PIECES]
    pieces = [piece for piece in pieces if _piece(piece).text not in {*texts}]
    pieces[place:place] = [_write_piece(Piece(text, 0.0, PieceType.USER_DEFINED)) for text in texts]
    return _with_pieces(fields, pieces)


def _with_pieces(fields: list[tuple[int, bytes | int]], pieces: list[bytes | int]) -> bytes:
    # the fields of a message that comes twice are merged, and the last value of each wins
    size = _field(TRAINER, _field(VOCAB_SIZE, len(pieces)))
    others = (_field(field, value) for field, value in fields if field != PIECES)
    return _message(*(_field(PIECES, piece) for piece in pieces), *others, size)


# --- what other formats ask for -----------------------------------------------------------------


def merges(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """The pairs that byte-pair encoding may merge, in the order of merging.

    SentencePiece merges any two neighbors that together are a piece, the highest score first.
    Elsewhere a merge is a pair, so each piece yields all the pairs that make it up.
    """
    ids = {piece.text: i for i, piece in enumerate(pieces) if piece.type is PieceType.NORMAL}
    found = []
    for text, i in ids.items():
        for cut in range(1, len(text)):
            left, right = ids.get(text[:cut]), ids.get(text[cut:])
            if left is not None and right is not None:
                found.append((-pieces[i].score, left, right))
    return [(pieces[left].text, pieces[right].text) for _, left, right in sorted(found)]

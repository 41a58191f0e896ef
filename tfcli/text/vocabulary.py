r"""A tokenizer's tokens in a form to read, each a single word.

A space is shown as ▁, SentencePiece's own mark, and a byte token as `<0xE2>`. Other white space and
what cannot be seen is escaped as in Python: `\n`, `\t`, `\x1b`, `\u200d`; a backslash is `\\`. So
no token has white space in it, and no two look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.text.sentencepiece_tokenizer import SPACE_MARK, SentencePieceTokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tfcli.text.tokenizer import Tokenizer

ESCAPES = {" ": SPACE_MARK, "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True)
class VocabularyEntry:
    """A token.

    Attributes:
        piece: the token in its form to read.
        text: what it stands for; None for a byte that is only a part of a character.
        type: normal, unknown, control, user-defined, unused or byte.
        score: bpe: minus its place in the order of merges; unigram: its log-probability.

    """

    id: int
    piece: str
    text: str | None
    type: str
    score: float


def list_vocabulary(tokenizer: Tokenizer) -> Iterator[VocabularyEntry]:
    """All tokens, by id.

    Raises:
        DataError: it is not a SentencePiece tokenizer.

    """
    if not isinstance(tokenizer, SentencePieceTokenizer):
        raise DataError("only the vocabulary of a SentencePiece tokenizer can be listed")
    for i, piece in enumerate(tokenizer.pieces.pieces):
        spelled = tokenizer.token_bytes[i]
        try:
            text = spelled.decode()
        except UnicodeDecodeError:
            text = None
        shown = visible_pieces(tokenizer, [i])[0] if spelled else _escaped(piece.text)
        kind = piece.type.name.lower().replace("_", "-")
        yield VocabularyEntry(i, shown, text, kind, piece.score)


def visible_pieces(tokenizer: Tokenizer, ids: Iterable[int]) -> list[str]:
    """The tokens of a text in their form to read, one for each id; control tokens are empty."""
    return [
        f"<0x{tokenizer.token_bytes[i][0]:02X}>"
        if i in tokenizer.byte_ids
        else _escaped(tokenizer.token_bytes[i].decode())
        for i in ids
    ]


def _escaped(text: str) -> str:
    if text.isprintable() and " " not in text and "\\" not in text:
        return text
    return "".join(
        ESCAPES.get(char) or (char if char.isprintable() else _escaped_code(ord(char)))
        for char in text
    )


def _escaped_code(code: int) -> str:
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

r"""A tokenizer's tokens in a form to read, each a single word.

A space is shown as ▁, SentencePiece's own mark, and a byte that is no character of its own as
`<0xE2>`. Other white space and what cannot be seen is escaped as in Python: `\n`, `\t`, `\x1b`,
`\u200d`; a backslash is `\\`. So no token has white space in it, and no two look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer
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
        text: what it stands for; None for bytes that are only a part of a character.
        type: normal, unknown, control, user-defined, unused or byte.
        score: bpe: minus its place in the order of merges; unigram: its log-probability.

    """

    id: int
    piece: str
    text: str | None
    type: str
    score: float


def tokenizer_type(tokenizer: Tokenizer) -> str | None:
    """What kind a tokenizer is: bpe, unigram, char, word, byte-level bpe."""
    if isinstance(tokenizer, SentencePieceTokenizer):
        return tokenizer.pieces.algorithm.name.lower()
    return "byte-level bpe" if isinstance(tokenizer, ByteLevelTokenizer) else None


def list_vocabulary(tokenizer: Tokenizer) -> Iterator[VocabularyEntry]:
    """All tokens, by id.

    Raises:
        DataError: it is of a kind whose vocabulary cannot be listed.

    """
    named: Iterable[tuple[str, str, float]]
    if isinstance(tokenizer, SentencePieceTokenizer):
        named = (
            (piece.text, piece.type.name.lower().replace("_", "-"), piece.score)
            for piece in tokenizer.pieces.pieces
        )
    elif isinstance(tokenizer, ByteLevelTokenizer):
        named = _of_byte_level(tokenizer)
    else:
        raise DataError("the vocabulary of this tokenizer cannot be listed")
    for i, (name, type, score) in enumerate(named):
        spelled = tokenizer.token_bytes[i]
        try:
            text = spelled.decode()
        except UnicodeDecodeError:
            text = None
        shown = visible_pieces(tokenizer, [i])[0] if spelled else _escaped(name)
        yield VocabularyEntry(i, shown, text, type, score)


def _of_byte_level(tokenizer: ByteLevelTokenizer) -> Iterator[tuple[str, str, float]]:
    """The text, type and score of every id."""
    found, special = tokenizer.vocabulary, tokenizer.special
    names = dict(zip(found.ids.values(), found.ids, strict=True))
    ranks = {left + right: rank for rank, (left, right) in enumerate(found.pairs())}
    for i in range(tokenizer.vocab_size):
        name, added = names.get(i, ""), found.added.get(i)
        score = float(-ranks.get(name, 0))
        if i == special.unk and i not in {special.bos, special.eos}:
            yield added.text if added else name, "unknown", score
        elif added:
            yield added.text, "control" if i in special.control else "user-defined", score
        elif i in special.control:
            yield name, "unused", score
        else:
            yield name, "byte" if i in tokenizer.byte_ids else "normal", score


def visible_pieces(tokenizer: Tokenizer, ids: Iterable[int]) -> list[str]:
    """The tokens of a text in their form to read, one for each id; control tokens are empty."""
    return [
        f"<0x{tokenizer.token_bytes[i][0]:02X}>"
        if i in tokenizer.byte_ids
        else _escaped(tokenizer.token_bytes[i].decode(errors="surrogateescape"))
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
    if 0xDC80 <= code <= 0xDCFF:  # a byte of half a character, by `surrogateescape`
        return f"<0x{code & 0xFF:02X}>"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

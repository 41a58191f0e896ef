"""A run's tokenizer as the metadata of a GGUF file.

`llama` is SentencePiece: pieces, scores, types. `gpt2` is byte-level BPE: tokens, merges, types,
and the name of the scanner. Rows of the embedding without a token get one of the type that is never
used, as llama.cpp wants a token for each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError
from tfcli.exchange.infill_keys import GGUF_END, GGUF_MARKERS, own_end
from tfcli.exchange.scanners import gguf_name
from tfcli.exchange.tokenizer_json import exportable_pieces, with_control
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer
from tfcli.text.sentencepiece_model import PieceType
from tfcli.text.sentencepiece_tokenizer import SPACE_MARK

if TYPE_CHECKING:
    from tfcli.text.byte_level_vocabulary import ByteLevelVocabulary
    from tfcli.text.infill_tokens import InfillTokens
    from tfcli.text.sentencepiece_model import Piece, SentencePieceModel
    from tfcli.text.tokenizer import Tokenizer


def require_exportable(tokenizer: Tokenizer) -> None:
    """Refuses a tokenizer that llama.cpp would split some texts differently with.

    Raises:
        DataError: it does.

    """
    if isinstance(tokenizer, ByteLevelTokenizer):
        _scanner_name(tokenizer.vocabulary)
        return
    _require_separate_symbols(exportable_pieces(tokenizer, "GGUF"))


def add_tokenizer(
    writer: Any, tokenizer: Tokenizer, rows: int, infill: InfillTokens | None = None
) -> None:
    """Writes a tokenizer into the metadata.

    Args:
        writer: a `gguf.GGUFWriter`.
        rows: of the embedding.
        infill: the infill tokens of a model that fills gaps.

    """
    if isinstance(tokenizer, ByteLevelTokenizer):
        _add_byte_level(writer, tokenizer.vocabulary, rows)
    else:
        pieces = with_control(exportable_pieces(tokenizer, "GGUF"), infill or ())
        _add_sentencepiece(writer, pieces, rows)
    if infill is not None:
        for key, token in zip(GGUF_MARKERS, infill.markers, strict=True):
            writer.add_uint32(key, token)
    ends = own_end(infill, tokenizer) + sorted(tokenizer.special.other_eos)
    if ends:  # there is room for one; llama.cpp knows the usual ones of turns by their names
        writer.add_uint32(GGUF_END, ends[0])


# --- byte-level BPE -----------------------------------------------------------------------------


def _add_byte_level(writer: Any, vocabulary: ByteLevelVocabulary, rows: int) -> None:
    tokens, types = _unused(rows)
    for text, i in vocabulary.ids.items():
        tokens[i], types[i] = text, PieceType.NORMAL
    for i, token in vocabulary.added.items():
        tokens[i] = token.text
        types[i] = PieceType.CONTROL if token.special else PieceType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_scanner_name(vocabulary))
    writer.add_token_list(tokens)
    writer.add_token_types([int(type) for type in types])
    writer.add_token_merges([" ".join(pair) for pair in vocabulary.pairs()])
    _add_ids(writer, unk=vocabulary.unk, bos=vocabulary.bos, eos=vocabulary.eos)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_space_prefix(bool(vocabulary.prefix))


def _scanner_name(vocabulary: ByteLevelVocabulary) -> str:
    name = gguf_name(vocabulary.pre_tokenizer, ignore_merges=vocabulary.ignore_merges)
    if name is None:
        raise DataError(
            "this tokenizer cannot be exported to GGUF",
            why="llama.cpp has no name for the way in which it splits texts",
            hint="--to huggingface",
        )
    return name


# --- SentencePiece ------------------------------------------------------------------------------


def _add_sentencepiece(writer: Any, model: SentencePieceModel, rows: int) -> None:
    tokens, types = _unused(rows)
    scores = [0.0] * rows  # they decide the order of merges
    for i, piece in enumerate(model.pieces):
        tokens[i], types[i], scores[i] = _token_text(piece), piece.type, piece.score
    writer.add_tokenizer_model("llama")  # SentencePiece's own way to merge
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types([int(type) for type in types])
    _add_ids(writer, unk=model.unk_id, bos=model.bos_id, eos=model.eos_id)
    writer.add_add_bos_token(model.bos_id >= 0)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(model.dummy_prefix)


def _token_text(piece: Piece) -> str:
    """llama.cpp finds user-defined symbols in the text as it is, before it marks the spaces."""
    if piece.type is PieceType.USER_DEFINED:
        return piece.text.replace(SPACE_MARK, " ")
    return piece.text


def _require_separate_symbols(pieces: SentencePieceModel) -> None:
    """Refuses user-defined symbols that can overlap in a text.

    llama.cpp cuts a text at the longest first, wherever it stands, and we from left to right.
    """
    symbols = [p.text for p in pieces.pieces if p.type is PieceType.USER_DEFINED]
    beginnings: dict[str, list[str]] = {}
    for symbol in symbols:
        for length in range(1, len(symbol)):
            beginnings.setdefault(symbol[:length], []).append(symbol)
    for symbol in symbols:
        for length in range(1, len(symbol)):
            for other in beginnings.get(symbol[-length:], ()):
                if other != symbol and len(other.encode()) >= len(symbol.encode()):
                    raise DataError(
                        "this tokenizer cannot be exported to GGUF",
                        why="llama.cpp would tokenize some texts differently: the user-defined "
                        f"symbols {symbol!r} and {other!r} overlap",
                        hint="--to huggingface",
                    )


# --- both ---------------------------------------------------------------------------------------


def _unused(rows: int) -> tuple[list[str], list[PieceType]]:
    """A token for each row, as `convert_hf_to_gguf.py` names those that are never used."""
    return [f"[PAD{i}]" for i in range(rows)], [PieceType.UNUSED] * rows


def _add_ids(writer: Any, **ids: int | None) -> None:
    for name, i in ids.items():
        if i is not None and i >= 0:
            getattr(writer, f"add_{name}_token_id")(i)

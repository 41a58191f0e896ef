"""A SentencePiece model as `tokenizer.json` of Hugging Face `tokenizers`.

    text -> normalizer  " " becomes U+2581, the space mark
         -> model       pieces of the vocabulary; characters without one become bytes
         -> post        <s> in front
    ids  -> decoder     U+2581 becomes " ", bytes are joined

There is no pre-tokenizer: pieces may contain spaces. User-defined symbols are found in the
normalized text, with space marks as in the vocabulary. A byte-pair model splits a text exactly as
SentencePiece does. A unigram model would too, but for ties and rounding (SentencePiece adds its
scores in 32 bits, `tokenizers` in 64), so it is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError
from tfcli.text.sentencepiece_model import (
    ADDED_TYPES,
    Algorithm,
    Piece,
    PieceType,
    SentencePieceModel,
    merges,
)
from tfcli.text.sentencepiece_tokenizer import SPACE_MARK, SentencePieceTokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tfcli.text.tokenizer import Tokenizer

MERGED = {Algorithm.BPE, Algorithm.CHAR}
SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE_MARK}
PREFIX = {"type": "Prepend", "prepend": SPACE_MARK}


def exportable_pieces(tokenizer: Tokenizer, target: str) -> SentencePieceModel:
    """The vocabulary of a tokenizer that a target splits texts with as we do.

    Raises:
        DataError: it is not a SentencePiece model, or a unigram (or word) one.

    """
    if not isinstance(tokenizer, SentencePieceTokenizer):
        raise DataError(f"only SentencePiece tokenizers can be exported to {target}")
    require_merges(tokenizer.pieces, target)
    return tokenizer.pieces


def require_merges(pieces: SentencePieceModel, target: str) -> None:
    """Refuses a tokenizer with which a target would split some texts differently.

    Raises:
        DataError: it is a unigram (or word) model.

    """
    if pieces.algorithm not in MERGED:
        kind = pieces.algorithm.name.lower()
        raise DataError(
            f"a {kind} tokenizer cannot be exported to {target}",
            why="other programs would split some texts into different pieces",
            hint="tfcli tokenizer train FILE --name NAME   # bpe, then train with it",
        )


def with_control(pieces: SentencePieceModel, ids: Iterable[int]) -> SentencePieceModel:
    """A vocabulary in which some pieces are control tokens: the infill tokens, which are bytes.

    A byte that no text has may become one without changing how any text is split.
    """
    changed = list(pieces.pieces)
    for i in ids:
        changed[i] = replace(changed[i], type=PieceType.CONTROL)
    return replace(pieces, pieces=tuple(changed))


def to_tokenizer_json(pieces: SentencePieceModel) -> dict[str, Any]:
    """The content of `tokenizer.json`.

    Raises:
        DataError: it would split some texts differently there.

    """
    require_merges(pieces, "Hugging Face")
    texts = [piece.text for piece in pieces.pieces]
    normalizer: dict[str, Any] = SPACES
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": SPACE_MARK}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if pieces.dummy_prefix:
        normalizer = {"type": "Sequence", "normalizers": [PREFIX, SPACES]}
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    model = {
        "type": "BPE", "dropout": None, "unk_token": texts[pieces.unk_id],
        "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
        "byte_fallback": True, "ignore_merges": False,
        "vocab": {text: i for i, text in enumerate(texts)},
        "merges": [list(pair) for pair in merges(pieces.pieces)],
    }  # fmt: skip
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(i, piece, pieces)
            for i, piece in enumerate(pieces.pieces)
            if piece.type in ADDED_TYPES
        ],
        "normalizer": normalizer,
        "pre_tokenizer": None,
        "post_processor": _begin(pieces) if pieces.bos_id >= 0 else None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": model,
    }


def _added(i: int, piece: Piece, pieces: SentencePieceModel) -> dict[str, Any]:
    symbol = piece.type is PieceType.USER_DEFINED
    return {
        "id": i, "content": piece.text, "single_word": False, "lstrip": False, "rstrip": False,
        # the normalizer would put a prefix in front of a symbol too
        "normalized": symbol and not pieces.dummy_prefix, "special": not symbol,
    }  # fmt: skip


def _begin(pieces: SentencePieceModel) -> dict[str, Any]:
    bos = pieces.pieces[pieces.bos_id].text
    return {
        "type": "TemplateProcessing",
        "single": [_special(bos), _sequence("A", 0)],
        "pair": [_special(bos), _sequence("A", 0), _special(bos), _sequence("B", 1)],
        "special_tokens": {bos: {"id": bos, "ids": [pieces.bos_id], "tokens": [bos]}},
    }


def _special(text: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": text, "type_id": 0}}


def _sequence(name: str, type_id: int) -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": type_id}}


def to_tokenizer_config(
    pieces: SentencePieceModel, context_length: int | None, infill: Sequence[int] = ()
) -> dict[str, Any]:
    """The content of `tokenizer_config.json`.

    Args:
        infill: the infill tokens, further special tokens.

    """
    texts = [piece.text for piece in pieces.pieces]
    config: dict[str, Any] = {
        # the class that follows tokenizer.json; Llama's builds a pipeline of its own
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": texts[pieces.unk_id],
        "bos_token": texts[pieces.bos_id] if pieces.bos_id >= 0 else None,
        "eos_token": texts[pieces.eos_id] if pieces.eos_id >= 0 else None,
        "add_bos_token": pieces.bos_id >= 0,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # "<s>" in a text is three characters, not a control token
    }
    if infill:
        config["additional_special_tokens"] = [texts[i] for i in infill]
    return config if context_length is None else config | {"model_max_length": context_length}

"""The tokenizer in a GGUF file: SentencePiece (`llama`) or byte-level BPE (`gpt2`).

tokenizer.ggml.tokens                    the text of each id
tokenizer.ggml.token_type                its type, by SentencePiece's numbers
tokenizer.ggml.scores                    SentencePiece: what is merged first
tokenizer.ggml.merges, tokenizer.ggml.pre  byte-level BPE: the pairs, the name of the scanner

A table that was padded has tokens such as `[PAD151646]`, which stand for nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError
from tfcli.exchange.scanners import scanner_of_gguf
from tfcli.text.byte_level_vocabulary import byte_level_json
from tfcli.text.sandbox import open_sandboxed
from tfcli.text.sentencepiece_model import (
    BYTE_PIECE,
    Algorithm,
    Piece,
    PieceType,
    SentencePieceModel,
    write_pieces,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfcli.text.tokenizer import Tokenizer

SPECIAL = {PieceType.CONTROL, PieceType.UNKNOWN}


def tokenizer_from_gguf(metadata: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that the metadata of a file describe.

    Raises:
        DataError: it is of another kind, or not valid.
        UsageError: the library that it needs is missing.

    """
    kind = metadata.get("tokenizer.ggml.model")
    if kind not in {"llama", "gpt2"}:
        raise DataError(
            "the tokenizer of this GGUF file is not supported",
            why="it has none" if kind is None else f"it is of the kind {str(kind)[:40]!r}",
        )
    try:
        if kind == "llama":
            serialized = write_pieces(_sentencepiece(metadata))
        else:
            serialized = byte_level_of_gguf(metadata)
    except (KeyError, TypeError, ValueError) as error:
        why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError("the tokenizer of this GGUF file is not valid", why=why[:200]) from None
    return open_sandboxed(serialized)


def _sentencepiece(metadata: Mapping[str, Any]) -> SentencePieceModel:
    tokens, types = _tokens(metadata)
    scores = metadata["tokenizer.ggml.scores"]
    pieces = [
        Piece(text, float(score), type)
        for text, score, type in zip(tokens, scores, types, strict=True)
    ]
    while pieces and pieces[-1].type is PieceType.UNUSED:
        pieces.pop()
    add_bos = _flag(metadata, "add_bos_token", default=True)
    unk, bos, eos = (
        _special(metadata, name, len(pieces), default)
        for name, default in (("unknown", 0), ("bos", 1), ("eos", 2))
    )
    for i, piece in enumerate(pieces):
        if i == unk:
            pieces[i] = replace(piece, type=PieceType.UNKNOWN)
        elif i in {bos, eos} or piece.type is PieceType.UNKNOWN:
            pieces[i] = replace(piece, type=PieceType.CONTROL)
        elif BYTE_PIECE.fullmatch(piece.text):  # also one that marks a gap, which is control there
            pieces[i] = replace(piece, type=PieceType.BYTE)
    return SentencePieceModel(
        Algorithm.BPE, tuple(pieces),
        dummy_prefix=_flag(metadata, "add_space_prefix", default=True),
        unk_id=-1 if unk is None else unk,
        bos_id=bos if add_bos and bos is not None else -1,
        eos_id=-1 if eos is None else eos,
    )  # fmt: skip


def byte_level_of_gguf(metadata: Mapping[str, Any]) -> bytes:
    """The kept file of a byte-level tokenizer, not yet tried out."""
    scanner = scanner_of_gguf(metadata.get("tokenizer.ggml.pre"))
    tokens, types = _tokens(metadata)
    bos, eos, unk = (_special(metadata, name, len(tokens)) for name in ("bos", "eos", "unknown"))
    vocab: dict[str, int] = {}
    added = []
    for i, (text, type) in enumerate(zip(tokens, types, strict=True)):
        if type in SPECIAL or type is PieceType.USER_DEFINED:
            added.append(_added(i, text, special=type in SPECIAL))
        elif type is not PieceType.UNUSED and vocab.setdefault(text, i) != i:
            raise ValueError(f"it has the token {text[:40]!r} twice")
    add_bos = bos is not None and _flag(metadata, "add_bos_token", default=scanner.add_bos)
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": scanner.pre_tokenizer,
        "post_processor": _begin(tokens[bos], bos) if bos is not None and add_bos else None,
        "decoder": {
            "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True
        },
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": scanner.ignore_merges, "vocab": vocab,
            "merges": [_pair(merge) for merge in _texts(metadata, "tokenizer.ggml.merges")],
        },
    }  # fmt: skip
    return byte_level_json(content, bos=bos, eos=eos, unk=unk, add_bos=add_bos)


def _added(i: int, text: str, *, special: bool) -> dict[str, Any]:
    return {
        "id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": False, "special": special,
    }  # fmt: skip


def _begin(text: str, i: int) -> dict[str, Any]:
    special = {"SpecialToken": {"id": text, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": k}} for k, name in enumerate("AB"))
    return {
        "type": "TemplateProcessing",
        "single": [special, first],
        "pair": [special, first, special, second],
        "special_tokens": {text: {"id": text, "ids": [i], "tokens": [text]}},
    }


# --- metadata -----------------------------------------------------------------------------------


def _tokens(metadata: Mapping[str, Any]) -> tuple[list[str], list[PieceType]]:
    """The text of each id, and its type."""
    tokens = _texts(metadata, "tokenizer.ggml.tokens")
    given = metadata.get("tokenizer.ggml.token_type", [PieceType.NORMAL] * len(tokens))
    types = [PieceType(int(type)) for type in given]
    if len(types) != len(tokens):
        raise ValueError("its tokens and their types are not equally many")
    for i, text in enumerate(tokens):
        if text == f"[PAD{i}]":
            types[i] = PieceType.UNUSED
    return tokens, types


def _texts(metadata: Mapping[str, Any], key: str) -> list[str]:
    value = metadata[key]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{key} is not a list of texts")
    return value


def _pair(merge: str) -> list[str]:
    """The two tokens of a merge; a space that is the first of them would be one of its own."""
    cut = merge.find(" ", 1)
    return [merge[:cut], merge[cut + 1 :]]


def _special(
    metadata: Mapping[str, Any], name: str, size: int, default: int | None = None
) -> int | None:
    i = metadata.get(f"tokenizer.ggml.{name}_token_id", default)
    if i is not None and (type(i) is not int or not 0 <= i < size):
        raise ValueError(f"its {name} token {str(i)[:40]} is not in its vocabulary")
    return i


def _flag(metadata: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = metadata.get(f"tokenizer.ggml.{name}", default)
    if type(value) is not bool:
        raise ValueError(f"{name} is not a truth value")
    return value

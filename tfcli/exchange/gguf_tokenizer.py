"""The tokenizer in a GGUF file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError
from tfcli.text.sandbox import open_sandboxed
from tfcli.text.sentencepiece_model import (
    Algorithm,
    Piece,
    PieceType,
    SentencePieceModel,
    write_pieces,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfcli.text.tokenizer import Tokenizer


def tokenizer_from_gguf(metadata: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that the metadata of a file describe: SentencePiece.

    Raises:
        DataError: it is of another kind.

    """
    if metadata.get("tokenizer.ggml.model") != "llama":
        raise DataError("the tokenizer of this GGUF file is not supported")
    pieces = tuple(
        Piece(text, float(score), PieceType(int(type)))
        for text, score, type in zip(
            metadata["tokenizer.ggml.tokens"],
            metadata["tokenizer.ggml.scores"],
            metadata["tokenizer.ggml.token_type"],
            strict=True,
        )
    )
    prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
    model = SentencePieceModel(Algorithm.BPE, pieces, dummy_prefix=prefix)
    return open_sandboxed(write_pieces(model))

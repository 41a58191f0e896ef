"""The file of a tokenizer, whatever kind it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.files import require_regular_file, translate_os_error
from tfcli.text.byte_level_tokenizer import ByteLevelTokenizer
from tfcli.text.sentencepiece_tokenizer import SentencePieceTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tfcli.text.tokenizer import Tokenizer

MAX_FILE_BYTES = 64 << 20  # bytes; nothing above this is opened
RUN_FILES = ("tokenizer.model", "tokenizer.json")  # of SentencePiece, of byte-level BPE


def open_tokenizer(serialized: bytes) -> Tokenizer:
    """The tokenizer that a file holds: byte-level BPE if it begins as JSON, else SentencePiece.

    Raises:
        DataError: it is not a tokenizer, or not one for tfcli.

    """
    if len(serialized) > MAX_FILE_BYTES:
        raise DataError(_too_large(len(serialized)))
    if is_byte_level(serialized):
        return ByteLevelTokenizer(serialized)
    return SentencePieceTokenizer(serialized)


def run_file_name(serialized: bytes) -> str:
    """What a run calls the file of its tokenizer."""
    return RUN_FILES[is_byte_level(serialized)]


def is_byte_level(serialized: bytes) -> bool:
    """Whether a tokenizer's file begins as JSON."""
    return serialized.startswith(b"{")


def _too_large(size: int) -> str:
    return f"tokenizer file too large: {size:,} bytes (limit: {MAX_FILE_BYTES >> 20} MiB)"


def read_tokenizer_file(path: Path) -> bytes:
    """The content of a file that is no larger than a tokenizer may be.

    Raises:
        NotFoundError, InputOutputError: it cannot be read.
        DamagedError: it is a pipe or a device.
        DataError: it is too large.

    """
    try:
        require_regular_file(path)
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise DataError(f"{path}: {_too_large(size)}")
        return path.read_bytes()
    except OSError as error:
        raise translate_os_error(error, path) from error


def load_tokenizer(path: Path, opener: Callable[[bytes], Tokenizer] = open_tokenizer) -> Tokenizer:
    """Opens the file at `path`.

    Args:
        opener: what makes a tokenizer of its bytes; `sandbox.open_sandboxed` for one from
            elsewhere.

    Raises:
        NotFoundError, InputOutputError: it cannot be read.
        DamagedError: it is a pipe or a device.
        DataError: it is not a tokenizer, or not one for tfcli.

    """
    serialized = read_tokenizer_file(path)
    try:
        return opener(serialized)
    except DataError as error:
        raise type(error)(f"{path}: {error.what}", why=error.why, hint=error.hint) from None

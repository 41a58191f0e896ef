"""User-defined symbols: strings that are always one token, such as `<|user|>`.

A text is cut at them before anything else, from left to right, at the longest where several begin.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import DataError, InputOutputError, NotFoundError
from tfcli.options import OptionError
from tfcli.text.encoding import conversion, invalid_at
from tfcli.text.escapes import unescape
from tfcli.text.sentencepiece_model import BYTE_PIECE, MAX_PIECE_LENGTH
from tfcli.text.sentencepiece_tokenizer import SPACE_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable

OPTION = "user_defined_symbols"
CONTROL = {"<unk>", "<s>", "</s>"}
SYMBOLS_HELP = "Strings that are always one token: A,B, or @FILE with one per line; repeatable."


def parse_symbols(text: str) -> tuple[str, ...]:
    r"""The symbols of `A,B`, where `\n` is a newline, or of `@FILE`, one on each line as it is.

    Raises:
        NotFoundError, DataError, InputOutputError: the file cannot be read.
        ValueError: a symbol is empty.

    """
    if text.startswith("@"):
        return _read_symbols(Path(text[1:]))
    symbols = [symbol.strip(" ") for symbol in text.split(",")]
    if "" in symbols:
        raise ValueError(
            f"contains an empty symbol: {text!r} (for symbols with leading or trailing spaces, "
            "use @FILE)"
        )
    return tuple(map(unescape, symbols))


def _read_symbols(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise NotFoundError(
            f"file not found: {str(path)!r}",
            why="@FILE names a file of user-defined symbols",
            hint="a symbol that begins with @ can stand in such a file, one on each line",
        ) from None
    except UnicodeDecodeError as error:
        hint = conversion(error.object, error.start, path, option=False)
        raise DataError(f"{path} is not valid UTF-8", why=invalid_at(error), hint=hint) from None
    except (OSError, ValueError) as error:
        raise InputOutputError(f"cannot read {path}", why=str(error)) from None
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return tuple(line for line in lines if line)


def check_symbols(symbols: Iterable[str]) -> tuple[str, ...]:
    """The symbols, each once.

    Raises:
        OptionError: one of them cannot be a token of its own.

    """
    kept = tuple(dict.fromkeys(symbols))
    for symbol in kept:
        if problem := _problem(symbol):
            raise OptionError(OPTION, f"cannot include {symbol[:60]!r}: {problem}")
    return kept


def _problem(symbol: str) -> str | None:
    """Why a string cannot be a token of its own; None if it can."""
    if symbol in CONTROL:
        return "that is a control token, which stands for no text"
    if BYTE_PIECE.fullmatch(symbol):
        return "that is the name of a byte token"
    if SPACE_MARK in symbol:
        return "U+2581 stands for a space inside SentencePiece; write a space"
    if "\0" in symbol:
        return "SentencePiece does not support NUL"
    if len(symbol) > MAX_PIECE_LENGTH:
        return f"it has more than {MAX_PIECE_LENGTH:,} characters"
    try:
        symbol.encode()
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    return None if symbol else "it is empty"

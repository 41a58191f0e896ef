"""Names of runs and tokenizers: one plain folder name, never a path out of its root."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from typing import TYPE_CHECKING

from tfcli.errors import NotFoundError, UsageError, closest_match

if TYPE_CHECKING:
    from pathlib import Path

# Latin letters that Unicode does not decompose.
WITHOUT_PARTS = str.maketrans({
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i",
})  # fmt: skip
SIMILAR = 0.55  # of file names beside each other: `buk` and `book`
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str, kind: str) -> str:
    """Returns `name` if it is a valid name of a run or a tokenizer.

    Args:
        kind: what it names, for the message.

    Raises:
        UsageError: it is not; the message suggests a valid one.

    """
    if NAME.fullmatch(name):
        return name
    raise UsageError(
        f"invalid {kind} name: {name!r}",
        why="use up to 64 letters, digits, '.', '_' and '-', starting with a letter or digit",
        hint=f"for example {slugify(name)}",
    )


def slugify(text: str) -> str:
    """A valid name made from any text, such as a file name: `ano` from `año`.

    Letters lose their accents, since file systems disagree on how these are written.
    """
    text = unicodedata.normalize("NFKD", text.translate(WITHOUT_PARTS))
    text = "".join(c for c in text if not unicodedata.combining(c))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or "mine"


def file_not_found(
    path: Path, *, named: str | None = None, why: str | None = None
) -> NotFoundError:
    """The error of a missing file, with the one beside it that may have been meant.

    Args:
        named: how the user named it, if not by its path.

    """
    return NotFoundError(
        f"file not found: {(named or str(path))!r}", why=why, hint=did_you_mean(path)
    )


def did_you_mean(path: Path) -> str | None:
    """The hint with the file beside a missing one whose name is close to its name, if any is.

    A suffix in common does not make names similar, but names of one kind may differ more: `buk.txt`
    is nearer to `book.txt` than to `book.csv`.
    """
    names: set[str] = set()
    with contextlib.suppress(OSError):
        names = {each.name for each in path.parent.iterdir()}
    names.discard(path.name)  # a dangling link is among its own siblings
    stems = {name.removesuffix(path.suffix): name for name in sorted(names)}
    similar = closest_match(path.name.removesuffix(path.suffix), stems, cutoff=SIMILAR)
    return f"did you mean {str(path.with_name(stems[similar]))!r}?" if similar else None

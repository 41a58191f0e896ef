"""Texts to measure on."""

from __future__ import annotations

import sysconfig
from pathlib import Path

STANDARD_LIBRARY_BYTES = 2_200_000
TINY_BYTES = 60_000


def choose_text(wanted: Path | None, folder: Path, *, tiny: bool = False) -> Path:
    """The text that was asked for, or one that everybody has: Python's own modules.

    Args:
        folder: where that is written.
        tiny: whether a few pages of it are enough.

    """
    if wanted is not None:
        return wanted.resolve(strict=True)  # the programs run in folders of their own
    path = folder / "stdlib.txt"
    path.write_bytes(standard_library(TINY_BYTES if tiny else STANDARD_LIBRARY_BYTES))
    return path


def standard_library(size: int) -> bytes:
    """The first modules of the standard library, in the order of their names, cut at a line."""
    text = b""
    for module in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text += module.read_bytes()
        if len(text) >= size:
            break
    return text[: text.rindex(b"\n", 0, size) + 1]

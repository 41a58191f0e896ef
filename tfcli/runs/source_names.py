"""What the sources of a text are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def source_name(source: str) -> str:
    """What a source of a text is called."""
    path = Path(source)
    return "the piped text" if path.parent.name == "piped" else path.name


def list_sources(sources: Sequence[str]) -> str:
    """The names of some files, and how many more there are."""
    names = list(map(source_name, sources))
    if len(names) <= 3:
        return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
    return f"{names[0]}, {names[1]} and {len(names) - 2:,} more"

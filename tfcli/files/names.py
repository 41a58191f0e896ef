"""Names that a run or a tokenizer may have: one plain folder, never a way out of its root."""

from __future__ import annotations

import re

from tfcli.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str, kind: str) -> str:
    """Returns `name` if it can name a run or a tokenizer: one plain folder, never a way out.

    Raises:
        UsageError: it cannot; the message shows one that could.

    """
    if NAME.fullmatch(name):
        return name
    raise UsageError(
        f"{name!r} cannot name a {kind}",
        why="letters, digits, '.', '_' and '-', at most 64, a letter or digit first",
        hint=f"for instance {slugify(name)}",
    )


def slugify(text: str) -> str:
    """A name made from any text, such as that of a file."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or "mine"

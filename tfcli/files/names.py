"""Names of runs and tokenizers: one plain folder name, never a path out of its root."""

from __future__ import annotations

import re

from tfcli.errors import UsageError

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
    """A valid name made from any text, such as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or "mine"

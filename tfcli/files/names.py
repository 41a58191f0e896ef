"""Names of runs and tokenizers: one plain folder name, never a path out of its root."""

from __future__ import annotations

import re
import unicodedata

from tfcli.errors import UsageError

# Latin letters that Unicode does not decompose.
WITHOUT_PARTS = str.maketrans({
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i",
})  # fmt: skip
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

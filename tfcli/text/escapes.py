r"""Text on one line: `\n`, `\r`, `\t` and `\\`, as `printf '%b'` reads them."""

from __future__ import annotations

import re

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_CHARACTERS = {"\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\t": "\t"}


def escape(text: str) -> str:
    """A text on one line; `unescape` undoes it."""
    return text.translate(_ESCAPES)


def escape_bytes(data: bytes) -> str:
    r"""Bytes on one line, those that are no UTF-8 as `\xff`."""
    text = escape(data.decode(errors="surrogateescape"))
    return re.sub("[\udc80-\udcff]", lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)


def unescape(text: str) -> str:
    """What `escape` made a line of. Any other backslash stays as it is."""
    return re.sub(r"\\[\\nrt]", lambda match: _CHARACTERS[match[0]], text)

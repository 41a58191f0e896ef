"""Bytes of tokens to text that can be shown, as early as possible and never half a character."""

from __future__ import annotations

import codecs
import unicodedata

BIDI_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class TextStream:
    """Holds back a character until all of its bytes are there.

    A character may be spread over several tokens. Bytes that can begin no character come out as
    U+FFFD, so that what leaves is valid UTF-8 always; a character that is still unfinished when
    the text ends is left out.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        """Takes the bytes of a token, gives the text that is now whole."""
        return self._decoder.decode(data)


def make_visible(text: str) -> str:
    """Shows control characters instead of letting a terminal obey them.

    A model trained on anything may write an escape sequence. Newlines and tabs stay; others of
    the categories of control, and those that turn the direction of writing, are spelled out.
    """
    return "".join(
        char
        if char in "\n\t" or (unicodedata.category(char) != "Cc" and char not in BIDI_CONTROLS)
        else _spelled(char)
        for char in text
    )


def _spelled(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return f"^{chr(code + 0x40)}"
    return "^?" if code == 0x7F else f"<U+{code:04X}>"

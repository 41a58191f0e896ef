"""From the bytes of tokens to text: as early as possible, in whole characters."""

from __future__ import annotations

import codecs
import unicodedata

BIDI_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class TextStream:
    """Holds back a character until all of its bytes have arrived.

    A character may be spread over several tokens. Invalid bytes become U+FFFD, so the output is
    always valid UTF-8; a character that is incomplete when the text ends is dropped.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        """Takes the bytes of a token, returns the characters that are now complete."""
        return self._decoder.decode(data)


def make_visible(text: str) -> str:
    """Escapes control characters, so that a terminal does not act on them.

    A model may generate an escape sequence. Newlines and tabs stay; other control characters, and
    those that change the direction of text, are spelled out.
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

"""Stop strings: they end a text wherever they occur, across token boundaries too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class StopStrings:
    """Passes bytes on until a stop string is complete; it and what follows are dropped.

    The text is cut before the string that is complete first; of several that end at the same byte,
    before the longest. The longest end of the text that could begin a stop string is held back
    until it is clear whether it does. A newline in a stop string is also found as CR LF, which a
    model writes that has read texts from Windows.

    Attributes:
        found: the stop string that ended the text, as it was written.

    """

    def __init__(self, strings: Sequence[bytes]) -> None:
        self._strings = [each for string in strings if string for each in _spellings(string)]
        self._held = b""
        self.found: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """Takes the bytes of a token; returns those that are certain to belong to the text."""
        if not self._strings:
            return data
        text = self._held + data
        ends = []
        for string in self._strings:
            start = text.find(string)
            if start >= 0:
                ends.append((start + len(string), start))
        if ends:
            end, start = min(ends)
            self.found, self._held = text[start:end], b""
            return text[:start]
        held = max(_overlap(text, string) for string in self._strings)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> bytes:
        """The bytes held back, when the text ends for another reason."""
        held, self._held = self._held, b""
        return held


def _spellings(string: bytes) -> set[bytes]:
    """A stop string with each kind of line ends."""
    if b"\r" in string:
        return {string}
    windows = string.replace(b"\n", b"\r\n")
    return {string, windows, b"\r" + string if string.startswith(b"\n") else string}


def _overlap(text: bytes, string: bytes) -> int:
    """The length of the longest suffix of `text` that is a prefix of `string`."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0

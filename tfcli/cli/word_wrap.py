"""Words that would cross the right edge of a terminal are moved to the next line."""

from __future__ import annotations

import unicodedata
from itertools import accumulate, pairwise


class WordWrap:
    r"""Wraps a text that comes letter by letter, without holding back any.

    A word that turns out too long for its line is erased there and written again on the next. A
    line never reaches the last column, in which terminals disagree about where the cursor is.
    Chinese and Japanese, in characters of two columns, may be broken anywhere.

    Args:
        columns: of the terminal; the text begins in the first.

    """

    def __init__(self, columns: int) -> None:
        self._width = max(columns - 1, 2)
        self._column = 0
        self._word = ""  # what is on the line since the last place to break it

    def feed(self, text: str) -> str:
        """What a terminal has to be sent for some more characters, control characters escaped."""
        return "".join(map(self._next, text))

    def _next(self, char: str) -> str:
        if char == "\n":
            self._column, self._word = 0, ""
            return char
        columns = 8 - self._column % 8 if char == "\t" else _columns(char)
        breakable = char.isspace() or columns == 2
        moved = self._break(breakable) if self._column + columns > self._width else ""
        if moved and char.isspace():
            return moved  # the end of the line stands for it
        self._column += columns
        self._word = "" if breakable else self._word + char
        return moved + char

    def _break(self, breakable: bool) -> str:
        """Begins a line, with the word that the last one ends in if more of it comes."""
        length = sum(map(_columns, self._word))
        if breakable or length in {0, self._column}:
            self._column, self._word = 0, ""
            return "\n"
        self._column = length
        return f"\033[{length}D\033[K\n{self._word}"


def break_at_words(texts: list[str], columns: int) -> list[str]:
    """Texts, to be written one after another, with a newline for a space where a line is full."""
    whole = "".join(texts)
    broken = list(whole)
    column, space = 0, -1
    for place, char in enumerate(whole):
        if char == "\n":
            column, space = 0, -1
            continue
        column += 8 - column % 8 if char == "\t" else _columns(char)
        if char == " ":
            space = place
        if column >= columns and space >= 0:
            broken[space] = "\n"
            column, space = sum(map(_columns, whole[space + 1 : place + 1])), -1
    ends = [0, *accumulate(map(len, texts))]
    return ["".join(broken[start:end]) for start, end in pairwise(ends)]


def _columns(char: str) -> int:
    """How many columns a character takes: Unicode Standard Annex #11, East Asian Width."""
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1

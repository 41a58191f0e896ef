"""How paragraphs are parted in the files of a corpus: of two kinds, a model learns to write both.

In documents of Word and LibreOffice a paragraph is a line, as in most editors; in books and pages
an empty line parts them, as in a text that is copied from a browser.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tfcli.text.encoding import in_a_shell

if TYPE_CHECKING:
    from pathlib import Path

FEWEST = 8  # ends of lines in a file that tells how its paragraphs are parted
MOST_AS_LINES = 0.1  # the share of them before an empty line, where a paragraph is a line
LEAST_APART = 0.5  # and where an empty line parts them; between the two, lines may be wrapped


class Paragraphs:
    """Tells files whose paragraphs are lines from those with empty lines between them."""

    def __init__(self) -> None:
        self._as_lines: list[Path] = []
        self._apart: list[tuple[Path, bool]] = []  # with whether it is plain text
        self._newlines = self._empty = 0  # of the file that is being read

    def add(self, data: bytes) -> None:
        """The next bytes of a file."""
        self._newlines += data.count(b"\n")
        self._empty += data.count(b"\n\n") + data.count(b"\n\r\n")

    def end(self, name: Path, *, prose: bool, plain: bool) -> None:
        """A file has been read, or given up.

        Args:
            prose: whether it may have paragraphs, and not rows.
            plain: whether it is plain text, which `sed` can change.

        """
        ends = self._newlines - self._empty
        if prose and ends >= FEWEST:
            if self._empty <= MOST_AS_LINES * ends:
                self._as_lines.append(name)
            elif self._empty >= LEAST_APART * ends:
                self._apart.append((name, plain))
        self._newlines = self._empty = 0

    def note(self) -> str | None:
        """What the user should know of it, with the command that makes a file like the others."""
        if not self._as_lines or not self._apart:
            return None
        name, plain = self._apart[0]
        word = in_a_shell(name)
        command = f"sed -i '/^\\r*$/d' {word}"
        if not plain:
            text = in_a_shell(name.with_name(f"{name.name}.txt"))
            without = shlex.quote(name.name)
            command = f"tfcli text show {word} | sed '/^$/d' > {text}, and --exclude {without}"
        count = len(self._apart)
        have = f"{name} has" if count == 1 else f"{count:,} files, such as {name}, have"
        return (
            f"{have} an empty line between paragraphs, and {self._as_lines[0]} has none; the model "
            f"will mix them (to leave the empty lines out, try: {command})"
        )

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
MOST_AS_LINES = 0.01  # the share of them before an empty line, where a paragraph is a line
LEAST_APART = 0.5  # and where an empty line parts them; between the two, lines are wrapped
# for `sed`: no empty lines, or one after each line
DROP_EMPTY, ADD_EMPTY = r"/^\r*$/d", r"/^\r*$/d;G"


class Paragraphs:
    """Tells files whose paragraphs are lines from those with empty lines between them."""

    def __init__(self) -> None:
        # each with whether it is plain text
        self._as_lines: list[tuple[Path, bool]] = []
        self._apart: list[tuple[Path, bool]] = []
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
                self._as_lines.append((name, plain))
            elif self._empty >= LEAST_APART * ends:
                self._apart.append((name, plain))
        self._newlines = self._empty = 0

    def note(self) -> str | None:
        """What the user should know of it, and the command that makes the fewer like the others."""
        lines, apart = self._as_lines, self._apart
        if not lines or not apart:
            return None
        fewer_lines = len(lines) < len(apart)
        command = _command(lines, ADD_EMPTY) if fewer_lines else _command(apart, DROP_EMPTY)
        return (
            f"{_which(apart)} an empty line between paragraphs, and {_which(lines)} none; the "
            f"model will mix them (to make all alike, try: {command})"
        )


def _which(files: list[tuple[Path, bool]]) -> str:
    name, count = files[0][0], len(files)
    return f"{name} has" if count == 1 else f"{count:,} files, such as {name}, have"


def _command(files: list[tuple[Path, bool]], script: str) -> str:
    """Writes a text beside the first file, which is then left out: the others need the same."""
    name, plain = files[0]
    text = in_a_shell(name.with_name(f"{name.stem}-alike.txt" if plain else f"{name.name}.txt"))
    read = f"sed '{script}' {in_a_shell(name)}"
    if not plain:
        read = f"tfcli text show {in_a_shell(name)} | sed '{script}'"
    return f"{read} > {text}, and --exclude {shlex.quote(name.name)}"

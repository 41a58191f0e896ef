"""How lines end in the texts of a corpus: of two kinds, a model learns to write both."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tfcli.text.encoding import in_a_shell

if TYPE_CHECKING:
    from pathlib import Path

LISTED = 4  # files that the command names; of more, it names the folders


class LineEnds:
    """Counts lines that end as on Windows (CR LF) and those that end in LF alone."""

    def __init__(self) -> None:
        self._windows: list[Path] = []  # files with lines that end in CR LF
        self._files = 0  # files with lines
        self._mixed = False  # whether a line of a file in `_windows` ends in LF alone
        self._crlf = self._newlines = 0  # of the file that is being read

    def add(self, data: bytes) -> None:
        """The next bytes of a file."""
        self._newlines += data.count(b"\n")
        self._crlf += data.count(b"\r\n")

    def end(self, name: Path, *, plain: bool) -> None:
        """A file has been read, or given up.

        Args:
            plain: whether it is plain text, in which `sed` finds the ends of lines.

        """
        if plain and self._newlines:
            self._files += 1
            if self._crlf:
                self._windows.append(name)
                self._mixed |= self._crlf < self._newlines
        self._crlf = self._newlines = 0

    def note(self) -> str | None:
        """What the user should know of it, with the command that makes all lines alike."""
        count = len(self._windows)
        if not count:
            return None
        if not self._mixed and count == self._files:
            which = str(self._windows[0]) if count == 1 else f"all {count:,} files"
            return f"the lines of {which} end in CR LF, as on Windows; so will those of the model"
        if count != self._files or count > 1:
            which = f"{count:,} of {self._files:,} files"
        else:
            which = str(self._windows[0])
        kinds = "some lines" if self._mixed else "the lines"
        return (
            f"{kinds} of {which} end in CR LF, as on Windows, and others in LF; the model will mix "
            f"them (to make all alike, try: {self._command()})"
        )

    def _command(self) -> str:
        names = [in_a_shell(name) for name in self._windows]
        if len(names) > LISTED:  # files with LF are left as they are
            folders = {(name.parent, name.suffix) for name in self._windows}
            names = sorted(f"{shlex.quote(str(folder))}/*{end}" for folder, end in folders)
        more = " ..." if len(names) > LISTED else ""
        return f"sed -i 's/\\r$//' {' '.join(names[:LISTED])}{more}"

"""The text of an interactive session: what was added to it, and the file it belongs to."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import unicodedata
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tfcli.cli.piped_text import without_last_newline
from tfcli.errors import ConflictError, UsageError
from tfcli.quantities import counted

DIALOGUE = '–—«“"-'  # what a paragraph of its own begins with
SECTION = ("* ", "***", "# ")  # and a part of its own
# what other programs would not open with plain text in it
NOT_PLAIN = {".doc", ".docx", ".epub", ".odt", ".pdf", ".rtf"}


class Draft:
    """A text that grows turn by turn.

    It may belong to a file, once it was read from there or saved there: `save` then writes all of
    it back. A file that the text has not come from, or that has changed since, is not overwritten.

    The newline at the end of a file is its editor's, as that of `echo` is on stdin: the text goes
    on before it, and `save` puts it back.

    Attributes:
        text: all of it.
        path: the file it belongs to.

    """

    def __init__(self, encoding: str | None = None) -> None:
        self.text = ""
        self._encoding = encoding
        self.path: Path | None = None
        self._turns: list[_Turn] = []
        self._stops: dict[str, str] = {}  # what the model wrote after a text, which ended it there
        self._on_disk: dict[Path, bytes] = {}  # what each known file holds
        # what ends each file, though not its text; None: a text without a file
        self._last_newlines: dict[Path | None, str] = {}

    @property
    def whole(self) -> str:
        """The text as its file would hold it."""
        return self.text + self._last_newline

    @property
    def _last_newline(self) -> str:
        return self._last_newlines.get(_real(self.path) if self.path else None, "")

    @property
    def unsaved(self) -> bool:
        """Whether it differs from the file it belongs to."""
        if self.path is None:
            return False
        return self.whole.encode() != self._on_disk.get(_real(self.path), b"")

    def tail(self, most: int = 200) -> str:
        """Its end, from the beginning of a line if one is near."""
        if len(self.text) <= most:
            return self.text
        end = self.text[-most:]
        _, newline, lines = end.partition("\n")
        if newline and lines.strip():
            return f"... {lines.lstrip()}"
        _, space, words = end.partition(" ")
        return f"... {words.lstrip() if space and words.strip() else end}"

    # --- turns ----------------------------------------------------------------------------------

    def take_turn(self, line: str) -> None:
        """Adds what the person wrote.

        It comes after a space where a word would run into another, and on a new line where it
        begins as a paragraph of its own does, in a text that has lines. An empty line goes on after
        the stop string that ended the text: the model is not asked again whether it comes.
        """
        if not line and (stop := self._stops.get(self.text)):
            self._turns.append(_Turn(self.text, self.path, line, stop))
            self.text += stop
            return
        line = _between(self.text, line, lines="\n" in self.whole) + line
        if line.startswith("\n"):
            self.text = self.text.rstrip(" ")  # a space at the end of a line is seen by nobody
        line = line.replace("\n", line_end(self.whole) or "\n")
        self._remember(line)
        self.text += line

    def _remember(self, line: str | None) -> None:
        self._turns.append(_Turn(self.text, self.path, line))

    @property
    def last_turn(self) -> _Turn | None:
        """What `undo` would take back."""
        return self._turns[-1] if self._turns else None

    def add_written(self, text: str, stop: str | None = None) -> None:
        """Adds what the model wrote, with the line ends that the text has so far.

        Args:
            stop: the stop string that came after it.

        """
        self.text += self._with_own_line_ends(text)
        self._stops.pop(self.text, None)
        if stop:
            self._stops[self.text] = self._with_own_line_ends(stop)

    def _with_own_line_ends(self, text: str) -> str:
        if end := line_end(self.whole) or line_end(text):
            text = re.sub(
                r"\r\n?|\n", end, text.removesuffix("\r")
            )  # a CR whose LF was not generated
        return text

    @property
    def ends_with_line(self) -> bool:
        """Whether what comes last is a line of the person, who has ended its last word."""
        turn = self.last_turn
        return bool(turn and turn.line and self.text == turn.before + turn.line)

    @property
    def awaits_more(self) -> bool:
        """Whether the person has left it to the model to go on: with an empty line."""
        turn = self.last_turn
        return bool(turn and turn.line == "")

    def back_to_last_line(self) -> None:
        """Takes the text back to the end of what the person wrote last.

        Raises:
            UsageError: nothing was written since the text was begun or loaded.

        """
        if not self._turns or self._turns[-1].line is None:
            raise UsageError("nothing to retry")
        turn = self._turns[-1]
        self.text = turn.before + turn.passed + (turn.line or "")

    def undo(self) -> None:
        """Takes the last turn back: a line and its continuation, or a text begun or loaded.

        Raises:
            UsageError: there is none.

        """
        if not self._turns:
            raise UsageError("nothing to undo")
        turn = self._turns.pop()
        self.text = turn.before
        if turn.line is None:
            self.path = turn.path

    def begin(self, text: str, path: Path | None = None) -> None:
        """Begins another text, of another file or of none; `undo` brings the one before it back."""
        if self.text:
            self._remember(None)
        self.text, self.path = text, path
        self._last_newlines[None] = ""

    # --- files ----------------------------------------------------------------------------------

    def load(self, name: str) -> list[str]:
        """Goes on from the text of a file; of a page, a book or a document from what it says.

        Such a text belongs to no file: saved there, it would take the place of the document.

        Returns:
            What is to be said of the file.

        Raises:
            NotFoundError, DataError: it does not exist, or is no text.

        """
        from tfcli.files import file_not_found, require_regular_file
        from tfcli.text.readers import read_text
        from tfcli.text.reading import Reading
        from tfcli.text.reading_options import DEFAULT, FormatOptions

        path, reading = named_file(name), Reading()
        require_regular_file(path)
        if not path.exists():
            raise file_not_found(path)
        data = b"".join(read_text(path, FormatOptions(encoding=self._encoding), reading=reading))
        whole = data.decode()
        text = without_last_newline(whole)
        self.begin(text, path)
        own = path.read_bytes() == data
        self._last_newlines[_real(path) if own else None] = whole[len(text) :]
        if own:
            self._on_disk[_real(path)] = data
            return []
        self.path = None
        return [*reading.notes(path, DEFAULT), "/save NAME writes the text to a file of its own"]

    def save(self, name: str) -> Path:
        """Writes all of it to a file; without a name, to the one it belongs to.

        Raises:
            UsageError: it belongs to none yet.
            ConflictError: the file is another text, or was changed by somebody else.
            NotFoundError: its folder does not exist.

        """
        from tfcli.files import require_parent, require_regular_file, write_file

        path = named_file(name) if name else self.path
        if path is None:
            raise UsageError("/save needs the name of a file", hint="/save story.txt")
        if path.suffix.lower() in NOT_PLAIN:
            raise UsageError(
                f"/save writes plain text, which {path.suffix} is not",
                hint=f"/save {_word(path.with_suffix('.txt'))}",
            )
        require_regular_file(path)
        real = _real(path)
        require_parent(path)
        last, data = self._last_newline, self.whole.encode()
        if path.exists():
            self._require_own(path, data)
        write_file(real, data)
        self._last_newlines[real] = last
        self.path, self._on_disk[real] = path, data
        return path

    def _require_own(self, path: Path, data: bytes) -> None:
        """Raises ConflictError where a file holds what would be lost."""
        found = path.read_bytes()
        if data.startswith((found, found.removesuffix(b"\n").removesuffix(b"\r"))):
            return
        real = _real(path)
        if self.path is None or real != _real(self.path):
            raise ConflictError(
                f"file {path} already exists and holds another text",
                hint=f"/save another-name.txt, or move the file first: "
                f"mv {_word(path)} {_word(path)}~",
            )
        if found != self._on_disk.get(real):
            raise ConflictError(
                f"file {path} was changed by another program", hint="/save another-name.txt"
            )

    def belongs_to(self, name: str) -> None:
        """Begins a text for a file that does not exist yet."""
        self.path = Path(name).expanduser()


class _Turn(NamedTuple):
    """What was added to a text, and what can be brought back.

    Attributes:
        before: the text before.
        path: the file that it belonged to.
        line: what the person wrote; None: another text was begun.
        passed: the stop string that an empty line went on after.

    """

    before: str
    path: Path | None
    line: str | None
    passed: str = ""


def named_file(name: str) -> Path:
    """The file that was typed, as it is or in the quotes of a shell."""
    path = Path(name).expanduser()
    if any(mark in name for mark in "'\"\\") and not os.path.lexists(path):
        with contextlib.suppress(ValueError):  # quotes that are no pairs
            words = shlex.split(name)
            return Path(words[0]).expanduser() if len(words) == 1 else path
    return path


def _real(path: Path) -> Path:
    """The file itself, where a link leads to it."""
    return path.resolve()


def _word(path: Path) -> str:
    return shlex.quote(str(path))


def line_end(text: str) -> str | None:
    """How most lines of a text end; None if it has but one."""
    newlines, windows = text.count("\n"), text.count("\r\n")
    return None if not newlines else "\r\n" if 2 * windows > newlines else "\n"


def describe_size(text: str) -> str:
    """`12 words, 71 bytes`."""
    size = len(text.encode())
    return f"{counted(len(text.split()), 'word')}, {counted(size, 'byte')}"


def _between(text: str, line: str, *, lines: bool) -> str:
    """A space between two words; none before punctuation, or in Chinese and Japanese.

    Before dialogue as many newlines as the text has there elsewhere.

    Args:
        lines: whether the text has lines.

    """
    if not text or not line:
        return ""
    text = text.replace("\r\n", "\n")
    going_on = line[0] == "»" and (line[1:2].isalnum() or line[1:2] in {*"¿¡–—-"})  # a speech
    if (line[0] in DIALOGUE or going_on or line.startswith(SECTION)) and lines:
        before = Counter(re.findall(rf"(\n+)[{DIALOGUE}]", text)).most_common(1)
        wanted = before[0][0] if before else "\n"
        return wanted[len(text) - len(text.rstrip("\n")) :]
    last, first = text[-1], line[0]
    wide = {unicodedata.east_asian_width(last), unicodedata.east_asian_width(first)} & {"W", "F"}
    closing = unicodedata.category(first) in {"Pe", "Pf", "Po"} and first not in "¿¡"
    return "" if last.isspace() or first.isspace() or wide or closing else " "

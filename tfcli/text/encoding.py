"""Which encoding a text is in, and reading it as UTF-8.

UTF-8 is read, and so are UTF-16 and UTF-32, which are unmistakable. Every other encoding can only
be guessed, so it has to be named with --encoding, and an error suggests the likeliest one.
"""

from __future__ import annotations

import codecs
import io
import re
import shlex
import unicodedata
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tfcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

STANDARD_INPUT = Path("standard input")  # what errors call it
UTF8, UTF8_BOM = "utf-8", codecs.BOM_UTF8
# of UTF-32 first: little-endian, its mark begins with that of UTF-16
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
ICONV_NAMES = {"shift_jis": "SHIFT_JIS", "mac-roman": "MACINTOSH"}  # where they are not Python's
NEARLY = 0.9  # of the confidence of the best guess
MIXED = 0.2  # of the words in another alphabet, from which on this is no language
_SAMPLE = 1 << 16  # bytes to guess an encoding from
_BLOCK = 1 << 18


def encoding_of(head: bytes) -> tuple[str, int]:
    """The encoding of a file that begins like this, and the length of its byte order mark."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    if head.startswith(UTF8_BOM):
        return UTF8, len(UTF8_BOM)
    # without a mark, most texts have zero bytes in them, in every other place
    if 0 in head[:_SAMPLE]:
        guess = _detect(head[:_SAMPLE])
        if guess in _WIDE:
            return guess, 0
        if guess is None and (wide := _readable_as(head[:_SAMPLE])):
            return wide, 0
    return UTF8, 0


def begins_as_utf8(head: bytes) -> bool:
    """Whether a file that begins like this is UTF-8, and could hardly be anything else."""
    try:
        text = codecs.getincrementaldecoder(UTF8)().decode(head)
    except UnicodeDecodeError:
        return False
    return not text.isascii()  # a mark counts, a character that was cut off does not


def _readable_as(head: bytes) -> str | None:
    """UTF-16 or UTF-32 where only these give lines of printable characters."""
    for name in _WIDE:
        width = 4 if "32" in name else 2
        text = head[: len(head) // width * width].decode(name, errors="replace")
        printable = sum(c.isprintable() and c != "\ufffd" for c in text) + text.count("\n")
        if len(text) >= 16 and {"\n", " "} & {*text} and printable > 0.98 * len(text):
            return name
    return None


def _detect(sample: bytes) -> str | None:
    """The likeliest encoding, by Python's name."""
    import chardet

    found = [(each["encoding"], each["confidence"]) for each in chardet.detect_all(sample)]
    best, confidence = found[0]
    # short of evidence, the encoding that is by far the most frequent
    if any(name == "Windows-1252" and c > NEARLY * confidence for name, c in found):
        best = "Windows-1252"
    guess = codecs.lookup(best).name if best else None
    if guess and _mixes_scripts(sample, guess) and _mixes_scripts(sample, "cp1252") is False:
        return "cp1252"
    return guess


def _mixes_scripts(sample: bytes, encoding: str) -> bool | None:
    """Whether words are partly in Latin letters and partly in those of another alphabet.

    `caf\u03b9` is French that was taken for Greek. Of encodings with one byte a character, since a
    text in Japanese may well have `Python\u3067`. None: the sample is not in this encoding.
    """
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return None
    if len(text) != len(sample):
        return False
    words = [word for word in re.findall(r"[^\W\d_]+", text) if any(map(_is_foreign, word))]
    mixed = sum(any(c.isascii() for c in word) for word in words)
    return mixed > MIXED * len(words)


def _is_foreign(letter: str) -> bool:
    """Whether a letter is of no Latin alphabet; the ordinals and the micro sign are of all."""
    return letter > "\u00ff" and not unicodedata.name(letter, "LATIN").startswith("LATIN")


def as_utf8(
    stream: IO[bytes], encoding: str, name: Path, on_utf8: Callable[[], None] | None = None
) -> IO[bytes]:
    """A stream of the same text in UTF-8, without a byte order mark.

    Reading it raises DataError where it is not in that encoding.

    Args:
        on_utf8: is called where the text, after a beginning in ASCII, turns out to be UTF-8, and
            is left as it is; None: it cannot be.

    """
    return io.BufferedReader(_Transcoded(stream, encoding, name, on_utf8), _BLOCK)


class _Transcoded(io.RawIOBase):
    """The raw stream under `io.BufferedReader`."""

    def __init__(
        self, stream: IO[bytes], encoding: str, name: Path, on_utf8: Callable[[], None] | None
    ) -> None:
        self._stream, self._encoding, self._name = stream, encoding, name
        self._on_utf8 = on_utf8 if _extends_ascii(encoding) else None
        self._is_utf8 = False
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._offset = 0
        self._at_end = self._began = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._at_end:
            block = self._next_block()
            self._at_end = not block
            if self._is_utf8:
                self._ready = block
                break
            waiting = len(self._decoder.getstate()[0])
            try:
                text = self._decoder.decode(block, final=self._at_end)
                self._ready = text.encode()
            except UnicodeError as error:
                start = getattr(error, "start", 0)
                raise DataError(
                    f"{self._name} is not in {self._encoding}",
                    why=f"invalid at byte {max(0, self._offset - waiting + start):,}",
                ) from None
            if not self._began and self._ready:
                self._ready, self._began = self._ready.removeprefix(UTF8_BOM), True
            self._offset += len(block)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next_block(self) -> bytes:
        """A block; the first that is not ASCII decides whether the text is UTF-8."""
        block = self._stream.read(_BLOCK)
        if self._on_utf8 and not block.isascii():
            block += self._stream.read(_SAMPLE)  # there may be but one such byte, the last
            if begins_as_utf8(block):
                self._is_utf8 = True
                self._on_utf8()
            self._on_utf8 = None
        return block

    def close(self) -> None:
        self._stream.close()
        super().close()


def _extends_ascii(encoding: str) -> bool:
    """Whether texts in ASCII are the same bytes in this encoding."""
    ascii = bytes(range(0x80))
    return ascii.decode(encoding, errors="replace").encode(errors="replace") == ascii


def has_zeros(data: bytes) -> bool:
    """Whether so many bytes are zero that this is hardly text."""
    return data.count(0) * 1000 > len(data)


def is_utf8(data: bytes) -> bool:
    """Whether all of it is UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def check_utf8(data: bytes, name: Path, offset: int, *, option: bool = True) -> None:
    """Checks a block of a file.

    Args:
        offset: where the block begins.
        option: whether `--encoding` can be given.

    Raises:
        DataError: it is not UTF-8; the hint has the encoding that it seems to be in.

    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        why = invalid_at(error, offset)
        if has_zeros(data):
            raise DataError(f"{name} is a binary file, not UTF-8 text", why=why) from None
        named = None if name == STANDARD_INPUT else name
        hint = conversion(data, error.start, named, option=option)
        raise DataError(f"{name} is not UTF-8 text", why=why, hint=hint) from None


def invalid_at(error: UnicodeDecodeError, offset: int = 0) -> str:
    """Where a text is not UTF-8, and which byte that is."""
    return f"invalid UTF-8 at byte {offset + error.start:,} (0x{error.object[error.start]:02x})"


def decode_line(line: bytes, number: int) -> str:
    """A line as text.

    Raises:
        DataError: it is not UTF-8; the message has the line's number.

    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        hint = conversion(line, error.start, None, option=False)
        raise DataError(
            f"line {number} is not valid UTF-8", why=invalid_at(error), hint=hint
        ) from None


def conversion(data: bytes, start: int, name: Path | None, *, option: bool = True) -> str:
    """A command that makes UTF-8 of a text that is not.

    Args:
        start: a byte at which it is not.
        name: the file; None is standard input.
        option: whether `--encoding` can do the same.

    """
    sample = data[max(0, start - _SAMPLE // 2) :][:_SAMPLE]
    files = "< FILE | tfcli ..." if name is None else _into(name, windows=b"\r\n" in sample)
    invalid = sample.decode(errors="replace").count("�")
    valid = sum(ord(c) > 0x7F for c in sample.decode(errors="ignore"))
    if valid >= 4 * invalid:  # damaged UTF-8
        return f"iconv -c -f UTF-8 -t UTF-8 {files}   # drops invalid bytes"
    guess = guess_encoding(sample)
    if guess is None:
        return (
            "--encoding NAME, if you know which it is in"
            if option
            else f"iconv -f NAME -t UTF-8 {files}"
        )
    # iconv's SHIFT_JIS lacks what Windows added to it
    if guess == "cp932" and _decodes(sample, "shift_jis"):
        guess = "shift_jis"
    usual = ICONV_NAMES.get(guess, guess.replace("_", "-").upper())
    command = f"iconv -f {usual} -t UTF-8 {files}"
    return f"{command}   # " + (f"or --encoding {guess}; " if option else "") + "it is a guess"


def _into(name: Path, *, windows: bool) -> str:
    """A file as an argument, and another one beside it that takes the text.

    Args:
        windows: whether lines end in CR LF, as in most texts of such an encoding: what is converted
            has LF alone, as other texts do.

    """
    line_ends = " | sed 's/\\r$//'" if windows else ""
    into = shlex.quote(str(converted_name(name)))
    return f"-- {shlex.quote(str(name))}{line_ends} > {into}"


def converted_name(name: Path) -> Path:
    """The file that the command of `conversion` writes."""
    return beside(name, ".txt")


def shown_name(source: Path) -> Path:
    """What notes and errors call a source: `-` is standard input."""
    return STANDARD_INPUT if source == Path("-") else source


def in_a_shell(name: Path) -> str:
    """A file as a command names it; what came through stdin has to be in a file for that."""
    return "FILE" if name in {STANDARD_INPUT, Path("-")} else shlex.quote(str(name))


def beside(name: Path, suffix: str) -> Path:
    """A file beside another one that a command may write: with its stem, and never itself."""
    if name in {STANDARD_INPUT, Path("-")} or name.is_relative_to("/dev"):
        return Path(f"text{suffix}")
    found = name.with_name(name.stem.removesuffix(suffix) + suffix)
    return found if found != name else name.with_name(f"{found.stem}-utf8{suffix}")


def _decodes(sample: bytes, encoding: str) -> bool:
    """Whether a sample is in an encoding, but for where it was cut out."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        decoder.decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def guess_encoding(sample: bytes) -> str | None:
    """The likeliest encoding of text that is not UTF-8, by Python's name."""
    guess = _detect(sample)
    return guess if guess != UTF8 else None

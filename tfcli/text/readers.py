"""Reads text in any supported format, as a stream of chunks, in bounded memory.

A document is a file, or a row of a JSONL or parquet file. A document may be larger than memory, so
it is read in chunks of at most about a megabyte, cut where a tokenizer would also cut: after a
newline, else before a space, else between two characters. The cuts depend only on the bytes, not on
how fast a pipe delivers them.
"""

from __future__ import annotations

import glob
import gzip
import json
import re
import shlex
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from tfcli.errors import (
    DataError,
    InputOutputError,
    NotFoundError,
    UsageError,
    closest_match,
)
from tfcli.files import translate_os_error
from tfcli.text.parquet import open_zstd, read_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STDIN = Path("-")
BLOCK = 1 << 20  # bytes; the maximum size of a chunk
MAX_ROW = 256 << 20  # bytes of JSONL; a file that unpacks to one endless line is refused
SNIFF = 8192  # bytes read to tell whether a file in a folder is text
MIN_WEIGHT, MAX_WEIGHT = 0.01, 100
UTF8_BOM = b"\xef\xbb\xbf"
PARQUET = b"PAR1"  # the first and last bytes of a parquet file
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Chunk:
    """A part of a document, in valid UTF-8.

    Attributes:
        last: whether the document ends here.

    """

    data: bytes
    last: bool


# --- which files --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """The files of one argument, and how often they come in an epoch (1: once)."""

    files: tuple[Path, ...]
    weight: float


@dataclass(frozen=True)
class Sources:
    """The files that the user's arguments stand for.

    Attributes:
        skipped: files in folders that are not text.

    """

    groups: tuple[Group, ...]
    skipped: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of all arguments, in their order."""
        return tuple(path for group in self.groups for path in group.files)

    @property
    def weighted(self) -> bool:
        """Whether some come more often than others."""
        return len({group.weight for group in self.groups}) > 1


def find_sources(arguments: Sequence[str]) -> Sources:
    """Resolves files, folders, glob patterns and `-` (standard input), with or without `:WEIGHT`.

    A folder stands for all files in it, sorted by path, except hidden ones and those that are not
    UTF-8 text; the latter are reported. A file named directly must be text.

    Raises:
        NotFoundError: an argument matches nothing.
        UsageError: a weight is outside 0.01 to 100.
        DataError: none of the files is text.

    """
    groups: list[Group] = []
    skipped: list[Path] = []
    for argument in arguments:
        name, weight = split_weight(argument)
        found, left_out = _find(name)
        skipped += left_out
        if found:
            groups.append(Group(tuple(found), weight))
    if not groups:
        raise DataError("no text files found", why=", ".join(map(str, skipped[:5])))
    return Sources(tuple(groups), tuple(skipped))


def split_weight(argument: str) -> tuple[str, float]:
    """Splits `a.txt:2` into name and weight; 1 if there is none, or a file has this very name.

    Raises:
        UsageError: the weight is outside 0.01 to 100.

    """
    match = re.fullmatch(r"(.+):(\d+(?:\.\d*)?|\.\d+)", argument, re.ASCII | re.DOTALL)
    if not match or _is_there(Path(argument)):
        return argument, 1.0
    weight = float(match[2])
    if not MIN_WEIGHT <= weight <= MAX_WEIGHT:
        raise UsageError(
            f"the weight of {match[1]} cannot be {match[2]}",
            why=f"it is how many times the text is read per epoch: {MIN_WEIGHT} to {MAX_WEIGHT}",
            hint="leave the file out instead" if weight == 0 else f"{match[1]}:2",
        )
    return match[1], weight


def _find(argument: str) -> tuple[list[Path], list[Path]]:
    """The files that one argument stands for, and those that are not text."""
    path = Path(argument)
    if not argument:  # as from "$BOOK" with BOOK unset; must not mean the current folder
        raise NotFoundError("a file name is empty")
    if argument == "-":
        return [STDIN], []
    if _is_there(path) and not path.is_dir():
        return [path.absolute() if path == STDIN else path], []  # ./- is a file
    if _is_there(path):
        inside = [p for p in sorted(path.rglob("*")) if p.is_file() and not _hidden(p, path)]
        if not inside:
            raise NotFoundError(f"no files in the folder {path}")
        text = {p for p in inside if _looks_like_text(p)}
        return [p for p in inside if p in text], [p for p in inside if p not in text]
    matches = [Path(m) for m in sorted(glob.glob(argument, recursive=True))]  # noqa: PTH207
    matches = [m for m in matches if m.is_file()]
    if not matches:
        raise _no_such_file(argument, path)
    return matches, []


def _no_such_file(argument: str, path: Path) -> NotFoundError:
    folder = path.parent
    siblings = (
        {p.name for p in folder.iterdir()} if _is_there(folder) and folder.is_dir() else set()
    )
    siblings.discard(path.name)  # a dangling link is among its own siblings
    similar = closest_match(path.name, sorted(siblings))
    return NotFoundError(
        f"file not found: {argument!r}",
        hint=f"did you mean {str(path.with_name(similar))!r}?" if similar else None,
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # not a possible file name, such as a long sentence
        return False


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)


def _looks_like_text(path: Path) -> bool:
    try:
        with _open(path) as stream:
            head = stream.read(SNIFF)
    except (OSError, EOFError, zlib.error):
        return False
    if _is_parquet(path):
        return head.startswith(PARQUET)
    if b"\0" in head:
        return False
    try:
        head[: _character_boundary(head) if len(head) == SNIFF else None].decode()
    except UnicodeDecodeError:
        return False
    return True


# --- what is in them ----------------------------------------------------------------------------


def read_chunks(
    source: Path, *, name: Path | None = None, keep_byte_order_mark: bool = False
) -> Iterator[Chunk]:
    """Reads one source: plain text, `.jsonl` with a `text` field, `.parquet` with a text column.

    Plain text and JSONL may be compressed, with the suffix `.gz` or `.zst` appended.

    Args:
        name: what errors call it, if not by its path.
        keep_byte_order_mark: whether a UTF-8 BOM at the start counts as text; else it is dropped.

    Raises:
        NotFoundError, InputOutputError: it cannot be opened or read.
        DataError: it is not in the format of its suffix, or not UTF-8; the message names the byte
            or the row.
        UsageError: it needs the extra `tfcli[data]`, which is not installed.

    """
    name = name or source
    try:
        if _is_parquet(source):
            for text in read_parquet(source, name):
                yield from split_into_chunks(text)
            return
        with _open(source) as stream:
            if _is_jsonl(source):
                yield from _read_jsonl(stream, name)
            else:
                yield from _read_plain(stream, name, keep_byte_order_mark)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        kind = "zstd" if source.suffix == ".zst" else "gzip"
        raise DataError(f"{name} is not a complete {kind} file", why=str(error)) from None
    except OSError as error:
        raise translate_os_error(error, name) from error


def read_raw(source: Path) -> Iterator[bytes]:
    """Reads a source byte for byte, in blocks."""
    try:
        with _open_raw(source) as stream:
            while block := stream.read(BLOCK):
                yield block
    except OSError as error:
        raise translate_os_error(error, source) from error


def _open(source: Path) -> IO[bytes]:
    if source.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(source, "rb"))
    if source.suffix == ".zst":
        return open_zstd(source)
    return _open_raw(source)


def _open_raw(source: Path) -> IO[bytes]:
    if source == STDIN:
        if sys.stdin is None:
            raise InputOutputError("standard input is closed")
        return open(sys.stdin.fileno(), "rb", closefd=False)
    return source.open("rb")


def _is_jsonl(source: Path) -> bool:
    name = source.name.removesuffix(".gz").removesuffix(".zst")
    return name.endswith((".jsonl", ".ndjson"))


def _is_parquet(source: Path) -> bool:
    return source.suffix == ".parquet"


def _read_plain(stream: IO[bytes], source: Path, keep_byte_order_mark: bool) -> Iterator[Chunk]:
    """Yields the chunks of one document; none for an empty file."""
    offset = 0
    ready = b""  # held back until it is known whether anything follows
    rest = b""
    at_end = False
    while not at_end:
        block = rest + _read_fully(stream, BLOCK - len(rest))
        at_end = len(block) < BLOCK
        start = 0 if offset or keep_byte_order_mark else _after_byte_order_mark(block, source)
        end = len(block) if at_end else _cut(block)
        data = block[start:end]
        _check_utf8(data, source, offset + start)
        if data:
            if ready:
                yield Chunk(ready, last=False)
            ready = data
        offset += end
        rest = block[end:]
    if ready:
        yield Chunk(ready, last=True)


def _after_byte_order_mark(block: bytes, source: Path) -> int:
    if block.startswith(UTF16_BOMS):
        raise DataError(
            f"{source} is UTF-16, not UTF-8",
            hint=f"iconv -f UTF-16 -t UTF-8 {shlex.quote(str(source))} > utf8.txt",
        )
    return len(UTF8_BOM) if block.startswith(UTF8_BOM) else 0


def _read_jsonl(stream: IO[bytes], source: Path) -> Iterator[Chunk]:
    for number, line in enumerate(iter(lambda: stream.readline(MAX_ROW + 1), b""), start=1):
        if len(line) > MAX_ROW:
            raise DataError(
                f"row {number} of {source} has more than {MAX_ROW:,} bytes",
                why="a row must fit into memory",
                hint="split the text into several rows, or use a plain text file",
            )
        if number == 1:
            line = line.removeprefix(UTF8_BOM)
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text = row["text"]
            data = text.encode()
        except (ValueError, RecursionError) as error:  # UnicodeError is a ValueError
            raise DataError(f"row {number} of {source} is not valid JSON", why=str(error)) from None
        except (KeyError, TypeError, AttributeError):
            raise DataError(
                f"row {number} of {source} has no text",
                why='each row must be an object like {"text": "..."}',
            ) from None
        yield from split_into_chunks(data)


def split_into_chunks(document: bytes) -> Iterator[Chunk]:
    """Cuts one whole document, valid UTF-8, into chunks; none for an empty document."""
    start = 0
    while len(document) - start > BLOCK:
        end = start + _cut(document[start : start + BLOCK])
        yield Chunk(document[start:end], last=False)
        start = end
    if document:
        yield Chunk(document[start:], last=True)


def _read_fully(stream: IO[bytes], size: int) -> bytes:
    """Reads `size` bytes, fewer only at the end; one `read` of a pipe may return fewer."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _check_utf8(data: bytes, source: Path, offset: int) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        at = offset + error.start
        binary = b"\0" in data
        raise DataError(
            f"{source} is {'a binary file, ' if binary else ''}not UTF-8 text",
            why=f"invalid UTF-8 at byte {at:,} (0x{data[error.start]:02x})",
            hint=None
            if binary
            else f"iconv -f LATIN1 -t UTF-8 {shlex.quote(str(source))} > utf8.txt",
        ) from None


def _cut(block: bytes) -> int:
    """Where to cut: after the last newline, else before the last space, else between characters."""
    newline = block.rfind(b"\n")
    if newline >= 0:
        return newline + 1
    space = block.rfind(b" ")
    return space if space > 0 else _character_boundary(block)


def _character_boundary(block: bytes) -> int:
    """The length of `block` without an incomplete character at its end (invalid bytes stay)."""
    for back in range(1, min(4, len(block)) + 1):
        byte = block[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:  # a leading byte: how many should follow?
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(block) - back if back < length else len(block)
    return len(block)

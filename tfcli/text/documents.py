"""Where documents end in plain text: at the end of the file, or at a separator in it.

A separator never belongs to a document, and neither does the newline before it.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from tfcli.text.chunks import Chunk, character_boundary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tfcli.text.reading_options import DocumentKind

# Lines that separate documents in texts made for language models: GPT-2's, and Llama 3's.
KNOWN_SEPARATORS = (b"<|endoftext|>", b"<|end_of_text|>")

NEVER = b"\xff"  # a separator that no UTF-8 has


class Separator(bytes):
    """What stands between two documents, as it is in the text; empty after a line."""


def split_documents(
    blocks: Iterable[bytes],
    kind: DocumentKind = "file",
    separator: bytes | None = None,
    *,
    counts: dict[bytes, int],
    began: Callable[[int], None] = lambda _: None,
) -> Iterator[Chunk]:
    """The chunks of the documents in a plain text.

    Args:
        blocks: the text as `read_blocks` cuts it.
        kind: what a document is, where there is no separator. In a `file`, a line that is one of
            KNOWN_SEPARATORS ends a document too.
        separator: ends a document wherever it occurs.
        counts: takes how often each separator was found.
        began: is told, before each chunk, on which line of the text it begins, from 1.

    """
    documents = _Documents(began, separated=kind != "file" or separator not in {None, NEVER})
    if separator is not None:
        pieces = _split_at(blocks, separator, counts)
    elif kind == "file":
        pieces = _split_at_known(blocks, counts)
    elif kind == "line":
        pieces = _split_at_lines(blocks)
    else:
        pieces = _split_at_blank_lines(blocks)
    for piece in pieces:
        is_separator = isinstance(piece, Separator)
        yield from documents.end(piece) if is_separator else documents.add(piece)
    yield from documents.finish()


class _Documents:
    """Makes chunks of pieces, holding back the last one until it is known what follows.

    Args:
        began: is told on which line each chunk begins.
        separated: whether there are separators; otherwise that is known from the first one on.

    """

    def __init__(self, began: Callable[[int], None], *, separated: bool) -> None:
        self._began = began
        self._line = 1  # on which what is held begins, or what comes next
        self._held: list[bytes] = []  # a piece, and newlines after it
        self._separated = separated
        self._blank = True  # whether there is nothing but white space so far
        self._continues = False  # whether a chunk of this document was given out

    def add(self, piece: bytes) -> Iterator[Chunk]:
        """The next piece of the document."""
        is_newline = bool(self._held) and piece in {b"\n", b"\r\n"}
        is_blank = self._separated and self._blank  # no document so far
        if not (is_newline or is_blank):
            for held in self._held:
                yield self._chunk(held, last=False)
                self._continues = True
            self._held = []
        self._held.append(piece)
        self._blank = self._blank and not piece.strip()

    def end(self, separator: bytes) -> Iterator[Chunk]:
        """A separator."""
        self._separated = True
        yield from self.finish()
        self._line += separator.count(b"\n")

    def finish(self) -> Iterator[Chunk]:
        """The end of the document, if there is one."""
        held, continues = self._held, self._continues
        self._held, self._continues, self._blank = [], False, True
        after = self._line + sum(piece.count(b"\n") for piece in held)
        held = self._trimmed(held, continues=continues) if self._separated else held
        for place, piece in enumerate(held, 1):
            yield self._chunk(piece, last=place == len(held))
        self._line = after

    def _trimmed(self, held: list[bytes], *, continues: bool) -> list[bytes]:
        """What of the end of a document belongs to it."""
        if not held:
            return held
        last = _without_newline(held[-1])
        if last or len(held) > 1:
            held = [*held[:-1], *filter(None, [last])]
        elif not continues:  # else a newline has to stay, to be the last chunk
            held = []
        if not continues and not b"".join(held).strip():
            return []
        return held

    def _chunk(self, data: bytes, *, last: bool) -> Chunk:
        self._began(self._line)
        self._line += data.count(b"\n")
        return Chunk(data, last=last)


def _without_newline(text: bytes) -> bytes:
    return text[:-1].removesuffix(b"\r") if text.endswith(b"\n") else text


def _split_at_known(blocks: Iterable[bytes], counts: dict[bytes, int]) -> Iterator[bytes]:
    """The blocks as they are, but for lines that are a known separator."""
    pattern = re.compile(
        rb"^(" + b"|".join(map(re.escape, KNOWN_SEPARATORS)) + rb")[ \t]*\r?(?:\n|\Z)",
        re.MULTILINE,
    )
    at_line_start = True
    for block in blocks:
        position = 0
        for match in pattern.finditer(block) if b"<|end" in block else ():
            if match.start() == 0 and not at_line_start:
                continue
            if match.start() > position:
                yield block[position : match.start()]
            yield Separator(match[0])
            counts[match[1]] = counts.get(match[1], 0) + 1
            position = match.end()
        if position < len(block):
            yield block[position:]
        at_line_start = block.endswith(b"\n")


def _split_at_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for line in re.findall(rb"[^\n]*\n|[^\n]+", block):
            yield line
            if line.endswith(b"\n"):
                yield Separator()


def _split_at_blank_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    at_line_start = True
    for block in blocks:
        position = 0
        for match in re.finditer(rb"^[ \t]*\r?\n", block, re.MULTILINE):
            if match.start() == 0 and not at_line_start:
                continue
            if match.start() > position:
                yield block[position : match.start()]
            yield Separator(match[0])
            position = match.end()
        if position < len(block):
            yield block[position:]
        at_line_start = block.endswith(b"\n")


def _split_at(
    blocks: Iterable[bytes], separator: bytes, counts: dict[bytes, int]
) -> Iterator[bytes]:
    """Wherever the separator is, with the newline after it; a newline in it is CRLF as well."""
    spelled = [re.escape(part) for part in re.split(rb"(?<!\r)\n", separator)]
    pattern = re.compile(rb"(" + rb"\r?\n".join(spelled) + rb")(?:\r?\n)?")
    longest = len(separator) + len(spelled) - 1
    rest = b""
    for block in itertools.chain(blocks, [None]):  # None: the end
        text = rest + (block or b"")
        position = 0
        keep = longest - 1 if block is not None else 0  # what may be the beginning of a separator
        for match in pattern.finditer(text):
            after = match.end(1)
            if block is not None and after >= len(text) - 1 and text[after:] in (b"", b"\r"):
                keep = len(text) - match.start()  # a newline may follow
                break
            if match.start() > position:
                yield text[position : match.start()]
            yield Separator(match[0])
            counts[separator] = counts.get(separator, 0) + 1
            position = match.end()
        cut = max(position, len(text) - keep)
        if block is not None:
            cut = position + character_boundary(text[position:cut])
            if text[position:cut].endswith(b"\r"):
                cut -= 1  # it may belong to a newline
        if cut > position:
            yield text[position:cut]
        rest = text[cut:]

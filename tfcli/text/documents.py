"""Where documents end in plain text: at the end of the file, or at a separator in it.

A separator never belongs to a document, and neither does the newline before it.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from tfcli.text.chunks import Chunk, character_boundary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tfcli.text.reading_options import DocumentKind

# Lines that separate documents in texts made for language models: GPT-2's, and Llama 3's.
KNOWN_SEPARATORS = (b"<|endoftext|>", b"<|end_of_text|>")

NEVER = b"\xff"  # a separator that no UTF-8 has


def split_documents(
    blocks: Iterable[bytes],
    kind: DocumentKind = "file",
    separator: bytes | None = None,
    *,
    counts: dict[bytes, int],
) -> Iterator[Chunk]:
    """The chunks of the documents in a plain text.

    Args:
        blocks: the text as `read_blocks` cuts it.
        kind: what a document is, where there is no separator. In a `file`, a line that is one of
            KNOWN_SEPARATORS ends a document too.
        separator: ends a document wherever it occurs.
        counts: takes how often each separator was found.

    """
    documents = _Documents(separated=kind != "file" or separator not in {None, NEVER})
    if separator is not None:
        pieces = _split_at(blocks, separator, counts)
    elif kind == "file":
        pieces = _split_at_known(blocks, counts)
    elif kind == "line":
        pieces = _split_at_lines(blocks)
    else:
        pieces = _split_at_blank_lines(blocks)
    for piece in pieces:
        yield from documents.end() if piece is None else documents.add(piece)
    yield from documents.finish()


class _Documents:
    """Makes chunks of pieces, holding back the last one until it is known what follows.

    Args:
        separated: whether there are separators; otherwise that is known from the first one on.

    """

    def __init__(self, *, separated: bool) -> None:
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
                yield Chunk(held, last=False)
                self._continues = True
            self._held = []
        self._held.append(piece)
        self._blank = self._blank and not piece.strip()

    def end(self) -> Iterator[Chunk]:
        """A separator."""
        self._separated = True
        yield from self.finish()

    def finish(self) -> Iterator[Chunk]:
        """The end of the document, if there is one."""
        held, continues = self._held, self._continues
        self._held, self._continues, self._blank = [], False, True
        if self._separated and len(held) == 1 and not continues:  # as most are
            text = _without_newline(held[0])
            if text.strip():
                yield Chunk(text, last=True)
            return
        if self._separated and held:
            last = _without_newline(held[-1])
            if last or len(held) > 1:
                held = [*held[:-1], *filter(None, [last])]
            elif not continues:  # else a newline has to stay, to be the last chunk
                held = []
        if self._separated and not continues and not b"".join(held).strip():
            return
        for place, piece in enumerate(held, 1):
            yield Chunk(piece, last=place == len(held))


def _without_newline(text: bytes) -> bytes:
    return text[:-1].removesuffix(b"\r") if text.endswith(b"\n") else text


def _split_at_known(blocks: Iterable[bytes], counts: dict[bytes, int]) -> Iterator[bytes | None]:
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
            yield None
            counts[match[1]] = counts.get(match[1], 0) + 1
            position = match.end()
        if position < len(block):
            yield block[position:]
        at_line_start = block.endswith(b"\n")


def _split_at_lines(blocks: Iterable[bytes]) -> Iterator[bytes | None]:
    for block in blocks:
        for line in re.findall(rb"[^\n]*\n|[^\n]+", block):
            yield line
            if line.endswith(b"\n"):
                yield None


def _split_at_blank_lines(blocks: Iterable[bytes]) -> Iterator[bytes | None]:
    at_line_start = True
    for block in blocks:
        position = 0
        for match in re.finditer(rb"^[ \t]*\r?\n", block, re.MULTILINE):
            if match.start() == 0 and not at_line_start:
                continue
            if match.start() > position:
                yield block[position : match.start()]
            yield None
            position = match.end()
        if position < len(block):
            yield block[position:]
        at_line_start = block.endswith(b"\n")


def _split_at(
    blocks: Iterable[bytes], separator: bytes, counts: dict[bytes, int]
) -> Iterator[bytes | None]:
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
            yield None
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

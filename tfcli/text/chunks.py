"""Documents as chunks of at most about a megabyte, so that none has to fit into memory.

Chunks are cut where a tokenizer would also cut: after a newline, else before a space, else between
two characters. The cuts depend only on the bytes, not on how fast a pipe delivers them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

BLOCK = 1 << 20  # bytes; the maximum size of a chunk


@dataclass(frozen=True)
class Chunk:
    """A part of a document, in valid UTF-8.

    Attributes:
        last: whether the document ends here.
        role: of pairs, whether it belongs to the prompt or to the answer.
        key: of the pair that it belongs to; see `tfcli.text.pairs`.

    """

    data: bytes
    last: bool
    role: Literal["text", "prompt", "answer"] = "text"
    key: int = 0


def split_into_chunks(document: bytes) -> Iterator[Chunk]:
    """Cuts one whole document, valid UTF-8, into chunks; none for an empty document."""
    start = 0
    while len(document) - start > BLOCK:
        end = start + _cut(document[start : start + BLOCK])
        yield Chunk(document[start:end], last=False)
        start = end
    if document:
        yield Chunk(document[start:], last=True)


def read_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """The bytes of a stream in blocks that are cut as chunks are; not yet checked to be UTF-8."""
    rest = b""
    while True:
        block = rest + read_fully(stream, BLOCK - len(rest))
        if len(block) < BLOCK:
            if block:
                yield block
            return
        end = _cut(block)
        yield block[:end]
        rest = block[end:]


def read_fully(stream: IO[bytes], size: int) -> bytes:
    """Reads `size` bytes, fewer only at the end; one `read` of a pipe may return fewer."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _cut(block: bytes) -> int:
    """Where to cut: after the last newline, else before the last space, else between characters."""
    newline = block.rfind(b"\n")
    if newline >= 0:
        return newline + 1
    space = block.rfind(b" ")
    if space > 0:
        return space
    end = character_boundary(block)
    return end - block.endswith(b"\r", 1, end)  # a newline may follow, which belongs to it


def character_boundary(block: bytes) -> int:
    """The length of `block` without an incomplete character at its end (invalid bytes stay)."""
    for back in range(1, min(4, len(block)) + 1):
        byte = block[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:  # a leading byte: how many should follow?
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(block) - back if back < length else len(block)
    return len(block)

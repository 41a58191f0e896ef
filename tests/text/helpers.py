"""Texts, pipes and corpora for the tests of this folder."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tfcli.text.chunks import Chunk

needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")

# Any text that UTF-8 can encode; hypothesis leaves surrogates out.
any_text = st.text()
# Many zero bytes are taken for a binary file, or for UTF-16.
zero_free_text = any_text.filter(lambda text: "\0" not in text)
# Short texts in which everything that decides where to split is frequent.
tight_text = st.text(st.sampled_from("ab \n\réñ日本😀\ufeff"), max_size=120)


def join(chunks: Iterable[Chunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks)


def documents(chunks: Iterable[Chunk]) -> list[bytes]:
    """The documents in these chunks; the last one may be incomplete."""
    found = [b""]
    for chunk in chunks:
        found[-1] += chunk.data
        if chunk.last:
            found.append(b"")
    return found if found[-1] else found[:-1]


@contextlib.contextmanager
def writing(open_end: int | Path, chunks: Iterable[bytes]) -> Iterator[None]:
    """Writes into one end of a pipe from a thread, chunk by chunk, while the block reads."""

    def write() -> None:
        descriptor = open_end if isinstance(open_end, int) else os.open(open_end, os.O_WRONLY)
        try:
            with contextlib.suppress(BrokenPipeError):
                for chunk in chunks:
                    rest = memoryview(chunk)
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    yield
    thread.join(timeout=30)


@contextlib.contextmanager
def named_pipe(path: Path, chunks: Iterable[bytes]) -> Iterator[Path]:
    """A named pipe at `path` that delivers `chunks`."""
    os.mkfifo(path)
    try:
        with writing(path, chunks):
            yield path
    finally:
        path.unlink()


@contextlib.contextmanager
def standard_input(chunks: Iterable[bytes]) -> Iterator[None]:
    """A standard input that delivers `chunks`."""
    read_end, write_end = os.pipe()
    with (
        os.fdopen(read_end, "rb") as stdin,
        pytest.MonkeyPatch.context() as patch,
        writing(write_end, chunks),
    ):
        patch.setattr("sys.stdin", stdin)
        yield


@contextlib.contextmanager
def blocks_of(size: int) -> Iterator[None]:
    """Limits the readers' chunks to `size` bytes, so that small texts are split too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfcli.text.chunks.BLOCK", size)
        yield


def in_chunks(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """`data` in chunks of these sizes, the rest in one."""
    chunks = []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    return [*chunks, data]


def append_piece(model: bytes, piece: bytes, score: float = -1000.0) -> bytes:
    """A serialized SentencePiece model with a piece appended.

    In the wire format of protocol buffers, a message of the repeated field 1 at the end of the
    model is another element of it; its field 1 is the piece, its field 2 the score.
    """
    assert len(piece) < 100, "longer lengths would need two bytes"
    message = b"\x0a" + bytes([len(piece)]) + piece + b"\x15" + struct.pack("<f", score)
    return model + b"\x0a" + bytes([len(message)]) + message

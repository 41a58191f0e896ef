"""Seconds and memory to prepare a large text: read, train a tokenizer, tokenize, find it again.

python -m benchmarks.preparing [BOOK ...] [--megabytes 300]

The text consists of runs of 300 lines of the books (or of Python's standard library), every eighth
with its letters permuted, in one file. Memory is the peak of the process so far.
"""

from __future__ import annotations

import random
import resource
import string
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.texts import STANDARD_LIBRARY_BYTES, standard_library
from tfcli.text.corpus import open_corpus
from tfcli.text.token_cache import tokenize_corpus
from tfcli.text.tokenizer_training import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINES, PERMUTED = 300, 8  # lines in a run; every how many runs the letters are permuted


def write_text(path: Path, books: list[bytes], size: int) -> None:
    """Writes about `size` bytes in runs of lines of the books."""
    source = random.Random(1)
    lines = [line for book in books for line in book.splitlines(keepends=True)]
    letters = string.ascii_lowercase
    written = count = 0
    with path.open("wb") as file:
        while written < size:
            first = source.randrange(max(1, len(lines) - LINES))
            run = b"".join(lines[first : first + LINES])
            count += 1
            if count % PERMUTED == 0:
                others = "".join(source.sample(letters, len(letters)))
                run = run.translate(bytes.maketrans(letters.encode(), others.encode()))
            written += file.write(run)


def prepare(text: Path, cache: Path) -> Iterator[str]:
    """Prepares a text; says what was done after each part."""
    corpus = open_corpus([text], cache=cache)
    yield "reading and hashing"
    tokenizer, report = train_tokenizer(
        (piece.data for piece in corpus.training()), text_bytes=corpus.scan.training_bytes
    )
    yield f"training a `bpe` tokenizer of {report.vocab_size:,} tokens"
    tokenize_corpus(corpus, tokenizer, cache=cache)
    yield "tokenizing"
    tokenize_corpus(open_corpus([text], cache=cache), tokenizer, cache=cache)
    yield "finding it again"


def measured(parts: Iterator[str]) -> Iterator[tuple[str, str, str]]:
    """The seconds that each part took, and the peak of memory after it."""
    unit = 1 if sys.platform == "darwin" else 1 << 10  # of ru_maxrss
    while True:
        began = time.perf_counter()
        part = next(parts, None)
        if part is None:
            return
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        yield part, f"{seconds:.2f}", f"{peak / 1e6:.0f} MB"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("books", nargs="*", type=Path)
    parser.add_argument("--megabytes", type=float, default=300)
    wanted = parser.parse_args(arguments)
    print_heading("preparing", arguments)
    size = int(1e6 * (0.1 if wanted.tiny else wanted.megabytes))
    books = [book.read_bytes() for book in wanted.books]
    with tempfile.TemporaryDirectory() as folder:
        text, cache = Path(folder) / "text.txt", Path(folder) / "cache"
        write_text(text, books or [standard_library(STANDARD_LIBRARY_BYTES)], size)
        print_table(
            [f"part, {size / 1e6:,g} MB of text", "seconds", "peak memory"],
            measured(prepare(text, cache)),
        )


if __name__ == "__main__":
    main()

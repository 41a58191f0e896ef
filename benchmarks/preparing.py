"""Seconds and memory to prepare a large text: read, train a tokenizer, tokenise, find it again.

python -m benchmarks.preparing --megabytes 300 book.txt another.txt
"""

from __future__ import annotations

import argparse
import random
import resource
import string
import tempfile
import time
from pathlib import Path

from tfcli.text.corpus import open_corpus
from tfcli.text.token_cache import tokenize_corpus
from tfcli.text.tokenizer_training import train_tokenizer

LINES, EXCHANGED = 300, 8  # lines in a run; every so manieth run has its letters exchanged


def write_text(path: Path, books: list[Path], size: int) -> None:
    """Writes about `size` bytes in runs of lines of the books."""
    source = random.Random(1)
    lines = [line for book in books for line in book.read_bytes().splitlines(keepends=True)]
    letters = string.ascii_lowercase
    written = count = 0
    with path.open("wb") as file:
        while written < size:
            first = source.randrange(max(1, len(lines) - LINES))
            run = b"".join(lines[first : first + LINES])
            count += 1
            if count % EXCHANGED == 0:
                others = "".join(source.sample(letters, len(letters)))
                run = run.translate(bytes.maketrans(letters.encode(), others.encode()))
            written += file.write(run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", nargs="+", type=Path)
    parser.add_argument("--megabytes", type=int, default=300)
    wanted = parser.parse_args()
    began = time.perf_counter()

    def say(what: str) -> None:
        nonlocal began
        now = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # KiB on Linux
        print(f"{what:<20} {now - began:8.2f} s   peak {peak} MB", flush=True)
        began = now

    with tempfile.TemporaryDirectory() as folder:
        text, cache = Path(folder) / "text.txt", Path(folder) / "cache"
        write_text(text, wanted.books, wanted.megabytes * 10**6)
        say("(making the text)")
        corpus = open_corpus([text], cache=cache)
        say("reading")
        tokenizer, report = train_tokenizer(
            (piece.data for piece in corpus.training()), text_bytes=corpus.scan.training_bytes
        )
        say(f"tokenizer of {report.vocab_size:,}")
        tokenize_corpus(corpus, tokenizer, cache=cache)
        say("tokenising")
        tokenize_corpus(open_corpus([text], cache=cache), tokenizer, cache=cache)
        say("finding it again")


if __name__ == "__main__":
    main()

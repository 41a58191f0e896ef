"""Seconds and memory to trace a text to its training text, and to audit a model's memory of it.

    python -m benchmarks.insight [BOOK ...] [--megabytes 100]

The training text is made as in `benchmarks.preparing`. What is traced are 200 lines: a hundred that
it has and a hundred with their words shuffled. The audit prompts a model with random weights, of
the size that five minutes on two cores train, with 1,000 passages of it. Processor seconds are
those of all threads; memory is the peak of the process so far.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.preparing import write_text
from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.runs import make_run
from benchmarks.texts import STANDARD_LIBRARY_BYTES, standard_library
from tfcli.generation.open_engine import open_best, open_engine
from tfcli.insight.extraction import ROWS
from tfcli.insight.memorization import audit_memory
from tfcli.insight.trace import trace
from tfcli.insight.training_text import TrainingText
from tfcli.model.config import named_config
from tfcli.text.corpus import open_corpus
from tfcli.text.tokenizer_training import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.runs.run import Run
    from tfcli.text.corpus import Corpus

LINES = 200


def run_on(corpus: Corpus, folder: Path) -> Run:
    """A run with random weights whose `run.json` says that it was trained on this text."""
    tokenizer, report = train_tokenizer(
        (chunk.data for chunk in corpus.training()), text_bytes=corpus.scan.training_bytes,
        vocab_size=1024,
    )  # fmt: skip
    config = named_config(
        "nano",
        vocab_size=report.vocab_size,
        context_length=256,
        num_layers=3,
        d_model=192,
        num_heads=3,
    )
    run = make_run(config, tokenizer, folder / "run")
    scan = corpus.scan
    run.metadata["corpus"] |= {
        "sources": [str(path) for path in corpus.sources], "bytes": scan.bytes,
        "documents": scan.documents, "fingerprint": scan.fingerprint, "training_tokens": 1,
        "training_bytes": scan.training_bytes, "held_out": [list(each) for each in scan.held_out],
        "reading": None, "parts": [], "val": None,
    }  # fmt: skip
    return run


def lines_to_trace(path: Path, size: int) -> bytes:
    """Half of them from the middle of the text, half of these words in another order."""
    with path.open("rb") as file:
        file.seek(size // 2)
        file.readline()
        lines = [file.readline() for _ in range(LINES // 2)]
    words = b"".join(lines).decode(errors="ignore").split()
    random.Random(0).shuffle(words)
    shuffled = [" ".join(words[place :: LINES // 2]) for place in range(LINES // 2)]
    return b"".join(lines) + "\n".join(shuffled).encode()


def measure(what: str, work: Callable[[], str]) -> tuple[str, ...]:
    """A row of the table."""
    began, used = time.monotonic(), time.process_time()
    said = work()
    seconds, processor = time.monotonic() - began, time.process_time() - used
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return what, f"{seconds:.1f}", f"{processor:.1f}", f"{peak / 1e6:.0f} MB", said


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = new_parser(__doc__)
    parser.add_argument("books", nargs="*", type=Path, metavar="BOOK")
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args(arguments)
    size = 300_000 if options.tiny else options.megabytes * 1_000_000
    windows = 20 if options.tiny else 1000
    books = [path.read_bytes() for path in options.books]
    print_heading("insight", arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        write_text(path, books or [standard_library(STANDARD_LIBRARY_BYTES)], size)
        run = run_on(open_corpus([path], cache=Path(folder) / "cache"), Path(folder))
        text = TrainingText(run)
        lines = lines_to_trace(path, size)

        def traced() -> str:
            found = trace(lines, text)
            return f"{len(found.spans):,} spans, {found.marked_bytes / len(lines):.0%} of the text"

        def audited() -> str:
            _, engine = open_best(
                run, None, lambda step: open_engine(run, step, "cpu", rows=ROWS), on_damaged=print
            )
            audit = audit_memory(text, run.tokenizer(), engine, windows=windows)
            return f"{audit.training.greedy.windows:,} passages" if audit else "no passages"

        columns = ["of 100 MB", "seconds", "processor seconds", "memory", "found"]
        works = {f"trace {len(lines) / 1000:.0f} kB": traced, "audit memory": audited}
        print_table(columns, (measure(what, work) for what, work in works.items()))


if __name__ == "__main__":
    main()

"""What a memory of the training text gains, and what it costs.

    python -m benchmarks.memory RUN ...
    python -m benchmarks.memory BOOK ... --megabytes 100

For runs that have a memory (`tfcli runs memory`): the loss on all held-out text of the model alone,
of the n-grams alone and of both, and the speed with the memory as a share of that without, median
of alternating repetitions. With --megabytes: how long the index of a text of that size takes and
how large it gets; the text is made as in `benchmarks.preparing`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.preparing import write_text
from benchmarks.report import new_parser, print_heading, print_table
from benchmarks.runs import make_run, number_tokenizer
from benchmarks.texts import STANDARD_LIBRARY_BYTES, standard_library
from tfcli.generation.generate import Generator, RequestList, TokenEvent
from tfcli.generation.memory import ROWS, make_memory, measure_memory, open_memory_engine
from tfcli.generation.open_engine import open_best, open_engine
from tfcli.generation.request import GenerationRequest
from tfcli.model.config import named_config
from tfcli.runs.memory import read_memory, write_memory
from tfcli.runs.run import find_run
from tfcli.text.corpus import CACHE, open_corpus
from tfcli.text.kneser_ney import KneserNey
from tfcli.text.ngram_index import build_index, read_index, write_index
from tfcli.text.token_cache import open_token_cache, tokenize_corpus
from tfcli.text.tokenizer_training import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.generation.engines.engine import Engine
    from tfcli.generation.mixing import Weights
    from tfcli.runs.run import Run
    from tfcli.text.token_cache import TokenizedCorpus

REPETITIONS, TOKENS = 5, 400
BATCH = 16
NGRAMS_ALONE: Weights = np.array([[0.0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def engine_of(run: Run, rows: int) -> Engine:
    _, engine = open_best(
        run, None, lambda step: open_engine(run, step, rows=rows), on_damaged=print
    )
    return engine


def corpus_of(run: Run, cache: Path) -> TokenizedCorpus:
    weights = tuple(part.weight for part in run.corpus.parts) or (1.0,)
    return open_token_cache(run.corpus.token_cache, cache=cache, weights=weights)


def compare(run: Run, cache: Path, *, tokens: int) -> list[str]:
    """A row of the table."""
    tokenizer, (index, memory) = run.tokenizer(), read_memory(run)
    held_out, ngrams = corpus_of(run, cache).held_out, KneserNey(index, memory.discounts)
    engine = engine_of(run, ROWS)
    losses = [
        measure_memory(engine, tokenizer, ngrams, weights, held_out, limit=None)
        for weights in (memory.matrix, NGRAMS_ALONE)
    ]
    both, alone = losses
    assert both, "there is held-out text"
    assert alone
    figures = (both.weights_alone, alone.nats_per_byte, both.nats_per_byte)
    return [
        run.name, memory.fitted_on, f"{both.bytes:,}", *(f"{figure:.4f}" for figure in figures),
        f"{both.nats_per_byte - both.weights_alone:+.4f}",
        *(f"{relative_speed(run, rows, tokens):.2f}" for rows in (1, BATCH)),
    ]  # fmt: skip


def relative_speed(run: Run, rows: int, tokens: int) -> float:
    """Tokens a second with the memory, relative to without."""
    alone = engine_of(run, rows)
    mixed = open_memory_engine(engine_of(run, rows), run, rows=rows)
    ratios = [
        seconds(run, alone, rows, tokens, seed) / seconds(run, mixed, rows, tokens, seed)
        for seed in range(REPETITIONS)
    ]
    return statistics.median(ratios)


def seconds(run: Run, engine: Engine, rows: int, tokens: int, seed: int) -> float:
    """How long so many tokens take in each row, after the first."""
    requests = [
        GenerationRequest(max_new_tokens=tokens, ignore_eos=True, seed=seed, row=row)
        for row in range(rows)
    ]
    generator = Generator(engine, run.tokenizer(), rows=rows)
    times = [
        time.perf_counter()
        for event in generator.stream(RequestList(requests))
        if isinstance(event, TokenEvent)
    ]
    return times[-1] - times[0]


def build(text: Path, cache: Path) -> Iterator[tuple[str, str]]:
    """What was measured of the index of a text."""
    corpus = open_corpus([text], cache=cache)
    tokenizer, _ = train_tokenizer(
        (chunk.data for chunk in corpus.training()), text_bytes=corpus.scan.training_bytes
    )
    tokens = tokenize_corpus(corpus, tokenizer, cache=cache)
    eos = tokenizer.special.eos
    assert eos is not None
    yield "vocabulary", f"{tokenizer.vocab_size:,}"
    yield "tokens", f"{len(tokens.training):,}"
    began = time.perf_counter()
    ids = np.asarray(tokens.training[:])
    index = build_index(ids, vocab_size=tokenizer.vocab_size, eos=eos)
    yield "building, s", f"{time.perf_counter() - began:.2f}"
    began = time.perf_counter()
    ngrams = KneserNey(index)
    yield "discounts, s", f"{time.perf_counter() - began:.2f}"
    yield "size, MB", f"{index.nbytes / 1e6:.1f}"
    yield "size, bytes a byte of text", f"{index.nbytes / tokens.training_bytes:.2f}"
    write_index(cache / "index", index)
    began = time.perf_counter()
    KneserNey(read_index(cache / "index"), ngrams.discounts)
    yield "opening, s", f"{time.perf_counter() - began:.2f}"
    began = time.perf_counter()
    places = range(10, min(10_010, len(ids)))
    for at in places:
        ngrams.after(ids[at - 8 : at].tolist())
    yield "a token, µs", f"{(time.perf_counter() - began) / len(places) * 1e6:.0f}"


def tiny_run(folder: Path) -> Run:
    """A run with random text, whose memory is made here."""
    tokenizer = number_tokenizer(320)
    config = named_config(
        "nano", vocab_size=320, context_length=16, num_layers=1, d_model=32, num_heads=1
    )
    run = make_run(config, tokenizer, folder / "tiny")
    made = make_memory(run, corpus_of(run, folder / ".cache"), engine_of(run, ROWS), step=1)
    write_memory(run.path, *made)
    return run


def main(arguments: Sequence[str] | None = None) -> None:
    parser = new_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="RUN or BOOK")
    parser.add_argument("--megabytes", type=float)
    wanted = parser.parse_args(arguments)
    print_heading("memory", arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if wanted.megabytes is not None:
            books = [Path(book).read_bytes() for book in wanted.names]
            books = books or [standard_library(STANDARD_LIBRARY_BYTES)]
            write_text(folder / "text.txt", books, int(wanted.megabytes * 1e6))
            print_table(["of the index", ""], build(folder / "text.txt", folder / "cache"))
            return
        runs = [(find_run(run)[0], CACHE) for run in wanted.names]
        if wanted.tiny:
            runs = [(tiny_run(folder), folder / ".cache")]
        print_table(
            ["run", "fitted on", "bytes", "model", "5-grams", "both", "gain", "speed, 1 row",
             f"{BATCH} rows"],
            (compare(run, cache, tokens=8 if wanted.tiny else TOKENS) for run, cache in runs),
        )  # fmt: skip


if __name__ == "__main__":
    main()

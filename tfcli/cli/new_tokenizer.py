"""Training a tokenizer from the command line: with progress, and what came of it in words."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.humanize import format_bytes
from tfcli.cli.render import LINE_EVERY
from tfcli.text.tokenizer_training import SAMPLE, train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.text.corpus import Corpus
    from tfcli.text.sentencepiece_trainer import TokenizerType
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.text.tokenizer_training import TokenizerReport


def make_tokenizer(
    corpus: Corpus,
    reporter: streams.Reporter,
    *,
    type: TokenizerType,
    vocab_size: int | None,
    user_defined_symbols: tuple[str, ...] = (),
    seconds: float | None = None,
) -> tuple[Tokenizer, TokenizerReport]:
    """Trains a tokenizer on what a corpus has to train on; see `train_tokenizer`."""
    with _progress(quiet=reporter.quiet) as waiting:
        tokenizer, report = train_tokenizer(
            (chunk.data for chunk in corpus.training()),
            text_bytes=corpus.scan.training_bytes,
            type=type,
            vocab_size=vocab_size,
            user_defined_symbols=user_defined_symbols,
            seconds=seconds,
            waiting=waiting,
        )
    _report_reduced(report, asked=vocab_size is not None, reporter=reporter)
    return tokenizer, report


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[float], None]]:
    """Says on stderr how long the tokenizer has been in training, once that takes a while.

    Yields:
        a function to call now and then with the seconds since the start.

    """
    on_terminal = streams.is_terminal(sys.stderr)
    following = streams.PROGRESS_DELAY

    def report(seconds: float) -> None:
        nonlocal following
        if quiet or seconds < following:
            return
        text = f"Training the tokenizer: {seconds:.0f} s"
        if on_terminal:
            streams.draw_line(text)
        else:
            following = seconds + LINE_EVERY
            streams.say(text)

    try:
        yield report
    finally:
        if on_terminal:
            streams.draw_line("")


def _report_reduced(report: TokenizerReport, *, asked: bool, reporter: streams.Reporter) -> None:
    """Says so where there was time, or text, for less than requested."""
    if report.sample_bytes < min(SAMPLE, report.text_bytes) // 2:
        reporter.note(
            "Note: to stay within the time budget, the tokenizer was trained on "
            f"{format_bytes(report.sample_bytes)} of {format_bytes(report.text_bytes)}; "
            "`tfcli tokenizer train` has no limit."
        )
    if asked and report.vocab_size < report.wanted:
        reporter.note(
            f"Note: this text allows a vocabulary of {report.vocab_size:,}, not the "
            f"{report.wanted:,} requested."
        )

"""The memory of a run being made, with its messages: for `train` and `runs memory`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from tfcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli import streams
    from tfcli.runs.memory import Memory
    from tfcli.runs.run import Run
    from tfcli.runtime.device import Device
    from tfcli.text.token_cache import TokenizedCorpus
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.options import TrainOptions


# What making a memory takes on two cores, on texts of 1 to 2 MB: index, fit and evaluation.
LEAST_SECONDS, SECONDS_A_TOKEN = 2.0, 2e-6
MOST_SHARE = 0.1  # of a budget of time


def leave_time(options: TrainOptions, tokens: int) -> TrainOptions:
    """Options with a budget of time less what making the memory will take."""
    budget = options.time_budget
    if budget is None:
        return options
    taken = min(LEAST_SECONDS + SECONDS_A_TOKEN * tokens, MOST_SHARE * budget)
    return replace(options, seconds=budget - taken)


def keep_out(corpus: TokenizedCorpus, tokenizer: Tokenizer) -> TokenizedCorpus:
    """A text without the slice of its training part that the mixture is fitted on."""
    from tfcli.generation.memory import kept_out

    if corpus.training_targets is not None:
        raise UsageError("--memory is for text; there is none of pairs of prompt and answer")
    whole = len(corpus.training)
    last_part = whole - (corpus.ends[-2] if len(corpus.ends) > 1 else 0)
    return corpus.first(whole - kept_out(last_part, tokenizer.vocab_size))


def add_memory(
    run: Run, reporter: streams.Reporter, *, device: str = "auto", files: Sequence[str] = ()
) -> Memory:
    """Makes the memory of a run, or makes it again. To be called while the folder is locked.

    Args:
        files: where its text is now; none: where it was.

    Raises:
        DataError: the run was imported, or its text has changed.
        NotFoundError: its text is gone.

    """
    from tfcli.cli.best_step import open_best_step
    from tfcli.cli.render import progress
    from tfcli.generation.memory import ROWS, STAGES, make_memory
    from tfcli.generation.open_engine import open_engine
    from tfcli.runs.memory import write_memory
    from tfcli.text.corpus import CACHE
    from tfcli.text.sources import find_sources
    from tfcli.training.run_text import tokens_of

    if not run.corpus.training_tokens:
        raise DataError(
            f"run {run.name!r} has no training text to make a memory of",
            why="it was imported, and what its model was trained on is not known",
            hint=f"tfcli train FILE --from {shlex.quote(run.argument)} --memory   # on your text",
        )
    if run.form:
        raise DataError(f"{run.name!r} was trained on pairs, of which there is no memory")
    sources = find_sources(files) if files else None
    total = run.corpus.bytes
    with progress("Tokenizing", total=total, quiet=reporter.quiet) as done:
        corpus = tokens_of(run, run.tokenizer(), CACHE, sources, done, "runs memory")
    step, engine = open_best_step(
        run, None, lambda step: open_engine(run, step, cast("Device", device), rows=ROWS), reporter
    )
    with progress("Building memory", total=corpus.training_bytes, quiet=reporter.quiet) as done:

        def report(stage: int) -> None:
            done(corpus.training_bytes * stage // STAGES)

        index, memory = make_memory(run, corpus, engine, step=step.state.step, progress=report)
    write_memory(run.path, index, memory)
    reporter.note(describe(memory, index.nbytes))
    return memory


def describe(memory: Memory, size: int | None = None) -> str:
    """What a memory gains, in a sentence, with its protocol."""
    from tfcli.cli.humanize import format_bytes

    disk = f", {format_bytes(size)} on disk" if size is not None else ""
    about = f"{memory.tokens:,} tokens{disk}"
    found = memory.held_out
    if found is None:
        return f"Memory: {about}; nothing is held out to measure it on."
    part = "" if found.whole else ", evenly spaced subset"
    helps = "" if found.nats_per_byte < found.weights_alone else " It does not help this model."
    return (
        f"With memory: {found.nats_per_byte:z.4f} nats/byte, without {found.weights_alone:z.4f}, "
        f"on the same {found.bytes:,} bytes (context {found.context}, stride {found.stride}"
        f"{part}); {about}.{helps} It holds the training text itself."
    )

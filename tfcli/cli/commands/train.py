"""`tfcli train`: from text to a trained model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from tfcli.cli import streams
from tfcli.cli.command import flag, given_options, takes_options
from tfcli.cli.pair_notes import show_example
from tfcli.cli.shared_options import (
    JsonOption,
    QuietOption,
    ThreadOptions,
    seed_option,
    typer_option,
)
from tfcli.cli.training_notes import planned_json, tokenizer_type_for
from tfcli.errors import UsageError
from tfcli.options import OptionError, Options, make_options, option, values_of
from tfcli.quantities import parse_count
from tfcli.runtime.device import Device
from tfcli.text.reading_options import DATA, READABLE, ReadingOptions
from tfcli.text.sentencepiece_trainer import TokenizerType
from tfcli.text.user_defined_symbols import SYMBOLS_HELP, parse_symbols
from tfcli.training.options import TrainOptions

if TYPE_CHECKING:
    from tfcli.cli.training_session import TrainingSession

TOKENIZER = "Tokenizer"


@dataclass(frozen=True, kw_only=True)
class CorpusOptions(Options):
    """How the text is read."""

    tokenizer: str | None = option(
        None, short="t", metavar="NAME", shown_default="trained on the text", panel=TOKENIZER,
        conflicts=("vocab_size", "tokenizer_type", "user_defined_symbols"),
        help="Use an existing tokenizer.",
    )  # fmt: skip
    vocab_size: int | None = option(
        None, from_text=parse_count, shown_default="from the size of the text", panel=TOKENIZER,
        help="Vocabulary size of the tokenizer to train.",
    )  # fmt: skip
    tokenizer_type: TokenizerType | None = option(
        None, shown_default="bpe; char for short pairs", panel=TOKENIZER,
        help="Type of the tokenizer to train.",
    )  # fmt: skip
    user_defined_symbols: tuple[str, ...] = option(
        (), metavar="A,B", panel=TOKENIZER, from_text=parse_symbols, help=SYMBOLS_HELP
    )
    val_fraction: float = option(
        0.1, min=0, max=0.9, metavar="FRACTION", panel=DATA,
        help="Fraction of each text to hold out for evaluation.",
    )  # fmt: skip
    val: tuple[str, ...] = option(
        (), metavar="FILE", panel=DATA, conflicts=("val_fraction",),
        help="Hold out this file instead of a fraction; repeatable.",
    )  # fmt: skip
    exclude: tuple[str, ...] = option(
        (), metavar="GLOB", panel=DATA, help="Leave out files of folders; repeatable."
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CommandOptions(Options):
    """What concerns this call of `train`, not the model."""

    sample_prompt: str = option("", metavar="TEXT", help="Prompt for samples during training.")
    dry_run: bool = option(False, help="Show the plan without training.")
    memory: bool = option(
        False,
        help="Also make a memory of the text, for generate --memory; takes seconds more, and holds "
        "the text itself.",
    )
    seed: int = seed_option()
    device: Device = option("auto", help="Where to compute.")


FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help=f"Files, folders, globs, - for stdin: {READABLE}. "
        "FILE:2 samples a file twice as often.",
        show_default=False,
    ),
]
NameOption = Annotated[
    str | None,
    typer_option(
        "--run", "--name", help="Name of the run.", metavar="NAME", shown_default="from the file"
    ),
]
BaseOption = Annotated[
    str | None,
    typer_option("--from", help="Initialize from another run, and use its tokenizer.",
                 metavar="RUN", envvar="TFCLI_TRAIN_FROM"),
]  # fmt: skip
ResumeOption = Annotated[
    str | None,
    typer_option(
        "--resume",
        metavar="RUN",
        help="Resume a run from its latest checkpoint; name FILE only if its text has moved.",
    ),
]


@takes_options
def train(
    context: typer.Context,
    *,
    files: FilesArgument = None,
    run: NameOption = None,
    base: BaseOption = None,
    resume: ResumeOption = None,
    options: TrainOptions,
    text: CorpusOptions,
    reading: ReadingOptions,
    command: CommandOptions,
    cpu: ThreadOptions,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a model on text.

    tfcli train book.txt --time 5m
    tfcli train notes/ 'poems/*.md' --run mine --time 1h
    tfcli train --resume mine --time 10m
    """
    from tfcli.cli.training_session import TrainingSession

    cpu.apply()
    given = given_options(context, environment=False)
    if files and "resume" not in given:
        resume = None  # the command line overrides the environment
    if resume is not None:
        _check_resume(resume, given)
        # the environment is for new runs: a resumed one keeps its plan
        options = make_options(
            TrainOptions, {name: v for name, v in values_of(options).items() if name in given}
        )
    elif not files:
        raise UsageError("no text to train on", hint="tfcli train book.txt --time 60s")
    if base is not None:
        base, options = _without_overridden(base, options, given)
    own_tokenizer = given & {"tokenizer", "vocab_size", "tokenizer_type", "user_defined_symbols"}
    if base is not None and own_tokenizer:
        if "base" in given:
            raise OptionError(min(own_tokenizer), "cannot be combined with", "from",
                              hint=f"tfcli train FILE --from {base}")  # fmt: skip
        base = None
    session = TrainingSession(
        reporter=streams.Reporter(quiet=quiet),
        started=context.obj,
        sample_prompt=command.sample_prompt,
        json=json,
        memory=command.memory,
    )
    with session.join_processes() as is_main:
        if not is_main:
            session.run_worker(command.device)
        elif resume is not None:
            session.resume(
                resume, options,
                device=command.device, files=files or (), dry_run=command.dry_run,
            )  # fmt: skip
        elif files:
            _train_new(session, options, text, reading, command, files, run, base)


def _train_new(
    session: TrainingSession,
    options: TrainOptions,
    text: CorpusOptions,
    reading: ReadingOptions,
    command: CommandOptions,
    files: list[str],
    name: str | None,
    base: str | None,
) -> None:
    with session.open_text(
        files, name, reading,
        val_fraction=text.val_fraction, val=text.val, exclude=text.exclude,
    ) as (path, corpus):  # fmt: skip
        start = None if base is None else session.find_base(base)
        tokenizer = (
            start.run.tokenizer()
            if start
            else session.choose_tokenizer(
                corpus,
                text.tokenizer,
                text.tokenizer_type or tokenizer_type_for(corpus),
                text.vocab_size,
                text.user_defined_symbols,
                seconds=options.time_budget,
            )
        )
        job = session.plan(
            corpus, tokenizer, options,
            name=path.name, seed=command.seed, device=command.device, base=start,
            tokenizer_is_given=start is not None or text.tokenizer is not None,
            is_result=command.dry_run and not session.json,
        )  # fmt: skip
        if command.dry_run and corpus.form and not session.json:
            show_example(job)
        if not command.dry_run:
            session.train(job, path, corpus)
        elif session.json:
            streams.write_json_result(planned_json(job, corpus))


def _without_overridden(
    base: str, options: TrainOptions, given: set[str]
) -> tuple[str | None, TrainOptions]:
    """Without what the environment says and the command line excludes: --from, or a new model.

    Args:
        given: the options on the command line.

    """
    from tfcli.training.sizing import SHAPE

    new_model = {*SHAPE, "init"}
    if "base" not in given:
        return (None if given & new_model else base), options
    kept = {
        name: value
        for name, value in values_of(options).items()
        if name in given or name not in new_model
    }
    return base, make_options(TrainOptions, kept)


# What can stand beside --resume; a run keeps everything else as it was planned.
RESUMABLE = {
    "files", "resume", "time", "steps", "shard", "device", "sample_prompt", "memory", "dry_run",
    "json", "quiet",
}  # fmt: skip


def _check_resume(resume: str, given: set[str]) -> None:
    """Raises UsageError where an option was given that a resumed run cannot change."""
    if "run" in given:
        raise UsageError("--resume uses the run's own name", hint=f"tfcli train --resume {resume}")
    if more := given & {"epochs", "tokens"}:
        raise OptionError(min(more), "cannot be combined with", "resume",
                          hint="extend the budget with --time or --steps")  # fmt: skip
    if fixed := given - RESUMABLE:
        name = "from" if min(fixed) == "base" else min(fixed)
        raise UsageError(
            f"a resumed run keeps its plan: {flag(name)} cannot be changed",
            hint=f"tfcli train --resume {resume}",
        )

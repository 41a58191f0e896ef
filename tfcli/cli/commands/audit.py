"""`tfcli audit`: what a model knows by heart, and which of two sentences it prefers.

Each audit is a command of this group: figures from `tfcli.insight`, shown here.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import typer

from tfcli.cli import streams
from tfcli.cli.command import Command, Group, takes_options
from tfcli.cli.shared_options import (
    JsonOption,
    QuietOption,
    RunArgument,
    SourceOption,
    ThreadOptions,
)
from tfcli.errors import DataError, UsageError
from tfcli.options import Options, option
from tfcli.runtime.device import Device

app = typer.Typer(cls=Group, no_args_is_help=True, help="Audit what a model has learned.")


@dataclass(frozen=True, kw_only=True)
class AuditOptions(Options):
    """How much is tried."""

    windows: int = option(1000, min=10, max=100_000, help="Passages to try, spread over the text.")
    canaries: str | None = option(
        None, metavar="KEY", help="Key file of canaries that tfcli text canaries planted."
    )
    device: Device = option("auto", help="Where to compute.")


@app.callback()
def main() -> None:
    """Audit what a model has learned."""


@app.command("memory", cls=Command)
@takes_options
def memory(
    options: AuditOptions,
    cpu: ThreadOptions,
    run: RunArgument = None,
    source: SourceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Measure how much of its training text a model knows by heart.

    Prompts it with passages of the text, and of held-out text beside them,
    and tells how many it continues word for word. Nothing is changed.

    tfcli audit memory tale
    """
    cpu.apply()
    from tfcli.cli.audit_output import write_memory_audit
    from tfcli.cli.render import share_progress
    from tfcli.generation.open_engine import open_best, open_engine
    from tfcli.insight.canaries import read_key
    from tfcli.insight.extraction import ROWS
    from tfcli.insight.memorization import audit_memory
    from tfcli.insight.training_text import TrainingText
    from tfcli.runs.run import find_run

    reporter = streams.Reporter(quiet=quiet)
    found, step_path = find_run(run)
    key = read_key(options.canaries) if options.canaries else None
    text = TrainingText(found, source or ())
    step, engine = open_best(
        found, step_path,
        lambda step: open_engine(found, step, options.device, rows=ROWS),
        on_damaged=reporter.warn,
    )  # fmt: skip
    with share_progress("Prompting", quiet=quiet) as progress:
        audit = audit_memory(
            text, found.tokenizer(), engine, windows=options.windows, key=key, progress=progress
        )
    if audit is None:
        raise DataError(
            f"no passage of the text of {found.name!r} is long enough to be tried",
            why="its documents, or the context of the model, hold fewer than 50 bytes",
        )
    if json:
        named = {"run": found.name, "step": step.state.step}
        streams.write_json_result(named | audit.to_json())
    else:
        write_memory_audit(audit, found.name, step.state.step)
        reporter.next(f"tfcli audit memory {shlex.quote(found.argument)} --json")


@dataclass(frozen=True, kw_only=True)
class BiasOptions(Options):
    """Which pairs are asked about."""

    language: str = option("en", help="Our own pairs, where no file is given: en or es.")
    device: Device = option("auto", help="Where to compute.")


@app.command("bias", cls=Command)
@takes_options
def bias(
    options: BiasOptions,
    cpu: ThreadOptions,
    run: RunArgument = None,
    pairs: Annotated[
        Path | None,
        typer.Argument(
            metavar="PAIRS", help="A table with columns more and less, and group if wanted.",
            show_default="our own",
        ),
    ] = None,
    source: SourceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Measure which of two sentences a model prefers.

    Compares sentences that differ in what is asked about, in nats, and
    tells how far the training text itself prefers one. Nothing is changed.

    tfcli audit bias tale --language es
    tfcli audit bias tale pairs.tsv
    """
    cpu.apply()
    from tfcli.cli.bias_output import write_bias_audit
    from tfcli.cli.render import share_progress
    from tfcli.generation.open_engine import open_best, open_engine
    from tfcli.insight.bias import ROWS, audit_bias
    from tfcli.insight.sentence_pairs import PairLanguage, open_pairs, our_pairs
    from tfcli.insight.training_text import texts_of
    from tfcli.runs.run import find_run

    reporter = streams.Reporter(quiet=quiet)
    if options.language not in get_args(PairLanguage):
        raise UsageError(
            f"there are no pairs of our own in {options.language!r}",
            hint="--language es, or PAIRS: a file of your own",
        )
    asked = open_pairs(pairs) if pairs else our_pairs("es" if options.language == "es" else "en")
    found, step_path = find_run(run)
    known = bool(found.corpus.training_tokens)
    step, engine = open_best(
        found, step_path,
        lambda step: open_engine(found, step, options.device, rows=ROWS),
        on_damaged=reporter.warn,
    )  # fmt: skip
    with share_progress("Scoring", quiet=quiet) as progress:
        groups = audit_bias(
            engine, found.tokenizer(), asked, texts_of(found, source or ()) if known else (),
            rows=ROWS, progress=lambda done: progress(done / len(asked)),
        )  # fmt: skip
    if json:
        named = {"run": found.name, "step": step.state.step, "text_known": known}
        streams.write_json_result(named | {"groups": [group.to_json() for group in groups]})
        return
    write_bias_audit(groups, found.name, step.state.step, text_known=known)

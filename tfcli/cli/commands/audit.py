"""`tfcli audit`: what a model knows by heart, what it prefers, and which texts it knows.

Each audit is a command of this group: figures from `tfcli.insight`, shown here.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from tfcli.cli import streams
from tfcli.cli.audit_records import note_trained_on, save_audit
from tfcli.cli.command import Command, Group, takes_options
from tfcli.cli.pages.files import require_page, write_page
from tfcli.cli.shared_options import (
    HtmlOption,
    JsonOption,
    QuietOption,
    RunArgument,
    SourceOption,
    ThreadOptions,
    typer_option,
)
from tfcli.errors import DataError, UsageError
from tfcli.files import hash_file
from tfcli.options import Options, option
from tfcli.runtime.device import Device
from tfcli.text.reading_options import ReadingOptions

if TYPE_CHECKING:
    from tfcli.runs.run import Run

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
    and tells how many it continues word for word. The figures are saved with
    the run for `tfcli runs card`; the model and the text are not changed.

    tfcli audit memory tale
    """
    cpu.apply()
    from tfcli.cli.audit_output import write_memory_audit
    from tfcli.cli.best_step import open_best_step
    from tfcli.cli.render import share_progress
    from tfcli.generation.open_engine import open_engine
    from tfcli.insight.canaries import read_key
    from tfcli.insight.extraction import ROWS
    from tfcli.insight.memorization import audit_memory
    from tfcli.insight.training_text import TrainingText
    from tfcli.runs.run import find_run

    reporter = streams.Reporter(quiet=quiet)
    found, step_path = find_run(run)
    _note_on_pairs(found, "passages are cut across prompts and answers", reporter)
    key = read_key(options.canaries) if options.canaries else None
    text = TrainingText(found, source or ())
    step, engine = open_best_step(
        found, step_path, lambda step: open_engine(found, step, options.device, rows=ROWS), reporter
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
    save_audit(found, step, "memory", audit.summary() | {"text_sha256": found.corpus.fingerprint},
         reporter)  # fmt: skip
    if json:
        named = {"run": found.name, "step": step.state.step}
        streams.write_json_result(named | audit.to_json())
    else:
        write_memory_audit(audit, found.name, step.state.step)
        reporter.next(f"tfcli audit memory {shlex.quote(run or found.argument)} --json")


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
    tells how far the training text itself prefers one. The figures are saved
    with the run for `tfcli runs card`; the model and the text are not changed.

    tfcli audit bias tale --language es
    tfcli audit bias tale pairs.tsv
    """
    cpu.apply()
    from tfcli.cli.best_step import open_best_step
    from tfcli.cli.bias_output import write_bias_audit
    from tfcli.cli.render import share_progress
    from tfcli.generation.open_engine import open_engine
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
    step, engine = open_best_step(
        found, step_path, lambda step: open_engine(found, step, options.device, rows=ROWS), reporter
    )  # fmt: skip
    with share_progress("Scoring", quiet=quiet) as progress:
        groups = audit_bias(
            engine, found.tokenizer(), asked, texts_of(found, source or ()) if known else (),
            rows=ROWS, many_documents=found.many_documents,
            progress=lambda done: progress(done / len(asked)),
        )  # fmt: skip
    figures = [group.to_json() for group in groups]
    hashed = hash_file(pairs) if pairs else None
    save_audit(found, step, "bias", {
        "pairs": pairs.name if pairs else f"our own, {options.language}",
        "pairs_sha256": hashed and hashed.sha256, "groups": figures,
    }, reporter)  # fmt: skip
    if json:
        named = {"run": found.name, "step": step.state.step, "text_known": known}
        streams.write_json_result(named | {"groups": figures})
        return
    write_bias_audit(groups, found.name, step.state.step, text_known=known)


@app.command("groups", cls=Command)
@takes_options
def groups(
    reading: ReadingOptions,
    cpu: ThreadOptions,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN FILE...", help="A run, and the texts to compare: files, folders, globs.",
            show_default=False,
        ),
    ],
    by: Annotated[
        str | None,
        typer_option("--by", metavar="FIELD", shown_default="the file",
                     help="Compare the values of a field of JSON or CSV rows instead of files."),
    ] = None,
    device: Annotated[Device, typer_option("--device", help="Where to compute.")] = "auto",
    html: HtmlOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Compare loss and tokens per byte across files or field values.

    With intervals, for several texts or languages. Use texts that were not
    trained on. The figures are saved with the run for `tfcli runs card`; the
    model and the text are not changed.

    tfcli audit groups tale en.txt es.txt
    tfcli audit groups tale rows.jsonl --by language --html groups.html
    """
    cpu.apply()
    from tfcli.cli.best_step import open_best_step
    from tfcli.cli.groups_output import draw_groups, write_groups
    from tfcli.cli.render import progress
    from tfcli.generation.open_engine import open_engine
    from tfcli.insight.groups import ROWS, audit_groups, read_pieces
    from tfcli.runs.run import find_run
    from tfcli.text.sources import find_sources

    reporter = streams.Reporter(quiet=quiet)
    require_page(html)
    if len(names) < 2:
        named = shlex.quote(names[0])
        rest = f"RUN {named}" if Path(names[0]).is_file() else f"{named} FILE"
        raise UsageError("audit groups takes a run and texts", hint=f"tfcli audit groups {rest}")
    found, step_path = find_run(names[0])
    given = find_sources(names[1:])
    reading.require_named(given.met)
    sources = given.files
    hashes = {source: hash_file(source) for source in sources}
    known = note_trained_on(found, hashes, reporter)
    _note_on_pairs(found, "prompts count as well as answers", reporter)
    step, engine = open_best_step(
        found, step_path, lambda step: open_engine(found, step, device, rows=ROWS), reporter
    )  # fmt: skip
    total = sum(source.stat().st_size for source in sources if source.is_file())
    with progress("Scoring", total=total or None, quiet=quiet) as done:
        losses = audit_groups(
            engine, found.tokenizer(), read_pieces(sources, reading, by, reporter.note), rows=ROWS,
            many_documents=found.many_documents, progress=done,
        )  # fmt: skip
    if not losses:
        raise DataError("these files hold no text")
    figures = [loss.to_json() for loss in losses]
    save_audit(found, step, "groups", {
        "by": by, "groups": figures, "trained_on": known,
        "sources": [
            {"name": source.name, "sha256": hashed and hashed.sha256}
            for source, hashed in hashes.items()
        ],
    }, reporter)  # fmt: skip
    if json:
        streams.write_json_result({
            "run": found.name, "step": step.state.step, "by": by, "groups": figures,
            "context": engine.context_length, "stride": max(1, engine.context_length // 2),
        })  # fmt: skip
    if html is not None:
        write_page(html, draw_groups(losses, found.name, step.state.step, by), reporter)
    elif not json:
        write_groups(losses, found.name, step.state.step, by)
        reporter.next(f"tfcli runs card {shlex.quote(found.argument)}")


def _note_on_pairs(run: Run, why: str, reporter: streams.Reporter) -> None:
    """Says what a figure for texts means where a run was trained on pairs."""
    if run.form:
        reporter.note(
            f"Note: {run.name} was trained on pairs, and {why}; tfcli eval compares answers."
        )

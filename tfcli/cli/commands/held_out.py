"""`tfcli runs held-out`: what a run did not train on, to evaluate on elsewhere."""

from __future__ import annotations

import json as json_lines
import shlex
from typing import TYPE_CHECKING, Annotated

from tfcli.cli import streams
from tfcli.cli.command import takes_options
from tfcli.cli.shared_options import QuietOption, RunArgument, SourceOption, typer_option
from tfcli.errors import DataError
from tfcli.quantities import counted

if TYPE_CHECKING:
    from tfcli.text.corpus import Corpus

JsonLinesOption = Annotated[
    bool, typer_option("--jsonl", help="Write plain text as JSON lines too: a text on each.")
]


@takes_options
def held_out(
    run: RunArgument = None,
    source: SourceOption = None,
    jsonl: JsonLinesOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write what a run held out, to evaluate on it elsewhere.

    Rows of tables and JSON, pairs too, come as JSON lines with all of their
    fields; plain text as it is, with <|endoftext|> lines between documents.

    tfcli runs held-out reviews > test.jsonl
    """
    from tfcli.cli.render import progress
    from tfcli.insight.held_out_rows import holds_rows
    from tfcli.insight.training_text import TrainingText
    from tfcli.runs.run import find_run

    reporter = streams.Reporter(quiet=quiet)
    found, _ = find_run(run)
    text = TrainingText(found, source or ())
    if not found.corpus.held_out_bytes:
        raise DataError(
            f"{found.name} held nothing out",
            hint=f"tfcli train FILE --from {shlex.quote(found.argument)}   # holds out a tenth",
        )
    with progress("Reading the text", total=text.bytes, quiet=quiet) as done:
        text.check(done)  # before anything is written
    if jsonl or holds_rows(text.corpus):
        count = _write_rows(text.corpus)
        reporter.note(f"Held out by {found.name}: {counted(count, 'row')}.")
    else:
        count = _write_text(text.corpus)
        reporter.note(f"Held out by {found.name}: {count:,} bytes.")


def _write_rows(corpus: Corpus) -> int:
    """Writes JSON lines; returns how many."""
    from tfcli.insight.held_out_rows import held_out_rows

    count = 0
    for count, row in enumerate(held_out_rows(corpus), 1):  # noqa: B007 (the last is the number)
        line = json_lines.dumps(row, ensure_ascii=False, default=str)
        streams.write_result(f"{line}\n".encode(errors="backslashreplace"))
    return count


def _write_text(corpus: Corpus) -> int:
    """Writes documents; returns how many bytes they have."""
    from tfcli.cli.text_show import PlainDocuments

    shown = PlainDocuments()
    size = 0
    for chunk in corpus.held_out():
        shown.add(chunk)
        size += len(chunk.data)
    shown.close()
    return size

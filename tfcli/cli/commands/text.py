"""`tfcli text`: filters for a text before it is trained on, each in a pipe."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tfcli.cli import piped_text, streams
from tfcli.cli.command import Command, Group, takes_options
from tfcli.cli.input_text import read_input, read_whole_input
from tfcli.cli.shared_options import JsonOption, QuietOption, seed_option, typer_option
from tfcli.errors import ConflictError, UsageError
from tfcli.files import require_parent
from tfcli.generation.streaming import make_visible
from tfcli.insight.canaries import EACH, REPEATS, TEMPLATE, make_key, plant, write_key
from tfcli.options import OptionError, Options, option
from tfcli.quantities import counted, percent
from tfcli.text.reading_options import DEFAULT, FormatOptions, ReadingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tfcli.insight.near_duplicates import NearDuplicate
    from tfcli.insight.repeats import Removed

Unit = Literal["line", "paragraph", "document", "span"]
LEAST_SPAN = 32  # bytes: shorter stretches are phrases, which a language consists of
WRITTEN_AT_ONCE = 1 << 16  # bytes

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Look through a text before it is trained on."
)


@app.callback()
def main() -> None:
    """Look through a text before it is trained on."""


# --- what is read -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ShowOptions(Options):
    """What is shown."""

    limit: int | None = option(
        None, min=1, metavar="N", shown_default="all", help="Show the first N documents."
    )
    jsonl: bool = option(
        False, help="Write JSON lines: text, or prompt and answer, with file and number."
    )


@app.command("show", cls=Command)
@takes_options
def show(
    options: ShowOptions,
    reading: ReadingOptions,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Files, folders, globs.", show_default="stdin"),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Print the text that train would read.

    Of any file: documents, books, pages, rows; of pairs, prompt and answer.
    Documents are separated by <|endoftext|> lines, which train recognizes.

    tfcli text show novel.docx > novel.txt
    tfcli text show reviews.csv --field review --limit 3
    """
    from tfcli.cli.text_show import show_texts

    if not files:
        _require_stdin("tfcli text show FILE   # or pipe it in")
    reporter = streams.Reporter(quiet=quiet)
    show_texts(files or ["-"], reading, reporter, limit=options.limit, json=options.jsonl)


# --- canaries -----------------------------------------------------------------------------------

CANARIES = "tfcli text canaries --key canaries.json < book.txt > planted.txt"


def parse_repeats(text: str) -> tuple[int, ...]:
    """`1,4,16,64`.

    Raises:
        ValueError: it is something else.

    """
    if not re.fullmatch(r"\d{1,5}(,\d{1,5})*", text):
        raise ValueError(f"must be whole numbers such as 1,4,16,64, not {text!r}")
    return tuple(map(int, text.split(",")))


@dataclass(frozen=True, kw_only=True)
class CanaryOptions(Options):
    """Which canaries are planted."""

    repeats: tuple[int, ...] = option(
        REPEATS, metavar="N,N", from_text=parse_repeats, shown_default="1,4,16,64",
        help="How often each canary is planted; 0: never, for comparison.",
    )  # fmt: skip
    each: int = option(EACH, min=1, max=1000, help="Canaries for each number of repeats.")
    template: str = option(
        TEMPLATE, metavar="TEXT", help="The line of a canary, with {} for its secret."
    )
    seed: int = seed_option()


@app.command("canaries", cls=Command)
@takes_options
def canaries(
    options: CanaryOptions,
    reading: FormatOptions,
    key: Annotated[
        Path, typer_option("--key", help="Where to write what was planted.", metavar="FILE")
    ],
    quiet: QuietOption = False,
) -> None:
    """Plant made-up secrets in a text, to see later how well a model keeps them.

    Reads a text on stdin, and writes it with the canaries to stdout. They are
    lines of their own in its first four fifths, so that none is held out.

    tfcli text canaries --key canaries.json < book.txt > planted.txt
    """
    reporter = streams.Reporter(quiet=quiet)
    if key.exists():
        raise ConflictError(f"{key} already exists", hint="choose another --key FILE")
    require_parent(key)
    text = read_whole_input(None, reporter, hint=CANARIES, wanted=reading)
    made = make_key(options.template, options.repeats, options.each, options.seed)
    planted = plant(text, made)
    write_key(key, made)
    streams.write_result(planted.encode())
    count = sum(canary.repeats for canary in made.canaries)
    reporter.note(
        f"Planted {counted(len(made.canaries), 'canary').replace('canarys', 'canaries')} "
        f"in {counted(count, 'line')}; {key} says which."
    )
    reporter.next(f"tfcli audit memory RUN --canaries {shlex.quote(str(key))}   # after training")


# --- personal data ------------------------------------------------------------------------------


@app.command("scan", cls=Command)
@takes_options
def scan(
    reading: ReadingOptions,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Files, folders, globs.", show_default="stdin"),
    ] = None,
    redact: Annotated[
        bool,
        typer_option("--redact", help="Write stdin with [EMAIL], [PHONE], ... for what was found."),
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look for personal data and secrets: where they are, and how many.

    Email addresses, telephone, card and account numbers (IBAN), DNI and NIE,
    IP addresses, keys of programs; with a check digit where there is one.
    Values are masked, and nothing is changed unless --redact is given.

    tfcli text scan book.txt letters/
    tfcli text scan orders.csv --field comment
    tfcli text scan --redact < book.txt > redacted.txt
    """
    from tfcli.cli.text_scan import redact_stdin, scan_files, show_scan

    if redact:
        if files or json:
            raise UsageError("--redact reads stdin, and writes it to stdout",
                             hint="tfcli text scan --redact < FILE > REDACTED")  # fmt: skip
        _require_stdin("tfcli text scan --redact < FILE > REDACTED")
        if replace(reading, format=None, encoding=None) != DEFAULT:
            raise UsageError("--redact looks at all of stdin, so it takes no --field or the like",
                             hint="tfcli text scan --redact < FILE > REDACTED")  # fmt: skip
        redact_stdin(
            streams.Reporter(quiet=quiet),
            FormatOptions(format=reading.format, encoding=reading.encoding),
        )
        return
    if not files:
        _require_stdin("tfcli text scan FILE   # or pipe it in")
    reporter = streams.Reporter(quiet=quiet)
    show_scan(scan_files(files or ["-"], reporter, reading), json=json)


# --- repeats ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DedupOptions(Options):
    """What counts as a repeat."""

    by: Unit = option(
        "line", help="What is compared: lines, paragraphs (between blank lines), documents "
        "(between lines with <|endoftext|>), or any stretch of bytes.",
    )  # fmt: skip
    field: str | None = option(
        None, metavar="NAME", conflicts=("by",), shown_default="all of a line",
        help="Compare rows of JSON lines, CSV or TSV by this field; they stay as they are.",
    )  # fmt: skip
    min_bytes: int | None = option(
        None, min=1, max=1_000_000, shown_default="50, for spans 200, for a field 1",
        help="Shorter ones stay, however often they are there.",
    )  # fmt: skip
    near: float | None = option(
        None, min=0.5, max=1.0, metavar="SIMILARITY", shown_default="equal ones only",
        help="Also drop near-duplicates with at least this Jaccard similarity, such as 0.8; "
        "preview with --report.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by == "span" and self.near is not None:
            raise OptionError("near", "cannot be combined with spans, which are equal")
        if self.by == "span" and self.min_bytes is not None and self.min_bytes < LEAST_SPAN:
            raise OptionError("min_bytes", f"must be at least {LEAST_SPAN} for spans")


@app.command("dedup", cls=Command)
@takes_options
def dedup(
    options: DedupOptions,
    reading: FormatOptions,
    report: Annotated[
        bool, typer_option("--report", help="Tell what would be left out, and write no text.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Leave out what a text repeats; the first of equal ones stays.

    Reads a text on stdin, and writes it to stdout. What is compared is compared
    without white space around it.

    tfcli text dedup --by paragraph < book.txt > short.txt
    tfcli text dedup --field review < reviews.csv > different.csv
    tfcli text dedup --field text --near 0.8 --report < rows.jsonl
    """
    from tfcli.cli.render import progress
    from tfcli.insight.near_duplicates import RemovedNearDuplicates, without_near_duplicates
    from tfcli.insight.repeats import LEAST, pieces_of, without_repeats, without_spans
    from tfcli.insight.row_pieces import row_pieces

    reporter = streams.Reporter(quiet=quiet)
    text = read_input(
        None, reporter, hint="tfcli text dedup < FILE > SHORTER", wanted=reading, by_lines=True
    )
    removed = RemovedNearDuplicates()
    least = options.min_bytes or (1 if options.field else LEAST[options.by])
    if options.by == "span":
        kept = without_spans(text, least, removed)
    else:
        pieces = (
            row_pieces(text, options.field, lambda ragged: reporter.note(f"Note: {ragged}."))
            if options.field
            else pieces_of(text, options.by)
        )
        kept = (
            without_repeats(pieces, least, removed)
            if options.near is None
            else without_near_duplicates(pieces, least, options.near, removed)
        )
    in_between = streams.is_terminal(sys.stdout) and not (report or json)
    with progress("Comparing", quiet=quiet or in_between) as done:
        _write(kept, lambda: done(removed.total_bytes), nowhere=report or json)
    if json:
        counted = {"by": "field" if options.field else options.by, "field": options.field,
                   "min_bytes": least, "near": options.near,
                   "removed": removed.units, "removed_bytes": removed.bytes,
                   "bytes": removed.total_bytes,
                   "examples": [asdict(each) for each in removed.examples]}  # fmt: skip
        streams.write_json_result(counted)
    elif report:
        streams.write_result(f"Would leave out {_describe(options, removed)}.\n".encode())
        for each in removed.examples:
            streams.write_result(f"{_example(each)}\n".encode())
    else:
        reporter.note(f"Left out {_describe(options, removed)}.")


def _write(pieces: Iterable[bytes], progress: Callable[[], None], *, nowhere: bool) -> None:
    """Writes a text as it comes, a good deal at once."""
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        progress()
        if nowhere:
            continue
        kept.append(piece)
        size += len(piece)
        if size >= WRITTEN_AT_ONCE:
            streams.write_result(b"".join(kept))
            kept, size = [], 0
    if kept:
        streams.write_result(b"".join(kept))


def _describe(options: DedupOptions, removed: Removed) -> str:
    unit = "row" if options.field else "stretch" if options.by == "span" else options.by
    many = {"stretch": "stretches"}.get(unit, f"{unit}s") if removed.units != 1 else unit
    how = "repeated" if options.near is None else "near-duplicate"
    share = removed.bytes / removed.total_bytes if removed.total_bytes else 0.0
    return (
        f"{removed.units:,} {how} {many}, {removed.bytes:,} of "
        f"{counted(removed.total_bytes, 'byte')} ({percent(share, 1)})"
    )


def _example(near: NearDuplicate) -> str:
    """`line 17 has 93 % in common with line 3: How it begins`."""
    share = percent(near.similarity)
    said = f"line {near.line:,} has {share} in common with line {near.first_line:,}: "
    return said + make_visible(near.text[: max(20, 98 - len(said))])


def _require_stdin(hint: str) -> None:
    if not piped_text.stdin_is_piped():
        raise UsageError("no text", hint=hint)
    piped_text.mention_waiting("the text")

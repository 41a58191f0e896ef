"""`tfcli text scan`: personal data counted by file and kind, with masked values."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.input_text import read_input
from tfcli.cli.trace_output import name_place
from tfcli.insight.personal_data import KINDS, find_personal_data, mask, redact
from tfcli.insight.training_text import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.text.reading_options import FormatOptions, ReadingOptions

NAMED = 5  # places of each kind that are named; the JSON has MOST
MOST = 100
MEANING = (
    "Found by their form and check digits, so some are none, and what has no form, such as names, "
    "is not found. Look before you decide."
)


@dataclass
class Found:
    """What was found in some files.

    Attributes:
        counts: by file and kind.
        places: of each kind the first MOST, with the masked value.
        fields: of files of rows, the only field that was looked at, as in training.

    """

    files: int = 0
    bytes: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    places: dict[str, list[tuple[Place, str]]] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)

    def add(self, text: str, name: str, line: int, row: int | None) -> None:
        """Looks through some text that begins on a line of a file, or in a row of one."""
        position, number = 0, line
        for each in find_personal_data(text):
            self.counts[name, each.kind] += 1
            number += text.count("\n", position, each.begin)
            position = each.begin
            places = self.places.setdefault(each.kind, [])
            if len(places) < MOST:
                place = Place(name, None if row else number, row)
                places.append((place, mask(text[each.begin : each.end])))


def scan_files(
    arguments: Sequence[str], reporter: streams.Reporter, options: ReadingOptions
) -> Found:
    """Looks through files, as `tfcli train` reads them."""
    from tfcli.cli.render import progress
    from tfcli.text.byte_streams import STDIN
    from tfcli.text.readers import read_chunks
    from tfcli.text.reading import Reading
    from tfcli.text.sources import find_sources

    found = Found()
    given = find_sources(arguments)
    options.require_named(given.met)
    sources = given.files
    total = sum(path.stat().st_size for path in sources if path != STDIN) or None
    with progress("Scanning", total=total, quiet=reporter.quiet) as done:
        for path in sources:
            reading = Reading()
            found.files += 1
            for chunk in read_chunks(path, options, reading=reading):
                row = reading.rows.number if reading.rows else None
                name = "stdin" if path == STDIN else str(path)
                found.add(chunk.data.decode(), name, reading.line, row)
                found.bytes += len(chunk.data)
                done(found.bytes)
            if reading.rows and reading.rows.field:
                found.fields["stdin" if path == STDIN else str(path)] = reading.rows.field
            for note in reading.notes(path, options, "looked at"):
                reporter.note(f"Note: {note}.")
    return found


def show_scan(found: Found, *, json: bool) -> None:
    """The counts, and where the first of each kind are."""
    if json:
        streams.write_json_result(_to_json(found))
        return
    if not found.counts:
        nothing = ["Nothing was found that has the form of personal data.", *_left_out(found)]
        streams.write_result("".join(f"{line}\n" for line in nothing).encode())
        return
    from tfcli.cli.render import show_table

    rows = [
        [kind.replace("_", " "), f"{count:,}", name]
        for (name, kind), count in sorted(
            found.counts.items(), key=lambda each: (each[0][0], list(KINDS).index(each[0][1]))
        )
    ]
    show_table(["kind", "found", "in"], rows)
    lines = []
    for kind in (each for each in KINDS if each in found.places):
        places = found.places[kind]
        lines.append(f"\n{kind.replace('_', ' ')}:\n")
        lines += [f"  {name_place(place)}  {masked}\n" for place, masked in places[:NAMED]]
        count = sum(n for (_, own), n in found.counts.items() if own == kind)
        if count > NAMED:
            lines.append(f"  ... and {count - NAMED:,} more\n")
    lines += ["\n", *(f"{line}\n" for line in (*textwrap.wrap(MEANING, 80), *_left_out(found)))]
    streams.write_result("".join(lines).encode(errors="backslashreplace"))


def _left_out(found: Found) -> list[str]:
    """What of tables was not looked at."""
    return [
        f"Of the rows of {name} only {used!r} was looked at, which training reads."
        for name, used in found.fields.items()
    ]


def _to_json(found: Found) -> dict[str, object]:
    return {
        "files": found.files,
        "bytes": found.bytes,
        "found": [
            {"file": name, "kind": kind, "count": count}
            for (name, kind), count in sorted(found.counts.items())
        ],
        "places": [
            {"kind": kind, "file": place.file, "line": place.line, "row": place.row,
             "masked": masked}
            for kind, places in found.places.items()
            for place, masked in places
        ],
    }  # fmt: skip


def redact_stdin(reporter: streams.Reporter, wanted: FormatOptions) -> None:
    """Writes stdin with the kinds of what was found in the places of the values."""
    hint = "tfcli text scan --redact < FILE > REDACTED"
    counts: Counter[str] = Counter()
    for block in read_input(None, reporter, hint=hint, wanted=wanted, by_lines=True):
        text = block.decode()
        counts.update(each.kind for each in find_personal_data(text))
        streams.write_result(redact(text).encode())
    said = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.most_common())
    reporter.note(f"Redacted: {said or 'nothing'}.")

"""A trace in the terminal: the text with its spans marked, their sources as footnotes, figures."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.output_formats import stdout_filter
from tfcli.cli.word_wrap import break_at_words
from tfcli.insight.passages import MOST_COUNTED
from tfcli.quantities import counted, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.insight.passages import Passage
    from tfcli.insight.trace import Span, Trace
    from tfcli.insight.training_text import Place

FOOTNOTES = 20  # spans whose sources are shown; the JSON and the page have more
PASSAGES = 3  # of each
COLORS = (36, 33, 35, 32, 34)  # of the terminal, one span after the other
WIDTH = 100  # columns of a footnote, at most

MEANING = (
    "A match says that the training text has the same words, not that the model took them from "
    "there. Text without a match may still say the same in other words."
)


def write_trace(trace: Trace) -> None:
    """All of it, on stdout."""
    text = _marked_text(trace)
    lines = [text if text.endswith("\n") else f"{text}\n"]
    for span in trace.ranked[:FOOTNOTES]:
        lines += ["\n", *_footnote(span, trace)]
    if (more := len(trace.ranked) - FOOTNOTES) > 0:
        lines.append(f"\n... and {counted(more, 'span')} more: --html or --json\n")
    lines += ["\n", *(f"{line}\n" for line in _wrapped([*figures(trace), MEANING]))]
    lines += ["\n", *novelty_table(trace)]
    streams.write_result("".join(lines).encode(errors="backslashreplace"))


@dataclass(frozen=True)
class Segment:
    """Some of the text, between two places where spans begin or end.

    Attributes:
        spans: that it is in.
        ended: those that end with it.

    """

    text: str
    spans: list[Span]
    ended: list[Span]

    @property
    def numbers(self) -> list[int]:
        """Of the spans that it is in, each once."""
        return sorted({span.number for span in self.spans})


def segments(trace: Trace) -> Iterator[Segment]:
    """The text cut where a span begins or ends."""
    cuts = {0, len(trace.text)}
    for span in trace.spans:
        cuts |= {span.begin, span.end}
    ordered = sorted(cuts)
    inside: list[Span] = []
    ahead = list(reversed(trace.spans))
    for begin, end in itertools.pairwise(ordered):
        while ahead and ahead[-1].begin == begin:
            inside.append(ahead.pop())
        ended = [span for span in inside if span.end == end]
        yield Segment(trace.text[begin:end].decode(), list(inside), ended)
        inside = [span for span in inside if span.end > end]


def stretches(trace: Trace) -> Iterator[Segment]:
    """The text cut where no span goes on: spans that cross are one stretch."""
    parts: list[Segment] = []
    for part in segments(trace):
        parts.append(part)
        if len(part.ended) == len(part.spans):  # none goes on
            spans = [span for each in parts for span in each.spans]
            yield Segment("".join(each.text for each in parts), spans, part.ended)
            parts = []


def _marked_text(trace: Trace) -> str:
    """The text, of which each stretch is in color or in brackets, and followed by its numbers."""
    color, shown = streams.wants_color(sys.stdout), stdout_filter()
    pieces: list[tuple[str, str]] = []  # with the code of its color
    for part in stretches(trace):
        text = shown(part.text)
        if not part.spans:
            pieces.append((text, ""))
            continue
        numbers = f"[{','.join(map(str, part.numbers))}]"
        code = f"4;{COLORS[(part.numbers[0] - 1) % len(COLORS)]}" if color else ""
        pieces += [(text if color else f"[{text}]", code), (numbers, "1" * color)]
    texts = [text for text, _ in pieces]
    if streams.is_terminal(sys.stdout) and os.environ.get("TERM") != "dumb":
        texts = break_at_words(texts, shutil.get_terminal_size().columns)
    return "".join(_colored(text, code) for text, (_, code) in zip(texts, pieces, strict=True))


def _colored(text: str, code: str) -> str:
    """A piece in its color, which no end of a line has."""
    if not code:
        return text
    return "\n".join(f"\033[{code}m{line}\033[0m" if line else "" for line in text.split("\n"))


def _footnote(span: Span, trace: Trace) -> Iterator[str]:
    """The sources of a span."""
    yield f"[{span.number}] {describe_span(span)}\n"
    for passage in span.passages[:PASSAGES]:
        before, said, after = in_context(span, passage, trace)
        yield f"    {name_place(passage.place)}\n"
        shown = stdout_filter()(f"{before}«{said}»{after}".strip())
        for line in textwrap.wrap(shown, _columns() - 6, break_on_hyphens=False):
            yield f"      {line}\n"
    if (more := span.count - min(PASSAGES, len(span.passages))) > 0:
        yield f"    ... and {more:,} more\n"


def in_context(span: Span, passage: Passage, trace: Trace, around: int = 40) -> tuple[str, ...]:
    """What stands before a passage, what it says, what stands after it, on one line each."""
    said = shorten(" ".join(trace.words_of(span).split()))
    before, after = (re.sub(r"\s+", " ", part) for part in (passage.before, passage.after))
    if len(before) > around:
        before = before[-around:].partition(" ")[2] or before[-around:]
    if len(after) > around:
        after = after[:around].rpartition(" ")[0] or after[:around]
    return before, said, after


def describe_span(span: Span) -> str:
    """Its size, and how little chance explains it."""
    size = f"{counted(span.words, 'word')}, {span.end - span.begin:,} bytes"
    times = counted(span.count, "place") + " or more" * (span.count >= MOST_COUNTED)
    return f"{size}; in {times}; by chance: {format_power(span.log10_expected)}"


def format_power(log10: float) -> str:
    """A small number as a power of ten: `0.002`, `1e-31`."""
    return f"{10**log10:.1g}" if log10 > -3 else f"1e{log10:.0f}"


def name_place(place: Place) -> str:
    """`book.txt:123`, or `rows.csv, row 12`."""
    from tfcli.runs.source_names import source_name

    name = source_name(place.file)
    return f"{name}, row {place.row:,}" if place.line is None else f"{name}:{place.line}"


def shorten(text: str, limit: int = 120) -> str:
    """A long text without its middle."""
    return text if len(text) <= limit else f"{text[: limit // 2]} ... {text[-limit // 2 :]}"


def figures(trace: Trace) -> list[str]:
    """What to know of the whole text, in sentences."""
    from tfcli.insight.trace import BOUND

    share = trace.marked_bytes / len(trace.text)
    found = [
        f"Marked: {trace.marked_bytes:,} of {counted(len(trace.text), 'byte')} ({percent(share)}), "
        f"in {counted(len(trace.spans), 'span')} that chance would give fewer than {BOUND:g} "
        f"times in the {trace.training_words:,} words of the training text."
    ]
    if trace.longest is None:
        return [*found, "Longest copy: none of 16 bytes or more."]
    size = trace.longest.end - trace.longest.begin
    words = counted(trace.longest.words, "word")
    return [*found, f"Longest copy: {words}, {size:,} bytes."]


def novelty_table(trace: Trace) -> Iterator[str]:
    """The share of new n-grams, of this text and of held-out text."""
    rows = {"New n-grams of n words": [str(row.n) for row in trace.novelty]}
    rows["this text"] = [_percent(row.text) for row in trace.novelty]
    if trace.held_out_bytes:
        rows[f"held-out text, {trace.held_out_bytes / 1000:.0f} kB"] = [
            _percent(row.held_out) for row in trace.novelty
        ]
    width = max(map(len, rows))
    for name, cells in rows.items():
        yield f"{name:<{width}}{''.join(f'{cell:>6}' for cell in cells)}\n"


def _percent(share: float | None) -> str:
    return "-" if share is None else percent(share)


def _wrapped(lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield from textwrap.wrap(line, _columns(), break_on_hyphens=False)


def _columns() -> int:
    return min(WIDTH, max(40, shutil.get_terminal_size().columns))

"""Audits in the terminal: figures, what they are of, and the passages most at risk."""

from __future__ import annotations

import math
import re
import shutil
import sys
import textwrap
from collections import defaultdict
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.humanize import format_odds
from tfcli.cli.output_formats import stdout_filter
from tfcli.cli.trace_output import name_place, shorten
from tfcli.quantities import counted, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.insight.canaries import Exposure
    from tfcli.insight.memorization import MemoryAudit, Passage, Rates, Share

WIDTH = 100  # columns, at most

MEANING = (
    "Extractable: prompted with the first half, the model writes the second word for word, always "
    "taking the likeliest token. What is not extracted so may come out with another prompt. What "
    "comes out of held-out text was guessed, not known."
)


def write_memory_audit(audit: MemoryAudit, run: str, step: int) -> None:
    """All of it, on stdout."""
    training = audit.training
    lines = [
        *wrapped(
            f"{run}, step {step:,}: {counted(training.greedy.windows, 'passage')} of the "
            "training text"
            + (f", {audit.held_out.greedy.windows:,} of held-out text" if audit.held_out else "")
            + f"; {audit.half} bytes to read, the next {audit.half} to write."
        ),
        "",
        *_rates(training, audit.held_out),
        "",
    ]
    parts = [
        f"{_often(least, most)} {share.extractable:,} of {share.windows:,}"
        for least, most, share in audit.by_count
        if share.windows
    ]
    lines += wrapped(f"Extractable, by how often the text has the passage: {'; '.join(parts)}.")
    lines += [
        "",
        "Known best:" if audit.worst else "Known best: none; no passage comes out at all.",
    ]
    for number, passage in enumerate(audit.worst, 1):
        lines += _passage(number, passage)
    if audit.canaries:
        lines += ["", *_canaries(audit.canaries)]
    lines += ["", *wrapped(MEANING)]
    shown = stdout_filter()
    streams.write_result(shown("".join(f"{line}\n" for line in lines)).encode())


def _rates(training: Rates, held_out: Rates | None) -> Iterator[str]:
    """A table of shares."""
    rows = [("", ["training text", *(["held-out text"] if held_out else [])])]
    each = [training, *([held_out] if held_out else [])]
    rows.append(("extractable", [_share(rates.greedy) for rates in each]))
    for place, sampled in enumerate(training.sampled):
        times = "1 sample" if sampled.samples == 1 else f"{sampled.samples:,} samples"
        name = f"in {times}, with {percent(sampled.certainty)} certainty"
        rows.append((name, [percent(rates.sampled[place].share, 1) for rates in each]))
    width = max(len(name) for name, _ in rows)
    column = 2 + max(len(cell) for _, cells in rows for cell in cells)
    for name, cells in rows:
        yield f"{name:<{width}}{''.join(f'{cell:>{column}}' for cell in cells)}".rstrip()


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{percent(share.share, 1)} ({percent(low, 1)} to {percent(high, 1)})"


def _often(least: int, most: int | None) -> str:
    if most is None:
        return f"{least} times or more"
    return "once" if most == 1 else f"{least} to {most} times"


def _passage(number: int, passage: Passage) -> Iterator[str]:
    """Where it is, how likely it comes out, and what it says."""
    chance = format_odds(passage.extraction.log_probability)
    how = "greedily" if passage.extraction.greedy else "not greedily"
    chance = (
        f"{chance} when sampled" if chance == "never" else f"{chance} samples".replace("%", "% of")
    )
    often = "once" if passage.count == 1 else f"{passage.count:,} times"
    yield f"{number}. {name_place(passage.window.place)}, {often} in the text: {how}, {chance}"
    prompt, said = (re.sub(r"\s+", " ", part) for part in (passage.prompt, passage.continuation))
    before = prompt[-60:].partition(" ")[2] or prompt[-60:]
    text = f"... {before.rstrip()} | {shorten(said.strip(), 160)}"
    yield from textwrap.wrap(text, _columns() - 4, initial_indent="   ", subsequent_indent="   ")


def _canaries(found: Sequence[Exposure]) -> Iterator[str]:
    """The exposure of canaries, by how often the text has them."""
    from tfcli.insight.canaries import CANDIDATES, CHANCE

    groups = defaultdict(list)
    for each in found:
        groups[each.found].append(each)
    yield "Canaries, by how often the training text has each:"
    for count, group in sorted(groups.items()):
        bits = sum(each.bits for each in group) / len(group)
        ranks = ", ".join(f"{each.rank:,.0f}" for each in group[:8])
        yield f"{count:>6} times: exposure {bits:4.1f} bits; rank {ranks} of {CANDIDATES + 1:,}"
    lost = sum(each.canary.repeats != each.found for each in found)
    most = math.log2(CANDIDATES + 1)
    note = f"By chance it is {CHANCE:.2f} bits on average, {most:.0f} at most: nothing is likelier."
    if lost:
        many = counted(lost, "canary").replace("canarys", "canaries")
        note += f" Of {many} the training text has not all that were planted."
    yield from wrapped(note)


def wrapped(text: str) -> list[str]:
    """A paragraph as lines."""
    return textwrap.wrap(text, _columns(), break_on_hyphens=False)


def _columns() -> int:
    is_terminal = streams.is_terminal(sys.stdout)
    return min(WIDTH, max(40, shutil.get_terminal_size().columns)) if is_terminal else 80

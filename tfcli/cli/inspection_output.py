"""An inspection in the terminal, as wide as that is; in a pipe the same without colors."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from tfcli.cli import streams
from tfcli.cli.humanize import format_odds, format_share
from tfcli.cli.inspection_words import (
    HOLLOW,
    MEANINGS,
    NONE_MISSED,
    TITLES,
    UNSEEN,
    continuation,
    erased_by,
    in_its_units,
    is_flat,
    likelier,
    most_surprising,
    most_taken,
    none_missed,
    nothing_yet,
    shown,
    shown_all,
    shown_text,
    summary,
)
from tfcli.cli.output_formats import stdout_filter
from tfcli.cli.surprisal import colored, legend
from tfcli.cli.word_wrap import break_at_words
from tfcli.generation.streaming import TextStream, make_visible
from tfcli.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from tfcli.insight.inspection import Inspection, View, WithoutWords
    from tfcli.insight.views import Floats, Lens

WIDTH = 100  # columns of running text, at most
SURPRISING, MOST_HEADS, MOST_WORDS = 10, 16, 40  # rows
CELL, NARROW, LABEL = 12, 8, 10  # columns of a token, and of a name in front of a row
ROW = 33  # columns of a row of the surprise without the token and its probability
SHADES = " ░▒▓█"
LISTED_HEADS = 6  # that change the loss most


def write_inspection(found: Inspection, run: str, step: int, plan: Mapping[str, Any]) -> None:
    """All views that were asked for, on stdout.

    Args:
        plan: of the run, as in `run.json`.

    """
    lines = [*_wrapped(summary(found, run, step)), *_wrapped(nothing_yet(found, step) or "")]
    if found.surprise is not None:
        lines += [*_heading("surprise", found), *_surprise(found)]
    if found.attention is not None:
        lines += [*_heading("attention", found), *_attention(found, found.attention)]
    if found.lens is not None:
        lines += [*_heading("lens", found), *_lens(found, found.lens)]
    if found.prompt is not None:
        lines += [*_heading("prompt", found), *_words(found, found.prompt, plan)]
    if found.heads is not None:
        lines += [*_heading("heads", found), *_heads(found, found.heads)]
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    streams.write_result(text.encode(errors="backslashreplace"))


def columns() -> int:
    """Of the terminal."""
    return max(shutil.get_terminal_size().columns, 30)


def bold(text: str) -> str:
    """A heading on a terminal; in a pipe, as it is."""
    return f"\033[1m{text}{streams.RESET}" if streams.wants_color(sys.stdout) else text


def _heading(view: View, found: Inspection) -> Iterator[str]:
    part = found.prompt if view == "prompt" else None
    yield ""
    yield bold(in_its_units(TITLES[view], part))
    yield from _wrapped(in_its_units(MEANINGS[view], part))
    yield ""


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, min(columns(), WIDTH), break_on_hyphens=False)


# --- surprise -----------------------------------------------------------------------------------


def _surprise(found: Inspection) -> Iterator[str]:
    """The text in colors, then the most surprising tokens with what would have been likelier."""
    from tfcli.cli.render import fit

    assert found.surprise is not None
    yield from _colored_text(found)
    yield ""
    places = most_surprising(found, SURPRISING)
    every = len(places) == len(found.surprise.logprobs)
    many = "All tokens" if every else f"The {len(places)} most surprising tokens"
    yield from _wrapped(
        f"{many}, the most surprising first: position, nats, the token, its probability, its rank "
        "(1: nothing was likelier), the entropy (the nats that were to be expected), and what "
        "would have been likelier."
    )
    yield ""
    room = columns() - ROW - CELL
    likely = max([6, *(len(format_odds(found.surprise.logprobs[place])) for place in places)])
    if room - likely >= CELL:
        heading = f"{'at':>5} {'nats':>6}  {fit('token', CELL)} {'likely':<{likely}}"
        yield f"{heading} {'rank':>6} {'entropy':>7}  likelier"
    for place in places:
        logprob, expected = found.surprise.logprobs[place], found.surprise.entropies[place]
        others = [f"{other} {format_share(share)}" for other, share in likelier(found, place)]
        token, rank = shown(found, found.tokens.ids[place + 1]), f"{found.surprise.ranks[place]:,}"
        row = f"{place + 1:>5} {-logprob:6.2f}  {fit(token, CELL)} {format_odds(logprob):<{likely}}"
        if room - likely >= CELL:
            yield f"{row} {rank:>6} {expected:7.2f}  {fit_list(others, room - likely)}"
        else:  # what does not fit goes below
            yield row
            yield f"{'':14}rank {rank}, entropy {expected:.2f}"
            if others:
                yield f"{'':14}{fit_list(others, columns() - 14)}"


def fit_list(items: list[str], room: int) -> str:
    """As many items as there is room for."""
    from tfcli.cli.render import cells

    line = ""
    for item in items:
        longer = f"{line}, {item}" if line else item
        if cells(longer) > room:
            break
        line = longer
    return line


def _colored_text(found: Inspection) -> Iterator[str]:
    assert found.surprise is not None
    stream, tokens = TextStream(), found.tokens
    own = tokens.ids[tokens.start :]
    visible = make_visible if streams.is_terminal(sys.stdout) else str
    pieces = [visible(stream.feed(_spelled(found, token))) for token in own]
    if streams.is_terminal(sys.stdout):
        pieces = break_at_words(pieces, columns())
    if not streams.wants_color(sys.stdout):
        yield "".join(pieces)
        return
    nats = [0.0] * (1 - tokens.start) + (0.0 - found.surprise.logprobs).tolist()
    yield "".join(colored(piece, each) for piece, each in zip(pieces, nats, strict=True))
    yield ""
    yield legend()


def _spelled(found: Inspection, token: int) -> bytes:
    spelled = found.tokenizer.token_bytes
    return spelled[token] if token < len(spelled) else b""


# --- attention, lens ----------------------------------------------------------------------------


def _attention(found: Inspection, weights: Floats) -> Iterator[str]:
    """Where the last position looks, head by head; those that look farthest around, of many."""
    from tfcli.cli.render import fit

    names = shown_all(found, found.tokens.ids)
    last = weights[:, :, -1]  # (layers, H, T)
    heads = [(layer, head) for layer in range(len(last)) for head in range(last.shape[1])]
    if len(heads) > MOST_HEADS:
        inner = last[:, :, 1:-1]
        widest = inner.max(-1) if inner.shape[-1] else last.max(-1)
        heads = sorted(sorted(heads, key=lambda each: -widest[each])[:MOST_HEADS])
    yield f"{fit('head', LABEL)}{fit(f'“{names[-1]}” takes from', columns() - LABEL)}"
    for layer, head in heads:
        taken = [
            f"{format_share(share)} {names[place]}"
            + (f"({place})" if names.count(names[place]) > 1 else "")  # which of them
            for place, share in most_taken(last[layer, head], 5)
        ]
        name = f"{layer + 1}.{head + 1}"
        yield f"{name:<{LABEL}}{fit_list(taken, columns() - LABEL)}"
    if (more := last.shape[0] * last.shape[1] - len(heads)) > 0:
        yield from _wrapped(f"{counted(more, 'head')} more: --html or --json.")
    twice = "; (5) is the position of a token that is there twice"
    twice = twice if len(set(names)) < len(names) else ""
    yield from _wrapped(f"Head 1.2 is the second head of the first layer{twice}.")


def _lens(found: Inspection, lens: Lens) -> Iterator[str]:
    """A row for each layer, the last first; as many of the last positions as fit."""
    from tfcli.cli.render import fit

    width = NARROW + 6
    count = max(1, min(len(found.tokens.ids), (columns() - LABEL) // width))
    places = range(len(found.tokens.ids) - count, len(found.tokens.ids))
    names = [shown(found, found.tokens.ids[place]) for place in places]
    yield fit("after", LABEL) + "".join(f"{fit(name, width - 1)} " for name in names)
    flat = is_flat(lens)
    for layer in [0] if flat else reversed(range(len(lens.best_ids))):
        row = (
            fit("any layer", LABEL)
            if flat
            else fit(f"layer {layer}" if layer else "embedding", LABEL)
        )
        for place in places:
            share = format_share(float(np.exp(lens.best_logprobs[layer, place])))
            row += f"{fit(shown(found, int(lens.best_ids[layer, place])), NARROW - 1)} {share:<6}"
        yield row
    if count < len(found.tokens.ids):
        yield from _wrapped(
            f"The last {count} of {len(found.tokens.ids)} positions; all are in --html and --json."
        )
    if flat:
        return
    apart = ", ".join(f"{kl:.2f}" for kl in lens.divergences.mean(-1)[::-1])
    yield from _wrapped(
        f"How far each is from what the model says in the end, in nats (KL), over all positions: "
        f"{apart}."
    )


# --- words and heads ----------------------------------------------------------------------------


def _words(found: Inspection, part: WithoutWords, plan: Mapping[str, Any]) -> Iterator[str]:
    """A bar for each word; of many words, those that are missed most, in order."""
    from tfcli.cli.render import cells, fit

    yield from _wrapped(stdout_filter()(continuation(found, part)))
    yield from _wrapped(erased_by(part, plan))
    yield ""
    order = np.argsort(-np.abs(part.falls), kind="stable")[:MOST_WORDS]
    words = {int(place): shown_text(part.words[place]).strip() or "▁" for place in order}
    width = min(max(map(cells, words.values()), default=0), columns() // 3, 24)
    room = min(columns() - width - 12, 48)
    largest = max(float(np.abs(part.falls).max(initial=0)), 1e-9)
    for place in sorted(words):
        fall = float(part.falls[place])
        bar = ("█" if fall >= 0 else "░") * round(abs(fall) / largest * room)
        yield f"{fit(words[place], width)} {fall:+8.3f}  {bar}"
    if (more := len(part.falls) - len(words)) > 0:
        said = f"{counted(more, 'word')} that matter less are left out."
        yield from _wrapped(in_its_units(said, part))
    if (part.falls < 0).any():
        yield from _wrapped(in_its_units(HOLLOW, part))


def _heads(found: Inspection, rises: Floats) -> Iterator[str]:
    """A grid of blocks, a row for each layer, the last first; then the heads that change most."""
    if none_missed(found):
        yield from _wrapped(NONE_MISSED)
        return
    each = rises / max(found.bytes, 1)
    largest = max(float(np.abs(each).max()), 1e-12)
    wide = LABEL + 3 * each.shape[1] <= columns()
    if wide:
        yield " " * LABEL + "".join(f"{head + 1:<3}" for head in range(each.shape[1]))
    for layer in reversed(range(len(each))):
        row = "".join(_block(rise, largest, wide=wide) for rise in each[layer])
        yield f"{f'layer {layer + 1}':<{LABEL}}{row}"
    yield ""
    order = np.argsort(-np.abs(each), axis=None, kind="stable")[:LISTED_HEADS]
    for place in sorted(order, key=lambda place: -each.flat[place]):
        layer, head = divmod(int(place), each.shape[1])
        yield f"{layer + 1}.{head + 1:<8} {each[layer, head]:+z.4f} nats/byte"
    if (more := each.size - len(order)) > 0:
        yield from _wrapped(f"{counted(more, 'head')} that change less: --html or --json.")
    if harmful := int((each <= -UNSEEN).sum()):
        do = "does" if harmful == 1 else "do"
        yield from _wrapped(
            f"A minus: without it the loss falls. {counted(harmful, 'head')} {do} harm to "
            "this text."
        )


def _block(rise: float, largest: float, *, wide: bool) -> str:
    """How much a head matters, beside the one that does most; with a minus where it harms."""
    shade = SHADES[min(len(SHADES) - 1, max(0, int(np.ceil(abs(rise) / largest * 4 - 0.25))))]
    harms = rise <= -UNSEEN
    if not wide:
        return "-" if harms else shade
    return f"-{shade} " if harms else f"{shade * 2} "

"""An inspection as a page: the views one below the other, layers behind radio buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfcli.cli.humanize import format_odds, format_share
from tfcli.cli.inspection_words import (
    HOLLOW,
    MEANINGS,
    NONE_MISSED,
    TITLES,
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
from tfcli.cli.pages.frame import draw_frame, escape
from tfcli.cli.pages.png import picture_of, shrink
from tfcli.generation.streaming import TextStream
from tfcli.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from tfcli.insight.inspection import Inspection, View, WithoutWords
    from tfcli.insight.views import Floats, Lens

MOST_PICTURES = 1_000_000  # bytes of all pictures; the page stays below 2 MB
LEAST_SIDE = 8  # fields that a picture of a longer text has at least
MOST_ROWS = 2_500  # lines that say what a position takes from, for all heads together
SURPRISING, LISTED = 12, 1_000  # tokens in the tables of surprise
CELLS = 2_400  # of the lens
MOST_LAYERS = 64  # of the radio buttons
SURPRISES = (4.6, 2.3, 0.7)  # nats from which on a token gets its color, as in the terminal

STYLE = """
section { border-top: 1px solid var(--rule); margin-top: 30px; padding-top: 4px; }
p { margin: 0 0 10px; max-width: 48em; }
p.faint, figcaption, .note { color: var(--faint); font-size: 13px; }
h2 { margin-top: 20px; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--rule);
  border-radius: 6px; padding: 14px 16px; margin: 14px 0; line-height: 1.8; }
#surprise td:nth-child(4) { white-space: nowrap; }
.s0, .s1, .s2 { border-radius: 3px; padding: 1px 0; }
.s0 { background: rgba(var(--other-rgb), .62); } .s1 { background: rgba(var(--other-rgb), .36); }
.s2 { background: rgba(var(--other-rgb), .16); }
.note [class^="s"] { color: var(--ink); }
summary { cursor: pointer; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: left; border-bottom: 1px solid var(--rule);
  vertical-align: top; font-weight: 400; }
th { color: var(--faint); } .n { text-align: right; white-space: nowrap; }
.lens td { white-space: nowrap; padding: 4px 8px; min-width: 5.5em; max-width: 11em;
  overflow: hidden; text-overflow: ellipsis; background: rgba(var(--one-rgb), var(--a)); }
.lens td small { display: block; }
.lens th { white-space: nowrap; padding-left: 8px; max-width: 11em; overflow: hidden;
  text-overflow: ellipsis; }
.lens th:first-child { position: sticky; left: 0; background: var(--ground); padding-left: 0; }
input { position: absolute; opacity: 0; }
.choose { display: flex; flex-wrap: wrap; gap: 6px; margin: 12px 0; }
.choose label { border: 1px solid var(--rule); border-radius: 5px; padding: 2px 11px;
  cursor: pointer; font-size: 14px; }
.panel { display: none; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 14px;
  align-items: start; }
.head summary { list-style: none; font-size: 13px; }
.head summary::-webkit-details-marker { display: none; }
.head[open] { grid-column: 1 / -1; }
.head img { display: block; width: 100%; max-width: 420px; aspect-ratio: 1; margin-top: 4px;
  image-rendering: pixelated; border: 1px solid var(--rule); }
.head table { margin-top: 10px; }
.bar { height: 11px; margin-top: 4px; background: var(--one); border-radius: 2px; min-width: 1px;
  width: calc(var(--w) * 1%); }
.bar.less { background: none; border: 1px solid var(--other); }
.bars td:last-child { width: 62%; padding-right: 0; } .bars { width: 100%; max-width: 640px; }
.grid td { text-align: center; border: 2px solid var(--ground); padding: 5px 8px;
  background: rgba(var(--one-rgb), var(--a)); }
.grid td.less { background: rgba(var(--other-rgb), var(--a)); }
.grid th { padding-right: 10px; }
@media (max-width: 640px) { .text { padding: 10px 12px; } .bars td:last-child { width: 44%; }
  #surprise :is(th, td):is(:nth-child(5), :nth-child(6)) { display: none; } }
"""


def draw_page(found: Inspection, run: str, step: int, plan: Mapping[str, Any]) -> str:
    """All views that were asked for.

    Args:
        plan: of the run, as in `run.json`.

    """
    said = " ".join(filter(None, (summary(found, run, step), nothing_yet(found, step))))
    parts = [f"<p>{escape(said)}</p>"]
    if found.surprise is None:
        parts.append(f'<div class="text">{escape(found.text)}</div>')
    else:
        parts.append(_section("surprise", _surprise(found)))
    if found.attention is not None:
        parts.append(_section("attention", _attention(found, found.attention)))
    if found.lens is not None:
        parts.append(_section("lens", _lens(found, found.lens)))
    if found.prompt is not None:
        parts.append(_section("prompt", _words(found, found.prompt, plan), found.prompt))
    if found.heads is not None:
        parts.append(_section("heads", _heads(found, found.heads)))
    layers = len(found.attention) if found.attention is not None else 0
    chosen = "\n".join(
        f"#l{layer}:checked ~ .p{layer} {{ display: grid; }}\n"
        f"#l{layer}:checked ~ .choose [for=l{layer}] "
        "{ background: rgba(var(--one-rgb), .2); border-color: var(--one); }\n"
        f"#l{layer}:focus-visible ~ .choose [for=l{layer}] {{ outline: 2px solid var(--one); }}"
        for layer in range(min(layers, MOST_LAYERS))
    )
    title = f"What {run} makes of a text"
    return draw_frame(title, "\n".join(parts), f"{STYLE}{chosen}\n", images=True)


def _section(view: View, parts: Iterable[str], words: WithoutWords | None = None) -> str:
    body, title = "\n".join(parts), in_its_units(TITLES[view], words)
    return (
        f'<section id="{view}"><h2>{title}</h2>\n'
        f'<p class="faint">{escape(in_its_units(MEANINGS[view], words))}</p>\n{body}</section>'
    )


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]], numbers: set[int]) -> str:
    """A table of texts, not yet escaped."""

    def row(tag: str, cells: Iterable[str]) -> str:
        named = (
            f"<{tag}{' class=n' if place in numbers else ''}>{escape(cell)}</{tag}>"
            for place, cell in enumerate(cells)
        )
        return f"<tr>{''.join(named)}</tr>"

    body = "\n".join(row("td", cells) for cells in rows)
    return (
        f'<div class="scroll"><table><thead>{row("th", headings)}</thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


# --- surprise -----------------------------------------------------------------------------------


def _surprise(found: Inspection) -> Iterator[str]:
    assert found.surprise is not None
    yield f'<div class="text">{"".join(_colored(found))}</div>'
    legend = "".join(
        f' <span class="s{place}">&nbsp;1 in {np.exp(least):.0f}&nbsp;</span>'
        for place, least in reversed(list(enumerate(SURPRISES)))
    )
    yield f'<p class="note">Less likely than{legend}. “▁” below stands for a space.</p>'
    headings = ("at", "nats", "token", "likely", "rank", "entropy", "what would have been likelier")
    numbers = {0, 1, 4, 5}
    places = most_surprising(found, SURPRISING)
    yield '<p class="note">The most surprising tokens, the most surprising first:</p>'
    yield _table(headings, (_row(found, place) for place in places), numbers)
    count = len(found.surprise.logprobs)
    every = range(min(count, LISTED))
    yield "<details><summary>All tokens in order</summary>"
    yield _table(headings, (_row(found, place) for place in every), numbers)
    if count > LISTED:
        yield f'<p class="note">{count - LISTED:,} more: --json</p>'
    yield "</details>"


def _row(found: Inspection, place: int) -> Iterator[str]:
    assert found.surprise is not None
    logprob = found.surprise.logprobs[place]
    yield str(place + 1)
    yield f"{-logprob:.2f}"
    yield shown(found, found.tokens.ids[place + 1])
    yield format_odds(logprob)
    yield f"{found.surprise.ranks[place]:,}"
    yield f"{found.surprise.entropies[place]:.2f}"
    yield ", ".join(f"{other} {format_share(share)}" for other, share in likelier(found, place))


def _colored(found: Inspection) -> Iterator[str]:
    assert found.surprise is not None
    stream, tokens, spelled = TextStream(), found.tokens, found.tokenizer.token_bytes
    for place, token in enumerate(tokens.ids):
        if place < tokens.start:
            continue
        text = stream.feed(spelled[token] if token < len(spelled) else b"")
        nats = 0.0 if place == 0 else -float(found.surprise.logprobs[place - 1])
        level = next((n for n, least in enumerate(SURPRISES) if nats >= least), None)
        if not text or level is None:
            yield escape(text)
        else:
            yield f'<span class="s{level}" title="{nats:.2f} nats">{escape(text)}</span>'


# --- attention, lens ----------------------------------------------------------------------------


def _attention(found: Inspection, weights: Floats) -> Iterator[str]:
    layers, heads, length, _ = weights.shape
    side, pictures = _pictures(weights)
    rows = max(1, min(length, MOST_ROWS // (min(layers, MOST_LAYERS) * heads)))
    names = shown_all(found, found.tokens.ids)
    yield (
        '<p class="note">Each row of a picture is a position that looks, each column one that is '
        "looked at, from the start of the text on: stronger is more. Click a picture to see it "
        "large, and what is taken from where.</p>"
    )
    if side < length:
        yield (
            f'<p class="note">{length:,} positions are drawn as {side} fields: the largest share '
            "of each field.</p>"
        )
    if layers > MOST_LAYERS:
        yield f'<p class="note">The first {MOST_LAYERS} of {layers} layers.</p>'
    many = range(min(layers, MOST_LAYERS))
    yield '<div class="layers">'
    for layer in many:
        checked = " checked" if layer == many[-1] else ""
        yield f'<input type="radio" name="layer" id="l{layer}"{checked}>'
    labels = "".join(f'<label for="l{layer}">layer {layer + 1}</label>' for layer in many)
    yield f'<div class="choose">{labels}</div>'
    for layer in many:
        yield f'<div class="panel p{layer}">'
        for head in range(heads):
            picture = pictures[layer * heads + head] if pictures else ""
            yield _head(head, weights[layer, head], names, rows, picture)
        yield "</div>"
    yield "</div>"


def _head(head: int, weights: Floats, names: list[str], rows: int, picture: str) -> str:
    """One head of a layer, closed; open, the last positions and what they take from."""
    length = len(weights)
    lines = []
    for place in range(length - rows, length):
        taken = most_taken(weights[place], 4)
        said = ", ".join(
            f"{format_share(share)} {names[other]} ({other})" for other, share in taken
        )
        lines.append((str(place), names[place], said))
    image = f'<img src="{picture}" alt="Attention of head {head + 1}">' if picture else ""
    table = _table(("position", "token", "takes from (position)"), lines, {0})
    return f'<details class="head"><summary>Head {head + 1}{image}</summary>{table}</details>'


def _pictures(weights: Floats) -> tuple[int, list[str]]:
    """The picture of each head, and how many fields wide they are, so that the page stays small."""
    shown = weights[:MOST_LAYERS].reshape(-1, *weights.shape[2:])
    side = weights.shape[-1]
    while side >= min(LEAST_SIDE, weights.shape[-1]):
        pictures: list[str] = []
        size = 0
        for each in shown:
            pictures.append(picture_of(shrink(each, side), shares=True))
            size += len(pictures[-1])
            if size > MOST_PICTURES:
                break
        else:
            return len(shrink(shown[0], side)), pictures
        side = side // 2
    return weights.shape[-1], []


def _lens(found: Inspection, lens: Lens) -> Iterator[str]:
    """A row for each layer, the last first; a column for each position, the last ones of many."""
    layers, length = lens.best_ids.shape
    count = max(1, min(length, CELLS // layers))
    places = range(length - count, length)
    if count < length:
        yield f'<p class="note">The last {count:,} of {length:,} positions.</p>'
    names = "".join(f"<th>{escape(shown(found, found.tokens.ids[p]))}</th>" for p in places)
    yield f'<div class="scroll"><table class="lens"><thead><tr><th>after</th>{names}</tr></thead>'
    yield "<tbody>"
    flat = is_flat(lens)
    for layer in [0] if flat else reversed(range(layers)):
        cells = []
        for place in places:
            share = float(np.exp(lens.best_logprobs[layer, place]))
            token = escape(shown(found, int(lens.best_ids[layer, place])))
            said = f"{token}<small>{format_share(share)}</small>"
            cells.append(f'<td style="--a: {0.5 * share:.2f}">{said}</td>')
        name = f"layer {layer}" if layer else "any layer" if flat else "embedding"
        yield f"<tr><th>{name}</th>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"
    if flat:
        return
    rows = [
        (f"layer {layer}" if layer else "embedding", f"{lens.divergences[layer].mean():.3f}")
        for layer in reversed(range(layers))
    ]
    yield (
        '<p class="note" style="margin-top: 12px">How far each is from what the model says in the '
        "end (KL), averaged over all positions:</p>"
    )
    yield _table(("after", "nats"), rows, {1})


# --- words and heads ----------------------------------------------------------------------------


def _words(found: Inspection, part: WithoutWords, plan: Mapping[str, Any]) -> Iterator[str]:
    yield f"<p>{escape(continuation(found, part))}</p>"
    yield f'<p class="note">{escape(erased_by(part, plan))}</p>'
    largest = max(float(np.abs(part.falls).max(initial=0)), 1e-9)
    yield '<table class="bars"><tbody>'
    for word, fall in zip(part.words, part.falls, strict=True):
        width = 100 * abs(fall) / largest
        less = " less" if fall < 0 else ""
        yield (
            f'<tr><td>{escape(shown_text(word).strip() or "▁")}</td><td class="n">{fall:+z.3f}</td>'
            f'<td><div class="bar{less}" style="--w: {width:.1f}"></div></td></tr>'
        )
    yield "</tbody></table>"
    if (part.falls < 0).any():
        yield f'<p class="note">{escape(in_its_units(HOLLOW, part))}</p>'


def _heads(found: Inspection, rises: Floats) -> Iterator[str]:
    if none_missed(found):
        yield f"<p>{escape(NONE_MISSED)}</p>"
        return
    each = rises / max(found.bytes, 1)
    largest = max(float(np.abs(each).max()), 1e-12)
    names = "".join(f"<th>head {head + 1}</th>" for head in range(each.shape[1]))
    yield f'<div class="scroll"><table class="grid"><thead><tr><th></th>{names}</tr></thead><tbody>'
    for layer in reversed(range(len(each))):
        cells = "".join(
            f'<td class="{"less" if rise < 0 else "more"}" '
            f'style="--a: {0.7 * abs(rise) / largest:.2f}">{rise:+z.4f}</td>'
            for rise in each[layer]
        )
        yield f"<tr><th>layer {layer + 1}</th>{cells}</tr>"
    yield "</tbody></table></div>"
    yield (
        '<p class="note">Blue: the loss rises without the head; orange: it falls. '
        f"{counted(each.size, 'head')}, one at a time.</p>"
    )

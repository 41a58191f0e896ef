"""The tour as a page, for who reads it alone and for who shows it to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.cli.pages.frame import draw_frame, escape
from tfcli.cli.pages.png import picture_of
from tfcli.cli.tour.step import END, TERM, Picture, Step, Table
from tfcli.cli.tour.tour import INTRODUCTION, LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.insight.code_lines import Code

STYLE = """
body { max-width: 760px; font-size: 16px; line-height: 1.6; }
h2 { font-size: 19px; margin: 0 0 12px; }
section { border-top: 1px solid var(--rule); margin-top: 36px; padding-top: 24px; }
p { margin: 0 0 12px; max-width: 42em; overflow-wrap: break-word; }
dfn { font-style: normal; font-weight: 650; color: var(--one); }
p.faint, figcaption, .file { color: var(--faint); font-size: 13px; line-height: 1.45; }
nav ol { columns: 2; padding-left: 1.6em; margin: 18px 0 0; }
nav a, .top { color: inherit; text-underline-offset: 3px; }
pre { margin: 0; font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.formula { border-left: 3px solid var(--one); padding: 6px 0 6px 14px; margin: 16px 0;
  font-size: 14px; }
details.code { margin: 12px 0 4px; }
.code summary { cursor: pointer; font-size: 14px; color: var(--faint); }
.code pre { border: 1px solid var(--rule); border-radius: 6px; padding: 10px 12px; margin: 6px 0; }
.code pre span { display: block; padding-left: 3.6em; text-indent: -3.6em; }
.code i { display: inline-block; width: 3.2em; text-indent: 0; font-style: normal;
  color: var(--faint); user-select: none; }
figure { margin: 20px 0; }
figcaption { margin-bottom: 6px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 16px 3px 0; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; font-weight: 400; }
th { color: var(--faint); }
.w { text-align: left; }
tr.marked td { background: rgba(var(--one-rgb), .13); }
.picture { display: grid; grid-template-columns: max-content minmax(0, 1fr); column-gap: 12px;
  font-size: 12px; }
.picture .rows span { display: block; height: 20px; line-height: 20px; max-width: 11em;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.picture img { height: calc(20px * var(--rows)); width: 100%; }
.picture.square img { width: calc(20px * var(--rows)); max-width: 100%; }
.columns { grid-column: 2; display: flex; width: calc(20px * var(--rows)); max-width: 100%;
  color: var(--faint); }
.columns span { flex: 1; text-align: center; overflow: hidden; }
img { display: block; image-rendering: pixelated; border: 1px solid var(--rule); }
.heads { display: flex; flex-wrap: wrap; gap: 14px; margin: 20px 0; }
.heads figure { margin: 0; width: 148px; }
.heads img { width: 148px; height: 148px; }
@media (max-width: 640px) { body { font-size: 15px; } nav ol { columns: 1; }
  th, td { padding-right: 10px; } table { font-size: 13px; }
  .picture .rows span { max-width: 7em; } }
@media print { details.code::details-content { content-visibility: visible; } }
"""


def draw_page(steps: Sequence[Step], model: str, run: str) -> str:
    """All steps.

    Args:
        model: what it is, in one sentence.

    """
    contents = "".join(
        f'<li><a href="#s{place}">{escape(step.title)}</a></li>'
        for place, step in enumerate(steps, 1)
    )
    parts = [
        *(f"<p>{escape(paragraph)}</p>" for paragraph in INTRODUCTION),
        f'<p class="faint">{escape(model)}</p>',
        '<p class="faint">In pictures every number is a colored field: blue is positive, orange '
        "negative, and the stronger the color, the larger the number. [0] in a table is the first "
        "number of a vector. Tables and pictures show the real numbers of this text.</p>",
        f"<nav><ol>{contents}</ol></nav>",
        *(_section(place, step) for place, step in enumerate(steps, 1)),
        f"<section><p>{escape(LIMITS)}</p></section>",
    ]
    return draw_frame(f"Inside {run}: one text, step by step", "\n".join(parts), STYLE, images=True)


def _section(place: int, step: Step) -> str:
    said = "\n".join(f"<p>{_with_terms(paragraph)}</p>" for paragraph in step.said)
    return f"""<section id="s{place}"><h2>{place}. {escape(step.title)}</h2>
{said}
<pre class="formula">{escape(step.formula)}</pre>
{_figures(step.figures)}
<details class="code" open><summary>The code</summary>{"".join(map(_code, step.code))}</details>
</section>"""


def _with_terms(paragraph: str) -> str:
    """A paragraph whose explained terms are marked; see `step.TERM`."""
    parts = []
    for part in paragraph.split(TERM):
        word, end, rest = part.partition(END)
        parts.append(f"<dfn>{escape(word)}</dfn>{escape(rest)}" if end else escape(part))
    return "".join(parts)


def _code(code: Code) -> str:
    lines = "".join(f"<span><i>{number}</i>{escape(text)}</span>" for number, text in code.lines)
    return f'<pre><span class="file">{escape(code.file)}</span>{lines}</pre>'


def _figures(figures: Sequence[Table | Picture]) -> str:
    parts: list[str] = []
    small: list[str] = []
    for figure in figures:
        if isinstance(figure, Picture) and not figure.rows:
            small.append(_picture(figure))
            continue
        if small:
            parts.append(f'<div class="heads">{"".join(small)}</div>')
            small = []
        parts.append(_table(figure) if isinstance(figure, Table) else _picture(figure))
    if small:
        parts.append(f'<div class="heads">{"".join(small)}</div>')
    return "\n".join(parts)


def _table(table: Table) -> str:
    kinds = ["w" if place in table.words else "" for place in range(len(table.headings))]

    def cells(tag: str, row: Sequence[str]) -> str:
        named = zip(kinds, row, strict=True)
        return "".join(
            f"<{tag}{f' class={kind}' if kind else ''}>{escape(cell)}</{tag}>"
            for kind, cell in named
        )

    heads = cells("th", table.headings)
    rows = "\n".join(
        f"<tr{' class=marked' if place in table.marked else ''}>{cells('td', row)}</tr>"
        for place, row in enumerate(table.rows)
    )
    return (
        f"<figure><figcaption>{escape(table.caption)}</figcaption>"
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table>'
        "</div></figure>"
    )


def _picture(picture: Picture) -> str:
    source = picture_of(picture.values, shares=picture.shares)
    alt = escape(picture.caption)
    image = f'<img src="{source}" alt="{alt}">'
    if not picture.rows:
        return f"<figure><figcaption>{alt}</figcaption>{image}</figure>"
    labels = "".join(f"<span>{escape(row)}</span>" for row in picture.rows)
    square = " square" if picture.shares else ""
    columns = (
        '<div class="columns">'
        + "".join(f"<span>{place}</span>" for place in range(len(picture.rows)))
        + "</div>"
        if picture.shares
        else ""
    )
    return (
        f"<figure><figcaption>{alt}</figcaption>"
        f'<div class="picture{square}" style="--rows: {len(picture.rows)}">'
        f'<div class="rows">{labels}</div>{image}{columns}</div></figure>'
    )

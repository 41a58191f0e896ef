"""A trace as a page of HTML: the text with its spans marked, their sources below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.cli.pages.frame import draw_frame, escape
from tfcli.cli.trace_output import (
    MEANING,
    describe_span,
    figures,
    in_context,
    name_place,
    segments,
)
from tfcli.quantities import counted, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.insight.trace import Span, Trace

MOST_TEXT, MOST_SOURCES = 700_000, 900_000  # bytes of the page, which stays below 2 MB
MOST_SPANS = 300  # whose passages are shown

MARKS = (("#cfe0fb", "#1d3a6b"), ("#fbe3b5", "#5a4310"), ("#cdeccf", "#1d4a25"),
         ("#f6d3df", "#5c2339"), ("#ded7f6", "#3c3169"))  # fmt: skip

STYLE = """
p { margin: 0 0 8px; max-width: 48em; }
p.faint, figcaption, .sources summary span, cite { color: var(--faint); font-size: 13px; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--rule);
  border-radius: 6px; padding: 14px 16px; margin-top: 18px; line-height: 1.75; }
mark { color: inherit; background: var(--mark); border-radius: 3px; padding: 1px 0; }
sup { line-height: 0; font-size: 11px; }
a { color: inherit; text-underline-offset: 2px; }
sup a { text-decoration: none; font-weight: 600; padding: 0 2px; }
.sources details { border-bottom: 1px solid var(--rule); padding: 7px 0; }
.sources details:target { outline: 2px solid var(--one); outline-offset: 3px; }
.sources summary { cursor: pointer; overflow-wrap: anywhere; }
.sources summary span { display: block; padding-left: 1.1em; }
.sources ul { margin: 8px 0 6px; padding-left: 20px; }
.sources li { margin-bottom: 8px; overflow-wrap: anywhere; }
cite { font-style: normal; display: block; }
figure { margin: 0; max-width: 560px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--faint); font-size: 12px; }
svg path { fill: none; stroke-width: 2; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .text-line { stroke: var(--one); } svg .held-out { stroke: var(--other);
  stroke-dasharray: 5 4; }
.scroll { overflow-x: auto; margin-top: 12px; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px 4px 0; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; font-weight: 400; }
th:first-child { text-align: left; color: var(--faint); }
@media (max-width: 640px) { .text { padding: 10px 12px; }
  svg text { font-size: 19px; } }
""" + "\n".join(
    f".m{number} {{ --mark: {light}; }}\n"
    f"@media (prefers-color-scheme: dark) {{ .m{number} {{ --mark: {dark}; }} }}"
    for number, (light, dark) in enumerate(MARKS)
)


def draw_page(trace: Trace, run: str) -> str:
    """The text with its spans marked, their sources below, and how much is new."""
    title = f"Where a text comes from: {run}"
    said = "\n".join(f"<p>{escape(line)}</p>" for line in figures(trace))
    body = f"""{said}
<p class="faint">{escape(MEANING)}</p>
<div class="text">{_text(trace)}</div>
{_sources(trace)}
<h2>How much is new</h2>
{_novelty(trace)}"""
    return draw_frame(title, body, STYLE)


def _text(trace: Trace) -> str:
    parts: list[str] = []
    size = shown = 0
    for part in segments(trace):
        text = part.text[:MOST_TEXT]
        marked = escape(text)
        if part.spans:
            color = (part.spans[-1].number - 1) % len(MARKS)
            marked = f'<mark class="m{color}">{marked}</mark>'
        marked += "".join(map(_number, part.ended))
        size += len(marked.encode())
        if size > MOST_TEXT:
            parts.append(f"\n\n... and {len(trace.text) - shown:,} bytes more")
            break
        parts.append(marked)
        shown += len(part.text.encode())
    return "".join(parts)


def _number(span: Span) -> str:
    if span.number > MOST_SPANS:
        return f"<sup>{span.number}</sup>"
    return f'<sup><a href="#s{span.number}">{span.number}</a></sup>'


def _sources(trace: Trace) -> str:
    """Each span with its passages, the least likely by chance first."""
    spans = trace.ranked
    if not spans:
        return ""
    lines = ["<h2>Passages of the training text</h2>", '<div class="sources">']
    size = 0
    for number, span in enumerate(spans):
        shown = _source(span, trace)
        size += len(shown.encode())
        if size > MOST_SOURCES or number == MOST_SPANS:
            lines.append(f"<p>and {counted(len(spans) - number, 'span')} more</p>")
            break
        lines.append(shown)
    return "\n".join([*lines, "</div>"])


def _source(span: Span, trace: Trace) -> str:
    said = in_context(span, span.passages[0], trace)[1]
    is_open = " open" if span.number <= 3 else ""
    lines = [
        f'<details id="s{span.number}"{is_open}><summary>{span.number}. {escape(said)}'
        f"<span>{escape(describe_span(span))}</span></summary><ul>"
    ]
    for passage in span.passages:
        before, said, after = in_context(span, passage, trace, around=80)
        lines.append(
            f"<li><cite>{escape(name_place(passage.place))}</cite>{escape(before)}"
            f'<mark class="m{(span.number - 1) % len(MARKS)}">{escape(said)}</mark>'
            f"{escape(after)}</li>"
        )
    if (more := span.count - len(span.passages)) > 0:
        lines.append(f"<li>and {counted(more, 'place')} more</li>")
    return "\n".join([*lines, "</ul></details>"])


def _novelty(trace: Trace) -> str:
    """A curve and its table."""
    rows = {"this text": [row.text for row in trace.novelty]}
    if trace.held_out_bytes:
        rows["held-out text"] = [row.held_out for row in trace.novelty]
    heads = "".join(f'<th scope="col">{row.n}</th>' for row in trace.novelty)
    body = "\n".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{_percent(each)}</td>" for each in own)}'
        "</tr>"
        for name, own in rows.items()
    )
    beside = (
        f" Dashed: {trace.held_out_bytes / 1000:.0f} kB of text that the run held out."
        if trace.held_out_bytes
        else ""
    )
    return f"""<figure>{_curve(list(rows.values()))}
<figcaption>Share of the n-grams of n words that the training text lacks.{beside}</figcaption>
</figure>
<div class="scroll"><table><thead><tr><th scope="row">n</th>{heads}</tr></thead>
<tbody>{body}</tbody></table></div>"""


LEFT, RIGHT, TOP, BOTTOM = 52, 550, 12, 180  # of the frame of the curve


def _curve(rows: Sequence[Sequence[float | None]]) -> str:
    columns = len(rows[0])

    def point(n: int, share: float) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * n / (columns - 1), BOTTOM - (BOTTOM - TOP) * share

    lines = []
    for share in (0.0, 0.5, 1.0):
        y = point(0, share)[1]
        lines.append(f'<path class="grid" d="M{LEFT} {y:.0f}H{RIGHT}"/>')
        lines.append(
            f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{percent(share)}</text>'
        )
    for n in range(columns):
        x = point(n, 0)[0]
        lines.append(f'<text x="{x:.0f}" y="{BOTTOM + 22}" text-anchor="middle">{n + 1}</text>')
    for name, own in zip(("text-line", "held-out"), rows, strict=False):
        points = [point(n, share) for n, share in enumerate(own) if share is not None]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        if path:
            lines.append(f'<path class="{name}" d="M{path}"/>')
    label = "share of new n-grams by their length"
    inside = "".join(lines)
    return f'<svg viewBox="0 0 560 210" role="img" aria-label="{label}">{inside}</svg>'


def _percent(share: float | None) -> str:
    return "-" if share is None else percent(share, 1)

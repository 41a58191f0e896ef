"""A chart as SVG, and a page of HTML around it: one file, no script, nothing from elsewhere.

Names of runs are somebody's text: every text goes through `_text`, and there it is escaped.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from tfcli.generation.streaming import make_visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli.chart import Axis, Chart, Curve

WIDTH, PLOT_HEIGHT, ROW = 960, 430, 26  # units of the drawing, pixels at its natural size
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 30, 56  # margins around the plot; the legend stands above
LONGEST_LABEL = 36
PALETTE = (  # told apart with any kind of sight, on white and on black
    ("#2563eb", "#7aa8ff"),
    ("#d9480f", "#ff9f5f"),
    ("#2b8a3e", "#6bd884"),
    ("#9c36b5", "#dd8af5"),
    ("#0b7285", "#40cbdf"),
    ("#c2255c", "#fa8fb4"),
    ("#7d6200", "#e2c343"),
    ("#495057", "#b4bbc2"),
)

STYLE = f"""
:root {{ color-scheme: light dark;
  --page: #ffffff; --ink: #1c2128; --faint: #616b76; --grid: #e6e9ed; --axis: #9aa4af;
  {" ".join(f"--c{i}: {light};" for i, (light, _) in enumerate(PALETTE))} }}
@media (prefers-color-scheme: dark) {{ :root {{
  --page: #14171b; --ink: #e6e9ed; --faint: #98a2ad; --grid: #272c33; --axis: #59636e;
  {" ".join(f"--c{i}: {dark};" for i, (_, dark) in enumerate(PALETTE))} }} }}
.chart {{ font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
.chart text {{ fill: var(--ink); }}
.chart .tick, .chart .aside {{ fill: var(--faint); font-variant-numeric: tabular-nums; }}
.chart .name {{ font-weight: 600; }}
.chart .ground {{ fill: var(--page); }}
.chart .grid {{ stroke: var(--grid); }}
.chart .axis {{ stroke: var(--axis); }}
.chart .training {{ fill: none; stroke-width: 1.25; stroke-opacity: 0.55; stroke-linejoin: round; }}
.chart .held-out {{ fill: none; stroke-width: 2.25; stroke-linejoin: round; }}
.chart .dot {{ stroke: var(--page); stroke-width: 1.25; }}
.chart .ring {{ fill: var(--page); stroke-width: 2; }}
.chart .dashed {{ stroke-dasharray: 6 4; }}
""" + "".join(
    f".chart .s{i} {{ stroke: var(--c{i}); }} .chart .f{i} {{ fill: var(--c{i}); }}\n"
    for i in range(len(PALETTE))
)

PAGE_STYLE = """
body { background: var(--page); color: var(--ink); margin: 0 auto; padding: 28px 24px 48px;
  max-width: 1000px; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 20px; line-height: 1.3; margin: 0 0 14px; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: 22px; font-size: 14px;
  font-variant-numeric: tabular-nums; }
th { color: var(--faint); font-weight: 500; white-space: nowrap; }
th, td { padding: 7px 10px; text-align: right; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
td:first-child { font-weight: 600; overflow-wrap: anywhere; }
td:last-child { color: var(--faint); }
p { color: var(--faint); font-size: 13px; max-width: 48em; }
p.warning { color: var(--ink); border-left: 3px solid var(--c1); padding-left: 10px; }
"""

EXPLANATION = (
    "Nats per byte: the cross-entropy of the model over each byte of the text, less being better. "
    "Thick lines with dots are measured on text held out from training, always on the same part "
    "of it; a ring is measured on another part, such as the whole at the end. Thin lines are the "
    "loss on the batches trained on, smoothed as the legend says; where its first steps lie above "
    "the frame, they are cut off."
)


def draw_svg(chart: Chart) -> str:
    """The chart as a whole SVG document."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_svg(chart, STYLE)}\n'


def draw_page(
    chart: Chart,
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    warning: str | None,
) -> str:
    """The chart as a page of HTML, with a table beneath.

    Args:
        rows: of the table; the first and the last column hold words, the others figures.
        warning: what a reader must know before comparing the curves.

    """
    head = "".join(f'<th scope="col">{_text(heading)}</th>' for heading in headings)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    beware = f'<p class="warning">{_text(warning)}</p>\n' if warning else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>{STYLE}{PAGE_STYLE}</style>
</head>
<body>
<h1>{_text(title)}</h1>
{_svg(chart, "")}
{beware}<div class="scroll"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
<p>{_text(EXPLANATION)}</p>
</body>
</html>
"""


def _text(text: str) -> str:
    """Text that is nothing but text in HTML and in XML, which forbids some characters."""
    text = text.encode(errors="backslashreplace").decode()
    text = make_visible(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    return html.escape(text)


def _svg(chart: Chart, style: str) -> str:
    top = TOP + ROW * len(chart.curves)
    height = top + PLOT_HEIGHT + BOTTOM
    names = ", ".join(curve.label for curve in chart.curves)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" '
        f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>{_text(f'Loss of {names} in nats/byte')}</title>",
        f"<style>{style}</style>" if style else "",
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        *_legend(chart.curves),
    ]
    plot = _Plot(chart, top)
    parts += plot.axes()
    parts.append(
        f'<clipPath id="plot"><rect x="{LEFT}" y="{top}" '
        f'width="{WIDTH - LEFT - RIGHT}" height="{PLOT_HEIGHT}"/></clipPath>'
    )
    parts += [plot.training(curve, owner) for owner, curve in enumerate(chart.curves)]
    parts += [plot.held_out(curve, owner) for owner, curve in enumerate(chart.curves)]
    return "\n".join(part for part in parts if part) + "\n</svg>"


def _legend(curves: Sequence[Curve]) -> list[str]:
    """A row for each run: its name, then its two lines with what they are."""
    names = [_cut(curve.label) for curve in curves]
    second = LEFT + 60 + 8 * max(map(len, names))  # no letter is much wider than 8 on average
    rows = zip(names, curves, strict=True)
    return [_legend_row(name, curve, owner, second) for owner, (name, curve) in enumerate(rows)]


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"


def _legend_row(name: str, curve: Curve, owner: int, second: int) -> str:
    y, third = TOP - 14 + ROW * owner, second + 300
    colour, dashed = _colour(owner)
    row = [
        f'<circle class="f{colour}" cx="{LEFT + 5}" cy="{y - 4}" r="5"/>',
        f'<text class="name" x="{LEFT + 18}" y="{y}">{_text(name)}</text>',
    ]
    if curve.held_out or curve.apart:
        row += [
            f'<path class="held-out s{colour}{dashed}" d="M{second} {y - 4}h26"/>',
            f'<circle class="dot f{colour}" cx="{second + 13}" cy="{y - 4}" r="4"/>',
            f'<text class="aside" x="{second + 34}" y="{y}">{_text(curve.held_out_words)}</text>',
        ]
    if curve.training:
        row += [
            f'<path class="training s{colour}{dashed}" d="M{third} {y - 4}h26"/>',
            f'<text class="aside" x="{third + 34}" y="{y}">{_text(curve.training_words)}</text>',
        ]
    return "".join(row)


def _colour(owner: int) -> tuple[int, str]:
    """The colour of a run, and the class of its lines where the colours are used up."""
    return owner % len(PALETTE), " dashed" if owner // len(PALETTE) % 2 else ""


class _Plot:
    """The frame that the curves stand in: from values to places."""

    def __init__(self, chart: Chart, top: int) -> None:
        self._x, self._y, self._top = chart.x, chart.y, top

    def _place(self, x: float, y: float) -> tuple[str, str]:
        across = LEFT + self._x.share(x) * (WIDTH - LEFT - RIGHT)
        down = self._top + (1 - self._y.share(y)) * PLOT_HEIGHT
        return f"{across:.1f}", f"{max(down, -9999.0):.1f}"  # cut off long before

    def axes(self) -> list[str]:
        """Grid, ticks, titles."""
        right, bottom = WIDTH - RIGHT, self._top + PLOT_HEIGHT
        parts = []
        for value, text in self._y.ticks:
            _, y = self._place(0, value)
            parts.append(
                f'<path class="grid" d="M{LEFT} {y}H{right}"/>'
                f'<text class="tick" x="{LEFT - 10}" y="{y}" dy="4" text-anchor="end">'
                f"{_text(text)}</text>"
            )
        for value, text in _apart(self._x):
            x, _ = self._place(value, self._y.low)
            parts.append(
                f'<path class="grid" d="M{x} {self._top}V{bottom}"/>'
                f'<path class="axis" d="M{x} {bottom}v5"/>'
                f'<text class="tick" x="{x}" y="{bottom + 20}" text-anchor="middle">'
                f"{_text(text)}</text>"
            )
        middle = (LEFT + right) / 2
        return [
            *parts,
            f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>',
            f'<text class="aside" x="{middle}" y="{bottom + 44}" text-anchor="middle">'
            f"{_text(self._x.title)}</text>",
            f'<text class="aside" transform="translate(16 {self._top + PLOT_HEIGHT / 2}) '
            f'rotate(-90)" text-anchor="middle">{_text(self._y.title)}</text>',
        ]

    def training(self, curve: Curve, owner: int) -> str:
        """The smoothed loss in training."""
        if not curve.training:
            return ""
        colour, dashed = _colour(owner)
        points = self._points(curve.training)
        words = _text(f"{curve.label}: {curve.training_words}")
        return (
            f'<polyline class="training s{colour}{dashed}" clip-path="url(#plot)" '
            f'points="{points}"><title>{words}</title></polyline>'
        )

    def held_out(self, curve: Curve, owner: int) -> str:
        """The measurements: a line, a dot for each, a ring for those on another text."""
        colour, dashed = _colour(owner)
        parts = []
        if len(curve.held_out) > 1:
            points = self._points([(dot.x, dot.y) for dot in curve.held_out])
            parts.append(f'<polyline class="held-out s{colour}{dashed}" points="{points}"/>')
        for kind, dots in ((f"dot f{colour}", curve.held_out), (f"ring s{colour}", curve.apart)):
            for dot in dots:
                x, y = self._place(dot.x, dot.y)
                parts.append(
                    f'<circle class="{kind}" cx="{x}" cy="{y}" r="4">'
                    f"<title>{_text(dot.words)}</title></circle>"
                )
        return "\n".join(parts)

    def _points(self, places: Sequence[tuple[float, float]]) -> str:
        return " ".join(",".join(self._place(x, y)) for x, y in places)


def _apart(axis: Axis) -> list[tuple[float, str]]:
    """The ticks without those that would stand in the margin."""
    return [(value, text) for value, text in axis.ticks if 0 <= axis.share(value) <= 1]

"""A page of HTML around a chart, with a table below."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from tfcli.cli.charts import svg
from tfcli.cli.charts.figure import COLORS, NARROW, WIDE
from tfcli.cli.pages.frame import draw_frame
from tfcli.generation.streaming import make_visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tfcli.cli.charts.chart import Chart

STYLE = (
    f"""
body {{ max-width: 1000px; }}
h1 {{ margin-bottom: 18px; }}
figure {{ margin: 0; }}
svg {{ display: block; width: 100%; height: auto; }}
.scroll {{ overflow-x: auto; margin-top: 26px; }}
table {{ border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 6px 16px 6px 0; text-align: left; vertical-align: top; white-space: pre-wrap;
  border-bottom: 1px solid var(--rule); }}
td {{ min-width: 9.5em; max-width: 22em; overflow-wrap: anywhere; }}
th {{ font-weight: 400; color: var(--faint); }}
tbody th:first-child, thead td {{ position: sticky; left: 0; background: var(--ground);
  min-width: 10em; max-width: 12em; }}
thead th {{ color: var(--ink); font-weight: 600; overflow-wrap: anywhere; max-width: 22em; }}
thead th::before {{ content: ""; display: inline-block; width: 10px; height: 10px;
  border-radius: 5px; margin-right: 7px; background: var(--run); }}
tbody th[scope=rowgroup] {{ color: var(--ink); font-weight: 600; padding-top: 20px; }}
.narrow {{ display: none; }}
@media (max-width: 640px) {{
  .wide {{ display: none; }} .narrow {{ display: block; }}
  table {{ font-size: 13px; }}
  th, td {{ padding-right: 12px; }}
  tbody th:first-child, thead td {{ min-width: 7.5em; max-width: 8.5em; }}
}}
p {{ color: var(--faint); font-size: 13px; max-width: 48em; }}
p.warning {{ color: var(--ink); border-left: 3px solid {COLORS[1][0]};
  padding-left: 10px; }}
"""
    + "\n".join(
        f".run{number} {{ --run: {light}; }}\n"
        f"@media (prefers-color-scheme: dark) {{ .run{number} {{ --run: {dark}; }} }}"
        for number, (light, dark) in enumerate(COLORS)
    )
    + svg.STYLE
)

EXPLANATION = (
    "Nats per byte: the cross-entropy of the model per byte of text; lower is better. "
    "Thick lines are the loss on held-out text, always on the same part of it, from step 0 on, "
    "before any training. A hollow marker is an evaluation on another part, such as the final one "
    "on all of it. A dotted line is where the student of self-distillation begins. Thin lines are "
    "the train loss; the first steps may lie above the frame."
)


def draw_page(
    chart: Chart,
    title: str,
    sections: Mapping[str, Mapping[str, Sequence[str]]],
    warning: str | None,
) -> str:
    """The chart as a page of HTML, with a table below.

    Args:
        sections: of the table: heading -> name of a row -> its cells, one for each run.
        warning: what a reader must know before comparing the curves.

    Raises:
        UsageError: matplotlib is not installed.

    """
    names = "".join(
        f'<th scope="col" class="run{run % len(COLORS)}">{html.escape(curve.label)}</th>'
        for run, curve in enumerate(chart.curves)
    )
    body = "\n".join(_section(*section, len(chart.curves)) for section in sections.items())
    note = (
        f'<p class="warning">{html.escape(warning[:1].upper() + warning[1:])}</p>\n'
        if warning
        else ""
    )
    page = f"""<figure class="wide">{svg.draw_svg_element(chart, WIDE, "wide")}</figure>
<figure class="narrow">{svg.draw_svg_element(chart, NARROW, "narrow")}</figure>
{note}<div class="scroll"><table>
<thead><tr><td></td>{names}</tr></thead>
{body}
</table></div>
<p>{html.escape(EXPLANATION)}</p>"""
    return draw_frame(title, page, STYLE)


def _section(heading: str, rows: Mapping[str, Sequence[str]], columns: int) -> str:
    title = html.escape(heading)
    lines = [f'<tr><th scope="rowgroup">{title}</th><td colspan="{columns}"></td></tr>']
    for name, cells in rows.items():
        said = "".join(f"<td>{html.escape(_unbroken(make_visible(cell)))}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{html.escape(make_visible(name))}</th>{said}</tr>')
    return "\n".join(["<tbody>", *lines, "</tbody>"])


def _unbroken(text: str) -> str:
    """With no-break spaces between numbers and the units after them."""
    return re.sub(r"(?<=\d) (?=[kMGT]?B\b|[kMG]\b|%)", "\u00a0", text)

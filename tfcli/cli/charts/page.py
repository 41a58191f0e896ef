"""A page of HTML around a chart: one file, no script, nothing loaded from elsewhere.

The names of runs are somebody's text: every text is escaped.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from tfcli.cli.charts import svg
from tfcli.cli.charts.figure import COLORS, FAINT, GRID, GROUND, INK, NARROW, WIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli.charts.chart import Chart

STYLE = (
    f"""
:root {{ color-scheme: light dark; --ground: {GROUND[0]};
  --ink: {INK[0]}; --faint: {FAINT[0]}; --rule: {GRID[0]}; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ground: {GROUND[1]};
  --ink: {INK[1]}; --faint: {FAINT[1]}; --rule: {GRID[1]}; }} }}
* {{ box-sizing: border-box; }}
body {{ background: var(--ground); color: var(--ink); margin: 0 auto; padding: 28px 20px 48px;
  max-width: 1000px; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
h1 {{ font-size: 20px; line-height: 1.3; margin: 0 0 18px; overflow-wrap: anywhere; }}
figure {{ margin: 0; }}
svg {{ display: block; width: 100%; height: auto; }}
.scroll {{ overflow-x: auto; margin-top: 26px; }}
table {{ border-collapse: collapse; width: 100%; font-size: 14px;
  font-variant-numeric: tabular-nums; }}
th {{ color: var(--faint); font-weight: 500; white-space: nowrap; }}
th, td {{ padding: 8px 10px; text-align: right; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid var(--rule); }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0; }}
td:first-child {{ font-weight: 600; white-space: normal; overflow-wrap: anywhere;
  min-width: 8em; }}
th:last-child, td:last-child {{ text-align: left; padding-right: 0; }}
td:last-child {{ color: var(--faint); white-space: normal; min-width: 17em; }}
.narrow {{ display: none; }}
@media (max-width: 640px) {{
  .wide {{ display: none; }} .narrow {{ display: block; }}
  body {{ padding: 20px 14px 36px; }}
  th, td {{ padding: 8px; }}
  td:last-child {{ white-space: nowrap; }}  /* it scrolls anyway */
}}
p {{ color: var(--faint); font-size: 13px; max-width: 48em; }}
p.warning {{ color: var(--ink); border-left: 3px solid {COLORS[1][0]};
  padding-left: 10px; }}
"""
    + svg.STYLE
)

EXPLANATION = (
    "Nats per byte: the cross-entropy of the model per byte of text; lower is better. "
    "Thick lines are the loss on held-out text, always on the same part of it. A hollow marker is "
    "an evaluation on another part, such as the final one on all of it. Thin lines are the train "
    "loss; the first steps may lie above the frame."
)


def draw_page(
    chart: Chart,
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    warning: str | None,
) -> str:
    """The chart as a page of HTML, with a table below.

    Args:
        rows: of the table; the first and the last column hold words, the others numbers.
        warning: what a reader must know before comparing the curves.

    Raises:
        UsageError: matplotlib is not installed.

    """
    head = "".join(f'<th scope="col">{html.escape(heading)}</th>' for heading in headings)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    note = f'<p class="warning">{html.escape(warning)}</p>\n' if warning else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
<figure class="wide">{svg.draw_svg_element(chart, WIDE, "wide")}</figure>
<figure class="narrow">{svg.draw_svg_element(chart, NARROW, "narrow")}</figure>
{note}<div class="scroll"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
<p>{html.escape(EXPLANATION)}</p>
</body>
</html>
"""

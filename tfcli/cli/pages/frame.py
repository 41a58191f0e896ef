"""What all pages have: their head, and colors in light and dark.

All texts are somebody's: every one is escaped.
"""

from __future__ import annotations

import html

from tfcli.cli.charts.figure import COLORS, FAINT, GRID, GROUND, INK
from tfcli.generation.streaming import make_visible


def _channels(color: str) -> str:
    return ", ".join(str(int(color[place : place + 2], 16)) for place in (1, 3, 5))


def _scheme(which: int) -> str:
    return (
        f"--ground: {GROUND[which]}; --ink: {INK[which]}; --faint: {FAINT[which]}; "
        f"--rule: {GRID[which]}; --one: {COLORS[0][which]}; --other: {COLORS[1][which]}; "
        f"--one-rgb: {_channels(COLORS[0][which])}; --other-rgb: {_channels(COLORS[1][which])};"
    )


STYLE = f"""
:root {{ color-scheme: light dark; {_scheme(0)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_scheme(1)} }} }}
* {{ box-sizing: border-box; }}
body {{ background: var(--ground); color: var(--ink); margin: 0 auto; padding: 28px 20px 48px;
  max-width: 860px; font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
h1 {{ font-size: 20px; line-height: 1.3; margin: 0 0 14px; overflow-wrap: anywhere; }}
h2 {{ font-size: 16px; margin: 34px 0 10px; }}
@media (max-width: 640px) {{ body {{ padding: 20px 14px 36px; }} }}
"""


def draw_frame(title: str, body: str, style: str = "", *, images: bool = False) -> str:
    """A whole page.

    Args:
        body: in HTML.
        style: added to `STYLE`.
        images: whether the body has pictures in itself.

    """
    policy = "default-src 'none'; style-src 'unsafe-inline'" + "; img-src data:" * images
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""


def escape(text: str) -> str:
    """A text in HTML, its control characters visible."""
    return html.escape(make_visible(text))

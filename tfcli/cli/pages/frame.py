"""What all pages have: their head, colors in light and dark, and the file they are written to.

All texts are somebody's: every one is escaped.
"""

from __future__ import annotations

import html
import shlex
import sys
from typing import TYPE_CHECKING

from tfcli.cli.charts.figure import COLORS, FAINT, GRID, GROUND, INK
from tfcli.errors import ConflictError, UsageError
from tfcli.generation.streaming import make_visible

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.cli.streams import Reporter

OPENERS = {"darwin": "open", "win32": "start"}


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


def require_page(path: Path | None) -> None:
    """Raises unless the file of `--html` is named like a page: no other is ever overwritten."""
    if path is None:
        return
    if path.suffix.lower() not in {".html", ".htm"}:
        hint = f"--html {shlex.quote(str(path.with_suffix('.html')))}" if path.name else None
        raise UsageError(f"--html {str(path)!r} does not end in .html", hint=hint)
    if path.is_dir():
        raise ConflictError(f"{path} is a folder", hint="choose another path for --html")


def write_page(path: Path, page: str, reporter: Reporter) -> None:
    """Writes a page, and says how to open it."""
    from tfcli.files import write_file

    data = page.encode(errors="replace")
    write_file(path, data)
    reporter.note(f"Wrote {path} ({len(data) / 1000:.1f} kB).")
    reporter.next(f"{OPENERS.get(sys.platform, 'xdg-open')} {shlex.quote(str(path))}")

"""The file of a page: which name it may have, and how to open it."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from tfcli.errors import ConflictError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.cli.streams import Reporter

OPENERS = {"darwin": "open", "win32": "start"}


def require_page(path: Path | None) -> None:
    """Raises unless the file of `--html` is named like a page: no other is ever overwritten."""
    if path is None:
        return
    if path.suffix.lower() not in {".html", ".htm"}:
        hint = f"--html {shlex.quote(str(path.with_suffix('.html')))}" if path.name else None
        raise UsageError(f"--html {str(path)!r} does not end in .html", hint=hint)
    if path.is_dir():
        raise ConflictError(f"{path} is a folder", hint="choose another path for --html")
    from tfcli.files import require_parent

    require_parent(path)


def write_page(path: Path, page: str, reporter: Reporter) -> None:
    """Writes a page, and says how to open it."""
    from tfcli.files import write_file

    data = page.encode(errors="replace")
    write_file(path, data)
    reporter.note(f"Wrote {path} ({len(data) / 1000:.1f} kB).")
    reporter.next(f"{OPENERS.get(sys.platform, 'xdg-open')} {shlex.quote(str(path))}")

"""`metrics.jsonl`: one line per event, append-only; lines torn by a kill are skipped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tfcli.files import append_line, translate_os_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

METRICS = "metrics.jsonl"


def append_metrics(run: Path, row: Mapping[str, object]) -> None:
    """Appends one event to a run's metrics."""
    line = json.dumps(row, ensure_ascii=False)
    append_line(run / METRICS, line.encode(errors="backslashreplace"))


def read_metrics(run: Path) -> Iterator[dict[str, Any]]:
    """The events of a run, in order; lines that are not JSON objects are skipped.

    After a resume, the steps since the last save appear twice; the later line counts.
    """
    path = run / METRICS
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(row, dict):
                    yield row
    except FileNotFoundError:
        return
    except OSError as error:
        raise translate_os_error(error, path) from error

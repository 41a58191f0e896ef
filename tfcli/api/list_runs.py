"""All runs in figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcli.api.notices import warn
from tfcli.errors import DataError
from tfcli.runs.run import ROOT, open_run
from tfcli.runs.run import list_runs as run_folders
from tfcli.runs.summary import summarize

if TYPE_CHECKING:
    import os


def list_runs(folder: str | os.PathLike[str] = ROOT) -> list[dict[str, Any]]:
    """All runs in figures, the newest last, with the keys of `tfcli runs list --json`.

    Returns:
        A dictionary for each run: `name`, `path`, `family`, `parameters`, `steps`, `held_out` with
        `nats_per_byte`, and others.

    """
    found = []
    for path in run_folders(Path(folder)):
        try:
            found.append(summarize(open_run(path)))
        except DataError as error:
            warn(error)
    return found

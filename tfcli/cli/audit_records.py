"""What audits leave with a run, for its card, and what they have to say beside their figures."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from tfcli.errors import TfcliError
from tfcli.runs.source_names import source_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tfcli.cli.streams import Reporter
    from tfcli.runs.audits import Kind
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep


def keep(
    run: Run, step: ValidStep, kind: Kind, figures: dict[str, Any], reporter: Reporter
) -> None:
    """Keeps the figures with the run; where that cannot be, says so."""
    from tfcli.runs.audits import record_audit

    try:
        path = record_audit(run, step, kind, figures)
    except TfcliError as error:
        reporter.warn(error)
        return
    reporter.note(f"Kept in {path}, for tfcli runs card.")


def file_sha256(path: Path) -> str | None:
    """As `sha256sum` tells it; None for a pipe, which is gone, and what cannot be read."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # whoever reads it says why
        pass
    return None


def mention_known(run: Run, sources: Sequence[Path], reporter: Reporter) -> None:
    """Says which of some files the run was trained on, to the byte."""
    trained = {file.sha256 for file in run.corpus.files}
    places = set(run.corpus.sources)
    known = [
        source_name(str(source))
        for source in sources
        if str(source.resolve()) in places or (trained and file_sha256(source) in trained)
    ]
    if known:
        reporter.note(
            f"Note: {run.name} was trained on {', '.join(known[:3])}"
            f"{', ...' if len(known) > 3 else ''}: its figure is partly of memory."
        )

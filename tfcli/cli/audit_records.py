"""What audits leave with a run, for its card, and what they have to say beside their figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcli.errors import TfcliError
from tfcli.runs.source_names import source_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tfcli.cli.streams import Reporter
    from tfcli.files import FileHash
    from tfcli.runs.audits import AuditKind
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep


def save_audit(
    run: Run, step: ValidStep, kind: AuditKind, figures: dict[str, Any], reporter: Reporter
) -> None:
    """Keeps the figures with the run; where that cannot be, says so."""
    from tfcli.runs.audits import record_audit

    try:
        path = record_audit(run, step, kind, figures)
    except TfcliError as error:
        reporter.warn(error)
        return
    reporter.note(f"Kept in {path}, for tfcli runs card.")


def note_trained_on(
    run: Run, sources: Mapping[Path, FileHash | None], reporter: Reporter
) -> list[str]:
    """Says which of some files the run was trained on, to the byte; returns their names.

    Args:
        sources: the files with their hashes; None of what cannot be hashed, such as a pipe.

    """
    trained = {file.sha256 for file in run.corpus.files}
    places = set(run.corpus.sources)
    known = [
        source_name(str(source))
        for source, hashed in sources.items()
        if str(source.resolve()) in places or (hashed and hashed.sha256 in trained)
    ]
    if known:
        reporter.note(
            f"Note: {run.name} was trained on {', '.join(known[:3])}"
            f"{', ...' if len(known) > 3 else ''}: its figure is partly of memory."
        )
    return known

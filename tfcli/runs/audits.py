"""`audit-memory.json` and its like: what the newest audit of each kind found, kept with the run.

And `eval.json`: how well it answered the pairs that it was last evaluated on.
"""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from tfcli import __version__
from tfcli.errors import DamagedError, NotFoundError, TfcliError
from tfcli.files import read_checked_json, recorded_sha256, write_checked_json
from tfcli.runs.step import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep

AuditKind = Literal["memory", "bias", "groups", "eval"]
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """What an audit found.

    Attributes:
        date: in UTC.
        step, weights_sha256: what was audited.
        tfcli: the version that did it.
        figures: in short, without passages of the text.

    """

    kind: AuditKind
    date: str
    step: int
    weights_sha256: str
    tfcli: str
    figures: dict[str, Any]

    def is_of(self, step: ValidStep) -> bool:
        """Whether these very weights were audited."""
        return self.weights_sha256 == recorded_sha256(step.path / MODEL)


def record_audit(run: Run, step: ValidStep, kind: AuditKind, figures: dict[str, Any]) -> Path:
    """Keeps what an audit found, in place of what one of its kind found before.

    Returns:
        The path of the file.

    Raises:
        InputOutputError: the run's folder cannot be written to.

    """
    record = AuditRecord(
        kind=kind,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        step=step.state.step,
        weights_sha256=recorded_sha256(step.path / MODEL),
        tfcli=__version__,
        figures=figures,
    )
    path = _path(run, kind)
    write_checked_json(path, {"schema": SCHEMA, **asdict(record)})
    return path


def read_audits(run: Run, on_damaged: Callable[[TfcliError], None]) -> list[AuditRecord]:
    """What is kept of a run's audits; calls `on_damaged` for each that cannot be read."""
    found = []
    for kind in get_args(AuditKind):
        try:
            found.append(_read(_path(run, kind)))
        except NotFoundError:
            continue
        except TfcliError as error:
            on_damaged(error)
    return found


def _read(path: Path) -> AuditRecord:
    value = read_checked_json(path, schema=SCHEMA)
    value.pop("schema")
    try:
        return AuditRecord(**value)  # what its hash covers is what `record_audit` wrote
    except TypeError as error:
        raise DamagedError(f"{path} does not describe an audit", why=str(error)) from None


def _path(run: Run, kind: AuditKind) -> Path:
    return run.path / ("eval.json" if kind == "eval" else f"audit-{kind}.json")

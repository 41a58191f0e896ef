"""What a run came to, in the keys that `--json` promises."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, NotFoundError
from tfcli.runs.metrics import read_metrics
from tfcli.runs.run import steps_by_merit
from tfcli.runs.step import list_steps, read_state

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.runs.run import Run
    from tfcli.runs.step import StepState


def summarize(run: Run) -> dict[str, Any]:
    """A run in plain values.

    Returns:
        name, path, family, parameters, vocab_size; steps, tokens_seen, seconds of its newest
        step; held_out (nats_per_byte, bytes, tokens, context, whole) and best_step of the step
        with the lowest held-out loss, null where none was measured; epochs; finished; disk_bytes.

    """
    newest = _state(list_steps(run.path)[-1:])
    best = _state(steps_by_merit(run)[:1])
    measured = best.reported if best else None
    tokens_seen = newest.tokens_seen if newest else 0
    return {
        "name": run.name,
        "path": str(run.path),
        "family": run.card["model"]["family"],
        "parameters": run.card.get("parameters"),
        "vocab_size": run.card["model"]["vocab_size"],
        "steps": newest.step if newest else 0,
        "tokens_seen": tokens_seen,
        "epochs": round(tokens_seen / max(run.card["corpus"]["training_tokens"], 1), 3),
        "seconds": newest.seconds if newest else 0.0,
        "held_out": asdict(measured) if measured else None,
        "best_step": best.step if best and measured else None,
        "finished": is_finished(run),
        "disk_bytes": sum(
            path.stat().st_size
            for path in run.path.rglob("[!.]*")
            if path.is_file() and not path.is_symlink()
        ),
    }


def is_finished(run: Run) -> bool:
    """Whether the run's last session came to the end of its budget, and that step is there."""
    last = None
    for row in read_metrics(run.path):
        last = row
    newest = _state(list_steps(run.path)[-1:])
    return (
        last is not None
        and newest is not None
        and last.get("event") == "Stopped"
        and last.get("reason") == "finished"
        and last.get("step") == newest.step
    )


def _state(steps: list[Path]) -> StepState | None:
    for path in steps:
        try:
            return read_state(path)
        except (DataError, NotFoundError):
            continue
    return None

"""A run in figures, under the keys that `--json` promises."""

from __future__ import annotations

import contextlib
import datetime
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcli.errors import TfcliError
from tfcli.runs.memory import read_memory_json
from tfcli.runs.metrics import read_metrics
from tfcli.runs.run import last_change
from tfcli.runs.step import list_steps, read_state
from tfcli.runs.valid_steps import steps_by_loss

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tfcli.runs.run import Run
    from tfcli.runs.step import StepState

# the reasons of `tfcli.training.events.Stopped` after which nothing is left to resume; the last is
# what earlier builds called "patience"
ENDED = ("finished", "patience", "no better")


def summarize(run: Run) -> dict[str, Any]:
    """A run in plain values, from the steps that can be read.

    Returns:
        name, path, family, parameters, vocab_size; steps, tokens_seen, seconds of its newest
        step; held_out (nats_per_byte, bytes, tokens, context, stride, whole; text: what was held
        out, in words) and best_step of the step with the lowest held-out loss, null where none
        was measured; memory (tokens, step, fitted_on, fitted_tokens, held_out), null where there is
        none; baselines (gzip, ngram,
        ngram_order, training_bytes, held_out_bytes); epochs; finished; disk_bytes; changed: when
        its newest step was saved, in UTC.

    """
    newest = _state(reversed(list_steps(run.path)))
    best = _state(steps_by_loss(run))
    measured = best.final_or_latest if best else None
    tokens_seen = newest.tokens_seen if newest else 0
    return {
        "name": run.name,
        "path": str(run.path),
        "family": run.metadata["model"]["family"],
        "parameters": run.metadata.get("parameters"),
        "vocab_size": run.metadata["model"]["vocab_size"],
        "steps": newest.step if newest else 0,
        "tokens_seen": tokens_seen,
        "epochs": round(tokens_seen / max(run.metadata["corpus"]["training_tokens"], 1), 3),
        "seconds": newest.seconds if newest else 0.0,
        "held_out": asdict(measured) | {"text": run.corpus.held_out_text} if measured else None,
        "memory": memory_figures(run),
        "baselines": run.metadata.get("baselines"),
        "best_step": best.step if best and measured else None,
        "finished": is_finished(run),
        "disk_bytes": disk_bytes(run.path),
        "changed": datetime.datetime.fromtimestamp(last_change(run.path), datetime.UTC).isoformat(
            timespec="seconds"
        ),
    }


def memory_figures(run: Run) -> dict[str, Any] | None:
    """What is known of a run's memory, if it has one that can be used."""
    try:
        memory = asdict(read_memory_json(run))
    except TfcliError:
        return None
    return {
        key: memory[key] for key in ("tokens", "step", "fitted_on", "fitted_tokens", "held_out")
    }


def is_finished(run: Run) -> bool:
    """Whether the run's last session came to its end, and its last step exists.

    The end is that of the budget, or of the patience.
    """
    last = None
    for row in read_metrics(run.path):
        last = row
    newest = _state(reversed(list_steps(run.path)))
    return (
        last is not None
        and newest is not None
        and last.get("event") == "Stopped"
        and last.get("reason") in ENDED
        and last.get("step") == newest.step
    )


def _state(steps: Iterable[Path]) -> StepState | None:
    """The first valid state among `steps`."""
    for path in steps:
        try:
            return read_state(path)
        except TfcliError:
            continue
    return None


def disk_bytes(folder: Path) -> int:
    """The size of a run without hidden files; a trainer may remove some files meanwhile."""
    total = 0
    for path, _, names in os.walk(folder):
        if path == str(folder) or not Path(path).name.startswith("."):
            for name in names:
                with contextlib.suppress(OSError):
                    total += 0 if name.startswith(".") else (Path(path) / name).lstat().st_size
    return total

"""The summary of a run has the keys that `--json` promises, from the steps that can be read."""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runs.helpers import held_out, make_run, save, state, weights
from tfcli.runs.metrics import append_metrics
from tfcli.runs.run import Run
from tfcli.runs.series import effective_rows
from tfcli.runs.step import STATE, save_step
from tfcli.runs.summary import is_finished, summarize

STOPPED = {"event": "Stopped", "reason": "finished"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "tale")


def test_summary_has_the_promised_keys(run: Run) -> None:
    save(run, 10, loss=1.5)
    summary = summarize(run)
    assert summary.keys() >= {"name", "path", "parameters", "steps", "tokens_seen", "seconds"}
    assert summary["held_out"].keys() >= {"nats_per_byte", "bytes", "context"}
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_summary_has_every_value_of_a_run(run: Run) -> None:
    save(run, 10, loss=1.5)
    save(run, 20, loss=2.5)
    size = sum(
        os.path.getsize(os.path.join(folder, name))  # noqa: PTH118, PTH202 (independent of ours)
        for folder, _, names in os.walk(run.path)
        for name in names
    )
    moment = datetime.datetime(2026, 11, 27, 13, 32, 5, tzinfo=datetime.UTC).timestamp()
    for path in (run.path / "run.json", *run.path.glob("step-*")):
        os.utime(path, (moment, moment))
    assert summarize(run) == {
        "name": "tale",
        "path": str(run.path),
        "family": "modern",
        "parameters": 1234,
        "vocab_size": 300,
        "steps": 20,
        "tokens_seen": 320,
        "epochs": 320 / 400,
        "seconds": 10.0,
        "held_out": {
            "nats_per_byte": 1.5, "bytes": 1000, "tokens": 300, "context": 8, "stride": 4,
            "whole": False, "text": "the end of book.txt",
        },
        "memory": None,
        "baselines": None,
        "best_step": 10,
        "finished": False,
        "disk_bytes": size,
        "changed": "2026-11-27T13:32:05+00:00",
    }  # fmt: skip


def test_lock_and_leftovers_do_not_count_in_the_size(run: Run) -> None:
    expected = summarize(run)
    (run.path / ".lock").write_bytes(b"12345")
    (run.path / ".tmp-step-00000005-1-a").mkdir()
    (run.path / ".tmp-step-00000005-1-a" / "model.safetensors").write_bytes(b"half")
    assert summarize(run) == expected


def test_summary_of_a_run_without_steps_is_zero(run: Run) -> None:
    summary = summarize(run)
    assert (summary["steps"], summary["tokens_seen"], summary["seconds"]) == (0, 0, 0.0)
    assert (summary["held_out"], summary["best_step"], summary["epochs"]) == (None, None, 0.0)
    assert not summary["finished"]


def test_summary_of_a_run_without_evaluation_has_no_loss(run: Run) -> None:
    save(run, 10)
    summary = summarize(run)
    assert summary["steps"] == 10
    assert (summary["held_out"], summary["best_step"]) == (None, None)


def test_loss_on_the_whole_text_is_preferred(run: Run) -> None:
    measured = replace(state(10, loss=1.5), held_out_final=held_out(1.75))
    save_step(run.path, measured, weights(10), {})
    assert summarize(run)["held_out"]["nats_per_byte"] == 1.75
    assert summarize(run)["best_step"] == 10


@pytest.mark.parametrize("damage", ["lost", "torn", "a folder"])
def test_unreadable_newest_step_does_not_hide_the_one_before(run: Run, damage: str) -> None:
    save(run, 10, loss=1.5)
    broken = save(run, 20, loss=1.0) / STATE
    broken.unlink()
    if damage == "torn":
        broken.write_bytes(b"{")
    if damage == "a folder":
        broken.mkdir()
    summary = summarize(run)
    assert (summary["steps"], summary["tokens_seen"], summary["best_step"]) == (10, 160, 10)


@pytest.mark.parametrize("reason", ["finished", "patience", "no better"])
def test_run_that_reached_its_end_is_finished(run: Run, reason: str) -> None:
    save(run, 10)
    append_metrics(run.path, {"event": "StepFinished", "step": 10})
    append_metrics(run.path, {**STOPPED, "reason": reason, "step": 10})
    assert is_finished(run)
    assert summarize(run)["finished"]


@pytest.mark.parametrize(
    "last",
    [
        {"event": "Stopped", "reason": "interrupted", "step": 10},
        {"event": "Stopped", "reason": "finished", "step": 20},
        {"event": "Stopped", "reason": "finished"},
        {"event": "StepFinished", "step": 10},
        {},
    ],
)
def test_resumed_or_interrupted_run_is_not_finished(run: Run, last: dict[str, object]) -> None:
    save(run, 10)
    append_metrics(run.path, {**STOPPED, "step": 10})
    append_metrics(run.path, last)
    assert not is_finished(run)


def test_event_of_the_wrong_type_is_no_end(run: Run) -> None:
    append_metrics(run.path, {"event": "Stopped", "reason": [], "step": 3})
    append_metrics(run.path, {"event": ["StepFinished"], "step": 3})
    assert not is_finished(run)
    assert ["StepFinished"] not in [row["event"] for row in effective_rows(run.path)]


def test_run_without_its_last_step_is_not_finished(run: Run) -> None:
    append_metrics(run.path, {**STOPPED, "step": 10})
    assert not is_finished(run)
    save(run, 5)
    assert not is_finished(run)

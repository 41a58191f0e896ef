"""What differs between runs, and whether their losses can be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.runs.helpers import held_out, make_run, metadata, save, state, tokenizer, weights
from tfcli.runs.comparison import configuration, obstacle, results, side_by_side
from tfcli.runs.metrics import append_metrics
from tfcli.runs.run import Run, create_run, nested_runs
from tfcli.runs.series import read_series
from tfcli.runs.step import HeldOutLoss, save_step


def variant(path: Path, **changed: Any) -> Run:
    """A run whose `run.json` differs; a dictionary changes some keys of one."""
    values = metadata()
    for key, value in changed.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    return create_run(path, values, tokenizer())


def evaluate(run: Run, step: int, measured: HeldOutLoss) -> None:
    row = {"event": "Evaluated", "step": step, "seconds": float(step), "held_out": vars(measured)}
    append_metrics(run.path, row)


def test_configuration_has_what_differs_and_nothing_else(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one")
    two = variant(tmp_path / "two", seed=2, model={"num_layers": 3}, plan={"new_option": "on"})
    facts = [configuration(run) for run in (one, two)]
    assert side_by_side(facts) == {
        "seed": [1, 2],
        "model.num_layers": [1, 3],
        "plan.new_option": [None, "on"],
    }
    everything = side_by_side(facts, everything=True)
    assert everything["model.d_model"] == [4, 4]
    assert everything["corpus.sources"] == [("book.txt",), ("book.txt",)]
    assert not {"sha256", "created", "corpus.token_cache"} & everything.keys()
    json.dumps(everything, allow_nan=False)


def test_results_have_the_best_and_the_last_evaluation(tmp_path: Path) -> None:
    run = make_run(tmp_path / "tale")
    for step, loss in ((0, 3.0), (10, 1.5), (20, 1.75)):
        evaluate(run, step, held_out(loss))
    save(run, 10, loss=1.5)
    found = results(read_series(run))
    assert (found["best_evaluation.step"], found["best_evaluation.nats_per_byte"]) == (10, 1.5)
    assert (found["last_evaluation.step"], found["last_evaluation.nats_per_byte"]) == (20, 1.75)
    assert found["held_out.nats_per_byte"] == 1.5


def test_results_of_a_run_that_was_never_evaluated_are_there(tmp_path: Path) -> None:
    found = results(read_series(make_run(tmp_path / "tale")))
    assert found["best_evaluation"] is None
    assert found["held_out"] is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"seed": 2}, None),
        ({"corpus": {"fingerprint": "other"}}, "text"),
        ({"corpus": {"held_out": [[0, 100]]}}, "text"),
    ],
)
def test_losses_compare_on_the_same_held_out_text(
    tmp_path: Path, changed: dict[str, Any], expected: str | None
) -> None:
    runs = make_run(tmp_path / "one"), variant(tmp_path / "two", **changed)
    for run in runs:
        save(run, 10, loss=1.5)
    assert obstacle([read_series(run) for run in runs]) == expected


def test_losses_on_the_same_file_compare_whatever_was_trained_on(tmp_path: Path) -> None:
    val = {"sources": ["val.txt"], "bytes": 9, "documents": 1, "fingerprint": "v"}
    one = variant(tmp_path / "one", corpus={"val": val})
    two = variant(tmp_path / "two", corpus={"val": val, "fingerprint": "other"})
    for run in (one, two):
        save(run, 10, loss=1.5)
    assert obstacle([read_series(one), read_series(two)]) is None


def test_losses_on_different_parts_of_a_text_are_told_apart(tmp_path: Path) -> None:
    one, two = make_run(tmp_path / "one"), make_run(tmp_path / "two")
    save(one, 10, loss=1.5)
    part = HeldOutLoss(nats_per_byte=1.4, bytes=99, tokens=30, context=8, stride=4, whole=False)
    measured = {**vars(state(10)), "held_out": part}
    save_step(two.path, type(state(10))(**measured), weights(10), {})
    series = [read_series(one), read_series(two)]
    assert obstacle(series) == "part"
    assert obstacle([*series[:1], read_series(make_run(tmp_path / "unmeasured"))]) is None


def test_runs_too_deep_to_be_listed_are_found(tmp_path: Path) -> None:
    for name in ("one", "a/b", "a/c/d", ".tmp-1/e"):
        (tmp_path / name).mkdir(parents=True)
        make_run(tmp_path / name)
    assert nested_runs(tmp_path) == [tmp_path / "a/b", tmp_path / "a/c/d"]

"""`tfcli runs tensorboard`, read with TensorBoard's own reader."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.cli.test_plot import copy_run, evaluated, step, write_metrics
from tests.conftest import Shell


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The steps and values of the scalars of a run, by tag."""
    events: Any = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_tensorboard_reads_every_metric(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "one")
    many = 2**40
    write_metrics(
        shell, "one",
        step(1, 2.5, grad_norm=0.5, tokens_per_second=1000.0, learning_rate=0.25),
        evaluated(1, 2.25), step(many, 1.5), evaluated(many, 1.25), evaluated(many, 1.75, 900),
    )  # fmt: skip
    done = shell("runs", "tensorboard", "one", "--out", "events")
    assert (done.code, done.out) == (0, b"")
    assert "Next: tensorboard --logdir events" in done.err
    assert scalars(tmp_path / "events/one") == {
        "train/loss": [(1, 5.0), (many, 3.0)],
        "train/nats_per_byte": [(1, 2.5), (many, 1.5)],
        "train/grad_norm": [(1, 0.5)],
        "train/learning_rate": [(1, 0.25)],
        "train/tokens_per_second": [(1, 1000.0)],
        "eval/nats_per_byte": [(1, 2.25), (many, 1.25)],
        "eval/final": [(many, 1.75)],
    }


def test_metrics_of_runs_of_0_1_0_keep_their_meaning(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "old")
    write_metrics(shell, "old", step(1, gradient_norm=0.5, learning_rate_scale=0.25))
    assert shell("runs", "tensorboard", "old", "--out", "events").code == 0
    found = scalars(tmp_path / "events/old")
    assert found["train/grad_norm"] == [(1, 0.5)]
    assert found["train/learning_rate_scale"] == [(1, 0.25)]  # relative, not an absolute rate
    assert "train/learning_rate" not in found


def test_trained_run_has_all_its_steps(trained: Shell, tmp_path: Path) -> None:
    out = tmp_path / "events"
    assert trained("runs", "tensorboard", "tale", "--out", str(out)).code == 0
    points = json.loads(trained("runs", "plot", "tale", "--json").out)["points"]
    found = scalars(out / "tale")
    steps, losses = zip(*found["train/nats_per_byte"], strict=True)
    assert list(steps) == [point["step"] for point in points["training"]]
    assert losses == pytest.approx([point["nats_per_byte"] for point in points["training"]])
    evaluations = found["eval/nats_per_byte"] + found.get("eval/final", [])
    assert len(evaluations) == len(points["held_out"])


def test_relative_time_is_training_time(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    write_metrics(shell, "it", step(1, seconds=10.0), step(2, seconds=25.5))
    assert shell("runs", "tensorboard", "it", "--out", "events").code == 0
    events: Any = EventAccumulator(str(tmp_path / "events/it"))
    events.Reload()
    first, second = events.Scalars("train/loss")
    assert second.wall_time - first.wall_time == 15.5


def test_second_export_replaces_the_first(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    for _ in range(2):
        assert shell("runs", "tensorboard", "it", "--out", "events").code == 0
    (_,) = (tmp_path / "events/it").iterdir()
    assert len(scalars(tmp_path / "events/it")["train/loss"]) == 60


def test_two_runs_with_the_same_name_are_refused(trained: Shell, tmp_path: Path) -> None:
    shell = copy_run(trained, tmp_path, "it")
    shutil.copytree(tmp_path / "checkpoints/it", tmp_path / "other/it")
    done = shell("runs", "tensorboard", "it", "other/it", "--out", "events")
    assert done.code == 2
    both = shell("runs", "plot", "it", "other/it")
    assert "other/it" in both.out.decode()


def test_neither_torch_nor_tensorflow_is_imported(trained: Shell, tmp_path: Path) -> None:
    code = (
        "import sys; from tfcli.cli.app import run; code = run(sys.argv[1:], started=0.0); "
        "sys.exit(code or bool({'torch', 'tensorflow'} & sys.modules.keys()))"
    )
    arguments = ("runs", "tensorboard", "tale", "--out", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=trained.folder, check=False)
    assert done.returncode == 0


def test_without_tensorboard_the_error_says_how_to_install_it(
    trained: Shell, tmp_path: Path
) -> None:
    code = (
        "import sys; sys.modules['tensorboard'] = None; from tfcli.cli.app import run; "
        "sys.exit(run(sys.argv[1:], started=0.0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "runs", "tensorboard", "tale", "--out", str(tmp_path / "x")],
        cwd=trained.folder, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert 'try: pip install "tfcli[tensorboard]"' in done.stderr
    assert not (tmp_path / "x").exists()

"""Several processes, started by torchrun itself, train as one does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import BOOK, forked
from tfcli.runtime.device import Device

MODEL = ["--layers", "2", "--width", "32", "--heads", "2", "--context", "32", "--vocab-size", "300"]
BATCH = ["--batch-tokens", "160", "--dtype", "float32", "--seed", "3"]


def train(
    folder: Path,
    *arguments: str,
    processes: int = 1,
    fails: bool = False,
    device: Device = "cpu",
) -> subprocess.CompletedProcess[bytes]:
    torchrun = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--standalone", "--nproc-per-node", str(processes), "--no-python"),
    ]
    done = subprocess.run(
        [*(torchrun if processes > 1 else []), *forked(), "train", *arguments, "--device", device],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
    )
    assert (done.returncode != 0) == fails, done.stderr.decode()
    return done


def losses(folder: Path, run: str) -> dict[int, float]:
    lines = (folder / "checkpoints" / run / "metrics.jsonl").read_text().splitlines()
    rows = map(json.loads, lines)
    return {row["step"]: row["loss"] for row in rows if row["event"] == "StepFinished"}


def held_out(done: subprocess.CompletedProcess[bytes]) -> float:
    summary = json.loads(done.stdout)  # one object: only the first process speaks
    return float(summary["held_out"]["nats_per_byte"])


RUN = ["book.txt", "--steps", "8", "--json", *MODEL, *BATCH]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one process has trained a run."""
    folder = tmp_path_factory.mktemp("parallel")
    (folder / "book.txt").write_text(BOOK)
    train(folder, *RUN, "--name", "alone")
    return folder


two_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
BACKENDS = ["gloo", pytest.param("nccl", marks=[pytest.mark.gpu, two_gpus])]
DEVICES: dict[str, Device] = {"gloo": "cpu", "nccl": "cuda"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("option", ["--no-shard", "--shard"])
def test_two_processes_follow_the_curve_of_one_and_one_goes_on_with_their_run(
    folder: Path, option: str, backend: str
) -> None:
    """The five rows of a batch make shares of two and three."""
    name = f"two{option}-{backend}"
    done = train(folder, *RUN, "--name", name, option, processes=2, device=DEVICES[backend])
    one, two = losses(folder, "alone"), losses(folder, name)
    assert [two[step] for step in one] == pytest.approx(list(one.values()), rel=1e-4)
    assert held_out(done) < one[1]
    assert held_out(train(folder, "--resume", name, "--steps", "8", "--json")) < held_out(done)
    assert max(losses(folder, name)) == 16


def test_a_run_of_one_process_is_resumed_by_two(folder: Path) -> None:
    before = losses(folder, "alone")
    train(folder, "--resume", "alone", "--steps", "3", processes=2)
    after = losses(folder, "alone")
    assert max(after) == 11
    assert {step: after[step] for step in before} == before


def test_where_the_first_has_nothing_to_train_the_others_do_not_wait(folder: Path) -> None:
    done = train(folder, "no-such-file.txt", processes=2, fails=True)
    assert b"there is no file 'no-such-file.txt'" in done.stderr

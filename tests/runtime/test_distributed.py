"""Several processes, started by torchrun itself, train as one does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import BOOK, forked
from tfcli.runtime.device import Device
from tfcli.runtime.distributed import ProcessGroup

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


def test_a_process_without_rows_makes_the_same_updates(folder: Path) -> None:
    """One row for two processes: the first has none."""
    few = [*("book.txt", "--steps", "4", "--json", *MODEL), "--batch-tokens", "32", *BATCH[2:]]
    train(folder, *few, "--name", "one-row")
    for option in ("--no-shard", "--shard"):
        train(folder, *few, "--name", f"one-row{option}", option, processes=2)
        shared = losses(folder, f"one-row{option}")
        alone = losses(folder, "one-row")
        assert list(shared.values()) == pytest.approx(list(alone.values()), rel=1e-4)


# --- several machines ---------------------------------------------------------------------------


def start(folder: Path, rank: int, *before: str, master: str, port: int) -> subprocess.Popen[str]:
    """One process of two, as torchrun starts them on two machines."""
    (folder / "book.txt").write_text(BOOK)
    environment = {
        "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": master, "MASTER_PORT": str(port),
    }  # fmt: skip
    return subprocess.Popen(
        [*before, sys.executable, "-m", "tfcli", "train", *RUN],
        cwd=folder, env=os.environ | environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def both_say_that_no_folder_is_shared(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert "1 of 2 processes do not share a folder" in said
        assert "network file system" in said
        assert process.returncode == 73


@given(st.integers(1, 100), st.integers(1, 40))
def test_row_shards_are_the_batch_and_differ_by_one_row_at_most(rows: int, size: int) -> None:
    shards = [ProcessGroup(rank=rank, world_size=size).row_shard(rows) for rank in range(size)]
    assert [row for shard in shards for row in shard] == list(range(rows))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def test_machines_without_a_shared_folder_are_told_so_at_once(tmp_path: Path) -> None:
    """Two processes in two folders are as good as two machines."""
    port, folders = free_port(), [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    both_say_that_no_folder_is_shared(
        [start(folder, i, master="127.0.0.1", port=port) for i, folder in enumerate(folders)]
    )
    for folder in folders:  # and nothing is left of it
        assert not [*folder.glob("checkpoints/*"), *folder.glob("checkpoints/.shared-*")]


@pytest.fixture
def network_namespaces() -> Iterator[tuple[str, str]]:
    """Two of them with a cable in between: 10.99.0.1 and 10.99.0.2 on an interface `cable`."""
    names = f"tfcli-a-{os.getpid()}", f"tfcli-b-{os.getpid()}"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        for name in names:
            ip("netns", "add", name)
        ip(
            "-n",
            names[0],
            "link",
            "add",
            "cable",
            "type",
            "veth",
            "peer",
            "cable",
            "netns",
            names[1],
        )
        for number, name in enumerate(names, start=1):
            ip("-n", name, "address", "add", f"10.99.0.{number}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or error
        pytest.skip(f"no network namespaces can be made here: {why}")
    else:
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def test_two_machines_on_a_network_are_told_so_too(
    tmp_path: Path, network_namespaces: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "cable")
    processes = []
    for rank, name in enumerate(network_namespaces):
        folder = tmp_path / name
        folder.mkdir()
        inside = ("ip", "netns", "exec", name)
        processes.append(start(folder, rank, *inside, master="10.99.0.1", port=29517))
    both_say_that_no_folder_is_shared(processes)

"""Several processes train as one does; torchrun itself starts them where that is all it takes."""

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
from tfcli.runtime.distributed import DistributedContext

MODEL = ["--layers", "2", "--width", "32", "--heads", "2", "--context", "32", "--vocab-size", "300"]
BATCH = ["--batch-tokens", "160", "--dtype", "float32", "--seed", "3"]

Done = subprocess.CompletedProcess[bytes] | subprocess.CompletedProcess[str]
TORCHRUN = [
    *(sys.executable, "-m", "torch.distributed.run"),
    *("--standalone", "--nproc-per-node", "2", "--no-python"),
]


def train(
    folder: Path, *arguments: str, torchrun: bool = False, device: Device = "cpu"
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [*(TORCHRUN if torchrun else []), *forked(), "train", *arguments, "--device", device],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done


def train_as_two(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes on one machine, with the variables that torchrun sets; returns the first."""
    command = [*forked(), "train", *arguments, "--device", "cpu"]
    both = run_two(command, [folder, folder], machines=1)
    for done in both:
        assert done.returncode == 0, done.stderr
    return both[0]


def losses(folder: Path, run: str) -> dict[int, float]:
    lines = (folder / "checkpoints" / run / "metrics.jsonl").read_text().splitlines()
    rows = map(json.loads, lines)
    return {row["step"]: row["loss"] for row in rows if row["event"] == "StepFinished"}


def held_out(done: Done) -> float:
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
    arguments = (*RUN, "--name", name, option)
    if backend == "gloo" and option == "--shard":  # torchrun takes two seconds to start
        done: Done = train_as_two(folder, *arguments)
    else:
        done = train(folder, *arguments, torchrun=True, device=DEVICES[backend])
    one, two = losses(folder, "alone"), losses(folder, name)
    assert [two[step] for step in one] == pytest.approx(list(one.values()), rel=1e-4)
    assert held_out(done) < one[1]
    assert held_out(train(folder, "--resume", name, "--steps", "8", "--json")) < held_out(done)
    assert max(losses(folder, name)) == 16


def test_a_run_of_one_process_is_resumed_by_two(folder: Path) -> None:
    before = losses(folder, "alone")
    train_as_two(folder, "--resume", "alone", "--steps", "3")
    after = losses(folder, "alone")
    assert max(after) == 11
    assert {step: after[step] for step in before} == before


def test_where_the_first_has_nothing_to_train_the_others_do_not_wait(folder: Path) -> None:
    command = [*forked(), "train", "no-such-file.txt"]
    first, second = run_two(command, [folder, folder], machines=1)
    assert first.returncode == 66
    assert "file not found: 'no-such-file.txt'" in first.stderr
    assert (second.returncode, second.stderr) == (0, "")


def test_a_process_without_rows_makes_the_same_updates(folder: Path) -> None:
    """One row for two processes: the first has none."""
    few = [*("book.txt", "--steps", "4", "--json", *MODEL), "--batch-tokens", "32", *BATCH[2:]]
    train(folder, *few, "--name", "one-row")
    for option in ("--no-shard", "--shard"):
        train_as_two(folder, *few, "--name", f"one-row{option}", option)
        shared = losses(folder, f"one-row{option}")
        alone = losses(folder, "one-row")
        assert list(shared.values()) == pytest.approx(list(alone.values()), rel=1e-4)


# --- several machines ---------------------------------------------------------------------------


def all_say_that_no_folder_is_shared(finished: list[subprocess.CompletedProcess[str]]) -> None:
    for done in finished:
        assert "1 of 2 processes do not share a folder" in done.stderr
        assert "network file system" in done.stderr
        assert done.returncode == 73


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def run_two(
    command: Sequence[str],
    folders: Sequence[Path],
    *,
    machines: int = 2,
    before: Sequence[Sequence[str]] = ((), ()),
    master: str = "127.0.0.1",
) -> list[subprocess.CompletedProcess[str]]:
    """Two processes, as torchrun starts them.

    Args:
        machines: that they are on.
        before: what the command of each begins with.

    """
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": str(2 // machines)}
    common |= {"MASTER_ADDR": master, "MASTER_PORT": str(free_port())}
    common |= {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    processes = [
        subprocess.Popen(
            [*before[rank], *command],
            cwd=folder, text=True,
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank // machines)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank, folder in enumerate(folders)
    ]  # fmt: skip
    try:
        streams = [process.communicate(timeout=110) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *written)
        for process, written in zip(processes, streams, strict=True)
    ]


MEMORY = """
import dataclasses, sys
from pathlib import Path
import numpy as np
from tests.training.conftest import Workshop
from tfcli.model.safetensors_file import written_order
from tfcli.runs.step import StepState, save_step
from tfcli.runtime.distributed import GatheredTensor, init, shutdown

def taken(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) << 10

group = init(Path())
folder = Path(f"workshop{group.rank}")
folder.mkdir()
workshop = Workshop(folder)
shape = {"d_model": 1024, "num_layers": 3, "num_heads": 16, "tied_head": True}
job = workshop.job(**shape, steps=1)
job = dataclasses.replace(job, processes=dataclasses.replace(group, sharded=True))
warm_up = workshop.job(steps=1)  # loads what is loaded at first use
dataclasses.replace(warm_up, processes=job.processes).build_model()
before = taken("VmRSS")
model = job.build_model()
built = taken("VmHWM") - before
whole = 4 * job.parameters

def save(folder):
    tensors = {name: GatheredTensor(p, p) for name, p in model.named_parameters()}
    if group.is_main:
        return save_step(Path(folder), StepState(step=0, tokens_seen=0, seconds=0.0), tensors, {})
    return [np.asarray(tensors[name]) is None for name in written_order(tensors)]

Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
before = taken("VmRSS")
save("saved")
saved = taken("VmHWM") - before
print(built / whole, saved / whole)
shutdown(barrier=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_sharded_model_is_never_whole_in_any_process(tmp_path: Path) -> None:
    """Not when it is built, half of it in each of two processes, nor when it is saved."""
    for done in run_two([sys.executable, "-c", MEMORY], [tmp_path, tmp_path]):
        assert done.returncode == 0, done.stderr
        built, saved = map(float, done.stdout.split())
        assert 0.4 < built < 0.8
        assert saved < 0.8  # the whole would be 1
    assert (tmp_path / "saved/step-00000000").is_dir()


@given(st.integers(1, 100), st.integers(1, 40))
def test_row_shards_are_the_batch_and_differ_by_one_row_at_most(rows: int, size: int) -> None:
    shards = [
        DistributedContext(rank=rank, world_size=size).row_shard(rows) for rank in range(size)
    ]
    assert [row for shard in shards for row in shard] == list(range(rows))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def folders_with_a_book(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "book.txt").write_text(BOOK)
    return folders


def test_machines_without_a_shared_folder_are_told_so_at_once(tmp_path: Path) -> None:
    """Two processes in two folders are as good as two machines."""
    folders = folders_with_a_book(tmp_path)
    all_say_that_no_folder_is_shared(run_two([*forked(), "train", *RUN], folders))
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


@pytest.mark.slow
def test_two_machines_on_a_network_are_told_so_too(
    tmp_path: Path, network_namespaces: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "cable")
    inside = [["ip", "netns", "exec", name] for name in network_namespaces]
    folders = folders_with_a_book(tmp_path)
    command = [sys.executable, "-m", "tfcli", "train", *RUN]  # forked, it would be outside
    all_say_that_no_folder_is_shared(run_two(command, folders, before=inside, master="10.99.0.1"))

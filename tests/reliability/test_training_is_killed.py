"""Kinds 2, 3, 4, 9: real trainings, killed and stopped at random, on full disks, in parallel."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import BOOK, bare_environment
from tests.reliability.conftest import Tally, cases
from tests.reliability.processes import TIMEOUT, Processes
from tfcli.errors import TfcliError
from tfcli.runs.run import open_run
from tfcli.runs.step import MODEL, OPTIMIZER, list_steps, load_arrays, read_state, verify_step
from tfcli.runs.valid_steps import newest_valid_step

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")

TINY = ("--layers", "1", "--width", "32", "--context", "16", "--batch-tokens", "128")
STEPS = 40
OPTIONS = ("book.txt", "--steps", str(STEPS), "--save-every", "4", "--eval-every", "8", *TINY)


def final_arrays(run: Path) -> dict[str, bytes]:
    """The weights and the optimizer state of the last step."""
    step = list_steps(run)[-1]
    verify_step(step)
    assert read_state(step).step == STEPS
    arrays = load_arrays(step / MODEL) | {
        f"optimizer {name}": array for name, array in load_arrays(step / OPTIMIZER).items()
    }
    return {name: array.tobytes() for name, array in arrays.items()}


def fail(error: TfcliError) -> None:
    raise AssertionError(f"a step is damaged: {error.what}")


@dataclass(frozen=True)
class Uninterrupted:
    """A training to its end: the final arrays, the seconds that it took, the bytes on disk."""

    arrays: dict[str, bytes]
    seconds: float
    size: int


@pytest.fixture(scope="module")
def whole(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "book.txt").write_text(BOOK)
    child = processes.start(folder, "train", *OPTIONS, "--run", "whole")
    began = time.monotonic()  # after the start of the fork server
    done = child.wait()
    assert done.code == 0, done.err
    seconds = time.monotonic() - began
    size = sum(path.stat().st_size for path in (folder / "checkpoints").rglob("*"))
    return Uninterrupted(final_arrays(folder / "checkpoints/whole"), seconds, size)


def begin_or_resume(workspace: Path, name: str) -> tuple[str, ...]:
    if (workspace / "checkpoints" / name / "run.json").exists():
        return ("train", "--resume", name)
    return ("train", *OPTIONS, "--name", name)


def test_training_killed_at_random_moments_resumes_to_the_same_bits(
    processes: Processes, workspace: Path, whole: Uninterrupted, tally: Tally
) -> None:
    """No kill makes anything unreadable or loses more than one interval."""
    rng = random.Random(2)
    kills = finished = 0
    while kills < cases(5, 200):
        name = f"run-{finished}"
        run = workspace / "checkpoints" / name
        child = processes.start(workspace, *begin_or_resume(workspace, name))
        if not child.ends_within(rng.random() * whole.seconds):
            child.kill()
        done = child.wait()
        if done.code == 0:
            assert final_arrays(run) == whole.arrays
            finished += 1
            continue
        assert done.code == -signal.SIGKILL, done.err
        kills += 1
        if (run / "run.json").exists():
            step = newest_valid_step(open_run(run), on_damaged=fail)
            kept = step.state.step if step else 0
            assert steps_made(run) - kept <= 4 + 1, "more than an interval was lost"
    name = f"run-{finished}"
    done = processes.run(workspace, *begin_or_resume(workspace, name))
    assert done.code == 0, done.err
    assert final_arrays(workspace / "checkpoints" / name) == whole.arrays
    tally(2, kills)


def two_processes(workspace: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a command under torchrun."""
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return subprocess.Popen(
        [sys.executable, *torchrun, "-m", "tfcli", *arguments], cwd=workspace,
        env=bare_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def workers(torchrun: int) -> list[int]:
    """Descriptors of the two processes that torchrun started; fewer if some have ended."""
    found = []
    with contextlib.suppress(OSError):
        for pid in Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split():
            if b"\0tfcli\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(os.pidfd_open(int(pid)))
    return found


def kill(descriptor: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only")
def test_two_processes_killed_at_random_moments_resume_to_the_same_bits(
    workspace: Path, tally: Tally
) -> None:
    """Kills the first, the second, or torchrun and both; no process is left behind."""
    done = two_processes(workspace, "train", *OPTIONS, "--name", "whole")
    said, _ = done.communicate(timeout=120)
    assert done.returncode == 0, said.decode()
    wanted = final_arrays(workspace / "checkpoints/whole")
    rng = random.Random(12)
    kills = finished = 0
    while kills < cases(1, 40):
        name = f"run-{finished}"
        run = workspace / "checkpoints" / name
        until = steps_made(run) + rng.randint(0, STEPS // 2)
        process = two_processes(workspace, *begin_or_resume(workspace, name))
        while not ends_within(process, 0.01) and steps_made(run) < until:
            pass
        victims = workers(process.pid)
        if len(victims) == 2 and rng.random() < 2 / 3:
            kill(rng.choice(victims))  # torchrun stops the other
        else:
            process.kill()
            for victim in victims:
                kill(victim)
        said, _ = process.communicate(timeout=120)
        for victim in victims:
            assert select.select([victim], [], [], TIMEOUT)[0], "a process is left behind"
            os.close(victim)
        if process.returncode == 0:
            assert final_arrays(run) == wanted
            finished += 1
            continue
        kills += 1
        if (run / "run.json").exists():
            step = newest_valid_step(open_run(run), on_damaged=fail)
            kept = step.state.step if step else 0
            assert steps_made(run) - kept <= 4 + 1, "more than an interval was lost"
    tally(2, kills)


def ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def steps_made(run: Path) -> int:
    """The last step in the metrics."""
    last = 0
    path = run / "metrics.jsonl"
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:  # torn
            continue
        last = row["step"] if row.get("event") == "StepFinished" else last
    return last


@pytest.mark.parametrize(
    ("numbers", "codes"),
    [
        ([signal.SIGTERM], {143}),
        ([signal.SIGINT], {130}),
        ([signal.SIGINT, signal.SIGINT], {130}),
    ],
    ids=["SIGTERM", "SIGINT", "SIGINT twice"],
)
def test_training_stopped_at_random_moments_resumes_to_the_same_bits(
    processes: Processes,
    workspace: Path,
    whole: Uninterrupted,
    tally: Tally,
    numbers: list[signal.Signals],
    codes: set[int],
) -> None:
    rng = random.Random(3)
    count = cases(2, 60)
    for attempt in range(count):
        name = f"run-{attempt}"
        run = workspace / "checkpoints" / name
        child = processes.start(workspace, *begin_or_resume(workspace, name))
        child.ends_within(rng.random() * whole.seconds)
        for number in numbers:
            child.send(number)
        done = child.wait()
        # a signal before the handlers are set ends the process directly
        assert done.code in codes | {0, -signal.SIGTERM, -signal.SIGINT}, done.err
        assert "Traceback" not in done.err
        if (run / "run.json").exists():
            step = newest_valid_step(open_run(run), on_damaged=fail)
            if done.code in codes and len(numbers) == 1 and steps_made(run):
                assert step, "the state was saved"
                assert step.state.step == steps_made(run), "at the step that it was in"
        done = processes.run(workspace, *begin_or_resume(workspace, name))
        assert done.code == 0, done.err
        assert final_arrays(run) == whole.arrays
    tally(3, count)


def ignore_hangups() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_training_under_nohup_ignores_sighup(
    processes: Processes, workspace: Path, whole: Uninterrupted, tally: Tally
) -> None:
    child = processes.start(workspace, *begin_or_resume(workspace, "it"), before=ignore_hangups)
    hangups = 0
    while not child.ends_within(0.02):
        child.send(signal.SIGHUP)
        hangups += 1
    done = child.wait()
    assert done.code == 0, done.err
    assert final_arrays(workspace / "checkpoints/it") == whole.arrays
    tally(3, hangups)


def limit_files(size: int) -> None:
    """Limits the size of files, as a full disk would."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_training_on_a_full_disk_resumes_to_the_same_bits(
    processes: Processes, workspace: Path, tally: Tally
) -> None:
    first = processes.run(workspace, "train", *OPTIONS, "--run", "it")
    assert first.code == 0, first.err
    before = final_arrays(workspace / "checkpoints/it")
    largest = max(path.stat().st_size for path in (workspace / "checkpoints/it").rglob("*"))
    rng = random.Random(4)
    count = cases(4, 100)
    for size in [60_000, *(rng.randrange(largest) for _ in range(count - 1))]:
        done = processes.start(
            workspace, "train", "--resume", "it", "--steps", "4", before=partial(limit_files, size)
        ).wait()
        assert done.code == 74, f"{size}: {done.err}"
        assert "full" in done.err or "could not write" in done.err, done.err
        assert "Traceback" not in done.err
        run = open_run(workspace / "checkpoints/it")
        step = newest_valid_step(run, on_damaged=fail)
        assert step
        assert step.state.step == STEPS
        assert final_arrays(run.path) == before
        if size == 60_000:  # enough for all but the weights
            assert "the file is too large" in done.err
            assert not list(run.path.glob(".tmp-*"))
    tally(4, count)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A mounted folder that can be given a size; requires root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_training_on_a_small_disk_resumes_once_there_is_space(
    small_disk: Path,
    processes: Processes,
    workspace: Path,
    whole: Uninterrupted,
    tally: Tally,
) -> None:
    shutil.copy(workspace / "book.txt", small_disk)
    rng = random.Random(14)
    count = cases(4, 60)
    full = 0

    def resize(size: int) -> None:
        options = f"remount,size={size}"
        subprocess.run(["mount", "-o", options, str(small_disk)], check=True)

    for attempt in range(count):
        shutil.rmtree(small_disk / "checkpoints", ignore_errors=True)
        name = f"run-{attempt}"
        resize((workspace / "book.txt").stat().st_size + 4096 + rng.randrange(whole.size))
        done = processes.start(
            small_disk, *begin_or_resume(small_disk, name), logs=workspace
        ).wait()
        assert done.code in {0, 74}, done.err
        if done.code == 74:
            full += 1
            assert re.search("is full|[0-9,]+ are free", done.err), done.err
            resize(1 << 26)
            done = processes.start(
                small_disk, *begin_or_resume(small_disk, name), logs=workspace
            ).wait()
            assert done.code == 0, done.err
        assert final_arrays(small_disk / "checkpoints" / name) == whole.arrays
    assert full, "none was too small"
    tally(4, count)


def test_one_of_eight_trainers_wins(processes: Processes, workspace: Path, tally: Tally) -> None:
    count = cases(2, 60)
    for attempt in range(count):
        name = f"run-{attempt}"
        children = [processes.start(workspace, "train", *OPTIONS, "--run", name) for _ in range(8)]
        codes = [child.wait() for child in children]
        assert sorted(done.code for done in codes) == [0] + [73] * 7
        for done in codes:
            assert done.code == 0 or name in done.err
        final_arrays(workspace / "checkpoints" / name)
    tally(9, count)


def test_one_of_two_tokenizers_with_the_same_name_stays(
    processes: Processes, workspace: Path, tally: Tally
) -> None:
    """Readers get one or the other meanwhile."""
    sizes = ("300", "310")
    options = ("tokenizer", "train", "book.txt", "--name", "it", "--vocab-size")
    assert processes.run(workspace, *options, sizes[0]).code == 0
    count = cases(4, 100)
    for _ in range(count):
        children = [processes.start(workspace, *options, size) for size in sizes]
        while not all(child.ends_within(0) for child in children):
            done = processes.run(workspace, "tokenizer", "encode", "--tokenizer", "it")
            assert done.code == 0, done.err
        codes = {child.wait().code for child in children}
        assert codes in ({0}, {0, 73})
        used = processes.run(workspace, "tokenizer", "info", "it", "--json")
        assert json.loads(used.out)["vocab_size"] in {300, 310}, used.err
    tally(9, count)


def test_text_is_generated_while_steps_are_saved(
    processes: Processes, workspace: Path, tally: Tally
) -> None:
    options = ("book.txt", "--steps", "100000", "--save-every", "1", "--eval-every", "5", *TINY)
    trainer = processes.start(workspace, "train", *options, "--run", "it")
    run = workspace / "checkpoints/it"
    while not (list_steps(run) if run.exists() else []):
        assert not trainer.ends_within(0.05), trainer.err
    count = cases(5, 200)
    for _ in range(count):
        done = processes.run(workspace, "generate", "Ann", "--run", "it", "--max-new-tokens", "3")
        assert done.code == 0, done.err
    trainer.kill()
    trainer.wait()
    tally(9, count)

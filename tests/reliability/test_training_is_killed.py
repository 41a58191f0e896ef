"""Kinds 2, 3, 4, 9: real trainings, killed, stopped, crowded and out of disk, at random moments."""

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
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import bare_environment
from tests.reliability.conftest import Tally, cases
from tests.reliability.processes import PATIENCE, Processes
from tfcli.errors import TfcliError
from tfcli.runs.run import open_run
from tfcli.runs.step import MODEL, OPTIMIZER, list_steps, load_arrays, read_state, verify_step
from tfcli.runs.valid_steps import newest_valid_step

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")

TINY = ("--layers", "1", "--width", "32", "--context", "16", "--batch-tokens", "128")
STEPS = 40
WISHES = ("book.txt", "--steps", str(STEPS), "--save-every", "4", "--eval-every", "8", *TINY)


def everything(run: Path) -> dict[str, bytes]:
    """Weights and optimizer state of the last step."""
    step = list_steps(run)[-1]
    verify_step(step)
    assert read_state(step).step == STEPS
    arrays = load_arrays(step / MODEL) | {
        f"optimizer {name}": array for name, array in load_arrays(step / OPTIMIZER).items()
    }
    return {name: array.tobytes() for name, array in arrays.items()}


def fail(error: TfcliError) -> None:
    raise AssertionError(f"a step is damaged: {error.what}")


def whole(processes: Processes, desk: Path) -> tuple[dict[str, bytes], float]:
    """The run that nobody stopped, and how long it took."""
    child = processes.start(desk, "train", *WISHES, "--run", "whole")
    began = time.monotonic()  # what forks the processes has had its own start by now
    done = child.wait()
    assert done.code == 0, done.err
    return everything(desk / "checkpoints/whole"), time.monotonic() - began


def begin_or_resume(desk: Path, name: str) -> tuple[str, ...]:
    if (desk / "checkpoints" / name / "run.json").exists():
        return ("train", "--resume", name)
    return ("train", *WISHES, "--name", name)


def test_killed_at_random_moments(processes: Processes, desk: Path, tally: Tally) -> None:
    """No kill leaves anything unreadable, costs more than one interval, or changes a bit."""
    wanted, seconds = whole(processes, desk)
    dice = random.Random(2)
    kills = finished = 0
    while kills < cases(15, 200):
        name = f"run-{finished}"
        run = desk / "checkpoints" / name
        child = processes.start(desk, *begin_or_resume(desk, name))
        if not child.ends_within(dice.random() * seconds):
            child.process.kill()
        done = child.wait()
        if done.code == 0:
            assert everything(run) == wanted
            finished += 1
            continue
        assert done.code == -signal.SIGKILL, done.err
        kills += 1
        if (run / "run.json").exists():
            step = newest_valid_step(open_run(run), damaged=fail)
            kept = step.state.step if step else 0
            assert steps_made(run) - kept <= 4 + 1, "more than an interval was lost"
    name = f"run-{finished}"
    done = processes.run(desk, *begin_or_resume(desk, name))
    assert done.code == 0, done.err
    assert everything(desk / "checkpoints" / name) == wanted
    tally(2, kills)


def two_processes(desk: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a command under torchrun."""
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return subprocess.Popen(
        [sys.executable, *torchrun, "-m", "tfcli", *arguments], cwd=desk,
        env=bare_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def workers(torchrun: int) -> list[int]:
    """Descriptors of the two processes that it has started; fewer where they are gone."""
    found = []
    with contextlib.suppress(OSError):
        for pid in Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split():
            if b"\0tfcli\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(os.pidfd_open(int(pid)))
    return found


def kill(descriptor: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="looks for processes as Linux does")
def test_two_processes_killed_at_random_moments(desk: Path, tally: Tally) -> None:
    """The first, the second, or torchrun with both: the same holds, and nobody is left behind."""
    done = two_processes(desk, "train", *WISHES, "--name", "whole")
    said, _ = done.communicate(timeout=120)
    assert done.returncode == 0, said.decode()
    wanted = everything(desk / "checkpoints/whole")
    dice = random.Random(12)
    kills = finished = 0
    while kills < cases(1, 40):
        name = f"run-{finished}"
        run = desk / "checkpoints" / name
        until = steps_made(run) + dice.randint(0, STEPS // 2)
        process = two_processes(desk, *begin_or_resume(desk, name))
        while not ends_within(process, 0.01) and steps_made(run) < until:
            pass
        victims = workers(process.pid)
        if len(victims) == 2 and dice.random() < 2 / 3:
            kill(dice.choice(victims))  # torchrun stops the other
        else:
            process.kill()
            for victim in victims:
                kill(victim)
        said, _ = process.communicate(timeout=120)
        for victim in victims:
            assert select.select([victim], [], [], PATIENCE)[0], "a process is left behind"
            os.close(victim)
        if process.returncode == 0:
            assert everything(run) == wanted
            finished += 1
            continue
        kills += 1
        if (run / "run.json").exists():
            step = newest_valid_step(open_run(run), damaged=fail)
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
    """The last step that the metrics tell of."""
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
def test_stopped_at_random_moments(
    processes: Processes,
    desk: Path,
    tally: Tally,
    numbers: list[signal.Signals],
    codes: set[int],
) -> None:
    wanted, seconds = whole(processes, desk)
    dice = random.Random(3)
    count = cases(6, 60)
    for attempt in range(count):
        name = f"run-{attempt}"
        run = desk / "checkpoints" / name
        child = processes.start(desk, *begin_or_resume(desk, name))
        child.ends_within(dice.random() * seconds)
        for number in numbers:
            child.send(number)
        done = child.wait()
        # a signal that comes before anything is set up ends the process as it ends any
        assert done.code in codes | {0, -signal.SIGTERM, -signal.SIGINT}, done.err
        assert "Traceback" not in done.err
        if (run / "run.json").exists():
            step = newest_valid_step(open_run(run), damaged=fail)
            if done.code in codes and len(numbers) == 1 and steps_made(run):
                assert step, "the state was saved"
                assert step.state.step == steps_made(run), "at the step that it was in"
        done = processes.run(desk, *begin_or_resume(desk, name))
        assert done.code == 0, done.err
        assert everything(run) == wanted
    tally(3, count)


def ignore_hangups() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_what_nohup_has_started_goes_on(processes: Processes, desk: Path, tally: Tally) -> None:
    wanted, _ = whole(processes, desk)
    child = processes.start(desk, *begin_or_resume(desk, "it"), before=ignore_hangups)
    hangups = 0
    while not child.ends_within(0.02):
        child.send(signal.SIGHUP)
        hangups += 1
    done = child.wait()
    assert done.code == 0, done.err
    assert everything(desk / "checkpoints/it") == wanted
    tally(3, hangups)


def limit_files(size: int) -> None:
    """No file may become larger, as on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_is_full_at_any_size(processes: Processes, desk: Path, tally: Tally) -> None:
    first = processes.run(desk, "train", *WISHES, "--run", "it")
    assert first.code == 0, first.err
    before = everything(desk / "checkpoints/it")
    largest = max(path.stat().st_size for path in (desk / "checkpoints/it").rglob("*"))
    dice = random.Random(4)
    count = cases(12, 100)
    for _ in range(count):
        size = dice.randrange(largest)
        done = processes.start(
            desk, "train", "--resume", "it", "--steps", "4", before=partial(limit_files, size)
        ).wait()
        assert done.code == 74, f"{size}: {done.err}"
        assert "full" in done.err or "could not be written" in done.err, done.err
        assert "Traceback" not in done.err
        run = open_run(desk / "checkpoints/it")
        step = newest_valid_step(run, damaged=fail)
        assert step
        assert step.state.step == STEPS
        assert everything(run.path) == before
    tally(4, count)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder of its own that can be given a size: `mount`, which takes an administrator."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_small_disk_fills_and_is_given_room(
    small_disk: Path, processes: Processes, desk: Path, tally: Tally
) -> None:
    wanted, _ = whole(processes, desk)
    most = sum(path.stat().st_size for path in (desk / "checkpoints").rglob("*"))
    shutil.copy(desk / "book.txt", small_disk)
    dice = random.Random(14)
    count = cases(4, 60)
    full = 0

    def resize(size: int) -> None:
        options = f"remount,size={size}"
        subprocess.run(["mount", "-o", options, str(small_disk)], check=True)

    for attempt in range(count):
        shutil.rmtree(small_disk / "checkpoints", ignore_errors=True)
        name = f"run-{attempt}"
        resize((desk / "book.txt").stat().st_size + 4096 + dice.randrange(most))
        done = processes.start(small_disk, *begin_or_resume(small_disk, name), said=desk).wait()
        assert done.code in {0, 74}, done.err
        if done.code == 74:
            full += 1
            assert re.search("is full|[0-9,]+ are free", done.err), done.err
            resize(1 << 26)
            done = processes.start(small_disk, *begin_or_resume(small_disk, name), said=desk).wait()
            assert done.code == 0, done.err
        assert everything(small_disk / "checkpoints" / name) == wanted
    assert full, "none was too small"
    tally(4, count)


def test_of_eight_trainers_one_wins(processes: Processes, desk: Path, tally: Tally) -> None:
    count = cases(3, 60)
    for attempt in range(count):
        name = f"run-{attempt}"
        children = [processes.start(desk, "train", *WISHES, "--run", name) for _ in range(8)]
        codes = [child.wait() for child in children]
        assert sorted(done.code for done in codes) == [0] + [73] * 7
        for done in codes:
            assert done.code == 0 or name in done.err
        everything(desk / "checkpoints" / name)
    tally(9, count)


def test_of_two_tokenizers_of_one_name_one_stays(
    processes: Processes, desk: Path, tally: Tally
) -> None:
    """Whoever reads it meanwhile gets the one or the other."""
    sizes = ("300", "310")
    options = ("tokenizer", "train", "book.txt", "--name", "it", "--vocab-size")
    assert processes.run(desk, *options, sizes[0]).code == 0
    count = cases(4, 100)
    for _ in range(count):
        children = [processes.start(desk, *options, size) for size in sizes]
        while not all(child.ends_within(0) for child in children):
            done = processes.run(desk, "tokenizer", "encode", "--tokenizer", "it")
            assert done.code == 0, done.err
        codes = {child.wait().code for child in children}
        assert codes in ({0}, {0, 73})
        used = processes.run(desk, "tokenizer", "info", "it", "--json")
        assert json.loads(used.out)["vocab_size"] in {300, 310}, used.err
    tally(9, count)


def test_text_is_written_while_steps_are_saved(
    processes: Processes, desk: Path, tally: Tally
) -> None:
    options = ("book.txt", "--steps", "100000", "--save-every", "1", "--eval-every", "5", *TINY)
    trainer = processes.start(desk, "train", *options, "--run", "it")
    run = desk / "checkpoints/it"
    while not (list_steps(run) if run.exists() else []):
        assert not trainer.ends_within(0.05), trainer.err
    count = cases(10, 200)
    for _ in range(count):
        done = processes.run(desk, "generate", "Ann", "--run", "it", "--max-new-tokens", "3")
        assert done.code == 0, done.err
    trainer.process.kill()
    trainer.wait()
    tally(9, count)

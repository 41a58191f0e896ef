"""`tfcli runs verify` and `runs repair`, and what `tfcli doctor` reports about the same."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.cli.test_train import TINY, training
from tests.conftest import BOOK, RealShell, Shell, bare_environment, forked
from tfcli.files import new_folder, to_json
from tfcli.runs.step import MODEL, OPTIMIZER, STATE, list_steps, read_state


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder with a run `it` of two steps, to be copied."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "book.txt").write_text(BOOK)
    shell = RealShell(folder)
    done = shell("train", "book.txt", "--run", "it", "--steps", "6", "--save-every", "2", *TINY)
    assert done.code == 0, done.err
    return shell


@pytest.fixture
def workshop(several: Shell, tmp_path: Path) -> Shell:
    shutil.copytree(several.folder, tmp_path / "work")
    return RealShell(tmp_path / "work")


def steps(shell: Shell) -> list[Path]:
    return list_steps(shell.folder / "checkpoints" / "it")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def set_losses(shell: Shell, losses: list[float]) -> list[Path]:
    """Gives the steps of the run other held-out losses, as if they had been measured."""
    for step, loss in zip(steps(shell), losses, strict=True):
        state = read_state(step)
        assert state.held_out
        changed = replace(state, held_out=replace(state.held_out, nats_per_byte=loss))
        files = {name: (step / name).read_bytes() for name in (MODEL, OPTIMIZER)}
        with new_folder(step) as folder:
            for name, data in files.items():
                folder.write(name, data)
            folder.write(STATE, to_json(asdict(changed)))
    return steps(shell)


def test_valid_run_is_ok_and_repair_changes_nothing(several: Shell) -> None:
    done = several("runs", "verify")
    assert done.code == 0
    assert done.out.splitlines()[0].split() == [b"run", b"step", b"state"]
    assert done.out.count(b"valid") == len(steps(several))
    assert done.out.count(b"best") == 1
    assert "1 run OK." in done.err
    row = json.loads(several("runs", "verify", "it", "--json").out)
    assert row["usable"]
    assert row["newest"] == "step-00000006"
    assert row["faults"] == {}
    assert several("runs", "repair").code == 0
    assert row == json.loads(several("runs", "verify", "--json").out)


def test_damaged_step_is_named_and_removed(workshop: Shell) -> None:
    valid, damaged = steps(workshop)[0], steps(workshop)[-1]
    flip(damaged / MODEL)
    done = workshop("runs", "verify")
    assert done.code == 65
    assert damaged.name in done.err
    assert "Next: tfcli runs repair it" in done.err
    assert workshop("doctor").code == 65
    done = workshop("runs", "repair", "it")
    assert done.code == 0, done.err
    assert f"Removed: checkpoints/it/{damaged.name}" in done.err
    assert damaged not in steps(workshop)
    assert valid in steps(workshop)
    assert workshop("runs", "verify").code == 0
    assert workshop("doctor").code == 0
    assert workshop("train", "--resume", "it").code == 0


def test_newest_step_with_valid_weights_stays_until_training_replaces_it(
    workshop: Shell,
) -> None:
    options = ("generate", "Ann", "--run", "it", "--seed", "7")
    damaged, before = steps(workshop)[-1], workshop(*options).out
    whole = (damaged / OPTIMIZER).read_bytes()
    flip(damaged / OPTIMIZER)
    for command in (("runs", "verify"), ("runs", "repair")):
        done = workshop(*command)
        assert done.code == (65 if command[1] == "verify" else 0), done.err
        assert damaged.name in done.err
        assert "Next: tfcli train --resume it" in done.err
    assert b"tfcli train --resume it" in workshop("doctor").out
    row = json.loads(workshop("runs", "verify", "--json").out)
    assert row["only_weights"] == [damaged.name]
    assert damaged in steps(workshop)
    assert workshop(*options).out == before
    assert workshop("train", "--resume", "it").code == 0
    assert (damaged / OPTIMIZER).read_bytes() == whole
    assert workshop("runs", "verify").code == 0


def test_old_step_with_only_valid_weights_is_removed(workshop: Shell) -> None:
    """Otherwise `verify` would always report it, though no command uses it."""
    oldest, newest = set_losses(workshop, [2.0, 1.0])
    flip(oldest / OPTIMIZER)
    done = workshop("runs", "verify")
    assert done.code == 65
    assert "Next: tfcli runs repair it" in done.err
    done = workshop("runs", "repair")
    assert done.code == 0, done.err
    assert f"Removed: checkpoints/it/{oldest.name}" in done.err
    assert steps(workshop) == [newest]
    assert workshop("runs", "verify").code == workshop("doctor").code == 0


def test_best_step_with_only_valid_weights_stays(workshop: Shell) -> None:
    before = set_losses(workshop, [1.0, 2.0])
    flip(before[0] / OPTIMIZER)
    done = workshop("runs", "verify")
    assert b"weights only, best" in done.out
    assert "cannot be repaired; restore it from a backup" in done.err
    assert workshop("runs", "repair").code == 0
    assert steps(workshop) == before


def test_new_run_can_start_from_valid_weights_alone(workshop: Shell) -> None:
    for step in steps(workshop):
        flip(step / OPTIMIZER)
    before = steps(workshop)
    for command, code in (("verify", 65), ("repair", 0)):
        done = workshop("runs", command)
        assert done.code == code, done.err
        assert "Next: tfcli train FILE --from it" in done.err
    done = workshop("train", "--resume", "it", "--steps", "9")
    assert done.code == 65
    assert "tfcli train FILE --from it" in done.err
    assert steps(workshop) == before
    assert workshop("generate", "Ann", "--run", "it").code == 0
    done = workshop("train", "book.txt", "--from", "it", "--run", "new", "--steps", "2")
    assert done.code == 0, done.err


def test_no_step_is_removed_if_none_is_valid(workshop: Shell) -> None:
    for step in steps(workshop):
        flip(step / MODEL)
    before = steps(workshop)
    for command in (
        ("runs", "verify"),
        ("runs", "repair"),
        ("train", "--resume", "it", "--steps", "1"),
        ("generate", "Ann", "--run", "it"),
    ):
        done = workshop(*command)
        assert done.code == 65, done.err
        assert "rm -r checkpoints/it " in done.err
        assert "restore a backup" in done.err
        assert steps(workshop) == before


def test_step_used_instead_of_a_damaged_one_is_named(workshop: Shell) -> None:
    best = json.loads(workshop("runs", "show", "it", "--json").out)["best_step"]
    flip(workshop.folder / f"checkpoints/it/step-{best:08}/{MODEL}")
    for command in (("generate", "Ann"), ("score", "book.txt")):
        done = workshop(*command, "--run", "it")
        assert done.code == 0, done.err
        (used,) = re.findall("Using (.*) instead", done.err)
        assert used != f"step-{best:08}"
        assert used in {step.name for step in steps(workshop)}


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_lost_tokenizer_is_restored_from_another_run(
    workshop: Shell, damage: Callable[[Path], None]
) -> None:
    options = ("generate", "Ann", "--run", "it", "--seed", "7")
    before = workshop(*options).out
    run = workshop.folder / "checkpoints/it"
    shutil.copytree(run, run.with_name("twin"))
    damage(run / "tokenizer.model")
    done = workshop("runs", "verify", "it")
    assert done.code == 65
    assert "Next: tfcli runs repair it" in done.err
    done = workshop("runs", "repair", "it")
    assert done.code == 0, done.err
    assert "Restored: checkpoints/it/tokenizer.model" in done.err
    assert workshop(*options).out == before
    shutil.rmtree(run.with_name("twin"))
    damage(run / "tokenizer.model")
    done = workshop("runs", "verify", "it")
    assert done.code == 65
    assert "cannot be repaired; restore it from a backup" in done.err
    assert workshop("runs", "repair", "it").code == 65
    assert len(steps(workshop)) > 1


def test_run_without_steps_is_ok(workshop: Shell) -> None:
    for step in steps(workshop):
        shutil.rmtree(step)
    done = workshop("runs", "verify")
    assert done.code == 0
    assert b"no checkpoint yet" in done.out
    assert workshop("runs", "repair").code == 0
    for command in (("runs",), ("runs", "show", "it"), ("generate", "Ann", "--run", "it")):
        assert "tfcli train --resume it" in workshop(*command).err
    assert workshop("train", "--resume", "it").code == 0


def test_step_written_by_a_newer_version_stays(workshop: Shell) -> None:
    newest = steps(workshop)[-1]
    manifest = newest / "MANIFEST.json"
    value = json.loads(manifest.read_text()) | {"schema": 99}
    manifest.write_text(json.dumps(value))
    done = workshop("runs", "verify")
    assert done.code == 65
    assert "newer tfcli" in done.err
    assert workshop("runs", "repair").code == 0
    assert newest in steps(workshop)


def test_leftovers_of_a_killed_trainer_are_reported_and_removed(workshop: Shell) -> None:
    more = ("--resume", "it", "--steps", "100000")
    with training(workshop, *more) as process:
        process.send_signal(signal.SIGKILL)
    run = workshop.folder / "checkpoints" / "it"
    (run / ".tmp-step-7-1").mkdir()
    left = len(list(run.glob(".tmp-*")))  # two, if the kill interrupted a save
    done = workshop("runs", "verify", "it")
    assert done.code == 0, done.err
    assert "was killed" in done.err
    assert "Next: tfcli train --resume it" in done.err
    assert f"{left} leftover{'s' * (left > 1)} of killed processes" in done.err
    assert b"was killed" in workshop("doctor").out
    assert workshop("runs", "repair", "it").code == 0
    assert not list(run.glob(".tmp-*"))
    assert "was killed" not in workshop("runs", "verify", "it").err


def test_run_in_training_is_not_repaired(workshop: Shell) -> None:
    with training(workshop, "--resume", "it", "--steps", "100000", fresh=True) as process:
        done = workshop("runs", "repair", "it")
        assert done.code == 73
        assert f"process {process.pid}" in done.err
        # the trainer may be saving at any moment, so such folders are not leftovers
        (workshop.folder / "checkpoints/it/.tmp-step-7-1").mkdir()
        assert "killed" not in workshop("runs", "verify", "it").err
        assert b"leftover" not in workshop("doctor").out


def test_run_without_run_json_is_found_by_name(workshop: Shell) -> None:
    (workshop.folder / "checkpoints/it/run.json").unlink()
    done = workshop("runs", "verify", "it")
    assert done.code == 65
    assert "run.json" in done.err
    done = workshop("runs", "repair", "it")
    assert done.code == 65
    assert len(steps(workshop)) > 1
    done = workshop("runs", "verify", "nothing")
    assert done.code == 66


@contextmanager
def spooling(shell: Shell) -> Iterator[subprocess.Popen[bytes]]:
    """A command that copies its standard input into the cache, and waits for more of it."""
    cache = shell.folder / "checkpoints" / ".cache" / "piped"
    before = len(list(cache.glob(".tmp-*")))
    process = subprocess.Popen(
        [*forked(), "tokenizer", "train", "-", "--name", "piped"],
        cwd=shell.folder, env=bare_environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        while len(list(cache.glob(".tmp-*"))) == before:
            assert process.poll() is None
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "command", [("tokenizer", "train", "book.txt", "--name", "new"), ("runs", "repair")]
)
def test_next_command_removes_what_a_kill_left_in_the_cache(
    workshop: Shell, command: tuple[str, ...]
) -> None:
    cache = workshop.folder / "checkpoints" / ".cache" / "piped"
    with spooling(workshop) as killed, spooling(workshop) as running:
        assert b"leftover" not in workshop("doctor").out
        before = list(cache.glob(".tmp-*"))
        killed.kill()
        killed.wait()
        assert b"1 leftover of killed processes" in workshop("doctor").out
        done = workshop(*command)
        assert done.code == 0, done.err
        (kept,) = cache.glob(".tmp-*")
        (left,) = set(before) - {kept}
        if "repair" in command:
            assert f"Removed: {left.relative_to(workshop.folder)}" in done.err
        assert b"leftover" not in workshop("doctor").out
        _, said = running.communicate(BOOK.encode())
        assert running.returncode == 0, said
    assert not list(cache.glob(".tmp-*"))

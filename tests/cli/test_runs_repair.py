"""`tfcli runs verify`, `runs repair` and what `doctor` says of the same."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_train import TINY, training
from tests.conftest import RealShell, Shell
from tfcli.runs.step import list_steps


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder with a run `it` of three steps; to be copied."""
    from tests.conftest import BOOK

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


def test_all_in_order(several: Shell) -> None:
    done = several("runs", "verify")
    assert done.code == 0
    assert done.out.count(b"valid") + done.out.count(b"best") == len(steps(several))
    assert done.out.count(b"best") == 1
    row = json.loads(several("runs", "verify", "it", "--json").out)
    assert row["usable"]
    assert row["newest"] == "step-00000006"
    assert row["faults"] == {}
    assert several("runs", "repair").code == 0
    assert row == json.loads(several("runs", "verify", "--json").out), "nothing was to be done"


def test_a_damaged_step_is_named_and_taken_away(workshop: Shell) -> None:
    sound, damaged = steps(workshop)[0], steps(workshop)[-1]
    flip(damaged / "model.safetensors")
    done = workshop("runs", "verify")
    assert done.code == 65
    assert damaged.name in done.err
    assert "Next: tfcli runs repair it" in done.err
    assert workshop("doctor").code == 65
    done = workshop("runs", "repair", "it")
    assert done.code == 0, done.err
    assert f"Removed: checkpoints/it/{damaged.name}" in done.err
    assert damaged not in steps(workshop)
    assert sound in steps(workshop)
    assert workshop("runs", "verify").code == 0
    assert workshop("doctor").code == 0
    assert workshop("train", "--resume", "it").code == 0


def test_a_step_with_sound_weights_stays_and_training_makes_it_whole(workshop: Shell) -> None:
    options = ("generate", "Ann", "--run", "it", "--seed", "7")
    damaged, before = steps(workshop)[-1], workshop(*options).out
    whole = (damaged / "optimizer.safetensors").read_bytes()
    flip(damaged / "optimizer.safetensors")
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
    assert (damaged / "optimizer.safetensors").read_bytes() == whole
    assert workshop("runs", "verify").code == 0


def test_where_only_weights_are_left_a_new_run_can_begin_with_them(workshop: Shell) -> None:
    for step in steps(workshop):
        flip(step / "optimizer.safetensors")
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


def test_where_no_step_is_sound_none_is_taken_away(workshop: Shell) -> None:
    for step in steps(workshop):
        flip(step / "model.safetensors")
    before = steps(workshop)
    done = workshop("runs", "verify")
    assert done.code == 65
    assert "no command can repair this" in done.err
    for command in (
        ("runs", "repair"),
        ("train", "--resume", "it", "--steps", "1"),
        ("generate", "Ann", "--run", "it"),
    ):
        done = workshop(*command)
        assert done.code == 65, done.err
        assert "not usable" in done.err or "no step of the run 'it' is whole" in done.err
        assert steps(workshop) == before


def test_which_step_is_used_instead_is_said(workshop: Shell) -> None:
    best = json.loads(workshop("runs", "show", "it", "--json").out)["best_step"]
    flip(workshop.folder / f"checkpoints/it/step-{best:08}/model.safetensors")
    for command in (("generate", "Ann"), ("score", "book.txt")):
        done = workshop(*command, "--run", "it")
        assert done.code == 0, done.err
        (used,) = re.findall("Using (.*) instead", done.err)
        assert used != f"step-{best:08}"
        assert used in {step.name for step in steps(workshop)}


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_lost_tokenizer_is_put_back(workshop: Shell, damage: Callable[[Path], None]) -> None:
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
    assert "no command can repair this" in done.err
    assert workshop("runs", "repair", "it").code == 65
    assert len(steps(workshop)) > 1


def test_a_run_without_a_step_is_no_fault(workshop: Shell) -> None:
    for step in steps(workshop):
        shutil.rmtree(step)
    done = workshop("runs", "verify")
    assert done.code == 0
    assert b"no checkpoint yet" in done.out
    assert workshop("runs", "repair").code == 0
    for command in (("runs",), ("runs", "show", "it"), ("generate", "Ann", "--run", "it")):
        assert "tfcli train --resume it" in workshop(*command).err
    assert workshop("train", "--resume", "it").code == 0


def test_a_step_of_a_newer_tfcli_stays(workshop: Shell) -> None:
    newest = steps(workshop)[-1]
    manifest = newest / "MANIFEST.json"
    value = json.loads(manifest.read_text()) | {"schema": 99}
    manifest.write_text(json.dumps(value))
    done = workshop("runs", "verify")
    assert done.code == 65
    assert "newer tfcli" in done.err
    assert workshop("runs", "repair").code == 0
    assert newest in steps(workshop)


def test_what_a_killed_trainer_left_is_seen_and_taken_away(workshop: Shell) -> None:
    more = ("--resume", "it", "--steps", "100000")
    with training(workshop, *more) as process:
        process.send_signal(signal.SIGKILL)
    run = workshop.folder / "checkpoints" / "it"
    (run / ".tmp-step-7-1").mkdir()
    left = len(list(run.glob(".tmp-*")))  # two, where the kill met a save
    done = workshop("runs", "verify", "it")
    assert done.code == 0, done.err
    assert "was killed" in done.err
    assert "Next: tfcli train --resume it" in done.err
    assert f"{left} leftover{'s' * (left > 1)} of killed processes" in done.err
    assert b"was killed" in workshop("doctor").out
    assert workshop("runs", "repair", "it").code == 0
    assert not list(run.glob(".tmp-*"))
    assert "was killed" not in workshop("runs", "verify", "it").err


def test_a_run_that_is_being_trained_is_not_repaired(workshop: Shell) -> None:
    with training(workshop, "--resume", "it", "--steps", "100000") as process:
        done = workshop("runs", "repair", "it")
        assert done.code == 73
        assert f"process {process.pid}" in done.err
        # it may be at a save at any moment: such folders are its work, not leftovers
        (workshop.folder / "checkpoints/it/.tmp-step-7-1").mkdir()
        assert "killed" not in workshop("runs", "verify", "it").err
        assert b"leftover" not in workshop("doctor").out


def test_a_run_without_its_card_is_found_by_name(workshop: Shell) -> None:
    (workshop.folder / "checkpoints/it/run.json").unlink()
    done = workshop("runs", "verify", "it")
    assert done.code == 65
    assert "run.json" in done.err
    done = workshop("runs", "repair", "it")
    assert done.code == 65
    assert len(steps(workshop)) > 1
    done = workshop("runs", "verify", "nothing")
    assert done.code == 66

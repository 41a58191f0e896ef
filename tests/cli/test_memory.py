"""`train --memory`, `runs memory`, and what uses it: from the command line and from Python."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tfcli
from tests.cli.test_train import TINY
from tests.conftest import BOOK, RealShell, Shell
from tfcli.cli.new_memory import leave_time
from tfcli.errors import NotFoundError
from tfcli.files import read_json, write_checked_json
from tfcli.generation.memory import kept_out
from tfcli.training.options import TrainOptions

TEXT = "Nobody saw two birds by the sea.\n"


@pytest.fixture(scope="module")
def remembered(trained: Shell, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A copy of the trained run with a memory; not to be changed."""
    folder = tmp_path_factory.mktemp("remembered") / "work"
    shutil.copytree(trained.folder, folder)
    shell = RealShell(folder)
    made = shell("runs", "memory", "tale")
    assert made.code == 0, made.err
    assert "With memory: " in made.err
    assert "holds the training text itself" in made.err
    return shell


@pytest.fixture
def workshop(remembered: Shell, tmp_path: Path) -> Shell:
    shutil.copytree(remembered.folder, tmp_path / "work")
    return RealShell(tmp_path / "work")


def shown(shell: Shell, run: str = "tale") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shell("runs", "show", run, "--json").out)
    return found


def nats(shell: Shell, *options: str) -> float:
    done = shell("score", "--json", *options, stdin=TEXT.encode())
    assert done.code == 0, done.err
    return float(json.loads(done.out)["nats_per_byte"])


def test_a_run_that_was_trained_without_one_gets_a_memory(remembered: Shell) -> None:
    memory = shown(remembered)["memory"]
    assert memory["fitted_on"] == "trained_on"
    assert memory["fitted_tokens"] > 0
    assert memory["tokens"] == shown(remembered)["run"]["corpus"]["training_tokens"]
    assert nats(remembered, "--memory") != nats(remembered)


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_engines_agree(engine: str, remembered: Shell) -> None:
    assert nats(remembered, "--memory", "--engine", engine) == pytest.approx(
        nats(remembered, "--memory"), abs=1e-4
    )


def test_every_kind_of_generation_takes_it(remembered: Shell) -> None:
    greedy = ("--memory", "--greedy", "--max-new-tokens", "12")
    one = remembered("generate", "Ann saw", *greedy)
    assert one.code == 0, one.err
    lines = remembered("generate", "--lines", *greedy, stdin=b"Ann saw\nBob saw\n")
    assert lines.out.decode().splitlines()[0] == one.out.decode().replace("\n", r"\n")
    formed = remembered("generate", "Ann saw", "--memory", "--choices", " the moon, a ship")
    assert formed.out.decode().strip() in {"the moon", "a ship"}
    beams = remembered("generate", "Ann saw", "--num-beams", "2", "--max-new-tokens", "4",
                       "--memory")  # fmt: skip
    assert beams.code == 0, beams.err
    stats = remembered("generate", "Ann saw", *greedy, "--stats")
    assert "with a memory of" in stats.err


def test_python_takes_it(remembered: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(remembered.folder)
    run = tfcli.open_run("tale", memory=True)
    scored = run.score(TEXT.removesuffix("\n")).nats_per_byte  # `score` drops it, too
    assert scored == pytest.approx(nats(remembered, "--memory"), abs=1e-5)
    assert run.score(TEXT).nats < tfcli.open_run("tale").score(TEXT).nats
    assert run.generate("Ann saw", greedy=True, max_new_tokens=4)


def test_without_a_memory_the_command_that_makes_one_is_named(
    trained: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in (("generate", "Ann"), ("score", "book.txt")):
        done = trained(*command, "--memory", "--run", "tale")
        assert done.code == 66
        assert "has no memory" in done.err
        assert "tfcli runs memory tale" in done.err
    assert shown(trained)["memory"] is None
    monkeypatch.chdir(trained.folder)
    with pytest.raises(NotFoundError, match="has no memory"):
        tfcli.open_run("tale", memory=True).generate("Ann")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def foreign(path: Path) -> None:
    """The memory of another text."""
    value = read_json(path)
    del value["sha256"]
    write_checked_json(path, value | {"text": "another"})


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("memory/contexts.bin", flip), ("memory/followers.bin", Path.unlink),
        ("memory/MANIFEST.json", flip), ("memory.json", flip), ("memory.json", foreign),
    ],
)  # fmt: skip
def test_a_damaged_memory_is_named_and_made_again(
    name: str, damage: Callable[[Path], None], workshop: Shell
) -> None:
    damage(workshop.folder / "checkpoints" / "tale" / name)
    done = workshop("generate", "Ann saw", "--memory", "--max-new-tokens", "2")
    assert done.code == 65, done.err
    assert "memory" in done.err
    assert "tfcli runs memory tale" in done.err
    assert workshop("generate", "Ann saw", "--max-new-tokens", "2").code == 0
    verified = workshop("runs", "verify", "tale")
    assert verified.code == 65
    assert "tfcli runs memory tale" in verified.err
    assert workshop("runs", "memory", "tale", "-q").code == 0
    assert workshop("generate", "Ann saw", "--memory", "--max-new-tokens", "2").code == 0
    assert workshop("runs", "verify", "tale").code == 0


def test_damaged_places_are_found_by_verify(workshop: Shell) -> None:
    flip(workshop.folder / "checkpoints" / "tale" / "memory" / "places.bin")
    assert workshop("runs", "verify", "tale").code == 65


def test_it_goes_with_the_run_and_can_be_removed(workshop: Shell) -> None:
    (workshop.folder / "checkpoints" / "tale").rename(workshop.folder / "checkpoints" / "story")
    done = workshop("generate", "Ann", "--memory", "--run", "story", "--max-new-tokens", "2")
    assert done.code == 0, done.err
    removed = workshop("runs", "memory", "story", "--remove")
    assert "Removed the memory" in removed.err
    folder = workshop.folder / "checkpoints" / "story"
    assert not (folder / "memory").exists()
    assert not (folder / "memory.json").exists()
    assert shown(workshop, "story")["memory"] is None


def test_a_text_that_is_gone_or_moved(workshop: Shell) -> None:
    shutil.rmtree(workshop.folder / "checkpoints" / ".cache")
    run_json = workshop.folder / "checkpoints" / "tale" / "run.json"
    told = read_json(run_json)
    del told["sha256"]
    told["corpus"]["sources"] = ["book.txt"]  # not that of the fixture, which is still there
    write_checked_json(run_json, told)
    (workshop.folder / "book.txt").rename(workshop.folder / "moved.txt")
    gone = workshop("runs", "memory", "tale")
    assert gone.code == 66
    assert "tfcli runs memory tale FILE" in gone.err
    assert workshop("runs", "memory", "tale", "moved.txt").code == 0
    (workshop.folder / "moved.txt").write_text(BOOK[::-1])
    shutil.rmtree(workshop.folder / "checkpoints" / ".cache")
    assert workshop("runs", "memory", "tale", "moved.txt").code == 65


def test_an_imported_run_has_no_text(workshop: Shell) -> None:
    assert workshop("export", "tale", "out", "--to", "huggingface").code == 0
    imported = workshop("import", "out", "--run", "foreign")
    assert imported.code == 0, imported.err
    done = workshop("runs", "memory", "foreign")
    assert done.code == 65
    assert "imported" in done.err
    assert not list((workshop.folder / "out").glob("memory*"))


def test_training_keeps_a_slice_out_and_reports_both_losses(shell: Shell) -> None:
    done = shell("train", "book.txt", "--run", "it", "--steps", "6", "--memory", "--json", *TINY)
    assert done.code == 0, done.err
    assert done.err.index("Held out: ") < done.err.index("With memory: ")
    result = json.loads(done.out)
    memory = result["memory"]
    assert memory["fitted_on"] == "kept_out"
    assert memory["held_out"]["nats_per_byte"] < memory["held_out"]["weights_alone"]
    corpus = shown(shell, "it")["run"]["corpus"]
    kept = memory["tokens"] - corpus["training_tokens"]
    assert kept == memory["fitted_tokens"] == kept_out(memory["tokens"], 512) > 0


def test_a_context_shorter_than_the_ngrams_is_enough(shell: Shell) -> None:
    assert (
        shell("train", "book.txt", "--steps", "1", "--run", "it", *TINY, "--context", "4").code == 0
    )
    assert shell("runs", "memory", "it").code == 0
    assert shell("generate", "--run", "it", "--memory", "--max-new-tokens", "9", "Ann").code == 0


def test_a_resumed_run_keeps_its_slice_out_and_gets_a_new_memory(shell: Shell) -> None:
    straight = shell("train", "book.txt", "--run", "a", "--steps", "8", "--memory", "-q", *TINY)
    assert straight.code == 0, straight.err
    shell("train", "book.txt", "--run", "b", "--steps", "4", "--memory", "-q", *TINY)
    resumed = shell("train", "--resume", "b", "--steps", "4")
    assert resumed.code == 0, resumed.err
    assert "With memory: " in resumed.err
    a, b = shown(shell, "a"), shown(shell, "b")
    assert a["run"]["corpus"] == b["run"]["corpus"]
    assert b["memory"]["fitted_on"] == "kept_out"
    assert b["memory"]["step"] <= 8


def test_its_making_is_part_of_a_budget_of_time() -> None:
    assert leave_time(TrainOptions(seconds=50.0), 1_000_000).time_budget == 46.0
    assert leave_time(TrainOptions(seconds=10.0), 10**9).time_budget == 9.0, "a tenth at most"
    assert leave_time(TrainOptions(), 0).time_budget == 58.0, "of the usual minute"
    assert leave_time(TrainOptions(steps=5), 1_000_000) == TrainOptions(steps=5)


def test_the_card_says_that_there_is_a_memory(remembered: Shell, trained: Shell) -> None:
    card = json.loads(remembered("runs", "card", "tale", "--json").out)
    assert card["memory"] == shown(remembered)["memory"]
    said = " ".join(remembered("runs", "card", "tale").out.decode().split())
    found = card["memory"]["held_out"]
    assert f"{found['nats_per_byte']:.4f} nats per byte with it" in said
    assert "exports go without it" in said
    assert "n-gram memory holds that text itself" in said
    assert json.loads(trained("runs", "card", "tale", "--json").out)["memory"] is None
    assert "n-gram memory" not in trained("runs", "card", "tale").out.decode()

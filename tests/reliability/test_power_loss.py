"""Kind 13: after a loss of power at any moment of a write, the old or the new is on the disk."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.conftest import Tally, cases
from tests.reliability.power import materialize, read_disk, recorded
from tests.runs.helpers import make_run, save
from tfcli.files import read_checked_json, remove_leftovers, write_checked_json
from tfcli.runs.run import open_run
from tfcli.runs.step import list_steps
from tfcli.runs.valid_steps import newest_valid_step


def check_power_loss(
    root: Path, write: Callable[[], object], check: Callable[[Path, bool], None], seed: int
) -> int:
    """Writes, and checks states that a loss of power may leave; returns how many.

    Args:
        check: called with a folder in such a state, and whether the write had returned.

    """
    rng = random.Random(seed)
    disk = read_disk(root)
    lost: list[tuple[dict[str, bytes | None], bool]] = []
    each = cases(6, 60)

    def cut(done: bool = False) -> None:
        lost.extend((disk.after_power_loss(rng), done) for _ in range(each))

    with recorded(root, disk, cut):
        write()
    assert disk.now().keys() == read_disk(root).names.keys(), "the model missed an operation"
    cut(True)
    after = root.parent / "after"
    for found, done in lost:
        materialize(found, after)
        check(after, done)
    return len(lost)


@pytest.mark.parametrize("again", [False, True], ids=["a new step", "a step saved again"])
def test_step_is_saved_completely_or_not_at_all(tmp_path: Path, again: bool, tally: Tally) -> None:
    root = tmp_path / "root"
    run = make_run(root / "it")
    save(run, 1, 1.5)
    if again:
        save(run, 2, 1.4)

    def check(folder: Path, done: bool) -> None:
        remove_leftovers(folder / "it")
        step = newest_valid_step(open_run(folder / "it"), on_damaged=lambda error: None)
        assert step, "the earlier step was lost"
        if done:
            assert step.state.step == 2, "a completed save was lost"

    count = check_power_loss(root, lambda: save(run, 2, 1.4), check, seed=13)
    tally(13, count)


def test_pruning_keeps_the_last_valid_step(tmp_path: Path, tally: Tally) -> None:
    from tfcli.runs.valid_steps import prune

    root = tmp_path / "root"
    run = make_run(root / "it")
    for step in range(1, 4):
        save(run, step, 1.5 - step / 10)

    def write() -> None:
        save(run, 4, 1.0)
        prune(run, keep=2)

    def check(folder: Path, done: bool) -> None:
        remove_leftovers(folder / "it")
        step = newest_valid_step(open_run(folder / "it"), on_damaged=lambda error: None)
        assert step
        assert step.state.step >= (4 if done else 3)

    tally(13, check_power_loss(root, write, check, seed=14))


def test_run_json_is_the_old_or_the_new(tmp_path: Path, tally: Tally) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write_checked_json(root / "file.json", {"schema": 1, "value": "old"})

    def check(folder: Path, done: bool) -> None:
        remove_leftovers(folder)
        value = read_checked_json(folder / "file.json", schema=1)["value"]
        assert value in ({"new"} if done else {"old", "new"})
        assert [path.name for path in folder.iterdir()] == ["file.json"]

    new = {"schema": 1, "value": "new"}
    tally(
        13,
        check_power_loss(root, lambda: write_checked_json(root / "file.json", new), check, seed=15),
    )


def test_new_run_can_be_opened_or_created_again(tmp_path: Path, tally: Tally) -> None:
    root = tmp_path / "root"
    root.mkdir()

    def check(folder: Path, done: bool) -> None:
        path = folder / "it"
        if (path / "run.json").exists():
            assert open_run(path).tokenizer()
            assert list_steps(path) == []
        else:
            assert not done, "a created run was lost"
            make_run(path)

    tally(13, check_power_loss(root, lambda: make_run(root / "it"), check, seed=16))

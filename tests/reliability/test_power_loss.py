"""Kind 13: cut at any moment of a write, the disk holds the old or the new, whatever it forgot."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.conftest import Tally, cases
from tests.reliability.power import put_on_disk, read_disk, recorded
from tests.runs.helpers import make_run, save
from tfcli.files import read_checked_json, remove_leftovers, write_checked_json
from tfcli.runs.run import open_run
from tfcli.runs.step import list_steps
from tfcli.runs.valid_steps import newest_valid_step


def states(
    root: Path, write: Callable[[], object], check: Callable[[Path, bool], None], seed: int
) -> int:
    """Writes, and checks states that a loss of power may leave; returns how many.

    Args:
        check: of a folder, and whether the write had returned.

    """
    dice = random.Random(seed)
    disk = read_disk(root)
    lost: list[tuple[dict[str, bytes | None], bool]] = []
    each = cases(6, 60)

    def cut(done: bool = False) -> None:
        lost.extend((disk.after_power_loss(dice), done) for _ in range(each))

    with recorded(root, disk, cut):
        write()
    assert disk.now().keys() == read_disk(root).names.keys(), "all was followed"
    cut(True)
    after = root.parent / "after"
    for found, done in lost:
        put_on_disk(found, after)
        check(after, done)
    return len(lost)


@pytest.mark.parametrize("again", [False, True], ids=["a new step", "a step saved again"])
def test_a_step_is_there_or_not(tmp_path: Path, again: bool, tally: Tally) -> None:
    root = tmp_path / "root"
    run = make_run(root / "it")
    save(run, 1, 1.5)
    if again:
        save(run, 2, 1.4)

    def check(folder: Path, done: bool) -> None:
        remove_leftovers(folder / "it")
        step = newest_valid_step(open_run(folder / "it"), damaged=lambda error: None)
        assert step, "the step before was lost"
        if done:
            assert step.state.step == 2, "a save that had returned was lost"

    count = states(root, lambda: save(run, 2, 1.4), check, seed=13)
    tally(13, count)


def test_what_is_pruned_is_never_the_last_good_step(tmp_path: Path, tally: Tally) -> None:
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
        step = newest_valid_step(open_run(folder / "it"), damaged=lambda error: None)
        assert step
        assert step.state.step >= (4 if done else 3)

    tally(13, states(root, write, check, seed=14))


def test_a_card_is_the_old_or_the_new(tmp_path: Path, tally: Tally) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write_checked_json(root / "card.json", {"schema": 1, "value": "old"})

    def check(folder: Path, done: bool) -> None:
        remove_leftovers(folder)
        value = read_checked_json(folder / "card.json", schema=1)["value"]
        assert value in ({"new"} if done else {"old", "new"})
        assert [path.name for path in folder.iterdir()] == ["card.json"]

    new = {"schema": 1, "value": "new"}
    tally(13, states(root, lambda: write_checked_json(root / "card.json", new), check, seed=15))


def test_a_begun_run_can_be_opened_or_begun_again(tmp_path: Path, tally: Tally) -> None:
    root = tmp_path / "root"
    root.mkdir()

    def check(folder: Path, done: bool) -> None:
        path = folder / "it"
        if (path / "run.json").exists():
            assert open_run(path).tokenizer()
            assert list_steps(path) == []
        else:
            assert not done, "a run that was begun was lost"
            make_run(path)

    tally(13, states(root, lambda: make_run(root / "it"), check, seed=16))

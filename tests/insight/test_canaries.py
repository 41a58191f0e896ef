"""Canaries: planted where the key says, and exposed as the paper has it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import BOOK, Shell
from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.generation.open_engine import open_best, open_engine
from tfcli.generation.scorer import Scorer
from tfcli.insight.canaries import (
    CANDIDATES,
    PLANTED_IN,
    exposures,
    make_key,
    plant,
    read_key,
    write_key,
)
from tfcli.runs.run import find_run


@given(st.integers(0, 1000), st.sampled_from(["\n", "\r\n"]), st.integers(20, 60))
def test_canaries_are_lines_of_their_own_and_the_rest_stays(
    seed: int, end: str, lines: int
) -> None:
    text = "".join(f"line {number}{end}" for number in range(lines))
    key = make_key(repeats=(0, 1, 4), each=2, seed=seed)
    planted = plant(text, key).split(end)
    own = [key.line(canary.secret) for canary in key.canaries]
    assert [planted.count(line) for line in own] == [0, 0, 1, 1, 4, 4]
    assert end.join(line for line in planted if line not in own) == text
    last = max(place for place, line in enumerate(planted) if line in own)
    assert last < PLANTED_IN * lines + 10
    assert plant(text, key) == plant(text, key)


def test_a_key_comes_back(tmp_path: Path) -> None:
    key = make_key("The code of {} is secret.", (1, 2), 3, seed=7)
    write_key(tmp_path / "key.json", key)
    assert read_key(tmp_path / "key.json") == key
    assert len({*key.candidates(), *(canary.secret for canary in key.canaries)}) == CANDIDATES + 6
    record = json.loads((tmp_path / "key.json").read_text())
    (tmp_path / "key.json").write_text(json.dumps(record | {"seed": 8}))
    with pytest.raises(DamagedError):
        read_key(tmp_path / "key.json")
    with pytest.raises(NotFoundError):
        read_key(tmp_path / "nothing.json")


def test_what_cannot_be_planted() -> None:
    with pytest.raises(DataError, match="cannot be planted"):
        make_key("no place for it")
    with pytest.raises(DataError, match="too few"):
        plant("one\ntwo\n", make_key())


def test_canaries_that_were_not_planted_are_exposed_by_chance(trained: Shell) -> None:
    run, _ = find_run(str(trained.folder / "checkpoints/tale"))
    _, engine = open_best(
        run, None, lambda step: open_engine(run, step, "cpu", rows=32), on_damaged=print
    )
    key = make_key(repeats=(0,), each=300)
    found = exposures(key, [0] * 300, Scorer(engine, run.tokenizer(), rows=32))
    assert sum(each.bits for each in found) / 300 == pytest.approx(1 / math.log(2), abs=0.3)
    assert all(1 <= each.rank <= CANDIDATES + 1 for each in found)


@pytest.mark.slow
def test_exposure_rises_with_repeats_to_the_first_rank(shell: Shell) -> None:
    (shell.folder / "long.txt").write_text(BOOK * 2)
    done = shell("text", "canaries", "--key", "key.json", stdin=(BOOK * 2).encode())
    assert done.code == 0, done.err
    (shell.folder / "planted.txt").write_bytes(done.out)
    small = ("--layers", "1", "--width", "64", "--context", "32", "--batch-tokens", "512")
    made = shell("train", "planted.txt", "--run", "planted", "--steps", "200", *small)
    assert made.code == 0, made.err
    audit = ("audit", "memory", "planted", "--canaries", "key.json", "--windows", "10", "--json")
    found = json.loads(shell(*audit).out)["canaries"]
    assert [each["found"] for each in found] == [1, 1, 4, 4, 16, 16, 64, 64]
    bits = [each["bits"] for each in found]
    averages = [sum(bits[i : i + 2]) / 2 for i in range(0, 8, 2)]
    assert averages[0] < averages[-1]
    assert averages[1:] == sorted(averages[1:])
    assert {each["rank"] for each in found[-2:]} == {1}

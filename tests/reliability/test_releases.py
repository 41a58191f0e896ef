"""Kind 12: a run of each earlier release can be scored, generated with, verified and resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import BOOK
from tests.reliability.conftest import Tally
from tests.reliability.processes import Processes

RELEASES = sorted(Path(__file__).with_name("releases").iterdir())
TEXT = BOOK[:4000]
NATS = {"0.1.0": 4877.570}  # total over TEXT, as scored by that release


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_run_of_an_earlier_release_works_as_before(
    release: Path, processes: Processes, tmp_path: Path, tally: Tally
) -> None:
    shutil.copytree(release, tmp_path / "checkpoints/old")
    (tmp_path / "book.txt").write_text(TEXT)
    scored = processes.run(tmp_path, "score", "book.txt", "--run", "old", "--json")
    assert json.loads(scored.out)["nats"] == pytest.approx(NATS[release.name], rel=1e-5)
    for arguments in (
        ("generate", "Ann", "--run", "old", "--greedy", "--max-new-tokens", "5"),
        ("runs", "verify", "old"),
        ("runs", "show", "old"),
        ("train", "--resume", "old", "--steps", "5"),
        ("train", "book.txt", "--from", "old", "--run", "new", "--steps", "2"),
        ("export", "old", "out", "--to", "huggingface"),
    ):
        done = processes.run(tmp_path, *arguments)
        assert done.code == 0, f"{arguments}: {done.err}"
    shown = json.loads(processes.run(tmp_path, "runs", "show", "old", "--json").out)
    assert shown["steps"] == 35
    tally(12, 1)

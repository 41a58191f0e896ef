"""Kind 1: whichever system call of a writer fails, the old or the new is there."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.files.faults import (
    DIED,
    Fault,
    count_calls,
    ends_the_process,
    fails_with,
    faulty,
    is_interrupted,
    writes_less,
)
from tests.reliability.conftest import Tally, cases
from tests.runs.helpers import make_run, metadata, save, tokenizer
from tfcli.errors import TfcliError
from tfcli.exchange.export_huggingface import export_tokenizer
from tfcli.files import read_checked_json, remove_leftovers, verify_folder, write_checked_json
from tfcli.runs.metrics import append_metrics, read_metrics
from tfcli.runs.run import open_run, write_metadata
from tfcli.runs.valid_steps import newest_valid_step, prune
from tfcli.text.saved_tokenizers import find_tokenizer, keep_tokenizer

FAULTS: dict[str, Fault] = {
    "input/output error": fails_with(errno.EIO),
    "disk full": fails_with(errno.ENOSPC),
    "interrupted": is_interrupted,
    "short writes": writes_less,
}


@dataclass(frozen=True)
class Writer:
    """Prepares a folder, writes into it, and finds what is there: "old" or "new"."""

    prepare: Callable[[Path], object]
    write: Callable[[Path], object]
    found: Callable[[Path], str]


def _step_found(folder: Path) -> str:
    remove_leftovers(folder / "it")
    step = newest_valid_step(open_run(folder / "it"), on_damaged=lambda error: None)
    assert step
    return "new" if step.state.step == 2 else "old"


def _prepare_run(folder: Path) -> None:
    save(make_run(folder / "it"), 1, 1.5)


def _prepare_three(folder: Path) -> None:
    _prepare_run(folder)
    save(open_run(folder / "it"), 2, 1.4)


def _prepare_metrics(folder: Path) -> None:
    _prepare_run(folder)
    append_metrics(folder / "it", {"step": 1})


def _metadata_found(folder: Path) -> str:
    return "new" if open_run(folder / "it").metadata["seed"] == 9 else "old"


def _tokenizer_found(folder: Path) -> str:
    remove_leftovers(folder)
    if not (folder / "words").exists():
        return "old"
    assert find_tokenizer("words", folder).tokenizer.fingerprint == tokenizer().fingerprint
    return "new"


def _export_found(folder: Path) -> str:
    remove_leftovers(folder)
    if not (folder / "out").exists():
        return "old"
    verify_folder(folder / "out")
    json.loads((folder / "out" / "tokenizer.json").read_text())
    return "new"


def _metrics_found(folder: Path) -> str:
    rows = [row["step"] for row in read_metrics(folder / "it")]
    assert rows in ([1], [1, 2])
    return "new" if rows == [1, 2] else "old"


NEW_METADATA = {"schema": 1, **metadata(), "seed": 9}

WRITERS = {
    "a step": Writer(_prepare_run, lambda f: save(open_run(f / "it"), 2, 1.4), _step_found),
    "a step again": Writer(_prepare_three, lambda f: save(open_run(f / "it"), 2, 1.4), _step_found),
    "pruning": Writer(
        _prepare_three, lambda f: prune(open_run(f / "it"), keep=1), _step_found
    ),
    "run.json": Writer(
        _prepare_run, lambda f: write_metadata(f / "it", NEW_METADATA), _metadata_found
    ),
    "a checked file": Writer(
        lambda f: write_checked_json(f / "x.json", {"schema": 1, "v": "old"}),
        lambda f: write_checked_json(f / "x.json", {"schema": 1, "v": "new"}),
        lambda f: read_checked_json(f / "x.json", schema=1)["v"],
    ),
    "a tokenizer": Writer(
        lambda f: None, lambda f: keep_tokenizer("words", tokenizer(), f), _tokenizer_found
    ),
    "an export": Writer(
        lambda f: None, lambda f: export_tokenizer(tokenizer(), f / "out"), _export_found
    ),
    "metrics": Writer(
        _prepare_metrics,
        lambda f: append_metrics(f / "it", {"step": 2}),
        _metrics_found,
    ),
}  # fmt: skip


def prepared(writer: Writer, parent: Path, model: Path, name: str) -> Path:
    folder = parent / name
    if not model.exists():
        model.mkdir()
        writer.prepare(model)
    shutil.copytree(model, folder)
    return folder


def some(calls: int) -> list[int]:
    """Which of so many calls fail: all with `make soak`, ten of them with `make test`."""
    return random.Random(calls).sample(range(calls), min(calls, cases(10, calls)))


@pytest.mark.parametrize("name", WRITERS)
def test_failing_call_leaves_old_or_new(name: str, tmp_path: Path, tally: Tally) -> None:
    writer, model = WRITERS[name], tmp_path / "model"
    counted = prepared(writer, tmp_path, model, "counted")
    calls = count_calls(lambda: writer.write(counted))
    tried = 0
    for kind, fault in FAULTS.items():
        for lasting in (False, True):
            for call in some(calls):
                folder = prepared(writer, tmp_path, model, f"{tried}")
                done = False
                # the command line translates errors of the system that nobody else did
                suppressed = contextlib.suppress(TfcliError, OSError, KeyboardInterrupt)
                with suppressed, faulty(fault, call, None if lasting else call) as made:
                    writer.write(folder)
                    done = True
                where = f"{kind}, call {call}: {made[min(call, len(made) - 1)]}"
                found = writer.found(folder)
                assert found == "new" if done else found in {"old", "new"}, where
                shutil.rmtree(folder)
                tried += 1
    tally(1, tried)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("name", WRITERS)
def test_killed_process_leaves_old_or_new(name: str, tmp_path: Path, tally: Tally) -> None:
    writer, model = WRITERS[name], tmp_path / "model"
    counted = prepared(writer, tmp_path, model, "counted")
    calls = count_calls(lambda: writer.write(counted))
    numbers = some(calls)
    for call in numbers:
        folder = prepared(writer, tmp_path, model, f"{call}")
        child = os.fork()
        if not child:
            with faulty(ends_the_process, call, call):
                writer.write(folder)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DIED
        assert writer.found(folder) in {"old", "new"}, f"call {call}"
    tally(1, len(numbers))

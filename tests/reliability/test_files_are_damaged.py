"""Kinds 5 and 6: flipped, cut and deleted bytes in all files of a run; fuzzed files."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import BOOK
from tests.reliability.conftest import SOAKING, Tally, cases
from tests.runs.helpers import make_run, save, tokenizer
from tfcli.errors import DataError, NotFoundError, TfcliError
from tfcli.exchange.import_huggingface import inspect_checkpoint
from tfcli.exchange.tokenizer_import import find_tokenizer_in
from tfcli.files import new_folder, read_checked_json, read_json
from tfcli.runs.metrics import append_metrics, read_metrics
from tfcli.runs.run import RUN_JSON, open_run
from tfcli.runs.step import MODEL, OPTIMIZER, STATE, load_arrays, map_arrays, read_state
from tfcli.runs.valid_steps import newest_valid_step
from tfcli.text.corpus import open_corpus
from tfcli.text.tokenizer_file import load_tokenizer

MORE_MEMORY = 1 << 30
TOKENIZER = "tokenizer.model"


def damage(path: Path, rng: random.Random) -> str:
    """Flips a bit, cuts, deletes, overwrites or appends bytes; returns which."""
    data = bytearray(path.read_bytes())
    kind = rng.choice(["flip", "cut", "delete", "overwrite", "append"])
    if kind == "flip":
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[rng.randrange(len(data)) :]
    elif kind == "delete":
        path.unlink()
        return kind
    elif kind == "overwrite":
        place = rng.randrange(len(data))
        before = bytes(data)
        data[place : place + 16] = rng.randbytes(16)
        if data == before:
            data[place] ^= 1
    else:
        data += rng.randbytes(rng.randrange(1, 64))
    path.write_bytes(data)
    return kind


def test_damage_is_detected_and_the_step_before_is_used(tmp_path: Path, tally: Tally) -> None:
    run = make_run(tmp_path / "valid")
    save(run, 1, 1.5)
    save(run, 2, 1.4)
    rng = random.Random(5)
    count = cases(300, 1000)
    for attempt in range(count):
        folder = tmp_path / "damaged"
        shutil.copytree(run.path, folder)
        name = rng.choice(
            [f"step-00000002/{name}" for name in (MODEL, OPTIMIZER, STATE, "MANIFEST.json")]
            + [RUN_JSON, TOKENIZER]
        )
        kind = damage(folder / name, rng)
        where = f"case {attempt}: {kind} in {name}"
        named: list[TfcliError] = []
        try:
            opened = open_run(folder)
            opened.tokenizer()
            step = newest_valid_step(opened, on_damaged=named.append)
        except (DataError, NotFoundError):
            assert name in {RUN_JSON, TOKENIZER}, where
        else:
            assert step, where
            if name not in {RUN_JSON, TOKENIZER}:
                assert step.state.step == 1, where
                assert "step-00000002" in named[0].what, where
            else:  # whitespace in run.json changes nothing
                assert name == RUN_JSON, where
                assert opened.metadata == run.metadata, where
        shutil.rmtree(folder)
    tally(5, count)


# --- fuzz ---------------------------------------------------------------------------------------


def valid_files(folder: Path) -> dict[str, bytes]:
    """One valid file of each kind that is read."""
    run = make_run(folder / "run")
    step = save(run, 1, 1.5)
    append_metrics(run.path, {"event": "StepFinished", "step": 1})
    return {
        "weights": (step / MODEL).read_bytes(),
        "state": (step / STATE).read_bytes(),
        "manifest": (step / "MANIFEST.json").read_bytes(),
        "run.json": (run.path / RUN_JSON).read_bytes(),
        "metrics": (run.path / "metrics.jsonl").read_bytes(),
        "tokenizer": tokenizer().serialized,
        "text": BOOK.encode()[:4000] + "日本 é".encode(),
    }


def readers(folder: Path) -> dict[str, Callable[[Path], object]]:
    """The functions that read each of them."""

    def state(path: Path) -> object:
        step = folder / "step-00000001"
        with new_folder(step) as writer:
            writer.write(STATE, path.read_bytes())
        return read_state(step)

    def metadata(path: Path) -> object:
        shutil.copy(path, folder / RUN_JSON)
        return open_run(folder)

    def config(path: Path) -> object:
        shutil.copy(path, folder / "config.json")
        return inspect_checkpoint(folder)

    def described(path: Path) -> object:
        shutil.copy(path, folder / "tokenizer.json")
        return find_tokenizer_in(folder / "tokenizer.json")

    def metrics(path: Path) -> object:
        shutil.copy(path, folder / "metrics.jsonl")
        return list(read_metrics(folder))

    def text(path: Path) -> object:
        copy = folder / "text.txt"
        shutil.copy(path, copy)
        return list(open_corpus([copy], cache=folder / "cache").training())

    return {
        "weights": lambda path: [load_arrays(path), map_arrays(path)],
        "state": state,
        "manifest": read_json,
        "run.json": metadata,
        "checked": lambda path: read_checked_json(path, schema=1),
        "metrics": metrics,
        "tokenizer": load_tokenizer,
        "config.json": config,
        "tokenizer.json": described,
        "text": text,
    }


def address_space() -> int:
    """The size of this process's address space in bytes; a large number if unknown."""
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[0]) if statm.exists() else 1 << 24
    return pages * resource.getpagesize()


def fuzz(name: str, seed: int, count: int, folder: Path, valid: bytes, log: Path) -> None:
    """Reads `count` broken files; nothing but errors of `tfcli.errors` may be raised."""
    limit = address_space() + MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    rng = random.Random(seed)
    read = readers(folder)[name]
    path = folder / "file"
    for number in range(count):
        path.write_bytes(valid)
        if rng.random() < 0.1:
            path.write_bytes(rng.randbytes(rng.randrange(200)))
        else:
            for _ in range(rng.randrange(1, 4)):
                if path.exists() and path.stat().st_size:
                    damage(path, rng)
        log.write_text(f"{name}, seed {seed}, case {number}")
        try:
            if path.exists():
                read(path)
        except TfcliError as error:
            assert error.exit_code in {65, 66}, error.what
    log.write_text("done")


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize(
    "name", ["weights", "state", "manifest", "run.json", "metrics", "tokenizer", "text"]
)
def test_broken_files_of_a_run_crash_nothing(name: str, tmp_path: Path, tally: Tally) -> None:
    """In a process with limited memory, so that crashes and large allocations show."""
    valid = valid_files(tmp_path)[name]
    folder = tmp_path / "work"
    folder.mkdir()
    count = cases(500, 10_000) if name not in {"text", "tokenizer"} else cases(200, 5_000)
    log = tmp_path / "log"
    process = multiprocessing.get_context("fork").Process(
        target=fuzz, args=(name, 6, count, folder, valid, log)
    )
    process.start()
    process.join(60 + count / 10)
    if process.is_alive():
        process.kill()
        pytest.fail(f"hangs: {log.read_text()}")
    assert process.exitcode == 0, log.read_text()
    tally(6, count)


def valid_external_files() -> dict[str, bytes]:
    """One valid file of each kind that is imported, and a request."""
    from tests.exchange.test_huggingface import COMMON
    from tfcli.exchange.tokenizer_json import to_tokenizer_json
    from tfcli.text.sentencepiece_model import read_pieces

    config = COMMON | {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    request = {"prompt": "Once", "temperature": 0.5, "top_k": 7, "stop": ["."], "id": 1}
    return {
        "config.json": json.dumps(config).encode(),
        "tokenizer.json": json.dumps(
            to_tokenizer_json(read_pieces(tokenizer().serialized))
        ).encode(),
        "tokenizer.model": tokenizer().serialized,
        "rows": b'{"text": "Once"}\n{"text": "caf\\u00e9"}\n',
        "request": json.dumps(request).encode(),
    }


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_broken_files_from_elsewhere_crash_nothing(name: str, tmp_path: Path, tally: Tally) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(tokenizer().serialized)
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    log = tmp_path / "log"
    count = cases(10, 300)  # each starts a process, which a tokenizer may crash
    process = multiprocessing.get_context("fork").Process(
        target=fuzz, args=(name, 7, count, folder, valid_external_files()[name], log)
    )
    process.start()
    process.join(60 + 3 * count)
    assert process.exitcode == 0, log.read_text()
    tally(6, count)


# Half a minute each finds the simple faults; for more, run it overnight: GUIDED=3600 make soak
SECONDS = int(os.environ.get("GUIDED", "30"))
GUIDED = [
    "weights", "run.json", "state", "config.json", "tokenizer.json", "tokenizer.model",
    "text", "rows", "request",
]  # fmt: skip


@pytest.mark.skipif(not SOAKING, reason="takes minutes")
@pytest.mark.parametrize("name", GUIDED)
def test_coverage_guided_fuzzing_finds_nothing(name: str, tmp_path: Path, tally: Tally) -> None:
    pytest.importorskip("atheris")
    valid = tmp_path / "valid"
    valid.mkdir()
    files = valid_files(tmp_path) | valid_external_files()
    (valid / "file").write_bytes(files[name])
    options = ("-timeout=10", "-rss_limit_mb=1024", f"-max_total_time={SECONDS}", "-seed=6")
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability.guided", name, str(valid), *options],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.search(r"Done (\d+) runs", done.stderr)
    assert ran, done.stderr
    assert int(ran[1]) > 100, "too few runs"
    tally(6, int(ran[1]))

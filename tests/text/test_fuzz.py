"""Made files of every format, compression and encoding, whole and damaged, at random.

What is whole is read as it was written. What is damaged is read as far as it is whole, or refused
with one of our errors; rows are never lost without being counted. A few hundred with `make test`,
a minute of them with `make slow`, `make fuzz` for as long as one likes. A failure names its seed:

    FUZZ_SEED=123 python -m pytest tests/text/test_fuzz.py
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.text.helpers import blocks_of, documents
from tests.text.made_files import Made, make, separate
from tfcli.errors import TfcliError
from tfcli.text.formats import ARCHIVES
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.reading_options import ReadingOptions

QUICK = 250
SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))


def read(folder: Path, made: Made, data: bytes) -> tuple[list[str], Reading] | TfcliError:
    """The documents of a file and what was found in it, or our error."""
    path = folder / made.name
    path.write_bytes(data)
    options = ReadingOptions(**made.options)  # type: ignore[arg-type]
    found = Reading()
    try:
        texts = [text.decode() for text in documents(read_chunks(path, options, reading=found))]
    except TfcliError as error:
        assert error.what
        assert "\n" not in error.what
        return error
    finally:
        path.unlink()
    assert all("\n" not in note for note in found.notes(path, options))
    return texts, found


def check_whole(folder: Path, rng: random.Random) -> None:
    made = make(rng)
    if made.kind == "text" and rng.random() < 0.5:
        separate(rng, made)
    result = read(folder, made, made.data)
    assert not isinstance(result, TfcliError), (result.what, result.why, made)
    assert result[0] == made.texts, made


def check_cut(folder: Path, rng: random.Random) -> None:
    """Only what ends where a row could end may be taken for whole."""
    made = make(rng)
    if len(made.data) < 40:
        return
    data = made.data[: rng.randrange(32, len(made.data))]
    result = read(folder, made, data)
    if isinstance(result, TfcliError):
        return
    assert made.compression == "" and made.kind not in ARCHIVES, made
    texts, found = result
    if made.kind == "html":
        return
    if made.kind == "text":
        assert made.texts[0].startswith("".join(texts)), made
        return
    if found.format == "text":  # so little is left that nothing tells that it was more
        return
    assert made.kind not in {"array", "pretty array", "parquet"} or texts == made.texts, made
    assert found.rows
    if made.kind == "lines" and found.rows.bad > found.rows.empty:
        assert texts == made.texts[: len(texts)], made
        return
    # the last cell of a table may have become shorter
    assert texts[:-1] == made.texts[: len(texts[:-1])], made
    assert not texts or made.texts[len(texts) - 1].startswith(texts[-1].rstrip("\r")), made
    if made.encoding.startswith("utf-8") and made.kind == "lines":
        lines = data.decode(errors="replace").split("\n")
        left = [line for line in lines if line.strip("\ufeff\r")]
        assert found.rows.rows == len(left), made


def check_flipped(folder: Path, rng: random.Random) -> None:
    made = make(rng)
    data = bytearray(made.data)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    result = read(folder, made, bytes(data))
    if isinstance(result, TfcliError):
        return
    texts, found = result
    if (made.compression in {".gz", ".bz2", ".xz"} and found.compression) or (
        made.kind in ARCHIVES and not made.compression
    ):
        assert texts == made.texts, made
    elif made.kind == "lines" and found.rows and not made.compression:
        lost = len(made.texts) - len(texts)
        assert lost <= 0 or found.rows.bad, made


CHECKS: list[Callable[[Path, random.Random], None]] = [check_whole, check_cut, check_flipped]


def check(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    try:
        with blocks_of(rng.choice((16, 100, 1 << 20))):
            CHECKS[seed % len(CHECKS)](folder, rng)
    except Exception as error:
        error.add_note(f"FUZZ_SEED={seed}")
        raise


def test_made_files_are_read_as_written_or_refused(tmp_path: Path) -> None:
    seeds = [int(os.environ["FUZZ_SEED"])] if "FUZZ_SEED" in os.environ else range(QUICK)
    for seed in seeds:
        check(tmp_path, seed)


@pytest.mark.slow
def test_other_files_each_time(tmp_path: Path) -> None:
    first = time.time_ns()
    end = time.monotonic() + SECONDS
    tried = 0
    while time.monotonic() < end:
        check(tmp_path, first + tried)
        tried += 1
    print(f"{tried:,} files")

"""No id is returned from a block that has changed since it was written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import DamagedError
from tfcli.text.checked_tokens import BLOCK, BlockDigests, CheckedTokens

WIDTH = BLOCK // 2  # two-byte ids in a block
IDS = np.arange(5 * WIDTH + 100, dtype=np.uint16)


def digests(data: bytes, *cuts: int) -> bytes:
    made = BlockDigests()
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        made.add(data[start:end])
    return made.digests()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ids") / "training.bin"
    path.write_bytes(IDS.tobytes())
    return path


def open_ids(path: Path) -> CheckedTokens:
    return CheckedTokens(path, np.dtype(np.uint16), digests(IDS.tobytes()))


@given(st.lists(st.integers(0, 3 * BLOCK + 9), max_size=4))
def test_digests_do_not_depend_on_how_the_ids_are_split(cuts: list[int]) -> None:
    data = bytes(range(251)) * 800
    expected = [hashlib.sha256(data[i : i + BLOCK]).digest() for i in range(0, len(data), BLOCK)]
    assert digests(data, *sorted(cuts)) == b"".join(expected)
    assert digests(data[: 2 * BLOCK]) == b"".join(expected[:2])
    assert digests(b"") == b""


@given(st.integers(-len(IDS), len(IDS)), st.integers(-len(IDS), len(IDS)))
def test_slice_equals_that_of_an_array(path: Path, start: int, stop: int) -> None:
    tokens = open_ids(path)
    assert np.array_equal(tokens[start:stop], IDS[start:stop])
    assert len(tokens) == len(IDS)


@pytest.mark.parametrize("index", [0, 7, WIDTH, len(IDS) - 1, -1, -len(IDS)])
def test_id_equals_that_of_an_array(path: Path, index: int) -> None:
    assert open_ids(path)[index] == IDS[index]


def test_index_beyond_the_end_is_an_error(path: Path) -> None:
    with pytest.raises(IndexError):
        open_ids(path)[len(IDS)]


@pytest.mark.parametrize("damaged", [0, WIDTH - 1, 2 * WIDTH + 5, 3 * WIDTH, len(IDS) - 1])
def test_flipped_bit_is_detected_when_its_block_is_read(tmp_path: Path, damaged: int) -> None:
    data = bytearray(IDS.tobytes())
    data[2 * damaged] ^= 1
    path = tmp_path / "training.bin"
    path.write_bytes(data)
    tokens = open_ids(path)
    for block in range(6):
        start, stop = block * WIDTH, min((block + 1) * WIDTH, len(IDS))
        for run in (slice(start, start + 1), slice(stop - 1, stop), slice(start, stop)):
            if damaged // WIDTH == block:
                with pytest.raises(DamagedError) as caught:
                    tokens[run]
                assert "training.bin" in caught.value.what
            else:
                assert np.array_equal(tokens[run], IDS[run])
    with pytest.raises(DamagedError):
        tokens[:]


def test_file_of_another_length_is_not_opened(path: Path) -> None:
    with pytest.raises(DamagedError):
        CheckedTokens(path, np.dtype(np.uint16), digests(IDS.tobytes())[:-32])

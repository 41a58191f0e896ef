"""A step is read exactly as it was saved; anything else is refused."""

from __future__ import annotations

import errno
import json
import math
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from tests.files.faults import count_calls, fails_with, faulty
from tests.runs.helpers import Arrays, held_out, make_run, save, state, weights
from tfcli.errors import DamagedError, DataError, InputOutputError, NotFoundError, TfcliError
from tfcli.files import new_folder, remove_leftovers, to_json, verify_folder
from tfcli.model.safetensors_file import to_bfloat16, to_float32
from tfcli.runs.step import (
    MODEL,
    OPTIMIZER,
    STATE,
    HeldOutLoss,
    StepState,
    list_steps,
    load_arrays,
    map_arrays,
    read_state,
    save_step,
    step_name,
    verify_step,
)

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
    lambda name: name != "__metadata__"  # safetensors keeps it for itself
)
DTYPES = st.sampled_from(
    ["bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8"]
)
SHAPES = stn.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
ARRAYS = st.dictionaries(NAMES, stn.arrays(DTYPES, SHAPES), max_size=4)

FINITE = st.floats(allow_nan=False)
COUNT = st.integers()
HELD_OUT = st.builds(HeldOutLoss, FINITE, COUNT, COUNT, COUNT, COUNT, st.booleans())
STATES = st.builds(
    StepState,
    step=st.integers(0, 10**9),
    tokens_seen=st.integers(0, 2**63 - 1),
    seconds=st.floats(0, allow_infinity=False),
    held_out=st.none() | HELD_OUT,
    held_out_final=st.none() | HELD_OUT,
)


def assert_same(loaded: Arrays, saved: Arrays) -> None:
    """Bit for bit, including NaN and the sign of zero."""
    assert loaded.keys() == saved.keys()
    for name, array in saved.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == array.tobytes()


@given(state=STATES, model=ARRAYS, optimizer=ARRAYS)
@settings(max_examples=50)
def test_step_round_trips(
    tmp_path: Path, state: StepState, model: Arrays, optimizer: Arrays
) -> None:
    step = save_step(tmp_path, state, model, optimizer)
    verify_step(step)
    assert read_state(step) == state
    assert_same(load_arrays(step / MODEL), model)
    assert_same(load_arrays(step / OPTIMIZER), optimizer)


@given(model=st.dictionaries(NAMES, stn.arrays("f4", SHAPES), max_size=4))
@settings(max_examples=50)
def test_weights_are_written_as_safetensors_itself_writes_them(
    tmp_path: Path, model: Arrays
) -> None:
    step = save_step(tmp_path, state(1), model, {})
    assert (step / MODEL).read_bytes() == safetensors.numpy.save(model)


LAYOUTS: dict[str, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
    "transposed": lambda array: array.T,
    "every second column": lambda array: array[:, ::2],
    "backwards": lambda array: array[::-1],
    "broadcast": lambda array: np.broadcast_to(array, (2, 3, 4)),
    "Fortran order": np.asfortranarray,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_memory_layout_round_trip(tmp_path: Path, layout: str) -> None:
    array = LAYOUTS[layout](np.arange(12, dtype=np.float32).reshape(3, 4))
    step = save_step(tmp_path, state(1), {"w": array}, {})
    assert np.array_equal(load_arrays(step / MODEL)["w"], array)


def test_arrays_of_the_other_byte_order_round_trip(tmp_path: Path) -> None:
    array = np.arange(5, dtype=">f4")
    step = save_step(tmp_path, state(1), {"w": array}, {})
    assert load_arrays(step / MODEL)["w"].tolist() == array.tolist()


def test_step_names_are_padded_with_zeros() -> None:
    assert step_name(500) == "step-00000500"
    assert step_name(10**9) == "step-1000000000"


@given(steps=st.sets(st.integers(0, 10**10), max_size=8))
@settings(max_examples=30)
def test_steps_are_listed_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: set[int]
) -> None:
    run = tmp_path_factory.mktemp("run")
    for step in steps:
        (run / step_name(step)).mkdir()
    assert list_steps(run) == [run / step_name(step) for step in sorted(steps)]


def test_only_folders_with_a_step_name_are_steps(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    step = save(run, 1)
    for name in ("step-1", "step-0000000x", "step-00000002.old", ".tmp-step-00000003-1-a", "x"):
        (run.path / name).mkdir()
    (run.path / "step-00000004").write_bytes(b"a file")
    assert list_steps(run.path) == [step]


def test_link_to_a_step_is_not_followed(tmp_path: Path) -> None:
    other = save(make_run(tmp_path / "other"), 7)
    run = make_run(tmp_path / "run")
    (run.path / step_name(7)).symlink_to(other)
    assert list_steps(run.path) == []


def test_missing_folder_has_no_steps(tmp_path: Path) -> None:
    assert list_steps(tmp_path / "nowhere") == []


def test_reported_loss_is_the_one_on_the_whole_text(tmp_path: Path) -> None:
    part, whole = held_out(1.0), held_out(2.0)
    both = StepState(step=1, tokens_seen=1, seconds=1, held_out=part, held_out_final=whole)
    assert both.final_or_latest == whole
    assert state(1, loss=1.0).final_or_latest == part
    assert state(1).final_or_latest is None


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_earlier_steps_are_intact_after_any_failing_call(tmp_path: Path, code: int) -> None:
    run = make_run(tmp_path / "run")
    first = save(run, 10)
    for call in range(count_calls(lambda: save(run, 11))):
        step = 20 + call
        with suppress(TfcliError), faulty(fails_with(code), call, call):
            save(run, step)
        remove_leftovers(run.path)
        names = {path.name for path in run.path.iterdir() if path.is_dir()}
        assert first.name in names <= {first.name, step_name(11), step_name(step)}
        for path in list_steps(run.path):
            verify_step(path)
        shutil.rmtree(run.path / step_name(step), ignore_errors=True)


def test_lack_of_space_is_detected_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    before = sorted(run.path.iterdir())
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputOutputError, match="not enough disk space"):
        save(run, 1)
    assert sorted(run.path.iterdir()) == before


def test_saving_a_step_again_replaces_a_damaged_one(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (save(run, 5) / MODEL).write_bytes(b"damage")
    step = save(run, 5)
    verify_step(step)
    assert_same(load_arrays(step / MODEL), weights(5))


@given(data=st.data())
@settings(max_examples=40)
def test_flipped_bits_of_a_step_are_detected(tmp_path: Path, data: Any) -> None:
    step = save_step(tmp_path, state(5, loss=1.5), weights(5), {})
    file = data.draw(st.sampled_from(sorted(step.iterdir())))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    with pytest.raises(DataError):
        verify_step(step)


def valid_state(**changes: object) -> dict[str, Any]:
    measured = {
        "nats_per_byte": 1.5, "bytes": 9, "tokens": 3, "context": 8, "stride": 4, "whole": True,
    }  # fmt: skip
    return {
        "step": 1, "tokens_seen": 2, "seconds": 3.0,
        "held_out": measured, "held_out_final": None, "schema": 1,
    } | changes  # fmt: skip


def read_written_state(folder: Path, value: object) -> StepState:
    """Writes a state with a manifest that matches it, and reads it."""
    step = folder / "step-00000001"
    with new_folder(step) as writer:
        writer.write(STATE, to_json(value))
    return read_state(step)


def test_state_is_read_from_its_keys(tmp_path: Path) -> None:
    expected = StepState(
        step=1, tokens_seen=2, seconds=3.0, held_out=HeldOutLoss(1.5, 9, 3, 8, 4, whole=True)
    )
    assert read_written_state(tmp_path, valid_state()) == expected


@pytest.mark.parametrize("key", ["step", "tokens_seen", "seconds", "held_out", "held_out_final"])
def test_state_without_a_key_is_damage(tmp_path: Path, key: str) -> None:
    value = valid_state()
    del value[key]
    with pytest.raises(DamagedError, match="does not describe a step"):
        read_written_state(tmp_path, value)


WRONG_STATES: dict[str, dict[str, object]] = {
    "a key too many": {"more": 1},
    "a step that is a text": {"step": "1"},
    "a step that is null": {"step": None},
    "a step that is a fraction": {"step": 1.5},
    "a time that is a text": {"seconds": "3"},
    "a time beyond all numbers": {"seconds": 10**400},
    "tokens that are a list": {"tokens_seen": []},
    "tokens beyond all counting": {"tokens_seen": 2**63},
    "a step before the first": {"step": -7},
    "another step": {"step": 2},
    "a time without end": {"seconds": math.inf},
    "a time before the first": {"seconds": -1.0},
    "a schema that is a text": {"schema": "1"},
    "a measurement that is a number": {"held_out": 5},
    "a measurement that is a list": {"held_out": [1, 2]},
    "a measurement that is a text": {"held_out": "low"},
    "a measurement without its keys": {"held_out": {"nats_per_byte": 1.0}},
    "a loss that is a text": {"held_out": valid_state()["held_out"] | {"nats_per_byte": "low"}},
    "a loss that is null": {"held_out": valid_state()["held_out"] | {"nats_per_byte": None}},
}


@pytest.mark.parametrize("changes", WRONG_STATES.values(), ids=WRONG_STATES)
def test_state_with_wrong_values_is_damage(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(DamagedError, match="does not describe a step"):
        read_written_state(tmp_path, valid_state(**changes))


def test_state_of_a_newer_version_asks_for_an_upgrade(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="newer tfcli") as caught:
        read_written_state(tmp_path, valid_state(schema=2, more="than we know"))
    assert caught.value.hint == "pip install --upgrade tfcli"


def test_missing_state_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamagedError):
        read_state(tmp_path)


def test_state_with_a_flipped_bit_is_damage(tmp_path: Path) -> None:
    read_written_state(tmp_path, valid_state())
    path = tmp_path / "step-00000001" / STATE
    path.write_bytes(path.read_bytes().replace(b"1.5", b"1.4"))
    with pytest.raises(DamagedError, match="is damaged"):
        read_state(path.parent)


def safetensors_file(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)) -> object:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE = {
    "nothing": b"",
    "half a length": b"\0\0\0",
    "a length alone": safetensors_file(b""),
    "a length of 2^63": safetensors_file({}, length=2**63),
    "a length of 2^64 - 1": safetensors_file({}, length=2**64 - 1),
    "a length past the end": safetensors_file({}, length=1000),
    "a header that is no JSON": safetensors_file(b"{{"),
    "a header that is a list": safetensors_file([]),
    "a header that is not UTF-8": safetensors_file(b"\xff\xff"),
    "a header of deep nesting": safetensors_file(b'{"a":' * 100_000),
    "a tensor that is a number": safetensors_file({"a": 5}),
    "metadata that is a number": safetensors_file({"__metadata__": 5}),
    "an unknown dtype": safetensors_file({"a": tensor("F33")}, bytes(4)),
    "another dtype of torch alone": safetensors_file({"a": tensor("F8_E4M3", [4])}, bytes(4)),
    "a negative size": safetensors_file({"a": tensor(shape=[-1])}, bytes(4)),
    "a size of 2^64": safetensors_file({"a": tensor(shape=[2**64])}, bytes(4)),
    "sizes whose product is 2^64": safetensors_file({"a": tensor(shape=[2**32, 2**32])}, bytes(4)),
    "2^62 times nothing": safetensors_file({"a": tensor(shape=[0, 2**62], offsets=[0, 0])}),
    "70 dimensions": safetensors_file({"a": tensor(shape=[1] * 70)}, bytes(4)),
    "more than there is": safetensors_file({"a": tensor(shape=[2], offsets=[0, 8])}, bytes(4)),
    "less than there is": safetensors_file({"a": tensor()}, bytes(8)),
    "offsets backwards": safetensors_file({"a": tensor(offsets=[4, 0])}, bytes(4)),
    "offsets of 2^63": safetensors_file({"a": tensor(offsets=[2**63, 2**63 + 4])}, bytes(4)),
    "a hole": safetensors_file({"a": tensor(offsets=[4, 8])}, bytes(8)),
    "tensors that overlap": safetensors_file({"a": tensor(), "b": tensor()}, bytes(4)),
    "a size that does not fit": safetensors_file({"a": tensor(shape=[3])}, bytes(4)),
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_safetensors_file_is_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MODEL).write_bytes(content)
    for read in (load_arrays, map_arrays):
        with pytest.raises(DamagedError, match=MODEL):
            read(tmp_path / MODEL)


def loads_or_is_damage(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for read in (load_arrays, map_arrays):
        with suppress(DamagedError):
            loaded = read(path)
            assert all(array.nbytes <= len(content) for array in loaded.values())


SIZES = st.integers(-1, 8) | st.sampled_from([2**31, 2**32, 2**62, 2**63, 2**64])
TENSORS = st.builds(
    tensor,
    st.sampled_from(["F32", "U8", "I64", "BF16", "F8_E5M2", "F4", "C64", "X"]),
    st.lists(SIZES, max_size=4),
    st.lists(SIZES, min_size=2, max_size=2),
)
HEADERS = st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), TENSORS, max_size=3)


@given(header=HEADERS, data=st.binary(max_size=16))
def test_random_header_loads_or_is_damage(
    tmp_path: Path, header: dict[str, object], data: bytes
) -> None:
    loads_or_is_damage(tmp_path / MODEL, safetensors_file(header, data))


@given(data=st.data())
def test_changed_safetensors_file_loads_or_is_damage(tmp_path: Path, data: Any) -> None:
    whole = safetensors_file({"a": tensor(), "b": tensor(offsets=(4, 8))}, bytes(8))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 3)))
    more = data.draw(st.binary(max_size=3))
    loads_or_is_damage(tmp_path / MODEL, whole[:start] + more + whole[end:])


def test_missing_arrays_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_arrays(tmp_path / MODEL)


def test_folder_in_place_of_arrays_raises_our_own_error(tmp_path: Path) -> None:
    with pytest.raises(TfcliError, match=str(tmp_path)):
        load_arrays(tmp_path)


def test_infinite_loss_round_trips(tmp_path: Path) -> None:
    step = save_step(tmp_path, state(1, loss=math.inf), {}, {})
    verify_folder(step)
    assert read_state(step) == state(1, loss=math.inf)


FILES: dict[str, bytes] = {
    "nothing": b"",
    "a header longer than the file": (2**63).to_bytes(8, "little") + b"{}",
    "no JSON": (2).to_bytes(8, "little") + b"{x",
    "a list": (2).to_bytes(8, "little") + b"[]",
}


@pytest.mark.parametrize("case", FILES)
def test_only_safetensors_files_are_mapped(tmp_path: Path, case: str) -> None:
    path = tmp_path / MODEL
    path.write_bytes(FILES[case])
    with pytest.raises(DamagedError, match="not a safetensors file"):
        map_arrays(path)


ENTRIES: dict[str, object] = {
    "another format": {"dtype": "I32", "shape": [4], "data_offsets": [0, 16]},
    "a size of another format": {"dtype": "F16", "shape": [4], "data_offsets": [0, 16]},
    "beyond the file": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]},
    "backwards": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]},
    "below nothing": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]},
    "another shape": {"dtype": "F32", "shape": [5], "data_offsets": [0, 16]},
    "a negative shape": {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]},
    "a huge shape": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 16]},
    "a word for a shape": {"dtype": "F32", "shape": "ab", "data_offsets": [0, 16]},
    "no entry": None,
    "no offsets": {"dtype": "F32", "shape": [4]},
}


@pytest.mark.parametrize("case", ENTRIES)
def test_invalid_entry_is_refused(tmp_path: Path, case: str) -> None:
    header = json.dumps({"w": ENTRIES[case]}).encode()
    (tmp_path / MODEL).write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(DamagedError, match=r"not a safetensors file|not those of weights"):
        map_arrays(tmp_path / MODEL)


@given(model=st.dictionaries(NAMES, stn.arrays("f4", SHAPES), max_size=4))
@settings(max_examples=50)
def test_mapped_arrays_equal_the_saved_ones(tmp_path: Path, model: Arrays) -> None:
    step = save_step(tmp_path, state(1), model, {})
    mapped = map_arrays(step / MODEL)
    assert_same(mapped, model)
    assert not any(array.flags.writeable for array in mapped.values())


def test_weights_in_sixteen_bits_stay_as_they_are(tmp_path: Path) -> None:
    import torch

    values = torch.cat([torch.randn(1000), torch.tensor([0.0, -0.0, 3e38, 1e-40, torch.inf])])
    brain, half = to_bfloat16(values.numpy()), values.half().numpy()
    step = save_step(tmp_path, state(1), {"brain": brain.reshape(5, 201).T, "half": half}, {})
    mapped = map_arrays(step / MODEL)
    assert mapped["brain"].nbytes == mapped["half"].nbytes == 2 * len(values)
    expected = values.to(torch.bfloat16).float().numpy().reshape(5, 201).T
    np.testing.assert_array_equal(to_float32(mapped["brain"]), expected)
    np.testing.assert_array_equal(to_float32(mapped["half"]), values.half().float().numpy())
    read = safetensors.torch.load_file(step / MODEL)  # by the format's own reader
    assert read["brain"].dtype == torch.bfloat16
    np.testing.assert_array_equal(read["brain"].float().numpy(), expected)


def test_missing_file_cannot_be_mapped(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        map_arrays(tmp_path / MODEL)


def test_weights_only_verification_skips_the_optimizer_content(tmp_path: Path) -> None:
    step = save_step(tmp_path, state(1), {"w": np.ones(3, np.float32)}, {"m": np.ones(3)})
    data = bytearray((step / OPTIMIZER).read_bytes())
    data[-1] ^= 1
    (step / OPTIMIZER).write_bytes(data)
    verify_step(step, weights_only=True)
    with pytest.raises(DamagedError, match=OPTIMIZER):
        verify_step(step)
    (step / OPTIMIZER).write_bytes(data[:-1])
    with pytest.raises(DamagedError, match=OPTIMIZER):
        verify_step(step, weights_only=True)

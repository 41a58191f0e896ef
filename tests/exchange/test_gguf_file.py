"""The reader of GGUF files, against the package `gguf` that writes them, and against damage."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.exchange.gguf_file import FORMATS, GgufFile
from tfcli.exchange.import_gguf import MAX_MULTIPLE
from tfcli.model.safetensors_file import is_bfloat16, to_float32

Q8_0 = gguf.GGMLQuantizationType.Q8_0
MATRIX = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "all.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("ñame\n")
    writer.add_uint64("large", 1 << 60)
    writer.add_float32("half", 0.5)
    writer.add_bool("yes", True)
    writer.add_array("texts", ["", "a", "日本"])
    writer.add_array("numbers", [1.5, 2.5])
    writer.add_array("flags", [True, False])
    writer.add_tensor("f32", MATRIX)
    writer.add_tensor("f16", MATRIX.astype(np.float16))
    bfloat16 = (MATRIX.view(np.uint32) >> 16).astype(np.uint16)
    writer.add_tensor("bf16", bfloat16.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.add_tensor("q8_0", gguf.quants.quantize(MATRIX, Q8_0), raw_dtype=Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_it_reads_what_the_library_writes(written: Path) -> None:
    file = GgufFile(written)
    metadata = file.metadata
    assert metadata["general.name"] == "ñame\n"
    assert (metadata["large"], metadata["half"], metadata["yes"]) == (1 << 60, 0.5, True)
    assert metadata["texts"] == ["", "a", "日本"]
    assert metadata["numbers"].tolist() == [1.5, 2.5]
    assert metadata["flags"].tolist() == [True, False]
    assert {name: tensor.format.name for name, tensor in file.tensors.items()} == {
        "f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"
    }  # fmt: skip
    assert np.array_equal(file.map("f32"), MATRIX)
    assert np.array_equal(file.map("f16"), MATRIX.astype(np.float16))
    assert is_bfloat16(file.map("bf16"))
    assert np.allclose(to_float32(file.map("bf16")), MATRIX, rtol=2**-7)
    assert np.allclose(file.unpack("q8_0", np.float32), MATRIX, atol=np.abs(MATRIX).max() / 127)


@pytest.mark.parametrize("number", sorted(set(FORMATS) - {0, 1, 30}))
def test_quantized_formats_are_those_of_the_library(number: int, tmp_path: Path) -> None:
    format = gguf.GGMLQuantizationType(number)
    ours = FORMATS[number]
    assert gguf.GGML_QUANT_SIZES[format] == (ours.block, ours.block_bytes)
    packed = np.random.default_rng(1).integers(0, 256, (3, 2 * ours.block_bytes), np.uint8)
    begin, count = ours.scales
    scales = np.linspace(0.5, 2, 6 * count).astype("<f2").view(np.uint8).reshape(6, -1)
    packed.reshape(6, -1)[:, begin : begin + 2 * count] = scales
    writer = gguf.GGUFWriter(tmp_path / "it.gguf", "llama")
    writer.add_tensor("a", packed, raw_dtype=format)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = GgufFile(tmp_path / "it.gguf")
    assert np.array_equal(file.scales("a").reshape(-1), scales.reshape(-1).view("<f2"))
    unpacked = file.unpack("a", np.float32)
    assert np.array_equal(unpacked, gguf.quants.dequantize(packed, format))
    assert unpacked.shape == (3, 2 * ours.block)
    assert np.abs(unpacked).max() < MAX_MULTIPLE * 2
    with_zeros = packed.copy()
    with_zeros.reshape(6, -1)[:, begin : begin + 2 * count] = 0
    assert not gguf.quants.dequantize(with_zeros, format).any()  # nothing else scales them


def test_a_file_cut_short_anywhere_is_damaged(written: Path, tmp_path: Path) -> None:
    whole = written.read_bytes()
    short = tmp_path / "short.gguf"
    padding = 32  # which may follow the last tensor
    for length in (*range(400), *range(400, len(whole) - padding, 37)):
        short.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            GgufFile(short)


def header(tensors: int = 0, keys: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def array(type: int, count: int) -> bytes:
    return header(keys=1) + text(b"key") + struct.pack("<IIQ", 9, type, count)


def tensor(shape: tuple[int, ...], offset: int = 0, type: int = 0, name: bytes = b"a") -> bytes:
    return (
        text(name)
        + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        + struct.pack("<IQ", type, offset)
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"GGML" + bytes(100), "does not begin with GGUF"),
        (header(tensors=1 << 63), "9,223,372,036,854,775,808 tensors"),
        (header(keys=1 << 63), "keys"),
        (header(keys=1) + struct.pack("<Q", 1 << 62), "text is longer"),
        (header(keys=1) + text(b"\xff") + bytes(50), "utf-8"),
        (header(keys=2) + 2 * (text(b"key") + struct.pack("<IB", 7, 1)), "twice"),
        (header(keys=1) + text(b"key") + struct.pack("<I", 99), "unknown type 99"),
        (array(8, 1 << 40), "longer"),
        (array(8, 1000) + bytes(7000), "too early"),
        (array(4, 1 << 61), "longer"),
        (array(9, 1) + struct.pack("<IQ", 9, 1) * 1000, "array of arrays"),
        (header(1) + tensor((1 << 63, 1 << 63)) + bytes(64), "beyond its end"),
        (header(1) + tensor((0, 1 << 63)) + bytes(64), "empty"),
        (header(1) + tensor((4,), offset=1 << 63) + bytes(64), "beyond its end"),
        (header(1) + tensor((4,), offset=1) + bytes(64), "beyond its end"),
        (header(1) + tensor((1,) * 9) + bytes(64), "9 dimensions"),
        (header(1) + tensor((33,), type=8) + bytes(64), "no multiple of 32"),
        (header(2) + 2 * tensor((1,)) + bytes(64), "twice"),
        (header(1) + tensor((1,), type=99) + bytes(64), "number format"),
        (header(version=1), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (
            header(keys=1) + text(b"general.alignment") + struct.pack("<II", 4, 3) + bytes(64),
            "general.alignment",
        ),
    ],
)
def test_hostile_files_are_refused_at_once(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        GgufFile(path)
    assert why in f"{error.value.what} {error.value.why}"


def test_every_flipped_byte_of_a_header_is_read_or_refused(written: Path, tmp_path: Path) -> None:
    whole = written.read_bytes()
    path = tmp_path / "flipped.gguf"
    for place in range(0, 600, 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            file = GgufFile(path)
        except DataError:
            continue
        for name, found in file.tensors.items():
            if found.format.name in {"F32", "F16", "BF16"}:
                file.map(name)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        GgufFile(tmp_path / "missing.gguf")
    with pytest.raises(DamagedError):
        GgufFile(tmp_path)
